//! What every long operation shares: progress, cancellation, and errors that explain themselves.
//!
//! Libraries report through [`Progress`] and never draw; the command line draws bars, a server streams events.
//! Errors that may reach a person implement [`Explain`]; [`Failure`] is the record that is shown or sent: the same
//! words in the command line, the API and the console.

use serde::{Deserialize, Serialize};
use std::error::Error;

/// An error that can be shown to a person: its message says what failed, on what and why.
pub trait Explain: Error {
    /// A stable, lower-case, hyphenated code such as `volume-hibernated`. Codes are never reused for another meaning.
    fn code(&self) -> &'static str;

    /// What the person can do next, as one sentence in the imperative, or `None` when there is nothing to advise.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An explained error, detached from its type: what a printer prints and a protocol carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code, see [`Explain::code`].
    pub code: String,
    /// What failed, on what and why: the error's own message followed by those of its sources.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// Records `error` together with the chain of its sources, leaving out a source whose text the message already has.
    pub fn new(error: &dyn Explain) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Failure { code: error.code().to_owned(), message, hint: error.hint() }
    }
}

/// What a step's amounts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes moved, read or hashed.
    Bytes,
    /// Things done: files, blobs, records.
    Items,
}

/// Receives the progress of an operation and tells it whether to go on.
///
/// An operation is a sequence of steps; starting one ends the step before. Implementations must be cheap: `advance`
/// may be called for every file.
pub trait Progress: Sync {
    /// Starts a step. `total` is `None` when it is not known beforehand.
    fn step(&self, name: &str, total: Option<u64>, unit: Unit);
    /// Adds to the amount done in the current step.
    fn advance(&self, amount: u64);
    /// Whether the operation should stop at the next safe point and clean up.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _name: &str, _total: Option<u64>, _unit: Unit) {}
    fn advance(&self, _amount: u64) {}
}
