//! Reading layer versions from a layout into the store.

use super::adopt::{Fit, Incoming};
use super::content::{Contents, Held, Records, contents};
use super::error::LayoutError;
use super::layout::Layout;
use super::oci::Candidate;
use super::receive::{CHECKPOINT, receive};
use crate::catalog::{Catalog, Version};
use crate::compose::OsDisk;
use crate::error::Rule;
use crate::manifest::{ContentRecord, Manifest};
use crate::record::DiskRecord;
use crate::reference::{EntityName, LayerKind, ObjectKind, Reference};
use crate::report::{ExchangeState, ImportLayersReport, ImportedVersion, Warning};
use crate::request::{ImportLayersRequest, LayerRename};
use crate::{Error, Result};
use operation::Progress;
use std::collections::{HashMap, HashSet};
use store::{BLOCK, BlobId, Object, Session};

/// Most content of one version that is accepted unless more is allowed, bytes.
const MOST_CONTENT: u64 = 100 << 30;

/// Reads versions from a layout, OS layers first; each becomes visible when it is complete.
pub(crate) fn import(
    session: &Session,
    catalog: &Catalog<'_>,
    request: &ImportLayersRequest,
    progress: &dyn Progress,
) -> Result<ImportLayersReport> {
    let renames = Renames::new(&request.rename)?;
    let layout = Layout::open(&request.directory)?;
    let contents = contents(&layout, progress, &mut |_, _| {})?;
    let chosen = choose(&layout, catalog, &renames, contents, &request.references)?;
    let max = request.max_size.unwrap_or(MOST_CONTENT);
    let import = Import { session, catalog, layout: &layout, renames: &renames, max, progress };
    // What can be refused is refused before anything is read.
    for held in &chosen {
        import.incoming(&import.records(held)?).fit(catalog)?;
    }
    let mut versions = Vec::with_capacity(chosen.len());
    for held in &chosen {
        versions.push(import.version(held)?);
    }
    Ok(ImportLayersReport { directory: layout.path().display().to_string(), versions })
}

/// The names that layers get here.
struct Renames(HashMap<(LayerKind, String), EntityName>);

impl Renames {
    fn new(renames: &[LayerRename]) -> Result<Renames> {
        let mut names = HashMap::new();
        for rename in renames {
            let (from, to) = (EntityName::new(&rename.from)?, EntityName::new(&rename.to)?);
            if names.insert((rename.kind, from.folded()), to).is_some() {
                return Err(Rule::Twice { layer: format!("{}:{from}", rename.kind) }.into());
            }
        }
        Ok(Renames(names))
    }

    fn of(&self, kind: LayerKind, layer: &EntityName) -> EntityName {
        self.0.get(&(kind, layer.folded())).unwrap_or(layer).clone()
    }
}

/// The versions that were asked for, with the OS layers that they need; those first.
fn choose(
    layout: &Layout,
    catalog: &Catalog<'_>,
    renames: &Renames,
    contents: Contents,
    references: &[String],
) -> Result<Vec<Held>> {
    let Contents { versions, unreadable, .. } = contents;
    let mut unreadable = unreadable.into_iter();
    let mut chosen: Vec<&Held> = Vec::new();
    let path = || layout.path().to_owned();
    if references.is_empty() {
        // All of it was asked for, so what cannot be read is not left out.
        if let Some(error) = unreadable.next() {
            return Err(error.into());
        }
        if versions.is_empty() {
            return Err(LayoutError::Nothing { path: path() }.into());
        }
        chosen.extend(&versions);
    }
    for text in references {
        match find(&versions, text)? {
            Some(held) => chosen.push(held),
            None => {
                let absent = LayoutError::NotHeld { path: path(), reference: text.clone() };
                return Err(unreadable.next().unwrap_or(absent).into());
            }
        }
    }
    let mut os_layers: HashSet<String> = HashSet::new();
    for held in chosen.clone() {
        let Some(os_layer) = &held.os_layer else { continue };
        // Of the layers that need the same one, the first says which version it was made on.
        if !os_layers.insert(os_layer.folded()) {
            continue;
        }
        let is_os = |other: &Held| other.kind == LayerKind::Os && other.layer == *os_layer;
        let here = renames.of(LayerKind::Os, os_layer);
        if chosen.iter().any(|other| is_os(other)) || !catalog.versions_of(LayerKind::Os, &here)?.is_empty() {
            continue;
        }
        let made_on = |other: &Held| held.made_on.as_ref().is_some_and(|made_on| made_on.id == other.id);
        let candidates = versions.iter().filter(|other| is_os(other));
        let os = candidates.max_by_key(|other| (made_on(other), other.sequence));
        let absent = || LayoutError::NoOs { version: held.reference(), os_layer: os_layer.to_string() };
        chosen.push(os.ok_or_else(absent)?);
    }
    chosen.sort_by_key(|held| (held.kind, held.layer.folded(), held.sequence, held.version.folded()));
    let mut seen: HashMap<(LayerKind, String, String), &Held> = HashMap::new();
    let mut distinct = Vec::new();
    for held in chosen {
        let key = (held.kind, held.layer.folded(), held.version.folded());
        match seen.insert(key, held) {
            Some(other) if other.manifest.digest != held.manifest.digest => {
                return Err(LayoutError::Several {
                    path: path(),
                    reference: held.reference(),
                    first: other.manifest.digest.to_string(),
                    second: held.manifest.digest.to_string(),
                }
                .into());
            }
            Some(_) => {}
            None => distinct.push(held.clone()),
        }
    }
    Ok(distinct)
}

/// The version that a reference means; of a layer without version, the latest.
fn find<'v>(versions: &'v [Held], text: &str) -> Result<Option<&'v Held>> {
    let reference: Reference = text.parse()?;
    let matching = versions.iter().filter(|held| {
        reference.kind.is_none_or(|kind| kind == ObjectKind::from(held.kind))
            && held.layer == reference.name
            && reference.version.as_ref().is_none_or(|version| held.version == *version)
    });
    let matching: Vec<&Held> = matching.collect();
    let kinds: HashSet<LayerKind> = matching.iter().map(|held| held.kind).collect();
    if kinds.len() > 1 {
        let mut kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        kinds.sort();
        return Err(Rule::Ambiguous { reference: text.to_owned(), kinds: kinds.join(", ") }.into());
    }
    Ok(matching.into_iter().max_by_key(|held| held.sequence))
}

struct Import<'i> {
    session: &'i Session,
    catalog: &'i Catalog<'i>,
    layout: &'i Layout,
    renames: &'i Renames,
    /// Most content of one version, bytes.
    max: u64,
    progress: &'i dyn Progress,
}

impl Import<'_> {
    fn records(&self, held: &Held) -> Result<Records> {
        let candidate = Candidate { descriptor: held.manifest.clone(), declared: true };
        let records = Records::read(self.layout, &candidate)?;
        records.ok_or(Error::Internal { what: "a layer version is none any more" })
    }

    fn incoming<'r>(&self, records: &'r Records) -> Incoming<'r> {
        let record = &records.record;
        let os_layer = record.os_layer.as_ref().map(|os| self.renames.of(LayerKind::Os, os));
        Incoming { records, layer: self.renames.of(record.kind, &record.layer), os_layer }
    }

    fn version(&self, held: &Held) -> Result<ImportedVersion> {
        let records = self.records(held)?;
        let incoming = self.incoming(&records);
        let there = |version: &Version| ImportedVersion {
            version: version.summary(),
            from: records.reference(),
            state: ExchangeState::AlreadyThere,
            stored: 0,
            read: 0,
            warnings: Vec::new(),
        };
        if let Fit::Same(version) = incoming.fit(self.catalog)? {
            return Ok(there(&version));
        }
        incoming.require_os(self.catalog)?;
        let of = incoming.reference();
        let received =
            receive(self.session, self.layout, &of, &records, (self.max, CHECKPOINT), self.progress)?;
        self.verify(&records, &received.body, &of)?;
        let version = incoming.publish(self.session, self.catalog, self.progress)?;
        Ok(ImportedVersion {
            state: ExchangeState::Done,
            stored: received.stored,
            read: received.read,
            warnings: self.unknown_os(&records)?.into_iter().collect(),
            ..there(&version)
        })
    }

    /// Whether what the body refers to is there, and an OS disk has the volume that its record says.
    fn verify(&self, records: &Records, body: &Object, of: &str) -> Result<()> {
        let located = self.session.locate_all(body.blobs.iter().copied())?;
        let within = |blob: &BlobId, offset: u64, len: u64| {
            let padded = located.get(blob).and_then(|blob| blob.len.checked_next_multiple_of(BLOCK));
            let end = offset.checked_add(len);
            padded.zip(end).is_some_and(|(padded, end)| end <= padded)
        };
        let fits = match records.record.kind {
            LayerKind::Os => {
                let disk = DiskRecord::decode(&body.payload)?;
                let mut extents = disk.extents.iter();
                let fits = extents.all(|extent| within(&extent.blob, extent.blob_offset, extent.len));
                if fits {
                    OsDisk::of(self.session, &disk, records.record.os_volume, of.to_owned())?;
                }
                fits
            }
            LayerKind::App | LayerKind::Platform => {
                let manifest = Manifest::decode(&body.payload)?;
                let files = manifest.files.iter().flat_map(|file| &file.streams);
                let directories = manifest.directories.iter().flat_map(|directory| &directory.streams);
                files.chain(directories).all(|stream| match &stream.content {
                    ContentRecord::Stored { content, len, pieces, .. } if pieces.is_empty() => {
                        *len == 0 || within(content, 0, *len)
                    }
                    ContentRecord::Stored { pieces, .. } => pieces.iter().all(|piece| {
                        piece.blob.as_ref().is_none_or(|blob| within(blob, piece.offset, piece.len))
                    }),
                    ContentRecord::Inline(_) => true,
                })
            }
        };
        if fits {
            return Ok(());
        }
        let path = self.layout.blob_path(&records.manifest.body().digest);
        Err(LayoutError::damaged(path, "it refers to more of a blob than there is").into())
    }

    /// A layer works with any version of its OS layer; but this may be another OS layer of the same name.
    fn unknown_os(&self, records: &Records) -> Result<Option<Warning>> {
        let (Some(os_layer), Some(captured)) = (&records.record.os_layer, &records.record.captured) else {
            return Ok(None);
        };
        let here = self.renames.of(LayerKind::Os, os_layer);
        if self.catalog.versions_of(LayerKind::Os, &here)?.iter().any(|os| os.is(captured.os.id)) {
            return Ok(None);
        }
        let message = format!(
            "{} was made on {}, which is not in the store: make sure that the OS layer {here} is the same system",
            records.reference(),
            captured.os.reference
        );
        Ok(Some(Warning { code: "import-os-version-unknown".into(), message, paths: Vec::new(), count: 0 }))
    }
}
