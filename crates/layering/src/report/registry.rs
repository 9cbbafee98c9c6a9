//! What is said of the registry.

use super::{DiffKind, Summary, Warning};
use serde::{Deserialize, Serialize};

/// The content of a value, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryData {
    /// Its type: `REG_SZ`, ..., or the number of an unknown one in hexadecimal. `deletion` where a layer takes the value
    /// away.
    pub kind: String,
    /// Text as it is; a `REG_MULTI_SZ` with ` | ` between its texts; numbers decimal; everything else hexadecimal. What
    /// is longer than a thousand characters ends in `…`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Length in the hive, bytes.
    #[serde(default)]
    pub size: u64,
}

/// A key or value of the registry, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryRow {
    /// The hive: `SYSTEM`, `SOFTWARE`, ...; users' hives by their file's path.
    pub hive: String,
    /// Path of the key in the hive, its names separated by `\`; the root's is empty.
    pub key: String,
    /// Name of the value, empty for the default value; none when the row is about the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What becomes of it.
    pub change: DiffKind,
    /// What differs in a key that both sides have: `security`, `class`, `flags`, or `kind` where two layers do different
    /// things to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    /// Content of the value on the first side, if it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RegistryData>,
    /// Content of the value on the second side, if it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RegistryData>,
}

/// A hive of an OS version or image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveRow {
    /// The hive: `SYSTEM`, `SOFTWARE`, ...; users' hives by their file's path.
    pub hive: String,
    /// Path of its file.
    pub path: String,
    /// Keys in it, the root among them.
    pub keys: u64,
    /// Values in it.
    pub values: u64,
    /// Why it cannot be read, if so; the numbers are zero then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How much a layer version changes in a hive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveChanges {
    /// The hive: `SYSTEM`, `SOFTWARE`, ...; users' hives by their file's path.
    pub hive: String,
    /// Keys that are new.
    pub keys_added: u64,
    /// Keys whose class, flags or security changed.
    pub keys_changed: u64,
    /// Keys that are gone.
    pub keys_removed: u64,
    /// Values that are new.
    pub values_added: u64,
    /// Values with other content.
    pub values_changed: u64,
    /// Values that are gone.
    pub values_removed: u64,
}

/// An installed program, as Windows lists it for removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// When it was installed, as its installer wrote it: most write `YYYYMMDD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    /// The hive that lists it: `SOFTWARE`, or a user's by its file's path.
    pub hive: String,
    /// Name of its key there.
    pub key: String,
    /// Whether 32-bit Windows programs see it and 64-bit ones do not (`Wow6432Node`).
    pub wow64: bool,
    /// What a layer version does to it; none for an OS version or image, which just has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<DiffKind>,
    /// The version that it had before the layer version changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_before: Option<String>,
}

/// What of the registry more than one layer, or a layer and a changed OS, claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryConflict {
    /// The hive: `SYSTEM`, `SOFTWARE`, ...; users' hives by their file's path.
    pub hive: String,
    /// Path of the key in the hive.
    pub key: String,
    /// What of it.
    pub subject: ConflictSubject,
    /// Name of the value, empty for the default value; only where the row is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Reference of the layer version that wins.
    pub winner: String,
    /// What the winner does there.
    pub change: DiffKind,
    /// What the winner makes of the value; none when it takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner_value: Option<RegistryData>,
    /// Those that lose, highest first, each with its value; the OS version is among them when it has another one.
    pub losers: Vec<RegistryLoser>,
    /// Whether the OS version has changed it since the winner was captured.
    pub changed_by_os: bool,
}

/// What a row of conflicts of the registry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictSubject {
    /// A value.
    Value,
    /// A key that one layer removes and another needs.
    Key,
    /// The security descriptor of a key.
    Security,
}

/// A layer version, or the OS version, that does not have its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLoser {
    /// Its reference.
    pub reference: String,
    /// What it makes of the value; none when it takes it away, or the row is about a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<RegistryData>,
}

/// What `registry export` wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryExportReport {
    /// Of what.
    pub of: Summary,
    /// The file.
    pub file: String,
    /// Its format.
    pub format: String,
    /// The hives in it.
    pub hives: Vec<String>,
    /// Keys in it.
    pub keys: u64,
    /// Values in it.
    pub values: u64,
    /// Length of the file, bytes.
    pub written: u64,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// What `registry diff` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryDiffReport {
    /// First side.
    pub from: Summary,
    /// Second side.
    pub to: Summary,
    /// Rows by hive, in the order of keys and then values.
    pub rows: Vec<RegistryRow>,
}
