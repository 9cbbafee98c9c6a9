//! Settings of the server.

use super::answer::Tagged;
use super::extract::{Body, Caller, IfMatch};
use crate::app::settings::{Settings, SettingsChange};
use crate::app::{App, Refusal};
use axum::extract::State;

/// Read the settings.
#[utoipa::path(get, path = "/settings", operation_id = "get_settings", tag = "server",
    responses((status = 200, body = Settings)))]
pub(super) async fn get_settings(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Tagged<Settings>, Refusal> {
    let settings = app.show_settings(&call).await?;
    Ok(Tagged(settings.revision, settings))
}

/// Change settings.
#[utoipa::path(patch, path = "/settings", operation_id = "update_settings", tag = "server",
    params(("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = SettingsChange, responses((status = 200, body = Settings)))]
pub(super) async fn update_settings(
    State(app): State<App>,
    Caller(call): Caller,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<SettingsChange>,
) -> Result<Tagged<Settings>, Refusal> {
    let settings = app.update_settings(&call, revision, &wanted).await?;
    Ok(Tagged(settings.revision, settings))
}
