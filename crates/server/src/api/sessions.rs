//! Logging in and out, oneself, and sessions.

use super::extract::{At, AtBelow, Body, COOKIE, Caller, Filter};
use super::origin::{address, is_secret};
use crate::app::list::Page;
use crate::app::sessions::{Credentials, Me, PasswordChange, SessionFilter, SessionView};
use crate::app::{App, Refusal};
use crate::domain::{SessionId, UserId};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};

/// What a session's cookie has beside its value.
#[derive(Debug)]
pub(super) struct CookieRules(&'static str);

impl FromRequestParts<App> for CookieRules {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<CookieRules, Refusal> {
        Ok(CookieRules(if is_secret(parts) {
            "Path=/; HttpOnly; SameSite=Strict; Secure"
        } else {
            "Path=/; HttpOnly; SameSite=Strict"
        }))
    }
}

/// From where somebody logs in.
#[derive(Debug)]
pub(super) struct Address(String);

impl FromRequestParts<App> for Address {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Address, Refusal> {
        Ok(Address(address(parts)))
    }
}

/// Log in.
///
/// Gives a cookie. After several failures the name, and the address, have to wait before the next try.
#[utoipa::path(post, path = "/session", operation_id = "log_in", tag = "session", security(()),
    request_body = Credentials, responses((status = 200, body = Me)))]
pub(super) async fn log_in(
    State(app): State<App>,
    Address(address): Address,
    CookieRules(rules): CookieRules,
    Body(credentials): Body<Credentials>,
) -> Result<impl IntoResponse, Refusal> {
    let (secret, me) = app.log_in(&address, &credentials).await?;
    let cookie = format!("{COOKIE}={}; {rules}", secret.reveal());
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(me)))
}

/// Log out.
#[utoipa::path(delete, path = "/session", operation_id = "log_out", tag = "session",
    responses((status = 204)))]
pub(super) async fn log_out(
    State(app): State<App>,
    Caller(call): Caller,
    CookieRules(rules): CookieRules,
) -> Result<impl IntoResponse, Refusal> {
    app.log_out(&call).await?;
    let cookie = format!("{COOKIE}=; {rules}; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])))
}

/// See who one is.
#[utoipa::path(get, path = "/me", operation_id = "me", tag = "session", responses((status = 200, body = Me)))]
pub(super) async fn me(State(app): State<App>, Caller(call): Caller) -> Result<Json<Me>, Refusal> {
    app.me(&call).map(Json)
}

/// Set one's own password.
///
/// Every other session of oneself ends.
#[utoipa::path(put, path = "/me/password", operation_id = "change_password", tag = "session",
    request_body = PasswordChange, responses((status = 204)))]
pub(super) async fn change_password(
    State(app): State<App>,
    Caller(call): Caller,
    Body(wanted): Body<PasswordChange>,
) -> Result<StatusCode, Refusal> {
    app.change_password(&call, &wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List one's sessions.
#[utoipa::path(get, path = "/me/sessions", operation_id = "list_sessions", tag = "session",
    params(SessionFilter), responses((status = 200, body = Page<SessionView>)))]
pub(super) async fn list_sessions(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<SessionFilter>,
) -> Result<Json<Page<SessionView>>, Refusal> {
    app.sessions(&call, &filter).await.map(Json)
}

/// End one of one's sessions.
#[utoipa::path(delete, path = "/me/sessions/{id}", operation_id = "end_session", tag = "session",
    params(("id" = String, Path, description = "The session.")), responses((status = 204)))]
pub(super) async fn end_session(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<SessionId>,
) -> Result<StatusCode, Refusal> {
    app.end_session(&call, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the sessions of a user.
#[utoipa::path(get, path = "/users/{id}/sessions", operation_id = "list_user_sessions", tag = "users",
    params(("id" = String, Path, description = "The user."), SessionFilter),
    responses((status = 200, body = Page<SessionView>)))]
pub(super) async fn list_user_sessions(
    State(app): State<App>,
    Caller(call): Caller,
    At(user): At<UserId>,
    Filter(filter): Filter<SessionFilter>,
) -> Result<Json<Page<SessionView>>, Refusal> {
    app.user_sessions(&call, user, &filter).await.map(Json)
}

/// End a session of a user.
#[utoipa::path(delete, path = "/users/{id}/sessions/{session}", operation_id = "end_user_session", tag = "users",
    params(("id" = String, Path, description = "The user."),
        ("session" = String, Path, description = "The session.")),
    responses((status = 204)))]
pub(super) async fn end_user_session(
    State(app): State<App>,
    Caller(call): Caller,
    AtBelow(user, id): AtBelow<UserId, SessionId>,
) -> Result<StatusCode, Refusal> {
    app.end_user_session(&call, user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
