//! What a kind of connector says of itself.

use crate::field::{Field, Values};
use disk::format::Format;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// What a disk is moved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// An operating-system disk becomes an OS layer.
    Import,
    /// A packaging disk goes out, and comes back changed.
    Package,
    /// An image is published.
    Publish,
}

/// A kind of connector, with everything that a form and a rule need to know of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Connector))]
pub struct Description {
    /// Stable name, such as `fileshare`.
    pub kind: &'static str,
    /// What it is called in the console.
    pub title: &'static str,
    /// One or two sentences on what it is for.
    pub help: &'static str,
    /// What its connectors can do. A single one may be able to do less, and says so itself.
    pub capabilities: Capabilities,
    /// What a configuration consists of, in the order of a form.
    pub fields: Vec<Field>,
    /// Names of the fields that say to whom secrets are sent. Who changes one of them enters the secrets again, so that
    /// nobody can have a secret that they do not know sent to a place of their own.
    pub secrets_go_to: Vec<&'static str>,
}

impl Description {
    /// Whether secrets are sent to the same place with these values as with the others.
    pub fn same_destination(&self, one: &Values, other: &Values) -> bool {
        let mut fields = self.fields.iter().filter(|field| self.secrets_go_to.contains(&field.name));
        fields.all(|field| field.value(one) == field.value(other))
    }
}

/// What a connector can do. It tells the truth: what is not listed is refused with `connector-unsupported`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorCapabilities))]
pub struct Capabilities {
    /// The purposes that are offered, each with the disk formats for it, the preferred one first.
    #[serde(serialize_with = "format_names")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, Vec<String>>))]
    pub formats: BTreeMap<Purpose, Vec<Format>>,
    /// Limits of the platform.
    pub limits: Limits,
    /// Whether a returned disk may come with the ranges that changed since it was delivered.
    pub reports_changed_blocks: bool,
    /// Whether the connector knows the machines that run on its disks and can delete them.
    pub manages_machines: bool,
    /// Whether folders of files, such as exported layers, are kept there.
    pub keeps_folders: bool,
    /// What can be listed: `disks`, or names of fields.
    pub browses: Vec<&'static str>,
}

impl Capabilities {
    /// Whether disks are moved for this purpose.
    pub fn offers(&self, purpose: Purpose) -> bool {
        self.formats.contains_key(&purpose)
    }

    /// Whether disks of this format are moved for this purpose.
    pub fn takes(&self, purpose: Purpose, format: Format) -> bool {
        self.formats.get(&purpose).is_some_and(|formats| formats.contains(&format))
    }
}

/// Limits of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorLimits))]
pub struct Limits {
    /// Longest image file or disk, bytes.
    pub disk_bytes: u64,
}

fn format_names<S: Serializer>(
    formats: &BTreeMap<Purpose, Vec<Format>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(formats.iter().map(|(purpose, formats)| {
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        (purpose, names)
    }))
}
