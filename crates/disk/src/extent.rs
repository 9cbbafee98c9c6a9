//! The extent map: which bytes of a disk come from where.
//!
//! An ordered map from logical byte ranges to places in immutable sources. What is not mapped reads as zeros. It knows
//! nothing of the sources themselves: who owns them, whether they exist or how long they are is checked by
//! [`ExtentMap::check_sources`] where a map and its sources come together.

use crate::{ByteSource, SourceId, SourceRange};
use operation::Explain;
use std::collections::{BTreeMap, btree_map};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A range that cannot be mapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The range is not inside the disk, or its end is beyond what 64 bits can count.
    #[error("{len} bytes at offset {offset} are not inside the disk of {limit} bytes")]
    OutOfRange {
        /// Start, bytes.
        offset: u64,
        /// Length, bytes.
        len: u64,
        /// Length of the disk, bytes.
        limit: u64,
    },
    /// The map names a source that is not in the table.
    #[error("source {} is not in the table of {count} sources", source_id.0)]
    UnknownSource {
        /// The number that the map names.
        source_id: SourceId,
        /// How many sources there are.
        count: usize,
    },
    /// The map names bytes that the source does not have.
    #[error(
        "{len} bytes at offset {offset} are not inside source {}, which has {limit} bytes", source_id.0
    )]
    BeyondSource {
        /// Which source.
        source_id: SourceId,
        /// Start in the source, bytes.
        offset: u64,
        /// Length, bytes.
        len: u64,
        /// Length of the source, bytes.
        limit: u64,
    },
}

impl Explain for MapError {
    fn code(&self) -> &'static str {
        match self {
            MapError::OutOfRange { .. } => "range-outside-disk",
            MapError::UnknownSource { .. } => "source-unknown",
            MapError::BeyondSource { .. } => "range-outside-source",
        }
    }
}

impl From<MapError> for io::Error {
    fn from(error: MapError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// A mapped range: bytes of the disk that come from one contiguous place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset on the disk, bytes.
    pub offset: u64,
    /// Length, bytes; never 0.
    pub len: u64,
    /// Where the bytes are.
    pub target: SourceRange,
}

impl Extent {
    /// First byte on the disk after the extent.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// A piece of a range: mapped, or a gap that reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Offset on the disk, bytes.
    pub offset: u64,
    /// Length, bytes; never 0.
    pub len: u64,
    /// Where the bytes are; `None` reads as zeros.
    pub target: Option<SourceRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapped {
    len: u64,
    target: SourceRange,
}

impl Mapped {
    /// What is left after the first `skip` bytes.
    fn tail(self, skip: u64) -> Mapped {
        Mapped {
            len: self.len - skip,
            target: SourceRange { offset: self.target.offset + skip, ..self.target },
        }
    }

    /// Whether `next` goes on in the source where this one ends.
    fn continues_in(self, next: SourceRange) -> bool {
        self.target.source == next.source && self.target.offset + self.len == next.offset
    }
}

/// Maps the bytes of a disk to places in sources. Byte granular; a later call wins over an earlier one; neighbours
/// that are contiguous on the disk and in the same source are one extent.
///
/// Two maps are equal when they have the same length and every byte comes from the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentMap {
    len: u64,
    // Invariants: no empty extents, none overlap, none end beyond `len`, neighbours that could be one are one.
    extents: BTreeMap<u64, Mapped>,
}

impl ExtentMap {
    /// A disk of `len` bytes that reads as zeros.
    pub fn new(len: u64) -> ExtentMap {
        ExtentMap { len, extents: BTreeMap::new() }
    }

    /// Length of the disk in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the disk has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Maps `offset .. offset + len` to the bytes at `target`. An empty range changes nothing.
    pub fn splice(&mut self, offset: u64, len: u64, target: SourceRange) -> Result<(), MapError> {
        let end = self.end_of(offset, len)?;
        if target.offset.checked_add(len).is_none() {
            return Err(MapError::BeyondSource {
                source_id: target.source,
                offset: target.offset,
                len,
                limit: u64::MAX,
            });
        }
        if len == 0 {
            return Ok(());
        }
        self.clear(offset, end);
        let mut new = Mapped { len, target };
        if let Some(&next) = self.extents.get(&end)
            && new.continues_in(next.target)
        {
            new.len += next.len;
            self.extents.remove(&end);
        }
        if let Some((&at, before)) = self.extents.range_mut(..offset).next_back()
            && at + before.len == offset
            && before.continues_in(target)
        {
            before.len += new.len;
        } else {
            self.extents.insert(offset, new);
        }
        Ok(())
    }

    /// Makes `offset .. offset + len` read as zeros.
    pub fn discard(&mut self, offset: u64, len: u64) -> Result<(), MapError> {
        let end = self.end_of(offset, len)?;
        self.clear(offset, end);
        Ok(())
    }

    /// Makes the disk longer; the new bytes read as zeros. A length below the present one is refused.
    pub fn grow(&mut self, new_len: u64) -> Result<(), MapError> {
        if new_len < self.len {
            return Err(MapError::OutOfRange { offset: new_len, len: self.len - new_len, limit: new_len });
        }
        self.len = new_len;
        Ok(())
    }

    /// The pieces that cover `range`, in order and without gaps: mapped ones cut to the range, and zeros between
    /// them. What lies beyond the end of the disk is left out.
    pub fn segments(&self, range: Range<u64>) -> Segments<'_> {
        let end = range.end.min(self.len);
        let first = self.find(range.start).map_or(range.start, |extent| extent.offset);
        Segments { at: range.start, end, pending: None, extents: self.extents.range(first..end.max(first)) }
    }

    /// All mapped extents, in order.
    pub fn mapped(&self) -> impl Iterator<Item = Extent> {
        self.extents.iter().map(|(&offset, mapped)| Extent { offset, len: mapped.len, target: mapped.target })
    }

    /// The whole extent that holds the byte at `offset`, if it is mapped.
    pub fn find(&self, offset: u64) -> Option<Extent> {
        let (&start, mapped) = self.extents.range(..=offset).next_back()?;
        (offset - start < mapped.len).then_some(Extent {
            offset: start,
            len: mapped.len,
            target: mapped.target,
        })
    }

    /// The first mapped bytes at or after `from`, up to the end of their extent.
    pub fn next_mapped(&self, from: u64) -> Option<Extent> {
        if let Some(extent) = self.find(from) {
            let skip = from - extent.offset;
            let target = SourceRange { offset: extent.target.offset + skip, ..extent.target };
            return Some(Extent { offset: from, len: extent.len - skip, target });
        }
        let (&offset, mapped) = self.extents.range(from..).next()?;
        Some(Extent { offset, len: mapped.len, target: mapped.target })
    }

    /// Checks that every extent lies inside its source, for maps that come from outside.
    pub fn check_sources(&self, sources: &[Arc<dyn ByteSource>]) -> Result<(), MapError> {
        self.mapped().try_for_each(|extent| check_source(sources, extent.target, extent.len))
    }

    /// The end of a range inside the disk.
    fn end_of(&self, offset: u64, len: u64) -> Result<u64, MapError> {
        offset.checked_add(len).filter(|&end| end <= self.len).ok_or(MapError::OutOfRange {
            offset,
            len,
            limit: self.len,
        })
    }

    /// Unmaps `start .. end`, cutting the extents at both edges.
    fn clear(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        if let Some((&at, before)) = self.extents.range_mut(..start).next_back() {
            let before_end = at + before.len;
            if before_end > start {
                let whole = *before;
                before.len = start - at;
                if before_end > end {
                    self.extents.insert(end, whole.tail(end - at));
                    return;
                }
            }
        }
        while let Some((&at, &mapped)) = self.extents.range(start..end).next() {
            self.extents.remove(&at);
            if at + mapped.len > end {
                self.extents.insert(end, mapped.tail(end - at));
            }
        }
    }
}

/// Checks that `len` bytes at `target` exist.
pub(crate) fn check_source(
    sources: &[Arc<dyn ByteSource>],
    target: SourceRange,
    len: u64,
) -> Result<(), MapError> {
    let Some(source) = sources.get(target.source.0 as usize) else {
        return Err(MapError::UnknownSource { source_id: target.source, count: sources.len() });
    };
    match target.offset.checked_add(len) {
        Some(end) if end <= source.len() => Ok(()),
        _ => Err(MapError::BeyondSource {
            source_id: target.source,
            offset: target.offset,
            len,
            limit: source.len(),
        }),
    }
}

/// Iterator over the pieces of a range, see [`ExtentMap::segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    at: u64,
    end: u64,
    /// An extent that was reached while the gap before it was still to be reported.
    pending: Option<(u64, Mapped)>,
    extents: btree_map::Range<'a, u64, Mapped>,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.at >= self.end {
            return None;
        }
        let next =
            self.pending.take().or_else(|| self.extents.next().map(|(&offset, &mapped)| (offset, mapped)));
        let segment = match next {
            Some((offset, mapped)) if offset <= self.at => {
                let mapped = mapped.tail(self.at - offset);
                let len = mapped.len.min(self.end - self.at);
                Segment { offset: self.at, len, target: Some(mapped.target) }
            }
            later => {
                self.pending = later;
                let until = later.map_or(self.end, |(offset, _)| offset.min(self.end));
                Segment { offset: self.at, len: until - self.at, target: None }
            }
        };
        self.at += segment.len;
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: u32, offset: u64) -> SourceRange {
        SourceRange { source: SourceId(source), offset }
    }

    #[test]
    fn neighbours_contiguous_in_the_source_become_one_extent_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2]] {
            let mut map = ExtentMap::new(300);
            for i in order {
                map.splice(i * 100, 100, at(7, 1000 + i * 100)).unwrap();
            }
            let all: Vec<_> = map.mapped().collect();
            assert_eq!(all, [Extent { offset: 0, len: 300, target: at(7, 1000) }], "order {order:?}");
        }
    }

    #[test]
    fn a_splice_into_the_middle_leaves_both_ends() {
        let mut map = ExtentMap::new(100);
        map.splice(0, 100, at(0, 0)).unwrap();
        map.splice(40, 20, at(1, 5)).unwrap();
        map.discard(45, 5).unwrap();
        let pieces: Vec<_> = map.segments(30..70).map(|s| (s.offset, s.len, s.target)).collect();
        assert_eq!(
            pieces,
            [
                (30, 10, Some(at(0, 30))),
                (40, 5, Some(at(1, 5))),
                (45, 5, None),
                (50, 10, Some(at(1, 15))),
                (60, 10, Some(at(0, 60))),
            ]
        );
        assert_eq!(map.find(44), Some(Extent { offset: 40, len: 5, target: at(1, 5) }));
        assert_eq!(map.find(47), None);
        assert_eq!(map.next_mapped(47), Some(Extent { offset: 50, len: 10, target: at(1, 15) }));
        assert_eq!(map.next_mapped(70), Some(Extent { offset: 70, len: 30, target: at(0, 70) }));
    }

    #[test]
    fn ranges_that_do_not_fit_are_refused_and_change_nothing() {
        let mut map = ExtentMap::new(100);
        map.splice(0, 100, at(0, 0)).unwrap();
        let before = map.clone();
        assert!(matches!(map.splice(50, 51, at(0, 0)), Err(MapError::OutOfRange { .. })));
        assert!(matches!(map.splice(u64::MAX, 2, at(0, 0)), Err(MapError::OutOfRange { .. })));
        assert!(matches!(map.splice(0, 2, at(0, u64::MAX)), Err(MapError::BeyondSource { .. })));
        assert!(matches!(map.discard(99, u64::MAX), Err(MapError::OutOfRange { .. })));
        assert!(matches!(map.grow(99), Err(MapError::OutOfRange { .. })));
        assert_eq!(map, before);
        map.splice(100, 0, at(3, 0)).unwrap();
        assert_eq!(map, before);
    }

    #[test]
    fn segments_stop_at_the_end_of_the_disk_and_an_inverted_range_has_none() {
        let map = ExtentMap::new(100);
        let all: Vec<_> = map.segments(90..u64::MAX).collect();
        assert_eq!(all, [Segment { offset: 90, len: 10, target: None }]);
        assert_eq!(map.segments(200..300).count(), 0);
        #[expect(clippy::reversed_empty_ranges)]
        let inverted = map.segments(60..50);
        assert_eq!(inverted.count(), 0);
    }
}
