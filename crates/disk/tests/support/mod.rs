//! Sources and devices for the tests of this crate.
#![allow(dead_code)] // every test program uses another part of it
#![allow(clippy::unwrap_used)] // a test that cannot set itself up has failed

use disk::{BLOCK, ByteSource, ExtentMap, Overlay, PageBudget};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in memory that count how often and how much they are read.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    /// Whether it tells the digests of its blocks.
    pub(crate) knows_digests: bool,
    /// Whether it tells where its blocks of zeros are.
    pub(crate) knows_holes: bool,
    pub(crate) reads: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
}

impl Memory {
    pub(crate) fn new(bytes: Vec<u8>) -> Memory {
        Memory { bytes, ..Memory::default() }
    }

    /// `len` bytes that differ from place to place and from seed to seed.
    pub(crate) fn noise(len: usize, seed: u64) -> Memory {
        Memory::new(noise(len, seed))
    }
}

pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

impl ByteSource for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.bytes.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.len();
        if !self.knows_holes {
            return Ok((from < len).then_some(from..len));
        }
        let zero = |block: u64| {
            let start = (block * BLOCK) as usize;
            self.bytes[start..self.bytes.len().min(start + BLOCK as usize)].iter().all(|&b| b == 0)
        };
        let blocks = len.div_ceil(BLOCK);
        let Some(first) = (from / BLOCK..blocks).find(|&b| !zero(b)) else { return Ok(None) };
        let end = (first..blocks).find(|&b| zero(b)).unwrap_or(blocks);
        let range = (first * BLOCK).max(from)..(end * BLOCK).min(len);
        Ok((range.start < range.end).then_some(range))
    }

    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        assert!(offset.is_multiple_of(BLOCK) && len.is_multiple_of(BLOCK), "asked for parts of blocks");
        if !self.knows_digests || offset + len > self.len() {
            return Ok(false);
        }
        let bytes = &self.bytes[offset as usize..(offset + len) as usize];
        into.extend(bytes.chunks(BLOCK as usize).map(|block| *blake3::hash(block).as_bytes()));
        Ok(true)
    }
}

pub(crate) fn budget(bytes: u64) -> PageBudget {
    PageBudget { bytes, scratch_dir: std::env::temp_dir() }
}

/// An overlay of zeros.
pub(crate) fn blank(len: u64) -> Overlay {
    Overlay::new(ExtentMap::new(len), Vec::new(), budget(16 << 20)).unwrap()
}

/// All bytes of a source.
pub(crate) fn contents(source: &dyn ByteSource) -> Vec<u8> {
    let mut bytes = vec![0; source.len() as usize];
    source.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

/// An overlay over nothing but these bytes.
pub(crate) fn over(bytes: Vec<u8>) -> Overlay {
    let mut map = ExtentMap::new(bytes.len() as u64);
    let from = disk::SourceRange { source: disk::SourceId(0), offset: 0 };
    map.splice(0, bytes.len() as u64, from).unwrap();
    let source: Arc<dyn ByteSource> = Arc::new(Memory { knows_holes: true, ..Memory::new(bytes) });
    Overlay::new(map, vec![source], budget(16 << 20)).unwrap()
}
