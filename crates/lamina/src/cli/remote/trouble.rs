//! Why a command that asks a server ends without success, and with which exit status.

use client::types::FieldError;
use client::{Problem, Refusal, UnusablePlace};
use operation::Failure;
use serde::Serialize;

/// Exit status: there is no such object.
const MISSING: u8 = 4;
/// Exit status: nobody is logged in, or who is may not.
const NOT_ALLOWED: u8 = 5;
/// Exit status: the state of things does not allow it, or somebody was faster.
const CONFLICT: u8 = 6;
/// Exit status: a task failed or was stopped.
pub(super) const TASK_FAILED: u8 = 7;
/// Exit status: the server was not reached, or is away for now.
const UNREACHABLE: u8 = 8;
/// Exit status: Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;

/// Why a command ends without success.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Trouble {
    /// Exit status.
    #[serde(skip)]
    pub(super) status: u8,
    /// What failed, why, what to do.
    #[serde(flatten)]
    pub(super) failure: Box<Failure>,
    /// What is wrong with which field of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<FieldError>,
    /// The request's id, by which the server's log has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    /// The result was printed all the same: `--json` has its object already.
    #[serde(skip)]
    pub(super) shown: bool,
}

impl Trouble {
    /// Something that this program found.
    pub(super) fn new(status: u8, code: &str, message: impl Into<String>) -> Trouble {
        let failure = Failure { code: code.to_owned(), message: message.into(), hint: None };
        Trouble { status, failure: Box::new(failure), fields: Vec::new(), request_id: None, shown: false }
    }

    /// Adds what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Trouble {
        self.failure.hint = Some(hint.into());
        self
    }

    /// Something on this machine failed.
    pub(super) fn here(code: &str, message: impl Into<String>) -> Trouble {
        Trouble::new(crate::cli::FAILED, code, message)
    }

    /// The command line holds something that cannot be meant.
    pub(super) fn usage(code: &str, message: impl Into<String>) -> Trouble {
        Trouble::new(crate::cli::USAGE, code, message)
    }

    /// There is no such object.
    pub(super) fn missing(what: &str, name: &str) -> Trouble {
        Trouble::new(MISSING, "not-found", format!("There is no {what} {name}."))
    }

    /// Nobody is logged in.
    pub(super) fn not_logged_in() -> Trouble {
        Trouble::new(NOT_ALLOWED, "not-logged-in", "You are not logged in to a server.")
            .hint("Log in with `lamina login URL`, or set LAMINA_URL and LAMINA_TOKEN.")
    }

    /// Ctrl-C while a task was watched.
    pub(super) fn interrupted(task: &str) -> Trouble {
        Trouble::new(
            INTERRUPTED,
            "interrupted",
            format!("The task {task} goes on; only the waiting has ended."),
        )
        .hint(format!("Watch it with `lamina task wait {task}`, or stop it with `lamina task stop {task}`."))
    }

    /// Whether trying again in a while makes sense: the server is away.
    pub(super) fn is_passing(&self) -> bool {
        self.status == UNREACHABLE
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        let status = match refusal.status.as_u16() {
            401 | 403 => NOT_ALLOWED,
            404 => MISSING,
            409 | 412 | 428 => CONFLICT,
            503 => UNREACHABLE,
            _ => crate::cli::FAILED,
        };
        let mut failure = Failure { code: refusal.code, message: refusal.message, hint: refusal.hint };
        if failure.code == "not-logged-in" {
            // The server's own hint is for those who write requests.
            failure.hint = Trouble::not_logged_in().failure.hint;
        }
        Trouble {
            status,
            failure: Box::new(failure),
            fields: refusal.fields,
            request_id: Some(refusal.request_id),
            shown: false,
        }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Trouble {
        match problem {
            Problem::Refused(refusal) => (*refusal).into(),
            Problem::Unreachable(_) => Trouble::new(UNREACHABLE, "server-unreachable", problem.to_string())
                .hint("See that it runs (`lamina serve`), and that the address is right (`lamina login`)."),
            Problem::NotUnderstood(_) => Trouble::here("answer-not-understood", problem.to_string())
                .hint("Use the `lamina` of the server's own version."),
        }
    }
}

impl From<client::CallError> for Trouble {
    fn from(error: client::CallError) -> Trouble {
        Problem::from(error).into()
    }
}

impl From<UnusablePlace> for Trouble {
    fn from(error: UnusablePlace) -> Trouble {
        Trouble::usage("address-unusable", error.to_string())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure: Box::new(failure), ..Trouble::here("", "") }
    }
}
