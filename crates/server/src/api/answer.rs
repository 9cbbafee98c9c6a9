//! Answers: what a refusal looks like on the wire, and the headers that go with an object.

use crate::app::{Reason, Refusal};
use crate::domain::FieldError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

/// Why a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A stable code, such as `name-taken`.
    pub code: String,
    /// What failed, on what and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id, by which the server's log and the audit history have more.
    pub request_id: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

tokio::task_local! {
    /// The id of the request that is being answered.
    pub(super) static REQUEST: String;
}

/// The id of the request that is being answered.
pub(super) fn request_id() -> String {
    REQUEST.try_with(Clone::clone).unwrap_or_default()
}

fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::Unauthenticated => StatusCode::UNAUTHORIZED,
        Reason::Forbidden => StatusCode::FORBIDDEN,
        Reason::Missing => StatusCode::NOT_FOUND,
        Reason::Conflict => StatusCode::CONFLICT,
        Reason::Stale => StatusCode::PRECONDITION_FAILED,
        Reason::Unconditional => StatusCode::PRECONDITION_REQUIRED,
        Reason::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(status(self.reason), self)
    }
}

/// A refusal with a status of its own, for what goes wrong before an action is reached.
pub(super) fn answer(status: StatusCode, refusal: Refusal) -> Response {
    let body = ErrorBody {
        code: refusal.failure.code,
        message: refusal.failure.message,
        hint: refusal.failure.hint,
        request_id: request_id(),
        fields: refusal.fields,
    };
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    match refusal.reason {
        Reason::TooMany { retry_after } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
        }
        Reason::Unavailable => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Reason::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

/// An object with its revision as the ETag.
#[derive(Debug)]
pub(super) struct Tagged<T>(pub(super) i64, pub(super) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, format!("\"{}\"", self.0))], Json(self.1)).into_response()
    }
}

/// An object that was made, with its revision as the ETag and where it is.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub(super) location: String,
    pub(super) revision: i64,
    pub(super) body: T,
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let headers = [(header::ETAG, format!("\"{}\"", self.revision)), (header::LOCATION, self.location)];
        (StatusCode::CREATED, headers, Json(self.body)).into_response()
    }
}

/// Something that was made and has no revision, such as a task, and where it is.
#[derive(Debug)]
pub(super) struct Created<T> {
    pub(super) location: String,
    pub(super) body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

/// The answer where there is nothing.
pub(super) async fn no_such_path() -> Refusal {
    Refusal::new(Reason::Missing, "no-such-path", "There is nothing at this path.")
        .hint("The paths are in /api/v1/openapi.json.")
}

/// The answer to a method that a path does not have.
pub(super) async fn no_such_method() -> Response {
    let refusal = Refusal::new(Reason::Missing, "no-such-method", "This path does not have this method.")
        .hint("The paths and their methods are in /api/v1/openapi.json.");
    answer(StatusCode::METHOD_NOT_ALLOWED, refusal)
}

/// Declares in the document that every operation of a path may be refused, and describes its other answers.
pub(super) fn declare_refusals(item: &mut PathItem) {
    let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    for operation in operations.into_iter().flatten() {
        // OpenAPI wants a description of every answer; what these are is said by the operation's own.
        for answer in operation.responses.responses.values_mut() {
            if let RefOr::T(answer) = answer
                && answer.description.is_empty()
            {
                "Done.".clone_into(&mut answer.description);
            }
        }
        let refusal = ResponseBuilder::new()
            .description("Refused or failed: what, why and what to do.")
            .content(
                "application/json",
                ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build(),
            )
            .build();
        for status in ["4XX", "5XX"] {
            operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(refusal.clone()));
        }
    }
}
