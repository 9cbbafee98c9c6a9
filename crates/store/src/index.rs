//! The index of a pack: which blobs lie where, and the digest of every block. `docs/store-format.md`, "Pack index".
//!
//! ```text
//!   header │ block digests, by position │ segment digests │ fan-out │ blob table, by digest │ trailer
//!          │ (one per 4 KiB of the pack)│ (one per 1024   │         │                       │ (checksum of all
//!          │                            │  block digests) │         │                       │  but block digests)
//! ```
//!
//! The block digests come first so that they can be written while the pack grows, and are covered by segment digests
//! so that a reader can verify the few that it wants.

use crate::digest::blocks_of;
use crate::{BLOCK, BlobId, BlockDigest, PackId};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Block digests per segment: 32 KiB of index for 4 MiB of pack.
pub(crate) const SEGMENT: u64 = 1024;
pub(crate) const HEADER: u64 = 32;
const MAGIC: [u8; 8] = *b"LMNAIDX\x01";
const FANOUT: usize = 256 * 4;
const ENTRY: usize = 48;
const TRAILER: usize = 64;
/// A pack with more blobs than this is not written; a tail longer than this is not read.
pub(crate) const MOST_BLOBS: u64 = 1 << 22;
const LONGEST_TAIL: u64 = 1 << 29;

/// Bytes at positions: a file, or memory in tests.
pub trait ReadAt {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buf` from `offset`.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a file of the store could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not hold what the format wants.
    #[error("{0}")]
    Content(&'static str),
}

/// Where a blob lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which blob.
    pub id: BlobId,
    /// Where it begins in the pack: bytes, a multiple of [`BLOCK`].
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Everything of a pack's index but the block digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pack: PackId,
    blocks: u64,
    segments: Vec<BlockDigest>,
    /// Entries as they are in the file: 32 bytes digest, offset and length as u64 LE; ascending by digest.
    table: Vec<u8>,
    /// `fanout[b]` is the number of entries whose digest's first byte is at most `b`.
    fanout: Vec<u32>,
}

fn header(pack: PackId) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..24].copy_from_slice(&pack.0);
    header
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

/// Where the tail of an index with this many block digests begins, bytes.
pub(crate) fn tail_offset(blocks: u64) -> Option<u64> {
    blocks.checked_mul(32)?.checked_add(HEADER)
}

impl Index {
    /// The index of a pack of `blocks` blocks. `segments` are the BLAKE3 digests of each run of `SEGMENT` block digests.
    pub fn new(pack: PackId, blocks: u64, segments: Vec<BlockDigest>, mut entries: Vec<Entry>) -> Index {
        entries.sort_unstable_by_key(|entry| entry.id);
        let mut table = Vec::with_capacity(entries.len() * ENTRY);
        let mut fanout = vec![0u32; 256];
        for entry in &entries {
            table.extend_from_slice(&entry.id.0);
            table.extend_from_slice(&entry.offset.to_le_bytes());
            table.extend_from_slice(&entry.len.to_le_bytes());
            fanout[usize::from(entry.id.0[0])] += 1;
        }
        for byte in 1..fanout.len() {
            fanout[byte] += fanout[byte - 1];
        }
        Index { pack, blocks, segments, table, fanout }
    }

    /// What precedes the block digests in the file, and what follows them.
    pub fn encode(&self) -> ([u8; HEADER as usize], Vec<u8>) {
        let header = header(self.pack);
        let mut tail = Vec::with_capacity(self.segments.len() * 32 + FANOUT + self.table.len() + TRAILER);
        tail.extend_from_slice(self.segments.as_flattened());
        self.fanout.iter().for_each(|count| tail.extend_from_slice(&count.to_le_bytes()));
        tail.extend_from_slice(&self.table);
        tail.extend_from_slice(&self.blocks.to_le_bytes());
        tail.extend_from_slice(&(self.len() as u64).to_le_bytes());
        tail.extend_from_slice(&[0; 16]);
        let checksum = blake3::Hasher::new().update(&header).update(&tail).finalize();
        tail.extend_from_slice(checksum.as_bytes());
        (header, tail)
    }

    /// Reads an index and verifies all of it but the block digests. What it allocates is bounded by the length of
    /// the file, and by half a gibibyte.
    pub fn read(from: &(impl ReadAt + ?Sized), pack: PackId) -> Result<Index, Malformed> {
        let malformed = |why| Err(Malformed::Content(why));
        let length = from.length()?;
        let mut trailer = [0; TRAILER];
        let Some(trailer_at) = length.checked_sub(TRAILER as u64).filter(|at| *at >= HEADER) else {
            return malformed("it is too short");
        };
        from.read_exact_at(trailer_at, &mut trailer)?;
        let (blocks, blobs) = (u64_at(&trailer, 0), u64_at(&trailer, 8));
        let tail_at = tail_offset(blocks).filter(|at| *at <= trailer_at);
        let (Some(tail_at), 0..=MOST_BLOBS) = (tail_at, blobs) else {
            return malformed("its counts do not fit its length");
        };
        let segments = blocks.div_ceil(SEGMENT);
        let tail = length - tail_at;
        if tail > LONGEST_TAIL || tail != segments * 32 + (FANOUT + blobs as usize * ENTRY + TRAILER) as u64 {
            return malformed("its counts do not fit its length");
        }
        let mut found_header = [0; HEADER as usize];
        from.read_exact_at(0, &mut found_header)?;
        if found_header != header(pack) {
            return malformed("it is not the index of this pack");
        }
        let mut tail = vec![0; tail as usize];
        from.read_exact_at(tail_at, &mut tail)?;
        let (covered, checksum) = tail.split_at(tail.len() - 32);
        if blake3::Hasher::new().update(&found_header).update(covered).finalize().as_bytes() != checksum {
            return malformed("its checksum does not match");
        }
        let (segments, rest) = covered.split_at(segments as usize * 32);
        let (fanout, rest) = rest.split_at(FANOUT);
        let table = &rest[..blobs as usize * ENTRY];
        if rest[table.len() + 16..] != [0; 16] {
            return malformed("its reserved bytes are not zero");
        }
        let index = Index {
            pack,
            blocks,
            segments: segments.as_chunks::<32>().0.to_vec(),
            fanout: fanout.as_chunks::<4>().0.iter().map(|count| u32::from_le_bytes(*count)).collect(),
            table: table.to_vec(),
        };
        index.verify_table()?;
        Ok(index)
    }

    /// The checksum only proves that the writer wrote this, not that the writer was sound.
    fn verify_table(&self) -> Result<(), Malformed> {
        let mut before: Option<BlobId> = None;
        let mut counts = [0u32; 256];
        for entry in self.entries() {
            if before.is_some_and(|before| before >= entry.id) {
                return Err(Malformed::Content("its blobs are not in order"));
            }
            before = Some(entry.id);
            counts[usize::from(entry.id.0[0])] += 1;
            let end = (entry.offset / BLOCK).checked_add(blocks_of(entry.len));
            if entry.offset % BLOCK != 0 || end.is_none_or(|end| end > self.blocks) {
                return Err(Malformed::Content("a blob lies outside of the pack"));
            }
        }
        let mut sum = 0;
        for (count, cumulative) in counts.iter().zip(&self.fanout) {
            sum += count;
            if sum != *cumulative {
                return Err(Malformed::Content("its fan-out does not fit its blobs"));
            }
        }
        Ok(())
    }

    /// Whether the blobs lie one after the other and fill the pack, as a writer leaves them.
    pub fn fills_pack(&self) -> bool {
        let mut extents: Vec<_> =
            self.entries().map(|entry| (entry.offset / BLOCK, blocks_of(entry.len))).collect();
        extents.sort_unstable();
        let end = extents.iter().try_fold(0, |end, (first, count)| (*first == end).then(|| end + count));
        end == Some(self.blocks)
    }

    /// Whose index it is.
    pub fn pack(&self) -> PackId {
        self.pack
    }

    /// The length of the pack in blocks.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// How many blobs the pack has.
    pub fn len(&self) -> usize {
        self.table.len() / ENTRY
    }

    /// Whether the pack has no blobs.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What the index occupies in memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.table.len() + self.segments.len() * 32 + FANOUT
    }

    fn entry(&self, number: usize) -> Entry {
        let bytes = &self.table[number * ENTRY..][..ENTRY];
        Entry {
            id: BlobId(bytes[..32].try_into().expect("32 bytes")),
            offset: u64_at(bytes, 32),
            len: u64_at(bytes, 40),
        }
    }

    /// The blobs, ascending by digest.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).map(|number| self.entry(number))
    }

    /// Where a blob lies.
    pub fn find(&self, id: &BlobId) -> Option<Entry> {
        let first = usize::from(id.0[0]);
        let mut low = if first == 0 { 0 } else { self.fanout[first - 1] as usize };
        let mut high = self.fanout[first] as usize;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.table[middle * ENTRY..][..32].cmp(&id.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.entry(middle)),
            }
        }
        None
    }

    /// The number of segments of block digests.
    pub(crate) fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    /// Reads block digests from `block` on. Nothing verifies them here.
    pub(crate) fn read_digests(&self, from: &File, block: u64, into: &mut [BlockDigest]) -> io::Result<()> {
        ReadAt::read_exact_at(from, HEADER + block * 32, into.as_flattened_mut())
    }

    /// Reads the block digests of a segment and verifies them.
    pub fn read_segment(
        &self,
        from: &(impl ReadAt + ?Sized),
        segment: u64,
        into: &mut Vec<BlockDigest>,
    ) -> Result<(), Malformed> {
        let first = segment * SEGMENT;
        into.clear();
        into.resize((self.blocks - first).min(SEGMENT) as usize, [0; 32]);
        from.read_exact_at(HEADER + first * 32, into.as_flattened_mut())?;
        if *blake3::hash(into.as_flattened()).as_bytes() != self.segments[segment as usize] {
            return Err(Malformed::Content("the checksum of its block digests does not match"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(blobs: u64) -> Vec<u8> {
        let digests: Vec<BlockDigest> =
            (0..blobs * 2).map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
        let entries = (0..blobs).map(|n| Entry {
            id: BlobId(*blake3::hash(&[n as u8, 9]).as_bytes()),
            offset: n * 2 * BLOCK,
            len: BLOCK + 1 + n,
        });
        let sums =
            digests.chunks(SEGMENT as usize).map(|s| *blake3::hash(s.as_flattened()).as_bytes()).collect();
        let (header, tail) = Index::new(PackId([5; 16]), blobs * 2, sums, entries.collect()).encode();
        [&header, digests.as_flattened(), &tail].concat()
    }

    #[test]
    fn every_blob_is_found_where_it_was_put_and_no_other() {
        let bytes = sample(200);
        let index = Index::read(bytes.as_slice(), PackId([5; 16])).unwrap();
        assert!(index.fills_pack());
        for n in 0..200u64 {
            let entry = index.find(&BlobId(*blake3::hash(&[n as u8, 9]).as_bytes())).unwrap();
            assert_eq!((entry.offset, entry.len), (n * 2 * BLOCK, BLOCK + 1 + n));
        }
        assert_eq!(index.find(&BlobId([0; 32])), None);
        assert_eq!(index.find(&BlobId([255; 32])), None);
        assert!(Index::read(bytes.as_slice(), PackId([6; 16])).is_err(), "another pack's index");
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let good = sample(3);
        let sound = |bytes: &[u8]| {
            Index::read(bytes, PackId([5; 16])).and_then(|index| {
                (0..index.segments())
                    .try_for_each(|segment| index.read_segment(bytes, segment, &mut Vec::new()))
            })
        };
        assert!(sound(&good).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(sound(&bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(sound(&good[..length]).is_err(), "cut to {length}");
        }
    }
}
