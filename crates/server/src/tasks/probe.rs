//! A seam for tests: what stands beside every step of every task, and makes it fail, wait or happen twice.
//!
//! A server that people use has none, see [`Conduct`](super::Conduct). Nothing that comes over the API leads here.

use async_trait::async_trait;
use operation::Failure;
use std::fmt;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// About to be done.
    BeforeRun,
    /// Done, which nobody has written down yet.
    AfterRun,
    /// About to be undone.
    BeforeUndo,
    /// Undone, which nobody has written down yet.
    AfterUndo,
}

/// Stands beside the steps of tasks. A step is named `SAGA.STEP`.
#[async_trait]
pub trait Probe: fmt::Debug + Send + Sync {
    /// How often a step is done, or undone, before the next thing happens.
    fn times(&self, step: &str) -> u32 {
        let _ = step;
        1
    }

    /// A step is here. What fails here fails the step, or its undoing.
    async fn at(&self, step: &str, moment: Moment) -> Result<(), Failure>;
}
