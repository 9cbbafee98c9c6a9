//! Identifiers that cannot be mixed up: a [`UserId`] is no [`GroupId`].

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use uuid::Uuid;

/// A text that is no identifier in its one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier such as 0190c5f0-0000-7000-8000-000000000000")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// A UUID of version 7, so identifiers sort by when they were made.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier.
            #[allow(clippy::new_without_default, reason = "a new identifier is no default")]
            pub fn new() -> $name {
                $name(Uuid::now_v7())
            }

            /// The identifier as a UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The identifier of this number.
            pub const fn from_u128(number: u128) -> $name {
                $name(Uuid::from_u128(number))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                parse(&text).map($name).map_err(D::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

ids! {
    /// Identifies a user.
    UserId;
    /// Identifies a group.
    GroupId;
    /// Identifies an API token.
    TokenId;
    /// Identifies a session.
    SessionId;
    /// Identifies an entry of the audit history.
    AuditId;
    /// Identifies an icon.
    IconId;
    /// Identifies a connector configuration.
    ConfigurationId;
    /// Identifies a layer.
    LayerId;
    /// Identifies a layer version.
    VersionId;
    /// Identifies an image template.
    TemplateId;
    /// Identifies a published image.
    ImageId;
    /// Identifies a task.
    TaskId;
}

fn parse(text: &str) -> Result<Uuid, NotAnId> {
    // Only the canonical form: an identifier has one spelling.
    match Uuid::try_parse(text) {
        Ok(uuid) if uuid.hyphenated().to_string() == text => Ok(uuid),
        _ => Err(NotAnId),
    }
}

fn schema() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .description(Some("Identifiers sort by when they were made."))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_one_spelling() {
        let id = UserId::new();
        assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        assert!(id.to_string().to_uppercase().parse::<UserId>().is_err());
        assert!(format!("{{{id}}}").parse::<UserId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<UserId>().is_err());
    }

    #[test]
    fn identifiers_sort_by_when_they_were_made() {
        let made: Vec<UserId> = (0..1000).map(|_| UserId::new()).collect();
        assert!(made.is_sorted());
        let texts: Vec<String> = made.iter().map(UserId::to_string).collect();
        assert!(texts.is_sorted());
    }
}
