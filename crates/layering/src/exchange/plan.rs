//! Which blobs go into which packs.
//!
//! Blobs are taken in the order in which they lie in the store, which for an OS version is that of the disk. Blocks of
//! zeros are left out; which those are is known without reading them.

use super::pack::{MOST_BLOBS, MOST_CONTENT, Run};
use crate::Result;
use std::collections::HashMap;
use std::mem;
use store::{BLOCK, BlobId, Location, Session, zero_block_digest};

/// How much of a blob is looked at in one go, bytes.
const STRETCH: u64 = 4 << 20;

/// A blob, or a part of one, that goes into a pack.
#[derive(Debug, Clone)]
pub(super) struct PlannedBlob {
    pub(super) id: BlobId,
    pub(super) location: Location,
    pub(super) runs: Vec<Run>,
}

impl PlannedBlob {
    fn content(&self) -> u64 {
        self.runs.iter().map(|run| run.len).sum()
    }
}

/// A pack that is to be written.
#[derive(Debug, Default)]
pub(super) struct PlannedPack {
    /// Which part of its blob it is, and of how many.
    pub(super) part: (u64, u64),
    pub(super) blobs: Vec<PlannedBlob>,
    /// Bytes of content.
    pub(super) content: u64,
}

/// Plans packs for these blobs and gives each to `take` as soon as it is full.
pub(super) fn plan(
    session: &Session,
    located: &HashMap<BlobId, Location>,
    take: &mut dyn FnMut(PlannedPack) -> Result<()>,
) -> Result<()> {
    let mut order: Vec<(BlobId, Location)> = located.iter().map(|(id, location)| (*id, *location)).collect();
    order.sort_unstable_by_key(|(id, location)| (location.pack, location.offset, *id));
    let mut pack = PlannedPack { part: (0, 1), ..PlannedPack::default() };
    for (id, location) in order {
        let blob = PlannedBlob { id, location, runs: runs(session, location)? };
        let content = blob.content();
        if content > MOST_CONTENT {
            parts(blob, take)?;
            continue;
        }
        if pack.content + content > MOST_CONTENT || pack.blobs.len() as u64 == MOST_BLOBS {
            take(mem::replace(&mut pack, PlannedPack { part: (0, 1), ..PlannedPack::default() }))?;
        }
        pack.content += content;
        pack.blobs.push(blob);
    }
    if pack.blobs.is_empty() { Ok(()) } else { take(pack) }
}

/// The runs of a blob: all blocks that are not zeros.
fn runs(session: &Session, location: Location) -> Result<Vec<Run>> {
    let pack = session.store().pack(location.pack)?;
    let (mut runs, mut digests): (Vec<Run>, _) = (Vec::new(), Vec::new());
    let padded = location.len.next_multiple_of(BLOCK);
    for start in (0..padded).step_by(STRETCH as usize) {
        digests.clear();
        pack.block_digests(location.offset + start, STRETCH.min(padded - start), &mut digests)?;
        for (offset, digest) in (start..).step_by(BLOCK as usize).zip(&digests) {
            if *digest == zero_block_digest() {
                continue;
            }
            let len = BLOCK.min(location.len - offset);
            match runs.last_mut().filter(|last| last.offset + last.len == offset) {
                Some(last) => last.len += len,
                None => runs.push(Run { offset, len }),
            }
        }
    }
    Ok(runs)
}

/// Cuts a blob that is too large for one pack.
fn parts(blob: PlannedBlob, take: &mut dyn FnMut(PlannedPack) -> Result<()>) -> Result<()> {
    let parts = blob.content().div_ceil(MOST_CONTENT);
    let PlannedBlob { id, location, runs } = blob;
    let mut pending = runs.into_iter();
    let mut rest: Option<Run> = None;
    for part in 0..parts {
        let (mut own, mut content) = (Vec::new(), 0);
        while content < MOST_CONTENT {
            let Some(run) = rest.take().or_else(|| pending.next()) else { break };
            let len = run.len.min(MOST_CONTENT - content);
            own.push(Run { len, ..run });
            content += len;
            rest = (len < run.len).then(|| Run { offset: run.offset + len, len: run.len - len });
        }
        let blobs = vec![PlannedBlob { id, location, runs: own }];
        take(PlannedPack { part: (part, parts), blobs, content })?;
    }
    Ok(())
}
