//! What a folder of exported layers holds.

use super::super::{App, Call, Reason, Refusal, layouts};
use super::{connector_of, disk_name};
use crate::domain::layer::{LayerKind, PlatformTypes};
use crate::domain::{Action, ConfigurationId, Invalid, Time, reference};
use connectors::{Connector, DiskName, Location, Watch};
use layering::report::{LayoutReport, LayoutVersion};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use worker::{Job, Outcome};

/// What names of copies begin with that are made to look into a folder.
const LOOK: &str = "look-";

/// Which folder.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportedLayersQuery {
    /// The folder's name on the share.
    pub folder: String,
    /// Where it is; the file share when absent.
    pub configuration_id: Option<ConfigurationId>,
}

/// What a folder of exported layers holds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedLayers {
    /// Where it is.
    pub location: String,
    /// The layer versions, OS layers first.
    pub versions: Vec<ExportedVersion>,
    /// What says that it is a layer version and cannot be read.
    pub unreadable: Vec<UnreadableVersion>,
    /// How many other things it holds.
    pub foreign: u64,
}

/// A layer version in a folder.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedVersion {
    /// Its reference there, by which it is imported.
    pub reference: String,
    /// Kind of its layer.
    pub kind: LayerKind,
    /// Name of its layer.
    pub layer: String,
    /// Its name.
    pub version: String,
    /// The OS layer that it belongs to; OS layers have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_layer: Option<String>,
    /// The OS version that it was made on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_on: Option<String>,
    /// The app versions that were on its packaging disk as well.
    pub prerequisites: Vec<String>,
    /// Of a platform version: what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformTypes>,
    /// Bytes that it adds.
    pub added_bytes: u64,
    /// Bytes of its files in the folder, those included that it shares with other versions.
    pub packed_bytes: u64,
    /// Whether all of its files are there.
    pub complete: bool,
    /// Digest of its record, by which it is the same wherever it is.
    pub digest: String,
    /// When it was made.
    pub created_at: Time,
}

/// Something in a folder that cannot be read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnreadableVersion {
    /// Stable code, such as `layout-newer`.
    pub code: String,
    /// Which, and why.
    pub message: String,
}

impl App {
    /// What a folder of exported layers holds.
    pub async fn exported_layers(
        &self,
        call: &Call,
        query: &ExportedLayersQuery,
    ) -> Result<ExportedLayers, Refusal> {
        call.may(Action::ListExportedLayers)?;
        let folder = disk_name("folder", &query.folder)?;
        let configuration = self.place_or_share(query.configuration_id).await?;
        let (report, location) = self.look_into(configuration, &folder).await?;
        let unreadable = report.unreadable.into_iter();
        Ok(ExportedLayers {
            location: location.text,
            versions: report.versions.iter().map(view).collect(),
            unreadable: unreadable
                .map(|one| UnreadableVersion { code: one.code, message: one.message })
                .collect(),
            foreign: report.foreign,
        })
    }

    /// The connector of a place that keeps folders of layers; complains otherwise.
    pub(super) async fn layer_place(
        &self,
        configuration: ConfigurationId,
    ) -> Result<Arc<dyn Connector>, Refusal> {
        const FIELD: &str = "configuration_id";
        let kind = connector_of(&mut &self.db, FIELD, configuration).await?;
        let connector = self.connect(configuration).await?;
        if !connector.capabilities().keeps_folders {
            let message = format!("Connectors of the kind {kind} keep no exported layers.");
            return Err(Invalid::field(FIELD, "connector-cannot", message).into());
        }
        Ok(connector)
    }

    /// Reads what a folder says that it holds.
    pub(super) async fn look_into(
        &self,
        configuration: ConfigurationId,
        folder: &DiskName,
    ) -> Result<(LayoutReport, Location), Refusal> {
        let connector = self.layer_place(configuration).await?;
        let name = folder.clone();
        let ask = |connector: Arc<dyn Connector>| async move { connector.folder(&name).await };
        let found = self.ask_connector(Arc::clone(&connector), ask).await?;
        if !found.exists {
            let message = format!("There is no folder {}.", found.location.text);
            return Err(Refusal::new(Reason::Missing, "folder-missing", message)
                .hint("See whether its name is right and whether layers were exported to it."));
        }
        let (_copy, directory) = match found.here {
            Some(here) => (None, here),
            None => {
                let copy = self.copy_folder()?;
                let (name, target) = (folder.clone(), copy.path().to_owned());
                let ask = |connector: Arc<dyn Connector>| async move {
                    layouts::outline(&*connector, &name, &target, &Watch::silent()).await
                };
                let rest = self.ask_connector(connector, ask).await?;
                let target = copy.path().to_owned();
                let filled = target.clone();
                crate::app::engine::blocking(move || layouts::fill(&filled, &rest))
                    .await
                    .map_err(|failure| Refusal { reason: Reason::Internal, failure, fields: Vec::new() })?;
                (Some(copy), target)
            }
        };
        let job = Job::ListLayout { directory, files_of: Vec::new() };
        match self.ask_engine(job).await? {
            Outcome::ListLayout(report) => Ok((report, found.location)),
            _ => Err(Refusal::internal("the engine answered something else than it was asked")),
        }
    }

    /// Removes copies of folders that a server which was killed has left behind.
    pub(crate) fn forget_looks(&self) {
        let Ok(entries) = std::fs::read_dir(&self.scratch) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(LOOK)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "a copy of a folder could not be removed");
            }
        }
    }

    /// A folder that goes when it is dropped.
    fn copy_folder(&self) -> Result<tempfile::TempDir, Refusal> {
        let made = std::fs::create_dir_all(&self.scratch)
            .and_then(|()| tempfile::Builder::new().prefix(LOOK).tempdir_in(&self.scratch));
        made.map_err(|error| Refusal::internal(format!("no folder can be made in the scratch: {error}")))
    }
}

/// The reference of a version as the folder has it.
pub(super) fn reference_of(held: &LayoutVersion) -> String {
    let version = held.version.version.as_ref().map_or("", |version| version.as_str());
    format!("{}:{}@{version}", held.version.kind.as_str(), held.version.name)
}

/// The kind of its layer; what else a folder says is no layer version.
pub(super) fn kind_of(held: &LayoutVersion) -> LayerKind {
    match held.version.kind {
        reference::ObjectKind::Os => LayerKind::Os,
        reference::ObjectKind::Platform => LayerKind::Platform,
        reference::ObjectKind::App | reference::ObjectKind::Image => LayerKind::App,
    }
}

fn view(held: &LayoutVersion) -> ExportedVersion {
    let version = &held.version;
    ExportedVersion {
        reference: reference_of(held),
        kind: kind_of(held),
        layer: version.name.to_string(),
        version: version.version.as_ref().map(ToString::to_string).unwrap_or_default(),
        os_layer: version.os_layer.as_ref().map(ToString::to_string),
        made_on: held.made_on.clone(),
        prerequisites: held.prerequisites.clone(),
        platform: held.platform,
        added_bytes: version.size,
        packed_bytes: held.packed,
        complete: held.absent == 0,
        digest: version.id.clone(),
        created_at: Time::from_millis(i64::try_from(held.created).unwrap_or(0).saturating_mul(1000)),
    }
}
