//! `lamina reset-password`: in again where nobody can log in.

use super::FAILED;
use crate::printer::Printer;
use crate::printer::page::Visible;
use clap::Args;
use operation::Failure;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Give a user a one-time password without logging in, on the server's machine.
///
/// For when no administrator can log in. The server of an embedded database has to be stopped meanwhile. The user's
/// sessions end, its API tokens are withdrawn, and it is let in again if it was disabled.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina reset-password --dir /var/lib/lamina
  lamina reset-password --database postgres://lamina@db.example.com/lamina ada")]
pub(super) struct ResetPasswordArgs {
    /// Directory of the server
    #[arg(long, value_name = "DIR", env = "LAMINA_DIR", default_value = "/var/lib/lamina")]
    dir: PathBuf,
    /// Database instead of the embedded one: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "LAMINA_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// The user
    #[arg(value_name = "USER", default_value = "admin")]
    user: String,
}

/// What was made.
#[derive(Serialize)]
struct Report {
    /// The user.
    user: String,
    /// Its password, to be used once.
    one_time_password: String,
}

/// Resets a password, and gives the exit status.
pub(super) fn run(args: ResetPasswordArgs) -> ExitCode {
    let printer = Printer::new(args.json);
    let made = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure {
            code: "runtime".to_owned(),
            message: format!("the command cannot be carried out: {error}"),
            hint: None,
        })
        .and_then(|runtime| {
            let reset = server::reset_password(&args.dir, args.database.as_deref(), &args.user);
            runtime.block_on(reset).map_err(|error| Failure::new(&error))
        });
    let printed = made.and_then(|one_time_password| {
        let report = Report { user: args.user, one_time_password };
        printer.result(&report, |page| {
            page.line(format_args!(
                "One-time password of {}, shown only now: {}",
                Visible(&report.user),
                report.one_time_password
            ))
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
