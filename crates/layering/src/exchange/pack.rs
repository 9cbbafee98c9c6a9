//! A pack: contents of blobs, compressed together, behind a directory that says what they are.
//!
//! `docs/layer-exchange.md`, "Packs". A blob's blocks of zeros are in no pack. A blob that has more other bytes than one
//! pack takes has packs of its own, its *parts*; all others are whole in one pack, so each pack is read once.

use std::ops::Range;
use store::{BLOCK, BlobId};

/// The most content of a pack, bytes, before it is compressed.
pub(crate) const MOST_CONTENT: u64 = 32 << 20;
/// The most blobs of a pack.
pub(crate) const MOST_BLOBS: u64 = 1 << 16;
/// The most parts of a blob.
const MOST_PARTS: u64 = 1 << 20;

const MAGIC: [u8; 8] = *b"LMNAPCK\x01";
/// Length of what comes before the tables, bytes.
pub(crate) const HEADER: usize = 48;
const BLOB: u64 = 48;
const RUN: u64 = 16;
/// Level 3 takes more than twice as long for a tenth less.
const COMPRESSION_LEVEL: i32 = 1;

/// Bytes of a blob that follow each other and are not zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where they begin in the blob, bytes; a multiple of [`BLOCK`].
    pub(crate) offset: u64,
    /// How many; a multiple of [`BLOCK`] unless they end the blob.
    pub(crate) len: u64,
}

/// A blob, or a part of one, in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedBlob {
    pub(crate) id: BlobId,
    /// Length of the whole blob, bytes.
    pub(crate) len: u64,
    /// Which of the pack's runs are its own.
    pub(crate) runs: Range<usize>,
    /// Where its first run begins in the content, bytes.
    pub(crate) at: u64,
}

/// What a pack holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Which part of its blob this is, from 0.
    pub(crate) part: u64,
    /// How many parts that blob has; 1 for a pack of whole blobs.
    pub(crate) parts: u64,
    pub(crate) blobs: Vec<PackedBlob>,
    pub(crate) runs: Vec<Run>,
    /// Length of the content, bytes.
    pub(crate) content: u64,
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Directory {
    /// A directory of whole blobs, or of one part of one blob.
    pub(crate) fn new<'a>(
        (part, parts): (u64, u64),
        blobs: impl Iterator<Item = (BlobId, u64, &'a [Run])>,
    ) -> Directory {
        let mut directory = Directory { part, parts, blobs: Vec::new(), runs: Vec::new(), content: 0 };
        for (id, len, runs) in blobs {
            let (first, at) = (directory.runs.len(), directory.content);
            directory.runs.extend_from_slice(runs);
            directory.content += runs.iter().map(|run| run.len).sum::<u64>();
            directory.blobs.push(PackedBlob { id, len, runs: first..directory.runs.len(), at });
        }
        directory
    }

    /// How many bytes of a pack its directory takes, from the first [`HEADER`] bytes. `None` if this is no pack.
    pub(crate) fn length(header: &[u8]) -> Option<usize> {
        if header.get(..8)? != MAGIC {
            return None;
        }
        let (blobs, runs) = (number(header, 24)?, number(header, 32)?);
        let counts = blobs <= MOST_BLOBS && runs <= MOST_BLOBS + MOST_CONTENT / BLOCK;
        counts.then(|| HEADER + (blobs * BLOB + runs * RUN) as usize)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let counts = [self.part, self.parts, self.blobs.len() as u64, self.runs.len() as u64, self.content];
        counts.iter().for_each(|count| bytes.extend_from_slice(&count.to_le_bytes()));
        for blob in &self.blobs {
            bytes.extend_from_slice(&blob.id.0);
            bytes.extend_from_slice(&blob.len.to_le_bytes());
            bytes.extend_from_slice(&(blob.runs.len() as u64).to_le_bytes());
        }
        for run in &self.runs {
            bytes.extend_from_slice(&run.offset.to_le_bytes());
            bytes.extend_from_slice(&run.len.to_le_bytes());
        }
        bytes
    }

    /// Reads the directory at the beginning of a pack, of which `bytes` has at least that much.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Directory, &'static str> {
        let length = Directory::length(bytes).ok_or("it is no pack")?;
        let bytes = bytes.get(..length).ok_or("its directory is cut off")?;
        let field = |at: usize| number(bytes, at).ok_or("its directory is cut off");
        let (part, parts, content) = (field(8)?, field(16)?, field(40)?);
        let (blob_count, run_count) = (field(24)? as usize, field(32)? as usize);
        if content > MOST_CONTENT || parts > MOST_PARTS || part >= parts || (parts > 1 && blob_count != 1) {
            return Err("its counts contradict each other");
        }
        let tables = &bytes[HEADER..];
        let (blob_table, run_table) = tables.split_at(blob_count * BLOB as usize);
        let runs: Vec<Run> = run_table
            .as_chunks::<16>()
            .0
            .iter()
            .map(|run| {
                let (offset, len) = (number(run, 0).unwrap_or(0), number(run, 8).unwrap_or(0));
                Run { offset, len }
            })
            .collect();
        let mut blobs = Vec::with_capacity(blob_count);
        let (mut first, mut at) = (0usize, 0u64);
        for entry in blob_table.as_chunks::<48>().0 {
            let (id, rest) = entry.split_first_chunk::<32>().ok_or("its directory is cut off")?;
            let (len, count) = (number(rest, 0).unwrap_or(0), number(rest, 8).unwrap_or(0));
            let end = usize::try_from(count).ok().and_then(|count| first.checked_add(count));
            let end = end.filter(|end| *end <= run_count).ok_or("a blob has runs that are not there")?;
            blobs.push(PackedBlob { id: BlobId(*id), len, runs: first..end, at });
            let mut behind = 0;
            for run in &runs[first..end] {
                let run_end = run.offset.checked_add(run.len).filter(|end| *end <= len);
                let run_end = run_end.ok_or("a run lies outside its blob")?;
                let whole = run.len.is_multiple_of(BLOCK) || run_end == len;
                if run.len == 0 || run.offset < behind || !run.offset.is_multiple_of(BLOCK) || !whole {
                    return Err("the runs of a blob do not ascend in whole blocks");
                }
                behind = run_end;
                at = at
                    .checked_add(run.len)
                    .filter(|at| *at <= content)
                    .ok_or("its runs have more content")?;
            }
            first = end;
        }
        if first != run_count || at != content || blob_count == 0 {
            return Err("its runs do not add up to its content");
        }
        Ok(Directory { part, parts, blobs, runs, content })
    }
}

/// Compresses the content of a pack.
pub(super) fn compress(content: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(content, COMPRESSION_LEVEL)
}

/// Takes a pack apart whose digest was verified.
pub(crate) fn open(file: &[u8]) -> Result<(Directory, Vec<u8>), &'static str> {
    let directory = Directory::decode(file)?;
    let length = Directory::length(file).ok_or("it is no pack")?;
    let compressed = file.get(length..).ok_or("its directory is cut off")?;
    // A decompressor of whole buffers never gives more than it is asked for.
    let content = zstd::bulk::decompress(compressed, directory.content as usize)
        .map_err(|_| "its content cannot be decompressed, or is longer than it says")?;
    if content.len() as u64 != directory.content {
        return Err("its content is shorter than it says");
    }
    Ok((directory, content))
}

/// The longest file of a pack, bytes: the tables, and content that does not get smaller.
pub(super) const LONGEST: u64 = HEADER as u64
    + MOST_BLOBS * (BLOB + RUN)
    + MOST_CONTENT / BLOCK * RUN
    + MOST_CONTENT
    + (MOST_CONTENT >> 6);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Directory {
        let runs = [Run { offset: 0, len: 4096 }, Run { offset: 12_288, len: 5 }];
        let blobs = [(BlobId([1; 32]), 12_293, &runs[..]), (BlobId([2; 32]), 8192, &runs[..1])];
        Directory::new((0, 1), blobs.into_iter())
    }

    fn packed() -> Vec<u8> {
        let content = [vec![1; 4096], vec![2; 5], vec![3; 4096]].concat();
        [sample().encode(), compress(&content).unwrap()].concat()
    }

    #[test]
    fn a_directory_reads_back_and_is_refused_when_cut_off() {
        let bytes = sample().encode();
        assert_eq!(Directory::decode(&bytes), Ok(sample()));
        assert_eq!(Directory::length(&bytes), Some(bytes.len()));
        assert!((0..bytes.len()).all(|len| Directory::decode(&bytes[..len]).is_err()));
        assert_eq!(open(&packed()).unwrap().0, sample());
    }

    #[test]
    fn amounts_that_contradict_each_other_are_refused() {
        let refused = |change: &dyn Fn(&mut Directory)| {
            let mut directory = sample();
            change(&mut directory);
            Directory::decode(&directory.encode()).unwrap_err()
        };
        assert!(refused(&|directory| directory.runs[0].offset = 1).contains("ascend"));
        assert!(refused(&|directory| directory.runs[1].offset = 0).contains("ascend"));
        assert!(refused(&|directory| directory.runs[0].len = 0).contains("ascend"));
        assert!(refused(&|directory| directory.runs[1].offset = u64::MAX - 4095).contains("outside"));
        assert!(refused(&|directory| directory.blobs[1].len = 4095).contains("outside"));
        assert!(refused(&|directory| directory.blobs[1].runs = 2..4).contains("not there"));
        assert!(refused(&|directory| directory.blobs[1].runs = 2..2).contains("add up"));
        assert!(refused(&|directory| directory.content -= 1).contains("more content"));
        assert!(refused(&|directory| directory.content += 1).contains("add up"));
        assert!(refused(&|directory| directory.content = MOST_CONTENT + 1).contains("contradict"));
        assert!(refused(&|directory| directory.parts = 0).contains("contradict"));
        assert!(refused(&|directory| directory.parts = 2).contains("contradict"));
        assert!(refused(&|directory| directory.part = 1).contains("contradict"));
        assert_eq!(Directory::length(&[&MAGIC[..], &[0xff; 40]].concat()), None);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_length_that_the_directory_says() {
        let bomb = [sample().encode(), compress(&vec![0; 64 << 20]).unwrap()].concat();
        assert!(open(&bomb).unwrap_err().contains("longer"));
        let short = [sample().encode(), compress(&[0; 4096]).unwrap()].concat();
        assert!(open(&short).unwrap_err().contains("shorter"));
        assert!(open(&[packed(), vec![7]].concat()).is_err(), "something follows the content");
    }
}
