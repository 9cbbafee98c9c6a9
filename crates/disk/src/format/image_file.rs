//! The file that an image lies in: positional reads whose failures say what was being read.

use super::{Error, Format, Result};
use rustix::fs::SeekFrom as SeekTo;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// An image file, open for reading.
#[derive(Debug)]
pub(super) struct ImageFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// What the file was recognised as; only errors use it.
    format: Format,
}

impl ImageFile {
    /// Opens a regular file or a block device. Anything else (a pipe would block) is refused.
    pub(super) fn open(path: &Path) -> Result<ImageFile> {
        let fail = |source| Error::Read { path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(fail)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what: "it is neither a file nor a block device".to_owned(),
            });
        }
        ImageFile::of(File::open(path).map_err(fail)?, path)
    }

    /// An open file; `path` is what errors call it.
    pub(super) fn of(mut file: File, path: &Path) -> Result<ImageFile> {
        // The length of a block device is only known by seeking.
        let len =
            file.seek(SeekFrom::End(0)).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(ImageFile { file, path: path.to_owned(), len, format: Format::Raw })
    }

    /// The same file, known to be of this format from here on.
    pub(super) fn recognised(mut self, format: Format) -> ImageFile {
        self.format = format;
        self
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from `offset`; `what` names the structure that is cut off if the file is too short.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8], what: &str) -> Result<()> {
        let needed = offset.saturating_add(buf.len() as u64);
        if needed > self.len {
            return Err(self.truncated(what, needed));
        }
        self.file.read_exact_at(buf, offset).map_err(|source| Error::Read { path: self.path.clone(), source })
    }

    /// The first range at or after `from`, and before `end`, that the file system has data for. File systems and
    /// devices without an answer have data everywhere.
    pub(super) fn next_data(&self, from: u64, end: u64) -> io::Result<Option<Range<u64>>> {
        let end = end.min(self.len);
        if from >= end {
            return Ok(None);
        }
        // The file's own position moves, which no one uses: every read here names its offset.
        let start = match rustix::fs::seek(&self.file, SeekTo::Data(from)) {
            Ok(start) => start.max(from),
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(Some(from..end)),
            Err(errno) => return Err(errno.into()),
        };
        if start >= end {
            return Ok(None);
        }
        let hole = match rustix::fs::seek(&self.file, SeekTo::Hole(start)) {
            Ok(hole) => hole.min(end),
            Err(_) => end,
        };
        // A hole punched between the two calls makes them contradict each other; data is the safe answer.
        Ok(Some(start..if hole > start { hole } else { end }))
    }

    pub(super) fn truncated(&self, what: impl Into<String>, needed: u64) -> Error {
        Error::Truncated {
            path: self.path.clone(),
            format: self.format,
            what: what.into(),
            needed,
            len: self.len,
        }
    }

    pub(super) fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::Corrupt { path: self.path.clone(), format: self.format, what: what.into() }
    }

    pub(super) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), what: what.into() }
    }

    pub(super) fn backing(&self, what: impl Into<String>) -> Error {
        Error::Backing { path: self.path.clone(), format: self.format, what: what.into() }
    }

    pub(super) fn differencing(&self) -> Error {
        Error::Differencing { path: self.path.clone(), format: self.format }
    }
}
