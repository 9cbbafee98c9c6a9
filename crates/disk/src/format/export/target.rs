//! The file that is being written: nameless to others until it is complete.

use super::super::{Error, Result};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// Bytes from which on a write goes past the page cache, where its place in file and memory allows that. Fewer bytes
/// are better collected by the kernel: every direct write waits for the device.
const DIRECT_MIN: usize = 64 << 10;
/// What direct writes are aligned to, bytes: the largest logical sector of today's devices.
pub(super) const DIRECT_ALIGN: usize = 4096;
/// By how many bytes the file is made longer ahead of what is written: file systems let only one writer at a time
/// change the length of a file, but several write within it.
const GROW: u64 = 256 << 20;

/// A file beside the target that takes the target's name when it is complete. Dropped before that, it goes.
pub(super) struct Target {
    file: NamedTempFile,
    /// The same file, opened for writing past the page cache, where the file system has that. An image is written once
    /// and larger than what others keep in the cache, and pages for it are no cheaper than the writing itself.
    direct: Option<File>,
    noted: Mutex<Noted>,
    out: PathBuf,
    directory: PathBuf,
    overwrite: bool,
}

/// What is known of the length of the file while several threads write, bytes.
#[derive(Default)]
struct Noted {
    /// It was made so long.
    set: u64,
    /// No write reaches further, neither one that is done nor one that goes on.
    end: u64,
}

impl Target {
    pub(super) fn create(out: &Path, overwrite: bool) -> Result<Target> {
        if !overwrite && out.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: out.to_owned() });
        }
        let directory = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".export-")
            .suffix(".part")
            // What the creator of any other file would get; the umask is taken off.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&directory)
            .map_err(|source| failure(out, source))?;
        let direct = OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed())
            .open(file.path())
            .ok();
        Ok(Target { file, direct, noted: Mutex::default(), out: out.to_owned(), directory, overwrite })
    }

    /// Whether writes can go past the page cache. Then several threads that write at once are faster than one.
    pub(super) fn has_direct(&self) -> bool {
        self.direct.is_some()
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let fail = |source| failure(&self.out, source);
        self.reaches(at + bytes.len() as u64, false).map_err(fail)?;
        let rest = match self.direct_part(at, bytes) {
            None => 0,
            Some((direct, len)) => {
                self.reaches(at + len as u64, true).map_err(fail)?;
                match direct.write_all_at(&bytes[..len], at) {
                    Ok(()) => len,
                    // The file system has the flag, and not the operation at this place.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => 0,
                    Err(error) => return Err(fail(error)),
                }
            }
        };
        self.file.as_file().write_all_at(&bytes[rest..], at + rest as u64).map_err(fail)
    }

    /// How many of the bytes can be written past the page cache, if that is worth it.
    fn direct_part(&self, at: u64, bytes: &[u8]) -> Option<(&File, usize)> {
        let direct = self.direct.as_ref()?;
        let len = bytes.len() / DIRECT_ALIGN * DIRECT_ALIGN;
        let aligned =
            at.is_multiple_of(DIRECT_ALIGN as u64) && bytes.as_ptr().addr().is_multiple_of(DIRECT_ALIGN);
        (len >= DIRECT_MIN && aligned).then_some((direct, len))
    }

    /// Takes note, before it happens, that the file will reach to `end`; where asked, makes it that long ahead. Only
    /// what is longer than all that was noted is set: nobody's bytes are cut off.
    fn reaches(&self, end: u64, ahead: bool) -> io::Result<()> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.set < end && ahead {
            let to = end.max(noted.end).next_multiple_of(GROW);
            self.file.as_file().set_len(to)?;
            (noted.set, noted.end) = (to, to);
        }
        noted.end = noted.end.max(end);
        Ok(())
    }

    /// Makes `at .. at + len` the bytes of `file` from `from`, shared where the file system can.
    pub(super) fn share(&self, at: u64, file: &File, from: u64, len: u64) -> Result<()> {
        let (mut from, mut at) = (from, at);
        let end = at + len;
        self.reaches(end, false).map_err(|source| failure(&self.out, source))?;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(file, Some(&mut from), self.file.as_file(), Some(&mut at), left)
            {
                Ok(0) => {
                    let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter");
                    return Err(Error::Source { offset: from, source });
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failure(&self.out, errno.into())),
            }
        }
        Ok(())
    }

    /// Sets the length, makes everything durable, and gives the file its name.
    pub(super) fn complete(self, len: u64) -> Result<()> {
        let fail = |source| failure(&self.out, source);
        self.file.as_file().set_len(len).map_err(fail)?;
        self.file.as_file().sync_all().map_err(fail)?;
        let persisted = match self.overwrite {
            true => self.file.persist(&self.out),
            false => self.file.persist_noclobber(&self.out),
        };
        if let Err(error) = persisted {
            return Err(match error.error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists { path: self.out.clone() },
                _ => failure(&self.out, error.error),
            });
        }
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failure(&self.out, source))
    }
}

fn failure(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoRoom { path, source },
        _ => Error::Write { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::super::aligned::AlignedBuffer;
    use super::*;

    #[test]
    fn bytes_land_where_they_belong_whether_the_page_cache_is_passed_by_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("image");
        let target = Target::create(&out, false).unwrap();
        let mut bytes = AlignedBuffer::new(3 * DIRECT_MIN);
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index % 251) as u8 + 1;
        }
        let mut expected = vec![0; 40 * DIRECT_MIN];
        // Aligned, with a tail, at an odd place, from an odd place of memory, short, and far ahead of the others.
        for (at, part) in [
            (0, 0..2 * DIRECT_MIN),
            (3 * DIRECT_MIN, 0..DIRECT_MIN + 100),
            (6 * DIRECT_MIN + 512, 0..DIRECT_MIN),
            (9 * DIRECT_MIN, 512..2 * DIRECT_MIN),
            (12 * DIRECT_MIN, 0..DIRECT_ALIGN),
            (36 * DIRECT_MIN, 0..3 * DIRECT_MIN),
            (4 * DIRECT_MIN + 4096, 8192..2 * DIRECT_MIN),
        ] {
            target.write(at as u64, &bytes[part.clone()]).unwrap();
            expected[at..][..part.len()].copy_from_slice(&bytes[part]);
        }
        target.complete(expected.len() as u64).unwrap();
        assert!(std::fs::read(&out).unwrap() == expected);
    }

    #[test]
    fn what_is_written_or_noted_further_ahead_is_not_cut_off_by_making_the_file_longer() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("image");
        let target = Target::create(&out, false).unwrap();
        let bytes = AlignedBuffer::new(DIRECT_MIN);
        target.write(GROW + DIRECT_MIN as u64, b"the end of the disk").unwrap();
        target.write(0, &bytes).unwrap();
        target.write(2 * GROW, &bytes).unwrap();
        target.complete(4 * GROW).unwrap();
        let mut read = [0; 19];
        File::open(&out).unwrap().read_exact_at(&mut read, GROW + DIRECT_MIN as u64).unwrap();
        assert_eq!(&read, b"the end of the disk");
    }
}
