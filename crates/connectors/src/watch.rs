//! Progress and cancellation of one operation.

use crate::error::{Error, Result};
use operation::{Progress, Silent, Unit};
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the caller of an operation hands in to see how it goes on and to stop it. Cheap to clone.
///
/// An operation is cancelled by either side: the token, which also wakes operations that wait for a network, or
/// [`Progress::cancelled`].
#[derive(Clone)]
pub struct Watch {
    progress: Arc<dyn Progress + Send + Sync>,
    cancel: CancellationToken,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.cancelled()).finish_non_exhaustive()
    }
}

impl Watch {
    /// Reports to `progress` and stops when `cancel` is cancelled.
    pub fn new(progress: Arc<dyn Progress + Send + Sync>, cancel: CancellationToken) -> Watch {
        Watch { progress, cancel }
    }

    /// Nobody watches and nobody cancels.
    pub fn silent() -> Watch {
        Watch::new(Arc::new(Silent), CancellationToken::new())
    }

    /// Starts a step that moves `total` bytes.
    pub fn step(&self, name: &str, total: u64) {
        self.progress.step(name, Some(total), Unit::Bytes);
    }

    /// Adds to the bytes done in the current step. Bytes that an earlier run moved count as done at once.
    pub fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    /// Whether the operation is to stop at the next safe point.
    pub fn cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.progress.cancelled()
    }

    /// [`Error::Cancelled`] if the operation is to stop.
    pub fn check(&self) -> Result<()> {
        if self.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// The outcome of `work`, or [`Error::Cancelled`] as soon as the token is cancelled; `work` is dropped then.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.check()?;
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            outcome = work => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cancelling_wakes_an_operation_that_waits_for_ever() {
        let cancel = CancellationToken::new();
        let watch = Watch::new(Arc::new(Silent), cancel.clone());
        let (outcome, ()) =
            tokio::join!(watch.unless_cancelled(std::future::pending::<Result<()>>()), async {
                cancel.cancel();
            });
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert!(watch.check().is_err());
    }
}
