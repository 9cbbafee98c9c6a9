//! `lamina completions`

use super::FAILED;
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

/// Print a script by which a shell completes `lamina`
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina completions bash > ~/.local/share/bash-completion/completions/lamina
  lamina completions zsh > ~/.zfunc/_lamina
  lamina completions fish > ~/.config/fish/completions/lamina.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "lamina", &mut script);
    match stdout().lock().write_all(&script) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    }
}
