//! Layers.

use super::answer::Tagged;
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::assignments::{AssignmentFilter, AssignmentView};
use crate::app::layers::{LayerChange, LayerDetails, LayerFilter, LayerView};
use crate::app::list::Page;
use crate::app::resolve::{ResolveQuery, Resolved};
use crate::app::usage::{Usage, UsageFilter};
use crate::app::versions::{VersionFilter, VersionView};
use crate::app::{App, Refusal};
use crate::domain::LayerId;
use axum::Json;
use axum::extract::State;

/// List layers.
#[utoipa::path(get, path = "/layers", operation_id = "list_layers", tag = "layers", params(LayerFilter),
    responses((status = 200, body = Page<LayerView>)))]
pub(super) async fn list_layers(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<LayerFilter>,
) -> Result<Json<Page<LayerView>>, Refusal> {
    app.layers(&call, &filter).await.map(Json)
}

/// See a layer.
///
/// With how many versions it has and what uses it.
#[utoipa::path(get, path = "/layers/{id}", operation_id = "get_layer", tag = "layers",
    params(("id" = String, Path, description = "The layer.")),
    responses((status = 200, body = LayerDetails)))]
pub(super) async fn get_layer(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
) -> Result<Tagged<LayerDetails>, Refusal> {
    let details = app.layer(&call, id).await?;
    Ok(Tagged(details.layer.revision, details))
}

/// Change a layer.
///
/// Needs the role for layers of its kind.
#[utoipa::path(patch, path = "/layers/{id}", operation_id = "update_layer", tag = "layers",
    params(("id" = String, Path, description = "The layer."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = LayerChange, responses((status = 200, body = LayerView)))]
pub(super) async fn update_layer(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<LayerChange>,
) -> Result<Tagged<LayerView>, Refusal> {
    let layer = app.update_layer(&call, id, revision, &wanted).await?;
    Ok(Tagged(layer.revision, layer))
}

/// See what uses a layer.
///
/// Templates, versions in packaging, and for an OS layer the layers that belong to it.
#[utoipa::path(get, path = "/layers/{id}/users", operation_id = "layer_users", tag = "layers",
    params(("id" = String, Path, description = "The layer."), UsageFilter),
    responses((status = 200, body = Page<Usage>)))]
pub(super) async fn layer_users(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
    Filter(filter): Filter<UsageFilter>,
) -> Result<Json<Page<Usage>>, Refusal> {
    app.layer_users(&call, id, &filter).await.map(Json)
}

/// List the versions of a layer.
#[utoipa::path(get, path = "/layers/{id}/versions", operation_id = "list_versions", tag = "layers",
    params(("id" = String, Path, description = "The layer."), VersionFilter),
    responses((status = 200, body = Page<VersionView>)))]
pub(super) async fn list_versions(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
    Filter(filter): Filter<VersionFilter>,
) -> Result<Json<Page<VersionView>>, Refusal> {
    app.versions(&call, id, &filter).await.map(Json)
}

/// List the templates that a layer is assigned to.
///
/// Each with the version that it has.
#[utoipa::path(get, path = "/layers/{id}/assignments", operation_id = "list_assignments", tag = "assignments",
    params(("id" = String, Path, description = "The layer."), AssignmentFilter),
    responses((status = 200, body = Page<AssignmentView>)))]
pub(super) async fn list_assignments(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
    Filter(filter): Filter<AssignmentFilter>,
) -> Result<Json<Page<AssignmentView>>, Refusal> {
    app.assignments(&call, id, &filter).await.map(Json)
}

/// Find what a reference names.
///
/// A reference is `[os:|platform:|app:|image:]NAME[@VERSION]`.
#[utoipa::path(get, path = "/resolve", operation_id = "resolve", tag = "layers", params(ResolveQuery),
    responses((status = 200, body = Resolved)))]
pub(super) async fn resolve(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(query): Filter<ResolveQuery>,
) -> Result<Json<Resolved>, Refusal> {
    app.resolve(&call, &query).await.map(Json)
}
