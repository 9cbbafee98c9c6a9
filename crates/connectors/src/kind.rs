//! Kinds of connectors, and which of them there are.

use crate::connector::Connector;
use crate::description::Description;
use crate::error::Result;
use crate::field::{FieldError, Secrets, Values};
use crate::fileshare::Fileshare;
use std::fmt;
use std::sync::Arc;

/// A kind of place, such as file shares: it describes configurations and makes connectors of them.
pub trait Kind: Send + Sync {
    /// What a configuration consists of and what its connectors can do.
    fn describe(&self) -> Description;

    /// Everything that is wrong with a configuration; empty when nothing is. Nothing is contacted.
    fn validate(&self, values: &Values, secrets: &Secrets) -> Vec<FieldError>;

    /// The connector of a configuration. Nothing is contacted.
    ///
    /// # Errors
    /// [`Error::Fields`](crate::Error::Fields) with what [`validate`](Kind::validate) finds.
    fn connect(&self, values: &Values, secrets: &Secrets) -> Result<Arc<dyn Connector>>;
}

/// The kinds that a server offers.
#[derive(Clone)]
pub struct Registry(Vec<Arc<dyn Kind>>);

impl Registry {
    /// The kinds of this crate.
    pub fn built_in() -> Registry {
        Registry(vec![Arc::new(Fileshare)])
    }

    /// These kinds and one more, which tests use for simulated platforms.
    #[must_use]
    pub fn with(mut self, kind: Arc<dyn Kind>) -> Registry {
        self.0.push(kind);
        self
    }

    /// All kinds, in the order in which they are offered.
    pub fn kinds(&self) -> &[Arc<dyn Kind>] {
        &self.0
    }

    /// The kind with this name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.0.iter().find(|kind| kind.describe().kind == name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|kind| kind.describe().kind)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use std::collections::BTreeSet;

    #[test]
    fn every_description_can_be_drawn_as_a_form_and_written_as_json() {
        for kind in Registry::built_in().kinds() {
            let description = kind.describe();
            let names: BTreeSet<&str> = description.fields.iter().map(|field| field.name).collect();
            assert_eq!(names.len(), description.fields.len(), "names are unique");
            for field in &description.fields {
                assert!(!field.title.is_empty() && !field.help.is_empty(), "{}", field.name);
                if let Some(condition) = &field.only_when {
                    assert!(names.contains(condition.field), "{} depends on an unknown field", field.name);
                }
                if let FieldType::Text { pattern: Some(pattern), .. } = field.kind {
                    regex::Regex::new(pattern).expect(field.name);
                }
            }
            for name in &description.secrets_go_to {
                assert!(names.contains(name), "secrets go to an unknown field {name}");
            }
            let json = serde_json::to_value(&description).unwrap();
            assert_eq!(json["kind"], description.kind);
            assert!(json["capabilities"]["formats"]["package"].is_array(), "{json}");
            assert!(Registry::built_in().kind(description.kind).is_some());
        }
        assert!(Registry::built_in().kind("teleporter").is_none());
    }
}
