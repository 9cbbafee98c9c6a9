//! A copy-on-write disk: an extent map below, changed pages above, later calls win in both directions.
//!
//! ```text
//!   write ──►  pages      4 KiB each, in memory up to a budget, then in a scratch file
//!                │ absent
//!   splice ─►  extent map ──► sources (immutable) │ zeros
//! ```
//!
//! A write makes pages, seeded with what was there. A splice or discard changes the map and evicts the pages that it
//! covers; a changed page that it covers in part takes the new bytes instead. Small reads of the sources are kept as
//! clean pages, because file-system libraries read the same metadata again and again in pieces of a sector; large ones
//! go past the pages.

use crate::extent::check_source;
use crate::frozen::{DirtyPages, Frozen};
use crate::mapped::{check_read, read_mapped};
use crate::pages::{PAGE, PageBudget, Pages, Slot};
use crate::{BLOCK, BlockDevice, BlockSet, ByteSource, ExtentMap, MapError, SourceId, SourceRange};
use std::io;
use std::sync::Arc;

/// Reads up to this many bytes go through the pages.
const CACHED_READ: usize = 16 * 1024;

/// Pages that are read at once when small reads walk upwards through a source.
const READ_AHEAD: u64 = 16;

/// Bytes that [`Overlay::relocate`] moves at a time.
const RELOCATE: u64 = 1 << 20;

/// A disk that can be changed over sources that cannot. See the module's description.
pub struct Overlay {
    map: ExtentMap,
    sources: Vec<Arc<dyn ByteSource>>,
    pages: Pages,
    staging: Box<[u8]>,
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("len", &self.map.len()).field("sources", &self.sources.len()).finish()
    }
}

impl Overlay {
    /// A disk that reads as `map` says; [`SourceId`]s are indexes into `sources`. Fails when the map names bytes that
    /// they do not have.
    pub fn new(
        map: ExtentMap,
        sources: Vec<Arc<dyn ByteSource>>,
        budget: PageBudget,
    ) -> Result<Overlay, MapError> {
        map.check_sources(&sources)?;
        let staging = vec![0; READ_AHEAD as usize * PAGE].into_boxed_slice();
        Ok(Overlay { map, sources, pages: Pages::new(budget), staging })
    }

    /// Adds a source for later splices.
    pub fn add_source(&mut self, source: Arc<dyn ByteSource>) -> SourceId {
        self.sources.push(source);
        SourceId((self.sources.len() - 1) as u32)
    }

    /// What lies below the changed pages: the map as it was given, with all splices and discards.
    pub fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// The sources, in the order of their numbers.
    pub fn sources(&self) -> &[Arc<dyn ByteSource>] {
        &self.sources
    }

    /// The byte ranges of pages that were written and are neither spliced over nor discarded since.
    pub fn dirty_blocks(&self) -> BlockSet {
        let mut set = BlockSet::new();
        let mut at = 0;
        while let Some(page) = self.pages.next_dirty(at, self.page_count()) {
            set.insert(page * BLOCK..((page + 1) * BLOCK).min(self.map.len()));
            at = page + 1;
        }
        set
    }

    /// Makes the disk longer; the new bytes read as zeros. A length below the present one is refused.
    pub fn grow(&mut self, new_len: u64) -> Result<(), MapError> {
        // A last page that is there already ends in zeros, which is what its new bytes have to be.
        self.map.grow(new_len)
    }

    /// Moves the bytes `from .. from + len` to `to`. What is not covered at the old place reads as zeros afterwards.
    /// The ranges may overlap. Spliced data is spliced again, only changed pages are copied.
    pub fn relocate(&mut self, from: u64, to: u64, len: u64) -> io::Result<()> {
        self.check(from, len)?;
        self.check(to, len)?;
        let pieces = len.div_ceil(RELOCATE);
        for i in 0..pieces {
            // upwards from the end and downwards from the start, so that nothing is overwritten before it is moved
            let piece = if to > from { pieces - 1 - i } else { i };
            let skip = piece * RELOCATE;
            self.relocate_piece(from + skip, to + skip, RELOCATE.min(len - skip))?;
        }
        if to > from {
            self.discard(from, len.min(to - from))
        } else {
            let kept_until = (to + len).max(from);
            self.discard(kept_until, from + len - kept_until)
        }
    }

    fn relocate_piece(&mut self, from: u64, to: u64, len: u64) -> io::Result<()> {
        let segments: Vec<_> = self.map.segments(from..from + len).collect();
        let mut changed = Vec::new();
        let mut at = from / BLOCK;
        while let Some(page) = self.pages.next_dirty(at, (from + len).div_ceil(BLOCK)) {
            let start = (page * BLOCK).max(from);
            let end = ((page + 1) * BLOCK).min(from + len);
            let mut bytes = vec![0; (end - start) as usize];
            self.pages.read(page, (start % BLOCK) as usize, &mut bytes)?;
            changed.push((start - from, bytes));
            at = page + 1;
        }
        for segment in segments {
            let offset = to + (segment.offset - from);
            match segment.target {
                Some(target) => self.splice(offset, segment.len, target)?,
                None => self.discard(offset, segment.len)?,
            }
        }
        for (skip, bytes) in changed {
            self.write_at(to + skip, &bytes)?;
        }
        Ok(())
    }

    /// Ends the changes: what was spliced, what was written, and the sources, to be read and stored.
    pub fn freeze(mut self) -> Frozen {
        self.pages.drop_clean();
        let dirty = DirtyPages::new(self.pages, self.map.len());
        Frozen { map: self.map, sources: self.sources, dirty }
    }

    fn page_count(&self) -> u64 {
        self.map.len().div_ceil(BLOCK)
    }

    fn check(&self, offset: u64, len: u64) -> Result<(), MapError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.map.len() => Ok(()),
            _ => Err(MapError::OutOfRange { offset, len, limit: self.map.len() }),
        }
    }

    /// The frame of a page, read from the sources if it is absent; `None` when it is absent and nothing is mapped
    /// there, so that it reads as zeros.
    fn load(&mut self, page: u64) -> io::Result<Option<u32>> {
        if let Some(frame) = self.pages.resident(page)? {
            return Ok(Some(frame));
        }
        let start = page * BLOCK;
        let page_end = (start + BLOCK).min(self.map.len());
        let Some(extent) = self.map.next_mapped(start).filter(|extent| extent.offset < page_end) else {
            return Ok(None);
        };
        // Reading ahead: when the page before is known, as far as the extent goes on and pages are absent.
        let mut pages = 1;
        if extent.offset == start && page > 0 && self.pages.slot(page - 1) != Slot::Absent {
            let until = (page + READ_AHEAD).min(extent.end() / BLOCK);
            let until = self.pages.next_present(page + 1, until).unwrap_or(until);
            pages = until.saturating_sub(page).max(1);
        }
        let len = (pages * BLOCK).min(self.map.len() - start) as usize;
        let bytes = &mut self.staging[..pages as usize * PAGE];
        bytes[len..].fill(0);
        read_mapped(&self.map, &self.sources, start, &mut bytes[..len])?;
        // The wanted page comes last: making room for the others cannot take it away again.
        for i in (0..pages as usize).rev() {
            let frame = self.pages.insert(page + i as u64, false)?;
            self.pages.frame_mut(frame).copy_from_slice(&self.staging[i * PAGE..(i + 1) * PAGE]);
            if i == 0 {
                return Ok(Some(frame));
            }
        }
        unreachable!("at least one page is loaded")
    }

    /// The frame of a page that is about to be changed in part.
    fn load_to_change(&mut self, page: u64) -> io::Result<u32> {
        match self.load(page)? {
            Some(frame) => Ok(frame),
            None => {
                let frame = self.pages.insert(page, true)?;
                self.pages.frame_mut(frame).fill(0);
                Ok(frame)
            }
        }
    }

    /// Before the map changes in `offset .. end`: drops the pages that lie in it and gives the changed ones at its
    /// edges their new bytes, which `fill` makes for an offset from `offset`.
    fn cover(
        &mut self,
        offset: u64,
        end: u64,
        mut fill: impl FnMut(&[Arc<dyn ByteSource>], u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = offset / BLOCK;
        while let Some(page) = self.pages.next_present(at, end.div_ceil(BLOCK)) {
            at = page + 1;
            let page_start = page * BLOCK;
            let page_end = (page_start + BLOCK).min(self.map.len());
            let whole = offset <= page_start && page_end <= end;
            if whole || !self.pages.is_dirty(page) {
                self.pages.remove(page);
                continue;
            }
            let (start, stop) = (page_start.max(offset), page_end.min(end));
            // through a buffer, so that a source that fails leaves the page as it was
            let mut bytes = [0; PAGE];
            let bytes = &mut bytes[..(stop - start) as usize];
            fill(&self.sources, start - offset, bytes)?;
            let frame = self.load_to_change(page)?;
            let within = (start - page_start) as usize;
            self.pages.change(frame)[within..within + bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }
}

impl BlockDevice for Overlay {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.map.len(), offset, buf.len())?;
        let through_pages = buf.len() <= CACHED_READ;
        let end = offset + buf.len() as u64;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let (page, within) = (at / BLOCK, (at % BLOCK) as usize);
            let mut len = rest.len().min(PAGE - within);
            if through_pages {
                match self.load(page)? {
                    Some(frame) => {
                        rest[..len].copy_from_slice(&self.pages.frame(frame)[within..within + len])
                    }
                    None => rest[..len].fill(0),
                }
            } else if !self.pages.read(page, within, &mut rest[..len])? {
                let next = self.pages.next_present(page + 1, end.div_ceil(BLOCK));
                len = (next.map_or(end, |page| page * BLOCK) - at) as usize;
                read_mapped(&self.map, &self.sources, at, &mut rest[..len])?;
            }
            at += len as u64;
            rest = &mut rest[len..];
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.check(offset, buf.len() as u64)?;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let (page, within) = (at / BLOCK, (at % BLOCK) as usize);
            let len = rest.len().min(PAGE - within);
            let to_end = ((page + 1) * BLOCK).min(self.map.len()) == at + len as u64;
            let frame = if within > 0 || !to_end {
                self.load_to_change(page)?
            } else {
                // overwritten whole: what was there is not asked for
                match self.pages.slot(page) {
                    Slot::Frame(frame) => frame,
                    Slot::Absent | Slot::Spilled(_) => {
                        self.pages.remove(page);
                        let frame = self.pages.insert(page, true)?;
                        self.pages.frame_mut(frame)[len..].fill(0);
                        frame
                    }
                }
            };
            self.pages.change(frame)[within..within + len].copy_from_slice(&rest[..len]);
            at += len as u64;
            rest = &rest[len..];
        }
        Ok(())
    }

    fn discard(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        self.cover(offset, offset + len, |_, _, bytes| {
            bytes.fill(0);
            Ok(())
        })?;
        Ok(self.map.discard(offset, len)?)
    }

    fn splice(&mut self, offset: u64, len: u64, from: SourceRange) -> io::Result<()> {
        self.check(offset, len)?;
        check_source(&self.sources, from, len)?;
        if len == 0 {
            return Ok(());
        }
        self.cover(offset, offset + len, |sources, skip, bytes| {
            sources[from.source.0 as usize].read_exact_at(from.offset + skip, bytes)
        })?;
        Ok(self.map.splice(offset, len, from)?)
    }
}
