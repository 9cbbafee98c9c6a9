//! Telling what a layout holds.

use super::content::contents;
use super::layout::Layout;
use super::oci::Descriptor;
use crate::Result;
use crate::report::{LayoutFile, LayoutReport, LayoutVersion, Summary, UnreadableVersion};
use operation::{Failure, Progress};
use std::path::Path;

/// Reads the records of a layout's versions, and looks which of their blobs are there; contents are not read. Of the
/// versions with these references, as this function gives them, it also names the files.
pub(crate) fn list(directory: &Path, files_of: &[String], progress: &dyn Progress) -> Result<LayoutReport> {
    let layout = Layout::open(directory)?;
    let mut versions = Vec::new();
    let contents = contents(&layout, progress, &mut |held, manifest| {
        let parts = || manifest.packs().iter().chain([manifest.body()]);
        let file = |part: &Descriptor| LayoutFile {
            path: format!("blobs/sha256/{}", part.digest.hex()),
            bytes: part.size,
        };
        let named = [&held.manifest, &manifest.config].into_iter().chain(parts());
        let files = if files_of.contains(&held.reference()) { named.map(file).collect() } else { Vec::new() };
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
            prerequisites: held.prerequisites.iter().map(|one| one.reference.clone()).collect(),
            platform: held.platform,
            manifest: held.manifest.digest.to_string(),
            packed: parts().fold(manifest.config.size, |sum, part| sum.saturating_add(part.size)),
            absent: absent.count() as u64,
            files,
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
