//! Kinds of connectors, and which of them there are.

use crate::connector::Connector;
use crate::description::Description;
use crate::error::Result;
use crate::field::{FieldError, Secrets, Values};
use crate::fileshare::Fileshare;
use crate::reach::LinkLocal;
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
pub struct Registry {
    kinds: Vec<Arc<dyn Kind>>,
    link_local: LinkLocal,
}

impl Registry {
    /// The kinds of this crate, and where the names in their configurations may lead.
    pub fn built_in(link_local: LinkLocal) -> Registry {
        Registry { kinds: vec![Arc::new(Fileshare { link_local })], link_local }
    }

    /// Where names that users give may lead.
    pub fn link_local(&self) -> LinkLocal {
        self.link_local
    }

    /// These kinds and one more, which tests use for simulated platforms.
    #[must_use]
    pub fn with(mut self, kind: Arc<dyn Kind>) -> Registry {
        self.kinds.push(kind);
        self
    }

    /// All kinds, in the order in which they are offered.
    pub fn kinds(&self) -> &[Arc<dyn Kind>] {
        &self.kinds
    }

    /// The kind with this name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.iter().find(|kind| kind.describe().kind == name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds.iter().map(|kind| kind.describe().kind)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use std::collections::BTreeSet;

    #[test]
    fn every_description_can_be_drawn_as_a_form_and_written_as_json() {
        for kind in Registry::built_in(LinkLocal::Refused).kinds() {
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
            assert!(Registry::built_in(LinkLocal::Refused).kind(description.kind).is_some());
        }
        assert!(Registry::built_in(LinkLocal::Refused).kind("teleporter").is_none());
    }
}
