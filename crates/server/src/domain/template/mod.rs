//! Image templates: what goes into an image.

mod compare;
mod disk;

pub use compare::{AppChange, Comparison, FieldChange};
pub use disk::{DiskFormat, DiskSettings, Generalisation, RecoveryRule};

use super::{ConfigurationId, IconId, LayerId, VersionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most apps in a template.
pub const MOST_APPS: usize = 200;

/// A layer version, with the names that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerVersion {
    /// The layer.
    pub layer_id: LayerId,
    /// Its name.
    pub layer: String,
    /// The version.
    pub version_id: VersionId,
    /// Its name.
    pub version: String,
}

/// An app in a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppVersion {
    /// The layer.
    pub layer_id: LayerId,
    /// Its name.
    pub layer: String,
    /// The version.
    pub version_id: VersionId,
    /// Its name.
    pub version: String,
    /// The layer's priority in this template; without one it has its own.
    pub priority: Option<i64>,
    /// The layer's own priority.
    pub layer_priority: i64,
}

/// A connector configuration, with the name that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationName {
    /// The configuration.
    pub id: ConfigurationId,
    /// Its name.
    pub name: String,
}

/// What a template says. Versions are pinned: a new version of a layer changes no template by itself.
///
/// Revisions keep it with the names of that time, so that they can be read when a layer is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateContent {
    /// The template's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its icon.
    pub icon_id: IconId,
    /// The OS version.
    pub os: LayerVersion,
    /// The publishing platform version; required to publish.
    pub platform: Option<LayerVersion>,
    /// The apps, lowest priority first.
    pub apps: Vec<AppVersion>,
    /// To where images are published; required to publish.
    pub configuration: Option<ConfigurationName>,
    /// The image's disk.
    pub disk: DiskSettings,
}

impl AppVersion {
    /// The priority that counts.
    pub fn effective_priority(&self) -> i64 {
        self.priority.unwrap_or(self.layer_priority)
    }
}

impl TemplateContent {
    /// Puts the apps into their order: lowest priority first, of equal ones the layer that was made earlier.
    pub fn sort_apps(&mut self) {
        self.apps.sort_by_key(|app| (app.effective_priority(), app.layer_id));
    }
}
