//! What versions from elsewhere become here: the rows of their layers and of themselves.
//!
//! A layer is the one of its kind and name that is here, or a new one. A version whose name its layer has already is
//! kept; whether it is the same the engine says, which knows both.

use super::super::sagas::{Incoming, VersionInStore};
use super::super::{Change, Refusal};
use super::importing::{ImportingVersion, Renames};
use super::layer_folder::{kind_of, reference_of};
use super::{LayerRow, VersionRow, insert_layer, put_version};
use crate::db::{Row, Statement};
use crate::domain::layer::{LayerKind, PlatformTypes, default_max_bytes};
use crate::domain::name::{self, Name};
use crate::domain::{Invalid, LayerId, VersionId, icon, reference};
use layering::report::{LayoutReport, LayoutVersion};
use layering::request::LayerRename;
use std::collections::HashMap;

/// What is to be imported, written down.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Every version, OS layers first.
    pub(super) versions: Vec<ImportingVersion>,
    /// Those that are new here.
    pub(super) new: Vec<Incoming>,
    /// References in the folder of those that are here already.
    pub(super) kept: Vec<String>,
    /// Layers that have other names in the store than in the folder.
    pub(super) rename: Vec<LayerRename>,
}

/// A layer of the folder as it is here.
#[derive(Debug, Clone)]
struct Here {
    id: LayerId,
    name: String,
    store_name: String,
    os_layer: Option<LayerId>,
    platform: Option<PlatformTypes>,
}

/// The versions that were asked for and the OS layers that they need and that are not here; those first.
pub(super) async fn with_os_layers<'r>(
    change: &mut Change<'_>,
    report: &'r LayoutReport,
    renames: &Renames,
    asked: Vec<&'r LayoutVersion>,
) -> Result<Vec<&'r LayoutVersion>, Refusal> {
    let mut chosen = asked.clone();
    for held in asked {
        let Some(os_layer) = held.version.os_layer.as_ref().map(ToString::to_string) else { continue };
        let key = name::key(&os_layer);
        let is_os = |other: &&LayoutVersion| {
            kind_of(other) == LayerKind::Os && name::key(&other.version.name.to_string()) == key
        };
        if chosen.iter().any(is_os) || has_deployable(change, &renames.of(LayerKind::Os, &os_layer)).await? {
            continue;
        }
        let made_on = |other: &LayoutVersion| held.made_on.as_deref() == Some(reference_of(other).as_str());
        let found = report.versions.iter().filter(is_os);
        let os = found.max_by_key(|other| (made_on(other), other.version.sequence)).ok_or_else(|| {
            let message = format!(
                "{} belongs to the OS layer {os_layer}, which is neither here nor in the folder.",
                reference_of(held)
            );
            Refusal::from(Invalid::field("versions", "layout-no-os-layer", message))
        })?;
        chosen.push(os);
    }
    chosen.sort_by_key(|held| {
        (kind_of(held), name::key(&held.version.name.to_string()), held.version.sequence)
    });
    let mut references: Vec<String> = chosen.iter().map(|held| name::key(&reference_of(held))).collect();
    references.sort_unstable();
    if let Some(twice) = references.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("The folder holds two versions of the name {}.", twice[0]);
        return Err(Invalid::field("versions", "layout-ambiguous", message).into());
    }
    Ok(chosen)
}

async fn has_deployable(change: &mut Change<'_>, os_layer: &str) -> Result<bool, Refusal> {
    let statement = Statement::new(
        "SELECT v.id FROM versions v JOIN layers l ON l.id = v.layer_id WHERE l.kind = 'os' \
         AND l.name_key = $1 AND v.state = 'deployable' LIMIT 1",
    )
    .bind(name::key(os_layer));
    Ok(change.optional(statement).await?.is_some())
}

/// Makes the rows of what is new, or refuses, naming every version that does not fit.
pub(super) async fn arrive(
    change: &mut Change<'_>,
    renames: &Renames,
    chosen: &[&LayoutVersion],
) -> Result<Arrival, Refusal> {
    let mut arrival = Arrival::default();
    let mut layers: HashMap<(LayerKind, String), Here> = HashMap::new();
    let mut invalid = Invalid::new();
    for held in chosen {
        let fitted = fit(change, renames, held, &mut layers, &mut arrival).await;
        match fitted {
            Err(refusal) if !refusal.fields.is_empty() => {
                for error in refusal.fields {
                    invalid.add(
                        "versions",
                        &error.code,
                        format!("{}: {}", reference_of(held), error.message),
                    );
                }
            }
            fitted => fitted?,
        }
    }
    invalid.finish()?;
    let os_layers = chosen.iter().filter_map(|held| held.version.os_layer.as_ref());
    let named = chosen
        .iter()
        .map(|held| (kind_of(held), held.version.name.to_string()))
        .chain(os_layers.map(|name| (LayerKind::Os, name.to_string())));
    for (kind, from) in named {
        let Some(here) = layers.get(&(kind, name::key(&renames.of(kind, &from)))) else { continue };
        let known = arrival
            .rename
            .iter()
            .any(|other| other.kind == kind && name::key(&other.from) == name::key(&from));
        if here.store_name != from && !known {
            arrival.rename.push(LayerRename { kind, from, to: here.store_name.clone() });
        }
    }
    let by_reference: HashMap<&str, VersionId> =
        arrival.versions.iter().map(|version| (version.from.as_str(), version.version_id)).collect();
    for incoming in &mut arrival.new {
        let Some(made_on) = &incoming.made_on else { continue };
        incoming.os_version = match by_reference.get(made_on.as_str()) {
            Some(here) => Some(*here),
            None => os_version(change, renames, made_on).await?,
        };
    }
    Ok(arrival)
}

/// The version here of an OS version that the folder names.
async fn os_version(
    change: &mut Change<'_>,
    renames: &Renames,
    made_on: &str,
) -> Result<Option<VersionId>, Refusal> {
    let Ok(reference) = reference::parse("made_on", made_on) else { return Ok(None) };
    let Some(version) = reference.version else { return Ok(None) };
    let statement = Statement::new(
        "SELECT v.id, v.store_version FROM versions v JOIN layers l ON l.id = v.layer_id \
         WHERE l.kind = 'os' AND l.name_key = $1 AND v.state = 'deployable'",
    )
    .bind(name::key(&renames.of(LayerKind::Os, reference.name.as_str())));
    for row in change.all(statement).await? {
        if name::key(&row.text("store_version")?) == name::key(version.as_str()) {
            return super::super::id(&row, "id").map(Some);
        }
    }
    Ok(None)
}

/// Fits one version in: finds or makes its layer, and finds or makes the version.
async fn fit(
    change: &mut Change<'_>,
    renames: &Renames,
    held: &LayoutVersion,
    layers: &mut HashMap<(LayerKind, String), Here>,
    arrival: &mut Arrival,
) -> Result<(), Refusal> {
    let (kind, from) = (kind_of(held), reference_of(held));
    let complaint = |code: &str, message: String| Refusal::from(Invalid::field("versions", code, message));
    let os_layer =
        match &held.version.os_layer {
            Some(os) => {
                let target = renames.of(LayerKind::Os, os.as_str());
                Some(here(change, LayerKind::Os, &target, layers).await?.ok_or_else(|| {
                    complaint("layout-no-os-layer", format!("There is no OS layer {target}."))
                })?)
            }
            None => None,
        };
    let target = renames.of(kind, held.version.name.as_str());
    let layer = match here(change, kind, &target, layers).await? {
        Some(layer) => {
            if layer.os_layer != os_layer.as_ref().map(|os| os.id) {
                let message = format!("The layer {kind}:{} here belongs to another OS layer.", layer.name);
                return Err(complaint("layer-of-other-os", message + " Import it under another name."));
            }
            if held.platform.is_some() && layer.platform != held.platform {
                let message = format!("The layer {kind}:{} here is for another platform.", layer.name);
                return Err(complaint("platform-types-differ", message + " Import it under another name."));
            }
            layer
        }
        None => {
            if kind == LayerKind::Platform && held.platform.is_none() {
                let message = "It does not say for which platform it is.".to_owned();
                return Err(complaint("platform-types-missing", message));
            }
            let name = Name::check("versions", &target)?;
            let row = LayerRow {
                kind,
                name: &name,
                description: "",
                os_layer: os_layer.as_ref().map(|os| os.id),
                icon: icon::of_layer(kind),
                platform: held.platform,
                hypervisor: None,
            };
            let (id, store_name) = insert_layer(change, &row).await?;
            let layer = Here {
                id,
                name: name.as_str().to_owned(),
                store_name,
                os_layer: row.os_layer,
                platform: held.platform,
            };
            layers.insert((kind, name.key()), layer.clone());
            layer
        }
    };
    let (version_id, name, kept) = version(change, &layer, kind, held).await?;
    let full = reference::of_version(kind, &layer.name, &name);
    arrival.versions.push(ImportingVersion {
        from: from.clone(),
        reference: full,
        layer_id: layer.id,
        version_id,
        kept,
    });
    if kept {
        arrival.kept.push(from);
        return Ok(());
    }
    let store_version = held.version.version.as_ref().map(ToString::to_string).unwrap_or_default();
    arrival.new.push(Incoming {
        version: VersionInStore {
            layer: layer.id,
            version: version_id,
            kind,
            store_name: layer.store_name,
            store_version,
        },
        from,
        made_on: held.made_on.clone(),
        os_version: None,
        prerequisites: held.prerequisites.clone(),
    });
    Ok(())
}

/// The layer of this kind and name, if it is here.
async fn here(
    change: &mut Change<'_>,
    kind: LayerKind,
    target: &str,
    layers: &mut HashMap<(LayerKind, String), Here>,
) -> Result<Option<Here>, Refusal> {
    let key = name::key(target);
    if let Some(known) = layers.get(&(kind, key.clone())) {
        return Ok(Some(known.clone()));
    }
    let statement = Statement::new(
        "SELECT id, name, store_name, os_layer_id, platform FROM layers WHERE kind = $1 AND name_key = $2",
    )
    .bind(kind.as_str())
    .bind(key.as_str());
    let Some(row) = change.optional(statement).await? else { return Ok(None) };
    let platform = match row.optional_text("platform")? {
        Some(_) => Some(row.json("platform")?),
        None => None,
    };
    let found = Here {
        id: super::super::id(&row, "id")?,
        name: row.text("name")?,
        store_name: row.text("store_name")?,
        os_layer: super::super::optional_id(&row, "os_layer_id")?,
        platform,
    };
    layers.insert((kind, key), found.clone());
    Ok(Some(found))
}

/// The version of a layer that this one is or becomes: its identifier, its name here, and whether it was here already.
async fn version(
    change: &mut Change<'_>,
    layer: &Here,
    kind: LayerKind,
    held: &LayoutVersion,
) -> Result<(VersionId, String, bool), Refusal> {
    let complaint = |code: &str, message: String| Refusal::from(Invalid::field("versions", code, message));
    let stored = held.version.version.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = Name::check("versions", &stored)?;
    let others = Statement::new(
        "SELECT id, name, name_key, sequence, state, store_version FROM versions WHERE layer_id = $1",
    )
    .bind(layer.id.to_string());
    let mut sequence = 0;
    let mut taken: Option<Row> = None;
    for row in change.all(others).await? {
        sequence = sequence.max(row.integer("sequence")?);
        if name::key(&row.text("store_version")?) == name::key(&stored) {
            let (here, state) = (row.text("name")?, row.text("state")?);
            if state != "deployable" {
                let message = format!("The version {here} here is {state}. Wait until it is deployable.");
                return Err(complaint("version-not-deployable", message));
            }
            return Ok((super::super::id(&row, "id")?, here, true));
        }
        if row.text("name_key")? == name.key() {
            taken = Some(row);
        }
    }
    if taken.is_some() {
        let message = format!("The layer {kind}:{} has another version of this name.", layer.name);
        return Err(complaint(
            "name-taken",
            message + " Rename that one, or import under another layer name.",
        ));
    }
    if held.absent > 0 {
        let message = format!("{} of its files are missing in the folder. Export it again.", held.absent);
        return Err(complaint("layout-incomplete", message));
    }
    let size = i64::try_from(held.version.size).unwrap_or(i64::MAX);
    let row = VersionRow {
        layer: layer.id,
        name: &name,
        description: "",
        max_bytes: default_max_bytes(kind).max(size),
    };
    let id = put_version(change, &row, sequence + 1, &stored).await?;
    Ok((id, name.as_str().to_owned(), false))
}
