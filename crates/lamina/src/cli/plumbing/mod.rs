//! `lamina plumbing`: the engine on one store, without a server. One module per command holds what it takes, the job
//! that it asks for, and how people read the result.

mod capture;
mod check;
mod compose;
mod composite;
pub(super) mod conflicts;
pub(super) mod diff;
mod export;
mod files;
mod format;
mod gc;
mod import;
mod init;
mod integrity;
mod list;
mod packaging_disk;
mod registry;
mod remove;
pub(super) mod show;
mod version;
mod warnings;

use super::{BLOCKED, FAILED};
use crate::interrupt;
use crate::printer::Printer;
use crate::progress::Reporter;
use clap::error::ErrorKind;
use clap::{Args, Subcommand};
use operation::{Failure, Progress, Silent};
use registry::export::Spool;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use worker::{Job, Outcome};

/// Work directly on a store of layers.
///
/// These commands call the engine on a store directory: no server, no database, no connectors. Scripts and tests
/// call them; what they print with --json is kept compatible.
#[derive(Args)]
#[command(after_long_help = "\
References (REF):
  [os:|platform:|app:|image:]NAME[@VERSION]
  A layer version or a layered image. Without @VERSION the latest version of the
  layer is meant. The prefix is needed when a layer or image of another kind has
  the same name. Names compare without case.

Sizes (SIZE):
  A whole number of bytes, or one with a unit: 100GiB, 2T; 512M and 512MiB are
  the same. KB, MB, ... count in thousands.

Output:
  With --json exactly one JSON object on stdout; amounts in it are bytes. A
  command that is refused or fails prints
  {\"error\": {\"code\": ..., \"message\": ..., \"hint\": ...}}; codes are stable.
  Progress, warnings and errors for people go to stderr.

Exit status:
  0  done
  1  refused or failed
  2  the command line is not understood
  3  integrity: the disk has findings that block

Environment:
  LAMINA_STORE  the store, where --store is not given
  NO_COLOR      no colour when set

Examples:
  An application on Windows, from its disk to an image for Azure:
    export LAMINA_STORE=~/layers
    lamina plumbing init
    lamina plumbing import --disk windows.vhdx --name Windows --version 24H2
    lamina plumbing packaging-disk --os Windows --format vhdx --out office.vhdx
    (boot a packaging machine from office.vhdx, install, shut it down)
    lamina plumbing capture --os Windows --disk office.vhdx \\
        --kind app --name Office --version 2024
    lamina plumbing compose --os Windows --layer Office --image Desktop
    lamina plumbing export --image Desktop --format vhd --out desktop.vhd")]
#[command(arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true)]
pub(super) struct PlumbingArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
struct CommonArgs {
    /// Directory of the store [or the environment's LAMINA_STORE]
    #[arg(long, value_name = "DIR", global = true, env = "LAMINA_STORE", hide_env = true)]
    store: Option<PathBuf>,
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Leave a line with its time on stderr for every step
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    Init(init::InitArgs),
    Import(import::ImportArgs),
    Integrity(integrity::IntegrityArgs),
    PackagingDisk(packaging_disk::PackagingDiskArgs),
    Capture(capture::CaptureArgs),
    Compose(compose::ComposeArgs),
    Export(export::ExportArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Files(files::FilesArgs),
    Diff(diff::DiffArgs),
    Conflicts(conflicts::ConflictsArgs),
    Registry(registry::RegistryArgs),
    Check(check::CheckArgs),
    Remove(remove::RemoveArgs),
    Gc(gc::GcArgs),
}

impl Command {
    fn job(self) -> Job {
        match self {
            Command::Init(args) => args.job(),
            Command::Import(args) => args.job(),
            Command::Integrity(args) => args.job(),
            Command::PackagingDisk(args) => args.job(),
            Command::Capture(args) => args.job(),
            Command::Compose(args) => args.job(),
            Command::Export(args) => args.job(),
            Command::List(args) => args.job(),
            Command::Show(args) => args.job(),
            Command::Files(args) => args.job(),
            Command::Diff(args) => args.job(),
            Command::Conflicts(args) => args.job(),
            Command::Registry(args) => args.job(),
            Command::Check(args) => args.job(),
            Command::Remove(args) => args.job(),
            Command::Gc(args) => args.job(),
        }
    }
}

/// Carries a plumbing command out and gives the exit status, or what is wrong with the command line.
pub(super) fn run(PlumbingArgs { common, mut command }: PlumbingArgs) -> Result<ExitCode, clap::Error> {
    let spool = match &mut command {
        Command::Registry(args) => args.spool(common.json)?,
        _ => None,
    };
    let job = command.job();
    // Clap cannot require an argument that may stand before or after the command's name.
    if common.store.is_none() && job.needs_store() {
        return Err(clap::Error::raw(
            ErrorKind::MissingRequiredArgument,
            "no store is given; name its directory with '--store <DIR>' or in the environment variable \
             LAMINA_STORE\n",
        ));
    }
    let store = common.store.unwrap_or_default();
    let printer = Printer::new(common.json);
    let performed = spool.transpose().and_then(|spool| {
        let outcome = perform(&store, job, common.verbose)?;
        Ok((outcome, spool))
    });
    let (outcome, spool) = match performed {
        Ok(performed) => performed,
        Err(failure) => {
            printer.failure(&failure);
            return Ok(ExitCode::from(FAILED));
        }
    };
    match print(printer, &outcome, spool) {
        Ok(()) => Ok(ExitCode::from(status(&outcome))),
        Err(failure) => {
            printer.failure_text(&failure);
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// The exit status of what was carried out.
fn status(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Integrity(report) if report.blocked => BLOCKED,
        _ => 0,
    }
}

fn perform(store: &Path, job: Job, verbose: bool) -> Result<Outcome, Failure> {
    if !job.is_long() {
        // An interrupt simply ends these: they leave nothing to clean up.
        return worker::run(store, job, &Silent);
    }
    let interrupted = interrupt::watch().map_err(|error| Failure {
        code: "interrupt-unwatched".to_owned(),
        message: format!("cannot watch for Ctrl-C: {error}"),
        hint: None,
    })?;
    let reporter = Reporter::start(interrupted, verbose);
    worker::run(store, job, &reporter as &dyn Progress)
}

/// Prints the result, or what was written to `spool` for stdout; gives the failure that the command ends with all the same.
fn print(printer: Printer, outcome: &Outcome, spool: Option<Spool>) -> Result<(), Failure> {
    match outcome {
        Outcome::Init(report) => printer.result(report, |page| init::human(report, page)),
        Outcome::Import(report) => {
            printer.result(report, |page| version::human("Imported", report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Integrity(report) => printer.result(report, |page| integrity::human(report, page)),
        Outcome::PackagingDisk(report) => {
            printer.result(report, |page| packaging_disk::human(report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Capture(report) => {
            printer.result(report, |page| version::human("Captured", report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Compose(report) => {
            printer.result(report, |page| compose::human(report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Export(report) => printer.result(report, |page| export::human(report, page)),
        Outcome::List(report) => printer.result(report, |page| list::human(report, page)),
        Outcome::Show(report) => {
            printer.result(report, |page| show::human(report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Files(report) => printer.result(report, |page| files::human(report, page)),
        Outcome::Diff(report) => {
            printer.result(report, |page| diff::human(report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::Conflicts(report) => {
            printer.result(report, |page| conflicts::human(report, page))?;
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::RegistryExport(report) => {
            match spool {
                Some(spool) => spool.print()?,
                None => printer.result(report, |page| registry::export::human(report, page))?,
            }
            warnings::print(printer, &report.warnings);
            Ok(())
        }
        Outcome::RegistryDiff(report) => printer.result(report, |page| registry::diff::human(report, page)),
        Outcome::Check(report) => check::print(printer, report),
        Outcome::Remove(report) => printer.result(report, |page| remove::human(report, page)),
        Outcome::Gc(report) => printer.result(report, |page| gc::human(report, page)),
        Outcome::ExportLayers(_) | Outcome::ImportLayers(_) | Outcome::ListLayout(_) => {
            unreachable!("no plumbing command exchanges layers: the server does")
        }
    }
}
