//! Copying a store while it is used, for backups: what is in the copy already is not copied again.
//!
//! A copy holds the references of one moment and everything that they reach. That stays in the store until it has been
//! copied, since garbage collection waits. Packs and objects never change once they have their names, so one that the
//! copy has, at its full length, is right (`check` finds what is not).

use crate::directory::{Directory, LockFile};
use crate::durable::{names_in, read_bounded, remove_if_there, replace, sync_directory};
use crate::error::{Error, IoContext, Result};
use crate::lock::Lock;
use crate::refs;
use crate::{Maintenance, RefsLock, Store};
use operation::{Progress, Unit};
use rustix::fs::SeekFrom;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are copied between two looks at the caller's progress.
const CHUNK: usize = 4 << 20;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Files that the copy lacked.
    pub copied_files: u64,
    /// Their contents without holes, in bytes.
    pub copied_bytes: u64,
    /// Files of the copy that the store no longer has.
    pub removed_files: u64,
    /// References in the copy.
    pub refs: u64,
}

/// The references of one moment, and the promise that what they reach stays. See [`Store::begin_copy`].
pub struct Copying<'s> {
    store: &'s Store,
    /// Name of the file and its content.
    refs: Vec<(String, Vec<u8>)>,
    /// Held shared: nothing is removed.
    _collector: Lock,
}

impl Store {
    /// Takes the references as they are now. The lock that comes with it keeps them so: whoever copies something else
    /// that belongs to the same moment takes it before letting go.
    pub fn begin_copy(&self) -> Result<(Copying<'_>, RefsLock<'_>)> {
        let collector = Lock::shared(&self.directory().lock(LockFile::Collector))?;
        let lock = self.lock_refs()?;
        let mut refs = Vec::new();
        for name in names_in(&self.directory().refs())? {
            let path = self.directory().refs().join(&name);
            if let Some(bytes) = read_bounded(&path, refs::LONGEST_FILE)? {
                refs.push((name, bytes));
            }
        }
        Ok((Copying { store: self, refs, _collector: collector }, lock))
    }
}

impl Copying<'_> {
    /// Makes the store in `target` a copy; one that is none yet is made. Nobody may have it open meanwhile. A copy that
    /// was interrupted is a store that holds what it held before, and going on with it copies only the rest.
    pub fn run(&self, target: &Path, progress: &dyn Progress) -> Result<CopyReport> {
        if !Directory::new(target).format().exists() {
            drop(Store::init(target)?);
        }
        let _alone = Maintenance::lock(target)?;
        let from = self.store.directory();
        let mut report = CopyReport { refs: self.refs.len() as u64, ..CopyReport::default() };
        let files = Files::list(from)?;
        let total = files.packs.iter().map(|(_, length)| length).sum();
        progress.step("copying the store", Some(total), Unit::Bytes);

        let to = &Directory::new(target);
        for (name, length) in &files.packs {
            // An index makes its data a pack, so it comes second; the list has it so.
            self.take(&from.packs().join(name), &to.packs().join(name), *length, to, &mut report, progress)?;
            progress.advance(*length);
        }
        sync_directory(&to.packs())?;
        for (name, length) in &files.objects {
            let path = |directory: &Directory| directory.objects().join(&name[..2]).join(name);
            self.take(&path(from), &path(to), *length, to, &mut report, progress)?;
        }
        for first in 0..=255 {
            sync_directory(&to.object_bucket(first))?;
        }
        self.take_refs(to)?;
        remove_others(&to.packs(), files.packs.iter().map(|(name, _)| name), &mut report)?;
        for first in 0..=255 {
            let names = files.objects.iter().map(|(name, _)| name);
            remove_others(&to.object_bucket(first), names, &mut report)?;
        }
        self.take_lists(to)?;
        Ok(report)
    }

    /// Copies a file that the copy lacks.
    fn take(
        &self,
        from: &Path,
        to: &Path,
        length: u64,
        target: &Directory,
        report: &mut CopyReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        if fs::metadata(to).is_ok_and(|there| there.len() == length) {
            return Ok(());
        }
        let temporary = target.temporary().join("copy");
        remove_if_there(&temporary)?;
        report.copied_bytes += copy_file(from, &temporary, progress)?;
        report.copied_files += 1;
        fs::rename(&temporary, to).on("rename into place", to)
    }

    /// Gives the copy the references of the moment, and no others.
    fn take_refs(&self, to: &Directory) -> Result<()> {
        let temporary = to.temporary().join("copy");
        for (name, bytes) in &self.refs {
            let path = to.refs().join(name);
            if read_bounded(&path, refs::LONGEST_FILE)?.as_ref() != Some(bytes) {
                remove_if_there(&temporary)?;
                replace(&path, &temporary, bytes)?;
            }
        }
        let mut report = CopyReport::default();
        remove_others(&to.refs(), self.refs.iter().map(|(name, _)| name), &mut report)
    }

    /// Copies what an administrator keeps beside the store.
    fn take_lists(&self, to: &Directory) -> Result<()> {
        let from = self.store.directory();
        let mut lists = vec![PathBuf::from("never-captured.txt")];
        if from.root().join("recipes").is_dir() {
            fs::create_dir_all(to.root().join("recipes")).on("create", &to.root().join("recipes"))?;
            let names = names_in(&from.root().join("recipes"))?;
            lists.extend(names.into_iter().map(|name| Path::new("recipes").join(name)));
        }
        for list in lists {
            // A person edits them and may take one away meanwhile; 16 MiB is far more than a person writes.
            let (path, temporary) = (from.root().join(&list), to.temporary().join("copy"));
            if path.is_file()
                && let Some(bytes) = read_bounded(&path, 16 << 20)?
            {
                remove_if_there(&temporary)?;
                replace(&to.root().join(&list), &temporary, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Names and lengths of what never changes.
struct Files {
    /// Data before indexes.
    packs: Vec<(String, u64)>,
    objects: Vec<(String, u64)>,
}

impl Files {
    fn list(directory: &Directory) -> Result<Files> {
        let lengths = |folder: &Path, names: Vec<String>| -> Result<Vec<(String, u64)>> {
            names
                .into_iter()
                .map(|name| {
                    let path = folder.join(&name);
                    Ok((name, fs::metadata(&path).on("look at", &path)?.len()))
                })
                .collect()
        };
        let names = names_in(&directory.packs())?;
        // Data without an index is being written, or was left behind.
        let whole: HashSet<&str> = names.iter().filter_map(|name| name.strip_suffix(".idx")).collect();
        let (mut data, mut indexes) = (Vec::new(), Vec::new());
        for name in &names {
            match name.rsplit_once('.') {
                Some((id, "data")) if whole.contains(id) => data.push(name.clone()),
                Some((_, "idx")) => indexes.push(name.clone()),
                _ => {}
            }
        }
        data.extend(indexes);
        let packs = lengths(&directory.packs(), data)?;
        let mut objects = Vec::new();
        for first in 0..=255 {
            let bucket = directory.object_bucket(first);
            let names = names_in(&bucket)?.into_iter().filter(|name| name.len() == 64);
            objects.extend(lengths(&bucket, names.collect())?);
        }
        Ok(Files { packs, objects })
    }
}

/// Removes the files of a folder that are not among these.
fn remove_others<'n>(
    folder: &Path,
    names: impl Iterator<Item = &'n String>,
    report: &mut CopyReport,
) -> Result<()> {
    let keep: HashSet<&str> = names.map(String::as_str).collect();
    for name in names_in(folder)? {
        if !keep.contains(name.as_str()) {
            remove_if_there(&folder.join(&name))?;
            report.removed_files += 1;
        }
    }
    sync_directory(folder)
}

/// Copies the contents of a file and leaves its holes; gives the number of bytes that were copied. Flushed when done.
fn copy_file(from: &Path, to: &Path, progress: &dyn Progress) -> Result<u64> {
    let source = File::open(from).on("open", from)?;
    let target = crate::durable::create_new(to)?;
    let length = source.metadata().on("look at", from)?.len();
    target.set_len(length).on("write", to)?;
    let mut buffer = vec![0; CHUNK];
    let (mut at, mut copied) = (0, 0);
    while let Some(data) = next(&source, SeekFrom::Data(at), from)? {
        let end = next(&source, SeekFrom::Hole(data), from)?.unwrap_or(length);
        at = data;
        while at < end {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let part = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            source.read_exact_at(&mut buffer[..part], at).on("read", from)?;
            target.write_all_at(&buffer[..part], at).on("write", to)?;
            at += part as u64;
            copied += part as u64;
        }
    }
    target.sync_all().on("flush", to)?;
    Ok(copied)
}

/// Where the next data or hole is; `None` behind the last.
fn next(file: &File, seek: SeekFrom, path: &Path) -> Result<Option<u64>> {
    match rustix::fs::seek(file, seek) {
        Ok(found) => Ok(Some(found)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(std::io::Error::from(error)).on("look for data in", path),
    }
}
