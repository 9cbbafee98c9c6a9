//! Checked little-endian reads: the only way in which this crate takes numbers out of on-disk structures.

/// The 16-bit number at `at`, or `None` past the end.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

/// The 32-bit number at `at`, or `None` past the end.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// The 64-bit number at `at`, or `None` past the end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// `len` bytes at `at`, or `None` past the end.
pub(crate) fn slice_at(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// UTF-16 code units from their little-endian bytes; an odd last byte is left out.
pub(crate) fn units(bytes: &[u8]) -> impl ExactSizeIterator<Item = u16> + Clone + '_ {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// A name for messages and for the tree, from its little-endian UTF-16 bytes.
pub(crate) fn name(bytes: &[u8]) -> volume::Name {
    // Most names are ASCII: they need neither a buffer of units nor decoding.
    if bytes.chunks_exact(2).all(|pair| pair[0] < 0x80 && pair[1] == 0) {
        return volume::Name::from_bytes(bytes.iter().step_by(2).copied().collect::<Box<[u8]>>());
    }
    let mut buffer = [0u16; 256];
    let mut count = 0;
    for unit in units(bytes).take(buffer.len()) {
        buffer[count] = unit;
        count += 1;
    }
    volume::Name::from_utf16(&buffer[..count])
}
