//! The `lamina` command.
//!
//! Everything that reads arguments is in `cli`, one file per command; `printer` owns what is written to stdout and
//! stderr, `progress` the bars, `interrupt` Ctrl-C.

mod cli;
mod interrupt;
mod printer;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
