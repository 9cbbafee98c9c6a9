//! Which blocks of a disk an image holds, and where: what VHD and VHDX call their block allocation table.
//!
//! Only blocks that are present take memory, so a table cannot cost more than the file it describes justifies.

use std::io;
use std::ops::Range;

/// The blocks that are present, in disk order.
#[derive(Debug)]
pub(super) struct BlockTable {
    /// Bytes of the disk that a block covers.
    block: u64,
    /// Length of the disk, bytes.
    disk: u64,
    /// Number of the block and where its contents begin in the file, bytes; sorted by number.
    present: Vec<(u32, u64)>,
}

impl BlockTable {
    /// An empty table. `block` is not 0.
    pub(super) fn new(block: u64, disk: u64) -> BlockTable {
        BlockTable { block, disk, present: Vec::new() }
    }

    /// Adds a block; numbers are added in ascending order.
    pub(super) fn push(&mut self, number: u32, at: u64) {
        debug_assert!(self.present.last().is_none_or(|&(last, _)| last < number));
        self.present.push((number, at));
    }

    /// Bytes that the disk has of a block: all of them, except for the last block of the disk.
    pub(super) fn used(&self, number: u32) -> u64 {
        self.block.min(self.disk.saturating_sub(u64::from(number) * self.block))
    }

    /// Two places that share bytes of the file, each taking `before` bytes before the contents as well: blocks of the
    /// table with each other, or with one of `others` (byte ranges of the file).
    pub(super) fn overlap(&self, before: u64, others: &[Range<u64>]) -> Option<(u64, u64)> {
        let mut places: Vec<(u64, u64)> = self
            .present
            .iter()
            .map(|&(number, at)| (at.saturating_sub(before), at.saturating_add(self.used(number))))
            .chain(others.iter().map(|range| (range.start, range.end)))
            .collect();
        places.sort_unstable();
        places.windows(2).find(|pair| pair[0].1 > pair[1].0).map(|pair| (pair[0].0, pair[1].0))
    }

    /// The file offset that a block's contents end at which ends last, with the block's number.
    pub(super) fn last_end(&self) -> Option<(u64, u32)> {
        self.present.iter().map(|&(number, at)| (at.saturating_add(self.used(number)), number)).max()
    }

    /// The part of one block that begins at `offset` of the disk and is at most `max` bytes long: its length, and
    /// the number and place of the block if it is present.
    pub(super) fn piece(&self, offset: u64, max: u64) -> Piece {
        let number = offset / self.block;
        let within = offset % self.block;
        let found = u32::try_from(number)
            .ok()
            .and_then(|number| self.present.binary_search_by_key(&number, |&(number, _)| number).ok());
        Piece { within, len: max.min(self.block - within), at: found.map(|index| self.present[index].1) }
    }

    /// Fills `buf`, which lies within the disk, with what is at `offset`: zeros where no block is present. `read_block`
    /// gets where a block begins in the file, the offset in the block (both in bytes) and what to fill.
    pub(super) fn read(
        &self,
        mut offset: u64,
        mut buf: &mut [u8],
        mut read_block: impl FnMut(u64, u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while !buf.is_empty() {
            let piece = self.piece(offset, buf.len() as u64);
            let (part, rest) = buf.split_at_mut(piece.len as usize);
            match piece.at {
                Some(at) => read_block(at, piece.within, part)?,
                None => part.fill(0),
            }
            offset += piece.len;
            buf = rest;
        }
        Ok(())
    }

    /// The first range of present blocks at or after `from`.
    pub(super) fn next_data(&self, from: u64) -> Option<Range<u64>> {
        if from >= self.disk {
            return None;
        }
        let first = self.present.partition_point(|&(number, _)| (u64::from(number) + 1) * self.block <= from);
        let &(number, _) = self.present.get(first)?;
        let run = self.present[first..]
            .iter()
            .zip(u64::from(number)..)
            .take_while(|((n, _), i)| u64::from(*n) == *i);
        let end = (u64::from(number) + run.count() as u64) * self.block;
        Some(from.max(u64::from(number) * self.block)..end.min(self.disk))
    }
}

/// A piece of a disk within one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins in the block, bytes.
    pub(super) within: u64,
    /// Bytes.
    pub(super) len: u64,
    /// Where the contents of the block begin in the file, if it is present.
    pub(super) at: Option<u64>,
}
