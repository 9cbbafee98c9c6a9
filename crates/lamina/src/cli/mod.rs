//! The command line: what `lamina` understands, one module per family of commands.
//!
//! Exit status: 0 done, 1 refused or failed, 2 the command line is not understood, 3 a disk has findings that block; and
//! of commands that ask a server 4 to 8, see `remote/trouble.rs`.

mod backup;
mod completions;
mod plumbing;
mod remote;
mod reset_password;
mod serve;
mod size;

use crate::printer::write_stderr;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

/// Exit status of a command that was refused or failed.
const FAILED: u8 = 1;
/// Exit status of a command line that is not understood.
const USAGE: u8 = 2;
/// Exit status of a check that was carried out and found something that blocks.
const BLOCKED: u8 = 3;

/// The program's version and the revision of the engine in it, which is part of what images record.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (engine {})", env!("CARGO_PKG_VERSION"), layering::ENGINE));

/// What stands below the commands.
const HELP: &str = "\
Names and references:
  Names compare without case. A layer version is [os:|platform:|app:]NAME[@VERSION];
  without @VERSION the latest deployable one. An identifier does as well as a name.

Output:
  With --json one JSON object on stdout, as the API has it. A command that is refused or
  fails prints {\"error\": {\"code\": ..., \"message\": ..., \"hint\": ...}}; codes are stable.
  Progress, warnings and errors for people go to stderr.

Exit status:
  0  done
  1  refused or failed
  2  the command line is not understood
  3  plumbing integrity: the disk has findings that block
  4  there is no such object
  5  not logged in, or not allowed
  6  the state of things does not allow it, or somebody was faster
  7  a task failed or was stopped
  8  the server cannot be reached, or is away for now
  130  Ctrl-C; a task that was watched goes on

Environment:
  LAMINA_URL, LAMINA_TOKEN  server and API token, instead of those of `lamina login`
  LAMINA_AUTHORITY          file with the authority that signed the server's certificate
  NO_COLOR                  no colour when set";

/// Build virtual-machine images from layers.
///
/// Lamina installs the operating system once, each application once, and the software of each target platform once.
/// It keeps every one as a versioned layer and composites any combination into bootable layered images.
#[derive(Parser)]
#[command(
    name = "lamina",
    version = VERSION.as_str(),
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_long_help = HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    #[command(flatten)]
    Remote(remote::Command),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    ResetPassword(reset_password::ResetPasswordArgs),
    Completions(completions::CompletionsArgs),
    Plumbing(Box<plumbing::PlumbingArgs>),
    /// Carry out one job of a server that speaks on standard input and output; nothing for people.
    #[command(hide = true)]
    Worker,
}

/// Reads the process's arguments, carries the command out, and gives the exit status.
pub(crate) fn run() -> ExitCode {
    let ended = Cli::try_parse().and_then(|cli| match cli.command {
        Command::Serve(args) => Ok(serve::run(args)),
        Command::Backup(args) => Ok(backup::back_up(args)),
        Command::Restore(args) => Ok(backup::restore(args)),
        Command::ResetPassword(args) => Ok(reset_password::run(args)),
        Command::Remote(command) => Ok(remote::run(command)),
        Command::Completions(args) => Ok(completions::run(&args, Cli::command())),
        Command::Plumbing(args) => plumbing::run(*args),
        Command::Worker => Ok(worker::process::serve(worker::run)),
    });
    ended.unwrap_or_else(|answer| usage(&answer))
}

/// Prints help or version on stdout, or what is wrong with the command line on stderr.
fn usage(answer: &clap::Error) -> ExitCode {
    let text = answer.render().ansi().to_string();
    if answer.use_stderr() {
        write_stderr(&text);
        return ExitCode::from(USAGE);
    }
    // Help that nobody reads to its end is no failure.
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }
}
