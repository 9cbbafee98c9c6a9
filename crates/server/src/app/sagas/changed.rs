//! The ranges of a disk that a platform says have changed, as few of them as are worth keeping.

use disk::{BLOCK, BlockSet};
use std::ops::Range;

/// Most ranges that are kept with a task and sent to the engine.
const MOST: usize = 10_000;

/// The same ranges, made larger until there are at most [`MOST`]: what did not change in truth costs time, no change.
pub(super) fn at_most(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut grain = BLOCK;
    loop {
        let whole = |range: &Range<u64>| {
            let end = range.end.div_ceil(grain).saturating_mul(grain);
            range.start / grain * grain..end
        };
        let ranges: BlockSet = ranges.iter().filter(|range| !range.is_empty()).map(whole).collect();
        let ranges: Vec<Range<u64>> = ranges.iter().collect();
        if ranges.len() <= MOST {
            return ranges;
        }
        grain = grain.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ranges_stay_as_they_are_but_for_whole_blocks() {
        let asked = [10..20, 5 * BLOCK..7 * BLOCK, 3..3];
        assert_eq!(at_most(&asked), [0..BLOCK, 5 * BLOCK..7 * BLOCK]);
    }

    #[test]
    fn many_ranges_become_few_that_contain_them_all() {
        let asked: Vec<_> = (0..100_000).map(|n| n * 3 * BLOCK..n * 3 * BLOCK + 1).collect();
        let kept = at_most(&asked);
        assert!(kept.len() <= MOST, "{}", kept.len());
        let kept: BlockSet = kept.into_iter().collect();
        assert!(asked.iter().all(|range| kept.contains(range.clone())));
    }

    #[test]
    fn ranges_beyond_all_disks_are_taken() {
        let last = u64::MAX / BLOCK * BLOCK;
        assert_eq!(at_most(&[0..1, u64::MAX - 1..u64::MAX]), [0..BLOCK, last..u64::MAX]);
    }
}
