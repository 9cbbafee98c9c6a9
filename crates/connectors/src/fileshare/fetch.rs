//! Copies of disks in a scratch folder, which an interrupted fetch goes on with.
//!
//! ```text
//! SCRATCH/KEY.part    the copy while it is not complete
//! SCRATCH/KEY.json    of which file it is, and how much of it is durable; replaced as a whole
//! SCRATCH/KEY.disk    the complete copy
//! ```

use super::local_file::{LocalFile, blocking};
use super::share::{Share, SharePath, Sink};
use super::transfer::{self, Progressed};
use crate::connector::DiskStamp;
use crate::error::{Error, Result};
use crate::key::OperationKey;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// More than any note needs, bytes.
const MOST_NOTE_BYTES: u64 = 16 << 10;

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    name: DiskName,
    stamp: DiskStamp,
    /// Everything before this offset, bytes, is durable.
    durable: u64,
}

/// The copy of one disk that one operation makes.
pub(super) struct Copy<'a> {
    name: &'a DiskName,
    part: PathBuf,
    note: PathBuf,
    disk: PathBuf,
}

impl<'a> Copy<'a> {
    pub(super) fn new(key: &OperationKey, name: &'a DiskName, scratch: &Path) -> Copy<'a> {
        let [part, note, disk] = files(key, scratch);
        Copy { name, part, note, disk }
    }

    /// Makes the copy, or completes one that was begun of the same state of the disk. Gives its path, and the state
    /// that it is of.
    pub(super) async fn make(
        &self,
        share: &dyn Share,
        found: DiskStamp,
        place: &str,
        watch: &Watch,
    ) -> Result<(PathBuf, DiskStamp)> {
        let noted = self.read_note().await?.filter(|note| note.stamp == found && note.name == *self.name);
        if noted.is_some() && exists(&self.disk).await? {
            return Ok((self.disk.clone(), found));
        }
        let path = SharePath::from(self.name);
        let (source, stamp) = share.read(&path).await?;
        let copied = self.copy(&*source, &stamp, noted.filter(|note| note.stamp == stamp), watch).await;
        source.close().await?;
        copied?;
        if share.stamp(&path).await?.as_ref() != Some(&stamp) {
            let (place, name) = (place.to_owned(), self.name.to_string());
            return Err(Error::Changed { place, name, reason: "it was written while it was copied" });
        }
        let (part, disk) = (self.part.clone(), self.disk.clone());
        run("naming", &self.disk, move || {
            fs::rename(&part, &disk)?;
            sync_folder_of(&disk)
        })
        .await?;
        Ok((self.disk.clone(), stamp))
    }

    async fn copy(
        &self,
        source: &dyn super::share::Source,
        stamp: &DiskStamp,
        noted: Option<Note>,
        watch: &Watch,
    ) -> Result<()> {
        let part = self.part.clone();
        let going_on = noted.is_some();
        let file = run("opening", &self.part, move || {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            if going_on {
                match options.open(&part) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    file => return file.map(|file| (file, true)),
                }
            }
            remove_if_there(&part)?;
            options.create_new(true).open(&part).map(|file| (file, false))
        });
        let (file, existing) = file.await?;
        let sink = LocalFile::new(file, &self.part.display().to_string());
        sink.set_len(stamp.bytes).await?;
        let from = noted.filter(|_| existing).map_or(0, |note| note.durable.min(stamp.bytes));
        let mut progress = Fetching { copy: self, stamp: stamp.clone() };
        if from == 0 {
            progress.reached(0).await?;
        }
        watch.step("copy from the share", stamp.bytes);
        watch.advance(from);
        transfer::copy(source, &sink, from..stamp.bytes, watch, &mut progress).await?;
        progress.reached(stamp.bytes).await
    }

    async fn read_note(&self) -> Result<Option<Note>> {
        let note = self.note.clone();
        run("reading", &self.note, move || {
            let file = match File::open(&note) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            let mut bytes = Vec::new();
            file.take(MOST_NOTE_BYTES).read_to_end(&mut bytes)?;
            // A note that cannot be understood is one that there is not: the copy begins anew.
            Ok(serde_json::from_slice(&bytes).ok())
        })
        .await
    }
}

struct Fetching<'a> {
    copy: &'a Copy<'a>,
    stamp: DiskStamp,
}

#[async_trait]
impl Progressed for Fetching<'_> {
    async fn reached(&mut self, offset: u64) -> Result<()> {
        let note = Note { name: self.copy.name.clone(), stamp: self.stamp.clone(), durable: offset };
        let target = self.copy.note.clone();
        run("writing", &self.copy.note, move || {
            let bytes = serde_json::to_vec(&note)?;
            let new = target.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &target)?;
            sync_folder_of(&target)
        })
        .await
    }
}

/// Removes the copy of an operation, complete or not; fine when there is none.
pub(super) async fn release(key: &OperationKey, scratch: &Path) -> Result<()> {
    let [part, note, disk] = files(key, scratch);
    let shown = disk.clone();
    run("removing", &shown, move || {
        for path in [&part, &disk, &note.with_extension("new"), &note] {
            remove_if_there(path)?;
        }
        match sync_folder_of(&note) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    })
    .await
}

fn files(key: &OperationKey, scratch: &Path) -> [PathBuf; 3] {
    ["part", "json", "disk"].map(|extension| scratch.join(format!("{key}.{extension}")))
}

async fn exists(path: &Path) -> Result<bool> {
    let owned = path.to_owned();
    run("examining", path, move || owned.try_exists()).await
}

async fn run<T: Send + 'static>(
    doing: &str,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let shown = path.display().to_string();
    blocking(work).await.map_err(|source| Error::io(format!("{doing} {shown}"), &shown, source))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
