//! Which parts of the disk are looked at, in which order.

use super::super::{Error, Result};
use crate::{BLOCK, ByteSource};
use std::io;
use std::ops::Range;

/// Bytes of the disk that are handled at a time where bytes go through the page cache: what stays in a processor's own
/// cache from reading to writing (measured: 1.4 times faster than 2 MiB).
pub(super) const CACHED_WINDOW: u64 = 256 << 10;
/// The same where bytes are shared, or written past the page cache: both cost by the call and not by the byte.
pub(super) const LARGE_WINDOW: u64 = 2 << 20;

/// Walks the data of a source in disk order.
pub(super) struct Planner<'s> {
    source: &'s dyn ByteSource,
    /// Bytes in a window.
    window: u64,
    /// Up to where everything has been handed out.
    position: u64,
    /// A range of data that began in an earlier window, or was looked up and not used yet.
    known: Option<Range<u64>>,
    /// The number that the next window gets.
    turn: u64,
}

/// A window that may hold data.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Its place in the order, counted from 0 without gaps.
    pub(super) turn: u64,
    /// Where it begins on the disk, bytes.
    pub(super) offset: u64,
    /// Its length, bytes; only at the end of the disk it is shorter than others.
    pub(super) len: usize,
    /// Where it may hold data, within the window; bounded by multiples of 4 KiB or the end of the disk, ascending,
    /// not touching.
    pub(super) data: Vec<Range<usize>>,
}

impl<'s> Planner<'s> {
    pub(super) fn new(source: &'s dyn ByteSource, window: u64) -> Planner<'s> {
        Planner { source, window, position: 0, known: None, turn: 0 }
    }

    /// Puts the next window that may hold data into `plan`, or says that there is none.
    pub(super) fn next(&mut self, plan: &mut Plan) -> Result<bool> {
        let Some(first) = self.peek()? else { return Ok(false) };
        let offset = first.start / self.window * self.window;
        let end = (offset + self.window).min(self.source.len());
        plan.turn = self.turn;
        plan.offset = offset;
        plan.len = (end - offset) as usize;
        plan.data.clear();
        self.turn += 1;
        while let Some(range) = self.peek()? {
            if range.start >= end {
                break;
            }
            let from = (range.start / BLOCK * BLOCK - offset) as usize;
            let to = (range.end.min(end).next_multiple_of(BLOCK).min(end) - offset) as usize;
            match plan.data.last_mut() {
                Some(last) if last.end >= from => last.end = to,
                _ => plan.data.push(from..to),
            }
            self.position = range.end.min(end);
            self.known = (range.end > end).then_some(end..range.end);
        }
        Ok(true)
    }

    /// The next range of data that was not handed out.
    fn peek(&mut self) -> Result<Option<Range<u64>>> {
        if self.known.is_none() {
            let fail = |source| Error::Source { offset: self.position, source };
            self.known = self.source.next_data(self.position).map_err(fail)?;
            if let Some(range) = &self.known
                && (range.start < self.position || range.is_empty() || range.end > self.source.len())
            {
                let what = format!("the source answered {}..{} when asked for data", range.start, range.end);
                return Err(fail(io::Error::new(io::ErrorKind::InvalidData, what)));
            }
        }
        Ok(self.known.clone())
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list that happens to have one range")]
mod tests {
    use super::*;

    const WINDOW: u64 = 2 << 20;

    /// Data where the ranges say, and nothing to read.
    struct Ranges(u64, Vec<Range<u64>>);

    impl ByteSource for Ranges {
        fn len(&self) -> u64 {
            self.0
        }

        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Ok(())
        }

        fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
            Ok(self.1.iter().find(|range| range.end > from).map(|range| range.start.max(from)..range.end))
        }
    }

    fn windows(source: &Ranges) -> Vec<(u64, usize, Vec<Range<usize>>)> {
        let mut planner = Planner::new(source, WINDOW);
        let mut plan = Plan::default();
        let mut all = Vec::new();
        while planner.next(&mut plan).unwrap() {
            assert_eq!(plan.turn, all.len() as u64);
            all.push((plan.offset, plan.len, plan.data.clone()));
        }
        all
    }

    #[test]
    fn windows_cover_the_data_in_order_and_nothing_between() {
        let source = Ranges(
            9 * WINDOW + 1536,
            vec![5..6, 9000..WINDOW + 1, 4 * WINDOW..6 * WINDOW, 9 * WINDOW..9 * WINDOW + 1536],
        );
        assert_eq!(
            windows(&source),
            [
                (0, WINDOW as usize, vec![0..4096, 8192..WINDOW as usize]),
                (WINDOW, WINDOW as usize, vec![0..4096]),
                (4 * WINDOW, WINDOW as usize, vec![0..WINDOW as usize]),
                (5 * WINDOW, WINDOW as usize, vec![0..WINDOW as usize]),
                (9 * WINDOW, 1536, vec![0..1536]),
            ]
        );
    }

    #[test]
    fn ranges_that_share_a_block_are_one() {
        assert_eq!(
            windows(&Ranges(WINDOW, vec![0..10, 20..30, 4095..4097])),
            [(0, WINDOW as usize, vec![0..8192])]
        );
    }

    #[test]
    fn a_source_that_answers_nonsense_is_an_error_and_no_endless_loop() {
        let source = Ranges(WINDOW, vec![0..2 * WINDOW]);
        assert!(Planner::new(&source, WINDOW).next(&mut Plan::default()).is_err());
    }
}
