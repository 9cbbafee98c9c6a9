//! The audit history.

use super::extract::{Caller, Filter};
use crate::app::audit::{AuditEntry, AuditFilter};
use crate::app::list::Page;
use crate::app::{App, Refusal};
use axum::Json;
use axum::extract::State;

/// Read the audit history.
#[utoipa::path(get, path = "/audit", operation_id = "list_audit", tag = "audit", params(AuditFilter),
    responses((status = 200, body = Page<AuditEntry>)))]
pub(super) async fn list_audit(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<AuditFilter>,
) -> Result<Json<Page<AuditEntry>>, Refusal> {
    app.audit(&call, &filter).await.map(Json)
}
