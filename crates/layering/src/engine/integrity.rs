//! What the engine tells of disks in the store that may become layer versions once more.

use super::Engine;
use crate::Result;
use crate::catalog::Entry;
use crate::error::Rule;
use crate::placement::Placement;
use crate::policy::Policy;
use crate::reference::LayerKind;
use crate::report::IntegrityReport;
use crate::request::StoredIntegrityRequest;
use disk::ByteSource;
use operation::Progress;
use std::sync::Arc;

impl Engine {
    /// Examines an OS version or image as [`Engine::integrity`] does a disk, without what this store's list adds to what
    /// is never captured.
    pub fn stored_integrity(
        &self,
        request: &StoredIntegrityRequest,
        progress: &dyn Progress,
    ) -> Result<IntegrityReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let entry = catalog.resolve(&request.image)?;
        let (record, volume) = match &entry {
            Entry::Image(image) => (catalog.disk(image.record.disk)?, Some(image.record.os_volume)),
            Entry::Version(version) if version.record.kind == LayerKind::Os => {
                (catalog.os_disk(version)?, version.record.os_volume)
            }
            Entry::Version(_) => {
                let (found, needed) = ("an app or platform layer version", "an OS version or layered image");
                return Err(Rule::WrongKind { reference: request.image.clone(), found, needed }.into());
            }
        };
        let name = entry.reference();
        let mut placement = Placement::new(&session);
        let disk: Arc<dyn ByteSource> = Arc::new(placement.disk(&record, &name)?);
        let Policy { never, .. } = Policy::load(self.store.path())?;
        crate::integrity::report(&disk, (name, volume), request.kind, &never, progress)
    }
}
