//! Connector configurations.

use super::answer::{Made, Tagged};
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::configurations::{
    ConfigurationChange, ConfigurationFilter, ConfigurationView, NewConfiguration,
};
use crate::app::connectors::{ConnectorBrowse, ConnectorValues, Place, TestReport};
use crate::app::list::Page;
use crate::app::{App, Refusal};
use crate::domain::ConfigurationId;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use connectors::Listing;

/// List connector configurations.
#[utoipa::path(get, path = "/connector-configurations", operation_id = "list_configurations",
    tag = "connectors", params(ConfigurationFilter),
    responses((status = 200, body = Page<ConfigurationView>)))]
pub(super) async fn list_configurations(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<ConfigurationFilter>,
) -> Result<Json<Page<ConfigurationView>>, Refusal> {
    app.configurations(&call, &filter).await.map(Json)
}

/// Make a connector configuration.
///
/// Its values are checked, and its place is not asked: check credentials or test it before or afterwards.
#[utoipa::path(post, path = "/connector-configurations", operation_id = "create_configuration",
    tag = "connectors",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewConfiguration, responses((status = 201, body = ConfigurationView)))]
pub(super) async fn create_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewConfiguration>,
) -> Result<Made<ConfigurationView>, Refusal> {
    let body = app.create_configuration(&call, &new).await?;
    let location = format!("/api/v1/connector-configurations/{}", body.id);
    Ok(Made { location, revision: body.revision, body })
}

/// See a connector configuration.
#[utoipa::path(get, path = "/connector-configurations/{id}", operation_id = "get_configuration",
    tag = "connectors", params(("id" = String, Path, description = "The configuration.")),
    responses((status = 200, body = ConfigurationView)))]
pub(super) async fn get_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
) -> Result<Tagged<ConfigurationView>, Refusal> {
    let configuration = app.configuration(&call, id).await?;
    Ok(Tagged(configuration.revision, configuration))
}

/// Change a connector configuration.
#[utoipa::path(patch, path = "/connector-configurations/{id}", operation_id = "update_configuration",
    tag = "connectors",
    params(("id" = String, Path, description = "The configuration."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = ConfigurationChange, responses((status = 200, body = ConfigurationView)))]
pub(super) async fn update_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<ConfigurationChange>,
) -> Result<Tagged<ConfigurationView>, Refusal> {
    let configuration = app.update_configuration(&call, id, revision, &wanted).await?;
    Ok(Tagged(configuration.revision, configuration))
}

/// Remove a connector configuration that nothing uses.
#[utoipa::path(delete, path = "/connector-configurations/{id}", operation_id = "delete_configuration",
    tag = "connectors",
    params(("id" = String, Path, description = "The configuration."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_configuration(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See whether the platform of a configuration accepts its credentials.
///
/// Values that are sent are used instead of those that are saved.
#[utoipa::path(post, path = "/connector-configurations/{id}/check-credentials",
    operation_id = "check_configuration", tag = "connectors",
    params(("id" = String, Path, description = "The configuration.")),
    request_body = ConnectorValues, responses((status = 204, description = "It does.")))]
pub(super) async fn check_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
    Body(values): Body<ConnectorValues>,
) -> Result<StatusCode, Refusal> {
    app.check_credentials(&call, &Place::Saved(id), &values).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try everything that the connector of a configuration needs.
///
/// Values that are sent are used instead of those that are saved.
#[utoipa::path(post, path = "/connector-configurations/{id}/test", operation_id = "test_configuration",
    tag = "connectors", params(("id" = String, Path, description = "The configuration.")),
    request_body = ConnectorValues, responses((status = 200, body = TestReport)))]
pub(super) async fn test_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
    Body(values): Body<ConnectorValues>,
) -> Result<Json<TestReport>, Refusal> {
    app.test_connector(&call, &Place::Saved(id), &values).await.map(Json)
}

/// List what can be chosen on the platform of a configuration.
#[utoipa::path(post, path = "/connector-configurations/{id}/browse", operation_id = "browse_configuration",
    tag = "connectors", params(("id" = String, Path, description = "The configuration.")),
    request_body = ConnectorBrowse, responses((status = 200, body = Listing)))]
pub(super) async fn browse_configuration(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ConfigurationId>,
    Body(asked): Body<ConnectorBrowse>,
) -> Result<Json<Listing>, Refusal> {
    app.browse_connector(&call, &Place::Saved(id), &asked).await.map(Json)
}
