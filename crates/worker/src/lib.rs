//! Engine jobs: one request in, one result out, on a store and disk files.
//!
//! A caller describes what it wants as a [`Job`], [`run()`] carries it out and gives an [`Outcome`] or a [`Failure`].
//! Only plain, serialisable data crosses this seam, and a panic inside it comes out as a failure: disks are hostile
//! input, and whoever asked must outlive them. So a caller cannot tell whether the engine ran in its own process.
//!
//! [`run()`] works on the caller's thread. A [`process::Worker`] gives the same answers from a process of its own, which
//! may crash, hang or use up its memory without harm to the caller, and which touches no more than the job's files.

mod confinement;
mod job;
mod paths;
pub mod process;
mod run;

pub use job::{Job, Outcome};
pub use operation::Failure;
pub use paths::{Paths, paths};
pub use run::{INTERNAL, run};
