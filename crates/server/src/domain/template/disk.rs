//! The disk of an image: its size, format and name, and what is done to it.

use crate::domain::Invalid;
use connectors::DiskName;
use disk::format::{Format, MAX_DISK, UnknownFormat};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

const MIB: i64 = 1 << 20;

/// A format of disk images, in the API and the database by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskFormat(pub Format);

impl TryFrom<String> for DiskFormat {
    type Error = UnknownFormat;

    fn try_from(name: String) -> Result<DiskFormat, UnknownFormat> {
        name.parse().map(DiskFormat)
    }
}

impl From<DiskFormat> for String {
    fn from(format: DiskFormat) -> String {
        format.0.name().to_owned()
    }
}

impl utoipa::PartialSchema for DiskFormat {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Format::ALL.map(Format::name)))
            .description(Some("A format of disk images."))
            .into()
    }
}

impl ToSchema for DiskFormat {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("DiskFormat")
    }
}

/// What is done with a (recovery) partition behind the OS volume when the disk grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryRule {
    /// It is moved to the new end.
    Move,
    /// It is left out.
    Drop,
    /// Publishing is refused.
    #[default]
    Refuse,
}

/// What makes machines of an image differ from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Generalisation {
    /// Nothing: the image is specialised.
    #[default]
    None,
    /// Sysprep, in a temporary machine before publishing.
    Sysprep,
}

/// The disk of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskSettings {
    /// Its length in bytes, a whole number of MiB; without it the larger of 100 GiB and the OS disk.
    #[serde(default)]
    #[schema(minimum = 1_048_576, multiple_of = 1_048_576)]
    pub bytes: Option<i64>,
    /// Its format.
    pub format: DiskFormat,
    /// The name of its file, with folders in front, which has to be free each time. Without it an image gets a name of
    /// its own: that of the template with its revision, and a number when there is such a file.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub name: Option<String>,
    /// What is done with a partition that is in the way of growth.
    #[serde(default)]
    pub recovery: RecoveryRule,
    /// What makes machines of the image differ from each other.
    #[serde(default)]
    pub generalisation: Generalisation,
}

impl DiskSettings {
    /// Checks settings that were sent in `field`. Whether the OS disk fits is known when they are used.
    pub fn check(&self, field: &str) -> Result<(), Invalid> {
        let mut invalid = Invalid::new();
        if let Some(bytes) = self.bytes {
            let field = format!("{field}.bytes");
            if !(MIB..=MAX_DISK as i64).contains(&bytes) {
                invalid.add(&field, "out-of-range", "A disk has 1 MiB to 64 TiB.");
            } else if bytes % MIB != 0 {
                invalid.add(
                    &field,
                    "disk-not-whole-mib",
                    "A disk has a whole number of MiB (1048576 bytes).",
                );
            }
        }
        if let Some(name) = &self.name
            && let Err(refused) = name.parse::<DiskName>()
        {
            invalid.add(
                &format!("{field}.name"),
                "disk-name",
                format!("Not the name of a disk: {}.", refused.reason),
            );
        }
        invalid.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(json: &str) -> Vec<String> {
        let settings: DiskSettings = serde_json::from_str(json).unwrap();
        let errors = settings.check("disk").err().map(Invalid::into_errors).unwrap_or_default();
        errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
    }

    #[test]
    fn a_disk_has_a_size_and_name_that_can_be() {
        assert_eq!(codes(r#"{"format":"vhd"}"#), [""; 0]);
        assert_eq!(codes(r#"{"format":"vhdx","bytes":137438953472,"name":"desks/Desk 1.vhdx"}"#), [""; 0]);
        assert_eq!(codes(r#"{"format":"raw","bytes":1048575}"#), ["disk.bytes out-of-range"]);
        assert_eq!(codes(r#"{"format":"raw","bytes":-1048576}"#), ["disk.bytes out-of-range"]);
        assert_eq!(codes(r#"{"format":"raw","bytes":9223372036854775807}"#), ["disk.bytes out-of-range"]);
        assert_eq!(codes(r#"{"format":"raw","bytes":1048577}"#), ["disk.bytes disk-not-whole-mib"]);
        for name in ["../x", "", "/etc/passwd", "a//b", "NUL.vhd", "x\\u0000y", ".hidden"] {
            let json = format!(r#"{{"format":"raw","name":"{name}"}}"#);
            assert_eq!(codes(&json), ["disk.name disk-name"], "{name}");
        }
    }

    #[test]
    fn a_format_is_written_by_its_name() {
        for format in Format::ALL {
            let json = serde_json::to_value(DiskFormat(format)).unwrap();
            assert_eq!(json, format.name());
            assert_eq!(serde_json::from_value::<DiskFormat>(json).unwrap(), DiskFormat(format));
        }
        assert!(serde_json::from_str::<DiskFormat>("\"vdi\"").is_err());
    }
}
