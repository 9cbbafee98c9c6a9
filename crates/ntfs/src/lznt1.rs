//! LZNT1, the compression of NTFS ([MS-XCA] 2.5). Only decompression: compressed streams are carried as they are.

/// Bytes that one chunk decompresses to at most.
const CHUNK: usize = 4096;

/// Why bytes are not LZNT1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lznt1Error {
    /// A chunk is longer than what is left of the unit.
    #[error("compressed data ends in the middle of a chunk")]
    Truncated,
    /// A chunk has another signature than 3, or more than 4096 bytes.
    #[error("compressed data has a malformed chunk")]
    Chunk,
    /// A back reference to before the start of its chunk.
    #[error("compressed data refers to bytes before its beginning")]
    Reference,
}

/// Decompresses one compression unit, appending at most `limit` bytes. Ends at a zero chunk header, at the end of the
/// input, or when the limit is reached.
pub fn decompress(packed: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), Lznt1Error> {
    let end = into.len() + limit;
    let mut rest = packed;
    while let [low, high, after @ ..] = rest {
        let header = u16::from_le_bytes([*low, *high]);
        if header == 0 || into.len() >= end {
            break;
        }
        if header >> 12 & 7 != 3 {
            return Err(Lznt1Error::Chunk);
        }
        let len = usize::from(header & 0xfff) + 1;
        let chunk = after.get(..len).ok_or(Lznt1Error::Truncated)?;
        rest = &after[len..];
        let start = into.len();
        if header & 0x8000 == 0 {
            into.extend_from_slice(chunk);
        } else {
            chunk_into(chunk, start, into)?;
        }
        // Only the last chunk of a unit may be short; others are followed by zeros up to their full length.
        if !rest.is_empty() && rest.iter().take(2).any(|&byte| byte != 0) {
            into.resize(start + CHUNK, 0);
        }
    }
    into.truncate(end);
    Ok(())
}

fn chunk_into(chunk: &[u8], start: usize, into: &mut Vec<u8>) -> Result<(), Lznt1Error> {
    let mut input = chunk.iter().copied();
    while let Some(flags) = input.next() {
        for bit in 0..8 {
            let Some(byte) = input.next() else { return Ok(()) };
            let done = into.len() - start;
            if flags >> bit & 1 == 0 {
                if done >= CHUNK {
                    return Err(Lznt1Error::Chunk);
                }
                into.push(byte);
                continue;
            }
            let token = u16::from_le_bytes([byte, input.next().ok_or(Lznt1Error::Truncated)?]);
            if done == 0 {
                return Err(Lznt1Error::Reference);
            }
            // The further into the chunk, the more of the 16 bits are distance: 4 at first, 12 at the end.
            let distance_bits = usize::BITS - (done - 1).leading_zeros();
            let length_bits = 16 - distance_bits.max(4);
            let distance = usize::from(token >> length_bits) + 1;
            let length = usize::from(token & ((1 << length_bits) - 1)) + 3;
            if distance > done {
                return Err(Lznt1Error::Reference);
            }
            if done + length > CHUNK {
                return Err(Lznt1Error::Chunk);
            }
            for _ in 0..length {
                into.push(into[into.len() - distance]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(packed: &[u8]) -> Result<Vec<u8>, Lznt1Error> {
        let mut out = Vec::new();
        decompress(packed, 65536, &mut out).map(|()| out)
    }

    #[test]
    fn the_example_of_the_specification_decompresses() {
        // [MS-XCA] 3.3
        let packed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2, 0x47, 0x01,
            0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0, 0x45, 0x20, 0x05, 0x24,
            0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58, 0x02, 0x8c, 0x09, 0x16, 0x01, 0x48,
            0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01, 0x18, 0x90, 0x00,
        ];
        let text = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# \
                     G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        assert_eq!(plain(&packed).unwrap(), text);
    }

    #[test]
    fn references_that_leave_the_chunk_are_refused() {
        assert_eq!(plain(&[0x02, 0xb0, 0x01, 0x00, 0x00]), Err(Lznt1Error::Reference));
        assert_eq!(plain(&[0x03, 0xb0, 0x02, b'a', 0xff, 0xff]), Err(Lznt1Error::Reference));
        assert_eq!(plain(&[0xff, 0xbf, 0x00]), Err(Lznt1Error::Truncated));
        assert_eq!(plain(&[0x03, 0x80, 0, 0]), Err(Lznt1Error::Chunk));
    }

    #[test]
    fn one_byte_repeats_to_a_whole_chunk() {
        let packed = [0x03, 0xb0, 0x02, b'a', 0xfc, 0x0f];
        assert_eq!(plain(&packed).unwrap(), vec![b'a'; 4096]);
    }
}
