//! Image templates and their revisions.

use super::answer::{Made, Tagged};
use super::extract::{At, AtBelow, Body, Caller, Filter, IfMatch};
use crate::app::list::Page;
use crate::app::templates::{
    CloneTemplate, CompareQuery, NewTemplate, RevisionContent, RevisionFilter, RevisionView, TemplateChange,
    TemplateDiffQuery, TemplateFile, TemplateFilter, TemplateView,
};
use crate::app::{App, Refusal};
use crate::domain::TemplateId;
use crate::domain::template::Comparison;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

fn made(body: TemplateView) -> Made<TemplateView> {
    Made { location: format!("/api/v1/templates/{}", body.id), revision: body.revision, body }
}

/// List image templates.
#[utoipa::path(get, path = "/templates", operation_id = "list_templates", tag = "templates",
    params(TemplateFilter), responses((status = 200, body = Page<TemplateView>)))]
pub(super) async fn list_templates(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<TemplateFilter>,
) -> Result<Json<Page<TemplateView>>, Refusal> {
    app.templates(&call, &filter).await.map(Json)
}

/// Make an image template.
///
/// A layer instead of a version means its latest deployable version now; the template keeps that one.
#[utoipa::path(post, path = "/templates", operation_id = "create_template", tag = "templates",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = NewTemplate, responses((status = 201, body = TemplateView)))]
pub(super) async fn create_template(
    State(app): State<App>,
    Caller(call): Caller,
    Body(new): Body<NewTemplate>,
) -> Result<Made<TemplateView>, Refusal> {
    app.create_template(&call, &new).await.map(made)
}

/// Make an image template from a file.
///
/// What the file names has to be here.
#[utoipa::path(post, path = "/templates/import", operation_id = "import_template", tag = "templates",
    params(("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = TemplateFile, responses((status = 201, body = TemplateView)))]
pub(super) async fn import_template(
    State(app): State<App>,
    Caller(call): Caller,
    Body(file): Body<TemplateFile>,
) -> Result<Made<TemplateView>, Refusal> {
    app.import_template(&call, &file).await.map(made)
}

/// See an image template.
#[utoipa::path(get, path = "/templates/{id}", operation_id = "get_template", tag = "templates",
    params(("id" = String, Path, description = "The template.")),
    responses((status = 200, body = TemplateView)))]
pub(super) async fn get_template(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
) -> Result<Tagged<TemplateView>, Refusal> {
    let template = app.template(&call, id).await?;
    Ok(Tagged(template.revision, template))
}

/// Change an image template.
///
/// That makes a revision. What was published stays as it is.
#[utoipa::path(patch, path = "/templates/{id}", operation_id = "update_template", tag = "templates",
    params(("id" = String, Path, description = "The template."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = TemplateChange, responses((status = 200, body = TemplateView)))]
pub(super) async fn update_template(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<TemplateChange>,
) -> Result<Tagged<TemplateView>, Refusal> {
    let template = app.update_template(&call, id, revision, wanted).await?;
    Ok(Tagged(template.revision, template))
}

/// Remove an image template.
///
/// Its revisions go with it. What was published stays as it is.
#[utoipa::path(delete, path = "/templates/{id}", operation_id = "delete_template", tag = "templates",
    params(("id" = String, Path, description = "The template."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_template(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_template(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a template like another.
#[utoipa::path(post, path = "/templates/{id}/clone", operation_id = "clone_template", tag = "templates",
    params(("id" = String, Path, description = "The other template."),
        ("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body = CloneTemplate, responses((status = 201, body = TemplateView)))]
pub(super) async fn clone_template(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    Body(new): Body<CloneTemplate>,
) -> Result<Made<TemplateView>, Refusal> {
    app.clone_template(&call, id, &new).await.map(made)
}

/// Get an image template as a file.
///
/// It names what it uses, so that it can be imported on another server.
#[utoipa::path(get, path = "/templates/{id}/export", operation_id = "export_template", tag = "templates",
    params(("id" = String, Path, description = "The template.")),
    responses((status = 200, body = TemplateFile)))]
pub(super) async fn export_template(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
) -> Result<Json<TemplateFile>, Refusal> {
    app.export_template(&call, id).await.map(Json)
}

/// List the revisions of an image template.
#[utoipa::path(get, path = "/templates/{id}/revisions", operation_id = "list_revisions", tag = "templates",
    params(("id" = String, Path, description = "The template."), RevisionFilter),
    responses((status = 200, body = Page<RevisionView>)))]
pub(super) async fn list_revisions(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    Filter(filter): Filter<RevisionFilter>,
) -> Result<Json<Page<RevisionView>>, Refusal> {
    app.revisions(&call, id, &filter).await.map(Json)
}

/// See a revision of an image template.
#[utoipa::path(get, path = "/templates/{id}/revisions/{number}", operation_id = "get_revision",
    tag = "templates",
    params(("id" = String, Path, description = "The template."),
        ("number" = i64, Path, description = "The revision.")),
    responses((status = 200, body = RevisionContent)))]
pub(super) async fn get_revision(
    State(app): State<App>,
    Caller(call): Caller,
    AtBelow(id, number): AtBelow<TemplateId, i64>,
) -> Result<Json<RevisionContent>, Refusal> {
    app.revision(&call, id, number).await.map(Json)
}

/// Compare two revisions of an image template.
#[utoipa::path(get, path = "/templates/{id}/compare", operation_id = "compare_revisions", tag = "templates",
    params(("id" = String, Path, description = "The template."), CompareQuery),
    responses((status = 200, body = Comparison)))]
pub(super) async fn compare_revisions(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    Filter(query): Filter<CompareQuery>,
) -> Result<Json<Comparison>, Refusal> {
    app.compare_revisions(&call, id, &query).await.map(Json)
}

/// Compare two image templates.
#[utoipa::path(get, path = "/templates/{id}/diff", operation_id = "diff_templates", tag = "templates",
    params(("id" = String, Path, description = "The template."), TemplateDiffQuery),
    responses((status = 200, body = Comparison)))]
pub(super) async fn diff_templates(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TemplateId>,
    Filter(query): Filter<TemplateDiffQuery>,
) -> Result<Json<Comparison>, Refusal> {
    app.diff_templates(&call, id, &query).await.map(Json)
}

/// Make an image template what it was in an earlier revision.
///
/// That is a new revision. Refused when something that it had is gone.
#[utoipa::path(post, path = "/templates/{id}/revisions/{number}/restore", operation_id = "restore_revision",
    tag = "templates", params(("id" = String, Path, description = "The template."),
        ("number" = i64, Path, description = "The earlier revision."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 200, body = TemplateView)))]
pub(super) async fn restore_revision(
    State(app): State<App>,
    Caller(call): Caller,
    AtBelow(id, number): AtBelow<TemplateId, i64>,
    IfMatch(revision): IfMatch,
) -> Result<Tagged<TemplateView>, Refusal> {
    let template = app.restore_revision(&call, id, number, revision).await?;
    Ok(Tagged(template.revision, template))
}
