//! Whether the server is there, and what it can be asked.

use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// That the server is there.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Health {
    /// The server's version.
    version: String,
    /// The kind of its database.
    database: String,
}

/// Tell that the server is ready.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "server", security(()),
    responses((status = 200, body = Health)))]
pub(super) async fn health(State(app): State<App>) -> Result<Json<Health>, Refusal> {
    app.db().version().await?;
    Ok(Json(Health { version: env!("CARGO_PKG_VERSION").to_owned(), database: app.db().kind().to_owned() }))
}

/// The OpenAPI document.
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(super::document())
}
