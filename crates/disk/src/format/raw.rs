//! Raw images: the file is the disk.

use super::image_file::ImageFile;
use super::{Format, OpenedDisk, Result, check_disk_len};
use crate::{ByteSource, FileRegion, SECTOR};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes `0 .. len` of a file: a raw image, or a fixed VHD without its footer.
#[derive(Debug)]
pub(super) struct FlatSource {
    file: ImageFile,
    len: u64,
}

impl FlatSource {
    /// The first `len` bytes, which the caller has checked to be there.
    pub(super) fn new(file: ImageFile, len: u64) -> FlatSource {
        FlatSource { file, len }
    }
}

pub(super) fn open(file: ImageFile) -> Result<OpenedDisk> {
    let len = file.len();
    if !len.is_multiple_of(SECTOR) {
        return Err(file.truncated("a whole number of sectors", len.next_multiple_of(SECTOR)));
    }
    check_disk_len(&file, len)?;
    Ok(OpenedDisk { source: Arc::new(FlatSource::new(file, len)), format: Format::Raw, warnings: Vec::new() })
}

impl ByteSource for FlatSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        self.file.file().read_exact_at(buf, offset)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.file.next_data(from, self.len)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then_some(FileRegion { file: self.file.file(), offset })
    }
}

/// [`io::ErrorKind::UnexpectedEof`] if a read does not lie within a disk.
pub(super) fn check_bounds(disk_len: u64, offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= disk_len => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("bytes {offset}+{len} lie behind the end of the disk ({disk_len} bytes)"),
        )),
    }
}
