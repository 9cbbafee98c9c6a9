//! What a version or image consists of, for looking into it.

use crate::Result;
use crate::catalog::{Catalog, Entry};
use crate::compose::OsDisk;
use crate::manifest::Manifest;
use crate::os_volume::OsVolume;
use crate::reference::LayerKind;
use disk::ByteSource;
use operation::Progress;
use std::sync::Arc;
use store::Session;
use volume::Tree;

/// The OS volume of an OS version or image.
pub(crate) struct Volume {
    pub(crate) reference: String,
    pub(crate) source: Arc<dyn ByteSource>,
    pub(crate) volume: OsVolume,
    pub(crate) tree: Tree,
}

/// What an entry consists of, for looking into it.
pub(crate) enum Body {
    Manifest(Manifest),
    Volume(Volume),
}

pub(crate) fn body(
    session: &Session,
    catalog: &Catalog<'_>,
    entry: &Entry,
    progress: &dyn Progress,
) -> Result<Body> {
    let os = match entry {
        Entry::Version(version) if version.record.kind != LayerKind::Os => {
            return Ok(Body::Manifest(catalog.manifest(version)?));
        }
        Entry::Version(version) => OsDisk::open(session, catalog, version)?,
        Entry::Image(image) => {
            let record = catalog.disk(image.record.disk)?;
            OsDisk::of(session, &record, Some(image.record.os_volume), image.reference())?
        }
    };
    let source = os.source();
    let tree = os.volume.scan(&source, &os.reference, progress)?;
    Ok(Body::Volume(Volume { reference: os.reference, source, volume: os.volume, tree }))
}
