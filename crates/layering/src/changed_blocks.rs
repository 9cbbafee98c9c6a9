//! Which blocks of a returned disk differ from what it started as.

use crate::{Error, Result};
use disk::{BlockSet, ByteSource};
use operation::{Progress, Unit};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{block_digest, zero_block_digest};

/// Bytes compared in one go.
const CHUNK: u64 = 1 << 20;
/// Threads that read and digest.
const THREADS: usize = 2;

/// Compares two disks in full, holes of both skipped. `new` may be longer: behind its end the base counts as zeros.
/// The second value is how many bytes of `new` were read.
pub(crate) fn changed_blocks(
    base: &dyn ByteSource,
    new: &dyn ByteSource,
    progress: &dyn Progress,
) -> Result<(BlockSet, u64)> {
    let chunks = chunks_with_data(base, new).map_err(Error::io("finding the data of the disk"))?;
    let total = chunks.iter().map(|chunk| chunk.end - chunk.start).sum();
    progress.step("Comparing blocks", Some(total), Unit::Bytes);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Ok(BlockSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut mine = BlockSet::new();
                let mut buffers = (Vec::new(), Vec::new(), Vec::new());
                let failed = loop {
                    if progress.cancelled() {
                        break Some(Error::Cancelled);
                    }
                    let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) else { break None };
                    if let Err(error) = compare(base, new, chunk.clone(), &mut buffers, &mut mine) {
                        next.store(chunks.len(), Ordering::Relaxed);
                        break Some(Error::io("comparing the disk with its base")(error));
                    }
                    progress.advance(chunk.end - chunk.start);
                };
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match (failed, &mut *found) {
                    (Some(error), _) => *found = Err(error),
                    (None, Ok(all)) => all.union(&mine),
                    (None, Err(_)) => {}
                }
            });
        }
    });
    let changed = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)?;
    Ok((changed, total))
}

/// The chunks in which either disk may hold something.
fn chunks_with_data(base: &dyn ByteSource, new: &dyn ByteSource) -> std::io::Result<Vec<Range<u64>>> {
    let len = new.len();
    let mut chunks: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < len {
        let starts = [base.next_data(at)?, new.next_data(at)?];
        let Some(start) = starts.into_iter().flatten().map(|range| range.start).min() else { break };
        let start = start.max(at) / CHUNK * CHUNK;
        let end = (start + CHUNK).min(len);
        chunks.push(start..end);
        at = end;
    }
    Ok(chunks)
}

fn compare(
    base: &dyn ByteSource,
    new: &dyn ByteSource,
    chunk: Range<u64>,
    (ours, theirs, digests): &mut (Vec<u8>, Vec<u8>, Vec<[u8; 32]>),
    changed: &mut BlockSet,
) -> std::io::Result<()> {
    let block = disk::BLOCK as usize;
    let len = chunk.end - chunk.start;
    ours.resize(len as usize, 0);
    new.read_exact_at(chunk.start, ours)?;
    digests.clear();
    let whole = len / disk::BLOCK * disk::BLOCK;
    let known =
        whole == len && chunk.end <= base.len() && base.known_block_digests(chunk.start, whole, digests)?;
    if !known {
        theirs.clear();
        theirs.resize(len as usize, 0);
        let there = base.len().saturating_sub(chunk.start).min(len);
        if there > 0 {
            base.read_exact_at(chunk.start, &mut theirs[..there as usize])?;
        }
    }
    let zero = zero_block_digest();
    for (index, bytes) in ours.chunks(block).enumerate() {
        let same = if known {
            if bytes.iter().all(|&byte| byte == 0) {
                digests[index] == zero
            } else {
                digests[index] == block_digest(bytes)
            }
        } else {
            theirs[index * block..][..bytes.len()] == *bytes
        };
        if !same {
            let start = chunk.start + (index * block) as u64;
            changed.insert(start..start + bytes.len() as u64);
        }
    }
    Ok(())
}
