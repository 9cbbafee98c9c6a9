//! Where the store's blobs lie, as sources of disks; and back from disks to blobs.

use crate::record::{DiskExtent, DiskRecord};
use crate::{Error, Result};
use disk::{ByteSource, ExtentMap, FileRegion, MappedDisk, SourceId, SourceRange};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use store::{BlobId, PackId, PackReader, Session};

/// A pack of the store as a source of bytes.
struct PackSource(Arc<PackReader>);

impl ByteSource for PackSource {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        let end = offset.checked_add(len)?;
        (end <= self.0.len()).then(|| FileRegion { file: self.0.file(), offset })
    }

    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        self.0.block_digests(offset, len, into).map(|()| true).map_err(io::Error::other)
    }
}

/// The sources that a disk of stored blobs needs, and where in them its blobs begin.
pub(crate) struct Placement<'s> {
    session: &'s Session,
    sources: Vec<Arc<dyn ByteSource>>,
    packs: HashMap<PackId, SourceId>,
    blobs: HashMap<BlobId, (SourceRange, u64)>,
    /// Per source: where blobs begin, their padded length, and which they are; sorted when it is needed.
    begins: Vec<Vec<(u64, u64, BlobId)>>,
    sorted: bool,
}

impl<'s> Placement<'s> {
    pub(crate) fn new(session: &'s Session) -> Placement<'s> {
        Placement {
            session,
            sources: Vec::new(),
            packs: HashMap::new(),
            blobs: HashMap::new(),
            begins: Vec::new(),
            sorted: true,
        }
    }

    /// Looks blobs up. `user` names what needs them, should one be missing.
    pub(crate) fn add(&mut self, blobs: &[BlobId], user: &str) -> Result<()> {
        let wanted: Vec<BlobId> =
            blobs.iter().copied().filter(|blob| !self.blobs.contains_key(blob)).collect();
        let found = self.session.locate_all(wanted.iter().copied())?;
        for blob in wanted {
            let location = found
                .get(&blob)
                .ok_or_else(|| Error::record(user, &format!("blob {blob} is not in the store")))?;
            let source = self.source(location.pack)?;
            let range = SourceRange { source, offset: location.offset };
            self.blobs.insert(blob, (range, location.len));
            let padded = location.len.next_multiple_of(store::BLOCK);
            self.begins[source.0 as usize].push((location.offset, padded, blob));
            self.sorted = false;
        }
        Ok(())
    }

    fn source(&mut self, pack: PackId) -> Result<SourceId> {
        if let Some(&source) = self.packs.get(&pack) {
            return Ok(source);
        }
        let reader = self.session.store().pack(pack)?;
        let source =
            SourceId(u32::try_from(self.sources.len()).map_err(|_| Error::TooMany { what: "packs" })?);
        self.sources.push(Arc::new(PackSource(reader)));
        self.begins.push(Vec::new());
        self.packs.insert(pack, source);
        Ok(source)
    }

    /// Where a part of a blob lies. A part may reach past the blob's end up to the next multiple of 4 KiB.
    pub(crate) fn part(&self, blob: BlobId, offset: u64, len: u64) -> Result<SourceRange> {
        let &(range, blob_len) =
            self.blobs.get(&blob).ok_or(Error::Internal { what: "a blob was not looked up" })?;
        match offset.checked_add(len) {
            Some(end) if end <= blob_len.next_multiple_of(store::BLOCK) => {
                Ok(SourceRange { source: range.source, offset: range.offset + offset })
            }
            _ => Err(Error::record(format!("blob {blob}"), &"a record refers to more of it than there is")),
        }
    }

    /// Reads a part of a blob.
    pub(crate) fn read(&self, blob: BlobId, offset: u64, buf: &mut [u8]) -> Result<()> {
        let range = self.part(blob, offset, buf.len() as u64)?;
        let source = self.sources.get(range.source.0 as usize);
        let source = source.ok_or(Error::Internal { what: "a blob lies in a source that is not known" })?;
        source.read_exact_at(range.offset, buf).map_err(Error::io("reading a blob"))
    }

    /// The sources so far, in the order of their numbers.
    pub(crate) fn sources(&self) -> Vec<Arc<dyn ByteSource>> {
        self.sources.clone()
    }

    /// The map of a recorded disk; looks its blobs up.
    pub(crate) fn map(&mut self, record: &DiskRecord, user: &str) -> Result<ExtentMap> {
        self.add(&record.blobs(), user)?;
        let mut map = ExtentMap::new(record.len);
        for extent in &record.extents {
            let range = self.part(extent.blob, extent.blob_offset, extent.len)?;
            map.splice(extent.offset, extent.len, range).map_err(|error| Error::record(user, &error))?;
        }
        Ok(map)
    }

    /// A recorded disk that can be read.
    pub(crate) fn disk(&mut self, record: &DiskRecord, user: &str) -> Result<MappedDisk> {
        let map = self.map(record, user)?;
        MappedDisk::new(map, self.sources()).map_err(|error| Error::record(user, &error))
    }

    /// What a map over these sources is in terms of blobs.
    pub(crate) fn extents(&mut self, map: &ExtentMap) -> Result<Vec<DiskExtent>> {
        let mut extents = Vec::new();
        for extent in map.mapped() {
            self.blobs_of(extent.offset, extent.len, extent.target, &mut extents)?;
        }
        Ok(extents)
    }

    /// Appends the parts of blobs that make up a range of a source.
    pub(crate) fn blobs_of(
        &mut self,
        offset: u64,
        len: u64,
        range: SourceRange,
        into: &mut Vec<DiskExtent>,
    ) -> Result<()> {
        if !self.sorted {
            self.begins.iter_mut().for_each(|begins| begins.sort_unstable());
            self.sorted = true;
        }
        let begins = self
            .begins
            .get(range.source.0 as usize)
            .ok_or(Error::Internal { what: "a map names a source that is no pack" })?;
        let mut done = 0;
        while done < len {
            let at = range.offset + done;
            let index = begins.partition_point(|(begin, _, _)| *begin <= at);
            let found = index.checked_sub(1).and_then(|index| begins.get(index));
            let Some(&(begin, blob_len, blob)) = found.filter(|(begin, blob_len, _)| at < begin + blob_len)
            else {
                return Err(Error::Internal { what: "a map leads to no blob" });
            };
            let part = (begin + blob_len - at).min(len - done);
            into.push(DiskExtent { offset: offset + done, len: part, blob, blob_offset: at - begin });
            done += part;
        }
        Ok(())
    }
}
