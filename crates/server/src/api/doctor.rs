//! Examining the deployment.

use super::extract::Caller;
use crate::app::doctor::Examination;
use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;

/// Examine the deployment.
///
/// Looks at the database, clocks, store, engine, disks, file share, certificate, tasks, tools and virtualisation, and says
/// what to do about each finding. It takes some seconds.
#[utoipa::path(get, path = "/doctor", operation_id = "examine_server", tag = "server",
    responses((status = 200, body = Examination)))]
pub(super) async fn examine_server(
    State(app): State<App>,
    Caller(call): Caller,
) -> Result<Json<Examination>, Refusal> {
    app.examine(&call).await.map(Json)
}
