//! `lamina backup` and `lamina restore`: a server's database and store in a folder, and back.

use super::FAILED;
use crate::interrupt;
use crate::printer::Printer;
use crate::printer::amount::{Bytes, Of};
use crate::progress::Reporter;
use clap::Args;
use operation::{Failure, Progress};
use serde::Serialize;
use server::backup::{self, BackupError, Passphrase, Snapshot};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::Store;

/// The database's file in the folder.
const DATABASE: &str = "database.lamina";
/// The store's folder in the folder.
const STORE: &str = "store";

/// Where a server keeps what it keeps, and how its backup is protected.
#[derive(Args)]
struct Place {
    /// Directory of the server
    #[arg(long, value_name = "DIR", env = "LAMINA_DIR", default_value = "/var/lib/lamina")]
    dir: PathBuf,
    /// Directory of the store [default: store in the server's directory]
    #[arg(long, value_name = "DIR", env = "LAMINA_STORE")]
    store: Option<PathBuf>,
    /// Database instead of the embedded one: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "LAMINA_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// File with the passphrase that seals the backup's secrets; - is standard input
    #[arg(long, value_name = "FILE", env = "LAMINA_PASSPHRASE_FILE")]
    passphrase_file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    /// Where the server has its store.
    fn store(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| self.dir.join(STORE))
    }
}

/// Back up a server, while it runs.
///
/// Writes the database and the store as they are at one moment. A folder that holds a backup is brought up to date: only
/// what the store has got since is copied, and what it no longer has is removed. The passwords in it are sealed with the
/// passphrase; keep that elsewhere.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina backup --passphrase-file /root/passphrase /mnt/backup/lamina
  lamina plumbing check --store /mnt/backup/lamina/store --read-data")]
pub(super) struct BackupArgs {
    #[command(flatten)]
    place: Place,
    /// Leave the store out; back it up by other means, after the database
    #[arg(long)]
    without_store: bool,
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Restore a server from a backup.
///
/// Goes into a directory without a server and, where --database names one, into an empty database. Tasks that were under
/// way when the backup was made are undone when the server starts, or finished where there was no way back any more.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina restore --dir /var/lib/lamina --passphrase-file /root/passphrase /mnt/backup/lamina
  lamina serve --dir /var/lib/lamina")]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    /// Leave the store out; put it into the directory by other means, before the server starts
    #[arg(long)]
    without_store: bool,
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// What was backed up or restored.
#[derive(Serialize)]
struct Report {
    /// Rows of the database.
    rows: u64,
    /// Secrets of connector configurations and the like that have to be entered again.
    unreadable_secrets: u64,
    /// When the backup was made; of a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    /// Tasks that were under way; of a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_under_way: Option<u64>,
    /// Layer versions and images of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
    /// Bytes of the store that were copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied_bytes: Option<u64>,
}

/// Backs up, and gives the exit status.
pub(super) fn back_up(args: BackupArgs) -> ExitCode {
    let printer = Printer::new(args.place.json);
    let done = carry_out(|runtime, progress| {
        let passphrase = passphrase(&args.place.passphrase_file)?;
        std::fs::create_dir_all(&args.folder)
            .map_err(|source| Failure::new(&BackupError::File { path: args.folder.clone(), source }))?;
        let credentials = credentials();
        let take = || Snapshot::take(&args.place.dir, args.place.database.as_deref(), credentials.as_deref());
        let explain = |error: BackupError| Failure::new(&error);
        let database = args.folder.join(DATABASE);
        if args.without_store {
            let snapshot = runtime.block_on(take()).map_err(explain)?;
            let counted = runtime.block_on(snapshot.write(&database, &passphrase)).map_err(explain)?;
            return Ok(Report {
                rows: counted.rows,
                unreadable_secrets: counted.unreadable_secrets,
                made: None,
                tasks_under_way: None,
                stored: None,
                copied_bytes: None,
            });
        }
        let store = Store::open(&args.place.store()).map_err(|error| Failure::new(&error))?;
        // References stay as they are until the database's moment is taken: every version that it knows is among them.
        let (copying, references) = store.begin_copy().map_err(|error| Failure::new(&error))?;
        let snapshot = runtime.block_on(take()).map_err(explain)?;
        drop(references);
        make_private(&args.folder.join(STORE))?;
        // The store first: a database in the folder never names what the folder's store lacks.
        let copied = copying.run(&args.folder.join(STORE), progress).map_err(|error| Failure::new(&error))?;
        let counted = runtime.block_on(snapshot.write(&database, &passphrase)).map_err(explain)?;
        Ok(Report {
            rows: counted.rows,
            unreadable_secrets: counted.unreadable_secrets,
            made: None,
            tasks_under_way: None,
            stored: Some(copied.refs),
            copied_bytes: Some(copied.copied_bytes),
        })
    });
    finish(printer, done, &args.folder, "Backed up")
}

/// Restores, and gives the exit status.
pub(super) fn restore(args: RestoreArgs) -> ExitCode {
    let printer = Printer::new(args.place.json);
    let done = carry_out(|runtime, progress| {
        let passphrase = passphrase(&args.place.passphrase_file)?;
        let place = &args.place;
        let target = place.store();
        let mut copied = None;
        if !args.without_store {
            if place.dir.join("lamina.db").exists() {
                let occupied = BackupError::Occupied { place: place.dir.display().to_string() };
                return Err(Failure::new(&occupied));
            }
            // Looked at before gigabytes are copied; what is copied before a failure is not copied again.
            let from = Store::open(&args.folder.join(STORE)).map_err(|error| Failure::new(&error))?;
            let (copying, references) = from.begin_copy().map_err(|error| Failure::new(&error))?;
            drop(references);
            if !place.dir.exists() {
                make_private(&place.dir)?;
            }
            make_private(&target)?;
            copied = Some(copying.run(&target, progress).map_err(|error| Failure::new(&error))?);
        }
        let (database, credentials) = (args.folder.join(DATABASE), credentials());
        let restored = backup::restore(
            &database,
            &passphrase,
            &place.dir,
            place.database.as_deref(),
            credentials.as_deref(),
            copied.as_ref().map(|_| target.as_path()),
        );
        let restored = runtime.block_on(restored).map_err(|error| Failure::new(&error))?;
        Ok(Report {
            rows: restored.counted.rows,
            unreadable_secrets: restored.counted.unreadable_secrets,
            made: Some(restored.made.to_string()),
            tasks_under_way: Some(restored.tasks_under_way),
            stored: copied.map(|copied| copied.refs),
            copied_bytes: copied.map(|copied| copied.copied_bytes),
        })
    });
    finish(printer, done, &args.folder, "Restored")
}

/// Runs with a runtime for the database, and with progress that an interrupt ends.
fn carry_out(
    work: impl FnOnce(&tokio::runtime::Runtime, &dyn Progress) -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let failed = |code: &str, error: io::Error| Failure {
        code: code.to_owned(),
        message: format!("the command cannot be carried out: {error}"),
        hint: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("runtime", error))?;
    let interrupted = interrupt::watch().map_err(|error| failed("interrupt-unwatched", error))?;
    let reporter = Reporter::start(interrupted, false);
    work(&runtime, &reporter)
}

fn finish(printer: Printer, done: Result<Report, Failure>, folder: &Path, verb: &str) -> ExitCode {
    let printed = done.and_then(|report| {
        printer.result(&report, |page| {
            page.line(format_args!("{verb} {} of the database", Of(report.rows, "row")))?;
            if report.unreadable_secrets > 0 {
                let secrets = Of(report.unreadable_secrets, "secret");
                page.line(format_args!("{secrets} cannot be opened, and will have to be entered again"))?;
            }
            if let (Some(stored), Some(copied)) = (report.stored, report.copied_bytes) {
                let what = Of(stored, "reference");
                page.line(format_args!("{verb} {what} of the store, {} copied", Bytes(copied)))?;
            }
            if let (Some(made), Some(tasks)) = (&report.made, report.tasks_under_way) {
                page.line(format_args!(
                    "The backup was made at {made}, with {} under way",
                    Of(tasks, "task")
                ))?;
            }
            page.line(format_args!("Folder: {}", folder.display()))
        })
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(FAILED)
        }
    }
}

/// Set by systemd for a service that has credentials.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn passphrase(path: &Path) -> Result<Passphrase, Failure> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(4096));
    let read = if path == Path::new("-") {
        io::stdin().lock().take(4096).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text))
    };
    read.map_err(|source| Failure::new(&BackupError::File { path: path.to_owned(), source }))?;
    Passphrase::new(&text).map_err(|error| Failure::new(&error))
}

/// Makes the store's directory there, for its owner alone, whatever is above it.
fn make_private(store: &Path) -> Result<(), Failure> {
    server::make_private(store)
        .map_err(|source| Failure::new(&BackupError::File { path: store.to_owned(), source }))
}
