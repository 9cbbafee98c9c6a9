//! The file that is being written: nameless to others until it is complete.

use super::super::{Error, PART_SUFFIX, Result, part_prefix};
use direct::Direct;
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// By how many bytes the file is made longer ahead of what is written: file systems let only one writer at a time
/// change the length of a file, but several write within it.
const GROW: u64 = 256 << 20;

/// A file beside the target that takes the target's name when it is complete. Dropped before that, it goes.
pub(super) struct Target {
    file: NamedTempFile,
    /// The same file, past the page cache.
    direct: Direct,
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
            .prefix(&part_prefix(std::process::id()))
            .suffix(PART_SUFFIX)
            // What the creator of any other file would get; the umask is taken off.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&directory)
            .map_err(|source| failure(out, source))?;
        let direct = Direct::open(file.path());
        Ok(Target { file, direct, noted: Mutex::default(), out: out.to_owned(), directory, overwrite })
    }

    /// Whether writes can go past the page cache. Then several threads that write at once are faster than one.
    pub(super) fn has_direct(&self) -> bool {
        self.direct.is_available()
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let fail = |source| failure(&self.out, source);
        self.reaches(at + bytes.len() as u64, false).map_err(fail)?;
        if let len @ 1.. = self.direct.len_of(at, bytes) {
            self.reaches(at + len as u64, true).map_err(fail)?;
        }
        self.direct.write_all_at(self.file.as_file(), bytes, at).map_err(fail)
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
    use super::*;
    use direct::AlignedBuffer;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_written_or_noted_further_ahead_is_not_cut_off_by_making_the_file_longer() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("image");
        let target = Target::create(&out, false).unwrap();
        let bytes = AlignedBuffer::new(64 << 10);
        target.write(GROW + (64 << 10), b"the end of the disk").unwrap();
        target.write(0, &bytes).unwrap();
        target.write(2 * GROW, &bytes).unwrap();
        target.complete(4 * GROW).unwrap();
        let mut read = [0; 19];
        File::open(&out).unwrap().read_exact_at(&mut read, GROW + (64 << 10)).unwrap();
        assert_eq!(&read, b"the end of the disk");
    }
}
