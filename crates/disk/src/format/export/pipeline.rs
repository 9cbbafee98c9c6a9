//! The threads that move the data.
//!
//! ```text
//! planner ─► a free slot ─► read, drop zeros, encode ─► ready ─► (in disk order) place ─► write ─► free again
//! ```
//!
//! A thread never waits for another one's window: it puts its own among those that are ready and goes on with whatever
//! can be done next. Waiting for turns would cost a switch of threads for every window, which on a busy machine is more
//! than moving the bytes.

use super::layout::{Bytes, Content, Layout, Piece, Window, Write};
use super::planner::{CACHED_WINDOW, LARGE_WINDOW, Plan, Planner};
use super::sharing::Sharing;
use super::{Error, ExportOptions, ExportReport, Format, Result, Target};
use crate::{BLOCK, ByteSource};
use direct::AlignedBuffer;
use operation::{Progress, Unit};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// One export.
pub(super) struct Job<'j> {
    pub(super) source: &'j dyn ByteSource,
    pub(super) format: Format,
    pub(super) out: &'j Path,
    pub(super) options: &'j ExportOptions,
    pub(super) progress: &'j dyn Progress,
}

/// A window on its way, with the memory that it needs.
struct Slot<'j, E> {
    plan: Plan,
    buffer: AlignedBuffer,
    /// What of the window is not zero.
    pieces: Vec<Piece<'j>>,
    /// Ranges of the window that have to be read.
    read: Vec<Range<usize>>,
    encoder: E,
}

/// What the threads share.
struct Shared<'j, L: Layout> {
    job: &'j Job<'j>,
    target: &'j Target,
    state: Mutex<State<'j, L>>,
    /// Something has become free or ready, or everything is over.
    changed: Condvar,
    written: AtomicU64,
    reflinked: AtomicU64,
}

struct State<'j, L: Layout> {
    planner: Planner<'j>,
    layout: L,
    free: Vec<Slot<'j, L::Encoder>>,
    /// Windows that were read, by their place in the order.
    ready: BTreeMap<u64, Slot<'j, L::Encoder>>,
    /// The window that is placed next.
    turn: u64,
    /// Slots that a thread is at work with.
    busy: usize,
    /// Threads that are writing, and how many may be at once.
    writers: usize,
    max_writers: usize,
    /// Whether the planner has no more windows.
    planned: bool,
    /// Up to where the disk has been reported as done.
    reported: u64,
    /// The first failure; all threads stop soon after it.
    failure: Option<Error>,
    /// A thread has panicked, which is passed on when the threads are joined.
    panicked: bool,
}

/// What a thread does next.
enum Step<'j, E> {
    Read(Slot<'j, E>),
    Place(Slot<'j, E>),
    Wait,
    Stop,
}

impl Job<'_> {
    pub(super) fn run<L: Layout>(&self, layout: L) -> Result<ExportReport> {
        let target = Target::create(self.out, self.options.overwrite)?;
        let sharing = match self.options.reflink && !L::ENCODES {
            true => Sharing::probe(target.directory()),
            false => Sharing::none(),
        };
        // What is encoded has neither place nor length that direct writes need.
        let direct = target.has_direct() && !L::ENCODES;
        let window = if direct || sharing.is_possible() { LARGE_WINDOW } else { CACHED_WINDOW };
        let len = self.source.len();
        self.progress.step(&format!("Writing {}", self.format), Some(len), Unit::Bytes);
        // More threads than processors: some wait for a disk while others compute.
        let threads = thread::available_parallelism().map_or(4, |n| (n.get() * 2).clamp(4, 8));
        let shared = Shared {
            job: self,
            target: &target,
            state: Mutex::new(State {
                planner: Planner::new(self.source, window),
                layout,
                free: (0..threads * 2).map(|_| Slot::new(window)).collect(),
                ready: BTreeMap::new(),
                turn: 0,
                busy: 0,
                writers: 0,
                // Through the page cache the kernel lets no more than one into a file, and would have the others spin
                // where they could read.
                max_writers: if direct { threads } else { 1 },
                planned: false,
                reported: 0,
                failure: None,
                panicked: false,
            }),
            changed: Condvar::new(),
            written: AtomicU64::new(0),
            reflinked: AtomicU64::new(0),
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| shared.work(sharing.clone()));
            }
        });
        let Shared { state, written, reflinked, .. } = shared;
        let State { layout, reported, failure, .. } =
            state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure {
            return Err(error);
        }
        let disk_len = layout.disk_len();
        let last = layout.finish()?;
        let mut bytes_written = written.into_inner();
        for (at, bytes) in last.writes {
            target.write(at, &bytes)?;
            bytes_written += bytes.len() as u64;
        }
        self.progress.advance(len - reported);
        if self.progress.cancelled() {
            return Err(Error::Cancelled);
        }
        target.complete(last.file_len)?;
        Ok(ExportReport {
            format: self.format,
            disk_len,
            file_len: last.file_len,
            bytes_written,
            bytes_reflinked: reflinked.into_inner(),
        })
    }
}

impl<E: Default> Slot<'_, E> {
    fn new(window: u64) -> Self {
        Slot {
            plan: Plan::default(),
            buffer: AlignedBuffer::new(window as usize),
            pieces: Vec::new(),
            read: Vec::new(),
            encoder: E::default(),
        }
    }
}

impl<'j, L: Layout> State<'j, L> {
    /// Decides what a thread does next: what is ready goes first, so that its slot becomes free again.
    fn step(&mut self) -> Result<Step<'j, L::Encoder>> {
        if self.failure.is_some() || self.panicked {
            return Ok(Step::Stop);
        }
        if self.writers < self.max_writers
            && let Some(slot) = self.ready.remove(&self.turn)
        {
            self.busy += 1;
            self.writers += 1;
            return Ok(Step::Place(slot));
        }
        if !self.planned
            && let Some(mut slot) = self.free.pop()
        {
            if self.planner.next(&mut slot.plan)? {
                self.busy += 1;
                return Ok(Step::Read(slot));
            }
            self.planned = true;
        }
        Ok(if self.planned && self.ready.is_empty() && self.busy == 0 { Step::Stop } else { Step::Wait })
    }
}

impl<'j, L: Layout> Shared<'j, L> {
    fn lock(&self) -> MutexGuard<'_, State<'j, L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut sharing: Sharing) {
        /// Lets the others go when this thread panics, so that none waits forever.
        struct Leave<'a, 'j, L: Layout>(&'a Shared<'j, L>);
        impl<L: Layout> Drop for Leave<'_, '_, L> {
            fn drop(&mut self) {
                self.0.lock().panicked |= thread::panicking();
                self.0.changed.notify_all();
            }
        }
        let leave = Leave(self);
        if let Err(error) = self.move_windows(&mut sharing) {
            self.lock().failure.get_or_insert(error);
        }
        drop(leave);
    }

    fn move_windows(&self, sharing: &mut Sharing) -> Result<()> {
        let mut state = self.lock();
        loop {
            match state.step()? {
                Step::Stop => return Ok(()),
                Step::Wait => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Step::Read(mut slot) => {
                    drop(state);
                    if self.job.progress.cancelled() {
                        return Err(Error::Cancelled);
                    }
                    self.gather(&mut slot, sharing)?;
                    state = self.lock();
                    state.ready.insert(slot.plan.turn, slot);
                    state.busy -= 1;
                }
                Step::Place(slot) => {
                    state = self.place(state, &slot)?;
                    state.free.push(slot);
                    state.busy -= 1;
                    state.writers -= 1;
                    self.changed.notify_all();
                }
            }
        }
    }

    /// Reads what cannot be shared, lists what is not zero, and encodes it.
    fn gather(&self, slot: &mut Slot<'j, L::Encoder>, sharing: &mut Sharing) -> Result<()> {
        let Slot { plan, buffer, pieces, read, encoder } = slot;
        pieces.clear();
        read.clear();
        for range in &plan.data {
            sharing.split(self.job.source, plan.offset, range.clone(), pieces, read);
        }
        let mut clean = 0;
        for range in read.drain(..) {
            if L::ENCODES {
                buffer[clean..range.start].fill(0);
                clean = range.end;
            }
            let offset = plan.offset + range.start as u64;
            self.job
                .source
                .read_exact_at(offset, &mut buffer[range.clone()])
                .map_err(|source| Error::Source { offset, source })?;
            let parts = not_zero(buffer, range);
            pieces.extend(parts.map(|range| Piece { range, content: Content::Buffered }));
        }
        if L::ENCODES {
            buffer[clean..plan.len].fill(0);
        }
        pieces.sort_unstable_by_key(|piece| piece.range);
        L::encode(encoder, &Window { offset: plan.offset, buffer: &buffer[..plan.len], pieces })
    }

    /// Places a window, whose turn it is, and writes it with the state unlocked.
    fn place<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<'j, L>>,
        slot: &Slot<'j, L::Encoder>,
    ) -> Result<MutexGuard<'a, State<'j, L>>> {
        let Slot { plan, buffer, pieces, encoder, .. } = slot;
        let window = Window { offset: plan.offset, buffer: &buffer[..plan.len], pieces };
        let mut writes = Vec::new();
        state.layout.place(&window, encoder, &mut writes)?;
        state.turn += 1;
        let done = plan.offset + plan.len as u64;
        self.job.progress.advance(done - state.reported);
        state.reported = done;
        let may_follow = state.writers < state.max_writers && state.ready.contains_key(&state.turn);
        drop(state);
        if may_follow {
            self.changed.notify_all();
        }
        for write in &writes {
            self.write(write, window.buffer)?;
        }
        Ok(self.lock())
    }

    fn write(&self, write: &Write<'_>, buffer: &[u8]) -> Result<()> {
        let bytes = match &write.bytes {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(bytes) => bytes.as_slice(),
            Bytes::Buffered(range) => &buffer[range.clone()],
            Bytes::Shared(region, len) => {
                self.reflinked.fetch_add(*len, Ordering::Relaxed);
                return self.target.share(write.at, region.file, region.offset, *len);
            }
        };
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.target.write(write.at, bytes)
    }
}

/// The parts of `range` of the buffer that hold anything else than blocks of zeros. Blocks are counted from the start
/// of the buffer, which is where `range` is aligned to.
fn not_zero(buffer: &[u8], range: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let mut from = range.start;
    std::iter::from_fn(move || {
        // Comparing with zeros is the C library's memcmp: as fast as memory, and it stops at the first difference.
        let is_zero = |at: usize| {
            let block = &buffer[at..range.end.min(at + BLOCK as usize)];
            *block == ZEROS[..block.len()]
        };
        while from < range.end && is_zero(from) {
            from += BLOCK as usize;
        }
        let start = from;
        while from < range.end && !is_zero(from) {
            from += BLOCK as usize;
        }
        (start < range.end).then_some((start, from.min(range.end)))
    })
}
