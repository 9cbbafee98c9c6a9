//! Importing layer versions from a folder on a share.

use super::super::sagas::{IMPORT_LAYERS, ImportLayersTask};
use super::super::tasks::Wanted;
use super::super::{App, Begun, Call, Refusal};
use super::exporting::{check_count, folder_id, folder_object};
use super::incoming::Arrival;
use super::layer_folder::reference_of;
use super::{disk_name, incoming};
use crate::domain::layer::LayerKind;
use crate::domain::name::{self, Name};
use crate::domain::{Action, ConfigurationId, Invalid, LayerId, TaskId, VersionId};
use layering::report::{LayoutReport, LayoutVersion};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Layer versions to be imported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportLayers {
    /// The folder's name on the share.
    pub folder: String,
    /// References of the versions, as the folder has them; everything that it holds when empty. An OS layer that they
    /// belong to and that is not here comes with them, if the folder has it.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub versions: Vec<String>,
    /// Layers that get other names here.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub rename: Vec<RenameLayer>,
    /// Where the folder is; the file share when absent.
    pub configuration_id: Option<ConfigurationId>,
}

/// Another name for a layer that is imported. Layers that belong to an OS layer follow it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameLayer {
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Its name in the folder.
    pub from: String,
    /// Its name here.
    #[schema(min_length = 1, max_length = 100)]
    pub to: String,
}

/// What is being imported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Importing {
    /// The task that imports.
    pub task_id: TaskId,
    /// The versions, OS layers first.
    pub versions: Vec<ImportingVersion>,
}

/// A version that is being imported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportingVersion {
    /// Its reference in the folder.
    pub from: String,
    /// Its reference here.
    pub reference: String,
    /// Its layer.
    pub layer_id: LayerId,
    /// The version.
    pub version_id: VersionId,
    /// Whether it was here already. The task sees to it that it is the same.
    pub kept: bool,
}

/// The names that layers get here, by their kinds and names in the folder.
#[derive(Debug)]
pub(super) struct Renames(HashMap<(LayerKind, String), Name>);

impl Renames {
    fn check(renames: &[RenameLayer]) -> Result<Renames, Invalid> {
        let (mut invalid, mut names) = (Invalid::new(), HashMap::new());
        for (index, rename) in renames.iter().enumerate() {
            let field = format!("rename[{index}]");
            let to = invalid.take(Name::check(&format!("{field}.to"), &rename.to));
            let again = to.and_then(|to| names.insert((rename.kind, name::key(&rename.from)), to));
            if again.is_some() {
                invalid.add(&field, "layer-twice", "This layer has got another name already.");
            }
        }
        invalid.finish()?;
        Ok(Renames(names))
    }

    /// The name here of a layer of the folder.
    pub(super) fn of(&self, kind: LayerKind, layer: &str) -> String {
        self.0.get(&(kind, name::key(layer))).map_or(layer, |name| name.as_str()).to_owned()
    }
}

impl App {
    /// Imports layer versions: a task reads them from a folder on a share.
    pub async fn import_layers(&self, call: &Call, wanted: &ImportLayers) -> Result<Importing, Refusal> {
        call.may(Action::ImportLayers)?;
        let mut invalid = Invalid::new();
        let folder = invalid.take(disk_name("folder", &wanted.folder));
        check_count(&mut invalid, wanted.versions.len(), 0);
        check_count_of_renames(&mut invalid, wanted.rename.len());
        let (Some(folder), Some(renames)) = (folder, invalid.take(Renames::check(&wanted.rename))) else {
            return Err(invalid.into());
        };
        invalid.finish()?;
        let configuration = self.place_or_share(wanted.configuration_id).await?;
        let (report, _) = self.look_into(configuration, &folder).await?;
        let asked = asked_for(&report, &wanted.versions)?;

        let mut change = match self.begin_creating(call, Action::ImportLayers, wanted).await? {
            Begun::Before(importing) => return Ok(importing),
            Begun::Now(change) => change,
        };
        let chosen = incoming::with_os_layers(&mut change, &report, &renames, asked).await?;
        for held in &chosen {
            call.may_manage(Action::ImportLayers, super::layer_folder::kind_of(held))?;
        }
        let Arrival { versions, new, kept, rename } =
            incoming::arrive(&mut change, &renames, &chosen).await?;
        let (task, id) = (TaskId::new(), folder_id(configuration, &folder));
        let object = folder_object(&id, &folder);
        let description = format!("Importing {} layer versions from the folder {folder}.", new.len());
        let parameters = ImportLayersTask { configuration, folder: folder.clone(), new, kept, rename };
        let task_wanted =
            Wanted { saga: IMPORT_LAYERS, title: "Import Layers", description, object, parameters };
        self.enqueue(&mut change, task, task_wanted).await?;
        let made = versions.iter().filter(|version| !version.kept);
        let also: Vec<_> = made
            .flat_map(|it| [("version", it.version_id.to_string()), ("layer", it.layer_id.to_string())])
            .collect();
        let detail = serde_json::json!({ "request": wanted, "versions": versions });
        change.audit_touching(Action::ImportLayers, object, &also, &detail).await?;
        let importing = Importing { task_id: task, versions };
        change.remember(&importing).await?;
        change.commit().await?;
        Ok(importing)
    }
}

fn check_count_of_renames(invalid: &mut Invalid, count: usize) {
    if count > super::exporting::MOST_VERSIONS {
        invalid.add("rename", "too-many", "At most 200 layers get other names.");
    }
}

/// The versions of the folder that are asked for, each once.
fn asked_for<'r>(report: &'r LayoutReport, named: &[String]) -> Result<Vec<&'r LayoutVersion>, Refusal> {
    if named.is_empty() {
        // All of it was asked for, so what cannot be read is not left out.
        if let Some(unreadable) = report.unreadable.first() {
            return Err(Invalid::field("folder", &unreadable.code, unreadable.message.clone()).into());
        }
        if report.versions.is_empty() {
            return Err(Invalid::field("folder", "layout-empty", "The folder holds no layers.").into());
        }
        if report.versions.len() > super::exporting::MOST_VERSIONS {
            let message = format!("The folder holds {} versions; name at most 200.", report.versions.len());
            return Err(Invalid::field("versions", "too-many", message).into());
        }
        return Ok(report.versions.iter().collect());
    }
    let mut invalid = Invalid::new();
    let mut asked: Vec<&LayoutVersion> = Vec::new();
    for (index, text) in named.iter().enumerate() {
        let key = name::key(text);
        match report.versions.iter().find(|held| name::key(&reference_of(held)) == key) {
            Some(held) => {
                if !asked.iter().any(|other| other.manifest == held.manifest) {
                    asked.push(held);
                }
            }
            None => {
                let message =
                    format!("The folder holds no {text}. Its versions are written like app:Office@2.");
                invalid.add(&format!("versions[{index}]"), "layout-not-held", message);
            }
        }
    }
    invalid.finish()?;
    Ok(asked)
}
