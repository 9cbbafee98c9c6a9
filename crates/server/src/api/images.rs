//! Published images.

use super::answer::Tagged;
use super::extract::{At, Caller, Filter, IfMatch};
use crate::app::images::{ImageDetails, ImageDiffQuery, ImageFilter, ImageView};
use crate::app::list::Page;
use crate::app::{App, Refusal};
use crate::domain::ImageId;
use crate::domain::image::ImageComparison;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// List published images.
#[utoipa::path(get, path = "/images", operation_id = "list_images", tag = "images", params(ImageFilter),
    responses((status = 200, body = Page<ImageView>)))]
pub(super) async fn list_images(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<ImageFilter>,
) -> Result<Json<Page<ImageView>>, Refusal> {
    app.images(&call, &filter).await.map(Json)
}

/// See a published image.
///
/// With what it was made of.
#[utoipa::path(get, path = "/images/{id}", operation_id = "get_image", tag = "images",
    params(("id" = String, Path, description = "The image.")),
    responses((status = 200, body = ImageDetails)))]
pub(super) async fn get_image(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ImageId>,
) -> Result<Tagged<ImageDetails>, Refusal> {
    let details = app.image(&call, id).await?;
    Ok(Tagged(details.image.revision, details))
}

/// Compare two published images.
///
/// By what they were made of: layers by their digests, and settings.
#[utoipa::path(get, path = "/images/{id}/diff", operation_id = "diff_images", tag = "images",
    params(("id" = String, Path, description = "The image."), ImageDiffQuery),
    responses((status = 200, body = ImageComparison)))]
pub(super) async fn diff_images(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ImageId>,
    Filter(query): Filter<ImageDiffQuery>,
) -> Result<Json<ImageComparison>, Refusal> {
    app.diff_images(&call, id, &query).await.map(Json)
}

/// Remove the record of a published image.
///
/// What was published stays where it is.
#[utoipa::path(delete, path = "/images/{id}", operation_id = "delete_image", tag = "images",
    params(("id" = String, Path, description = "The image."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_image(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<ImageId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_image(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
