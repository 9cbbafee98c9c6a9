//! The two ways in which bytes are reached: immutable sources, and devices that can be changed.

use std::fs::File;
use std::io;
use std::ops::Range;

/// Immutable bytes that can be read from any place: an image file, a pack of the store, a composed disk.
pub trait ByteSource: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset` (bytes). Reading past the end is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// The first range at or after `from` that may hold something else than zeros; `None` when only zeros follow.
    /// A source that does not know answers everything that is left.
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.len();
        Ok((from < len).then_some(from..len))
    }

    /// The region of a plain file that holds exactly the bytes `offset .. offset + len`, if there is one: what
    /// reflinks and in-kernel copies need.
    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        let _ = (offset, len);
        None
    }

    /// Appends the BLAKE3 digests of the [`BLOCK`](crate::BLOCK)-sized blocks of `offset .. offset + len` if they are
    /// known without reading the data, and says whether they were. `offset` and `len` are multiples of the block.
    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        let _ = (offset, len, into);
        Ok(false)
    }
}

/// Where in a plain file some bytes lie.
#[derive(Debug, Clone, Copy)]
pub struct FileRegion<'a> {
    /// The file, open for reading.
    pub file: &'a File,
    /// Offset in the file, bytes.
    pub offset: u64,
}

/// The number of a [`ByteSource`] in the table of the overlay or mapped disk that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceRange {
    /// Which source.
    pub source: SourceId,
    /// Offset in the source, bytes.
    pub offset: u64,
}

/// A disk, or a part of one, that can be changed. One owner at a time; nothing is locked.
pub trait BlockDevice: Send {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether the device has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset` (bytes). Reading past the end is [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `buf` at `offset` (bytes). Writing past the end is an error and writes nothing.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()>;

    /// Makes `offset .. offset + len` read as zeros and gives its space back.
    fn discard(&mut self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes `offset .. offset + len` read as the bytes of a source, without copying where the device can.
    /// What was there before, written or spliced, is gone; a later write wins over it.
    fn splice(&mut self, offset: u64, len: u64, from: SourceRange) -> io::Result<()>;
}
