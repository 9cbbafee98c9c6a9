//! What the engine is asked to do: plain data that a command line, a server or a test fills in.

use crate::reference::LayerKind;
use crate::report::{CompositeSpec, VersionSpec};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// Imports a disk as a version of an OS layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The disk image, in any supported format.
    pub disk: PathBuf,
    /// Name of the OS layer.
    pub name: String,
    /// Version.
    pub version: String,
    /// Number of the partition that is the OS volume, where the disk alone does not tell.
    #[serde(default)]
    pub volume: Option<u32>,
    /// Most that the version may add, bytes; 100 GiB when absent.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// Follow a reference to a backing file.
    #[serde(default)]
    pub allow_backing: bool,
    /// Why findings of the integrity check are overridden; recorded in the version.
    #[serde(default)]
    pub override_reason: Option<String>,
}

/// Examines a disk that may become a layer version. No store is needed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IntegrityRequest {
    /// The disk image, in any supported format.
    pub disk: PathBuf,
    /// Number of the partition that is the OS volume, where the disk alone does not tell.
    #[serde(default)]
    pub volume: Option<u32>,
    /// Kind of the layer that the version would be of.
    pub kind: LayerKind,
    /// Follow a reference to a backing file.
    #[serde(default)]
    pub allow_backing: bool,
}

/// Examines an OS version or image of the store in the same way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredIntegrityRequest {
    /// Reference of the OS version or image.
    pub image: String,
    /// Kind of the layer that a version of it would be of.
    pub kind: LayerKind,
}

/// Writes a packaging disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackagingDiskRequest {
    /// What the disk contains.
    pub composite: CompositeSpec,
    /// Format of the file.
    #[serde(with = "format_name")]
    pub format: disk::format::Format,
    /// The file to write.
    pub out: PathBuf,
}

/// Captures what changed on a returned packaging disk as a layer version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaptureRequest {
    /// What the packaging disk contained.
    pub composite: CompositeSpec,
    /// The returned disk.
    pub disk: PathBuf,
    /// The new version.
    pub version: VersionSpec,
    /// The only ranges of the disk, bytes, that may differ from what it contained: what a platform's snapshot difference
    /// says. Nothing else is read then. When absent the disk is compared.
    #[serde(default)]
    pub changed: Option<Vec<Range<u64>>>,
    /// Skip files whose records are equal without comparing contents.
    #[serde(default)]
    pub trust_metadata: bool,
    /// Follow references of the image to backing files.
    #[serde(default)]
    pub allow_backing: bool,
    /// Why findings of the integrity check are overridden; recorded in the version.
    #[serde(default)]
    pub override_reason: Option<String>,
}

/// Composes an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComposeRequest {
    /// What goes in; `platform` is the publishing platform layer.
    pub composite: CompositeSpec,
    /// Name of the image.
    pub image: String,
    /// Length of the disk in bytes; the larger of 100 GiB and the OS disk when absent.
    #[serde(default)]
    pub size: Option<u64>,
    /// What to do with a partition that is in the way of growth; refuse when absent.
    #[serde(default)]
    pub recovery: Option<Recovery>,
}

/// What to do with a (recovery) partition behind the OS volume when the disk grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// Move it to the new end.
    Move,
    /// Leave it out.
    Drop,
}

/// Exports an image to a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Reference of the image.
    pub image: String,
    /// Format of the file.
    #[serde(with = "format_name")]
    pub format: disk::format::Format,
    /// The file to write.
    pub out: PathBuf,
}

/// Writes layer versions into an OCI image layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportLayersRequest {
    /// References of the versions; of a layer without version, the latest.
    pub references: Vec<String>,
    /// The layout. It is made if the directory is empty or does not exist; its parent must exist.
    pub directory: PathBuf,
    /// With each app and platform version also the OS version that it was made on, or where that is gone the latest of
    /// its OS layer.
    #[serde(default)]
    pub with_os: bool,
}

/// Reads layer versions from an OCI image layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportLayersRequest {
    /// The layout.
    pub directory: PathBuf,
    /// References of the versions as they are in the layout; everything that it holds when empty. An OS layer that they
    /// need and that the store lacks comes with them if the layout has it.
    #[serde(default)]
    pub references: Vec<String>,
    /// Layers that get other names here.
    #[serde(default)]
    pub rename: Vec<LayerRename>,
    /// Most content of one version, bytes, zeros included; 100 GiB when absent.
    #[serde(default)]
    pub max_size: Option<u64>,
}

/// Another name for a layer that is imported. Layers that belong to an OS layer follow it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerRename {
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Its name in the layout.
    pub from: String,
    /// Its name in the store.
    pub to: String,
}

/// Writes the registry of an image or layer version, or a part of it, to a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryExportRequest {
    /// Of what.
    pub of: RegistryOf,
    /// Which part.
    pub scope: RegistryScope,
    /// Format of the file.
    pub format: RegistryFormat,
    /// The file to write.
    pub out: PathBuf,
}

/// Whose registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistryOf {
    /// Of the image with this reference.
    Image(String),
    /// Of the layer version with this reference: an OS version's, or what an app or platform version changes.
    Layer(String),
}

/// Which part of a registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegistryScope {
    /// Only this hive: `SOFTWARE`, `USER:ann`, or the path of its file. All but SAM and SECURITY when absent.
    #[serde(default)]
    pub hive: Option<String>,
    /// Only what lies at or below this key, names separated by `\`.
    #[serde(default)]
    pub key: Option<String>,
}

/// How a registry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistryFormat {
    /// What regedit imports.
    Reg,
    /// JSON with everything that hives hold.
    Json,
}

impl RegistryFormat {
    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            RegistryFormat::Reg => "reg",
            RegistryFormat::Json => "json",
        }
    }
}

/// Compares the registries of two layer versions or images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryDiffRequest {
    /// First side.
    pub from: String,
    /// Second side.
    pub to: String,
    /// Which part.
    pub scope: RegistryScope,
}

/// Formats by the names that users write.
mod format_name {
    use disk::format::Format;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(format: &Format, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(format.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
