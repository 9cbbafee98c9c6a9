//! Layer versions that somebody picked, for a template or for packaging.

use super::Refusal;
use super::rows::{Rows, for_each_of};
use crate::db::Row;
use crate::domain::layer::{LayerKind, PlatformTypes, VersionState};
use crate::domain::template::LayerVersion;
use crate::domain::{Invalid, LayerId, VersionId, reference};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// A version, or the latest deployable one that a layer has now. Exactly one of the fields is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// This version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The latest deployable version of this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_id: Option<LayerId>,
}

impl Pick {
    /// This version.
    pub fn version(id: VersionId) -> Pick {
        Pick { version_id: Some(id), layer_id: None }
    }
}

/// A version as what it is picked for sees it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) version_id: VersionId,
    pub(crate) version: String,
    pub(crate) sequence: i64,
    pub(crate) state: VersionState,
    pub(crate) layer_id: LayerId,
    pub(crate) layer: String,
    pub(crate) kind: LayerKind,
    /// The OS layer that the layer belongs to; of an OS layer itself none.
    pub(crate) os_layer: Option<(LayerId, String)>,
    pub(crate) priority: i64,
    pub(crate) platform: Option<PlatformTypes>,
}

impl Candidate {
    /// Its reference in full.
    pub(crate) fn reference(&self) -> String {
        reference::of_version(self.kind, &self.layer, &self.version)
    }

    /// It, pinned.
    pub(crate) fn pinned(&self) -> LayerVersion {
        LayerVersion {
            layer_id: self.layer_id,
            layer: self.layer.clone(),
            version_id: self.version_id,
            version: self.version.clone(),
        }
    }

    /// Complains in `field` unless it can go into images.
    pub(crate) fn check_deployable(&self, field: &str) -> Result<(), Invalid> {
        if self.state == VersionState::Deployable {
            return Ok(());
        }
        Err(Invalid::field(field, "version-not-deployable", self.not_deployable()))
    }

    /// Why it cannot go into images.
    pub(crate) fn not_deployable(&self) -> String {
        format!("{} is {}; only deployable versions go into images.", self.reference(), self.state.as_str())
    }
}

/// The columns of a candidate.
macro_rules! candidate_select {
    ($from:literal) => {
        concat!(
            "SELECT v.id, v.name, v.sequence, v.state, l.id AS layer_id, l.name AS layer, l.kind, \
             l.os_layer_id, o.name AS os_layer, l.priority, l.platform FROM ",
            $from,
            " LEFT JOIN layers o ON o.id = l.os_layer_id "
        )
    };
}

const BY_VERSION: &str =
    concat!(candidate_select!("versions v JOIN layers l ON l.id = v.layer_id"), "WHERE v.id IN (?)");

/// Also gives layers that have no deployable version; their rows have no version.
const LATEST: &str = concat!(
    candidate_select!(
        "layers l LEFT JOIN versions v ON v.layer_id = l.id AND v.sequence = \
         (SELECT MAX(n.sequence) FROM versions n WHERE n.layer_id = l.id AND n.state = 'deployable')"
    ),
    "WHERE l.id IN (?)"
);

fn candidate(row: &Row) -> Result<Candidate, Refusal> {
    let os_layer: Option<LayerId> = super::optional_id(row, "os_layer_id")?;
    let platform = match row.optional_text("platform")? {
        Some(_) => Some(row.json("platform")?),
        None => None,
    };
    Ok(Candidate {
        version_id: super::id(row, "id")?,
        version: row.text("name")?,
        sequence: row.integer("sequence")?,
        state: super::word(row, "state", VersionState::parse)?,
        layer_id: super::id(row, "layer_id")?,
        layer: row.text("layer")?,
        kind: super::word(row, "kind", |text| text.parse().ok())?,
        os_layer: os_layer.zip(row.optional_text("os_layer")?),
        priority: row.integer("priority")?,
        platform,
    })
}

/// One version.
pub(crate) async fn version(rows: &mut impl Rows, id: VersionId) -> Result<Candidate, Refusal> {
    let found = for_each_of(rows, BY_VERSION, &[id]).await?;
    candidate(found.first().ok_or_else(|| Refusal::missing("version", id))?)
}

/// The latest deployable version of a layer; none when there is no such layer or it has none.
pub(crate) async fn latest(rows: &mut impl Rows, layer: LayerId) -> Result<Option<Candidate>, Refusal> {
    let found = Found::read(rows, &[Pick { version_id: None, layer_id: Some(layer) }]).await?;
    Ok(found.latest.into_values().flatten().next())
}

/// What picks lead to, read at once.
#[derive(Debug, Default)]
pub(crate) struct Found {
    versions: HashMap<VersionId, Candidate>,
    latest: HashMap<LayerId, Option<Candidate>>,
}

impl Found {
    /// Reads what all these picks lead to.
    pub(crate) async fn read(rows: &mut impl Rows, picks: &[Pick]) -> Result<Found, Refusal> {
        let versions: Vec<VersionId> = picks.iter().filter_map(|pick| pick.version_id).collect();
        let layers: Vec<LayerId> = picks.iter().filter_map(|pick| pick.layer_id).collect();
        let mut found = Found::default();
        for row in for_each_of(rows, BY_VERSION, &versions).await? {
            let candidate = candidate(&row)?;
            found.versions.insert(candidate.version_id, candidate);
        }
        for row in for_each_of(rows, LATEST, &layers).await? {
            let none = row.optional_text("id")?.is_none();
            let latest = if none { None } else { Some(candidate(&row)?) };
            found.latest.insert(super::id(&row, "layer_id")?, latest);
        }
        Ok(found)
    }

    /// The deployable version that a pick in `field` leads to. `was` tells its name, should it be gone.
    pub(crate) fn deployable(
        &self,
        field: &str,
        pick: Pick,
        was: impl Fn(VersionId) -> Option<String>,
    ) -> Result<&Candidate, Invalid> {
        match (pick.version_id, pick.layer_id) {
            (Some(id), None) => {
                let Some(candidate) = self.versions.get(&id) else {
                    let message = match was(id) {
                        Some(name) => format!("{name} is no longer there."),
                        None => format!("There is no version {id}."),
                    };
                    return Err(Invalid::field(field, "version-unknown", message));
                };
                candidate.check_deployable(field)?;
                Ok(candidate)
            }
            (None, Some(id)) => match self.latest.get(&id) {
                Some(Some(candidate)) => Ok(candidate),
                Some(None) => {
                    let message = format!("The layer {id} has no deployable version.");
                    Err(Invalid::field(field, "no-deployable-version", message))
                }
                None => Err(Invalid::field(field, "layer-unknown", format!("There is no layer {id}."))),
            },
            _ => Err(Invalid::field(
                field,
                "pick-one",
                "Give either version_id, or layer_id for the latest deployable version of that layer.",
            )),
        }
    }
}
