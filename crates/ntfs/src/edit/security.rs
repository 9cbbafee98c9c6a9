//! Security descriptors: kept once each in $Secure, known by a number.
//!
//! The library's own call (`ntfs_set_ntfs_acl`) refuses descriptors without owner or group, which real volumes have,
//! and wants a node to hang the descriptor on. So the three parts are written here: the descriptor into the stream
//! $SDS, twice, 256 KiB apart, and an entry into each of $SII (by number) and $SDH (by hash).

use super::library::{ViewIndex, Volume};
use crate::secure::{BLOCK, HEADER, hash};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// The stream with the descriptors.
const SDS: &[u16] = &[b'$' as u16, b'S' as u16, b'D' as u16, b'S' as u16];
/// Entries of $SDS begin on such a boundary.
const ALIGNMENT: u64 = 16;
/// The first number that Windows gives out.
const FIRST_ID: u32 = 0x100;
/// Largest $SDS that is believed: a thousand times what installations have.
const MAX_SDS: u64 = 1 << 32;
/// What follows an entry of $SDH: Windows fills with "II".
const SDH_FILLER: [u8; 4] = [0x49, 0, 0x49, 0];

/// Self-relative descriptors with nothing in them have 20 bytes; $SDS cannot hold one beyond a block.
pub(super) const DESCRIPTOR_BYTES: std::ops::RangeInclusive<usize> = 20..=BLOCK as usize - HEADER;

/// Where a descriptor lies in $SDS.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: u32,
    offset: u64,
    /// Of header and descriptor, bytes.
    len: u32,
}

/// The descriptors of a volume, as far as they were asked for.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    ids: HashMap<Arc<[u8]>, u32>,
    stored: Option<Stored>,
}

/// What $SII says.
#[derive(Debug)]
struct Stored {
    by_hash: HashMap<u32, Vec<Place>>,
    /// The first number that is not in use.
    next_id: u32,
    /// The end of the last entry in $SDS.
    end: u64,
}

impl Descriptors {
    /// The number of a descriptor, which is stored if no node of the volume has had it yet.
    pub(super) fn id(&mut self, volume: &mut Volume, descriptor: &Arc<[u8]>) -> io::Result<u32> {
        if let Some(&id) = self.ids.get(descriptor) {
            return Ok(id);
        }
        if self.stored.is_none() {
            self.stored = Some(Stored::read(volume)?);
        }
        let stored = self.stored.as_mut().expect("filled above");
        let id = match stored.find(volume, descriptor)? {
            Some(id) => id,
            None => stored.insert(volume, descriptor)?,
        };
        self.ids.insert(Arc::clone(descriptor), id);
        Ok(id)
    }
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the volume has no $Secure")
}

impl Stored {
    fn read(volume: &Volume) -> io::Result<Stored> {
        let (mut sii, _) = ViewIndex::of_secure(volume).ok_or_else(missing)?;
        let mut stored = Stored { by_hash: HashMap::new(), next_id: FIRST_ID, end: 0 };
        sii.walk(&[0; 4], |_, value| {
            if let Some(header) = crate::secure::EntryHeader::parse(value) {
                let place = Place { id: header.id, offset: header.offset, len: header.len };
                stored.by_hash.entry(header.hash).or_default().push(place);
                stored.next_id = stored.next_id.max(header.id.saturating_add(1));
                stored.end = stored.end.max(header.offset.saturating_add(u64::from(header.len)));
            }
        })?;
        if stored.end > MAX_SDS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "$SII leads beyond any possible $SDS"));
        }
        Ok(stored)
    }

    fn find(&self, volume: &Volume, descriptor: &[u8]) -> io::Result<Option<u32>> {
        let secure = volume.secure().ok_or_else(missing)?;
        let mut bytes = vec![0; descriptor.len()];
        for place in self.by_hash.get(&hash(descriptor)).into_iter().flatten() {
            if place.offset < MAX_SDS && place.len as usize == HEADER + descriptor.len() {
                secure.read_stream(SDS, place.offset + HEADER as u64, &mut bytes)?;
                if bytes == descriptor {
                    return Ok(Some(place.id));
                }
            }
        }
        Ok(None)
    }

    fn insert(&mut self, volume: &mut Volume, descriptor: &[u8]) -> io::Result<u32> {
        let secure = volume.secure().ok_or_else(missing)?;
        let (mut sii, mut sdh) = ViewIndex::of_secure(volume).ok_or_else(missing)?;
        sii.rest();
        sdh.rest();
        let id = self.next_id;
        let len = (HEADER + descriptor.len()) as u32;
        // Every other block of 256 KiB is the copy of the one before.
        let mut offset = self.end.next_multiple_of(ALIGNMENT);
        if (offset + u64::from(len) - 1) & BLOCK != 0 {
            offset = (offset + u64::from(len) - 1).next_multiple_of(BLOCK);
            if offset & BLOCK != 0 {
                offset += BLOCK;
            }
        }
        let hash = hash(descriptor);
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&hash.to_le_bytes());
        header.extend_from_slice(&id.to_le_bytes());
        header.extend_from_slice(&offset.to_le_bytes());
        header.extend_from_slice(&len.to_le_bytes());

        // What lies between the entries is zero in both copies; beyond its end the library would make $SDS sparse.
        let gap = if offset / (2 * BLOCK) == self.end / (2 * BLOCK) { offset - self.end } else { 0 };
        let mut entry = vec![0; gap as usize];
        entry.extend_from_slice(&header);
        entry.extend_from_slice(descriptor);
        if offset.is_multiple_of(2 * BLOCK) {
            self.fill(volume, offset + BLOCK)?;
        }
        secure.write_stream(SDS, offset - gap, &entry)?;
        secure.write_stream(SDS, offset - gap + BLOCK, &entry)?;
        secure.end_stream(SDS, offset + BLOCK + u64::from(len))?;

        let unique = sii.insert(&id.to_le_bytes(), &header, 20, 40)?;
        let mut key = hash.to_le_bytes().to_vec();
        key.extend_from_slice(&id.to_le_bytes());
        let mut value = header.clone();
        value.extend_from_slice(&SDH_FILLER);
        // Length of the value without the filler, of the entry with it.
        let unique = unique & sdh.insert_filled(&key, &value, header.len(), 24, 48)?;
        if !unique {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "$SII and $SDH of $Secure disagree"));
        }
        secure.sync()?;
        self.by_hash.entry(hash).or_default().push(Place { id, offset, len });
        self.next_id = id.checked_add(1).ok_or_else(|| io::Error::other("no more security ids"))?;
        self.end = offset + u64::from(len);
        Ok(id)
    }

    /// Writes zeros from the end of the last copy up to `until`, the first copy of a new block among them.
    fn fill(&self, volume: &Volume, until: u64) -> io::Result<()> {
        let secure = volume.secure().ok_or_else(missing)?;
        let zeros = vec![0; BLOCK as usize];
        let mut at = if self.end == 0 { 0 } else { self.end + BLOCK };
        while at < until {
            let part = (until - at).min(BLOCK);
            secure.write_stream(SDS, at, &zeros[..part as usize])?;
            at += part;
        }
        Ok(())
    }
}
