//! `cargo xtask test`: every check and test that this machine can run, in rings from quick to slow.
//!
//! Unit tests inside `src` are the pure ring; files under a crate's `tests` folder work with real disks and call real
//! tools as second opinions. A test that lacks a tool or the test data prints `SKIPPED <name>: <reason>` and returns:
//! such lines are counted and listed at the end, and so is a ring whose tool is lacking. The last line, `N passed, N
//! failed, N skipped`, is read by programs.

mod component;
mod tally;

use crate::command::{command, search_path};
use crate::metadata::{Workspace, cargo};
use crate::postgres::Postgres;
use crate::{arch, command, report, setup};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use component::{CLIPPY, Component, RUSTFMT};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tally::{Runner, Tally};

/// A group of checks that is run, timed and shown as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ring {
    /// Formatting
    Fmt,
    /// Clippy, with warnings as errors
    Lint,
    /// Dependencies between crates, unsafe code, folder names
    Arch,
    /// Building everything, tests included
    Build,
    /// Unit tests: no disks, no tools
    Pure,
    /// Tests on real disks and volumes, with other programs as second opinions
    Tools,
    /// The server's tests, on SQLite and PostgreSQL
    Databases,
    /// Every operation of the API, asked by Schemathesis what the OpenAPI document allows, for about 90 seconds
    Api,
    /// Documentation without warnings, and its examples
    Docs,
}

const ALL: [Ring; 9] = [
    Ring::Fmt,
    Ring::Lint,
    Ring::Arch,
    Ring::Build,
    Ring::Pure,
    Ring::Tools,
    Ring::Databases,
    Ring::Api,
    Ring::Docs,
];

/// Seconds for which the API is walked.
const WALK: &str = "90";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Install what is lacking without asking
    #[arg(long)]
    yes: bool,
    /// Only this ring (may be repeated) [default: all]
    #[arg(long = "ring", value_name = "RING")]
    rings: Vec<Ring>,
}

/// The package whose tests need databases.
const SERVER: &str = "server";

/// Whose tests are run.
#[derive(Debug, Clone, Copy)]
enum Packages {
    All,
    AllBut(&'static str),
    Only(&'static str),
}

impl Packages {
    /// As nextest's filter.
    fn filter(self) -> String {
        match self {
            Packages::All => "all()".to_owned(),
            Packages::AllBut(name) => format!("not package(={name})"),
            Packages::Only(name) => format!("package(={name})"),
        }
    }

    /// As cargo's choice of packages.
    fn choice(self) -> Vec<&'static str> {
        match self {
            Packages::All => vec!["--workspace"],
            Packages::AllBut(name) => vec!["--workspace", "--exclude", name],
            Packages::Only(name) => vec!["--package", name],
        }
    }
}

/// What happened to a ring.
struct Outcome {
    ring: Ring,
    time: Duration,
    tally: Tally,
}

/// The `test` task; `false` when anything failed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::read()?;
    let ready = setup::prepare(&[setup::Purpose::Test], arguments.yes, &workspace)?;
    let session =
        Session { nextest: command::find("cargo-nextest").is_some(), workspace, python: ready.python };
    if session.nextest {
        report::line("tests run under cargo nextest");
    } else {
        report::line("tests run under cargo test (cargo nextest is not installed)");
    }
    let chosen = if arguments.rings.is_empty() { ALL.to_vec() } else { arguments.rings.clone() };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for ring in ALL.into_iter().filter(|ring| chosen.contains(ring)) {
        report::line(format!("\n== {} ==", name(ring)));
        let started = Instant::now();
        let tally = session.run(ring)?;
        let time = started.elapsed();
        report::line(format!("== {}: {} in {}", name(ring), verdict(&tally), report::duration(time)));
        let broken_build = ring == Ring::Build && tally.failed > 0;
        outcomes.push(Outcome { ring, time, tally });
        if broken_build {
            report::line("the build is broken: the rings behind it were not run");
            break;
        }
    }
    Ok(summary(&outcomes))
}

struct Session {
    workspace: Workspace,
    nextest: bool,
    python: std::path::PathBuf,
}

impl Session {
    fn run(&self, ring: Ring) -> Result<Tally> {
        match ring {
            Ring::Fmt => self.check_with(RUSTFMT, ring, &["--all", "--check"]),
            Ring::Lint => {
                self.check_with(CLIPPY, ring, &["--workspace", "--all-targets", "--", "-D", "warnings"])
            }
            Ring::Arch => {
                let findings = arch::check(&self.workspace)?;
                findings.iter().for_each(report::line);
                Ok(Tally::of_check(findings.is_empty()))
            }
            Ring::Build => self.check(&["test", "--workspace", "--no-run"], &[]),
            Ring::Pure => self.tests(Packages::All, &["--lib", "--bins"], &[]),
            Ring::Tools => self.tests(Packages::AllBut(SERVER), &["--test", "*"], &[]),
            Ring::Databases => self.databases(),
            Ring::Api => self.walk_api(),
            Ring::Docs => {
                let mut tally = self.check(
                    &["doc", "--workspace", "--no-deps", "--document-private-items"],
                    &[("RUSTDOCFLAGS", "-D warnings")],
                )?;
                tally.add(self.stream(&["test", "--workspace", "--doc"], &[], Runner::Libtest)?);
                Ok(tally)
            }
        }
    }

    /// A check that either holds or not.
    fn check(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Tally> {
        let status = self
            .cargo(arguments)
            .envs(environment.iter().copied())
            .status()
            .with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
        Ok(Tally::of_check(status.success()))
    }

    /// A check by a component of the toolchain; where that is lacking the ring is skipped, and says how to get it.
    fn check_with(&self, component: Component, ring: Ring, arguments: &[&str]) -> Result<Tally> {
        let found = self
            .cargo(&[component.subcommand, "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if found {
            return self.check(&[&[component.subcommand], arguments].concat(), &[]);
        }
        let toolchain = std::env::var("RUSTUP_TOOLCHAIN").ok();
        let reason = component.lacking(command::find("rustup").is_some(), toolchain.as_deref());
        report::line(&reason);
        Ok(Tally::of_skip(&name(ring), &reason))
    }

    /// The server's tests. Without PostgreSQL those on it skip themselves, and say so.
    fn databases(&self) -> Result<Tally> {
        let tests =
            |environment: &[(&str, &str)]| self.tests(Packages::Only(SERVER), &["--test", "*"], environment);
        match Postgres::start() {
            Ok(postgres) => tests(&[("LAMINA_POSTGRES", &postgres.url())]),
            Err(error) => {
                report::line(format!("no PostgreSQL: {error:#}"));
                tests(&[])
            }
        }
    }

    /// Lets Schemathesis ask a server of its own; no answer may be a server error or unlike the document.
    fn walk_api(&self) -> Result<Tally> {
        // The program as the tests have it: another choice of packages would compile what it is made of anew.
        let built = self.check(&["test", "--workspace", "--no-run"], &[])?;
        if built.failed > 0 {
            return Ok(built);
        }
        let python = setup::prepare_walker(&self.workspace.target_directory)?;
        let status = command(python)
            .arg(self.workspace.workspace_root.join("xtask/python/walk_api.py"))
            .arg(self.workspace.target_directory.join("debug/lamina"))
            .arg(WALK)
            .status()
            .context("cannot start the walk of the API")?;
        Ok(Tally::of_check(status.success()))
    }

    fn tests(&self, packages: Packages, selection: &[&str], environment: &[(&str, &str)]) -> Result<Tally> {
        if self.nextest {
            // `--profile` is nextest's own (.config/nextest.toml): it writes what passing tests printed to a report.
            let mut arguments =
                vec!["nextest", "run", "--workspace", "--profile", "rings", "--no-tests", "pass"];
            // A filter, not a choice of packages: other packages mean other features of what they share, and so another
            // build of nearly everything.
            let filter = packages.filter();
            arguments.extend(["-E", &filter]);
            arguments.extend(selection);
            // nextest's own folder is below the workspace, wherever cargo's target folder is.
            let written = self.workspace.workspace_root.join("target/nextest/rings/junit.xml");
            if written.exists() {
                std::fs::remove_file(&written)?;
            }
            let mut tally = self.stream(&arguments, environment, Runner::Nextest)?;
            if tally.passed() + tally.failed > 0 {
                let text = std::fs::read_to_string(&written)
                    .with_context(|| format!("the tests left no report at {}", written.display()))?;
                tally.note_skips_in_report(&text);
            }
            Ok(tally)
        } else {
            let mut arguments = vec!["test", "--no-fail-fast"];
            arguments.extend(packages.choice());
            arguments.extend(selection);
            arguments.extend(["--", "--show-output"]);
            self.stream(&arguments, environment, Runner::Libtest)
        }
    }

    /// Runs cargo, shows what it says while it runs, and counts.
    fn stream(&self, arguments: &[&str], environment: &[(&str, &str)], runner: Runner) -> Result<Tally> {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let mut command = self.cargo(arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child =
            command.spawn().with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
        drop(command); // our ends of the pipe, so that reading ends with the child
        let mut tally = Tally::default();
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            report::line(text);
            tally.read_line(runner, text);
            line.clear();
        }
        let status = child.wait()?;
        if !status.success() && tally.failed == 0 {
            // It did not get as far as a failing test: a build error, a crash of the runner.
            tally.failed = 1;
        }
        Ok(tally)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = command(cargo());
        // `cargo run` tells this program of its own package. Build scripts that look at such variables (ring's) would be
        // run again, with all that depends on them, whenever cargo is called by us after it was called by hand.
        let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(own) {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(&self.workspace.workspace_root)
            .env("PATH", search_path())
            .env("LAMINA_ORACLES", &self.python);
        command
    }
}

fn name(ring: Ring) -> String {
    ring.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn verdict(tally: &Tally) -> String {
    if tally.failed == 0 && tally.passed() == 0 && tally.skipped() > 0 {
        format!("skipped ({})", tally.skipped())
    } else if tally.failed > 0 {
        format!("FAILED ({} passed, {} failed)", tally.passed(), tally.failed)
    } else if tally.passed() + tally.skipped() > 0 {
        format!("ok ({} passed, {} skipped)", tally.passed(), tally.skipped())
    } else {
        "ok".to_owned()
    }
}

/// Prints the closing table, the skipped tests and the closing line.
fn summary(outcomes: &[Outcome]) -> bool {
    let mut total = Tally::default();
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| vec![name(outcome.ring), verdict(&outcome.tally), report::duration(outcome.time)])
        .collect();
    for outcome in outcomes {
        total.add(outcome.tally.clone());
    }
    report::line("");
    report::line(report::table(&["ring", "result", "time"], &rows));
    for skip in total.skips() {
        report::line(format!("SKIPPED {skip}"));
    }
    report::line(format!("{} passed, {} failed, {} skipped", total.passed(), total.failed, total.skipped()));
    total.failed == 0
}
