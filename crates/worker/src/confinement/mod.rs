//! Confining this process to what a job needs, before it reads anything that comes from outside.
//!
//! ```text
//!   files         Landlock: the store, the job's files, a scratch directory; nothing else can be opened
//!   network       Landlock: no TCP; and no system call that makes a socket
//!   processes     Landlock: no signals to others; no system call that starts one
//!   system calls  seccomp: a list of what the engine uses; everything else is refused
//! ```
//!
//! A job whose disk only `qemu-img` can read is given that program and its libraries; every program that is started is
//! confined as its starter is. What it needs of the kernel differs with its version, so its filter is a list of what is
//! refused instead.
//!
//! Nothing of this is given back: it holds for this thread, the threads that it starts, and their programs. What the
//! running kernel does not have is left out, and said.

mod calls;
mod files;

use crate::Paths;
use std::fmt;

/// How much of a restriction is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Enforced {
    /// All of it.
    Fully,
    /// What this kernel has of it.
    Partly,
    /// Nothing, for this reason.
    NotAtAll(String),
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Enforced::Fully => f.write_str("fully"),
            Enforced::Partly => f.write_str("as far as this kernel can"),
            Enforced::NotAtAll(why) => write!(f, "not at all ({why})"),
        }
    }
}

/// What is in force; shown, it is a line for a log.
#[derive(Debug)]
pub(crate) struct Confinement {
    files: Enforced,
    calls: Enforced,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Confinement { files, calls } = self;
        write!(f, "The engine's process is confined: files and network {files}, system calls {calls}.")
    }
}

/// Gives up everything but these paths and, where asked for, the right to start `qemu-img`.
pub(crate) fn enter(paths: &Paths, converter: bool) -> Confinement {
    let files = files::confine(paths, converter);
    let calls = if converter { calls::refuse_dangerous() } else { calls::allow_needed() };
    let enforced = |result: Result<Enforced, String>| result.unwrap_or_else(Enforced::NotAtAll);
    Confinement { files: enforced(files), calls: enforced(calls) }
}
