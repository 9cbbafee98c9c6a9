//! The pages of an overlay: which 4 KiB pages of a device are in memory, changed or spilled.
//!
//! A page is *absent* (its bytes are what the extent map says), *resident* in a frame (clean or dirty), or *spilled* to
//! the scratch file (dirty, not in memory). Frames live in slabs of 1 MiB and are reused, so that no page costs an
//! allocation. When the budget is used up a clock hand takes the coldest frames: clean ones are forgotten, dirty ones
//! go to the scratch file in batches.
//!
//! What is in a page is the business of the overlay: here nothing is read from sources.

mod index;
mod scratch;

use crate::BLOCK;
use index::PageIndex;
pub(crate) use index::Slot;
use scratch::Scratch;
use std::io;
use std::path::PathBuf;

/// Bytes in a page.
pub(crate) const PAGE: usize = BLOCK as usize;

/// Pages in a slab: 1 MiB, so that the allocator maps it straight from the system.
const SLAB_PAGES: usize = 256;

/// Fewer frames than this could not hold one read-ahead and the page that is being written.
const MIN_FRAMES: usize = 64;

/// Pages that one round of eviction takes at most: 1 MiB per write to the scratch file.
const BATCH: usize = 256;

/// How often the hand spares a page that was touched. Dirty pages are spared once more: giving them up costs a write.
const HEAT_CLEAN: u8 = 1;
const HEAT_DIRTY: u8 = 2;
/// The frame is being spilled.
const LEAVING: u8 = u8::MAX;

/// The frame holds no page.
const NO_PAGE: u64 = u64::MAX;

/// How much memory the pages of an overlay may take, and where the rest goes.
#[derive(Debug, Clone)]
pub struct PageBudget {
    /// Bytes of pages kept in memory, clean and dirty together. A quarter of a MiB is the least that is used.
    pub bytes: u64,
    /// Directory for the unnamed scratch file that takes dirty pages beyond that. The file is made when it is first
    /// needed and vanishes with the overlay.
    pub scratch_dir: PathBuf,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    page: u64,
    /// A copy of the page in the scratch file that is still true.
    copy: Option<u32>,
    dirty: bool,
    heat: u8,
}

/// The pages of one device.
#[derive(Debug)]
pub(crate) struct Pages {
    index: PageIndex,
    slabs: Vec<Box<[u8]>>,
    frames: Vec<Frame>,
    free: Vec<u32>,
    max_frames: usize,
    hand: usize,
    scratch: Scratch,
}

impl Pages {
    pub(crate) fn new(budget: PageBudget) -> Pages {
        let max_frames = usize::try_from(budget.bytes / BLOCK).unwrap_or(usize::MAX);
        Pages {
            index: PageIndex::default(),
            slabs: Vec::new(),
            frames: Vec::new(),
            free: Vec::new(),
            max_frames: max_frames.clamp(MIN_FRAMES, index::MAX_NUMBER as usize),
            hand: 0,
            scratch: Scratch::new(budget.scratch_dir),
        }
    }

    /// Where a page is.
    pub(crate) fn slot(&self, page: u64) -> Slot {
        self.index.get(page)
    }

    /// The frame of a page that is not absent, loaded from the scratch file if need be.
    pub(crate) fn resident(&mut self, page: u64) -> io::Result<Option<u32>> {
        match self.index.get(page) {
            Slot::Absent => Ok(None),
            Slot::Frame(frame) => {
                let entry = &mut self.frames[frame as usize];
                entry.heat = if entry.dirty { HEAT_DIRTY } else { HEAT_CLEAN };
                Ok(Some(frame))
            }
            Slot::Spilled(copy) => {
                let frame = self.take_frame()?;
                if let Err(error) = self.scratch.read(copy, frame_of(&mut self.slabs, frame)) {
                    self.free.push(frame);
                    return Err(error);
                }
                self.occupy(frame, page, Some(copy), true);
                Ok(Some(frame))
            }
        }
    }

    /// A frame for an absent page. The caller fills all of it.
    pub(crate) fn insert(&mut self, page: u64, dirty: bool) -> io::Result<u32> {
        let frame = self.take_frame()?;
        self.occupy(frame, page, None, dirty);
        Ok(frame)
    }

    /// The bytes of a frame.
    pub(crate) fn frame(&self, frame: u32) -> &[u8] {
        let start = frame as usize % SLAB_PAGES * PAGE;
        &self.slabs[frame as usize / SLAB_PAGES][start..start + PAGE]
    }

    /// The bytes of a frame, to fill one that was just inserted.
    pub(crate) fn frame_mut(&mut self, frame: u32) -> &mut [u8] {
        frame_of(&mut self.slabs, frame)
    }

    /// The bytes of a frame, to change: the page is dirty from now on.
    pub(crate) fn change(&mut self, frame: u32) -> &mut [u8] {
        let entry = &mut self.frames[frame as usize];
        entry.dirty = true;
        entry.heat = HEAT_DIRTY;
        if let Some(copy) = entry.copy.take() {
            self.scratch.release(copy);
        }
        frame_of(&mut self.slabs, frame)
    }

    /// Whether the page holds something that is only here.
    pub(crate) fn is_dirty(&self, page: u64) -> bool {
        match self.index.get(page) {
            Slot::Absent => false,
            Slot::Frame(frame) => self.frames[frame as usize].dirty,
            Slot::Spilled(_) => true,
        }
    }

    /// Forgets a page, dirty or not.
    pub(crate) fn remove(&mut self, page: u64) {
        match self.index.get(page) {
            Slot::Absent => return,
            Slot::Frame(frame) => {
                let copy = self.vacate(frame);
                if let Some(copy) = copy {
                    self.scratch.release(copy);
                }
            }
            Slot::Spilled(copy) => self.scratch.release(copy),
        }
        self.index.set(page, Slot::Absent);
    }

    /// The first page of `from .. end` that is not absent.
    pub(crate) fn next_present(&self, from: u64, end: u64) -> Option<u64> {
        self.index.next_present(from, end)
    }

    /// The first dirty page of `from .. end`.
    pub(crate) fn next_dirty(&self, from: u64, end: u64) -> Option<u64> {
        let mut at = from;
        while let Some(page) = self.index.next_present(at, end) {
            if self.is_dirty(page) {
                return Some(page);
            }
            at = page + 1;
        }
        None
    }

    /// Copies part of a page without loading it; says whether the page is there.
    pub(crate) fn read(&self, page: u64, within: usize, buf: &mut [u8]) -> io::Result<bool> {
        match self.index.get(page) {
            Slot::Absent => return Ok(false),
            Slot::Frame(frame) => buf.copy_from_slice(&self.frame(frame)[within..within + buf.len()]),
            Slot::Spilled(copy) => self.scratch.read_part(copy, within, buf)?,
        }
        Ok(true)
    }

    /// Forgets all clean pages.
    pub(crate) fn drop_clean(&mut self) {
        for frame in 0..self.frames.len() as u32 {
            let Frame { page, dirty, .. } = self.frames[frame as usize];
            if page != NO_PAGE && !dirty {
                self.vacate(frame);
                self.index.set(page, Slot::Absent);
            }
        }
    }

    fn occupy(&mut self, frame: u32, page: u64, copy: Option<u32>, dirty: bool) {
        let heat = if dirty { HEAT_DIRTY } else { HEAT_CLEAN };
        self.frames[frame as usize] = Frame { page, copy, dirty, heat };
        self.index.set(page, Slot::Frame(frame));
    }

    /// Frees a frame and hands out the copy that it had. The index still names the frame.
    fn vacate(&mut self, frame: u32) -> Option<u32> {
        let entry = &mut self.frames[frame as usize];
        let copy = entry.copy.take();
        *entry = Frame { page: NO_PAGE, copy: None, dirty: false, heat: 0 };
        self.free.push(frame);
        copy
    }

    fn take_frame(&mut self) -> io::Result<u32> {
        if let Some(frame) = self.free.pop() {
            return Ok(frame);
        }
        if self.frames.len() < self.max_frames {
            let frame = self.frames.len();
            if frame.is_multiple_of(SLAB_PAGES) {
                self.slabs.push(vec![0; SLAB_PAGES * PAGE].into_boxed_slice());
            }
            self.frames.push(Frame { page: NO_PAGE, copy: None, dirty: false, heat: 0 });
            return Ok(frame as u32);
        }
        self.evict()?;
        Ok(self.free.pop().expect("an eviction that succeeds frees at least one frame"))
    }

    /// Moves the clock hand until enough cold frames are found, and empties them.
    fn evict(&mut self) -> io::Result<()> {
        let wanted = (self.frames.len() / 16).clamp(1, BATCH);
        let mut found = 0;
        let mut leaving = Vec::new();
        // Every turn cools every frame, so that after HEAT_DIRTY turns all are cold: this ends.
        while found < wanted {
            let frame = self.hand;
            self.hand = (self.hand + 1) % self.frames.len();
            let entry = &mut self.frames[frame];
            if entry.page == NO_PAGE || entry.heat == LEAVING {
                continue;
            }
            if entry.heat > 0 {
                entry.heat -= 1;
                continue;
            }
            found += 1;
            if entry.dirty && entry.copy.is_none() {
                entry.heat = LEAVING;
                leaving.push(frame as u32);
            } else {
                let page = entry.page;
                let slot = self.vacate(frame as u32).map_or(Slot::Absent, Slot::Spilled);
                self.index.set(page, slot);
            }
        }
        self.spill(&mut leaving)
    }

    /// Writes dirty frames to the scratch file and frees them. After an error they are as they were.
    fn spill(&mut self, leaving: &mut [u32]) -> io::Result<()> {
        if leaving.is_empty() {
            return Ok(());
        }
        // by page, so that neighbours on the device are neighbours in the scratch file
        leaving.sort_unstable_by_key(|&frame| self.frames[frame as usize].page);
        let bytes = leaving.iter().map(|&frame| {
            let start = frame as usize % SLAB_PAGES * PAGE;
            &self.slabs[frame as usize / SLAB_PAGES][start..start + PAGE]
        });
        match self.scratch.write(bytes) {
            Ok(copies) => {
                for (&frame, copy) in leaving.iter().zip(copies) {
                    let page = self.frames[frame as usize].page;
                    self.vacate(frame);
                    self.index.set(page, Slot::Spilled(copy));
                }
                Ok(())
            }
            Err(error) => {
                for &frame in leaving.iter() {
                    self.frames[frame as usize].heat = 0;
                }
                Err(error)
            }
        }
    }
}

fn frame_of(slabs: &mut [Box<[u8]>], frame: u32) -> &mut [u8] {
    let start = frame as usize % SLAB_PAGES * PAGE;
    &mut slabs[frame as usize / SLAB_PAGES][start..start + PAGE]
}
