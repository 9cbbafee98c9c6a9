//! What an overlay became: its map and sources, and the pages that were written, to be read and stored.

use crate::digest::is_zero;
use crate::mapped::{check_read, known_block_digests, next_data, read_mapped};
use crate::pages::{PAGE, Pages, Slot};
use crate::{BLOCK, BlockSet, ByteSource, ExtentMap, FileRegion};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Pages that one run of [`DirtyPages::visit`] has at most: 1 MiB.
const RUN_PAGES: u64 = 256;

/// An overlay that no longer changes. As a [`ByteSource`] it reads as the overlay did.
///
/// To make it a [`MappedDisk`](crate::MappedDisk) of stored data alone, store what `dirty` holds, add the stored
/// bytes to `sources` and splice them into `map`.
pub struct Frozen {
    /// What was there before and what was spliced. Bytes that are also in `dirty` are not what it says.
    pub map: ExtentMap,
    /// The sources that the map names, in the order of their numbers.
    pub sources: Vec<Arc<dyn ByteSource>>,
    /// What was written.
    pub dirty: DirtyPages,
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").field("len", &self.map.len()).field("dirty", &self.dirty).finish()
    }
}

/// A run of written bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirtyRun<'a> {
    /// Bytes to store and to splice.
    Data {
        /// Offset on the disk, a multiple of the block size.
        offset: u64,
        /// The bytes: whole blocks but for the end of the disk, at most 1 MiB.
        bytes: &'a [u8],
    },
    /// Blocks in which only zeros were left: to be discarded from the map.
    Zero {
        /// Offset on the disk, a multiple of the block size.
        offset: u64,
        /// Length, bytes.
        len: u64,
    },
}

/// The written pages of a [`Frozen`] overlay.
#[derive(Debug)]
pub struct DirtyPages {
    pages: Pages,
    len: u64,
}

impl DirtyPages {
    /// Takes over pages, none of which is clean.
    pub(crate) fn new(pages: Pages, len: u64) -> DirtyPages {
        DirtyPages { pages, len }
    }

    /// The byte ranges that the pages cover.
    pub fn blocks(&self) -> BlockSet {
        let mut set = BlockSet::new();
        let mut at = 0;
        while let Some(run) = self.next_run(at, u64::MAX) {
            set.insert(run.start * BLOCK..(run.end * BLOCK).min(self.len));
            at = run.end;
        }
        set
    }

    /// Calls `each` with everything that was written, ascending, in runs as long as they are contiguous (and at most
    /// 1 MiB for data). Blocks of zeros are reported as such. Stops at the first error.
    pub fn visit(&self, mut each: impl FnMut(DirtyRun<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; RUN_PAGES as usize * PAGE];
        let mut zeros = 0..0;
        let mut at = 0;
        while let Some(run) = self.next_run(at, RUN_PAGES) {
            at = run.end;
            let start = run.start * BLOCK;
            let bytes = &mut buffer[..((run.end * BLOCK).min(self.len) - start) as usize];
            self.fill(start, bytes)?;
            let blocks: Vec<&[u8]> = bytes.chunks(PAGE).collect();
            let mut offset = start;
            for piece in blocks.chunk_by(|a, b| is_zero(a) == is_zero(b)) {
                let len: u64 = piece.iter().map(|block| block.len() as u64).sum();
                if is_zero(piece[0]) {
                    if zeros.end != offset {
                        flush_zeros(&mut zeros, &mut each)?;
                        zeros = offset..offset;
                    }
                    zeros.end += len;
                } else {
                    flush_zeros(&mut zeros, &mut each)?;
                    let from = (offset - start) as usize;
                    each(DirtyRun::Data { offset, bytes: &bytes[from..from + len as usize] })?;
                }
                offset += len;
            }
        }
        flush_zeros(&mut zeros, &mut each)
    }

    /// Reads a range all of whose pages are there.
    fn fill(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        for (i, block) in bytes.chunks_mut(PAGE).enumerate() {
            let there = self.pages.read(offset / BLOCK + i as u64, 0, block)?;
            debug_assert!(there, "the range was found in the index");
        }
        Ok(())
    }

    /// The next run of neighbouring pages, as page numbers.
    fn next_run(&self, from: u64, at_most: u64) -> Option<Range<u64>> {
        let count = self.len.div_ceil(BLOCK);
        let start = self.pages.next_present(from, count)?;
        let limit = count.min(start.saturating_add(at_most));
        let end = (start + 1..limit).find(|&page| self.pages.slot(page) == Slot::Absent).unwrap_or(limit);
        Some(start..end)
    }
}

fn flush_zeros(
    zeros: &mut Range<u64>,
    each: &mut impl FnMut(DirtyRun<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let Range { start, end } = std::mem::take(zeros);
    if start == end {
        return Ok(());
    }
    each(DirtyRun::Zero { offset: start, len: end - start })
}

impl ByteSource for Frozen {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.map.len(), offset, buf.len())?;
        let end = offset + buf.len() as u64;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let (page, within) = (at / BLOCK, (at % BLOCK) as usize);
            let mut len = rest.len().min(PAGE - within);
            if !self.dirty.pages.read(page, within, &mut rest[..len])? {
                let next = self.dirty.pages.next_present(page + 1, end.div_ceil(BLOCK));
                len = (next.map_or(end, |page| page * BLOCK) - at) as usize;
                read_mapped(&self.map, &self.sources, at, &mut rest[..len])?;
            }
            at += len as u64;
            rest = &mut rest[len..];
        }
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.map.len() {
            return Ok(None);
        }
        let written = self.dirty.next_run(from / BLOCK, RUN_PAGES).map(|run| {
            let end = (run.end * BLOCK).min(self.map.len());
            (run.start * BLOCK).max(from)..end
        });
        let mapped = next_data(&self.map, &self.sources, from)?;
        Ok(match (written, mapped) {
            (Some(written), Some(mapped)) if mapped.start < written.start => {
                Some(mapped.start..mapped.end.min(written.start))
            }
            (Some(written), _) => Some(written),
            (None, mapped) => mapped,
        })
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        let end = offset.checked_add(len)?;
        if self.dirty.pages.next_present(offset / BLOCK, end.div_ceil(BLOCK)).is_some() {
            return None;
        }
        let extent = self.map.find(offset).filter(|extent| end <= extent.end())?;
        let skip = offset - extent.offset;
        self.sources[extent.target.source.0 as usize].file_region(extent.target.offset + skip, len)
    }

    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        let Some(end) = offset.checked_add(len) else { return Ok(false) };
        if self.dirty.pages.next_present(offset / BLOCK, end.div_ceil(BLOCK)).is_some() {
            return Ok(false);
        }
        known_block_digests(&self.map, &self.sources, offset, len, into)
    }
}
