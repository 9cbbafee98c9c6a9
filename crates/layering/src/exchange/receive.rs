//! Reading the contents of a version out of packs, into the store.
//!
//! Which pack has which blob is looked up in the packs' directories, unverified; a pack that has anything that the store
//! lacks is then read once, as a whole, verified, and must have the same directory. What the store has is not read.

use super::content::Records;
use super::error::LayoutError;
use super::inventory::{load, peek};
use super::layout::Layout;
use super::oci::Descriptor;
use super::pack::{Directory, Run};
use super::{LONGEST_BODY, pack};
use crate::manifest::Manifest;
use crate::record::{DISK, DiskRecord, MANIFEST};
use crate::reference::LayerKind;
use crate::{Error, Result};
use operation::{Progress, Unit};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use store::{Appended, BlobId, Object, PackWriter, Session};

/// After so many new bytes what was received is made durable, so that an import that is interrupted goes on from there.
/// Each such piece is a pack of the store, which are better few: a disk keeps all of its packs open.
pub(super) const CHECKPOINT: u64 = 2 << 30;

/// What was received of a version.
pub(super) struct Received {
    /// The body, which is in the store.
    pub(super) body: Object,
    /// Bytes newly written to the store.
    pub(super) stored: u64,
    /// Bytes read from packs.
    pub(super) read: u64,
}

/// Stores the body of a version and the contents that it needs, of which `max` bytes are accepted; what is new is made
/// durable after each `checkpoint` bytes. The session keeps all of it.
pub(super) fn receive(
    session: &Session,
    layout: &Layout,
    of: &str,
    records: &Records,
    (max, checkpoint): (u64, u64),
    progress: &dyn Progress,
) -> Result<Received> {
    let body = body(layout, of, records)?;
    let there = session.locate_all(body.blobs.iter().copied())?;
    let lacking: HashSet<BlobId> =
        body.blobs.iter().filter(|blob| !there.contains_key(blob)).copied().collect();
    let sources = Sources::find(layout, of, records.manifest.packs(), lacking, progress)?;
    let known: u64 = there.values().fold(0, |sum, blob| sum.saturating_add(blob.len));
    let content = sources.content.saturating_add(known);
    if content > max {
        return Err(LayoutError::TooMuch { of: of.to_owned(), content, max }.into());
    }
    progress.step(&format!("Importing {of}"), Some(sources.content), Unit::Bytes);
    let (order, read) = (sources.order(), sources.read());
    let (loaded, packs) = sync_channel::<Result<LoadedPack>>(1);
    let stored = thread::scope(|scope| {
        let sources = &sources;
        scope.spawn(move || {
            for number in order {
                let pack = sources.load(layout, of, number);
                let failed = pack.is_err();
                // Nobody takes it any more: the import was given up.
                if loaded.send(pack).is_err() || failed {
                    return;
                }
            }
        });
        let writer = Some(session.pack_writer()?);
        let mut storing =
            Storing { session, layout, packs, writer, checkpoint, fresh: 0, stored: 0, progress };
        storing.all(sources)
    })?;
    if session.put_object(&body)? != records.record.body {
        return Err(Error::Internal { what: "a body is stored under another name than it was verified for" });
    }
    Ok(Received { body, stored, read })
}

/// Reads the body and verifies that it is the one that the record names, and lists the blobs that it needs.
fn body(layout: &Layout, of: &str, records: &Records) -> Result<Object> {
    let descriptor = records.manifest.body();
    let path = layout.blob_path(&descriptor.digest);
    let file = layout.read(descriptor, "a body", LONGEST_BODY)?;
    let file = file.ok_or_else(|| LayoutError::BlobMissing {
        of: of.to_owned(),
        part: "body",
        digest: descriptor.digest.to_string(),
    })?;
    let damaged = |why: &str| Error::from(LayoutError::damaged(&path, why));
    let announced = file.get(8..16).and_then(|length| length.try_into().ok()).map(u64::from_le_bytes);
    if let Some(size) = announced.filter(|size| *size > LONGEST_BODY) {
        return Err(LayoutError::TooLong { path, what: "a body", size, limit: LONGEST_BODY }.into());
    }
    let canonical = store::encoding::decode_object_file(&file).map_err(damaged)?;
    if blake3::hash(&canonical).as_bytes() != &records.record.body.0 {
        return Err(damaged("it is not the body that the version's record names"));
    }
    let body = Object::decode(&canonical).map_err(damaged)?;
    let (kind, blobs) = match records.record.kind {
        LayerKind::Os => (DISK, DiskRecord::decode(&body.payload)?.blobs()),
        LayerKind::App | LayerKind::Platform => (MANIFEST, Manifest::decode(&body.payload)?.blobs()),
    };
    if body.kind != kind || !body.links.is_empty() || body.blobs != blobs {
        return Err(damaged("what it says it needs is not what it refers to"));
    }
    Ok(body)
}

/// Where the blobs are that the store lacks.
struct Sources<'l> {
    packs: Vec<(&'l Descriptor, blake3::Hash)>,
    /// The pack that has a blob, whole.
    whole: HashMap<BlobId, usize>,
    /// The packs that have the parts of a blob, in their order, and the blob's length in bytes.
    parts: HashMap<BlobId, (u64, Vec<usize>)>,
    /// Bytes of all these blobs.
    content: u64,
}

/// A part of a blob that was found: in which pack, and between which offsets of the blob.
type FoundPart = (usize, u64, u64);

impl<'l> Sources<'l> {
    fn find(
        layout: &Layout,
        of: &str,
        packs: &'l [Descriptor],
        mut lacking: HashSet<BlobId>,
        progress: &dyn Progress,
    ) -> Result<Sources<'l>> {
        let mut sources =
            Sources { packs: Vec::new(), whole: HashMap::new(), parts: HashMap::new(), content: 0 };
        let mut found: HashMap<(BlobId, u64, u64), BTreeMap<u64, FoundPart>> = HashMap::new();
        for (number, descriptor) in packs.iter().enumerate() {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let path = layout.blob_path(&descriptor.digest);
            if descriptor.size > pack::LONGEST {
                let (size, limit) = (descriptor.size, pack::LONGEST);
                return Err(LayoutError::TooLong { path, what: "a pack", size, limit }.into());
            }
            let file = layout.blob(&descriptor.digest, descriptor.size)?;
            let file = file.ok_or_else(|| LayoutError::BlobMissing {
                of: of.to_owned(),
                part: "pack",
                digest: descriptor.digest.to_string(),
            })?;
            let (directory, hash) =
                peek(file).map_err(|error| LayoutError::damaged(&path, error.to_string()))?;
            sources.packs.push((descriptor, hash));
            for blob in &directory.blobs {
                if !lacking.contains(&blob.id) {
                    continue;
                }
                if directory.parts == 1 {
                    lacking.remove(&blob.id);
                    sources.whole.insert(blob.id, number);
                    sources.content = sources.content.saturating_add(blob.len);
                    continue;
                }
                let (Some(first), Some(last)) = (directory.runs.first(), directory.runs.last()) else {
                    continue;
                };
                let extent = (number, first.offset, last.offset + last.len);
                let parts = found.entry((blob.id, blob.len, directory.parts)).or_default();
                parts.entry(directory.part).or_insert(extent);
            }
        }
        for ((blob, len, parts), found) in found {
            let ascend = found.values().zip(found.values().skip(1)).all(|(one, next)| one.2 <= next.1);
            if found.len() as u64 == parts && ascend && lacking.remove(&blob) {
                sources.parts.insert(blob, (len, found.values().map(|(pack, ..)| *pack).collect()));
                sources.content = sources.content.saturating_add(len);
            }
        }
        match lacking.iter().min() {
            None => Ok(sources),
            Some(&example) => {
                let blobs = lacking.len() as u64;
                Err(LayoutError::ContentMissing { of: of.to_owned(), blobs, example }.into())
            }
        }
    }

    /// The packs to be read, each once, in the order in which they are needed.
    fn order(&self) -> Vec<usize> {
        let mut whole: Vec<usize> = self.whole.values().copied().collect();
        whole.sort_unstable();
        whole.dedup();
        let parts = self.in_parts().into_iter().flat_map(|(_, _, packs)| packs.iter().copied());
        whole.into_iter().chain(parts).collect()
    }

    /// The blobs that are in parts, in an order that does not change.
    fn in_parts(&self) -> Vec<(BlobId, u64, &[usize])> {
        let mut blobs: Vec<_> =
            self.parts.iter().map(|(blob, (len, packs))| (*blob, *len, &packs[..])).collect();
        blobs.sort_unstable_by_key(|(_, _, packs)| packs.first().copied());
        blobs
    }

    /// Bytes of the packs to be read.
    fn read(&self) -> u64 {
        self.order().iter().map(|number| self.packs[*number].0.size).sum()
    }

    fn load(&self, layout: &Layout, of: &str, number: usize) -> Result<LoadedPack> {
        let (descriptor, hash) = &self.packs[number];
        let (directory, content) = load(layout, of, descriptor, hash)?;
        Ok(LoadedPack { number, directory, content })
    }
}

/// A pack that was read and verified.
struct LoadedPack {
    number: usize,
    directory: Directory,
    content: Vec<u8>,
}

impl LoadedPack {
    /// Fills `buf` with the bytes of a blob from `offset`, as far as this pack has them; others stay as they are.
    fn copy(&self, runs: &[Run], mut at: u64, offset: u64, buf: &mut [u8]) {
        let end = offset + buf.len() as u64;
        let behind = runs.partition_point(|run| run.offset + run.len <= offset);
        at += runs[..behind].iter().map(|run| run.len).sum::<u64>();
        for run in runs[behind..].iter().take_while(|run| run.offset < end) {
            let (from, to) = (run.offset.max(offset), (run.offset + run.len).min(end));
            let source = (at + (from - run.offset)) as usize;
            let bytes = &self.content[source..source + (to - from) as usize];
            buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(bytes);
            at += run.len;
        }
    }

    /// Where the part of a blob in this pack ends, bytes of the blob.
    fn end(&self) -> u64 {
        self.directory.runs.last().map_or(0, |run| run.offset + run.len)
    }
}

struct Storing<'s> {
    session: &'s Session,
    layout: &'s Layout,
    packs: Receiver<Result<LoadedPack>>,
    writer: Option<PackWriter>,
    /// After how many new bytes they are made durable.
    checkpoint: u64,
    /// New bytes since the last checkpoint.
    fresh: u64,
    /// New bytes.
    stored: u64,
    progress: &'s dyn Progress,
}

impl Storing<'_> {
    /// Stores everything; gives how many bytes were new.
    fn all(&mut self, sources: &Sources<'_>) -> Result<u64> {
        let mut left = sources.whole.clone();
        while !left.is_empty() {
            let pack = self.next()?;
            for blob in &pack.directory.blobs {
                // A pack may list a blob twice.
                if left.get(&blob.id) != Some(&pack.number) {
                    continue;
                }
                left.remove(&blob.id);
                let runs = &pack.directory.runs[blob.runs.clone()];
                let appended = self.writer()?.append_with(blob.len, &mut |offset, buf| {
                    buf.fill(0);
                    pack.copy(runs, blob.at, offset, buf);
                    Ok(())
                })?;
                self.took(sources, pack.number, blob.id, appended)?;
            }
        }
        for (blob, len, packs) in sources.in_parts() {
            self.in_parts(sources, blob, len, packs)?;
        }
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(self.stored)
    }

    /// Stores a blob whose parts come one after the other.
    fn in_parts(&mut self, sources: &Sources<'_>, blob: BlobId, len: u64, packs: &[usize]) -> Result<()> {
        let mut part = self.next()?;
        let mut left = packs.len() - 1;
        let mut failed = None;
        let mut writer = self.writer.take().ok_or(Error::Internal { what: "there is no writer" })?;
        let appended = writer.append_with(len, &mut |offset, buf| {
            buf.fill(0);
            loop {
                part.copy(&part.directory.runs, 0, offset, buf);
                if left == 0 || part.end() >= offset + buf.len() as u64 {
                    return Ok(());
                }
                left -= 1;
                part = self.next().map_err(|error| {
                    failed = Some(error);
                    io::Error::other("a pack cannot be read")
                })?;
            }
        });
        self.writer = Some(writer);
        match failed {
            Some(error) => Err(error),
            None => self.took(sources, part.number, blob, appended?),
        }
    }

    fn writer(&mut self) -> Result<&mut PackWriter> {
        self.writer.as_mut().ok_or(Error::Internal { what: "there is no writer" })
    }

    fn next(&mut self) -> Result<LoadedPack> {
        if self.progress.cancelled() {
            return Err(Error::Cancelled);
        }
        self.packs.recv().map_err(|_| Error::Internal { what: "a pack is not read that is needed" })?
    }

    /// Looks whether what was appended is what it should be.
    fn took(&mut self, sources: &Sources<'_>, pack: usize, blob: BlobId, appended: Appended) -> Result<()> {
        if appended.id != blob {
            let path = self.layout.blob_path(&sources.packs[pack].0.digest);
            let why = format!("what it has as blob {blob} has the digest {}", appended.id);
            return Err(LayoutError::damaged(path, why).into());
        }
        self.progress.advance(appended.len);
        if !appended.new {
            return Ok(());
        }
        self.stored += appended.len;
        self.fresh += appended.len;
        if self.fresh >= self.checkpoint
            && let Some(writer) = self.writer.take()
        {
            writer.finish()?;
            self.writer = Some(self.session.pack_writer()?);
            self.fresh = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, now, put_disk};
    use crate::exchange::content::contents;
    use crate::exchange::export;
    use crate::exchange::oci::Candidate;
    use crate::record::{DiskExtent, ENGINE, UNPUBLISHED, VersionRecord};
    use crate::reference::EntityName;
    use crate::request::ExportLayersRequest;
    use operation::Silent;
    use std::sync::atomic::{AtomicI64, Ordering};
    use store::Store;

    const MIB: u64 = 1 << 20;
    const BLOBS: u64 = 40;

    /// A mebibyte that no other number has.
    fn content(number: u64) -> Vec<u8> {
        let mut bytes = vec![0; MIB as usize];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Exports an OS version of [`BLOBS`] mebibytes.
    fn exported(directory: &std::path::Path) {
        let store = Store::init(&directory.join("store")).unwrap();
        let session = store.session().unwrap();
        let mut writer = session.pack_writer().unwrap();
        let extents = (0..BLOBS).map(|number| {
            let blob = writer.append_bytes(&content(number)).unwrap().id;
            DiskExtent { offset: number * MIB, len: MIB, blob, blob_offset: 0 }
        });
        let disk = DiskRecord { len: BLOBS * MIB, extents: extents.collect() };
        writer.finish().unwrap();
        let record = VersionRecord {
            kind: LayerKind::Os,
            layer: EntityName::new("System").unwrap(),
            version: EntityName::new("1").unwrap(),
            sequence: UNPUBLISHED,
            created: now(),
            engine: ENGINE.to_owned(),
            os_layer: None,
            platform: None,
            size: BLOBS * MIB,
            files: 0,
            directories: 0,
            deletions: 0,
            body: put_disk(&session, &disk).unwrap(),
            os_volume: Some(1),
            override_reason: None,
            origin: None,
            captured: None,
            warnings: Vec::new(),
        };
        let catalog = Catalog::new(&store);
        catalog.publish_version(&session, record, &Silent).unwrap();
        let references = vec!["os:System".to_owned()];
        let request = ExportLayersRequest { references, directory: directory.join("layout"), with_os: false };
        export(&session, &catalog, &request, &Silent).unwrap();
    }

    /// Says "stop" from the n-th question on.
    struct StopAfter(AtomicI64);

    impl Progress for StopAfter {
        fn step(&self, _: &str, _: Option<u64>, _: Unit) {}
        fn advance(&self, _: u64) {}
        fn cancelled(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) <= 0
        }
    }

    #[test]
    fn what_was_received_before_an_interruption_is_not_received_again() {
        let directory = tempfile::tempdir().unwrap();
        exported(directory.path());
        let layout = Layout::open(&directory.path().join("layout")).unwrap();
        let held = contents(&layout, &Silent, &mut |_, _| {}).unwrap().versions.remove(0);
        let candidate = Candidate { descriptor: held.manifest, declared: true };
        let records = Records::read(&layout, &candidate).unwrap().unwrap();
        assert_eq!(records.manifest.packs().len(), 2);
        let store = Store::init(&directory.path().join("other")).unwrap();
        let limits = (1 << 30, 8 * MIB);

        // Two questions while the directories of packs are read, one before each pack is taken.
        let stop = StopAfter(AtomicI64::new(3));
        let session = store.session().unwrap();
        let error = receive(&session, &layout, "it", &records, limits, &stop).err().unwrap();
        assert!(matches!(error, Error::Cancelled), "{error}");
        drop(session);

        let session = store.session().unwrap();
        let received = receive(&session, &layout, "it", &records, limits, &Silent).unwrap();
        assert_eq!(received.stored, 8 * MIB, "the first pack was received");
        assert!(received.read < 9 * MIB, "and not read again: {}", received.read);
        drop(session);
        assert_eq!(store.check(true, &Silent).unwrap().problems, []);
    }
}
