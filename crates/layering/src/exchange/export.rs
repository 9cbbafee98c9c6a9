//! Writing layer versions into a layout.

use super::content::contents;
use super::error::LayoutError;
use super::inventory::Inventory;
use super::layout::Layout;
use super::oci::{Descriptor, Digest, Index, VersionManifest};
use super::pack::{self, Directory};
use super::plan::{PlannedBlob, PlannedPack, plan};
use super::{CHANGES_TYPE, DISK_TYPE, LONGEST_BODY, LONGEST_MANIFEST, LONGEST_RECORD, RECORD_TYPE};
use crate::catalog::{Catalog, Entry, Version};
use crate::error::Rule;
use crate::reference::LayerKind;
use crate::report::{ExchangeState, ExportLayersReport, ExportedVersion};
use crate::request::ExportLayersRequest;
use crate::{Error, Result};
use operation::{Progress, Unit};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use store::{BLOCK, Object, Session, block_digest};

/// Most threads that compress: each holds two packs in memory.
const MOST_THREADS: usize = 8;

/// Writes versions into a layout, and into its index one after the other as they are complete.
pub(crate) fn export(
    session: &Session,
    catalog: &Catalog<'_>,
    request: &ExportLayersRequest,
    progress: &dyn Progress,
) -> Result<ExportLayersReport> {
    let versions = chosen(catalog, request)?;
    let mut sources = Vec::with_capacity(versions.len());
    for version in versions {
        // From here on it stays, whatever is removed meanwhile.
        session.hold(version.id)?;
        sources.push(Source::read(session, version)?);
    }
    let (layout, _exclusive) = Layout::open_or_create(&request.directory)?;
    let mut held: HashMap<String, Descriptor> = HashMap::new();
    let mut named: HashMap<Digest, u64> = HashMap::new();
    contents(&layout, progress, &mut |version, manifest| {
        named.extend(manifest.packs().iter().map(|pack| (pack.digest, pack.size)));
        let complete = std::iter::once(manifest.body()).chain(manifest.packs());
        if complete.into_iter().all(|part| layout.blob_len(&part.digest) == Some(part.size)) {
            held.insert(version.id.to_string(), version.manifest.clone());
        }
    })?;
    let wanted: Vec<&Source> =
        sources.iter().filter(|source| !held.contains_key(&source.version.id.to_string())).collect();
    let blobs = wanted.iter().flat_map(|source| source.body.blobs.iter().copied());
    let mut inventory = Inventory::scan(&layout, blobs, &named)?;
    let mut report = ExportLayersReport {
        directory: layout.path().display().to_string(),
        versions: Vec::new(),
        verified: 0,
    };
    for source in &sources {
        let version = source.version.summary();
        report.versions.push(match held.get(&version.id) {
            Some(entry) => ExportedVersion {
                version,
                state: ExchangeState::AlreadyThere,
                manifest: entry.digest.to_string(),
                content: 0,
                packs: 0,
                written: 0,
            },
            None => {
                report.verified += inventory.settle(&layout, &source.body.blobs)?;
                source.write(session, &layout, &mut inventory, progress)?
            }
        });
    }
    Ok(report)
}

/// The versions that are asked for, OS layers first, each once.
fn chosen(catalog: &Catalog<'_>, request: &ExportLayersRequest) -> Result<Vec<Version>> {
    let mut versions: Vec<Version> = Vec::new();
    let mut add = |version: Version| {
        if !versions.iter().any(|other| other.id == version.id) {
            versions.push(version);
        }
    };
    for reference in &request.references {
        let Entry::Version(version) = catalog.resolve(reference)? else {
            let (found, needed) = ("an image", "a layer version");
            return Err(Rule::WrongKind { reference: reference.clone(), found, needed }.into());
        };
        if request.with_os && version.record.kind != LayerKind::Os {
            let mut os = catalog.versions_of(LayerKind::Os, version.os_layer())?;
            let made_on = version.record.captured.as_ref().map(|captured| captured.os.id);
            let position = os.iter().position(|os| made_on.is_some_and(|id| os.is(id)));
            let os = position.map(|position| os.swap_remove(position)).or_else(|| os.pop());
            os.into_iter().for_each(&mut add);
        }
        add(version);
    }
    versions
        .sort_by_key(|version| (version.record.kind, version.record.layer.folded(), version.record.sequence));
    Ok(versions)
}

/// A version and what has to be written of it.
struct Source {
    version: Version,
    /// The record as it is stored.
    payload: Vec<u8>,
    body: Object,
}

impl Source {
    fn read(session: &Session, version: Version) -> Result<Source> {
        let payload = session.store().get_object(version.id)?.payload;
        let body = session.store().get_object(version.record.body)?;
        Ok(Source { version, payload, body })
    }

    fn refuse_longer(&self, what: &'static str, size: usize, limit: u64) -> Result<()> {
        let (of, size) = (self.version.reference(), size as u64);
        if size > limit {
            return Err(LayoutError::NotExchangeable { of, what, size, limit }.into());
        }
        Ok(())
    }

    /// Writes what the layout lacks of the version, then an index that names it.
    fn write(
        &self,
        session: &Session,
        layout: &Layout,
        inventory: &mut Inventory,
        progress: &dyn Progress,
    ) -> Result<ExportedVersion> {
        let reference = self.version.reference();
        let canonical = self.body.encode();
        let canonical = canonical.ok_or(Error::Internal { what: "a stored object does not encode" })?;
        self.refuse_longer("record", self.payload.len(), LONGEST_RECORD)?;
        self.refuse_longer("body", canonical.len(), LONGEST_BODY)?;
        let lacking = inventory.lacking(&self.body.blobs);
        let located = session.locate_all(lacking.iter().copied())?;
        if let Some(blob) = lacking.iter().find(|blob| !located.contains_key(blob)) {
            return Err(Error::record(&reference, &format!("blob {blob} is not in the store")));
        }
        let content = located.values().map(|location| location.len).sum();
        progress.step(&format!("Exporting {reference}"), Some(content), Unit::Bytes);
        let mut written = 0;
        let known = |planned: &PlannedPack| inventory.has_part(planned);
        let packs = write_packs(session, layout, &located, &known, progress)?;
        for (digest, size, directory) in packs {
            written += size;
            inventory.wrote(digest, size, &directory);
        }
        let body_type = if self.version.record.kind == LayerKind::Os { DISK_TYPE } else { CHANGES_TYPE };
        let body = store::encoding::encode_object_file(&canonical)
            .map_err(Error::io(format!("compressing the body of {reference}")))?;
        let body = layout.keep(body_type, &body)?;
        let record = layout.keep(RECORD_TYPE, &self.payload)?;
        let packs = inventory.packs_of(&self.body.blobs);
        let pack_count = packs.len() as u64;
        written += body.size + record.size;
        let manifest = VersionManifest::new(record, body, packs).encode();
        self.refuse_longer("manifest", manifest.len(), LONGEST_MANIFEST)?;
        let manifest = layout.keep(super::oci::MANIFEST_TYPE, &manifest)?;
        written += manifest.size;
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let ref_name = format!("{}/{}", self.version.record.kind, self.version.id);
        let entry = Descriptor::entry(manifest.digest, manifest.size, ref_name, reference);
        // Read again, as others may have added to it.
        let mut index: Index = layout.index()?;
        index.put(&entry);
        layout.replace_index(&index)?;
        Ok(ExportedVersion {
            version: self.version.summary(),
            state: ExchangeState::Done,
            manifest: manifest.digest.to_string(),
            content,
            packs: pack_count,
            written,
        })
    }
}

type Written = (Digest, u64, Directory);

/// Writes packs of these blobs, but not parts that are `known` to be there, by several threads; gives them in the order of
/// the plan.
fn write_packs(
    session: &Session,
    layout: &Layout,
    located: &HashMap<store::BlobId, store::Location>,
    known: &dyn Fn(&PlannedPack) -> bool,
    progress: &dyn Progress,
) -> Result<Vec<Written>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (plans, to_do) = sync_channel::<(usize, PlannedPack)>(1);
    let to_do = Mutex::new(to_do);
    let failed = AtomicBool::new(false);
    let work = || {
        let (mut written, mut outcome): (Vec<(usize, Written)>, Result<()>) = (Vec::new(), Ok(()));
        while let Some((number, pack)) = next(&to_do) {
            // After a failure plans are only taken: the planner must not wait for somebody to do it.
            if failed.load(Ordering::Relaxed) {
                continue;
            }
            match write_pack(session, layout, &pack, progress) {
                Ok(pack) => written.push((number, pack)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    outcome = Err(error);
                }
            }
        }
        outcome.map(|()| written)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut number = 0;
        let planned = plan(session, located, &mut |pack| {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            number += 1;
            if failed.load(Ordering::Relaxed) || known(&pack) {
                return Ok(());
            }
            plans.send((number, pack)).map_err(|_| Error::Internal { what: "nobody writes packs any more" })
        });
        drop(plans);
        let mut written = Vec::new();
        let mut outcome = planned;
        for worker in workers {
            match worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(packs) => written.extend(packs),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome?;
        written.sort_unstable_by_key(|(number, _)| *number);
        Ok(written.into_iter().map(|(_, pack)| pack).collect())
    })
}

fn next(to_do: &Mutex<Receiver<(usize, PlannedPack)>>) -> Option<(usize, PlannedPack)> {
    to_do.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Reads, verifies, compresses and writes one pack.
fn write_pack(
    session: &Session,
    layout: &Layout,
    planned: &PlannedPack,
    progress: &dyn Progress,
) -> Result<Written> {
    let mut content = vec![0; planned.content as usize];
    let mut rest = &mut content[..];
    for blob in &planned.blobs {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let (part, behind) = rest.split_at_mut(blob.runs.iter().map(|run| run.len as usize).sum());
        read_runs(session, blob, part)?;
        rest = behind;
        progress.advance(if planned.part.1 == 1 { blob.location.len } else { planned.content });
    }
    let blobs = planned.blobs.iter().map(|blob| (blob.id, blob.location.len, &blob.runs[..]));
    let directory = Directory::new(planned.part, blobs);
    let compressed = pack::compress(&content).map_err(Error::io("compressing a pack"))?;
    let (digest, size) = layout.put(&[&directory.encode(), &compressed])?;
    Ok((digest, size, directory))
}

/// Reads the runs of a blob one behind the other, and verifies every block.
fn read_runs(session: &Session, blob: &PlannedBlob, mut into: &mut [u8]) -> Result<()> {
    let pack = session.store().pack(blob.location.pack)?;
    let mut digests = Vec::new();
    for run in &blob.runs {
        let (bytes, rest) = into.split_at_mut(run.len as usize);
        let at = blob.location.offset + run.offset;
        pack.read_exact_at(at, bytes).map_err(Error::io(format!("reading blob {}", blob.id)))?;
        digests.clear();
        pack.block_digests(at, run.len.next_multiple_of(BLOCK), &mut digests)?;
        if !bytes.chunks(BLOCK as usize).map(block_digest).eq(digests.iter().copied()) {
            let found = "its content is damaged; nothing was exported of it";
            return Err(Error::record(format!("blob {}", blob.id), &found));
        }
        into = rest;
    }
    Ok(())
}
