//! What the engine tells of registries.

use super::Engine;
use crate::Result;
use crate::catalog::Entry;
use crate::error::Rule;
use crate::query;
use crate::report::{RegistryDiffReport, RegistryExportReport};
use crate::request::{RegistryDiffRequest, RegistryExportRequest, RegistryOf};
use operation::Progress;

impl Engine {
    /// Writes the registry of an image or OS version, or what an app or platform version changes in it, to a file.
    pub fn registry_export(
        &self,
        request: &RegistryExportRequest,
        progress: &dyn Progress,
    ) -> Result<RegistryExportReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let entry = match &request.of {
            RegistryOf::Image(reference) => Entry::Image(catalog.image(reference)?),
            RegistryOf::Layer(reference) => match catalog.resolve(reference)? {
                version @ Entry::Version(_) => version,
                Entry::Image(_) => {
                    let (found, needed) = ("an image", "a layer version");
                    return Err(Rule::WrongKind { reference: reference.clone(), found, needed }.into());
                }
            },
        };
        query::export::export(&session, &catalog, &entry, request, progress)
    }

    /// How the registries of two versions or images differ.
    pub fn registry_diff(
        &self,
        request: &RegistryDiffRequest,
        progress: &dyn Progress,
    ) -> Result<RegistryDiffReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let (from, to) = (catalog.resolve(&request.from)?, catalog.resolve(&request.to)?);
        query::registry::registry_diff(&session, &catalog, (&from, &to), &request.scope, progress)
    }
}
