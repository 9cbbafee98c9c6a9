//! Kinds of connectors, and asking one with values that are not saved.

use super::extract::{At, Body, Caller};
use crate::app::connectors::{ConnectorBrowse, ConnectorValues, Place, TestReport};
use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use connectors::{Description, Listing};

/// List kinds of connectors.
///
/// Forms are drawn from their fields.
#[utoipa::path(get, path = "/connectors", operation_id = "list_connectors", tag = "connectors",
    responses((status = 200, body = Vec<Description>)))]
pub(super) async fn list_connectors(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Json<Vec<Description>>, Refusal> {
    app.connectors(&call).await.map(Json)
}

/// See a kind of connector.
#[utoipa::path(get, path = "/connectors/{id}", operation_id = "get_connector", tag = "connectors",
    params(("id" = String, Path, description = "The connector, such as fileshare.")),
    responses((status = 200, body = Description)))]
pub(super) async fn get_connector(
    State(app): State<App>,
    Caller(call): Caller,
    At(name): At<String>,
) -> Result<Json<Description>, Refusal> {
    app.connector(&call, &name).await.map(Json)
}

/// See whether a platform accepts credentials that are not saved.
#[utoipa::path(post, path = "/connectors/{id}/check-credentials", operation_id = "check_credentials",
    tag = "connectors", params(("id" = String, Path, description = "The connector, such as fileshare.")),
    request_body = ConnectorValues, responses((status = 204, description = "It does.")))]
pub(super) async fn check_credentials(
    State(app): State<App>,
    Caller(call): Caller,
    At(name): At<String>,
    Body(values): Body<ConnectorValues>,
) -> Result<StatusCode, Refusal> {
    app.check_credentials(&call, &Place::New(name), &values).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try everything that a connector needs with values that are not saved.
#[utoipa::path(post, path = "/connectors/{id}/test", operation_id = "test_connector", tag = "connectors",
    params(("id" = String, Path, description = "The connector, such as fileshare.")),
    request_body = ConnectorValues, responses((status = 200, body = TestReport)))]
pub(super) async fn test_connector(
    State(app): State<App>,
    Caller(call): Caller,
    At(name): At<String>,
    Body(values): Body<ConnectorValues>,
) -> Result<Json<TestReport>, Refusal> {
    app.test_connector(&call, &Place::New(name), &values).await.map(Json)
}

/// List what can be chosen on a platform with values that are not saved.
#[utoipa::path(post, path = "/connectors/{id}/browse", operation_id = "browse_connector", tag = "connectors",
    params(("id" = String, Path, description = "The connector, such as fileshare.")),
    request_body = ConnectorBrowse, responses((status = 200, body = Listing)))]
pub(super) async fn browse_connector(
    State(app): State<App>,
    Caller(call): Caller,
    At(name): At<String>,
    Body(asked): Body<ConnectorBrowse>,
) -> Result<Json<Listing>, Refusal> {
    app.browse_connector(&call, &Place::New(name), &asked).await.map(Json)
}
