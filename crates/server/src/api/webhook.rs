//! The webhook.

use super::answer::Tagged;
use super::extract::{Body, Caller, IfMatch};
use crate::app::webhook::{WebhookChange, WebhookTest, WebhookView};
use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// See the webhook, and how telling goes.
#[utoipa::path(get, path = "/webhook", operation_id = "get_webhook", tag = "server",
    responses((status = 200, body = WebhookView)))]
pub(super) async fn get_webhook(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Tagged<WebhookView>, Refusal> {
    let webhook = app.show_webhook(&call).await?;
    Ok(Tagged(webhook.revision, webhook))
}

/// Set the webhook.
///
/// What happens to tasks is posted to it as JSON, with an HMAC-SHA256 in the header `X-Lamina-Signature`.
#[utoipa::path(put, path = "/webhook", operation_id = "set_webhook", tag = "server",
    params(("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = WebhookChange, responses((status = 200, body = WebhookView)))]
pub(super) async fn set_webhook(
    State(app): State<App>,
    Caller(call): Caller,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<WebhookChange>,
) -> Result<Tagged<WebhookView>, Refusal> {
    let webhook = app.set_webhook(&call, revision, &wanted).await?;
    Ok(Tagged(webhook.revision, webhook))
}

/// Take the webhook away, with what was still to be told.
#[utoipa::path(delete, path = "/webhook", operation_id = "delete_webhook", tag = "server",
    params(("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_webhook(
    State(app): State<App>,
    Caller(call): Caller,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_webhook(&call, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Post something to the webhook now.
#[utoipa::path(post, path = "/webhook/test", operation_id = "test_webhook", tag = "server",
    responses((status = 200, body = WebhookTest)))]
pub(super) async fn test_webhook(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Json<WebhookTest>, Refusal> {
    app.test_webhook(&call).await.map(Json)
}
