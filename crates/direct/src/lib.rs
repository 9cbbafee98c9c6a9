//! Writing large files past the page cache (`O_DIRECT`), where the file system can.
//!
//! Pages for what is written once and not soon read again are no cheaper than the writing itself, and on a virtual
//! machine whose host takes idle memory back several times dearer (docs/adr/0004).

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes from which on a write goes past the page cache, where its place in file and memory allows that. Fewer bytes
/// are better collected by the kernel: every direct write waits for the device.
const LEAST: usize = 64 << 10;
/// What direct writes are aligned to, bytes: the largest logical sector of today's devices.
const ALIGN: usize = 4096;

/// The second way into a file that is being written.
#[derive(Debug)]
pub struct Direct(Option<File>);

impl Direct {
    /// Opens the way to the file with this path, if the file system has it.
    pub fn open(path: &Path) -> Direct {
        let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
        Direct(OpenOptions::new().write(true).custom_flags(flags).open(path).ok())
    }

    /// Whether writes can go past the page cache. Then several threads that write at once are faster than one.
    pub fn is_available(&self) -> bool {
        self.0.is_some()
    }

    /// How many of the bytes, from the first on, would go past the page cache when they are written at `at`.
    pub fn len_of(&self, at: u64, bytes: &[u8]) -> usize {
        let len = bytes.len() / ALIGN * ALIGN;
        let aligned = at.is_multiple_of(ALIGN as u64) && bytes.as_ptr().addr().is_multiple_of(ALIGN);
        if self.0.is_some() && len >= LEAST && aligned { len } else { 0 }
    }

    /// Writes the bytes at `at`: past the page cache what can be, the rest through `file`, which is the same file.
    pub fn write_all_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut done = 0;
        if let (Some(direct), len @ 1..) = (&self.0, self.len_of(at, bytes)) {
            match direct.write_all_at(&bytes[..len], at) {
                Ok(()) => done = len,
                // The file system has the flag, and not the operation at this place.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        file.write_all_at(&bytes[done..], at + done as u64)
    }
}

/// Memory that a device can be handed directly. Zeros at first.
pub struct AlignedBuffer {
    /// Never made longer, so that its bytes stay where they are.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer of `len` bytes.
    pub fn new(len: usize) -> AlignedBuffer {
        let memory = vec![0; len + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        AlignedBuffer { memory, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_land_where_they_belong_whether_the_page_cache_is_passed_by_or_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let direct = Direct::open(file.path());
        let mut bytes = AlignedBuffer::new(3 * LEAST);
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index % 251) as u8 + 1;
        }
        let mut expected = vec![0; 40 * LEAST];
        // Aligned, with a tail, at an odd place, from an odd place of memory, short, and far ahead of the others.
        for (at, part) in [
            (0, 0..2 * LEAST),
            (3 * LEAST, 0..LEAST + 100),
            (6 * LEAST + 512, 0..LEAST),
            (9 * LEAST, 512..2 * LEAST),
            (12 * LEAST, 0..ALIGN),
            (36 * LEAST, 0..3 * LEAST),
            (4 * LEAST + 4096, 8192..2 * LEAST),
        ] {
            direct.write_all_at(file.as_file(), &bytes[part.clone()], at as u64).unwrap();
            expected[at..][..part.len()].copy_from_slice(&bytes[part]);
        }
        file.as_file().set_len(expected.len() as u64).unwrap();
        assert!(std::fs::read(file.path()).unwrap() == expected);
    }

    #[test]
    fn short_and_unaligned_writes_go_through_the_page_cache() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let direct = Direct::open(file.path());
        let bytes = AlignedBuffer::new(2 * LEAST);
        let all = if direct.is_available() { 2 * LEAST } else { 0 };
        assert_eq!(direct.len_of(0, &bytes), all);
        assert_eq!(direct.len_of(512, &bytes), 0);
        assert_eq!(direct.len_of(0, &bytes[1..]), 0);
        assert_eq!(direct.len_of(0, &bytes[..LEAST - 1]), 0);
    }
}
