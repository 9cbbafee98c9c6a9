//! The project's own tasks: `cargo xtask setup | test | demo | bench | arch | openapi`.
//!
//! This package must build with Rust and a linker alone, because `setup` is what installs everything else. It therefore
//! knows none of the engine's crates: it drives the `lamina` binary and other programs from outside.

mod arch;
mod bench;
mod command;
mod demo;
mod descriptor;
mod disk;
mod lamina;
mod metadata;
mod mount;
mod openapi;
mod postgres;
mod report;
mod rings;
mod setup;
mod sparse;
mod steps;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the system packages and Python readers that are lacking
    Setup(setup::Arguments),
    /// Run every check and test that this machine can, ring after ring
    Test(rings::Arguments),
    /// Build an operating-system disk, layer two applications, publish and verify
    Demo(demo::Arguments),
    /// Measure compose, export and capture beside other programs on the same trees
    Bench(bench::Arguments),
    /// Check who depends on whom, where `unsafe` is written and how folders are named
    Arch,
    /// Write the OpenAPI documents of the API to openapi/, and the client made from them
    Openapi,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments).map(|_| true),
        Task::Test(arguments) => rings::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments).map(|()| true),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Arch => check_arch(),
        Task::Openapi => openapi::run().map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn check_arch() -> Result<bool> {
    let findings = arch::check(&metadata::Workspace::read()?)?;
    for finding in &findings {
        report::line(finding);
    }
    if findings.is_empty() {
        report::line("arch: dependencies, unsafe and folder names are as they should be");
    }
    Ok(findings.is_empty())
}
