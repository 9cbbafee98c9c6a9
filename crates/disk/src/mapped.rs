//! A composed disk to read from: an extent map together with the sources that it names.
//!
//! Nothing is cached here; whoever reads a lot in small pieces uses an [`Overlay`](crate::Overlay).

use crate::digest::zero_block_digest;
use crate::{BLOCK, ByteSource, ExtentMap, FileRegion, MapError};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// An extent map with its sources, read only.
///
/// Sources are meant to be leaves (files, packs): since they exist before the disk that refers to them there are no
/// cycles, and reading goes exactly as deep as the caller has nested.
#[derive(Clone)]
pub struct MappedDisk {
    map: ExtentMap,
    sources: Vec<Arc<dyn ByteSource>>,
}

impl std::fmt::Debug for MappedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MappedDisk").field("map", &self.map).field("sources", &self.sources.len()).finish()
    }
}

impl MappedDisk {
    /// Joins a map and its sources; [`SourceId`](crate::SourceId)s are indexes into `sources`. Fails when the map
    /// names bytes that they do not have.
    pub fn new(map: ExtentMap, sources: Vec<Arc<dyn ByteSource>>) -> Result<MappedDisk, MapError> {
        map.check_sources(&sources)?;
        Ok(MappedDisk { map, sources })
    }

    /// The map.
    pub fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// The sources that the map names, in the order of their numbers.
    pub fn sources(&self) -> &[Arc<dyn ByteSource>] {
        &self.sources
    }

    /// Gives back the map and the sources.
    pub fn into_parts(self) -> (ExtentMap, Vec<Arc<dyn ByteSource>>) {
        (self.map, self.sources)
    }
}

impl ByteSource for MappedDisk {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.map.len(), offset, buf.len())?;
        read_mapped(&self.map, &self.sources, offset, buf)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        next_data(&self.map, &self.sources, from)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        let extent = self.map.find(offset)?;
        let skip = offset - extent.offset;
        if len > extent.len - skip {
            return None;
        }
        self.sources[extent.target.source.0 as usize].file_region(extent.target.offset + skip, len)
    }

    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        known_block_digests(&self.map, &self.sources, offset, len, into)
    }
}

/// Refuses to read past the end.
pub(crate) fn check_read(limit: u64, offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= limit => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{len} bytes at offset {offset} reach beyond the end at {limit}"),
        )),
    }
}

/// Reads through a map. The range has been checked against the map and the map against the sources.
pub(crate) fn read_mapped(
    map: &ExtentMap,
    sources: &[Arc<dyn ByteSource>],
    offset: u64,
    buf: &mut [u8],
) -> io::Result<()> {
    let mut rest = buf;
    for segment in map.segments(offset..offset + rest.len() as u64) {
        let (piece, after) = rest.split_at_mut(segment.len as usize);
        match segment.target {
            Some(from) => sources[from.source.0 as usize].read_exact_at(from.offset, piece)?,
            None => piece.fill(0),
        }
        rest = after;
    }
    Ok(())
}

/// The first range at or after `from` that may hold data, with the holes of the sources left out.
pub(crate) fn next_data(
    map: &ExtentMap,
    sources: &[Arc<dyn ByteSource>],
    from: u64,
) -> io::Result<Option<Range<u64>>> {
    let mut at = from;
    while let Some(extent) = map.next_mapped(at) {
        let start = extent.target.offset;
        let end = start + extent.len;
        match sources[extent.target.source.0 as usize].next_data(start)? {
            Some(data) if data.start < end && data.end > start => {
                let skip = data.start.saturating_sub(start);
                return Ok(Some(extent.offset + skip..extent.offset + (data.end.min(end) - start)));
            }
            _ => at = extent.end(),
        }
    }
    Ok(None)
}

/// Concatenates what the sources know; zero gaps are known.
pub(crate) fn known_block_digests(
    map: &ExtentMap,
    sources: &[Arc<dyn ByteSource>],
    offset: u64,
    len: u64,
    into: &mut Vec<[u8; 32]>,
) -> io::Result<bool> {
    let Some(end) = offset.checked_add(len).filter(|&end| end <= map.len()) else { return Ok(false) };
    let had = into.len();
    for segment in map.segments(offset..end) {
        let wanted = into.len() + (segment.len / BLOCK) as usize;
        let known = (segment.offset | segment.len).is_multiple_of(BLOCK)
            && match segment.target {
                None => {
                    into.resize(wanted, zero_block_digest());
                    true
                }
                Some(from) => {
                    from.offset.is_multiple_of(BLOCK)
                        && sources[from.source.0 as usize].known_block_digests(
                            from.offset,
                            segment.len,
                            into,
                        )?
                        && into.len() == wanted
                }
            };
        if !known {
            into.truncate(had);
            return Ok(false);
        }
    }
    Ok(true)
}
