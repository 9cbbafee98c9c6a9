//! The $MFT: where its records are, reading one of them, and streaming all of them.
//!
//! A file whose attributes do not fit one record has a *base* record with an $ATTRIBUTE_LIST and *extension* records.
//! Both ways of reading join them, so that callers see whole files ([`Inode`]). Streaming reads only the stretches of
//! the $MFT that its bitmap calls used, in large pieces and in order; files with extension records come last, because
//! their parts lie anywhere.

use crate::attribute::{Attribute, Body, attributes, code, list_entries};
use crate::boot::Boot;
use crate::content::Extents;
use crate::inode::{Inode, List, OwnedInode, Records};
use crate::record::{Header, apply_fixup};
use disk::ByteSource;
use operation::Progress;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use volume::{Error, Result, Run};

/// Records of the volume's own metadata files.
pub(crate) mod system {
    pub(crate) const MFT: u64 = 0;
    pub(crate) const MIRROR: u64 = 1;
    pub(crate) const VOLUME: u64 = 3;
    pub(crate) const ATTRIBUTE_DEFINITIONS: u64 = 4;
    pub(crate) const LOG_FILE: u64 = 2;
    pub(crate) const ROOT: u64 = 5;
    pub(crate) const BITMAP: u64 = 6;
    pub(crate) const BOOT: u64 = 7;
    pub(crate) const BAD_CLUSTERS: u64 = 8;
    pub(crate) const SECURE: u64 = 9;
    pub(crate) const UPCASE: u64 = 10;
    pub(crate) const EXTEND: u64 = 11;
    /// The first record that may belong to a user's file.
    pub(crate) const FIRST_FREE: u64 = 24;
}

/// Bytes read from the $MFT at once.
const CHUNK: usize = 1 << 20;
/// Unused records between used ones that are read rather than skipped, bytes.
const BRIDGE: u64 = 64 << 10;
/// Largest attribute list that Windows writes, bytes.
const MAX_LIST: u64 = 256 << 10;

/// A broken rule in a file record.
pub(crate) fn corrupt(record: u64, what: impl Into<String>) -> Error {
    Error::Corrupt { what: what.into(), place: format!("file record {record}") }
}

/// The file table of a volume.
pub(crate) struct Mft<'s> {
    pub(crate) source: &'s dyn ByteSource,
    pub(crate) boot: Boot,
    data: Extents,
    /// Records, used and unused.
    records: u64,
    /// One bit for each record; what is missing at the end is unused.
    bitmap: Vec<u8>,
    /// Bytes of values outside records that may still be read: on a volume whose clusters belong to one file each
    /// this never runs out; on a hostile one it ends the reading of the same clusters over and over.
    allowance: Cell<u64>,
}

/// Receives what streaming finds. An error that a callback returns ends the streaming.
pub(crate) trait Visitor {
    /// A file.
    fn inode(&mut self, inode: &Inode<'_>) -> Result<()>;
    /// A record that is no part of any whole file.
    fn defect(&mut self, record: u64, error: Error) -> Result<()>;
    /// A record whose own header and whose bit in the bitmap of the $MFT contradict each other; `used` is what the
    /// header says. Such records are not joined to files.
    fn bitmap_mismatch(&mut self, record: u64, used: bool) -> Result<()> {
        let _ = (record, used);
        Ok(())
    }
}

/// Which records streaming looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only what the bitmap calls used.
    Used,
    /// Every record, so that used ones which the bitmap does not know are noticed.
    All,
}

/// NTFS as Windows implements it holds 2^32 - 1 files.
const MAX_RECORDS: u64 = u32::MAX as u64;

impl<'s> Mft<'s> {
    /// Finds the $MFT through the boot sector and its own first record.
    pub(crate) fn open(source: &'s dyn ByteSource) -> Result<Mft<'s>> {
        let boot = Boot::read(source)?;
        let mut mft = Mft {
            source,
            boot,
            data: Extents::default(),
            records: 1,
            bitmap: vec![1],
            allowance: Cell::new(boot.len().saturating_mul(4).saturating_add(64 << 20)),
        };
        let start = Run {
            at: Some(boot.mft * boot.cluster),
            len: (boot.record as u64).next_multiple_of(boot.cluster),
        };
        mft.data = Extents::new(vec![start]);
        mft.bootstrap()?;

        let owned = mft.inode(system::MFT)?;
        let attributes = owned.attributes()?;
        let inode = owned.inode(&attributes);
        let data = inode
            .placement(&mft, code::DATA, &[])?
            .ok_or_else(|| corrupt(0, "the $MFT has no non-resident data"))?;
        if data.runs.iter().any(|run| run.at.is_none()) {
            return Err(corrupt(0, "the $MFT has holes"));
        }
        if data.size > boot.len() {
            return Err(corrupt(0, "the $MFT is larger than the volume"));
        }
        let records = data.size.min(data.valid) / boot.record as u64;
        if records > MAX_RECORDS {
            return Err(corrupt(0, "the $MFT has more records than NTFS allows"));
        }
        let bitmap = inode
            .value(&mft, code::BITMAP, &[], (records / 8).saturating_add(64 << 10).max(256 << 10))?
            .ok_or_else(|| corrupt(0, "the $MFT has no bitmap"))?;
        mft.data = Extents::new(data.runs);
        mft.records = records;
        mft.bitmap = bitmap;
        Ok(mft)
    }

    /// Learns the runs of the $MFT as far as its own attribute list, whose records lie in the runs before, tells.
    fn bootstrap(&mut self) -> Result<()> {
        let mut record = vec![0; self.boot.record];
        let header = self.read_record(0, &mut record)?;
        let mut runs = Vec::new();
        let mut covered = 0;
        for attribute in attributes(&record, &header) {
            let attribute = attribute.map_err(|error| corrupt(0, error.to_string()))?;
            if let (code::DATA, [], Body::NonResident(extent)) =
                (attribute.code, attribute.name, attribute.body)
                && extent.lowest == covered
            {
                self.decode(0, &extent, &mut runs)?;
                covered += extent.clusters;
            }
        }
        if runs.is_empty() {
            return Err(corrupt(0, "the $MFT has no runs"));
        }
        self.data = Extents::new(runs.clone());
        self.records = self.data.len() / self.boot.record as u64;
        let Some(list) = self.list(0, &record, &header)? else { return Ok(()) };
        for entry in list_entries(&list.bytes) {
            let entry = entry.map_err(|error| corrupt(0, format!("attribute list: {error}")))?;
            if entry.code != code::DATA || !entry.name.is_empty() || entry.record.number() == 0 {
                continue;
            }
            let number = entry.record.number();
            let mut record = vec![0; self.boot.record];
            let header = self.read_record(number, &mut record)?;
            for attribute in attributes(&record, &header) {
                let attribute = attribute.map_err(|error| corrupt(number, error.to_string()))?;
                if let (code::DATA, [], Body::NonResident(extent)) =
                    (attribute.code, attribute.name, attribute.body)
                    && extent.lowest == covered
                    && extent.clusters > 0
                {
                    self.decode(number, &extent, &mut runs)?;
                    covered += extent.clusters;
                }
            }
            self.data = Extents::new(runs.clone());
            self.records = self.data.len() / self.boot.record as u64;
        }
        Ok(())
    }

    fn decode(&self, record: u64, extent: &crate::attribute::Extent<'_>, into: &mut Vec<Run>) -> Result<()> {
        extent
            .decode(self.boot.cluster, self.boot.clusters, into)
            .map_err(|error| corrupt(record, error.to_string()))
    }

    /// Whether the bitmap of the $MFT calls a record used.
    pub(crate) fn in_bitmap(&self, record: u64) -> bool {
        usize::try_from(record / 8)
            .ok()
            .and_then(|at| self.bitmap.get(at))
            .is_some_and(|byte| byte >> (record % 8) & 1 != 0)
    }

    /// Reads raw bytes of the $MFT.
    pub(crate) fn read_raw(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.data.read_at(self.source, offset, into)?)
    }

    /// Reads one record and applies its update sequence.
    fn read_record(&self, number: u64, into: &mut [u8]) -> Result<Header> {
        if number >= self.records {
            return Err(corrupt(number, "the $MFT ends before it"));
        }
        self.data.read_at(self.source, number * self.boot.record as u64, into)?;
        apply_fixup(into, b"FILE").map_err(|error| corrupt(number, error.to_string()))?;
        Header::parse(into).ok_or_else(|| corrupt(number, "its header contradicts itself"))
    }

    /// Reads one file with its extension records.
    pub(crate) fn inode(&self, number: u64) -> Result<OwnedInode> {
        let mut base = vec![0; self.boot.record].into_boxed_slice();
        let header = self.read_record(number, &mut base)?;
        if !header.in_use() || header.base.0 != 0 {
            return Err(corrupt(number, "it is not the base record of a file"));
        }
        let list = self.list(number, &base, &header)?;
        let mut extensions = Records::new();
        for entry in list.iter().flat_map(|list| list_entries(&list.bytes)) {
            let entry = entry.map_err(|error| corrupt(number, format!("attribute list: {error}")))?;
            let extension = entry.record.number();
            if extension != number && !extensions.contains_key(&extension) {
                let mut record = vec![0; self.boot.record].into_boxed_slice();
                let header = self.read_record(extension, &mut record)?;
                extensions.insert(extension, (header, record));
            }
        }
        Ok(OwnedInode { number, header, base, extensions, list })
    }

    /// The attribute list of a base record, if it has one.
    fn list(&self, number: u64, base: &[u8], header: &Header) -> Result<Option<List>> {
        for attribute in attributes(base, header) {
            let attribute = attribute.map_err(|error| corrupt(number, error.to_string()))?;
            // Attributes are sorted by type.
            match attribute.code {
                ..code::ATTRIBUTE_LIST => continue,
                code::ATTRIBUTE_LIST => {}
                _ => return Ok(None),
            }
            return match attribute.body {
                Body::Resident { value, .. } => Ok(Some(List { bytes: value.to_vec(), runs: Vec::new() })),
                Body::NonResident(extent) => {
                    let mut runs = Vec::new();
                    self.decode(number, &extent, &mut runs)?;
                    let extents = Extents::new(runs);
                    let bytes = self.read_value(number, &extents, extent.size, extent.valid, MAX_LIST)?;
                    Ok(Some(List { bytes, runs: extents.into_runs() }))
                }
            };
        }
        Ok(None)
    }

    /// Reads a whole non-resident value of at most `limit` bytes.
    pub(crate) fn read_value(
        &self,
        record: u64,
        extents: &Extents,
        size: u64,
        valid: u64,
        limit: u64,
    ) -> Result<Vec<u8>> {
        if size > limit {
            return Err(corrupt(record, format!("an attribute of {size} bytes is larger than NTFS allows")));
        }
        if size > extents.len() || valid > size {
            return Err(corrupt(record, "the sizes of an attribute contradict each other"));
        }
        let left = self
            .allowance
            .get()
            .checked_sub(size)
            .ok_or_else(|| corrupt(record, "the same clusters belong to too many attributes"))?;
        self.allowance.set(left);
        let mut bytes = vec![0; size as usize];
        extents.read_at(self.source, 0, &mut bytes[..valid as usize])?;
        Ok(bytes)
    }

    /// Hands every file to `visitor`. Progress counts the bytes of the $MFT.
    pub(crate) fn stream(
        &self,
        which: Extent,
        progress: &dyn Progress,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let mut later = Later::default();
        let mut buffer = Vec::new();
        let mut attributes = Vec::new();
        for stretch in self.stretches(which) {
            if progress.cancelled() {
                return Err(Error::Device(io::Error::new(io::ErrorKind::Interrupted, "cancelled")));
            }
            let size = self.boot.record as u64;
            buffer.resize(((stretch.end - stretch.start) * size) as usize, 0);
            self.data.read_at(self.source, stretch.start * size, &mut buffer)?;
            attributes = self.chunk(stretch.start, &mut buffer, attributes, &mut later, visitor)?;
            progress.advance(buffer.len() as u64);
        }
        self.join_later(later, visitor)
    }

    /// Bytes that [`stream`](Mft::stream) will count.
    pub(crate) fn stream_bytes(&self, which: Extent) -> u64 {
        self.stretches(which).map(|stretch| stretch.end - stretch.start).sum::<u64>()
            * self.boot.record as u64
    }

    /// Ranges of record numbers to read, each at most a chunk long.
    fn stretches(&self, which: Extent) -> impl Iterator<Item = Range<u64>> + '_ {
        let chunk = (CHUNK / self.boot.record) as u64;
        let bridge = BRIDGE / self.boot.record as u64;
        let mut at = 0;
        std::iter::from_fn(move || {
            if which == Extent::Used {
                at = self.next_used(at)?;
            }
            if at >= self.records {
                return None;
            }
            let start = at;
            let mut end = start;
            let limit = self.records.min(start + chunk);
            if which == Extent::All {
                end = limit;
            }
            while end < limit {
                match self.next_used(end) {
                    Some(next) if next < limit && next - end <= bridge => end = next + 1,
                    _ => break,
                }
            }
            at = end;
            Some(start..end)
        })
    }

    /// The first record at or after `from` that the bitmap calls used.
    fn next_used(&self, from: u64) -> Option<u64> {
        let mut at = from;
        while at < self.records {
            let byte = *self.bitmap.get(usize::try_from(at / 8).ok()?)?;
            let rest = byte >> (at % 8);
            if rest != 0 {
                let found = at + u64::from(rest.trailing_zeros());
                return (found < self.records).then_some(found);
            }
            at = (at / 8 + 1) * 8;
        }
        None
    }

    /// Parses the records of one chunk. The vector comes back empty, for its capacity.
    fn chunk<'v>(
        &self,
        first: u64,
        buffer: &mut [u8],
        spare: Vec<Attribute<'v>>,
        later: &mut Later,
        visitor: &mut dyn Visitor,
    ) -> Result<Vec<Attribute<'v>>> {
        let size = self.boot.record;
        let mut headers = Vec::with_capacity(buffer.len() / size);
        for (record, number) in buffer.chunks_exact_mut(size).zip(first..) {
            headers.push(self.usable(number, record, visitor)?);
        }
        let mut list = recycle(spare);
        for ((record, header), number) in buffer.chunks_exact(size).zip(headers).zip(first..) {
            let Some(header) = header else { continue };
            if header.base.0 != 0 {
                later
                    .extensions
                    .entry(header.base.number())
                    .or_default()
                    .insert(number, (header, record.into()));
                continue;
            }
            list.clear();
            let mut listed = false;
            let mut bad = None;
            for attribute in attributes(record, &header) {
                match attribute {
                    Ok(attribute) => {
                        listed |= attribute.code == code::ATTRIBUTE_LIST;
                        list.push(attribute);
                    }
                    Err(error) => bad = Some(error),
                }
            }
            if let Some(error) = bad {
                visitor.defect(number, corrupt(number, error.to_string()))?;
            } else if listed {
                later.bases.push((number, header, record.into()));
            } else {
                visitor.inode(&Inode { number, header, attributes: &list, list_runs: &[] })?;
            }
        }
        Ok(recycle(list))
    }

    /// Applies the update sequence of a record; `None` when it is free or broken, which `visitor` is told.
    fn usable(&self, number: u64, record: &mut [u8], visitor: &mut dyn Visitor) -> Result<Option<Header>> {
        let marked = self.in_bitmap(number);
        let parsed = match apply_fixup(record, b"FILE") {
            Ok(()) => Header::parse(record).ok_or_else(|| corrupt(number, "its header contradicts itself")),
            Err(error) => Err(corrupt(number, error.to_string())),
        };
        match parsed {
            Ok(header) if header.in_use() == marked => Ok(Some(header).filter(|_| marked)),
            Ok(header) => {
                visitor.bitmap_mismatch(number, header.in_use())?;
                Ok(None)
            }
            Err(_) if !marked => Ok(None),
            Err(error) => {
                visitor.defect(number, error)?;
                Ok(None)
            }
        }
    }

    /// Joins base and extension records.
    fn join_later(&self, mut later: Later, visitor: &mut dyn Visitor) -> Result<()> {
        for (number, header, base) in std::mem::take(&mut later.bases) {
            let extensions = later.extensions.remove(&number).unwrap_or_default();
            let joined = self.list(number, &base, &header).map(|list| OwnedInode {
                number,
                header,
                base,
                extensions,
                list,
            });
            match &joined {
                Ok(owned) => match owned.attributes() {
                    Ok(attributes) => {
                        visitor.inode(&owned.inode(&attributes))?;
                        for stray in owned.strays() {
                            visitor.defect(
                                stray,
                                corrupt(stray, "no attribute list names this extension record"),
                            )?;
                        }
                    }
                    Err(error) => visitor.defect(number, error)?,
                },
                Err(Error::Corrupt { what, .. }) => visitor.defect(number, corrupt(number, what.clone()))?,
                Err(_) => {
                    joined?;
                }
            }
        }
        let mut strays: Vec<u64> = later.extensions.into_values().flat_map(Records::into_keys).collect();
        strays.sort_unstable();
        for stray in strays {
            visitor.defect(stray, corrupt(stray, "the file of this extension record does not exist"))?;
        }
        Ok(())
    }
}

/// What streaming keeps until the end.
#[derive(Default)]
struct Later {
    bases: Vec<(u64, Header, Box<[u8]>)>,
    /// By base record, then by own number.
    extensions: HashMap<u64, Records>,
}

/// The same allocation for attributes of another buffer.
fn recycle<'b>(mut list: Vec<Attribute<'_>>) -> Vec<Attribute<'b>> {
    list.clear();
    list.into_iter().map(|_| -> Attribute<'b> { unreachable!("the list is empty") }).collect()
}
