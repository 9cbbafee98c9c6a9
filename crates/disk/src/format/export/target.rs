//! The file that is being written: nameless to others until it is complete.

use super::super::{Error, Result};
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file beside the target that takes the target's name when it is complete. Dropped before that, it goes.
pub(super) struct Target {
    file: NamedTempFile,
    out: PathBuf,
    directory: PathBuf,
    overwrite: bool,
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
        Ok(Target { file, out: out.to_owned(), directory, overwrite })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.as_file().write_all_at(bytes, at).map_err(|source| failure(&self.out, source))
    }

    /// Makes `at .. at + len` the bytes of `file` from `from`, shared where the file system can.
    pub(super) fn share(&self, at: u64, file: &File, from: u64, len: u64) -> Result<()> {
        let (mut from, mut at) = (from, at);
        let end = at + len;
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
