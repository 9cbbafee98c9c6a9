//! Where things lie in a hive file, and reading them without trusting any length.
//!
//! ```text
//! byte 0      base block, 4096 bytes
//! byte 4096   bins: each a multiple of 4096 bytes; a header of 32 bytes, then cells
//! cell        i32 size (negative: in use), a multiple of 8 that includes itself; then the content
//! ```
//!
//! Offsets inside a hive count from byte 4096. Structures after M. Suhanov's "Windows registry file format
//! specification" and what hives written by Windows 2000 to 11 hold.

use crate::{Error, Result};

/// Bytes of the base block: where the bins begin in the file.
pub(crate) const BASE_BLOCK: usize = 4096;
/// Bins are multiples of this, bytes.
pub(crate) const BIN_UNIT: usize = 4096;
/// Bytes of a bin's header.
pub(crate) const BIN_HEADER: usize = 32;
/// The offset that means "none".
pub(crate) const NIL: u32 = u32::MAX;
/// Bytes of a key record before its name.
pub(crate) const KEY_HEADER: usize = 76;
/// Bytes of a value record before its name.
pub(crate) const VALUE_HEADER: usize = 20;
/// Bytes of a security record before the descriptor.
pub(crate) const SECURITY_HEADER: usize = 20;
/// Values with more bytes than this are kept in pieces of this many, in hives of minor version 4 and later.
pub(crate) const SEGMENT: usize = 16_344;
/// This bit of a value's length says that the data are in the record itself.
pub(crate) const INLINE: u32 = 0x8000_0000;
/// The deepest level that Windows creates keys at.
pub(crate) const DEEPEST: usize = 512;
/// The longest name of a key, UTF-16 code units (Microsoft, *Registry element size limits*).
pub(crate) const LONGEST_KEY_NAME: usize = 255;
/// The longest name of a value, UTF-16 code units (likewise).
pub(crate) const LONGEST_VALUE_NAME: usize = 16_383;
/// Bins end below this offset: its highest bit means a volatile cell.
pub(crate) const LONGEST: usize = 0x7fff_f000;

/// The two bytes at `at`; panics beyond the end, so for places that were checked.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The four bytes at `at`; panics beyond the end, so for places that were checked.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The eight bytes at `at`; panics beyond the end, so for places that were checked.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Writes four bytes at `at`.
pub(crate) fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Writes two bytes at `at`.
pub(crate) fn put_u16(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
}

/// The content of a cell that is in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'h> {
    /// Offset of the cell from the start of the bins, bytes.
    pub(crate) offset: u32,
    /// Content, without the size.
    pub(crate) bytes: &'h [u8],
}

impl<'h> Cell<'h> {
    /// The error that the rule is broken here.
    pub(crate) fn damaged(&self, rule: &'static str) -> Error {
        damaged(self.offset, rule)
    }

    /// `len` bytes at `at`.
    pub(crate) fn slice(&self, at: usize, len: usize) -> Result<&'h [u8]> {
        let end = at.checked_add(len).ok_or_else(|| self.damaged("a record does not fit into its cell"))?;
        self.bytes.get(at..end).ok_or_else(|| self.damaged("a record does not fit into its cell"))
    }

    /// The content, when it is a record with this signature and at least `len` bytes.
    pub(crate) fn record(&self, signature: &[u8; 2], len: usize, rule: &'static str) -> Result<&'h [u8]> {
        if !self.bytes.starts_with(signature) {
            return Err(self.damaged(rule));
        }
        self.slice(0, len)?;
        Ok(self.bytes)
    }
}

/// The error that a rule is broken at this offset from the start of the bins.
pub(crate) fn damaged(offset: u32, rule: &'static str) -> Error {
    Error::Damaged { offset: BASE_BLOCK as u64 + u64::from(offset), rule }
}
