//! Layers that go to folders on a share and come from them.

use super::answer::Created;
use super::extract::{Body, Caller, Filter};
use crate::app::making::{
    ExportLayers, ExportedLayers, ExportedLayersQuery, ImportLayers, Importing, Started,
};
use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;

/// See which layers a folder on the share holds.
#[utoipa::path(get, path = "/exported-layers", operation_id = "list_exported_layers", tag = "layers",
    params(ExportedLayersQuery), responses((status = 200, body = ExportedLayers)))]
pub(super) async fn list_exported_layers(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(query): Filter<ExportedLayersQuery>,
) -> Result<Json<ExportedLayers>, Refusal> {
    app.exported_layers(&call, &query).await.map(Json)
}

/// Export layers.
///
/// A task writes the versions into a folder on the share, as an OCI image layout. What is there already is kept.
#[utoipa::path(post, path = "/layer-exports", operation_id = "export_layers", tag = "layers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = ExportLayers, responses((status = 201, body = Started)))]
pub(super) async fn export_layers(
    State(app): State<App>,
    Caller(call): Caller,
    Body(wanted): Body<ExportLayers>,
) -> Result<Created<Started>, Refusal> {
    let started = app.export_layers(&call, &wanted).await?;
    Ok(Created { location: format!("/api/v1/tasks/{}", started.task_id), body: started })
}

/// Import layers.
///
/// A task reads the versions from a folder on the share. They are deployable when it is done.
#[utoipa::path(post, path = "/layer-imports", operation_id = "import_layers", tag = "layers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = ImportLayers, responses((status = 201, body = Importing)))]
pub(super) async fn import_layers(
    State(app): State<App>,
    Caller(call): Caller,
    Body(wanted): Body<ImportLayers>,
) -> Result<Created<Importing>, Refusal> {
    let importing = app.import_layers(&call, &wanted).await?;
    Ok(Created { location: format!("/api/v1/tasks/{}", importing.task_id), body: importing })
}
