//! Making, finalizing, deleting and publishing.

use super::answer::Created;
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::making::{
    DiffQuery, Finalize, Making, NewAppLayer, NewOsLayer, NewPlatformLayer, NewVersion, PublishTemplates,
    Publishing, Started,
};
use crate::app::{App, Refusal};
use crate::domain::{LayerId, TemplateId, VersionId};
use axum::Json;
use axum::extract::State;

/// Make an OS layer.
///
/// A task imports the disk as the layer's first version, which is deployable then.
#[utoipa::path(post, path = "/os-layers", operation_id = "create_os_layer", tag = "layers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewOsLayer, responses((status = 201, body = Making)))]
pub(super) async fn create_os_layer(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewOsLayer>,
) -> Result<Created<Making>, Refusal> {
    app.create_os_layer(&call, &new).await.map(task)
}

/// Make an app layer.
///
/// A task makes the packaging disk of the layer's first version. Then somebody installs, and finalizes.
#[utoipa::path(post, path = "/app-layers", operation_id = "create_app_layer", tag = "layers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewAppLayer, responses((status = 201, body = Making)))]
pub(super) async fn create_app_layer(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewAppLayer>,
) -> Result<Created<Making>, Refusal> {
    app.create_app_layer(&call, &new).await.map(task)
}

/// Make a platform layer.
///
/// A task makes the packaging disk of the layer's first version. Then somebody installs, and finalizes.
#[utoipa::path(post, path = "/platform-layers", operation_id = "create_platform_layer", tag = "layers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewPlatformLayer, responses((status = 201, body = Making)))]
pub(super) async fn create_platform_layer(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewPlatformLayer>,
) -> Result<Created<Making>, Refusal> {
    app.create_platform_layer(&call, &new).await.map(task)
}

/// Make a new version of a layer.
///
/// A task makes its packaging disk from an older version. Then somebody installs, and finalizes.
#[utoipa::path(post, path = "/layers/{id}/versions", operation_id = "create_version", tag = "versions",
    params(("id" = String, Path, description = "The layer."),
        ("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewVersion, responses((status = 201, body = Making)))]
pub(super) async fn create_version(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<LayerId>,
    Body(new): Body<NewVersion>,
) -> Result<Created<Making>, Refusal> {
    app.create_version(&call, id, &new).await.map(task)
}

/// Finalize a version.
///
/// A task checks the packaging disk and captures what changed on it as the version.
#[utoipa::path(post, path = "/versions/{id}/finalize", operation_id = "finalize_version", tag = "versions",
    params(("id" = String, Path, description = "The version."),
        ("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = Finalize, responses((status = 201, body = Started)))]
pub(super) async fn finalize_version(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Body(wanted): Body<Finalize>,
) -> Result<Created<Started>, Refusal> {
    app.finalize_version(&call, id, &wanted).await.map(started)
}

/// Delete a version.
///
/// A task deletes it, its packaging disk if it has one, and its layer when it has no other version.
#[utoipa::path(delete, path = "/versions/{id}", operation_id = "delete_version", tag = "versions",
    params(("id" = String, Path, description = "The version."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 201, body = Started)))]
pub(super) async fn delete_version(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    IfMatch(revision): IfMatch,
) -> Result<Created<Started>, Refusal> {
    app.delete_version(&call, id, revision).await.map(started)
}

/// Publish layered images.
///
/// One task for each template.
#[utoipa::path(post, path = "/publish", operation_id = "publish_templates", tag = "images",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = PublishTemplates, responses((status = 201, body = Publishing)))]
pub(super) async fn publish_templates(
    State(app): State<App>,
    Caller(call): Caller,
    Body(wanted): Body<PublishTemplates>,
) -> Result<Created<Publishing>, Refusal> {
    let body = app.publish_templates(&call, &wanted).await?;
    Ok(Created { location: "/api/v1/tasks".to_owned(), body })
}

/// Give back the room of what nothing in the store uses.
#[utoipa::path(post, path = "/store/collect-garbage", operation_id = "collect_garbage", tag = "store",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    responses((status = 201, body = Started)))]
pub(super) async fn collect_garbage(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Created<Started>, Refusal> {
    app.collect_garbage(&call).await.map(started)
}

/// See what the layers of a template claim together.
#[utoipa::path(get, path = "/templates/{id}/conflicts", operation_id = "template_conflicts", tag = "templates",
    params(("id" = String, Path, description = "The template.")),
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn template_conflicts(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
) -> Result<Json<serde_json::Value>, Refusal> {
    app.template_conflicts(&call, id).await.map(Json)
}

/// Compare two versions.
#[utoipa::path(get, path = "/versions/{id}/diff", operation_id = "diff_versions", tag = "versions",
    params(("id" = String, Path, description = "The version."), DiffQuery),
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn diff_versions(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Filter(query): Filter<DiffQuery>,
) -> Result<Json<serde_json::Value>, Refusal> {
    app.diff_versions(&call, id, &query).await.map(Json)
}

/// See what is recorded of a version in the store.
#[utoipa::path(get, path = "/versions/{id}/report", operation_id = "version_report", tag = "versions",
    params(("id" = String, Path, description = "The version.")),
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn version_report(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
) -> Result<Json<serde_json::Value>, Refusal> {
    app.version_report(&call, id).await.map(Json)
}

fn task(making: Making) -> Created<Making> {
    Created { location: format!("/api/v1/tasks/{}", making.task_id), body: making }
}

fn started(started: Started) -> Created<Started> {
    Created { location: format!("/api/v1/tasks/{}", started.task_id), body: started }
}
