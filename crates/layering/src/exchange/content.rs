//! The layer versions that a layout holds, read and verified as far as their records go.

use super::error::LayoutError;
use super::layout::Layout;
use super::oci::{Candidate, Descriptor, Digest, Kinship, VersionManifest};
use super::{CHANGES_TYPE, DISK_TYPE, LONGEST_MANIFEST, LONGEST_RECORD};
use crate::catalog::reference_text;
use crate::platform::PlatformTypes;
use crate::record::{Pinned, VERSION, VersionRecord};
use crate::reference::{EntityName, LayerKind, Reference};
use crate::{Error, Result};
use operation::{Progress, Unit};
use std::collections::HashSet;
use store::{Object, ObjectId};

/// The highest position of a version in its layer that is accepted, so that there is always a next one.
const HIGHEST_SEQUENCE: u64 = u32::MAX as u64;

/// What a layout holds.
pub(super) struct Contents {
    /// Its layer versions, each once, in the order of the index.
    pub(super) versions: Vec<Held>,
    /// Why entries that say that they are layer versions could not be read.
    pub(super) unreadable: Vec<LayoutError>,
    /// How many other entries there are.
    pub(super) foreign: u64,
}

/// A layer version in a layout: as much of it as can be kept of many.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its OCI manifest.
    pub(super) manifest: Descriptor,
    /// Identity of its record.
    pub(super) id: ObjectId,
    pub(super) kind: LayerKind,
    pub(super) layer: EntityName,
    pub(super) version: EntityName,
    pub(super) sequence: u64,
    pub(super) os_layer: Option<EntityName>,
    /// Seconds since 1970-01-01 UTC.
    pub(super) created: u64,
    /// What it adds, bytes.
    pub(super) size: u64,
    /// The OS version that it was captured on.
    pub(super) made_on: Option<Pinned>,
    /// The app versions that were on its packaging disk as well.
    pub(super) prerequisites: Vec<Pinned>,
    pub(super) platform: Option<PlatformTypes>,
}

impl Held {
    pub(super) fn reference(&self) -> String {
        reference_text(self.kind, &self.layer, &self.version)
    }
}

/// The records of a layer version in a layout.
pub(super) struct Records {
    pub(super) manifest: VersionManifest,
    /// The version's record as it was written.
    pub(super) payload: Vec<u8>,
    pub(super) record: VersionRecord,
    pub(super) id: ObjectId,
}

impl Records {
    /// Reads the manifest and the record of a version and verifies them. `Ok(None)` if this is something else.
    pub(super) fn read(layout: &Layout, candidate: &Candidate) -> Result<Option<Records>> {
        let (entry, declared) = (&candidate.descriptor, candidate.declared);
        let path = layout.blob_path(&entry.digest);
        let damaged = |why: String| Error::from(LayoutError::damaged(&path, why));
        let missing = |part, digest: Digest| LayoutError::BlobMissing {
            of: named(entry),
            part,
            digest: digest.to_string(),
        };
        let bytes = match layout.read(entry, "a manifest", LONGEST_MANIFEST) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if declared => return Err(missing("manifest", entry.digest).into()),
            Err(error) if declared => return Err(error),
            // somebody else's business
            Ok(None) | Err(_) => return Ok(None),
        };
        match VersionManifest::kinship(&bytes) {
            Kinship::Ours => {}
            Kinship::Newer => return Err(LayoutError::Newer { path, what: "a layer version" }.into()),
            Kinship::Unknown => {
                return Err(damaged("it is no layer version, but says it is Lamina's".into()));
            }
            Kinship::Foreign if declared => return Err(damaged("it is no layer version".into())),
            Kinship::Foreign => return Ok(None),
        }
        let manifest = VersionManifest::decode(&bytes).map_err(damaged)?;
        let payload = layout.read(&manifest.config, "a version's record", LONGEST_RECORD)?;
        let payload = payload.ok_or_else(|| missing("record", manifest.config.digest))?;
        let path = layout.blob_path(&manifest.config.digest);
        let damaged = |why: String| LayoutError::damaged(&path, why);
        let record: VersionRecord =
            serde_json::from_slice(&payload).map_err(|error| damaged(error.to_string()))?;
        check(&record, &manifest).map_err(|why| damaged(why.to_owned()))?;
        let id = version_object(&record, payload.clone()).encode();
        let id = id.map(|canonical| ObjectId(*blake3::hash(&canonical).as_bytes()));
        let id = id.ok_or_else(|| damaged("it cannot be stored".into()))?;
        Ok(Some(Records { manifest, payload, record, id }))
    }

    pub(super) fn reference(&self) -> String {
        reference_text(self.record.kind, &self.record.layer, &self.record.version)
    }

    fn held(&self, entry: &Descriptor) -> Held {
        let VersionRecord { kind, sequence, created, size, .. } = self.record;
        Held {
            manifest: Descriptor::new(&entry.media_type, entry.digest, entry.size),
            id: self.id,
            kind,
            layer: self.record.layer.clone(),
            version: self.record.version.clone(),
            sequence,
            os_layer: self.record.os_layer.clone(),
            created,
            size,
            made_on: self.record.captured.as_ref().map(|captured| captured.os.clone()),
            prerequisites: self
                .record
                .captured
                .as_ref()
                .map(|captured| captured.prerequisites.clone())
                .unwrap_or_default(),
            platform: self.record.platform,
        }
    }
}

/// The object that a version's record is in the store.
pub(super) fn version_object(record: &VersionRecord, payload: Vec<u8>) -> Object {
    Object { kind: VERSION.to_owned(), links: vec![record.body], blobs: Vec::new(), payload }
}

/// Whether the parts of a record agree with each other and with the types of the layout.
fn check(record: &VersionRecord, manifest: &VersionManifest) -> std::result::Result<(), &'static str> {
    let is_os = record.kind == LayerKind::Os;
    if is_os != record.os_layer.is_none() {
        return Err("it does not say which OS layer it belongs to, or is one and does");
    }
    if manifest.body().media_type != if is_os { DISK_TYPE } else { CHANGES_TYPE } {
        return Err("its body is not of the type that its kind has");
    }
    if record.os_volume.is_some() != is_os {
        return Err("it does not say which partition is the OS volume, or has none and does");
    }
    if record.platform.is_some() && record.kind != LayerKind::Platform {
        return Err("it has types of platforms, but is no platform layer");
    }
    if record.sequence == 0 || record.sequence > HIGHEST_SEQUENCE {
        return Err("its position in its layer is none");
    }
    let parses = |pinned: &Pinned| pinned.reference.parse::<Reference>().is_ok();
    if !record.captured.iter().all(|captured| parses(&captured.os)) || !record.origin.iter().all(parses) {
        return Err("it refers to another version by what is no reference");
    }
    Ok(())
}

fn named(entry: &Descriptor) -> String {
    format!("the layer version with the manifest {}", entry.digest)
}

/// Reads the records of all layer versions; `visit` gets each with its manifest.
pub(super) fn contents(
    layout: &Layout,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(&Held, &VersionManifest),
) -> Result<Contents> {
    let index = layout.index()?;
    let (candidates, unreadable, foreign) = index.candidates(layout.path());
    progress.step("Reading the layout", Some(candidates.len() as u64), Unit::Items);
    let mut contents = Contents { versions: Vec::new(), unreadable, foreign };
    let mut seen: HashSet<Digest> = HashSet::new();
    for candidate in &candidates {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        progress.advance(1);
        // The same manifest under several names is one version.
        if !seen.insert(candidate.descriptor.digest) {
            continue;
        }
        match Records::read(layout, candidate) {
            Ok(Some(records)) => {
                let held = records.held(&candidate.descriptor);
                visit(&held, &records.manifest);
                contents.versions.push(held);
            }
            Ok(None) => contents.foreign += 1,
            Err(Error::Layout(error)) => contents.unreadable.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(contents)
}
