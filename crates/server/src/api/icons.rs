//! Icons.

use super::answer::{Made, Tagged, answer};
use super::extract::{At, Body, Caller, Filter, IfMatch};
use crate::app::icons::{IconChange, IconFilter, IconImage, IconView, NewIcon};
use crate::app::list::Page;
use crate::app::{App, Reason, Refusal};
use crate::domain::IconId;
use crate::domain::picture::{MOST_BYTES, PictureType};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// How long a browser keeps a picture without asking again: a week. Pictures that are uploaded never change, and the
/// program's own only with the program.
const KEEP: &str = "private, max-age=604800";

/// List icons.
#[utoipa::path(get, path = "/icons", operation_id = "list_icons", tag = "icons", params(IconFilter),
    responses((status = 200, body = Page<IconView>)))]
pub(super) async fn list_icons(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<IconFilter>,
) -> Result<Json<Page<IconView>>, Refusal> {
    app.icons(&call, &filter).await.map(Json)
}

/// Upload an icon.
///
/// The body is the file: PNG or JPEG, at most 1 MiB and 1024×1024 pixels. It is kept as PNG of at most 256×256 pixels.
#[utoipa::path(post, path = "/icons", operation_id = "create_icon", tag = "icons",
    params(NewIcon, ("Idempotency-Key" = Option<String>, Header, description = "Done once for each key.")),
    request_body(content((File = "image/png"), (File = "image/jpeg"))),
    responses((status = 201, body = IconView)))]
pub(super) async fn create_icon(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(new): Filter<NewIcon>,
    Upload(said, file): Upload,
) -> Result<Made<IconView>, Refusal> {
    let body = app.create_icon(&call, &new, said, file.into()).await?;
    Ok(Made { location: format!("/api/v1/icons/{}", body.id), revision: body.revision, body })
}

/// See an icon.
#[utoipa::path(get, path = "/icons/{id}", operation_id = "get_icon", tag = "icons",
    params(("id" = String, Path, description = "The icon.")), responses((status = 200, body = IconView)))]
pub(super) async fn get_icon(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<IconId>,
) -> Result<Tagged<IconView>, Refusal> {
    let icon = app.icon(&call, id).await?;
    Ok(Tagged(icon.revision, icon))
}

/// See the picture of an icon.
#[utoipa::path(get, path = "/icons/{id}/image", operation_id = "get_icon_image", tag = "icons",
    params(("id" = String, Path, description = "The icon."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the picture that you have.")),
    responses(
        (status = 200, content((File = "image/png"), (File = "image/svg+xml"))),
        (status = 304, description = "The picture is the one that you have.")))]
pub(super) async fn get_icon_image(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<IconId>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let IconImage { media_type, bytes, digest } = app.icon_image(&call, id).await?;
    let tag = format!("\"{digest}\"");
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| matches!(known.trim(), known if known == "*" || known.trim_start_matches("W/") == tag));
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, KEEP.to_owned())];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, about).into_response(),
        false => (about, [(header::CONTENT_TYPE, media_type)], bytes).into_response(),
    })
}

/// Give an icon another name.
#[utoipa::path(patch, path = "/icons/{id}", operation_id = "update_icon", tag = "icons",
    params(("id" = String, Path, description = "The icon."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    request_body = IconChange, responses((status = 200, body = IconView)))]
pub(super) async fn update_icon(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<IconId>,
    IfMatch(revision): IfMatch,
    Body(wanted): Body<IconChange>,
) -> Result<Tagged<IconView>, Refusal> {
    let icon = app.update_icon(&call, id, revision, &wanted).await?;
    Ok(Tagged(icon.revision, icon))
}

/// Remove an icon that nothing uses.
#[utoipa::path(delete, path = "/icons/{id}", operation_id = "delete_icon", tag = "icons",
    params(("id" = String, Path, description = "The icon."),
        ("If-Match" = String, Header, description = "The ETag of what you looked at, or *.")),
    responses((status = 204)))]
pub(super) async fn delete_icon(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<IconId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Refusal> {
    app.delete_icon(&call, id, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A file, as the document describes it.
struct File;

impl PartialSchema for File {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for File {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("File")
    }
}

/// A file as the body, with the type that it is said to have.
#[derive(Debug)]
pub(super) struct Upload(PictureType, Bytes);

impl FromRequest<App> for Upload {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Upload, Response> {
        let said = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(said) = said.and_then(PictureType::parse) else {
            let message = "The header Content-Type is neither image/png nor image/jpeg.";
            let refusal =
                Refusal::new(Reason::Invalid, "icon-type", message).hint("Upload a PNG or JPEG file.");
            return Err(answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal));
        };
        match Bytes::from_request(request, app).await {
            Ok(file) if file.len() <= MOST_BYTES => Ok(Upload(said, file)),
            Err(rejection) if rejection.status() != StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("The file did not arrive in full: {}.", rejection.body_text());
                Err(answer(rejection.status(), Refusal::new(Reason::Invalid, "body-unreadable", message)))
            }
            _ => {
                let message = format!("The file has more than {MOST_BYTES} bytes.");
                let refusal = Refusal::new(Reason::Invalid, "icon-too-large", message)
                    .hint("Make the picture smaller; icons are kept with at most 256×256 pixels.");
                Err(answer(StatusCode::PAYLOAD_TOO_LARGE, refusal))
            }
        }
    }
}
