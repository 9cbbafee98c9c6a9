//! Users.

use super::answer::{Made, Tagged};
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::list::Page;
use crate::app::users::{CreatedUser, NewUser, OneTimePassword, UserChange, UserFilter, UserView};
use crate::app::{App, Refusal};
use crate::domain::UserId;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// List users.
#[utoipa::path(get, path = "/users", operation_id = "list_users", tag = "users", params(UserFilter),
    responses((status = 200, body = Page<UserView>)))]
pub(super) async fn list_users(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<UserFilter>,
) -> Result<Json<Page<UserView>>, Refusal> {
    app.users(&call, &filter).await.map(Json)
}

/// Make a user.
///
/// Without a password the server makes a one-time password, which is in the answer and nowhere else.
#[utoipa::path(post, path = "/users", operation_id = "create_user", tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewUser, responses((status = 201, body = CreatedUser)))]
pub(super) async fn create_user(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewUser>,
) -> Result<Made<CreatedUser>, Refusal> {
    let body = app.create_user(&call, &new).await?;
    Ok(Made { location: format!("/api/v1/users/{}", body.user.id), revision: body.user.revision, body })
}

/// See a user.
#[utoipa::path(get, path = "/users/{id}", operation_id = "get_user", tag = "users",
    params(("id" = String, Path, description = "The user.")), responses((status = 200, body = UserView)))]
pub(super) async fn get_user(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<UserId>,
) -> Result<Tagged<UserView>, Refusal> {
    let user = app.user(&call, id).await?;
    Ok(Tagged(user.revision, user))
}

/// Change a user.
#[utoipa::path(patch, path = "/users/{id}", operation_id = "update_user", tag = "users",
    params(("id" = String, Path, description = "The user."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = UserChange, responses((status = 200, body = UserView)))]
pub(super) async fn update_user(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<UserId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<UserChange>,
) -> Result<Tagged<UserView>, Refusal> {
    let user = app.update_user(&call, id, revision, &wanted).await?;
    Ok(Tagged(user.revision, user))
}

/// Remove a user.
#[utoipa::path(delete, path = "/users/{id}", operation_id = "delete_user", tag = "users",
    params(("id" = String, Path, description = "The user."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_user(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<UserId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_user(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a user a one-time password.
///
/// The user's sessions end, and its API tokens are withdrawn. Log-ins that failed are forgotten.
#[utoipa::path(post, path = "/users/{id}/one-time-password", operation_id = "reset_password", tag = "users",
    params(("id" = String, Path, description = "The user.")), responses((status = 200, body = OneTimePassword)))]
pub(super) async fn reset_password(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<UserId>,
) -> Result<Json<OneTimePassword>, Refusal> {
    app.reset_password(&call, id).await.map(Json)
}
