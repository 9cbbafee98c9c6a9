//! A file that is written beside its place and takes its name when it is complete and durable.

use crate::{Error, Result};
use disk::format;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A new file; dropped before it is complete, it goes.
pub(crate) struct NewFile {
    file: BufWriter<NamedTempFile>,
    out: PathBuf,
    directory: PathBuf,
}

impl NewFile {
    /// Begins a file that is to be called `out`, which must not exist.
    pub(crate) fn create(out: &Path) -> Result<NewFile> {
        if out.symlink_metadata().is_ok() {
            return Err(format::Error::Exists { path: out.to_owned() }.into());
        }
        let directory = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = tempfile::Builder::new()
            .prefix(&format::part_prefix(std::process::id()))
            .suffix(format::PART_SUFFIX)
            // What the creator of any other file would get; the umask is taken off.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&directory)
            .map_err(|source| failure(out, source))?;
        Ok(NewFile { file: BufWriter::new(file), out: out.to_owned(), directory })
    }

    /// Where to write.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    /// The error that writing failed.
    pub(crate) fn failed(out: &Path) -> impl Fn(io::Error) -> Error + '_ {
        |source| failure(out, source)
    }

    /// Makes everything durable and gives the file its name; gives its length, bytes.
    pub(crate) fn complete(self) -> Result<u64> {
        let NewFile { file, out, directory } = self;
        let fail = |source| failure(&out, source);
        let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
        file.as_file().sync_all().map_err(fail)?;
        let len = file.as_file().metadata().map_err(fail)?.len();
        file.persist_noclobber(&out).map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => Error::from(format::Error::Exists { path: out.clone() }),
            _ => fail(error.error),
        })?;
        File::open(&directory).and_then(|directory| directory.sync_all()).map_err(fail)?;
        Ok(len)
    }
}

fn failure(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    let error = match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format::Error::NoRoom { path, source },
        _ => format::Error::Write { path, source },
    };
    error.into()
}
