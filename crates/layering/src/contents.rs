//! Contents of files while trees are compared and folded: what is equal, what is kept, what it was before.

use crate::binary_version::{binary_version, may_have_version};
use crate::difference::{Contents, HiveStreams};
use crate::manifest::{ContentRecord, Piece, StreamRecord};
use crate::plan::OsContents;
use crate::registry::{self, HiveKind, NeverCapturedKeys, Side};
use crate::streams::{self, Part, PartReader};
use crate::{Error, Result};
use disk::{BLOCK, BlockSet, ByteSource};
use hive::{Delta, Recovery, Upcase};
use operation::Progress;
use store::{BlobHasher, BlobId, PackWriter, block_digest};
use volume::{Name, Stream, StreamData, StreamFlags};

/// How equality of contents is decided where the records of two files agree.
pub(crate) enum Equality {
    /// Equal records mean equal contents.
    TrustMetadata,
    /// Contents are equal where nothing changed: these ranges of the volume did.
    Changed(BlockSet),
}

/// The part of the base volume that is stored, in terms of blobs.
pub(crate) trait BaseBlobs {
    /// The blobs that hold `offset .. offset + len` of the base volume (bytes, block multiples), if all of it is stored.
    fn pieces(&mut self, offset: u64, len: u64) -> Result<Option<Vec<Piece>>>;
}

/// What comparing hives needs to know.
pub(crate) struct Registry<'a> {
    /// How the volume compares names.
    pub(crate) upcase: Upcase,
    /// What no layer carries.
    pub(crate) never: &'a NeverCapturedKeys,
    /// Whether hives of the returned disk are taken whose last write is incomplete.
    pub(crate) accept_dirty: bool,
}

/// Contents of a returned disk in comparison with its base.
pub(crate) struct ReturnedContents<'a> {
    base: &'a dyn ByteSource,
    new: &'a dyn ByteSource,
    equality: Equality,
    blobs: &'a mut dyn BaseBlobs,
    writer: &'a mut PackWriter,
    registry: Registry<'a>,
    progress: &'a dyn Progress,
    /// Hives that were mended while they were read, and what was wrong with them.
    pub(crate) mended: Vec<String>,
    /// Bytes read from the returned disk.
    pub(crate) read: u64,
    /// Bytes newly stored.
    pub(crate) stored: u64,
    /// Bytes that the kept streams add to what the base has, whether or not another layer stored the same.
    pub(crate) kept: u64,
}

impl<'a> ReturnedContents<'a> {
    pub(crate) fn new(
        base: &'a dyn ByteSource,
        new: &'a dyn ByteSource,
        equality: Equality,
        blobs: &'a mut dyn BaseBlobs,
        writer: &'a mut PackWriter,
        registry: Registry<'a>,
        progress: &'a dyn Progress,
    ) -> ReturnedContents<'a> {
        let mended = Vec::new();
        ReturnedContents {
            base,
            new,
            equality,
            blobs,
            writer,
            registry,
            progress,
            mended,
            read: 0,
            stored: 0,
            kept: 0,
        }
    }

    /// Whether the parts of a stream are known to be what the base volume has in the same place.
    fn untouched(&self, parts: &[Part]) -> bool {
        match &self.equality {
            Equality::TrustMetadata => false,
            Equality::Changed(blocks) => {
                parts.iter().all(|part| !blocks.intersects(part.at..part.at.saturating_add(part.len)))
            }
        }
    }

    /// Whether two streams hold the same bytes. Only where `trusted` does a stream that lies where it lay count as the same
    /// without being read.
    fn equal(&mut self, base: &Stream, new: &Stream, trusted: bool) -> Result<bool> {
        if let (StreamData::Inline(a), StreamData::Inline(b)) = (&base.data, &new.data) {
            return Ok(a == b);
        }
        if base.data == new.data {
            match &self.equality {
                Equality::TrustMetadata if trusted => return Ok(true),
                // A block may have changed only in the slack behind the end of the stream.
                Equality::Changed(_) if self.untouched(&streams::parts(new)) => return Ok(true),
                Equality::TrustMetadata | Equality::Changed(_) => {}
            }
        }
        if streams::layout(base) != streams::layout(new) {
            return Ok(false);
        }
        let (ours, _) = streams::digest(self.base, base).map_err(reading)?;
        let (theirs, read) = streams::digest(self.new, new).map_err(reading)?;
        self.read += read;
        Ok(ours == theirs)
    }

    /// The content as parts of blobs that are stored already: what a moved, linked or re-labelled file costs.
    fn share(&mut self, parts: &[Part], len: u64) -> Result<Option<(BlobId, Vec<Piece>)>> {
        let aligned = |part: &Part| part.at.is_multiple_of(BLOCK) && part.data == part.len;
        let (last, whole) = match parts.split_last() {
            Some((last, before)) => (last, before),
            None => return Ok(None),
        };
        if !self.untouched(parts)
            || !parts.iter().all(aligned)
            || !whole.iter().all(|part| part.len.is_multiple_of(BLOCK))
        {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut digests = Vec::new();
        for part in parts {
            let len = part.len / BLOCK * BLOCK;
            if len == 0 {
                continue;
            }
            match self.blobs.pieces(part.at, len)? {
                Some(found) => pieces.extend(found),
                None => return Ok(None),
            }
            if !self.base.known_block_digests(part.at, len, &mut digests).map_err(reading)? {
                return Ok(None);
            }
        }
        // The slack of the last block is not ours to carry: that block is stored by itself, zero-padded.
        let tail = last.len % BLOCK;
        if tail > 0 {
            let mut block = vec![0; tail as usize];
            self.new.read_exact_at(last.at + last.len - tail, &mut block).map_err(reading)?;
            self.read += tail;
            let appended = self.writer.append_bytes(&block)?;
            self.stored += if appended.new { tail } else { 0 };
            pieces.push(Piece { blob: Some(appended.id), offset: 0, len: tail });
            block.resize(BLOCK as usize, 0);
            digests.push(block_digest(&block));
        }
        let mut hasher = BlobHasher::new(len);
        hasher.update(&digests);
        Ok(Some((hasher.finish(), pieces)))
    }
}

impl Contents for ReturnedContents<'_> {
    fn same(&mut self, base: &Stream, new: &Stream) -> Result<bool> {
        self.equal(base, new, true)
    }

    fn keep(&mut self, new: &Stream) -> Result<StreamRecord> {
        let content = match &new.data {
            StreamData::Inline(bytes) => {
                self.kept += bytes.len() as u64;
                ContentRecord::Inline(bytes.clone())
            }
            StreamData::Runs(_) => {
                let parts = streams::parts(new);
                let len = parts.iter().map(|part| part.len).sum();
                let (content, pieces) = match self.share(&parts, len)? {
                    Some(shared) => shared,
                    None => {
                        let mut reader = PartReader::new(self.new, &parts);
                        let appended = self.writer.append(&mut reader, Some(len))?;
                        self.read += len;
                        self.kept += len;
                        self.stored += if appended.new { len } else { 0 };
                        (appended.id, Vec::new())
                    }
                };
                ContentRecord::Stored { content, len, pieces, layout: streams::layout(new) }
            }
        };
        if self.progress.cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(StreamRecord {
            name: new.name.clone(),
            size: new.size,
            valid: new.valid,
            flags: new.flags,
            content,
        })
    }

    fn base_digest(&mut self, base: &Stream) -> Result<BlobId> {
        Ok(streams::digest(self.base, base).map_err(reading)?.0)
    }

    fn hive_change(
        &mut self,
        path: &str,
        kind: HiveKind,
        base: &HiveStreams<'_>,
        new: &HiveStreams<'_>,
    ) -> Result<Option<Delta>> {
        // Windows changes hives and logs where they are, and their size and times may stay what they were.
        let mut same = base.logs.len() == new.logs.len() && self.equal(base.file, new.file, false)?;
        for (before, after) in base.logs.iter().zip(&new.logs) {
            same = same && self.equal(before, after, false)?;
        }
        if same {
            return Ok(None);
        }
        let before =
            registry::read(self.base, base).map_err(Error::io(format!("reading {path} of the composite")))?;
        let after = registry::read(self.new, new).map_err(Error::io(format!("reading {path}")))?;
        self.read += after.logs.iter().map(|log| log.len() as u64).sum::<u64>() + after.file.len() as u64;
        let Registry { upcase, never, accept_dirty } = &self.registry;
        let change = registry::changes(kind, upcase, before, (after, *accept_dirty), never);
        let change = change.map_err(|(side, source)| {
            let context = match side {
                Side::Composite => format!("{path} of the composite that the disk was made from"),
                Side::Returned => path.to_owned(),
            };
            Error::Hive { context, source }
        })?;
        self.mended.extend(registry::mended(path, &change.repairs));
        if change.delta.is_empty() {
            return Ok(None);
        }
        let contents =
            change.delta.keys.iter().flat_map(|key| &key.values).filter_map(|value| value.after.as_ref());
        self.kept += contents.map(|data| data.bytes.len() as u64).sum::<u64>();
        Ok(Some(change.delta))
    }

    fn settings_changed(&mut self, base: &HiveStreams<'_>, new: &HiveStreams<'_>) -> bool {
        let (Ok(before), Ok(after)) = (registry::read(self.base, base), registry::read(self.new, new)) else {
            return true;
        };
        registry::settings_changed(&self.registry.upcase, before, after).unwrap_or(true)
    }

    fn recovered_hive(&mut self, path: &str, new: &HiveStreams<'_>) -> Result<Option<StreamRecord>> {
        let files = registry::read(self.new, new).map_err(Error::io(format!("reading {path}")))?;
        self.read += files.logs.iter().map(|log| log.len() as u64).sum::<u64>() + files.file.len() as u64;
        let hive = if self.registry.accept_dirty { files.open_dirty() } else { files.open() };
        let hive = hive.map_err(|source| Error::Hive { context: path.to_owned(), source })?;
        if !matches!(hive.recovery(), Recovery::Replayed { .. }) {
            return Ok(None);
        }
        let len = hive.as_bytes().len() as u64;
        let appended = self.writer.append_bytes(hive.as_bytes())?;
        self.kept += len;
        self.stored += if appended.new { len } else { 0 };
        let content =
            ContentRecord::Stored { content: appended.id, len, pieces: Vec::new(), layout: Vec::new() };
        let (name, flags) = (Name::default(), StreamFlags::default());
        Ok(Some(StreamRecord { name, size: len, valid: len, flags, content }))
    }

    fn accounts_changed(&mut self, base: &HiveStreams<'_>, new: &HiveStreams<'_>) -> Vec<String> {
        let (Ok(before), Ok(after)) = (registry::read(self.base, base), registry::read(self.new, new)) else {
            return Vec::new();
        };
        self.read += after.logs.iter().map(|log| log.len() as u64).sum::<u64>() + after.file.len() as u64;
        registry::accounts_changed(&self.registry.upcase, before, after).unwrap_or_default()
    }

    fn service_profiles(&mut self, software: &HiveStreams<'_>) -> Vec<String> {
        let Ok(files) = registry::read(self.new, software) else { return Vec::new() };
        self.read += files.logs.iter().map(|log| log.len() as u64).sum::<u64>() + files.file.len() as u64;
        registry::service_profiles(&self.registry.upcase, files).unwrap_or_default()
    }

    fn binary_version(&mut self, name: &Name, stream: &Stream) -> Result<Option<[u16; 4]>> {
        version(self.new, name, stream)
    }
}

/// Contents of the OS volume that layers are folded over.
pub(crate) struct OsVolumeContents<'a>(pub(crate) &'a dyn ByteSource);

impl OsContents for OsVolumeContents<'_> {
    fn digest(&mut self, stream: &Stream) -> Result<BlobId> {
        Ok(streams::digest(self.0, stream).map_err(reading)?.0)
    }

    fn binary_version(&mut self, name: &Name, stream: &Stream) -> Result<Option<[u16; 4]>> {
        version(self.0, name, stream)
    }
}

fn version(volume: &dyn ByteSource, name: &Name, stream: &Stream) -> Result<Option<[u16; 4]>> {
    if !may_have_version(name) || stream.flags.compressed || stream.flags.encrypted {
        return Ok(None);
    }
    binary_version(|offset, buf| streams::read_stream_at(volume, stream, offset, buf)).map_err(reading)
}

fn reading(source: std::io::Error) -> Error {
    Error::Io { doing: "reading a file's contents".into(), source }
}
