//! Every saga of the product, whatever goes wrong with it, on both databases: with real disks, the engine in processes
//! of its own, a file share and a simulated platform.
//!
//! This executable is also the engine's process, and a server that is killed: so the tests have no harness but their own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here fails a test, and says why")]

mod away;
mod cases;
mod changed_blocks;
mod clean_up;
mod directory;
mod full;
mod integrity;
mod killed;
mod load;
mod meddler;
mod names;
mod packaging;
mod slow;
mod snapshot;
mod stopped;
mod trial;
mod two_servers;
mod unwinding;
mod world;

/// Disks and what is done on them, in the words of the engine's own tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../layering/tests/rules/bench"]
mod bench {
    pub mod disk;
    pub mod edit;
}

use libtest_mimic::Arguments;
use std::process::ExitCode;
use worker::process;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("worker") => return process::serve(worker::run),
        Some("small") => return full::small(),
        Some("serve") => return killed::serve(&arguments.next().unwrap_or_default()),
        _ => {}
    }
    let trials = [
        unwinding::trials(),
        stopped::trials(),
        clean_up::trials(),
        killed::trials(),
        two_servers::trials(),
        changed_blocks::trials(),
        integrity::trials(),
        directory::trials(),
        load::trials(),
        names::trials(),
        full::trials(),
        away::trials(),
        slow::trials(),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit_code()
}
