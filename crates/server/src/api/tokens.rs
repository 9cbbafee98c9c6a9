//! API tokens.

use super::answer::Made;
use super::extract::{At, AtBelow, Body, Caller, Filter};
use crate::app::list::Page;
use crate::app::tokens::{CreatedToken, NewToken, TokenFilter, TokenView};
use crate::app::{App, Refusal};
use crate::domain::{TokenId, UserId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// List one's API tokens.
#[utoipa::path(get, path = "/me/tokens", operation_id = "list_tokens", tag = "session",
    params(TokenFilter), responses((status = 200, body = Page<TokenView>)))]
pub(super) async fn list_tokens(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<TokenFilter>,
) -> Result<Json<Page<TokenView>>, Refusal> {
    app.tokens(&call, &filter).await.map(Json)
}

/// Make an API token.
///
/// Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/me/tokens", operation_id = "create_token", tag = "session",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewToken, responses((status = 201, body = CreatedToken)))]
pub(super) async fn create_token(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewToken>,
) -> Result<Made<CreatedToken>, Refusal> {
    let body = app.create_token(&call, &new).await?;
    Ok(Made { location: format!("/api/v1/me/tokens/{}", body.token.id), revision: 1, body })
}

/// Withdraw an API token.
///
/// With a token that is limited to some roles only that token itself.
#[utoipa::path(delete, path = "/me/tokens/{id}", operation_id = "delete_token", tag = "session",
    params(("id" = String, Path, description = "The token.")), responses((status = 204)))]
pub(super) async fn delete_token(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TokenId>,
) -> Result<StatusCode, Refusal> {
    app.delete_token(&call, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the API tokens of a user.
#[utoipa::path(get, path = "/users/{id}/tokens", operation_id = "list_user_tokens", tag = "users",
    params(("id" = String, Path, description = "The user."), TokenFilter),
    responses((status = 200, body = Page<TokenView>)))]
pub(super) async fn list_user_tokens(
    State(app): State<App>,
    Caller(call): Caller,
    At(user): At<UserId>,
    Filter(filter): Filter<TokenFilter>,
) -> Result<Json<Page<TokenView>>, Refusal> {
    app.user_tokens(&call, user, &filter).await.map(Json)
}

/// Withdraw an API token of a user.
#[utoipa::path(delete, path = "/users/{id}/tokens/{token}", operation_id = "delete_user_token", tag = "users",
    params(("id" = String, Path, description = "The user."),
        ("token" = String, Path, description = "The token.")),
    responses((status = 204)))]
pub(super) async fn delete_user_token(
    State(app): State<App>,
    Caller(call): Caller,
    AtBelow(user, id): AtBelow<UserId, TokenId>,
) -> Result<StatusCode, Refusal> {
    app.delete_user_token(&call, user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
