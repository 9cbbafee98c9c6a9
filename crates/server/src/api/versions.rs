//! Versions of layers, and the templates that they are assigned to.

use super::answer::Tagged;
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::assignments::{AssignedTemplates, AssignmentUpdate, TemplateChoice};
use crate::app::list::Page;
use crate::app::usage::{Usage, UsageFilter};
use crate::app::versions::{VersionChange, VersionView};
use crate::app::{App, Refusal};
use crate::domain::VersionId;
use axum::Json;
use axum::extract::State;

/// See a version.
#[utoipa::path(get, path = "/versions/{id}", operation_id = "get_version", tag = "layers",
    params(("id" = String, Path, description = "The version.")),
    responses((status = 200, body = VersionView)))]
pub(super) async fn get_version(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
) -> Result<Tagged<VersionView>, Refusal> {
    let version = app.version(&call, id).await?;
    Ok(Tagged(version.revision, version))
}

/// Change a version.
///
/// Its name and description, and while it is in packaging its limit. Needs the role for layers of its kind.
#[utoipa::path(patch, path = "/versions/{id}", operation_id = "update_version", tag = "layers",
    params(("id" = String, Path, description = "The version."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = VersionChange, responses((status = 200, body = VersionView)))]
pub(super) async fn update_version(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<VersionChange>,
) -> Result<Tagged<VersionView>, Refusal> {
    let version = app.update_version(&call, id, revision, &wanted).await?;
    Ok(Tagged(version.revision, version))
}

/// See what uses a version.
///
/// While something does, the version cannot be deleted.
#[utoipa::path(get, path = "/versions/{id}/users", operation_id = "version_users", tag = "layers",
    params(("id" = String, Path, description = "The version."), UsageFilter),
    responses((status = 200, body = Page<Usage>)))]
pub(super) async fn version_users(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Filter(filter): Filter<UsageFilter>,
) -> Result<Json<Page<Usage>>, Refusal> {
    app.version_users(&call, id, &filter).await.map(Json)
}

/// Assign a version to templates.
///
/// They do not have its layer yet. All of them are changed or, when one cannot be, none.
#[utoipa::path(post, path = "/versions/{id}/assignments", operation_id = "add_assignments",
    tag = "assignments",
    params(("id" = String, Path, description = "The version.")),
    request_body = TemplateChoice, responses((status = 200, body = AssignedTemplates)))]
pub(super) async fn add_assignments(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Body(wanted): Body<TemplateChoice>,
) -> Result<Json<AssignedTemplates>, Refusal> {
    app.add_assignments(&call, id, &wanted).await.map(Json)
}

/// Move templates from older versions of a layer to this one.
///
/// Those that are named, or all. All of them are changed or, when one cannot be, none.
#[utoipa::path(post, path = "/versions/{id}/assignments/update", operation_id = "update_assignments",
    tag = "assignments", params(("id" = String, Path, description = "The version.")),
    request_body = AssignmentUpdate, responses((status = 200, body = AssignedTemplates)))]
pub(super) async fn update_assignments(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Body(wanted): Body<AssignmentUpdate>,
) -> Result<Json<AssignedTemplates>, Refusal> {
    app.update_assignments(&call, id, &wanted).await.map(Json)
}

/// Take a version out of templates.
///
/// All of them are changed or, when one cannot be, none.
#[utoipa::path(post, path = "/versions/{id}/assignments/remove", operation_id = "remove_assignments",
    tag = "assignments", params(("id" = String, Path, description = "The version.")),
    request_body = TemplateChoice, responses((status = 200, body = AssignedTemplates)))]
pub(super) async fn remove_assignments(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<VersionId>,
    Body(wanted): Body<TemplateChoice>,
) -> Result<Json<AssignedTemplates>, Refusal> {
    app.remove_assignments(&call, id, &wanted).await.map(Json)
}
