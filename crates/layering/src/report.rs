//! What the engine's operations give back: plain data that a printer prints and a protocol carries. Amounts are bytes.

mod exchange;
mod registry;

pub use exchange::*;
pub use registry::*;

use crate::platform::PlatformTypes;
use crate::reference::{EntityName, LayerKind, ObjectKind};
use serde::{Deserialize, Serialize};

/// A remark that does not stop an operation but that a person should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code, such as `deletion-directory-stays`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The paths it is about, if any; at most the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How many paths it is about in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What `init` made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InitReport {
    /// The store's directory.
    pub store: String,
    /// Format version of the store.
    pub format: u64,
}

/// A layer version or image, in short.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// What it is.
    pub kind: ObjectKind,
    /// Name of the layer or image.
    pub name: EntityName,
    /// Version; images have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<EntityName>,
    /// Position of the version in its layer, or of the image among images, from 1.
    pub sequence: u64,
    /// The OS layer that it belongs to; OS layers have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_layer: Option<EntityName>,
    /// What the version itself adds. Images: length of the disk.
    pub size: u64,
    /// Identity of the record in the store, hexadecimal.
    pub id: String,
}

/// What `import` and `capture` stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionReport {
    /// The new version.
    pub version: Summary,
    /// Files in the version (OS: on its OS volume).
    pub files: u64,
    /// Directories in the version (OS: on its OS volume).
    pub directories: u64,
    /// Entries that the version deletes.
    pub deletions: u64,
    /// Bytes newly written to the store; the rest was there already.
    pub stored: u64,
    /// Bytes read from the disk.
    pub read: u64,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// What `packaging-disk` wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackagingDiskReport {
    /// The file.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Length of the disk inside.
    pub disk_len: u64,
    /// Bytes written to the file.
    pub written: u64,
    /// Bytes shared with the store by reflink.
    pub reflinked: u64,
    /// Identity of the composite that the disk holds, hexadecimal: a capture needs the same one.
    pub composite: String,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// Something that a recipe did to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRow {
    /// The recipe: the name of the hypervisor, provisioning service or broker.
    pub recipe: String,
    /// What was done.
    pub action: AppliedAction,
    /// To what: a path of the registry or of the OS volume.
    pub target: String,
}

/// What a recipe did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliedAction {
    /// A service does not start any more.
    Disabled,
    /// A driver starts when a device wants it.
    DemandStart,
    /// A driver starts at boot.
    BootStart,
    /// It is gone.
    Removed,
}

/// What `compose` made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComposeReport {
    /// The new image.
    pub image: Summary,
    /// Digest of the raw disk content, hexadecimal.
    pub digest: String,
    /// Files made or replaced.
    pub files: u64,
    /// Directories made.
    pub directories: u64,
    /// Names taken away.
    pub removed: u64,
    /// Bytes that were spliced, not copied.
    pub spliced: u64,
    /// Bytes of metadata that were written.
    pub written: u64,
    /// How many things recipes changed; `show` names them.
    pub applied: u64,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// What `export` wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportReport {
    /// The file.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Length of the disk inside.
    pub disk_len: u64,
    /// Bytes written to the file.
    pub written: u64,
    /// Bytes shared with the store by reflink.
    pub reflinked: u64,
}

/// What `list` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListReport {
    /// Every layer version, OS layers first, then every image; versions in their order.
    pub entries: Vec<Summary>,
}

/// What `show` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowReport {
    /// In short.
    pub summary: Summary,
    /// Seconds since 1970-01-01 UTC at which it was made.
    pub created: u64,
    /// Revision of the engine that made it.
    pub engine: String,
    /// Everything else that is recorded about it, in its own shape per kind (JSON).
    pub details: serde_json::Value,
    /// What a layer version changes in the registry, hive by hive.
    pub registry: Vec<HiveChanges>,
    /// Installed programs: all of an OS version or image, and those that a layer version adds, changes or removes.
    pub programs: Vec<Program>,
    /// Remarks on what could not be shown.
    pub warnings: Vec<Warning>,
}

/// One row of `files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Path from the root of the OS volume, `\`-separated on NTFS.
    pub path: String,
    /// What the row is.
    pub entry: RowKind,
    /// Length of the main stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest of the main stream's contents, hexadecimal, where it is known without reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// What a row of `files` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A name added to a file of a lower layer.
    Link,
    /// An entry that the version takes away.
    Deletion,
}

/// What `files` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FilesReport {
    /// Of what.
    pub of: Summary,
    /// Rows, sorted by path.
    pub rows: Vec<FileRow>,
    /// What a layer version changes in the registry.
    pub registry: Vec<RegistryRow>,
    /// The registry hives of an OS version or image.
    pub hives: Vec<HiveRow>,
}

/// One row of `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRow {
    /// Path.
    pub path: String,
    /// What differs.
    pub change: DiffKind,
    /// Which properties differ, when both sides have the path: `content`, `security`, `attributes`, `times`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
}

/// How two sides differ at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffKind {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, differently.
    Changed,
}

/// What `diff` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffReport {
    /// First side.
    pub from: Summary,
    /// Second side.
    pub to: Summary,
    /// Rows, sorted by path.
    pub rows: Vec<DiffRow>,
    /// Keys and values of the registry in which they differ, in hives that both have.
    pub registry: Vec<RegistryRow>,
    /// Remarks on what could not be compared.
    pub warnings: Vec<Warning>,
}

/// One row of `conflicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictRow {
    /// Path.
    pub path: String,
    /// Reference of the layer version that wins.
    pub winner: String,
    /// References of those that lose, highest first; the OS version is among them when it has the path.
    pub losers: Vec<String>,
    /// What the winner does there: `file`, `directory`, `link` or `deletion`.
    pub entry: RowKind,
    /// Whether the OS version has changed the file since the winner was captured.
    pub changed_by_os: bool,
    /// Whether both are versioned binaries and the OS has the higher version: `(the OS's, the winner's)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_is_newer: Option<(String, String)>,
}

/// What `conflicts` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConflictsReport {
    /// Paths that more than one layer, or a layer and a changed OS, claim; sorted by path.
    pub rows: Vec<ConflictRow>,
    /// The same of the registry, by hive, in the order of keys and then values.
    pub registry: Vec<RegistryConflict>,
    /// Remarks that composing would make.
    pub warnings: Vec<Warning>,
}

/// What `integrity` found on a disk, or on that of an OS version or image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IntegrityReport {
    /// The disk: name of its file, or reference of the OS version or image.
    pub disk: String,
    /// Number of the partition that is the OS volume, if one was found.
    pub volume: Option<u32>,
    /// Kind of the layer that the findings are for.
    pub kind: LayerKind,
    /// What Windows setup says of the image.
    pub image_state: ImageState,
    /// Whether something blocks.
    pub blocked: bool,
    /// Every finding, what blocks first.
    pub findings: Vec<Finding>,
}

/// Whether an image was generalized, as its own setup records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// Sysprep generalized it, and the first start asks the questions of setup.
    Generalized,
    /// It is one machine's.
    Specialized,
    /// It does not say, or setup did not end.
    Unknown,
}

/// Something that should be done on a machine before its disk becomes a layer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code, such as `reboot-pending`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// Whether it keeps the disk from becoming a version.
    pub severity: Severity,
    /// Whether a reason can override it.
    pub overridable: bool,
    /// What says so; at most the first twenty.
    pub evidence: Vec<Evidence>,
    /// How much more evidence there is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// What to do.
    pub advice: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The disk does not become a version.
    Blocks,
    /// The version records it.
    Warns,
}

/// Where a finding comes from: a key or value of a hive, or a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `SYSTEM`, `SOFTWARE`, `SECURITY`, or the path of a user's or an unreadable hive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hive: Option<String>,
    /// Path of the key below the hive's root. `CurrentControlSet` is the control set in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Path of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What the value holds, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What `check` found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckReport {
    /// Whether nothing is wrong.
    pub clean: bool,
    /// Every problem.
    pub problems: Vec<CheckProblem>,
    /// Objects looked at.
    pub objects: u64,
    /// Blobs looked at.
    pub blobs: u64,
    /// Bytes read and verified.
    pub verified: u64,
}

/// One problem that `check` found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckProblem {
    /// Stable code.
    pub code: String,
    /// What is wrong and where.
    pub message: String,
    /// References of what it affects.
    pub affects: Vec<String>,
}

/// What `remove` took away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveReport {
    /// What is gone.
    pub removed: Summary,
}

/// What `gc` did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GcReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Objects that nothing needs.
    pub objects: u64,
    /// Blobs that nothing needs.
    pub blobs: u64,
    /// Bytes given back.
    pub bytes: u64,
    /// Packs that were removed whole.
    pub packs_removed: u64,
    /// Packs of which only the needed part was kept.
    pub packs_compacted: u64,
}

/// The layers of a composite as a caller names them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompositeSpec {
    /// Reference of the OS version.
    pub os: String,
    /// References of app versions, lowest priority first.
    #[serde(default)]
    pub layers: Vec<String>,
    /// The version that a new one starts from (packaging only).
    #[serde(default)]
    pub base: Option<String>,
    /// Platform layer version: packaging or publishing, as the operation says.
    #[serde(default)]
    pub platform: Option<String>,
}

/// What a new layer version is to be called and may add.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionSpec {
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Name of the layer; it is created with its first version.
    pub name: String,
    /// Version, new in the layer.
    pub version: String,
    /// Most that the version may add, bytes; the kind's default when absent.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// What a platform layer is for; others have none.
    #[serde(default)]
    pub platform: Option<PlatformTypes>,
}
