//! Objects: what they are in memory, their canonical bytes, and the compressed file around them.
//! `docs/store-format.md`, "Objects".

use crate::{BlobId, ObjectId};
use std::io::Read;

const MAGIC: [u8; 8] = *b"LMNAOBJ\x01";
const FILE_MAGIC: [u8; 8] = *b"LMNAZOB\x01";
const FILE_HEADER: usize = 48;
const COMPRESSION_LEVEL: i32 = 3;
/// The longest canonical form that is stored or read, bytes.
pub(crate) const LONGEST: u64 = 1 << 30;
/// Longer than any object's file, bytes: what zstd may add to data that does not compress is far less.
pub(crate) const LONGEST_FILE: u64 = LONGEST + (LONGEST >> 6);

/// A record of the store: what it needs, and bytes that only its kind's owner understands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// What kind of record it is: 1 to 64 of `a`–`z`, `0`–`9` and `-`.
    pub kind: String,
    /// The objects it needs, in an order that its owner chooses.
    pub links: Vec<ObjectId>,
    /// The blobs it needs, in an order that its owner chooses; the payload may refer to them by position.
    pub blobs: Vec<BlobId>,
    /// The rest.
    pub payload: Vec<u8>,
}

fn valid_kind(kind: &str) -> bool {
    (1..=64).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Takes fields off the front of a record; a count never leads to more than the record holds.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(field)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn digests(&mut self, count: u64) -> Option<Vec<[u8; 32]>> {
        Some(self.bytes(count.checked_mul(32)?)?.as_chunks::<32>().0.to_vec())
    }
}

impl Object {
    /// The canonical bytes, whose BLAKE3 is the object's id. `None` if the kind is not one or the whole is longer
    /// than a gibibyte.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let length = 33 + self.kind.len() + (self.links.len() + self.blobs.len()) * 32 + self.payload.len();
        if !valid_kind(&self.kind) || length as u64 > LONGEST {
            return None;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(self.kind.len() as u8);
        bytes.extend_from_slice(self.kind.as_bytes());
        for count in [self.links.len(), self.blobs.len(), self.payload.len()] {
            bytes.extend_from_slice(&(count as u64).to_le_bytes());
        }
        self.links.iter().for_each(|link| bytes.extend_from_slice(&link.0));
        self.blobs.iter().for_each(|blob| bytes.extend_from_slice(&blob.0));
        bytes.extend_from_slice(&self.payload);
        Some(bytes)
    }

    /// Reads canonical bytes; any others are refused, so that equal objects have equal ids.
    pub fn decode(bytes: &[u8]) -> Result<Object, &'static str> {
        let read = || {
            let mut fields = Fields(bytes);
            if fields.bytes(8)? != MAGIC {
                return None;
            }
            let kind_len = fields.bytes(1)?[0];
            let kind =
                std::str::from_utf8(fields.bytes(kind_len.into())?).ok().filter(|kind| valid_kind(kind))?;
            let (links, blobs, payload) = (fields.number()?, fields.number()?, fields.number()?);
            let object = Object {
                kind: kind.to_owned(),
                links: fields.digests(links)?.into_iter().map(ObjectId).collect(),
                blobs: fields.digests(blobs)?.into_iter().map(BlobId).collect(),
                payload: fields.bytes(payload)?.to_vec(),
            };
            fields.0.is_empty().then_some(object)
        };
        read().ok_or("it is not an object")
    }
}

/// The id of canonical bytes.
pub(crate) fn id_of(canonical: &[u8]) -> ObjectId {
    ObjectId(*blake3::hash(canonical).as_bytes())
}

/// What lies in an object's file: the canonical bytes, compressed, with a checksum of the compressed form, because
/// a decompressor ignores some bits.
pub fn encode_file(canonical: &[u8]) -> std::io::Result<Vec<u8>> {
    let compressed = zstd::bulk::compress(canonical, COMPRESSION_LEVEL)?;
    let mut file = Vec::with_capacity(FILE_HEADER + compressed.len());
    file.extend_from_slice(&FILE_MAGIC);
    file.extend_from_slice(&(canonical.len() as u64).to_le_bytes());
    let checksum = blake3::Hasher::new().update(&file).update(&compressed).finalize();
    file.extend_from_slice(checksum.as_bytes());
    file.extend_from_slice(&compressed);
    Ok(file)
}

/// The canonical bytes in an object's file. Memory grows with what really comes out of the decompressor and never
/// beyond the announced length, which is at most a gibibyte.
pub fn decode_file(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (header, compressed) = file.split_at_checked(FILE_HEADER).ok_or("it is too short")?;
    let (covered, checksum) = header.split_at(16);
    if blake3::Hasher::new().update(covered).update(compressed).finalize().as_bytes() != checksum {
        return Err("its checksum does not match");
    }
    let length = u64::from_le_bytes(covered[8..].try_into().map_err(|_| "it is too short")?);
    if covered[..8] != FILE_MAGIC || length > LONGEST {
        return Err("it is not an object's file");
    }
    let mut canonical = Vec::new();
    zstd::stream::read::Decoder::with_buffer(compressed)
        .and_then(|decoder| decoder.take(length + 1).read_to_end(&mut canonical))
        .map_err(|_| "it cannot be decompressed")?;
    if canonical.len() as u64 != length {
        return Err("it decompresses to another length");
    }
    Ok(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Object {
        Object {
            kind: "layer-version".into(),
            links: vec![ObjectId([1; 32]), ObjectId([1; 32])],
            blobs: vec![BlobId([3; 32])],
            payload: b"payload payload payload payload".to_vec(),
        }
    }

    #[test]
    fn an_object_reads_back_and_has_one_form_only() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Object::decode(&bytes), Ok(sample()));
        assert_eq!(decode_file(&encode_file(&bytes).unwrap()), Ok(bytes.clone()));
        for length in 0..bytes.len() {
            assert!(Object::decode(&bytes[..length]).is_err());
        }
        assert!(Object::decode(&[bytes.as_slice(), b"x"].concat()).is_err());
        for kind in ["", "UPPER", "sla/sh", &"x".repeat(65)] {
            assert_eq!(Object { kind: kind.into(), ..sample() }.encode(), None, "{kind}");
        }
    }

    #[test]
    fn any_flipped_bit_of_the_file_is_noticed_even_where_zstd_would_not() {
        let good = encode_file(&sample().encode().unwrap()).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_file(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_decompression_bomb_is_stopped_at_the_announced_length() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
        let mut file = [FILE_MAGIC.as_slice(), &100u64.to_le_bytes()].concat();
        let checksum = blake3::Hasher::new().update(&file).update(&bomb).finalize();
        file.extend_from_slice(checksum.as_bytes());
        file.extend_from_slice(&bomb);
        assert_eq!(decode_file(&file), Err("it decompresses to another length"));
        file[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        let checksum = blake3::Hasher::new().update(&file[..16]).update(&bomb).finalize();
        file[16..48].copy_from_slice(checksum.as_bytes());
        assert_eq!(decode_file(&file), Err("it is not an object's file"));
    }
}
