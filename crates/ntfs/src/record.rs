//! File records of the $MFT: update sequence ("fix-up") and header.
//!
//! The update sequence protects every multi-sector structure: the last two bytes of each 512-byte stride are replaced
//! on disk by a number that changes with each write, and the real bytes wait in an array. A stride that does not end
//! in the number was torn by a power cut.

use crate::bytes::{slice_at, u16_at, u32_at, u64_at};

/// Bytes that one element of the update sequence array protects, whatever the sector size of the disk.
const STRIDE: usize = 512;

/// Why a multi-sector structure cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FixupError {
    /// Another signature than expected, or none.
    #[error("it does not begin with its signature")]
    Signature,
    /// The update sequence array does not fit the structure.
    #[error("its update sequence array is malformed")]
    Array,
    /// One part is older than the rest.
    #[error("it was only partly written (torn write)")]
    Torn,
}

/// Checks the signature and the update sequence of a structure, and puts the real bytes back in place.
pub fn apply_fixup(block: &mut [u8], signature: &[u8; 4]) -> Result<(), FixupError> {
    if slice_at(block, 0, 4) != Some(signature) {
        return Err(FixupError::Signature);
    }
    let offset = usize::from(u16_at(block, 4).ok_or(FixupError::Array)?);
    let count = usize::from(u16_at(block, 6).ok_or(FixupError::Array)?);
    let strides = block.len() / STRIDE;
    let end = offset + count * 2;
    if count != strides + 1 || offset < 8 || offset % 2 != 0 || end > STRIDE - 2 {
        return Err(FixupError::Array);
    }
    let number = [block[offset], block[offset + 1]];
    for stride in 1..=strides {
        let tail = stride * STRIDE - 2;
        if block[tail..tail + 2] != number {
            return Err(FixupError::Torn);
        }
        block[tail] = block[offset + stride * 2];
        block[tail + 1] = block[offset + stride * 2 + 1];
    }
    Ok(())
}

/// A reference to a record: its number and the sequence number that it had when the reference was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(pub u64);

impl Reference {
    /// Record number.
    pub fn number(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }

    /// Sequence number.
    pub fn sequence(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// The record is in use.
pub(crate) const IN_USE: u16 = 0x01;
/// The record has an index of file names: it is a directory.
pub(crate) const DIRECTORY: u16 = 0x02;

/// The header of a file record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How often the record was reused.
    pub sequence: u16,
    /// Number of $FILE_NAME attributes.
    pub links: u16,
    /// Offset of the first attribute, bytes.
    pub attributes: usize,
    /// In use, directory, ...
    pub flags: u16,
    /// Bytes in use.
    pub used: usize,
    /// The base record that an extension record belongs to; zero for base records.
    pub base: Reference,
}

impl Header {
    /// Reads the header of a record whose update sequence was applied. `None` when its fields contradict its size.
    pub fn parse(record: &[u8]) -> Option<Header> {
        let header = Header {
            sequence: u16_at(record, 0x10)?,
            links: u16_at(record, 0x12)?,
            attributes: usize::from(u16_at(record, 0x14)?),
            flags: u16_at(record, 0x16)?,
            used: u32_at(record, 0x18)? as usize,
            base: Reference(u64_at(record, 0x20)?),
        };
        let sane = header.used <= record.len()
            && header.attributes >= 0x28
            && header.attributes.is_multiple_of(8)
            && header.attributes <= header.used;
        sane.then_some(header)
    }

    /// Whether the record is in use.
    pub fn in_use(&self) -> bool {
        self.flags & IN_USE != 0
    }

    /// Whether the record is that of a directory.
    pub fn is_directory(&self) -> bool {
        self.flags & DIRECTORY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected() -> Vec<u8> {
        let mut block = vec![0u8; 1024];
        block[..4].copy_from_slice(b"FILE");
        block[4] = 0x30;
        block[6] = 3;
        block[0x30..0x36].copy_from_slice(&[7, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
        block[510] = 7;
        block[1022] = 7;
        block
    }

    #[test]
    fn the_real_bytes_come_back() {
        let mut block = protected();
        apply_fixup(&mut block, b"FILE").unwrap();
        assert_eq!((&block[510..512], &block[1022..]), (&[0xaa, 0xbb][..], &[0xcc, 0xdd][..]));
    }

    #[test]
    fn a_torn_write_is_noticed() {
        let mut block = protected();
        block[1022] = 6;
        assert_eq!(apply_fixup(&mut block, b"FILE"), Err(FixupError::Torn));
        let mut block = protected();
        block[6] = 2;
        assert_eq!(apply_fixup(&mut block, b"FILE"), Err(FixupError::Array));
        assert_eq!(apply_fixup(&mut protected(), b"INDX"), Err(FixupError::Signature));
    }
}
