//! How content is named. Written down in `docs/store-format.md`, "Digests".

use crate::{BLOCK, BlobId, BlockDigest};
use std::sync::LazyLock;

/// The context string that separates blob digests from every other use of BLAKE3.
const CONTENT_CONTEXT: &str = "lamina content v1";

static ZERO_BLOCK: LazyLock<BlockDigest> = LazyLock::new(|| *blake3::hash(&[0; BLOCK as usize]).as_bytes());

/// The digest of a block of zeros: what holes and padding have.
pub fn zero_block_digest() -> BlockDigest {
    *ZERO_BLOCK
}

/// The digest of a block. A shorter slice, the end of a blob, counts as if zeros followed up to [`BLOCK`] bytes.
pub fn block_digest(block: &[u8]) -> BlockDigest {
    debug_assert!(block.len() as u64 <= BLOCK);
    if is_zero(block) {
        return zero_block_digest();
    }
    if block.len() as u64 == BLOCK {
        return *blake3::hash(block).as_bytes();
    }
    let mut padded = [0; BLOCK as usize];
    padded[..block.len()].copy_from_slice(block);
    *blake3::hash(&padded).as_bytes()
}

/// Whether there is nothing but zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Wide words let the compiler vectorise; the early exit makes ordinary data cost one comparison.
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

/// How many blocks `len` bytes occupy.
pub(crate) const fn blocks_of(len: u64) -> u64 {
    len.div_ceil(BLOCK)
}

/// Computes a [`BlobId`] from the length of the blob in bytes and the digests of its blocks, in order.
#[derive(Debug, Clone)]
pub struct BlobHasher(blake3::Hasher);

impl BlobHasher {
    /// Starts the digest of a blob of `len` bytes.
    pub fn new(len: u64) -> BlobHasher {
        let mut hasher = blake3::Hasher::new_derive_key(CONTENT_CONTEXT);
        hasher.update(&len.to_le_bytes());
        BlobHasher(hasher)
    }

    /// Adds the digests of the next blocks.
    pub fn update(&mut self, digests: &[BlockDigest]) {
        self.0.update(digests.as_flattened());
    }

    /// The blob's digest, after as many block digests as its length needs.
    pub fn finish(&self) -> BlobId {
        BlobId(*self.0.finalize().as_bytes())
    }
}

impl BlobId {
    /// The digest of these bytes as a blob.
    pub fn of(bytes: &[u8]) -> BlobId {
        let mut hasher = BlobHasher::new(bytes.len() as u64);
        for block in bytes.chunks(BLOCK as usize) {
            hasher.update(&[block_digest(block)]);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_by_its_length_too_so_that_padding_is_no_content() {
        assert_ne!(BlobId::of(b"a"), BlobId::of(b"a\0"));
        assert_ne!(BlobId::of(&[]), BlobId::of(&[0]));
        assert_eq!(block_digest(b"a"), *blake3::hash(&[b"a".as_slice(), &[0; 4095]].concat()).as_bytes());
    }

    #[test]
    fn the_digest_of_a_blob_is_the_documented_derivation() {
        let bytes = [vec![7; 4096], vec![0; 4096], vec![1, 2, 3]].concat();
        let mut message = (bytes.len() as u64).to_le_bytes().to_vec();
        for block in [[vec![7; 4096]].concat(), vec![0; 4096], [vec![1, 2, 3], vec![0; 4093]].concat()] {
            message.extend_from_slice(blake3::hash(&block).as_bytes());
        }
        assert_eq!(BlobId::of(&bytes).0, blake3::derive_key("lamina content v1", &message));
    }
}
