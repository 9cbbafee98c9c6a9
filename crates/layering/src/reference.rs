//! Names of layers, versions and images, and references to them.

use operation::Explain;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// What a layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LayerKind {
    /// An operating system disk, the base of everything.
    Os,
    /// Software and settings of one target platform.
    Platform,
    /// One or more applications.
    App,
}

impl LayerKind {
    /// The prefix of references: `os`, `platform` or `app`.
    pub fn as_str(self) -> &'static str {
        match self {
            LayerKind::Os => "os",
            LayerKind::Platform => "platform",
            LayerKind::App => "app",
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LayerKind {
    type Err = NameError;
    fn from_str(text: &str) -> Result<LayerKind, NameError> {
        match text {
            "os" => Ok(LayerKind::Os),
            "platform" => Ok(LayerKind::Platform),
            "app" => Ok(LayerKind::App),
            _ => Err(NameError::Kind(text.to_owned())),
        }
    }
}

/// What a reference may point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ObjectKind {
    /// A version of an OS layer.
    Os,
    /// A version of a platform layer.
    Platform,
    /// A version of an app layer.
    App,
    /// A composed image.
    Image,
}

impl ObjectKind {
    /// The prefix of references.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Os => "os",
            ObjectKind::Platform => "platform",
            ObjectKind::App => "app",
            ObjectKind::Image => "image",
        }
    }
}

impl From<LayerKind> for ObjectKind {
    fn from(kind: LayerKind) -> ObjectKind {
        match kind {
            LayerKind::Os => ObjectKind::Os,
            LayerKind::Platform => ObjectKind::Platform,
            LayerKind::App => ObjectKind::App,
        }
    }
}

/// A checked name of a layer, version or image: 1–100 characters, trimmed, no control characters, none of `@ / \ :`.
/// Two names that differ only in case are the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityName(String);

impl EntityName {
    /// Checks `text`, leaving out white space around it.
    pub fn new(text: &str) -> Result<EntityName, NameError> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return Err(NameError::Empty);
        }
        if length > MAX_NAME {
            return Err(NameError::Long { length });
        }
        if let Some(character) = text.chars().find(|c| c.is_control() || "@/\\:".contains(*c)) {
            return Err(NameError::Character { name: text.to_owned(), character });
        }
        Ok(EntityName(text.to_owned()))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which names are compared.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for EntityName {
    fn eq(&self, other: &EntityName) -> bool {
        self.folded() == other.folded()
    }
}
impl Eq for EntityName {}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EntityName {
    type Error = NameError;
    fn try_from(text: String) -> Result<EntityName, NameError> {
        EntityName::new(&text)
    }
}

impl From<EntityName> for String {
    fn from(name: EntityName) -> String {
        name.0
    }
}

/// `[os:|platform:|app:|image:]NAME[@VERSION]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The kind, where the prefix says it.
    pub kind: Option<ObjectKind>,
    /// Name of the layer or image.
    pub name: EntityName,
    /// The version; the latest one when absent.
    pub version: Option<EntityName>,
}

impl FromStr for Reference {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Reference, NameError> {
        let (kind, rest) = match text.split_once(':') {
            Some((prefix, rest)) => {
                let kind = match prefix.trim() {
                    "os" => ObjectKind::Os,
                    "platform" => ObjectKind::Platform,
                    "app" => ObjectKind::App,
                    "image" => ObjectKind::Image,
                    other => return Err(NameError::Kind(other.to_owned())),
                };
                (Some(kind), rest)
            }
            None => (None, text),
        };
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(EntityName::new(version)?)),
            None => (rest, None),
        };
        if kind == Some(ObjectKind::Image) && version.is_some() {
            return Err(NameError::ImageVersion { reference: text.to_owned() });
        }
        Ok(Reference { kind, name: EntityName::new(name)?, version })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{}:", kind.as_str())?;
        }
        write!(f, "{}", self.name)?;
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        Ok(())
    }
}

/// Why a name or reference is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("a name must not be empty")]
    Empty,
    /// Too long.
    #[error("a name has at most {MAX_NAME} characters, this one has {length}")]
    Long {
        /// Characters.
        length: usize,
    },
    /// A character that references or paths need for themselves.
    #[error("the name {name:?} contains {character:?}; control characters and @ / \\ : are not allowed")]
    Character {
        /// The name.
        name: String,
        /// The first forbidden character.
        character: char,
    },
    /// The prefix is none of the known ones.
    #[error("{0:?} is no kind; kinds are os, platform, app and image")]
    Kind(String),
    /// Images have no versions.
    #[error("{reference:?} names a version, but images have none")]
    ImageVersion {
        /// As written.
        reference: String,
    },
}

impl Explain for NameError {
    fn code(&self) -> &'static str {
        match self {
            NameError::Empty | NameError::Long { .. } | NameError::Character { .. } => "name-invalid",
            NameError::Kind(_) | NameError::ImageVersion { .. } => "reference-invalid",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NameError::Kind(_) | NameError::ImageVersion { .. } => {
                Some("Write references as [os:|platform:|app:|image:]NAME[@VERSION].".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_compare_without_case() {
        assert_eq!(EntityName::new("  Office 2024 ").unwrap(), EntityName::new("OFFICE 2024").unwrap());
        assert_eq!(EntityName::new("  Office 2024 ").unwrap().as_str(), "Office 2024");
    }

    #[test]
    fn names_that_references_could_not_hold_are_refused() {
        for bad in ["", "   ", "a@b", "a/b", "a\\b", "a:b", "a\u{7}b"] {
            assert!(EntityName::new(bad).is_err(), "{bad:?}");
        }
        assert!(EntityName::new(&"x".repeat(100)).is_ok());
        assert_eq!(EntityName::new(&"ä".repeat(101)), Err(NameError::Long { length: 101 }));
    }

    #[test]
    fn references_name_kind_name_and_version() {
        let reference: Reference = "app:Visual Studio@17.2".parse().unwrap();
        assert_eq!(reference.kind, Some(ObjectKind::App));
        assert_eq!(reference.name.as_str(), "Visual Studio");
        assert_eq!(reference.version.unwrap().as_str(), "17.2");
        assert!("win:10".parse::<Reference>().is_err());
        assert!("image:Desk@1".parse::<Reference>().is_err());
        assert_eq!("Office".parse::<Reference>().unwrap().to_string(), "Office");
    }
}
