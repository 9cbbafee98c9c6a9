//! What a reference names: `[os:|platform:|app:|image:]NAME[@VERSION]`.

use super::picks::{self, Candidate};
use super::rows::Rows;
use super::{App, Call, Reason, Refusal};
use crate::db::Statement;
use crate::domain::layer::{LayerKind, VersionState};
use crate::domain::reference::{self, ObjectKind, Reference};
use crate::domain::{Action, ImageId, Invalid, LayerId, VersionId, name};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What to find.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ResolveQuery {
    /// The reference: `[os:|platform:|app:|image:]NAME[@VERSION]`. Without a version the latest deployable one
    /// is meant.
    pub reference: String,
    /// Of a reference without a version only find the layer, which then need not have a deployable version.
    #[serde(default)]
    #[param(required = false)]
    pub layer: bool,
}

/// What a reference names: a version of a layer, or an image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// Of what kind it is.
    pub kind: ObjectKind,
    /// The reference in full, which is never ambiguous.
    pub reference: String,
    /// The layer.
    pub layer_id: Option<LayerId>,
    /// The version.
    pub version_id: Option<VersionId>,
    /// The version's state.
    pub state: Option<VersionState>,
    /// The image; of several with this name the one that was published last.
    pub image_id: Option<ImageId>,
}

/// Why a reference names nothing that can be used.
#[derive(Debug)]
pub(super) struct Miss {
    reason: Reason,
    code: &'static str,
    message: String,
}

impl Miss {
    fn new(reason: Reason, code: &'static str, message: String) -> Miss {
        Miss { reason, code, message }
    }

    /// As a complaint about the field that holds the reference.
    pub(super) fn about(self, field: &str) -> Invalid {
        Invalid::field(field, self.code, self.message)
    }
}

impl From<Miss> for Refusal {
    fn from(miss: Miss) -> Refusal {
        if miss.reason == Reason::Invalid {
            return miss.about("reference").into();
        }
        Refusal::new(miss.reason, miss.code, miss.message)
            .hint("List layers, versions and images to see what there is.")
    }
}

/// Something that has the name.
struct Named {
    kind: ObjectKind,
    id: String,
    name: String,
}

impl App {
    /// Finds what a reference names.
    pub async fn resolve(&self, call: &Call, query: &ResolveQuery) -> Result<Resolved, Refusal> {
        call.may(Action::Resolve)?;
        let reference = reference::parse("reference", &query.reference)?;
        let rows = &mut &self.db;
        let named = match one(rows, &reference, reference.kind).await? {
            Ok(named) => named,
            Err(miss) => return Err(miss.into()),
        };
        if named.kind == ObjectKind::Image {
            return Ok(Resolved {
                kind: named.kind,
                reference: format!("image:{}", named.name),
                layer_id: None,
                version_id: None,
                state: None,
                image_id: Some(named.id.parse().map_err(Refusal::internal)?),
            });
        }
        if query.layer && reference.version.is_none() {
            return Ok(Resolved {
                kind: named.kind,
                reference: format!("{}:{}", named.kind.as_str(), named.name),
                layer_id: Some(named.id.parse().map_err(Refusal::internal)?),
                version_id: None,
                state: None,
                image_id: None,
            });
        }
        let version = version_of(rows, &named, &reference).await??;
        Ok(Resolved {
            kind: named.kind,
            reference: version.reference(),
            layer_id: Some(version.layer_id),
            version_id: Some(version.version_id),
            state: Some(version.state),
            image_id: None,
        })
    }
}

/// The version of a layer of `kind` that a reference names; its prefix may be left out.
pub(super) async fn version(
    rows: &mut impl Rows,
    kind: LayerKind,
    reference: &Reference,
) -> Result<Result<Candidate, Miss>, Refusal> {
    let wanted = ObjectKind::from(kind);
    if reference.kind.is_some_and(|kind| kind != wanted) {
        let message = format!("{reference} is no {kind} layer.");
        return Ok(Err(Miss::new(Reason::Invalid, "version-wrong-kind", message)));
    }
    match one(rows, reference, Some(wanted)).await? {
        Ok(named) => version_of(rows, &named, reference).await,
        Err(miss) => Ok(Err(miss)),
    }
}

/// The version that an identifier or a reference names, whatever the kind of its layer; complains in `field`.
pub(super) async fn any_version(
    rows: &mut impl Rows,
    field: &str,
    text: &str,
) -> Result<Result<Candidate, Invalid>, Refusal> {
    if let Ok(id) = text.parse::<VersionId>() {
        return match picks::version(rows, id).await {
            Ok(candidate) => Ok(Ok(candidate)),
            Err(refusal) if refusal.reason == Reason::Missing => {
                Ok(Err(Invalid::field(field, "version-unknown", format!("There is no version {id}."))))
            }
            Err(refusal) => Err(refusal),
        };
    }
    let reference = match reference::parse(field, text) {
        Ok(reference) => reference,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let named = match one(rows, &reference, reference.kind).await? {
        Ok(named) if named.kind == ObjectKind::Image => {
            let message = format!("{reference} is an image, no layer version.");
            return Ok(Err(Invalid::field(field, "version-wrong-kind", message)));
        }
        Ok(named) => named,
        Err(miss) => return Ok(Err(miss.about(field))),
    };
    Ok(version_of(rows, &named, &reference).await?.map_err(|miss| miss.about(field)))
}

/// The one layer or image that has the name.
async fn one(
    rows: &mut impl Rows,
    reference: &Reference,
    kind: Option<ObjectKind>,
) -> Result<Result<Named, Miss>, Refusal> {
    let key = name::key(reference.name.as_str());
    let mut found = Vec::new();
    let layers = Statement::new("SELECT id, kind, name FROM layers WHERE name_key = $1 ORDER BY kind");
    for row in rows.all(layers.bind(key.as_str())).await? {
        let layer: LayerKind = super::word(&row, "kind", |text| text.parse().ok())?;
        found.push(Named { kind: layer.into(), id: row.text("id")?, name: row.text("name")? });
    }
    let image = Statement::new(
        "SELECT id, name FROM images WHERE name_key = $1 ORDER BY created_at DESC, id DESC LIMIT 1",
    );
    if let Some(row) = rows.optional(image.bind(key)).await? {
        found.push(Named { kind: ObjectKind::Image, id: row.text("id")?, name: row.text("name")? });
    }
    // An image has no versions, so a name with a version is none of an image.
    found.retain(|named| match kind {
        Some(kind) => named.kind == kind,
        None => reference.version.is_none() || named.kind != ObjectKind::Image,
    });
    if found.len() > 1 {
        let candidates: Vec<String> =
            found.iter().map(|named| format!("{}:{}", named.kind.as_str(), named.name)).collect();
        let message = format!("{reference} may mean {}. Write which.", candidates.join(" or "));
        return Ok(Err(Miss::new(Reason::Invalid, "reference-ambiguous", message)));
    }
    Ok(found.pop().ok_or_else(|| {
        let what = match kind {
            Some(ObjectKind::Image) => "image".to_owned(),
            Some(kind) => format!("{} layer", kind.as_str()),
            None => "layer or image".to_owned(),
        };
        let message = format!("There is no {what} {}.", reference.name);
        Miss::new(Reason::Missing, "not-found", message)
    }))
}

/// The version of a layer that was found.
async fn version_of(
    rows: &mut impl Rows,
    layer: &Named,
    reference: &Reference,
) -> Result<Result<Candidate, Miss>, Refusal> {
    let full = format!("{}:{}", layer.kind.as_str(), layer.name);
    let Some(version) = &reference.version else {
        let id = layer.id.parse().map_err(Refusal::internal)?;
        return Ok(picks::latest(rows, id).await?.ok_or_else(|| {
            let message = format!("{full} has no deployable version.");
            Miss::new(Reason::Conflict, "no-deployable-version", message)
        }));
    };
    let statement = Statement::new("SELECT id FROM versions WHERE layer_id = $1 AND name_key = $2")
        .bind(layer.id.as_str())
        .bind(name::key(version.as_str()));
    match rows.optional(statement).await? {
        Some(row) => Ok(Ok(picks::version(rows, super::id(&row, "id")?).await?)),
        None => {
            let message = format!("{full} has no version {version}.");
            Ok(Err(Miss::new(Reason::Missing, "not-found", message)))
        }
    }
}
