//! Making layers and versions, finalizing, deleting and publishing them: what is checked and written down before a task
//! begins. What the tasks do then is in `sagas`.

mod deleting;
mod exporting;
mod finalizing;
mod importing;
mod incoming;
mod layer_folder;
mod os_layers;
mod packaging;
mod place;
mod publishing;
mod reports;
mod stored;

pub use deleting::Started;
pub use exporting::ExportLayers;
pub use finalizing::Finalize;
pub use importing::{ImportLayers, Importing, ImportingVersion, RenameLayer};
pub use layer_folder::{ExportedLayers, ExportedLayersQuery, ExportedVersion, UnreadableVersion};
pub use os_layers::NewOsLayer;
pub use packaging::{NewAppLayer, NewPackaging, NewPlatformLayer, NewVersion};
pub use publishing::{PublishTemplate, PublishTemplates, Publishing, PublishingTask};
pub use reports::DiffQuery;

use super::rows::Rows;
use super::{Change, Object, Reason, Refusal};
use crate::db::Statement;
use crate::domain::layer::{LayerKind, PlatformTypes};
use crate::domain::name::{self, Name};
use crate::domain::{ConfigurationId, IconId, Invalid, LayerId, TaskId, VersionId};
use connectors::DiskName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A version that is being made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Making {
    /// The layer.
    pub layer_id: LayerId,
    /// The version.
    pub version_id: VersionId,
    /// The task that makes it.
    pub task_id: TaskId,
}

/// A layer to be inserted.
#[derive(Debug)]
struct LayerRow<'a> {
    kind: LayerKind,
    name: &'a Name,
    description: &'a str,
    os_layer: Option<LayerId>,
    icon: IconId,
    platform: Option<PlatformTypes>,
    hypervisor: Option<&'a str>,
}

/// Inserts a layer and gives its identifier and its name in the store.
async fn insert_layer(change: &mut Change<'_>, layer: &LayerRow<'_>) -> Result<(LayerId, String), Refusal> {
    let id = LayerId::new();
    let kind = layer.kind.as_str();
    let taken = Statement::new("SELECT id FROM layers WHERE kind = $1 AND name_key = $2")
        .bind(kind)
        .bind(layer.name.key());
    if change.optional(taken).await?.is_some() {
        let message =
            format!("There is a layer {kind}:{} already; names compare without case.", layer.name.as_str());
        return Err(Invalid::field("name", "name-taken", message).into());
    }
    let store_name = free_store_name(change, kind, layer.name).await?;
    let highest =
        Statement::new("SELECT COALESCE(MAX(priority), 0) AS n FROM layers WHERE kind = $1").bind(kind);
    let priority = change.optional(highest).await?.map(|row| row.integer("n")).transpose()?.unwrap_or(0) + 1;
    let statement = Statement::new(
        "INSERT INTO layers (id, kind, name, name_key, description, os_layer_id, icon_id, priority, platform, \
         hypervisor, store_name, store_key, created_at, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)",
    )
    .bind(id.to_string())
    .bind(kind)
    .bind(layer.name.as_str())
    .bind(layer.name.key())
    .bind(layer.description)
    .bind(layer.os_layer.map(|id| id.to_string()))
    .bind(layer.icon.to_string())
    .bind(priority)
    .bind(layer.platform.map(|types| serde_json::to_string(&types)).transpose().map_err(Refusal::internal)?)
    .bind(layer.hypervisor)
    .bind(store_name.as_str())
    .bind(name::key(&store_name))
    .bind(change.now().millis());
    change.execute(statement).await?;
    Ok((id, store_name))
}

/// Longest name in the store, in characters.
const LONGEST_STORE_NAME: usize = 100;

/// `name`, with a number behind it when the store has it: a layer that has another name now may be stored under it.
fn numbered(name: &str, number: usize) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let ending = format!(" ({number})");
    let kept: String = name.chars().take(LONGEST_STORE_NAME - ending.len()).collect();
    format!("{}{ending}", kept.trim_end())
}

async fn free_store_name(change: &mut Change<'_>, kind: &str, name: &Name) -> Result<String, Refusal> {
    for number in 1..1000 {
        let candidate = numbered(name.as_str(), number);
        let taken = Statement::new("SELECT id FROM layers WHERE kind = $1 AND store_key = $2")
            .bind(kind)
            .bind(name::key(&candidate));
        if change.optional(taken).await?.is_none() {
            return Ok(candidate);
        }
    }
    Err(Refusal::internal(format!("no name in the store is free for {}", name.as_str())))
}

/// A version to be inserted.
#[derive(Debug)]
struct VersionRow<'a> {
    layer: LayerId,
    name: &'a Name,
    description: &'a str,
    max_bytes: i64,
}

/// Inserts a version in the state `creating` and gives its identifier and its version in the store.
async fn insert_version(
    change: &mut Change<'_>,
    version: &VersionRow<'_>,
) -> Result<(VersionId, String), Refusal> {
    let layer = version.layer.to_string();
    let others = Statement::new(
        "SELECT name, name_key, sequence, state, store_version FROM versions WHERE layer_id = $1",
    )
    .bind(layer.as_str());
    let mut sequence = 0;
    let mut stored = Vec::new();
    for row in change.all(others).await? {
        if row.text("name_key")? == version.name.key() {
            let message = format!("The layer has a version {} already.", version.name.as_str());
            return Err(Invalid::field("version", "name-taken", message).into());
        }
        let state = row.text("state")?;
        if matches!(state.as_str(), "creating" | "packaging" | "finalizing") {
            return Err(Refusal::new(
                Reason::Conflict,
                "version-in-packaging",
                format!("The version {} of this layer is in packaging already.", row.text("name")?),
            )
            .hint("Finalize or delete that version first."));
        }
        sequence = sequence.max(row.integer("sequence")?);
        stored.push(name::key(&row.text("store_version")?));
    }
    let store_version = (1..)
        .map(|number| numbered(version.name.as_str(), number))
        .find(|candidate| !stored.contains(&name::key(candidate)))
        .unwrap_or_default();
    let id = put_version(change, version, sequence + 1, &store_version).await?;
    Ok((id, store_version))
}

/// Inserts a version in the state `creating`, at a position of its layer and with a name in the store that are free.
async fn put_version(
    change: &mut Change<'_>,
    version: &VersionRow<'_>,
    sequence: i64,
    store_version: &str,
) -> Result<VersionId, Refusal> {
    let id = VersionId::new();
    let statement = Statement::new(
        "INSERT INTO versions (id, layer_id, sequence, name, name_key, description, state, store_version, \
         max_bytes, created_at, revision) VALUES ($1, $2, $3, $4, $5, $6, 'creating', $7, $8, $9, 1)",
    )
    .bind(id.to_string())
    .bind(version.layer.to_string())
    .bind(sequence)
    .bind(version.name.as_str())
    .bind(version.name.key())
    .bind(version.description)
    .bind(store_version)
    .bind(version.max_bytes)
    .bind(change.now().millis());
    change.execute(statement).await?;
    Ok(id)
}

/// The kind of connector of a configuration.
async fn connector_of(
    rows: &mut impl Rows,
    field: &str,
    configuration: ConfigurationId,
) -> Result<String, Refusal> {
    let statement = Statement::new("SELECT connector FROM connector_configurations WHERE id = $1");
    match rows.optional(statement.bind(configuration.to_string())).await? {
        Some(row) => Ok(row.text("connector")?),
        None => {
            let message = format!("There is no connector configuration {configuration}.");
            Err(Invalid::field(field, "configuration-unknown", message).into())
        }
    }
}

/// A disk's name that was sent in `field`, checked.
fn disk_name(field: &str, text: &str) -> Result<DiskName, Invalid> {
    text.parse()
        .map_err(|refused: connectors::NameRefused| Invalid::field(field, "disk-name", refused.to_string()))
}

/// The object of the audit history and of the task: a version, by its reference.
fn version_object<'a>(id: &'a str, reference: &'a str) -> Object<'a> {
    Object { kind: "version", id, name: reference }
}
