//! Layers that go to other stores and come from them.

use super::Engine;
use crate::report::{ExportLayersReport, ImportLayersReport, LayoutReport};
use crate::request::{ExportLayersRequest, ImportLayersRequest};
use crate::{Result, exchange};
use operation::Progress;
use std::path::Path;

impl Engine {
    /// Writes layer versions into an OCI image layout, which is made if there is none. What the layout has already is not
    /// written again, so an export that was interrupted goes on where it was.
    pub fn export_layers(
        &self,
        request: &ExportLayersRequest,
        progress: &dyn Progress,
    ) -> Result<ExportLayersReport> {
        exchange::export(&self.store.session()?, &self.catalog(), request, progress)
    }

    /// Reads layer versions from an OCI image layout. Each becomes visible when it is complete; of an import that was
    /// interrupted, complete versions stay, and what was read of others is used by the next one unless garbage was
    /// collected meanwhile.
    pub fn import_layers(
        &self,
        request: &ImportLayersRequest,
        progress: &dyn Progress,
    ) -> Result<ImportLayersReport> {
        exchange::import(&self.store.session()?, &self.catalog(), request, progress)
    }

    /// Tells which layer versions an OCI image layout holds, without a store. Contents are not read.
    pub fn list_layout(directory: &Path, progress: &dyn Progress) -> Result<LayoutReport> {
        Engine::list_layout_files(directory, &[], progress)
    }

    /// The same, with the names of the files of some versions, given by their references as they are told.
    pub fn list_layout_files(
        directory: &Path,
        files_of: &[String],
        progress: &dyn Progress,
    ) -> Result<LayoutReport> {
        exchange::list(directory, files_of, progress)
    }
}
