//! Telling what a layout holds.

use super::content::contents;
use super::layout::Layout;
use crate::Result;
use crate::report::{LayoutReport, LayoutVersion, Summary, UnreadableVersion};
use operation::{Failure, Progress};
use std::path::Path;

/// Reads the records of a layout's versions, and looks which of their blobs are there; contents are not read.
pub(crate) fn list(directory: &Path, progress: &dyn Progress) -> Result<LayoutReport> {
    let layout = Layout::open(directory)?;
    let mut versions = Vec::new();
    let contents = contents(&layout, progress, &mut |held, manifest| {
        let parts = || manifest.packs().iter().chain([manifest.body()]);
        let absent = parts().filter(|part| layout.blob_len(&part.digest) != Some(part.size));
        versions.push(LayoutVersion {
            version: Summary {
                kind: held.kind.into(),
                name: held.layer.clone(),
                version: Some(held.version.clone()),
                sequence: held.sequence,
                os_layer: held.os_layer.clone(),
                size: held.size,
                id: held.id.to_string(),
            },
            created: held.created,
            made_on: held.made_on.as_ref().map(|made_on| made_on.reference.clone()),
            manifest: held.manifest.digest.to_string(),
            packed: parts().fold(manifest.config.size, |sum, part| sum.saturating_add(part.size)),
            absent: absent.count() as u64,
        });
    })?;
    versions.sort_by_key(|held| {
        let version = &held.version;
        (version.kind, version.name.folded(), version.sequence)
    });
    let unreadable = contents.unreadable.iter().map(|error| {
        let Failure { code, message, .. } = Failure::new(error);
        UnreadableVersion { code, message }
    });
    Ok(LayoutReport {
        directory: directory.display().to_string(),
        versions,
        unreadable: unreadable.collect(),
        foreign: contents.foreign,
    })
}
