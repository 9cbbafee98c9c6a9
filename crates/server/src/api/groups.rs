//! Groups.

use super::answer::{Made, Tagged};
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::groups::{GroupChange, GroupFilter, GroupView, NewGroup};
use crate::app::list::Page;
use crate::app::{App, Refusal};
use crate::domain::GroupId;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// List groups.
#[utoipa::path(get, path = "/groups", operation_id = "list_groups", tag = "groups", params(GroupFilter),
    responses((status = 200, body = Page<GroupView>)))]
pub(super) async fn list_groups(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<GroupFilter>,
) -> Result<Json<Page<GroupView>>, Refusal> {
    app.groups(&call, &filter).await.map(Json)
}

/// Make a group.
#[utoipa::path(post, path = "/groups", operation_id = "create_group", tag = "groups",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewGroup, responses((status = 201, body = GroupView)))]
pub(super) async fn create_group(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewGroup>,
) -> Result<Made<GroupView>, Refusal> {
    let body = app.create_group(&call, &new).await?;
    Ok(Made { location: format!("/api/v1/groups/{}", body.id), revision: body.revision, body })
}

/// See a group.
#[utoipa::path(get, path = "/groups/{id}", operation_id = "get_group", tag = "groups",
    params(("id" = String, Path, description = "The group.")), responses((status = 200, body = GroupView)))]
pub(super) async fn get_group(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<GroupId>,
) -> Result<Tagged<GroupView>, Refusal> {
    let group = app.group(&call, id).await?;
    Ok(Tagged(group.revision, group))
}

/// Change a group.
#[utoipa::path(patch, path = "/groups/{id}", operation_id = "update_group", tag = "groups",
    params(("id" = String, Path, description = "The group."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = GroupChange, responses((status = 200, body = GroupView)))]
pub(super) async fn update_group(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<GroupId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<GroupChange>,
) -> Result<Tagged<GroupView>, Refusal> {
    let group = app.update_group(&call, id, revision, &wanted).await?;
    Ok(Tagged(group.revision, group))
}

/// Remove a group.
#[utoipa::path(delete, path = "/groups/{id}", operation_id = "delete_group", tag = "groups",
    params(("id" = String, Path, description = "The group."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_group(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<GroupId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_group(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
