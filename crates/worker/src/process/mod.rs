//! One engine job in a process of its own.
//!
//! ```text
//!   caller ── Worker::run ──────────────────────────┐         serve ── engine
//!                │  ◄── hello ─────────────────────  stdout ─────┤
//!                │  ─── order ─────────────────────  stdin ────► │ limits, then confinement,
//!                │  ◄── log, step, advance … ──────  stdout ─────┤ only then the job
//!                │  ◄── outcome or failure ────────  stdout ─────┘
//!                └─ looks at: cancelled? still alive? (/proc/PID/io)
//! ```
//!
//! Lines of JSON go both ways; `protocol` has their form. What the child says is believed no more than a disk is: lines
//! and texts are bounded, and an answer must be one to the job that was asked for.
//!
//! The child does not outlive its caller: the kernel kills it with the thread that started it, and it kills its whole
//! process group when its standard input ends.
//!
//! Deliberately missing: several jobs in one child, and anything asynchronous. A caller with a runtime calls
//! [`Worker::run`] on a thread that may block.

mod child;
mod ending;
mod failure;
mod life;
mod listening;
mod parent;
mod protocol;

pub use child::serve;
pub use failure::ProcessError;
pub use parent::{Limits, Worker};
