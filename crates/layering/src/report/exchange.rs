//! What exchanging layers gives back.

use super::{Summary, Warning};
use crate::platform::PlatformTypes;
use serde::{Deserialize, Serialize};

/// What became of a version that was to be exported or imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeState {
    /// It was exported or imported.
    Done,
    /// It was there already; nothing was written.
    AlreadyThere,
}

/// What `export-layers` wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportLayersReport {
    /// The layout.
    pub directory: String,
    /// Each version that was asked for, OS layers first.
    pub versions: Vec<ExportedVersion>,
    /// Bytes of packs that an interrupted export left and that were read and verified before they were used.
    pub verified: u64,
}

/// A version in a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportedVersion {
    /// The version.
    pub version: Summary,
    /// What became of it.
    pub state: ExchangeState,
    /// Digest of its OCI manifest, `sha256:` and hexadecimal.
    pub manifest: String,
    /// Bytes of contents that the layout did not have yet, before they were compressed.
    pub content: u64,
    /// Packs that have its contents, those included that it shares; 0 when it was there already.
    pub packs: u64,
    /// Bytes newly written to the layout.
    pub written: u64,
}

/// What `import-layers` stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportLayersReport {
    /// The layout.
    pub directory: String,
    /// Each version that was asked for, with the OS layers that they needed, those first.
    pub versions: Vec<ImportedVersion>,
}

/// A version that came from a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportedVersion {
    /// The version as it is in the store.
    pub version: Summary,
    /// Its reference in the layout, such as `app:Office@2`.
    pub from: String,
    /// What became of it.
    pub state: ExchangeState,
    /// Bytes newly written to the store; the rest was there already.
    pub stored: u64,
    /// Bytes of packs that were read.
    pub read: u64,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// What `list-layout` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayoutReport {
    /// The layout.
    pub directory: String,
    /// Its layer versions, OS layers first; versions in their order.
    pub versions: Vec<LayoutVersion>,
    /// What says that it is a layer version and cannot be read.
    pub unreadable: Vec<UnreadableVersion>,
    /// How many other things it holds.
    pub foreign: u64,
}

/// A layer version in a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayoutVersion {
    /// The version. Of an app or platform version the OS layer is needed where it is imported.
    pub version: Summary,
    /// Seconds since 1970-01-01 UTC at which it was made.
    pub created: u64,
    /// The OS version that it was made on, if it was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_on: Option<String>,
    /// The app versions that were on its packaging disk as well, lowest priority first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<String>,
    /// Of a platform version: what it is for. Versions from before there were types have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformTypes>,
    /// Digest of its OCI manifest, `sha256:` and hexadecimal.
    pub manifest: String,
    /// Bytes of its files in the layout, those included that it shares with other versions.
    pub packed: u64,
    /// How many of these files are not there, or have another length.
    pub absent: u64,
    /// These files, of the versions for which they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LayoutFile>,
}

/// A file of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutFile {
    /// Its path in the layout's directory, such as `blobs/sha256/…`.
    pub path: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// An entry of a layout that cannot be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnreadableVersion {
    /// Stable code, such as `layout-newer`.
    pub code: String,
    /// Which, and why.
    pub message: String,
}
