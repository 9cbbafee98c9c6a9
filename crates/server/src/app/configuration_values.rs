//! The values of a connector configuration: what was sent, put together with what is saved, and checked by the kind.

use super::{App, Reason, Refusal};
use crate::domain::Invalid;
use crate::secrets::{SecretText, changes_schema};
use connectors::{Connector, Description, FieldError, FieldType, Kind, Secrets, Values};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// Complaints that are told at once. What was sent may hold many thousand fields that nobody knows.
const COMPLAINTS: usize = 50;

/// Secrets that are set (a text) or taken away (`null`), by field name.
pub type SecretChanges = BTreeMap<String, Option<SecretText>>;
/// Secrets by field name.
pub(super) type SecretTexts = BTreeMap<String, SecretText>;

/// Values to try before they are saved.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorValues {
    /// The fields that are no secrets, all of them. Of a saved configuration they stay when this is absent.
    pub fields: Option<BTreeMap<String, serde_json::Value>>,
    /// Secrets. Of a saved configuration those stay that are absent.
    #[serde(default)]
    #[schema(schema_with = changes_schema)]
    pub secrets: SecretChanges,
}

/// Values that are saved.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) fields: Values,
    pub(super) secrets: SecretTexts,
}

/// Values that the kind accepts.
pub(super) struct Settled {
    kind: Arc<dyn Kind>,
    pub(super) fields: Values,
    pub(super) secrets: SecretTexts,
}

impl Settled {
    /// The connector with these values. Nothing is contacted.
    pub(super) fn connect(&self) -> Result<Arc<dyn Connector>, Refusal> {
        self.kind
            .connect(&self.fields, &handed(&self.secrets))
            .map_err(|error| Refusal::explained(Reason::Conflict, &error))
    }

    /// The names of the secrets.
    pub(super) fn secret_names(&self) -> BTreeSet<String> {
        self.secrets.keys().cloned().collect()
    }
}

impl App {
    /// Puts `fields` and `secrets` over what is saved and has the kind check the result.
    ///
    /// Paths of the server's own machine are an administrator's to name: whoever manages layers could otherwise read and
    /// write wherever the server can.
    pub(super) fn settle(
        &self,
        connector: &str,
        saved: &Saved,
        fields: Option<&Values>,
        changes: &SecretChanges,
        administrator: bool,
    ) -> Result<Settled, Invalid> {
        let kind = self.kinds.kind(connector).ok_or_else(|| {
            let message = format!("There is no connector {connector}.");
            Invalid::field("connector", "connector-unknown", message)
        })?;
        let description = kind.describe();
        let mut fields = fields.unwrap_or(&saved.fields).clone();
        // An absent field, null and empty text mean the same.
        fields.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
        let mut kept = saved.secrets.clone();
        kept.retain(|name, _| !changes.contains_key(name));
        let mut secrets = kept.clone();
        for (name, secret) in changes {
            if let Some(secret) = secret.as_ref().filter(|secret| !secret.reveal().is_empty()) {
                secrets.insert(name.clone(), secret.clone());
            }
        }
        let mut errors = kind.validate(&fields, &handed(&secrets));
        // A saved secret that is no longer used goes with what used it.
        errors.retain(|error| {
            let unused = error.code == "field-not-applicable" && kept.remove(&error.field).is_some();
            if unused {
                secrets.remove(&error.field);
            }
            !unused
        });
        if !description.same_destination(&saved.fields, &fields) {
            errors.extend(kept.keys().map(|name| {
                let message = "the place that this is sent to has changed; it has to be entered again";
                FieldError::new(name, "field-secret-again", message)
            }));
        }
        if !administrator {
            let paths = description.fields.iter().filter(|field| matches!(field.kind, FieldType::Path));
            let named = paths.filter(|field| {
                fields.contains_key(field.name) && fields.get(field.name) != saved.fields.get(field.name)
            });
            errors.extend(named.map(|field| {
                let message = "only an administrator may name a path on the server's machine";
                FieldError::new(field.name, "field-administrator", message)
            }));
        }
        complaints(&description, &secrets, &errors).finish()?;
        Ok(Settled { kind: kind.clone(), fields, secrets })
    }
}

fn handed(secrets: &SecretTexts) -> Secrets {
    secrets.iter().fold(Secrets::new(), |all, (name, secret)| all.with(name, secret.reveal()))
}

/// What the kind complains of, with the fields named as they are in requests.
fn complaints(description: &Description, secrets: &SecretTexts, errors: &[FieldError]) -> Invalid {
    let mut invalid = Invalid::new();
    for error in errors.iter().take(COMPLAINTS) {
        let declared = description.fields.iter().find(|field| field.name == error.field);
        let is_secret = match (error.code.as_str(), declared) {
            // It was sent among those where it does not belong.
            ("field-secrecy", Some(field)) => !matches!(field.kind, FieldType::Secret { .. }),
            (_, Some(field)) => matches!(field.kind, FieldType::Secret { .. }),
            (_, None) => secrets.contains_key(&error.field),
        };
        let among = if is_secret { "secrets" } else { "fields" };
        invalid.add(&format!("{among}.{}", error.field), &error.code, sentence(&error.message));
    }
    invalid
}

/// The message as a sentence of its own.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first: String = characters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
