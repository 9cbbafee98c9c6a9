//! Exporting layer versions to a folder on a share.

use super::super::resolve::any_version;
use super::super::sagas::{EXPORT_LAYERS, ExportLayersTask};
use super::super::tasks::Wanted;
use super::super::{App, Begun, Call, Change, Object, Reason, Refusal};
use super::deleting::Started;
use super::disk_name;
use super::stored::Stored;
use crate::db::Statement;
use crate::domain::layer::VersionState;
use crate::domain::{Action, ConfigurationId, Invalid, TaskId, VersionId, name};
use connectors::DiskName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most versions in one export or import.
pub(super) const MOST_VERSIONS: usize = 200;
/// Kind of the object of such tasks.
const KIND: &str = "layer-folder";

/// Layer versions to be exported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportLayers {
    /// The versions: identifiers, or references such as `app:Office@2`; without a version the latest deployable one.
    #[schema(min_items = 1, max_items = 200)]
    pub versions: Vec<String>,
    /// The folder's name on the share. It is made when there is none; the one that it is to lie in has to exist.
    pub folder: String,
    /// With each app and platform version also the OS version that it was made on, or where that is gone the latest of
    /// its OS layer.
    #[serde(default)]
    pub with_os: bool,
    /// Where to; the file share when absent.
    pub configuration_id: Option<ConfigurationId>,
}

impl App {
    /// Exports layer versions: a task writes them into a folder on a share.
    pub async fn export_layers(&self, call: &Call, wanted: &ExportLayers) -> Result<Started, Refusal> {
        call.may(Action::ExportLayers)?;
        let mut invalid = Invalid::new();
        let folder = invalid.take(disk_name("folder", &wanted.folder));
        check_count(&mut invalid, wanted.versions.len(), 1);
        let Some(folder) = folder else { return Err(invalid.into()) };
        invalid.finish()?;
        let configuration = self.place_or_share(wanted.configuration_id).await?;
        self.layer_place(configuration).await?;

        let mut change = match self.begin_creating(call, Action::ExportLayers, wanted).await? {
            Begun::Before(started) => return Ok(started),
            Begun::Now(change) => change,
        };
        let versions = chosen(&mut change, &wanted.versions).await?;
        let stored = Stored::read(&mut change, &versions).await?;
        let references: Vec<String> =
            versions.iter().map(|version| stored.reference(*version)).collect::<Result<_, _>>()?;
        let id = folder_id(configuration, &folder);
        refuse_busy(&mut change, &id, &folder).await?;
        let parameters = ExportLayersTask {
            configuration,
            folder: folder.clone(),
            references,
            with_os: wanted.with_os,
            object: id.clone(),
        };
        let task = TaskId::new();
        let object = folder_object(&id, &folder);
        let count = versions.len();
        let description = format!("Exporting {count} layer versions to the folder {folder}.");
        let task_wanted =
            Wanted { saga: EXPORT_LAYERS, title: "Export Layers", description, object, parameters };
        self.enqueue(&mut change, task, task_wanted).await?;
        let also: Vec<_> = versions.iter().map(|version| ("version", version.to_string())).collect();
        let detail = serde_json::json!({ "request": wanted });
        change.audit_touching(Action::ExportLayers, object, &also, &detail).await?;
        let started = Started { task_id: task };
        change.remember(&started).await?;
        change.commit().await?;
        Ok(started)
    }
}

/// Complains unless so many versions can be asked for.
pub(super) fn check_count(invalid: &mut Invalid, count: usize, least: usize) {
    if !(least..=MOST_VERSIONS).contains(&count) {
        let message = format!("{least} to {MOST_VERSIONS} versions go at once.");
        invalid.add("versions", "out-of-range", message);
    }
}

/// What identifies a folder: names of shares compare without case.
pub(super) fn folder_id(configuration: ConfigurationId, folder: &DiskName) -> String {
    format!("{configuration}/{}", name::key(folder.as_str()))
}

/// The object of the audit history and of tasks: a folder of layers.
pub(super) fn folder_object<'a>(id: &'a str, folder: &'a DiskName) -> Object<'a> {
    Object { kind: KIND, id, name: folder.as_str() }
}

/// The deployable versions that are named, each once.
async fn chosen(change: &mut Change<'_>, named: &[String]) -> Result<Vec<VersionId>, Refusal> {
    let mut invalid = Invalid::new();
    let mut versions = Vec::new();
    for (index, text) in named.iter().enumerate() {
        let field = format!("versions[{index}]");
        let found = any_version(change, &field, text).await?;
        let deployable = found.and_then(|candidate| {
            if candidate.state == VersionState::Deployable {
                return Ok(candidate.version_id);
            }
            let state = candidate.state.as_str();
            let message = format!("{} is {state}; only deployable versions go out.", candidate.reference());
            Err(Invalid::field(&field, "version-not-deployable", message))
        });
        if let Some(version) = invalid.take(deployable)
            && !versions.contains(&version)
        {
            versions.push(version);
        }
    }
    invalid.finish()?;
    Ok(versions)
}

/// Refuses when another task writes into the folder.
async fn refuse_busy(change: &mut Change<'_>, id: &str, folder: &DiskName) -> Result<(), Refusal> {
    let other = Statement::new(
        "SELECT id FROM tasks WHERE object_kind = $1 AND object_id = $2 AND kind = $3 AND ended_at IS NULL",
    )
    .bind(KIND)
    .bind(id)
    .bind(EXPORT_LAYERS);
    match change.optional(other).await? {
        None => Ok(()),
        Some(row) => {
            let message = format!("The task {} exports to the folder {folder} already.", row.text("id")?);
            Err(Refusal::new(Reason::Conflict, "folder-busy", message)
                .hint("Wait for that task, or choose another folder."))
        }
    }
}
