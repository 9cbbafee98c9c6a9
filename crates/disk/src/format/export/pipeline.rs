//! The threads that move the data.

use super::layout::{Bytes, Content, Layout, Piece, Window, Write};
use super::planner::{Plan, Planner, WINDOW};
use super::sharing::Sharing;
use super::{Error, ExportOptions, ExportReport, Format, Result, Target};
use crate::{BLOCK, ByteSource};
use operation::{Progress, Unit};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// What the threads share.
struct Shared<'j, L> {
    job: &'j Job<'j>,
    target: &'j Target,
    planner: Mutex<Planner<'j>>,
    turnstile: Mutex<Turnstile<L>>,
    moved_on: Condvar,
    /// Set with the first failure, so that all threads stop soon.
    stop: AtomicBool,
    failure: Mutex<Option<Error>>,
    written: AtomicU64,
    reflinked: AtomicU64,
}

struct Turnstile<L> {
    layout: L,
    /// The number of the window that may pass.
    turn: u64,
    /// Up to where the disk has been reported as done.
    reported: u64,
}

/// A panic in another thread is passed on when the threads are joined; until then the data is not used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job<'_> {
    pub(super) fn run<L: Layout>(&self, layout: L) -> Result<ExportReport> {
        let target = Target::create(self.out, self.options.overwrite)?;
        let sharing = match self.options.reflink && !L::ENCODES {
            true => Sharing::probe(target.directory()),
            false => Sharing::none(),
        };
        let len = self.source.len();
        self.progress.step(&format!("Writing {}", self.format), Some(len), Unit::Bytes);
        let shared = Shared {
            job: self,
            target: &target,
            planner: Mutex::new(Planner::new(self.source)),
            turnstile: Mutex::new(Turnstile { layout, turn: 0, reported: 0 }),
            moved_on: Condvar::new(),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            written: AtomicU64::new(0),
            reflinked: AtomicU64::new(0),
        };
        // More than processors: some wait for a disk while others compute.
        let threads = thread::available_parallelism().map_or(4, |n| (n.get() * 2).clamp(4, 8));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| shared.work(sharing.clone()));
            }
        });
        let Shared { failure, turnstile, written, reflinked, .. } = shared;
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let Turnstile { layout, reported, .. } =
            turnstile.into_inner().unwrap_or_else(PoisonError::into_inner);
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

impl<L: Layout> Shared<'_, L> {
    fn work(&self, mut sharing: Sharing) {
        /// Lets the others go when this thread ends in whatever way, so that none waits for its turn forever.
        struct Leave<'a, 'j, L>(&'a Shared<'j, L>, bool);
        impl<L> Drop for Leave<'_, '_, L> {
            fn drop(&mut self) {
                if !self.1 {
                    self.0.stop.store(true, Ordering::Release);
                    let _turnstile = lock(&self.0.turnstile);
                    self.0.moved_on.notify_all();
                }
            }
        }
        let mut leave = Leave(self, false);
        match self.move_windows(&mut sharing) {
            Ok(()) => leave.1 = true,
            Err(error) => {
                lock(&self.failure).get_or_insert(error);
            }
        }
    }

    fn move_windows(&self, sharing: &mut Sharing) -> Result<()> {
        let mut buffer = vec![0; WINDOW as usize];
        let mut encoder = L::Encoder::default();
        let mut plan = Plan::default();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if self.job.progress.cancelled() {
                return Err(Error::Cancelled);
            }
            if !lock(&self.planner).next(&mut plan)? {
                return Ok(());
            }
            let pieces = self.gather(&plan, sharing, &mut buffer)?;
            let window = Window { offset: plan.offset, buffer: &buffer[..plan.len], pieces: &pieces };
            L::encode(&mut encoder, &window)?;
            let mut writes = Vec::new();
            if !self.pass(&plan, &window, &encoder, &mut writes)? {
                return Ok(());
            }
            for write in &writes {
                self.write(write, window.buffer)?;
            }
        }
    }

    /// Reads what cannot be shared, and lists what is not zero.
    fn gather<'w>(&'w self, plan: &Plan, sharing: &mut Sharing, buffer: &mut [u8]) -> Result<Vec<Piece<'w>>> {
        let mut pieces = Vec::new();
        let mut read = Vec::new();
        let mut clean = 0;
        for range in &plan.data {
            sharing.split(self.job.source, plan.offset, range.clone(), &mut pieces, &mut read);
        }
        for range in read {
            if L::ENCODES {
                buffer[clean..range.start].fill(0);
                clean = range.end;
            }
            let offset = plan.offset + range.start as u64;
            self.job
                .source
                .read_exact_at(offset, &mut buffer[range.clone()])
                .map_err(|source| Error::Source { offset, source })?;
            pieces.extend(
                not_zero(buffer, range)
                    .map(|(from, to)| Piece { range: (from, to), content: Content::Buffered }),
            );
        }
        if L::ENCODES {
            buffer[clean..plan.len].fill(0);
        }
        pieces.sort_unstable_by_key(|piece| piece.range);
        Ok(pieces)
    }

    /// Waits for the window's turn and places it; `false` if another thread has failed.
    fn pass<'w>(
        &self,
        plan: &Plan,
        window: &Window<'w>,
        encoder: &'w L::Encoder,
        writes: &mut Vec<Write<'w>>,
    ) -> Result<bool> {
        let mut turnstile = lock(&self.turnstile);
        while turnstile.turn != plan.turn {
            if self.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            turnstile = self.moved_on.wait(turnstile).unwrap_or_else(PoisonError::into_inner);
        }
        turnstile.layout.place(window, encoder, writes)?;
        turnstile.turn += 1;
        let done = plan.offset + plan.len as u64;
        self.job.progress.advance(done - turnstile.reported);
        turnstile.reported = done;
        drop(turnstile);
        self.moved_on.notify_all();
        Ok(true)
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
