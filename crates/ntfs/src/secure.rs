//! $Secure: the security descriptors of a volume, each kept once and known by a number.
//!
//! `$SDS` holds the descriptors: blocks of 256 KiB, each followed by its copy. An entry is a header of 20 bytes
//! (hash, id, offset, length) and the self-relative descriptor, on a 16-byte boundary; entries do not cross blocks.
//! Two indexes lead to them, `$SII` by id and `$SDH` by hash; reading every descriptor needs neither.

use crate::attribute::code;
use crate::bytes::{slice_at, u32_at, u64_at};
use crate::content::Extents;
use crate::mft::{Mft, corrupt, system};
use std::collections::HashMap;
use std::sync::Arc;
use volume::Result;

/// Bytes of a block of `$SDS`, and of its copy.
pub(crate) const BLOCK: u64 = 256 << 10;
/// Bytes of the header of an entry.
pub(crate) const HEADER: usize = 20;
/// Entries begin on multiples of this, bytes.
const ALIGNMENT: usize = 16;
/// `$SDS` in UTF-16LE.
pub(crate) const SDS: &[u8] = b"$\0S\0D\0S\0";
/// Largest `$SDS` that is read: a million times what installations have. Ids are 32-bit numbers, but each needs a
/// descriptor.
const MAX_SDS: u64 = 1 << 30;

/// The header of an entry of `$SDS`; the data of `$SII` and `$SDH` are copies of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) hash: u32,
    pub(crate) id: u32,
    /// Of the entry in `$SDS`, bytes.
    pub(crate) offset: u64,
    /// Of header and descriptor, bytes.
    pub(crate) len: u32,
}

impl EntryHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Option<EntryHeader> {
        Some(EntryHeader {
            hash: u32_at(bytes, 0)?,
            id: u32_at(bytes, 4)?,
            offset: u64_at(bytes, 8)?,
            len: u32_at(bytes, 16)?,
        })
    }
}

/// The hash by which `$SDH` is sorted: rotate left by 3 and add, over the 32-bit words of a descriptor.
pub(crate) fn hash(descriptor: &[u8]) -> u32 {
    descriptor
        .chunks_exact(4)
        .fold(0u32, |hash, word| hash.rotate_left(3).wrapping_add(u32_at(word, 0).unwrap_or_default()))
}

/// The entries of one block of `$SDS` that begins at `start`, with their descriptors. What chkdsk took out leaves a
/// gap: the search goes on behind it. An entry says where it is, which nothing else does.
pub(crate) fn entries(block: &[u8], start: u64) -> impl Iterator<Item = (EntryHeader, &[u8])> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        while at < block.len() {
            let here = at;
            if let Some((header, descriptor)) = entry(block, here, start) {
                at = (here + header.len as usize).next_multiple_of(ALIGNMENT);
                return Some((header, descriptor));
            }
            at += ALIGNMENT;
        }
        None
    })
}

/// The entry at `at` of a block, if there is one.
fn entry(block: &[u8], at: usize, start: u64) -> Option<(EntryHeader, &[u8])> {
    let header = EntryHeader::parse(block.get(at..)?)?;
    let descriptor = slice_at(block, at, header.len as usize)?.get(HEADER..)?;
    let sound = header.id != 0 && header.offset == start + at as u64 && !descriptor.is_empty();
    sound.then_some((header, descriptor))
}

/// Where `$SDS` is, and how much of it is valid. `None` on volumes without $Secure (before NTFS 3.0).
pub(crate) fn stream(mft: &Mft<'_>) -> Result<Option<(Extents, u64)>> {
    if !mft.in_bitmap(system::SECURE) {
        return Ok(None);
    }
    let owned = mft.inode(system::SECURE)?;
    let attributes = owned.attributes()?;
    let Some(place) = owned.inode(&attributes).placement(mft, code::DATA, SDS)? else { return Ok(None) };
    if place.valid > MAX_SDS {
        return Err(corrupt(system::SECURE, format!("{} bytes of $Secure:$SDS are too many", place.valid)));
    }
    Ok(Some((Extents::new(place.runs), place.valid)))
}

/// Every security descriptor of the volume by its id.
pub(crate) fn load(mft: &Mft<'_>) -> Result<HashMap<u32, Arc<[u8]>>> {
    let mut descriptors = HashMap::new();
    let Some((extents, valid)) = stream(mft)? else { return Ok(descriptors) };
    let mut block = Vec::new();
    let mut start = 0;
    while start < valid {
        block.resize(BLOCK.min(valid - start) as usize, 0);
        extents.read_at(mft.source, start, &mut block)?;
        for (header, descriptor) in entries(&block, start) {
            descriptors.insert(header.id, Arc::from(descriptor));
        }
        start += 2 * BLOCK;
    }
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_claims_another_place_is_none_and_gaps_are_skipped() {
        let mut block = vec![0u8; 4096];
        let mut put = |at: usize, id: u32, offset: u64, len: u32| {
            block[at + 4..at + 8].copy_from_slice(&id.to_le_bytes());
            block[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            block[at + 16..at + 20].copy_from_slice(&len.to_le_bytes());
        };
        put(0, 0x100, 0x80000, 0x25);
        put(0x30, 0x101, 0x80030, 0x20);
        put(0x50, 0x102, 0x70050, 0x20);
        put(0xf0, 0x103, 0x800f0, 0x20);
        let ids: Vec<u32> = entries(&block, 0x80000).map(|(header, _)| header.id).collect();
        assert_eq!(ids, [0x100, 0x101, 0x103]);
    }
}
