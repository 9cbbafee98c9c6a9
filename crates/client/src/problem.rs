//! Why the server did not do what it was asked.

use crate::types::{ErrorBody, FieldError};
use reqwest::StatusCode;
use serde::Serialize;
use std::error::Error;
use thiserror::Error;

/// A refusal, in the server's words.
#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    /// The HTTP status.
    #[serde(skip)]
    pub status: StatusCode,
    /// A stable code, such as `name-taken`.
    pub code: String,
    /// What failed, on what and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id, by which the server's log has more.
    pub request_id: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

/// Why the server did not do what it was asked.
#[derive(Debug, Error)]
pub enum Problem {
    /// It refused.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// It was not reached, or the connection broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It answered something that this client does not understand.
    #[error("the server's answer is not understood: {0}")]
    NotUnderstood(String),
}

/// A place that no client can be made for.
#[derive(Debug, Error)]
pub enum UnusablePlace {
    /// The address is none.
    #[error("{url:?} is no address of a server: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The authority is no certificate.
    #[error("the authority of the server's certificate is no certificate in PEM: {0}")]
    Authority(String),
    /// What is sent with every request cannot be sent.
    #[error("the {0} has characters that cannot be sent")]
    Header(&'static str),
    /// There are no certificates of authorities on this machine, or something of the kind.
    #[error("no client can be made on this machine: {0}")]
    Machine(String),
}

impl Problem {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Problem::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// What an answer with a status of refusal says.
    pub(crate) fn of_answer(status: StatusCode, body: &[u8]) -> Problem {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Problem::refused(status, body),
            // Some machine between here and the server.
            Err(_) => Problem::NotUnderstood(format!("{status} without a reason; is this a Lamina server?")),
        }
    }

    fn refused(status: StatusCode, body: ErrorBody) -> Problem {
        let ErrorBody { code, fields, hint, message, request_id } = body;
        Problem::Refused(Box::new(Refusal { status, code, message, hint, request_id, fields }))
    }
}

/// Why a generated call ended without an answer.
pub type CallError = progenitor_client::Error<ErrorBody>;

/// The innermost reasons, which say more than "error sending request".
fn reasons(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    match text.is_empty() {
        true => error.to_string(),
        false => text,
    }
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Problem {
        match error.is_decode() {
            true => Problem::NotUnderstood(reasons(&error)),
            false if error.is_timeout() => Problem::Unreachable("it did not answer in time".to_owned()),
            false => Problem::Unreachable(reasons(&error)),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Problem {
        use progenitor_client::Error as E;
        match error {
            E::ErrorResponse(answer) => Problem::refused(answer.status(), answer.into_inner()),
            E::CommunicationError(error) | E::ResponseBodyError(error) | E::InvalidUpgrade(error) => {
                error.into()
            }
            E::InvalidResponsePayload(_, error) => Problem::NotUnderstood(error.to_string()),
            E::UnexpectedResponse(answer) => {
                Problem::NotUnderstood(format!("{}; is this a Lamina server?", answer.status()))
            }
            E::InvalidRequest(message) | E::Custom(message) => Problem::NotUnderstood(message),
        }
    }
}
