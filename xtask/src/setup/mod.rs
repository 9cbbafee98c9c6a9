//! `cargo xtask setup`: what this machine lacks, installed after asking.
//!
//! System packages come from apt; where apt is not there, the missing things are named together with what each is for.
//! Python readers go into a virtual environment in the target folder, pinned by version and hash.
//! Deliberately missing: installing Rust itself or its components, and any change to the machine beyond those two.

mod apt;
mod oracles;
mod packages;

pub(crate) use oracles::prepare_walker;

use crate::metadata::Workspace;
use crate::report;
use anyhow::{Result, bail};
use apt::{Consent, Machine};
use clap::{Args, ValueEnum};
use packages::Package;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// What the machine is to be made ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// `cargo xtask demo`
    Demo,
    /// `cargo xtask test`
    Test,
    /// `cargo xtask bench`
    Bench,
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Install without asking
    #[arg(long)]
    yes: bool,
    /// Only what this purpose needs [default: everything]
    #[arg(long = "for", value_name = "PURPOSE")]
    purpose: Option<Purpose>,
}

/// What setup leaves behind for the tasks that asked for it.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The Python that has the pinned readers.
    pub(crate) python: PathBuf,
}

/// The `setup` task.
pub(crate) fn run(arguments: &Arguments) -> Result<Ready> {
    let all = [Purpose::Demo, Purpose::Test, Purpose::Bench];
    let purposes = arguments.purpose.as_ref().map_or(&all[..], std::slice::from_ref);
    let ready = prepare(purposes, arguments.yes, &Workspace::read()?)?;
    report::line("setup: everything that is needed is there");
    Ok(ready)
}

/// Makes the machine ready for `purposes`, or says what is missing and fails.
pub(crate) fn prepare(purposes: &[Purpose], yes: bool, workspace: &Workspace) -> Result<Ready> {
    let missing = packages::missing(purposes);
    if !missing.is_empty() {
        install(&missing, yes)?;
        let still = packages::missing(purposes);
        if !still.is_empty() {
            bail!("after the installation these are still not found:\n{}", describe(&still));
        }
    }
    Ok(Ready { python: oracles::prepare(&workspace.target_directory)? })
}

fn install(missing: &[&Package], yes: bool) -> Result<()> {
    report::line("These system packages are missing:");
    report::line(describe(missing));
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let consent = Consent { yes, terminal: std::io::stdin().is_terminal(), ask: &mut ask };
    apt::agreed(Machine::here(), consent, &names)?.install()
}

fn describe(packages: &[&Package]) -> String {
    let rows: Vec<Vec<String>> =
        packages.iter().map(|p| vec![p.name.into(), p.probe.to_string(), p.reason.into()]).collect();
    report::table(&["package", "looked for", "needed for"], &rows)
}

/// Puts a question on standard error, because standard output may go to a file.
fn ask(question: &str) -> Result<String> {
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question} [Y/n] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
