//! Attribute records, found or to be made ([Linux-NTFS] `ATTR_RECORD`).

use super::Volume;
use super::volume::error;
use ntfs_sys as sys;
use std::io;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// `flags` of an attribute.
pub(crate) const COMPRESSED: u16 = 0x0001;
/// `flags` of an attribute.
pub(crate) const ENCRYPTED: u16 = 0x4000;
/// `flags` of an attribute.
pub(crate) const SPARSE: u16 = 0x8000;

/// Some clusters in a row of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    /// First cluster on the volume; `None` for a hole.
    pub(crate) at: Option<u64>,
    /// How many.
    pub(crate) clusters: u64,
}

/// More clusters than volumes can have (2^32).
const MAX_CLUSTERS: u64 = 1 << 40;

/// Copies one of the library's run lists.
///
/// # Safety
/// `list` ends with an element of length 0, as all of the library's lists do.
pub(super) unsafe fn elements(list: *const sys::runlist_element) -> io::Result<Vec<Element>> {
    let mut found = Vec::new();
    let mut total = 0_u64;
    let mut at = list;
    loop {
        // SAFETY: the end has not been reached.
        let element = unsafe { *at };
        let Ok(clusters) = u64::try_from(element.length) else { return Err(damaged()) };
        if clusters == 0 {
            return Ok(found);
        }
        const HOLE: i64 = sys::ntfs_lcn_special_values_LCN_HOLE as i64;
        const NOT_MAPPED: i64 = sys::ntfs_lcn_special_values_LCN_RL_NOT_MAPPED as i64;
        let place = match element.lcn {
            HOLE => None,
            NOT_MAPPED => {
                // What other pieces of the value describe.
                // SAFETY: the end has not been reached.
                at = unsafe { at.add(1) };
                continue;
            }
            lcn => Some(u64::try_from(lcn).map_err(|_| damaged())?),
        };
        // Far beyond any volume, and yet every sum and product of these stays within 64 bits.
        total = total.saturating_add(clusters);
        if total > MAX_CLUSTERS || place.is_some_and(|place| place > MAX_CLUSTERS) {
            return Err(damaged());
        }
        found.push(Element { at: place, clusters });
        // SAFETY: the end has not been reached.
        at = unsafe { at.add(1) };
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a run list has an impossible element")
}

/// An attribute that a walk has found.
pub(crate) struct Attribute<'a> {
    context: NonNull<sys::ntfs_attr_search_ctx>,
    walk: PhantomData<&'a mut ()>,
}

impl Attribute<'_> {
    /// # Safety
    /// The context holds an attribute that the library has checked, and is not moved on while this lives.
    pub(super) unsafe fn new(context: NonNull<sys::ntfs_attr_search_ctx>) -> Self {
        Attribute { context, walk: PhantomData }
    }

    /// Where the record of the attribute is and how long.
    fn span(&self) -> (*mut u8, usize) {
        // SAFETY: the library checked that the attribute's length keeps it within the record; the span is cut at the
        // record's end all the same.
        unsafe {
            let context = self.context.as_ref();
            let offset = (context.attr as usize).saturating_sub(context.mrec as usize);
            let limit = ((*context.mrec).bytes_allocated as usize).saturating_sub(offset);
            (context.attr.cast(), ((*context.attr).length as usize).min(limit))
        }
    }

    fn bytes(&self) -> &[u8] {
        let (start, len) = self.span();
        // SAFETY: within the record, which nobody changes while this is borrowed.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, len) = self.span();
        // SAFETY: within the record, which nobody else sees while this is borrowed.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    fn u16_at(&self, offset: usize) -> u16 {
        self.bytes().get(offset..offset + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn u64_at(&self, offset: usize) -> u64 {
        let mut value = [0; 8];
        if let Some(bytes) = self.bytes().get(offset..offset + 8) {
            value.copy_from_slice(bytes);
        }
        u64::from_le_bytes(value)
    }

    /// Its type.
    pub(crate) fn type_code(&self) -> u32 {
        u32::from(self.u16_at(0)) | u32::from(self.u16_at(2)) << 16
    }

    /// Its name; empty for most.
    pub(crate) fn name(&self) -> Vec<u16> {
        let bytes = self.bytes();
        let units = bytes.get(9).copied().unwrap_or(0);
        let start = usize::from(self.u16_at(10));
        let name = bytes.get(start..start + 2 * usize::from(units)).unwrap_or(&[]);
        name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect()
    }

    /// Whether its value is in clusters.
    pub(crate) fn is_non_resident(&self) -> bool {
        self.bytes().get(8).is_some_and(|&flag| flag != 0)
    }

    /// The value of a resident attribute; empty for others.
    pub(crate) fn value(&mut self) -> &mut [u8] {
        if self.is_non_resident() {
            return &mut [];
        }
        let start = usize::from(self.u16_at(20));
        let len = usize::from(self.u16_at(16));
        self.bytes_mut().get_mut(start..start + len).unwrap_or_default()
    }

    /// Bytes reserved for the value of a non-resident attribute, in its first piece.
    pub(crate) fn allocated(&self) -> u64 {
        self.u64_at(40)
    }

    /// Length of the value of a non-resident attribute, in its first piece.
    pub(crate) fn size(&self) -> u64 {
        self.u64_at(48)
    }

    /// Bytes of the value that were ever written, in its first piece.
    pub(crate) fn valid(&self) -> u64 {
        self.u64_at(56)
    }

    /// log2 of the clusters in a compression unit.
    pub(crate) fn unit_shift(&self) -> u8 {
        self.bytes().get(34).copied().unwrap_or(0)
    }

    /// First cluster of the value that this piece describes.
    pub(crate) fn first_cluster(&self) -> u64 {
        self.u64_at(16)
    }

    /// `flags` of the attribute.
    pub(crate) fn flags(&self) -> u16 {
        self.u16_at(12)
    }

    /// The clusters that this piece describes.
    pub(crate) fn elements(&self, volume: &Volume) -> io::Result<Vec<Element>> {
        // SAFETY: the library checked the attribute; the list that comes back is ours.
        unsafe {
            let list =
                sys::ntfs_mapping_pairs_decompress(volume.raw(), self.context.as_ref().attr, ptr::null_mut());
            if list.is_null() {
                return Err(error());
            }
            let found = elements(list);
            sys::free(list.cast());
            found
        }
    }

    /// Has the record that holds it written when the node is closed.
    pub(crate) fn mark_dirty(&self) {
        // SAFETY: valid context.
        unsafe { sys::ntfs_inode_mark_dirty(self.context.as_ref().ntfs_ino) }
    }

    /// Replaces the runs and sizes of a stream that is described by one piece in place. The record must have room.
    pub(crate) fn replace_runs(&mut self, stream: &NonResident) -> io::Result<()> {
        let encoded = stream.encode(0, usize::MAX);
        let offset = usize::from(self.u16_at(32));
        // SAFETY: valid context; the library moves what follows the attribute.
        unsafe {
            let context = self.context.as_ref();
            super::checked(sys::ntfs_attr_record_resize(
                context.mrec,
                context.attr,
                (offset + encoded.bytes.len()) as u32,
            ))?;
        }
        let bytes = self.bytes_mut();
        stream.fill_sizes(bytes, 0, encoded.next);
        bytes[offset..].fill(0);
        bytes[offset..offset + encoded.bytes.len()].copy_from_slice(&encoded.bytes);
        self.mark_dirty();
        Ok(())
    }
}

/// A value in clusters, to be made into an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NonResident {
    /// `flags` of the attribute.
    pub(crate) flags: u16,
    /// log2 of the clusters in a compression unit.
    pub(crate) unit_shift: u8,
    /// Its clusters in order.
    pub(crate) elements: Vec<Element>,
    /// Length of the value, bytes.
    pub(crate) size: u64,
    /// Bytes from the start that were ever written.
    pub(crate) valid: u64,
    /// Bytes in a cluster.
    pub(crate) cluster: u64,
}

/// Mapping pairs of some of the clusters of a value.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// First cluster of the value that is not described.
    pub(crate) next: u64,
}

impl NonResident {
    /// Clusters of the value, holes included.
    pub(crate) fn clusters(&self) -> u64 {
        self.elements.iter().map(|element| element.clusters).sum()
    }

    /// Bytes that are really allocated.
    pub(crate) fn allocated(&self) -> u64 {
        self.elements.iter().filter(|e| e.at.is_some()).map(|e| e.clusters).sum::<u64>() * self.cluster
    }

    fn has_holes(&self) -> bool {
        self.flags & (COMPRESSED | SPARSE) != 0
    }

    /// Bytes of the attribute record before the mapping pairs: 8 more where the allocated bytes differ from the span.
    pub(crate) fn header_bytes(&self, name_units: usize) -> usize {
        64 + if self.has_holes() { 8 } else { 0 } + super::inode::aligned(2 * name_units)
    }

    /// Encodes the runs from cluster `from` of the value into at most `limit` bytes, terminator included. Each piece
    /// starts counting its places from 0.
    pub(crate) fn encode(&self, from: u64, limit: usize) -> Encoded {
        let mut bytes = Vec::new();
        let (mut vcn, mut next, mut previous) = (0_u64, from, 0_i64);
        for element in &self.elements {
            let end = vcn + element.clusters;
            if end > from {
                let skipped = from.saturating_sub(vcn);
                let start = bytes.len();
                let (length, length_bytes) = significant((element.clusters - skipped) as i64);
                bytes.push(length_bytes as u8);
                bytes.extend_from_slice(&length[..length_bytes]);
                let mut reached = previous;
                if let Some(at) = element.at {
                    reached = (at + skipped) as i64;
                    let (delta, delta_bytes) = significant(reached - previous);
                    bytes[start] |= (delta_bytes as u8) << 4;
                    bytes.extend_from_slice(&delta[..delta_bytes]);
                }
                if bytes.len() >= limit {
                    bytes.truncate(start);
                    break;
                }
                previous = reached;
                next = end;
            }
            vcn = end;
        }
        bytes.push(0);
        Encoded { bytes, next }
    }

    /// Completes the record of a piece that the library has laid out with space for `mapping_pairs`.
    pub(super) fn fill(&self, attribute: &mut [u8], from: u64, mapping_pairs: &[u8], next: u64) {
        self.fill_sizes(attribute, from, next);
        let at = usize::from(u16::from_le_bytes([attribute[32], attribute[33]]));
        attribute[at..at + mapping_pairs.len()].copy_from_slice(mapping_pairs);
        let padded = super::inode::aligned(at + mapping_pairs.len());
        attribute[at + mapping_pairs.len()..padded].fill(0);
    }

    fn fill_sizes(&self, attribute: &mut [u8], from: u64, next: u64) {
        let mut put = |at: usize, value: u64| attribute[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(24, next.wrapping_sub(1)); // the last cluster described; -1 for an empty value
        if from == 0 {
            put(40, self.clusters() * self.cluster);
            put(48, self.size);
            put(56, self.valid);
            if self.has_holes() {
                put(64, self.allocated());
            }
        }
        attribute[34] = self.unit_shift;
        attribute[35..40].fill(0);
    }
}

/// A number as the fewest little-endian bytes that keep its sign.
fn significant(value: i64) -> ([u8; 8], usize) {
    let bits = 65 - if value < 0 { value.leading_ones() } else { value.leading_zeros() };
    (value.to_le_bytes(), bits.div_ceil(8).max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(elements: &[(Option<u64>, u64)]) -> NonResident {
        let elements = elements.iter().map(|&(at, clusters)| Element { at, clusters }).collect();
        NonResident { flags: 0, unit_shift: 0, elements, size: 0, valid: 0, cluster: 4096 }
    }

    #[test]
    fn mapping_pairs_are_those_of_the_documentation() {
        // The example of the Linux-NTFS documentation: 21 18 34 56 00 = 0x18 clusters at 0x5634.
        assert_eq!(stream(&[(Some(0x5634), 0x18)]).encode(0, 99).bytes, [0x21, 0x18, 0x34, 0x56, 0]);
        // 31 38 73 25 34 32 14 01 E5 11 02 31 42 AA 00 03 00: a fragmented file.
        let fragmented =
            stream(&[(Some(0x34_2573), 0x38), (Some(0x36_3758), 0x114), (Some(0x36_3802), 0x42)]);
        assert_eq!(
            fragmented.encode(0, 99).bytes,
            [0x31, 0x38, 0x73, 0x25, 0x34, 0x32, 0x14, 0x01, 0xe5, 0x11, 0x02, 0x21, 0x42, 0xaa, 0x00, 0]
        );
    }

    #[test]
    fn numbers_whose_top_bit_is_set_get_another_byte() {
        assert_eq!(significant(0x7f).1, 1);
        assert_eq!(significant(0x80).1, 2);
        assert_eq!(significant(-0x80).1, 1);
        assert_eq!(significant(-0x81).1, 2);
        assert_eq!(significant(0).1, 1);
        assert_eq!(significant(i64::MAX).1, 8);
        assert_eq!(significant(i64::MIN).1, 8);
    }

    #[test]
    fn pieces_follow_each_other_and_start_counting_anew() {
        let runs: Vec<_> =
            (0..100).map(|i| (if i % 3 == 0 { None } else { Some(1000 * i) }, i + 1)).collect();
        let stream = stream(&runs);
        let (mut from, mut pieces) = (0, 0);
        while from < stream.clusters() {
            let piece = stream.encode(from, 40);
            assert!(piece.next > from && piece.bytes.len() <= 40 && piece.bytes.last() == Some(&0));
            from = piece.next;
            pieces += 1;
        }
        assert!(pieces > 5);
        assert_eq!(from, stream.clusters());
    }
}
