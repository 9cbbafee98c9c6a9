//! From page number to slot: a radix table with two dense levels of 512 under an ordered top.
//!
//! One leaf covers 2 MiB of the device, one middle table 1 GiB; the top has one entry for each GiB that was ever
//! touched, so that a look-up is two array reads behind a search among few keys, whatever the length of the device.

use std::collections::BTreeMap;

const FAN: usize = 512;

/// The largest number of a frame or of a place in the scratch file.
pub(super) const MAX_NUMBER: u32 = (1 << 31) - 2;

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nowhere: its bytes are what the map says.
    Absent,
    /// In this frame.
    Frame(u32),
    /// Only at this place of the scratch file.
    Spilled(u32),
}

impl Slot {
    fn pack(self) -> u32 {
        match self {
            Slot::Absent => 0,
            Slot::Frame(frame) => (frame + 1) << 1,
            Slot::Spilled(copy) => (copy + 1) << 1 | 1,
        }
    }

    fn unpack(packed: u32) -> Slot {
        match (packed >> 1, packed & 1) {
            (0, _) => Slot::Absent,
            (frame, 0) => Slot::Frame(frame - 1),
            (copy, _) => Slot::Spilled(copy - 1),
        }
    }
}

#[derive(Debug)]
struct Leaf {
    slots: Box<[u32; FAN]>,
    /// How many are not absent.
    used: usize,
}

/// Slots by page number.
#[derive(Debug, Default)]
pub(super) struct PageIndex {
    // page >> 18 -> (page >> 9 & 511) -> number of the leaf + 1, 0 for none
    top: BTreeMap<u64, Box<[u32; FAN]>>,
    leaves: Vec<Leaf>,
}

impl PageIndex {
    pub(super) fn get(&self, page: u64) -> Slot {
        self.leaf(page).map_or(Slot::Absent, |leaf| Slot::unpack(leaf.slots[page as usize % FAN]))
    }

    pub(super) fn set(&mut self, page: u64, slot: Slot) {
        let middle = self.top.entry(page >> 18).or_insert_with(empty);
        let leaf = &mut middle[(page >> 9) as usize % FAN];
        if *leaf == 0 {
            if slot == Slot::Absent {
                return;
            }
            self.leaves.push(Leaf { slots: empty(), used: 0 });
            *leaf = self.leaves.len() as u32;
        }
        let leaf = &mut self.leaves[*leaf as usize - 1];
        let entry = &mut leaf.slots[page as usize % FAN];
        leaf.used += usize::from(slot != Slot::Absent);
        leaf.used -= usize::from(*entry != 0);
        *entry = slot.pack();
    }

    /// The first page of `from .. end` that is not absent.
    pub(super) fn next_present(&self, from: u64, end: u64) -> Option<u64> {
        if from >= end {
            return None;
        }
        for (&high, middle) in self.top.range(from >> 18..=(end - 1) >> 18) {
            let first = (high << 18).max(from);
            let last = ((high << 18) + ((1 << 18) - 1)).min(end - 1);
            for region in first >> 9..=last >> 9 {
                let leaf = middle[region as usize % FAN];
                if leaf == 0 || self.leaves[leaf as usize - 1].used == 0 {
                    continue;
                }
                let slots = &self.leaves[leaf as usize - 1].slots;
                let start = (region << 9).max(first);
                let stop = ((region << 9) + (FAN as u64 - 1)).min(last);
                if let Some(page) = (start..=stop).find(|&page| slots[page as usize % FAN] != 0) {
                    return Some(page);
                }
            }
        }
        None
    }

    fn leaf(&self, page: u64) -> Option<&Leaf> {
        let leaf = self.top.get(&(page >> 18))?[(page >> 9) as usize % FAN];
        (leaf != 0).then(|| &self.leaves[leaf as usize - 1])
    }
}

fn empty() -> Box<[u32; FAN]> {
    Box::new([0; FAN])
}

#[cfg(test)]
mod tests {
    use super::{PageIndex, Slot};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(
            changes in prop::collection::vec(
                (prop_oneof![0u64..1500, (1u64 << 18) - 3..(1 << 18) + 3, (1u64 << 50)..(1 << 50) + 600], 0u32..3),
                0..200,
            ),
            from in prop_oneof![0u64..1500, (1u64 << 18) - 3..(1 << 18) + 3],
            len in prop_oneof![0u64..1000, Just(1u64 << 51)],
        ) {
            let mut model = BTreeMap::new();
            let mut index = PageIndex::default();
            for &(page, kind) in &changes {
                let slot = match kind {
                    0 => Slot::Absent,
                    1 => Slot::Frame(page as u32 % 7),
                    _ => Slot::Spilled(page as u32 % 7),
                };
                index.set(page, slot);
                if slot == Slot::Absent { model.remove(&page); } else { model.insert(page, slot); }
            }
            for &(page, _) in &changes {
                prop_assert_eq!(index.get(page), model.get(&page).copied().unwrap_or(Slot::Absent));
            }
            let expected = model.range(from..from + len).next().map(|(&page, _)| page);
            prop_assert_eq!(index.next_present(from, from + len), expected);
        }
    }
}
