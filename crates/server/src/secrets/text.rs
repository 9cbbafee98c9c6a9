//! A secret that somebody sends: a password, a key.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use zeroize::Zeroizing;

/// A secret that somebody sent. It does not show in logs, and its memory is overwritten when it is no longer needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The secret, for those who need it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// How the document describes secrets that are set (a text) or taken away (`null`), by field name.
pub(crate) fn changes_schema() -> impl Into<RefOr<Schema>> {
    let secret = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .write_only(true);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "Secrets by field name: a text sets one, `null` takes it away. They are never shown.",
        ))
        .additional_properties(Some(secret))
}
