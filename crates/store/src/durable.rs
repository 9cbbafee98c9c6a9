//! Writing files so that a crash leaves either the old state or the new one, never something between.

use crate::error::{IoContext, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).on("flush directory", path)
}

/// Creates a file that must not exist yet, open for reading and writing.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path).on("create", path)
}

/// Puts a file with these bytes at `target`, replacing what was there, by way of `temporary` on the same file system.
/// When it returns the file is durable; when it fails the old one is still there and `temporary` is not.
pub(crate) fn replace(target: &Path, temporary: &Path, bytes: &[u8]) -> Result<()> {
    let written = create_new(temporary).and_then(|mut file| {
        file.write_all(bytes).on("write", temporary)?;
        file.sync_all().on("flush", temporary)?;
        fs::rename(temporary, target).on("rename into place", target)
    });
    if let Err(error) = written {
        remove_if_there(temporary)?;
        return Err(error);
    }
    let parent = target.parent().unwrap_or(Path::new("."));
    sync_directory(parent)
}

/// Removes a file; that it is gone already is fine.
pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).on("remove", path),
        _ => Ok(()),
    }
}

/// The bytes of a file, or `None` when there is no such file. A file longer than `limit` bytes is read only to
/// one byte beyond it, which its decoder then refuses.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.on("open", path)?,
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).on("read", path)?;
    Ok(Some(bytes))
}

/// The names in a directory, those that are not UTF-8 left out: the store gives no such names.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).on("list", path)? {
        if let Ok(name) = entry.on("list", path)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
