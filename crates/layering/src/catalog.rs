//! What the store holds: layer versions and images by name.
//!
//! References of the store are `os|platform|app/LAYER/VERSION` and `image/NAME`, in the folded form by which names are
//! compared; the name as it was written is in the record.

use crate::error::Rule;
use crate::manifest::Manifest;
use crate::record::{DISK, DiskRecord, IMAGE, ImageRecord, MANIFEST, Pinned, VERSION, VersionRecord};
use crate::reference::{EntityName, LayerKind, ObjectKind, Reference};
use crate::report::Summary;
use crate::{Error, Result};
use operation::Progress;
use serde::{Serialize, de::DeserializeOwned};
use std::time::{SystemTime, UNIX_EPOCH};
use store::{Expect, Object, ObjectId, RefName, Session, Store};

/// A layer version and the identity of its record.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: ObjectId,
    pub(crate) record: VersionRecord,
}

/// An image and the identity of its record.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: ObjectId,
    pub(crate) record: ImageRecord,
}

/// What a reference may lead to.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Version(Version),
    Image(Image),
}

impl Version {
    /// `kind:LAYER@VERSION`.
    pub(crate) fn reference(&self) -> String {
        reference_text(self.record.kind, &self.record.layer, &self.record.version)
    }

    pub(crate) fn pinned(&self) -> Pinned {
        Pinned { reference: self.reference(), id: self.id }
    }

    /// What identifies the version in every store that it was imported into.
    pub(crate) fn identity(&self) -> ObjectId {
        self.record.origin.as_ref().map_or(self.id, |origin| origin.id)
    }

    /// Whether this is the version that a record means by `id`, be it from this store or from where this one came from.
    pub(crate) fn is(&self, id: ObjectId) -> bool {
        self.id == id || self.identity() == id
    }

    /// The OS layer that the version belongs to, or is a version of.
    pub(crate) fn os_layer(&self) -> &EntityName {
        self.record.os_layer.as_ref().unwrap_or(&self.record.layer)
    }

    pub(crate) fn summary(&self) -> Summary {
        let record = &self.record;
        Summary {
            kind: record.kind.into(),
            name: record.layer.clone(),
            version: Some(record.version.clone()),
            sequence: record.sequence,
            os_layer: record.os_layer.clone(),
            size: record.size,
            id: self.id.to_string(),
        }
    }
}

impl Image {
    /// `image:NAME`.
    pub(crate) fn reference(&self) -> String {
        format!("image:{}", self.record.name)
    }

    pub(crate) fn summary(&self) -> Summary {
        let record = &self.record;
        Summary {
            kind: ObjectKind::Image,
            name: record.name.clone(),
            version: None,
            sequence: record.sequence,
            os_layer: Some(record.os_layer.clone()),
            size: record.disk_len,
            id: self.id.to_string(),
        }
    }
}

impl Entry {
    pub(crate) fn summary(&self) -> Summary {
        match self {
            Entry::Version(version) => version.summary(),
            Entry::Image(image) => image.summary(),
        }
    }

    pub(crate) fn reference(&self) -> String {
        match self {
            Entry::Version(version) => version.reference(),
            Entry::Image(image) => image.reference(),
        }
    }
}

/// `kind:LAYER@VERSION`.
pub(crate) fn reference_text(kind: LayerKind, layer: &EntityName, version: &EntityName) -> String {
    format!("{kind}:{layer}@{version}")
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The named things of one store.
#[derive(Clone, Copy)]
pub(crate) struct Catalog<'s> {
    store: &'s Store,
}

impl<'s> Catalog<'s> {
    pub(crate) fn new(store: &'s Store) -> Catalog<'s> {
        Catalog { store }
    }

    /// Every version of the layers of a kind, by layer and position.
    pub(crate) fn versions(&self, kind: LayerKind) -> Result<Vec<Version>> {
        self.versions_below(kind.as_str())
    }

    /// The versions of one layer, in their order.
    pub(crate) fn versions_of(&self, kind: LayerKind, layer: &EntityName) -> Result<Vec<Version>> {
        let prefix = RefName::new([kind.as_str(), &layer.folded()])?;
        self.versions_below(prefix.as_str())
    }

    fn versions_below(&self, prefix: &str) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for (_, id) in self.store.refs(prefix)? {
            versions.push(Version { id, record: self.read_json(id, VERSION)? });
        }
        versions.sort_by_key(|version| (version.record.layer.folded(), version.record.sequence));
        Ok(versions)
    }

    /// Every image, in order.
    pub(crate) fn images(&self) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        for (_, id) in self.store.refs("image")? {
            images.push(Image { id, record: self.read_json(id, IMAGE)? });
        }
        images.sort_by_key(|image| (image.record.sequence, image.record.name.folded()));
        Ok(images)
    }

    /// What a reference leads to; of a layer without version, the latest.
    pub(crate) fn resolve(&self, text: &str) -> Result<Entry> {
        let reference: Reference = text.parse()?;
        let kinds = [ObjectKind::Os, ObjectKind::Platform, ObjectKind::App, ObjectKind::Image];
        let mut found = Vec::new();
        for kind in kinds.into_iter().filter(|kind| reference.kind.is_none_or(|wanted| wanted == *kind)) {
            if let Some(entry) = self.latest(kind, &reference)? {
                found.push((kind, entry));
            }
        }
        match found.len() {
            0 => {
                let what = reference.kind.map_or("layer or image", describe_kind);
                Err(Rule::NotFound { what, reference: text.to_owned() }.into())
            }
            1 => Ok(found.remove(0).1),
            _ => {
                let kinds: Vec<&str> = found.iter().map(|(kind, _)| describe(*kind)).collect();
                Err(Rule::Ambiguous { reference: text.to_owned(), kinds: kinds.join(", ") }.into())
            }
        }
    }

    fn latest(&self, kind: ObjectKind, reference: &Reference) -> Result<Option<Entry>> {
        let layer_kind = match kind {
            ObjectKind::Image => {
                if reference.version.is_some() {
                    return Ok(None);
                }
                let name = RefName::new(["image", &reference.name.folded()])?;
                let Some(id) = self.store.get_ref(&name)? else { return Ok(None) };
                return Ok(Some(Entry::Image(Image { id, record: self.read_json(id, IMAGE)? })));
            }
            ObjectKind::Os => LayerKind::Os,
            ObjectKind::Platform => LayerKind::Platform,
            ObjectKind::App => LayerKind::App,
        };
        if let Some(version) = &reference.version {
            let name = version_ref(layer_kind, &reference.name, version)?;
            let Some(id) = self.store.get_ref(&name)? else { return Ok(None) };
            return Ok(Some(Entry::Version(Version { id, record: self.read_json(id, VERSION)? })));
        }
        Ok(self.versions_of(layer_kind, &reference.name)?.pop().map(Entry::Version))
    }

    /// The version of a kind that a reference leads to. The kind need not be written.
    pub(crate) fn version(&self, text: &str, kind: LayerKind) -> Result<Version> {
        let mut reference: Reference = text.parse()?;
        match reference.kind {
            Some(written) if written != kind.into() => {
                let (found, needed) = (describe(written), describe(kind.into()));
                return Err(Rule::WrongKind { reference: text.to_owned(), found, needed }.into());
            }
            _ => reference.kind = Some(kind.into()),
        }
        match self.latest(kind.into(), &reference)? {
            Some(Entry::Version(version)) => Ok(version),
            _ => {
                let what = describe_kind(kind.into());
                Err(Rule::NotFound { what, reference: text.to_owned() }.into())
            }
        }
    }

    /// The image that a reference leads to. The kind need not be written.
    pub(crate) fn image(&self, text: &str) -> Result<Image> {
        let mut reference: Reference = text.parse()?;
        if let Some(written) = reference.kind.filter(|kind| *kind != ObjectKind::Image) {
            let (found, needed) = (describe(written), describe(ObjectKind::Image));
            return Err(Rule::WrongKind { reference: text.to_owned(), found, needed }.into());
        }
        reference.kind = Some(ObjectKind::Image);
        match self.latest(ObjectKind::Image, &reference)? {
            Some(Entry::Image(image)) => Ok(image),
            _ => Err(Rule::NotFound { what: "image", reference: text.to_owned() }.into()),
        }
    }

    /// The disk of an OS version.
    pub(crate) fn os_disk(&self, version: &Version) -> Result<DiskRecord> {
        self.disk(version.record.body)
    }

    /// A stored disk.
    pub(crate) fn disk(&self, id: ObjectId) -> Result<DiskRecord> {
        DiskRecord::decode(&self.read(id, DISK)?.payload)
    }

    /// The manifest of an app or platform version.
    pub(crate) fn manifest(&self, version: &Version) -> Result<Manifest> {
        Ok(Manifest::decode(&self.read(version.record.body, MANIFEST)?.payload)?)
    }

    fn read(&self, id: ObjectId, kind: &str) -> Result<Object> {
        let object = self.store.get_object(id)?;
        if object.kind != kind {
            let reason = format!("it is a {:?} where a {kind:?} is expected", object.kind);
            return Err(Error::record(format!("object {id}"), &reason));
        }
        Ok(object)
    }

    fn read_json<T: DeserializeOwned>(&self, id: ObjectId, kind: &str) -> Result<T> {
        let object = self.read(id, kind)?;
        serde_json::from_slice(&object.payload).map_err(|error| Error::record(format!("object {id}"), &error))
    }

    /// Refuses a version that exists, and gives the position that a new one gets.
    pub(crate) fn vacant(&self, kind: LayerKind, layer: &EntityName, version: &EntityName) -> Result<u64> {
        let versions = self.versions_of(kind, layer)?;
        if let Some(existing) = versions.iter().find(|existing| existing.record.version == *version) {
            return Err(Rule::Exists { what: existing.reference() }.into());
        }
        Ok(versions.last().map_or(1, |last| last.record.sequence + 1))
    }

    /// Refuses an image that exists, and gives the position that a new one gets.
    pub(crate) fn vacant_image(&self, name: &EntityName) -> Result<u64> {
        let images = self.images()?;
        if let Some(existing) = images.iter().find(|existing| existing.record.name == *name) {
            return Err(Rule::Exists { what: existing.reference() }.into());
        }
        Ok(images.last().map_or(1, |last| last.record.sequence + 1))
    }

    /// Stores a version, gives it its position, and makes it visible, in one step that either happens or does not.
    pub(crate) fn publish_version(
        &self,
        session: &Session,
        mut record: VersionRecord,
        progress: &dyn Progress,
    ) -> Result<Version> {
        last_chance(progress)?;
        let name = version_ref(record.kind, &record.layer, &record.version)?;
        let position = |record: &VersionRecord| self.vacant(record.kind, &record.layer, &record.version);
        loop {
            record.sequence = position(&record)?;
            // Only the body is linked: the version stands alone, what it was captured from may go.
            let id = put_json(session, VERSION, vec![record.body], &record)?;
            let refs = self.store.lock_refs()?;
            if let Some(os) = &record.os_layer
                && self.versions_of(LayerKind::Os, os)?.is_empty()
            {
                let reference = format!("os:{os}");
                return Err(Rule::NotFound { what: describe_kind(ObjectKind::Os), reference }.into());
            }
            // Another version of the layer may have come meanwhile.
            if position(&record)? == record.sequence {
                refs.set(&name, Expect::Absent, id)?;
                return Ok(Version { id, record });
            }
        }
    }

    /// Stores an image, gives it its position, and makes it visible, in one step that either happens or does not.
    pub(crate) fn publish_image(
        &self,
        session: &Session,
        mut record: ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Image> {
        last_chance(progress)?;
        let name = RefName::new(["image", &record.name.folded()])?;
        loop {
            record.sequence = self.vacant_image(&record.name)?;
            let id = put_json(session, IMAGE, vec![record.disk], &record)?;
            let refs = self.store.lock_refs()?;
            if self.vacant_image(&record.name)? == record.sequence {
                refs.set(&name, Expect::Absent, id)?;
                return Ok(Image { id, record });
            }
        }
    }

    /// Takes a version or image away that nothing uses.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<()> {
        // Nothing that would use it becomes visible between looking and removing.
        let refs = self.store.lock_refs()?;
        let (name, id) = match entry {
            Entry::Version(version) => {
                self.refuse_use(version)?;
                let record = &version.record;
                (version_ref(record.kind, &record.layer, &record.version)?, version.id)
            }
            Entry::Image(image) => (RefName::new(["image", &image.record.name.folded()])?, image.id),
        };
        Ok(refs.remove(&name, Expect::Is(id))?)
    }

    /// The last version of an OS layer stays as long as there are layers that belong to the OS layer.
    fn refuse_use(&self, version: &Version) -> Result<()> {
        let layer = &version.record.layer;
        if version.record.kind != LayerKind::Os || self.versions_of(LayerKind::Os, layer)?.len() > 1 {
            return Ok(());
        }
        let mut users = Vec::new();
        for kind in [LayerKind::Platform, LayerKind::App] {
            let versions = self.versions(kind)?;
            users.extend(versions.iter().filter(|other| other.os_layer() == layer).map(Version::reference));
        }
        if users.is_empty() {
            return Ok(());
        }
        let what = format!("{}, the only version of its OS layer,", version.reference());
        Err(Rule::InUse { what, users: users.join(", ") }.into())
    }
}

/// Cancelling works up to here: what is visible stays.
fn last_chance(progress: &dyn Progress) -> Result<()> {
    if progress.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

pub(crate) fn version_ref(kind: LayerKind, layer: &EntityName, version: &EntityName) -> Result<RefName> {
    Ok(RefName::new([kind.as_str(), &layer.folded(), &version.folded()])?)
}

fn put_json<T: Serialize>(
    session: &Session,
    kind: &str,
    links: Vec<ObjectId>,
    record: &T,
) -> Result<ObjectId> {
    let payload = serde_json::to_vec(record).map_err(|error| Error::record("a new record", &error))?;
    Ok(session.put_object(&Object { kind: kind.to_owned(), links, blobs: Vec::new(), payload })?)
}

/// Stores a disk.
pub(crate) fn put_disk(session: &Session, record: &DiskRecord) -> Result<ObjectId> {
    let object =
        Object { kind: DISK.to_owned(), links: Vec::new(), blobs: record.blobs(), payload: record.encode() };
    Ok(session.put_object(&object)?)
}

/// Stores a manifest.
///
/// # Errors
/// Those of the store; and if the manifest breaks a rule of its own form, which nothing could read afterwards.
pub(crate) fn put_manifest(session: &Session, manifest: &Manifest) -> Result<ObjectId> {
    manifest.verify().map_err(|error| Error::record("the manifest of the new version", &error))?;
    let object = Object {
        kind: MANIFEST.to_owned(),
        links: Vec::new(),
        blobs: manifest.blobs(),
        payload: manifest.encode(),
    };
    Ok(session.put_object(&object)?)
}

fn describe(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Os => "an OS layer",
        ObjectKind::Platform => "a platform layer",
        ObjectKind::App => "an app layer",
        ObjectKind::Image => "an image",
    }
}

fn describe_kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Os => "OS layer version",
        ObjectKind::Platform => "platform layer version",
        ObjectKind::App => "app layer version",
        ObjectKind::Image => "image",
    }
}
