//! The disk digest: what a disk's raw content is, at the price of its metadata where the sources know their blocks.
//!
//! # Format: version 1, never to change
//!
//! ```text
//! block  (4 KiB)   BLAKE3(the 4096 bytes)                          the last one padded with zeros
//! chunk  (1 MiB)   BLAKE3(digest of block 0 ‖ … ‖ of block 255)    the last one: as many blocks as the disk has
//! disk             BLAKE3 in derive-key mode, context "lamina disk digest v1", over
//!                      length of the disk in bytes (u64 LE)
//!                      for each chunk, ascending, in which any byte is not zero:
//!                          index of the chunk (u64 LE) ‖ digest of the chunk
//! ```
//!
//! The digest says nothing about how the disk was composed: spliced, written, sparse or all there, the same bytes give
//! the same digest. A digest of another kind gets another context string.

use crate::{BLOCK, ByteSource};
use operation::{Progress, Unit};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Bytes in a chunk of the disk digest.
const CHUNK: u64 = 256 * BLOCK;

/// The context string of version 1.
const CONTEXT: &str = "lamina disk digest v1";

/// Threads that read and hash; each holds one chunk. Two keep reading and hashing busy side by side, more would take
/// processors from the jobs that run in parallel.
const WORKERS: usize = 2;

/// The place from which a walk that failed does not go on.
const STOPPED: u64 = u64::MAX;

static ZERO_BLOCK: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// The BLAKE3 digest of a block of 4096 zeros.
pub fn zero_block_digest() -> [u8; 32] {
    static DIGEST: OnceLock<[u8; 32]> = OnceLock::new();
    *DIGEST.get_or_init(|| *blake3::hash(&ZERO_BLOCK).as_bytes())
}

/// Whether these bytes, at most a block, are all zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes == &ZERO_BLOCK[..bytes.len()]
}

/// The digest of the raw content of a disk, as specified above.
///
/// Reads only what the source neither knows to be zero ([`ByteSource::next_data`]) nor knows the digests of
/// ([`ByteSource::known_block_digests`]). Reports the bytes that are covered. When `progress` asks to stop, the error
/// is of the kind [`io::ErrorKind::Interrupted`].
pub fn disk_digest(source: &dyn ByteSource, progress: &dyn Progress) -> io::Result<[u8; 32]> {
    progress.step("Digesting the disk", Some(source.len()), Unit::Bytes);
    let mut top = blake3::Hasher::new_derive_key(CONTEXT);
    top.update(&source.len().to_le_bytes());
    let walk = Mutex::new(Walk { at: 0, data: 0..0, claimed: 0, covered: 0 });
    let result = Mutex::new(InOrder { top, next: 0, early: BTreeMap::new() });
    std::thread::scope(|scope| {
        let mut workers = Vec::with_capacity(WORKERS);
        for _ in 0..WORKERS {
            workers.push(scope.spawn(|| hash_chunks(source, progress, &walk, &result)));
        }
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    progress.advance(source.len() - lock(&walk).covered);
    let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(*result.top.finalize().as_bytes())
}

/// One worker: takes chunks until none is left.
fn hash_chunks(
    source: &dyn ByteSource,
    progress: &dyn Progress,
    walk: &Mutex<Walk>,
    result: &Mutex<InOrder>,
) -> io::Result<()> {
    let mut digests = Vec::with_capacity((CHUNK / BLOCK) as usize);
    let mut buffer = Vec::new();
    loop {
        if progress.cancelled() {
            lock(walk).at = STOPPED;
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the disk digest was cancelled"));
        }
        let claimed = lock(walk).claim(source);
        let hashed = claimed.and_then(|claimed| {
            let Some((_, index, _)) = claimed else { return Ok(None) };
            digests.clear();
            let range = index * CHUNK..((index + 1) * CHUNK).min(source.len());
            block_digests(source, range, &mut digests, &mut buffer)?;
            Ok(claimed)
        });
        let (turn, index, passed) = match hashed {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(()),
            Err(error) => {
                lock(walk).at = STOPPED;
                return Err(error);
            }
        };
        lock(result).add(turn, index, chunk_digest(&digests));
        progress.advance(passed);
    }
}

/// The walk over the chunks that may hold data.
struct Walk {
    /// Where to go on, bytes.
    at: u64,
    /// The range of data that was found last.
    data: Range<u64>,
    /// How many chunks have been handed out.
    claimed: u64,
    /// Where the last one of them ends, bytes: what follows is zero once the walk is through.
    covered: u64,
}

impl Walk {
    /// The next chunk to look at: its turn in the order of the walk, its index, and the bytes that are done with it,
    /// skipped ones included.
    fn claim(&mut self, source: &dyn ByteSource) -> io::Result<Option<(u64, u64, u64)>> {
        let len = source.len();
        if self.at >= len {
            return Ok(None);
        }
        if self.data.end <= self.at {
            let Some(data) = source.next_data(self.at)? else {
                self.at = len;
                return Ok(None);
            };
            if data.start >= data.end || data.end <= self.at || data.start >= len {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a source of {len} bytes says that there is data at {data:?} after {}", self.at),
                ));
            }
            self.data = data;
        }
        let index = self.data.start.max(self.at) / CHUNK;
        let end = ((index + 1) * CHUNK).min(len);
        let passed = end - self.covered;
        self.at = end;
        self.covered = end;
        self.claimed += 1;
        Ok(Some((self.claimed - 1, index, passed)))
    }
}

/// Puts the chunks into the disk's digest in the order of the walk, whoever is ready first.
struct InOrder {
    top: blake3::Hasher,
    next: u64,
    early: BTreeMap<u64, (u64, Option<[u8; 32]>)>,
}

impl InOrder {
    fn add(&mut self, turn: u64, index: u64, digest: Option<[u8; 32]>) {
        self.early.insert(turn, (index, digest));
        while let Some((index, digest)) = self.early.remove(&self.next) {
            self.next += 1;
            if let Some(digest) = digest {
                self.top.update(&index.to_le_bytes());
                self.top.update(&digest);
            }
        }
    }
}

/// Appends the digests of the blocks of `range`, which begins on a block: those that the source knows, in pieces as
/// large as it knows them, and the others by reading.
fn block_digests(
    source: &dyn ByteSource,
    range: Range<u64>,
    into: &mut Vec<[u8; 32]>,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    let len = range.end - range.start;
    let wanted = into.len() + len.div_ceil(BLOCK) as usize;
    if len.is_multiple_of(BLOCK) && source.known_block_digests(range.start, len, into)? {
        if into.len() == wanted {
            return Ok(());
        }
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a source gave another number of digests than {range:?} has blocks"),
        ));
    }
    if len > BLOCK && some_known(source, &range, into)? {
        let middle = range.start + (len / 2).next_multiple_of(BLOCK);
        block_digests(source, range.start..middle, into, buffer)?;
        return block_digests(source, middle..range.end, into, buffer);
    }
    buffer.resize(len as usize, 0);
    source.read_exact_at(range.start, buffer)?;
    for block in buffer.chunks(BLOCK as usize) {
        into.push(block_digest(block));
    }
    Ok(())
}

/// Whether the source knows any block of `range`. Asks from the front, so that it costs little where much is known;
/// where nothing is, the question costs far less than reading the block.
fn some_known(source: &dyn ByteSource, range: &Range<u64>, scratch: &mut Vec<[u8; 32]>) -> io::Result<bool> {
    let had = scratch.len();
    for block in 0..(range.end - range.start) / BLOCK {
        let known = source.known_block_digests(range.start + block * BLOCK, BLOCK, scratch)?;
        scratch.truncate(had);
        if known {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The digest of one block, which is padded with zeros when it is short.
fn block_digest(block: &[u8]) -> [u8; 32] {
    if is_zero(block) {
        return zero_block_digest();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(block);
    hasher.update(&ZERO_BLOCK[block.len()..]);
    *hasher.finalize().as_bytes()
}

/// The digest of a chunk, or `None` when it is all zero.
fn chunk_digest(blocks: &[[u8; 32]]) -> Option<[u8; 32]> {
    let zero = zero_block_digest();
    blocks.iter().any(|block| *block != zero).then(|| *blake3::hash(blocks.as_flattened()).as_bytes())
}

/// Locks; a worker that panicked has its panic passed on by `disk_digest`, so its half-done state is never used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
