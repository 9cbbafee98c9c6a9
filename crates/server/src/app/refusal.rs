//! Why an action was not done: the one form that every error takes before it reaches a person.

use crate::db::DbError;
use crate::domain::{Action, FieldError, Invalid};
use crate::secrets::SecretError;
use operation::{Explain, Failure};

/// What kind of refusal it is; an HTTP status follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// What was sent breaks a rule; the fields tell which.
    Invalid,
    /// Who asks is not known.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// There is no such object.
    Missing,
    /// The state of things does not allow it.
    Conflict,
    /// The object has been changed since the caller looked.
    Stale,
    /// The caller did not say which state of the object it looked at.
    Unconditional,
    /// Too often.
    TooMany {
        /// Seconds after which trying again makes sense.
        retry_after: u64,
    },
    /// Something that the server needs is away; trying again later may help.
    Unavailable,
    /// An error of the program.
    Internal,
}

/// Why an action was not done.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What kind of refusal.
    pub reason: Reason,
    /// Stable code, what failed and what to do.
    pub failure: Failure,
    /// What is wrong with which field.
    pub fields: Vec<FieldError>,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(reason: Reason, code: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            failure: Failure { code: code.to_owned(), message: message.into(), hint: None },
            fields: Vec::new(),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.failure.hint = Some(hint.into());
        self
    }

    /// What another part of the program explains.
    pub fn explained(reason: Reason, error: &dyn Explain) -> Refusal {
        Refusal { reason, failure: Failure::new(error), fields: Vec::new() }
    }

    /// There is no such object.
    pub fn missing(what: &str, which: impl std::fmt::Display) -> Refusal {
        Refusal::new(Reason::Missing, "not-found", format!("There is no {what} {which}."))
            .hint("It may have been deleted; list what there is.")
    }

    /// Who asks may not do this.
    pub fn forbidden(action: Action) -> Refusal {
        Refusal::new(Reason::Forbidden, "forbidden", format!("You may not do this ({}).", action.name()))
            .hint(format!("{} Ask an administrator.", action.needs()))
    }

    /// The object has been changed since the caller looked.
    pub fn stale(what: &str) -> Refusal {
        Refusal::new(
            Reason::Stale,
            "changed-meanwhile",
            format!("Somebody has changed the {what} since you looked at it."),
        )
        .hint("Look at it again and repeat your change where it still makes sense.")
    }

    /// An error of the program, which is logged in full and shown without its insides.
    pub fn internal(what: impl std::fmt::Display) -> Refusal {
        tracing::error!(error = %what, "internal error");
        Refusal::new(Reason::Internal, "internal", "The server made an error of its own; its log tells more.")
            .hint("Report this with the request's id.")
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Refusal {
        let message = match invalid.errors() {
            [one] => one.message.clone(),
            several => format!("{} fields are not as they should be.", several.len()),
        };
        let mut refusal = Refusal::new(Reason::Invalid, "invalid", message);
        refusal.fields = invalid.into_errors();
        refusal
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Refusal {
        tracing::error!(%error, "a secret cannot be opened or sealed");
        Refusal::explained(Reason::Conflict, &error)
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Refusal {
        if error.is_passing() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database is unavailable");
            let mut refusal = Refusal::new(Reason::Unavailable, error.code(), error.to_string());
            refusal.failure.hint = error.hint();
            return refusal;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "the database refused");
        Refusal::new(Reason::Internal, error.code(), "The database refused what the server asked of it.")
            .hint("Report this with the request's id; the server's log tells more.")
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.failure.message, self.failure.code)
    }
}

impl std::error::Error for Refusal {}
