//! Sets of byte ranges: which parts of a disk have changed.

use std::collections::BTreeMap;
use std::ops::Range;

/// A sorted set of byte ranges. Ranges that touch or overlap are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockSet {
    // start -> end; never empty, never touching
    ranges: BTreeMap<u64, u64>,
}

impl BlockSet {
    /// The empty set.
    pub fn new() -> BlockSet {
        BlockSet::default()
    }

    /// Adds every byte of `range`; an empty range adds nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((&before, before_end)) = self.ranges.range_mut(..=start).next_back()
            && *before_end >= start
        {
            if *before_end >= end {
                return;
            }
            start = before;
        }
        while let Some((&inside, &inside_end)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&inside);
            end = end.max(inside_end);
        }
        self.ranges.insert(start, end);
    }

    /// Whether every byte of `range` is in the set. True for an empty range.
    pub fn contains(&self, range: Range<u64>) -> bool {
        range.start >= range.end
            || self.ranges.range(..=range.start).next_back().is_some_and(|(_, &end)| end >= range.end)
    }

    /// Whether any byte of `range` is in the set.
    pub fn intersects(&self, range: Range<u64>) -> bool {
        range.start < range.end
            && self.ranges.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start)
    }

    /// The ranges, ascending, none touching the next.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// The parts of `range` that are in the set, ascending, none touching the next.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.ranges.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
        self.ranges
            .range(first..range.end.max(first))
            .map(move |(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| part.start < part.end)
    }

    /// Adds every range of `other`.
    pub fn union(&mut self, other: &BlockSet) {
        self.extend(other.iter());
    }

    /// How many bytes are in the set.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl Extend<Range<u64>> for BlockSet {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<Range<u64>> for BlockSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> BlockSet {
        let mut set = BlockSet::new();
        set.extend(ranges);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::BlockSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_an_array_of_flags(
            ranges in prop::collection::vec((0u64..200, 0u64..30), 0..40),
            asked in (0u64..220, 0u64..40),
        ) {
            let mut flags = [false; 260];
            let mut set = BlockSet::new();
            for &(start, len) in &ranges {
                set.insert(start..start + len);
                flags[start as usize..(start + len) as usize].fill(true);
            }
            let asked = asked.0..asked.0 + asked.1;
            let window = &flags[asked.start as usize..asked.end as usize];
            prop_assert_eq!(set.contains(asked.clone()), window.iter().all(|&f| f));
            prop_assert_eq!(set.intersects(asked), window.iter().any(|&f| f));
            prop_assert_eq!(set.bytes(), flags.iter().filter(|&&f| f).count() as u64);
            let pairs: Vec<_> = set.iter().collect();
            prop_assert!(pairs.windows(2).all(|w| w[0].end < w[1].start), "ranges touch: {:?}", pairs);

            let (left, right) = ranges.split_at(ranges.len() / 2);
            let mut joined: BlockSet = right.iter().map(|&(s, l)| s..s + l).collect();
            joined.union(&left.iter().map(|&(s, l)| s..s + l).collect());
            prop_assert_eq!(joined, set);
        }
    }
}
