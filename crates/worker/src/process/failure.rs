//! What can go wrong with a child, besides the job that it does.

use operation::Explain;
use std::time::Duration;

/// Why the process of a job gave no answer of the engine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started, or ended before it said that it was there.
    #[error("the engine's process cannot be started: {why}{said}")]
    CannotStart {
        /// The operating system's reason, or how it ended.
        why: String,
        /// The last of what it wrote to stderr, as a clause.
        said: Said,
    },
    /// It ended without an answer.
    #[error("the engine's process ended with {how} while it was {doing}{said}")]
    Crashed {
        /// The signal or exit status.
        how: String,
        /// The step.
        doing: String,
        /// The last of what it wrote to stderr, as a clause.
        said: Said,
    },
    /// It needed more memory than it may have, or than there is.
    #[error("the engine's process ran out of memory while it was {doing}: {how}")]
    OutOfMemory {
        /// Who stopped it, at which limit.
        how: String,
        /// The step.
        doing: String,
    },
    /// It neither told of progress nor read or wrote anything.
    #[error("the engine's process was stopped: {doing}, it gave no sign of life for {} seconds", silence.as_secs())]
    Hung {
        /// How long that was allowed.
        silence: Duration,
        /// The step.
        doing: String,
    },
    /// It said what it must not.
    #[error("the engine's process is not understood: {why}{said}")]
    Protocol {
        /// What was wrong.
        why: String,
        /// The last of what it wrote to stderr, as a clause.
        said: Said,
    },
    /// Its answer is longer than the caller takes.
    #[error("the answer has {len} bytes, more than the {max} that are taken")]
    AnswerTooLong {
        /// Bytes of the answer.
        len: u64,
        /// Bytes that it may have.
        max: u64,
    },
    /// The caller asked to stop.
    #[error("cancelled while it was {doing}; what it was to make is either complete or not there")]
    Cancelled {
        /// The step.
        doing: String,
    },
}

/// The last lines that a process wrote to stderr. Shown, it continues a sentence; nothing is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said(pub(super) String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; it said last: {}", self.0) }
    }
}

impl Explain for ProcessError {
    fn code(&self) -> &'static str {
        match self {
            ProcessError::CannotStart { .. } => "worker-cannot-start",
            ProcessError::Crashed { .. } => "worker-crashed",
            ProcessError::OutOfMemory { .. } => "worker-out-of-memory",
            ProcessError::Hung { .. } => "worker-hung",
            ProcessError::Protocol { .. } => "worker-protocol",
            ProcessError::AnswerTooLong { .. } => "worker-answer-too-long",
            ProcessError::Cancelled { .. } => "cancelled",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            ProcessError::CannotStart { .. } => {
                "See whether the machine has memory and processes to spare, and whether the program is still where it was."
            }
            ProcessError::Crashed { .. } => {
                "Report this with the task and the disk that led to it; the store is as it was before."
            }
            ProcessError::OutOfMemory { .. } => {
                "Give the engine or the machine more memory, or run fewer tasks at once; the store is as it was before."
            }
            ProcessError::Hung { .. } => {
                "See whether the storage of the store and of the disk answers, then run the task again."
            }
            ProcessError::Protocol { .. } => {
                "Report this with the task and the disk that led to it; a disk may have been made to do this."
            }
            ProcessError::AnswerTooLong { .. } => {
                "Ask for a part of it, such as one directory or registry key."
            }
            ProcessError::Cancelled { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
