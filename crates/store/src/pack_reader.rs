//! Reading a pack: bytes, and block digests without the bytes.

use crate::directory::Directory;
use crate::error::{Error, IoContext, Result};
use crate::index::{Index, Malformed, ReadAt, SEGMENT};
use crate::{BLOCK, BlockDigest, PackId, block_digest};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// How many bytes of a pack are read at a time to verify them.
const VERIFY_CHUNK: u64 = 1 << 20;

/// A pack, open for reading. Stays readable even when garbage collection removes the pack.
#[derive(Debug)]
pub struct PackReader {
    id: PackId,
    data: File,
    data_path: PathBuf,
    index: Arc<Index>,
    index_file: File,
    index_path: PathBuf,
    digests: Mutex<Digests>,
}

/// What was read of the block digests.
#[derive(Debug, Default)]
struct Digests {
    /// The segment that is in memory, and its block digests.
    segment: Option<u64>,
    held: Vec<BlockDigest>,
    /// Whether a segment's checksum was found right: the file never changes, so once is enough.
    verified: Vec<bool>,
}

impl PackReader {
    /// Opens a pack whose index is known; `None` if it is gone.
    pub(crate) fn open(directory: &Directory, index: Arc<Index>) -> Result<Option<PackReader>> {
        let id = index.pack();
        let (data_path, index_path) = (directory.pack_data(id), directory.pack_index(id));
        let there = |file: io::Result<File>, path| match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.on("open", path).map(Some),
        };
        let Some(index_file) = there(File::open(&index_path), &index_path)? else { return Ok(None) };
        let Some(data) = there(File::open(&data_path), &data_path)? else {
            // Removal takes the index away first, so data that lacks below an index that stays is damage.
            return if index_path.exists() {
                Err(Error::corrupt(&data_path, "it is missing"))
            } else {
                Ok(None)
            };
        };
        let length = data.length().on("examine", &data_path)?;
        let expected = index.blocks() * BLOCK;
        if length != expected {
            return Err(Error::corrupt(&data_path, format!("it has {length} bytes instead of {expected}")));
        }
        let verified = vec![false; index.segments() as usize];
        let digests = Mutex::new(Digests { verified, ..Digests::default() });
        Ok(Some(PackReader { id, data, data_path, index, index_file, index_path, digests }))
    }

    /// The pack's id.
    pub fn id(&self) -> PackId {
        self.id
    }

    /// The file with the pack's data, for reflinks and in-kernel copies.
    pub fn file(&self) -> &File {
        &self.data
    }

    /// Length of the data in bytes, a multiple of [`BLOCK`].
    pub fn len(&self) -> u64 {
        self.index.blocks() * BLOCK
    }

    /// Whether the pack has only empty blobs.
    pub fn is_empty(&self) -> bool {
        self.index.blocks() == 0
    }

    /// Fills `buf` from `offset` (bytes) of the data. Reading past the end is [`io::ErrorKind::UnexpectedEof`].
    pub fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ReadAt::read_exact_at(&self.data, offset, buf)
    }

    /// Appends the digests of the blocks of `offset .. offset + len` (bytes, multiples of [`BLOCK`]) without reading
    /// them. Holes have the digest of zeros. A range beyond the pack is [`io::ErrorKind::UnexpectedEof`].
    pub fn block_digests(&self, offset: u64, len: u64, into: &mut Vec<BlockDigest>) -> Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len());
        let aligned = offset.is_multiple_of(BLOCK) && len.is_multiple_of(BLOCK);
        let (Some(end), true) = (end, aligned) else {
            return Err(io::ErrorKind::UnexpectedEof.into()).on("find block digests of", &self.data_path);
        };
        let mut digests = self.digests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (mut block, end) = (offset / BLOCK, end / BLOCK);
        into.reserve((end - block) as usize);
        while block < end {
            let (segment, from) = (block / SEGMENT, (block % SEGMENT) as usize);
            let count = (SEGMENT - block % SEGMENT).min(end - block) as usize;
            if digests.segment != Some(segment)
                && digests.verified[segment as usize]
                && count < SEGMENT as usize / 4
            {
                let start = into.len();
                into.resize(start + count, [0; 32]);
                self.index
                    .read_digests(&self.index_file, block, &mut into[start..])
                    .on("read", &self.index_path)?;
            } else {
                self.hold(&mut digests, segment)?;
                into.extend_from_slice(&digests.held[from..from + count]);
            }
            block += count as u64;
        }
        Ok(())
    }

    fn hold(&self, digests: &mut Digests, segment: u64) -> Result<()> {
        if digests.segment == Some(segment) {
            return Ok(());
        }
        digests.segment = None;
        self.index.read_segment(&self.index_file, segment, &mut digests.held).map_err(
            |error| match error {
                Malformed::Io(source) => Error::Io { action: "read", path: self.index_path.clone(), source },
                Malformed::Content(why) => Error::corrupt(&self.index_path, why),
            },
        )?;
        digests.segment = Some(segment);
        digests.verified[segment as usize] = true;
        Ok(())
    }

    /// Reads all block digests and verifies their checksums.
    pub(crate) fn verify_digests(&self) -> Result<()> {
        let mut digests = self.digests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        (0..self.index.segments()).try_for_each(|segment| self.hold(&mut digests, segment))
    }

    /// Reads `offset .. offset + len` (bytes, multiples of [`BLOCK`]) and calls `damaged` with the offset of each
    /// block whose content does not have its digest or cannot be read.
    pub fn verify(&self, offset: u64, len: u64, damaged: &mut dyn FnMut(u64)) -> Result<()> {
        let mut buffer = vec![0; len.min(VERIFY_CHUNK) as usize];
        let mut digests = Vec::new();
        let mut at = offset;
        let end = offset.saturating_add(len);
        while at < end {
            let count = (end - at).min(VERIFY_CHUNK);
            digests.clear();
            self.block_digests(at, count, &mut digests)?;
            let bytes = &mut buffer[..count as usize];
            // Where a sector cannot be read the blocks around it still can.
            let whole = self.read_exact_at(at, bytes).is_ok();
            for (number, (block, digest)) in (0..).zip(bytes.chunks_mut(BLOCK as usize).zip(&digests)) {
                let offset = at + number * BLOCK;
                let readable = whole || self.read_exact_at(offset, block).is_ok();
                if !readable || block_digest(block) != *digest {
                    damaged(offset);
                }
            }
            at += count;
        }
        Ok(())
    }
}
