//! What handlers take: who asks, a checked body, the state of an object that the caller looked at.

use super::answer::request_id;
use super::origin::address;
use crate::app::{App, Call, Reason, Refusal};
use crate::domain::{Action, Invalid};
use crate::identity::Secret;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

/// Name of the cookie of a session.
pub(super) const COOKIE: &str = "lamina_session";
/// Longest comment, in characters.
const LONGEST_COMMENT: usize = 1000;

/// Who asks; refused when nobody.
#[derive(Debug)]
pub(super) struct Caller(pub(super) Call);

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    headers
        .get(name)
        .map(|value| {
            value.to_str().map_err(|_| {
                let message = format!("The header {name} holds something other than visible ASCII.");
                Refusal::new(Reason::Invalid, "header-unreadable", message)
            })
        })
        .transpose()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

fn nobody(message: &str) -> Refusal {
    Refusal::new(Reason::Unauthenticated, "not-logged-in", message)
        .hint("Log in, or send an API token: Authorization: Bearer lamina_…")
}

/// What the operation at this method and path does, as the document names it. `HEAD` is answered as `GET` is.
fn action(method: &Method, path: &str) -> Option<Action> {
    static ACTIONS: LazyLock<HashMap<(Method, String), Action>> = LazyLock::new(super::actions);
    let path = path.strip_prefix(super::ROOT)?;
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    ACTIONS.get(&(method.clone(), path.to_owned())).copied()
}

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    /// Also refuses who may not do what the path is for, before anything of the request is read.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Refusal> {
        let path = parts.extensions.get::<MatchedPath>();
        let action = path
            .and_then(|path| action(&parts.method, path.as_str()))
            .ok_or_else(|| Refusal::internal("an operation is no action"))?;
        let headers = &parts.headers;
        let (actor, session) = if let Some(authorization) = text(headers, "authorization")? {
            let secret = authorization
                .strip_prefix("Bearer ")
                .ok_or_else(|| nobody("The header Authorization is not of the kind Bearer."))?;
            let actor = app.by_token(&Secret::sent(secret.trim())).await?;
            (actor.ok_or_else(|| nobody("This API token is unknown, withdrawn or past its end."))?, None)
        } else if let Some(secret) = cookie(headers) {
            let found = app.by_session(&Secret::sent(secret)).await?;
            let (actor, session) = found.ok_or_else(|| nobody("Your session has ended."))?;
            (actor, Some(session))
        } else {
            return Err(nobody("You are not logged in."));
        };
        let idempotency_key = text(headers, "idempotency-key")?.map(str::to_owned);
        if idempotency_key.as_ref().is_some_and(|key| !(1..=200).contains(&key.len())) {
            return Err(Refusal::new(
                Reason::Invalid,
                "idempotency-key-length",
                "An Idempotency-Key has 1 to 200 characters.",
            ));
        }
        let call = Call {
            actor,
            address: address(parts),
            request: Some(request_id()),
            idempotency_key,
            comment: comment(headers)?,
            session,
        };
        call.may(action)?;
        Ok(Caller(call))
    }
}

/// What the caller typed as the comment: header `X-Lamina-Comment`, percent-encoded UTF-8.
fn comment(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(encoded) = text(headers, "x-lamina-comment")? else { return Ok(String::new()) };
    let complaint = |code, message: String| Err(Invalid::field("X-Lamina-Comment", code, message).into());
    let Ok(comment) = percent_encoding::percent_decode_str(encoded).decode_utf8() else {
        return complaint("comment-unreadable", "The comment is not percent-encoded UTF-8.".to_owned());
    };
    if comment.chars().count() > LONGEST_COMMENT {
        return complaint("comment-too-long", format!("A comment has at most {LONGEST_COMMENT} characters."));
    }
    if comment.chars().any(|c| c.is_control() && c != '\n') {
        return complaint(
            "comment-control-character",
            "A comment cannot hold control characters.".to_owned(),
        );
    }
    Ok(comment.trim().to_owned())
}

/// A body of JSON, in which unknown fields and wrong types are refused.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, app: &App) -> Result<Body<T>, axum::response::Response> {
        let (parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), app).await;
        let bytes = read.map_err(|rejection| {
            let message = format!("The request's body: {}.", rejection.body_text());
            let refusal = Refusal::new(Reason::Invalid, "body-unreadable", message);
            super::answer::answer(rejection.status(), refusal)
        })?;
        refuse_nul_in(&bytes).map_err(|invalid| Refusal::from(invalid).into_response())?;
        let request = Request::from_parts(parts, bytes.into());
        match Json::<T>::from_request(request, app).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(rejection) => {
                let status = rejection.status();
                let (code, message) = match &rejection {
                    JsonRejection::JsonDataError(error) => ("body-data", source(error)),
                    JsonRejection::JsonSyntaxError(error) => ("body-syntax", source(error)),
                    JsonRejection::MissingJsonContentType(_) => {
                        ("body-type", "the header Content-Type is not application/json".to_owned())
                    }
                    other => ("body-unreadable", other.body_text()),
                };
                let refusal = Refusal::new(Reason::Invalid, code, format!("The request's body: {message}."))
                    .hint("What it may hold is in /api/v1/openapi.json.");
                Err(super::answer::answer(status, refusal))
            }
        }
    }
}

/// PostgreSQL has no texts with U+0000, and nobody means to write one.
pub(super) fn nul(field: &str) -> Invalid {
    Invalid::field(field, "text-nul", "A text cannot hold the character U+0000.")
}

/// Refuses a body of JSON that has U+0000 in a text, where it can only stand as `\u0000`.
fn refuse_nul_in(body: &[u8]) -> Result<(), Invalid> {
    const ESCAPED: &[u8] = br"\u0000";
    if !body.windows(ESCAPED.len()).any(|part| part == ESCAPED) {
        return Ok(());
    }
    // What is no JSON is refused as such by who reads it next.
    let found = serde_json::from_slice(body).ok().and_then(|value| place_of_nul(&value));
    found.map_or(Ok(()), |field| Err(nul(if field.is_empty() { "body" } else { &field })))
}

/// Where a text with U+0000 is, such as `apps[2].name`.
fn place_of_nul(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    let inside = |place: String, value| {
        place_of_nul(value).map(|below| match below.as_str() {
            "" => place,
            below if below.starts_with('[') => place + below,
            below => format!("{place}.{below}"),
        })
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| inside(format!("[{index}]"), item))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            if name.contains('\0') { Some(name.replace('\0', "?")) } else { inside(name.clone(), value) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The innermost message, without what axum and serde say around it.
fn source(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Parameters of the path.
#[derive(Debug)]
pub(super) struct At<I>(pub(super) I);

impl<I: FromStr> FromRequestParts<App> for At<I> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<At<I>, Refusal> {
        let found: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        let text = found.map_err(|_| Refusal::missing("object", "at this path"))?;
        if text.contains('\0') {
            return Err(nul("id").into());
        }
        // What is no identifier at all cannot be one of ours.
        text.parse().map(At).map_err(|_| Refusal::missing("object", text.as_str()))
    }
}

/// Parameters of a path with an identifier and something below it.
#[derive(Debug)]
pub(super) struct AtBelow<I, B>(pub(super) I, pub(super) B);

impl<I: FromStr, B: FromStr> FromRequestParts<App> for AtBelow<I, B> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<AtBelow<I, B>, Refusal> {
        let found: Result<Path<(String, String)>, PathRejection> = Path::from_request_parts(parts, app).await;
        let Path((id, below)) = found.map_err(|_| Refusal::missing("object", "at this path"))?;
        if id.contains('\0') || below.contains('\0') {
            return Err(nul("id").into());
        }
        let id = id.parse().map_err(|_| Refusal::missing("object", id.as_str()))?;
        let below = below.parse().map_err(|_| Refusal::missing("object", below.as_str()))?;
        Ok(AtBelow(id, below))
    }
}

/// Parameters behind the question mark.
#[derive(Debug)]
pub(super) struct Filter<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Filter<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Filter<T>, Refusal> {
        // Whatever cannot be read in this form either is refused below.
        if let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            && let Some((name, _)) =
                pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0'))
        {
            return Err(nul(&name.replace('\0', "?")).into());
        }
        let found: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, app).await;
        found.map(|Query(filter)| Filter(filter)).map_err(|rejection| {
            let message = format!("The parameters behind the question mark: {}.", source(&rejection));
            Refusal::new(Reason::Invalid, "query", message).hint("They are in /api/v1/openapi.json.")
        })
    }
}

/// The revision that the caller looked at: `If-Match`, or `*` for any.
#[derive(Debug)]
pub(super) struct IfMatch(pub(super) Option<i64>);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<IfMatch, Refusal> {
        let Some(value) = text(&parts.headers, "if-match")? else {
            return Err(Refusal::new(
                Reason::Unconditional,
                "if-match-required",
                "Say which state of the object you looked at.",
            )
            .hint("Send its ETag in the header If-Match, or * to change it in any state."));
        };
        let value = value.trim();
        if value == "*" {
            return Ok(IfMatch(None));
        }
        let revision = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        match revision.and_then(|revision| revision.parse().ok()) {
            Some(revision) => Ok(IfMatch(Some(revision))),
            // A tag that we never gave matches nothing.
            None => Err(Refusal::stale("object")),
        }
    }
}
