//! Folders of files that belong together, such as exported layers: seen, fetched, filled and removed.
//!
//! Deliberately missing: what the files mean. Names come from the share and are hostile: what is no [`DiskName`] is not
//! seen, and what is seen is bounded.

use super::connector::open_local;
use super::local_file::{LocalFile, blocking};
use super::share::{Opening, RawEntry, Share, SharePath};
use super::transfer::{self, Progressed};
use crate::connector::{FolderFile, Removal};
use crate::error::{Error, Result};
use crate::key::OperationKey;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Most files and folders of a folder: layers of some 3 TiB.
const MOST_ENTRIES: usize = 100_000;
/// Most folders in each other below a folder.
const MOST_DEPTH: usize = 4;
/// What names begin with of hidden files that this program makes in a folder: copies under way, locks.
const OURS: &str = ".lamina";
/// Name of a local file that is being copied. No file of a share is called so.
const PART: &str = ".part";

/// Whether a folder is there. If it is not, the one that it would be in has to be.
pub(super) async fn exists(share: &dyn Share, name: &DiskName, place: &str) -> Result<bool> {
    let path = SharePath::from(name);
    if let Some(parent) = path.parent()
        && !share.has_folder(&parent).await?
    {
        let place = format!("folder {} in {place}", parent.as_str());
        return Err(Error::NoShare { place, reason: "it has to exist".to_owned() });
    }
    share.has_folder(&path).await
}

/// The files of a folder and of those in it, by name.
pub(super) async fn files(share: &dyn Share, folder: &DiskName, place: &str) -> Result<Vec<FolderFile>> {
    let mut open = vec![(None::<DiskName>, 0)];
    let mut files = Vec::new();
    let mut seen = 0;
    while let Some((below, depth)) = open.pop() {
        let path = match &below {
            Some(below) => SharePath::from(folder).join(below.as_str()),
            None => SharePath::from(folder),
        };
        let mut entries: Vec<RawEntry> = Vec::new();
        share
            .list(Some(&path), &mut |entry| {
                seen += 1;
                if seen <= MOST_ENTRIES {
                    entries.push(entry);
                }
            })
            .await?;
        if seen > MOST_ENTRIES {
            let (place, folder) = (place.to_owned(), folder.to_string());
            return Err(Error::FolderTooLarge { place, folder, most: MOST_ENTRIES });
        }
        for entry in entries {
            let text = match &below {
                Some(below) => format!("{below}/{}", entry.name),
                None => entry.name,
            };
            let Ok(name) = text.parse::<DiskName>() else { continue };
            if entry.folder {
                if depth < MOST_DEPTH {
                    open.push((Some(name), depth + 1));
                }
                continue;
            }
            let bytes = match entry.bytes {
                Some(bytes) => bytes,
                None => match share.stamp(&SharePath::from(folder).join(name.as_str())).await {
                    Ok(Some(stamp)) => stamp.bytes,
                    // It went, or became something else, since it was listed.
                    Ok(None) | Err(Error::NotPlain { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            files.push(FolderFile { name, bytes });
        }
    }
    files.sort();
    Ok(files)
}

/// Nothing of one file is kept: a copy that was interrupted begins anew.
struct Unrecorded;

#[async_trait]
impl Progressed for Unrecorded {
    async fn reached(&mut self, _offset: u64) -> Result<()> {
        Ok(())
    }
}

/// Copies files to the same names in a local folder.
pub(super) async fn fetch(
    share: &dyn Share,
    folder: &DiskName,
    files: &[FolderFile],
    target: &Path,
    place: &str,
    watch: &Watch,
) -> Result<()> {
    watch.step("copy from the share", files.iter().map(|file| file.bytes).sum());
    for file in files {
        watch.check()?;
        let local = target.join(file.name.as_str());
        if local_bytes(&local).await? == Some(file.bytes) {
            watch.advance(file.bytes);
            continue;
        }
        let path = SharePath::from(folder).join(file.name.as_str());
        let changed =
            |reason| Error::Changed { place: place.to_owned(), name: path.as_str().to_owned(), reason };
        let (source, stamp) = share.read(&path).await?;
        let copied = async {
            if stamp.bytes != file.bytes {
                return Err(changed("it has another length"));
            }
            let part = target.join(PART);
            let made = local_io("making", &part, {
                let (part, parent) = (part.clone(), local.parent().unwrap_or(target).to_owned());
                move || {
                    fs::create_dir_all(parent)?;
                    File::create(part)
                }
            });
            let sink = LocalFile::new(made.await?, &part.display().to_string());
            super::share::Sink::set_len(&sink, file.bytes).await?;
            transfer::copy(&*source, &sink, 0..file.bytes, watch, &mut Unrecorded).await?;
            local_io("naming", &local, {
                let local = local.clone();
                move || fs::rename(part, local)
            })
            .await
        }
        .await;
        source.close().await?;
        copied?;
        if share.stamp(&path).await?.as_ref() != Some(&stamp) {
            return Err(changed("it was written while it was copied"));
        }
    }
    Ok(())
}

/// Copies local files to the same names in a folder.
pub(super) async fn deliver(
    share: &dyn Share,
    key: &OperationKey,
    folder: &DiskName,
    files: &[DiskName],
    source: &Path,
    watch: &Watch,
) -> Result<()> {
    let mut total = 0;
    for file in files {
        total += local_bytes(&source.join(file.as_str())).await?.unwrap_or(0);
    }
    watch.step("copy to the share", total);
    let root = SharePath::from(folder);
    share.make_folder(&root).await?;
    let mut made = BTreeSet::new();
    for file in files {
        watch.check()?;
        for above in folders_of(file) {
            if made.insert(above.clone()) {
                share.make_folder(&root.join(&above)).await?;
            }
        }
        put(share, &part_of(key, &root), &root.join(file.as_str()), &source.join(file.as_str()), watch)
            .await?;
    }
    Ok(())
}

/// Puts a copy of a local file in the place `to`, by way of `part`.
async fn put(share: &dyn Share, part: &SharePath, to: &SharePath, local: &Path, watch: &Watch) -> Result<()> {
    let (file, state) = open_local(local).await?;
    let there = share.stamp(to).await?;
    if there.as_ref().is_some_and(|there| there.bytes == state.bytes) {
        let (held, _) = share.read(to).await?;
        let same = transfer::same(&file, &*held, state.bytes, watch).await;
        held.close().await?;
        if same? {
            return Ok(());
        }
    }
    share.remove(part).await?;
    let sink = share.write(part, Opening::New).await?;
    let copied = async {
        sink.set_len(state.bytes).await?;
        transfer::copy(&file, &*sink, 0..state.bytes, watch, &mut Unrecorded).await
    }
    .await;
    sink.close().await?;
    copied?;
    if there.is_some() && to.parent() != part.parent() {
        share.remove(to).await?;
    }
    if to.parent() == part.parent() {
        return share.replace(part, to).await;
    }
    share.rename_new(part, to).await
}

/// Removes files and the folders that are empty then.
pub(super) async fn remove(
    share: &dyn Share,
    key: &OperationKey,
    folder: &DiskName,
    files: &[DiskName],
) -> Result<Removal> {
    let root = SharePath::from(folder);
    if !share.has_folder(&root).await? {
        return Ok(Removal::WasGone);
    }
    share.remove(&part_of(key, &root)).await?;
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for file in files {
        share.remove(&root.join(file.as_str())).await?;
        folders.extend(folders_of(file));
    }
    // A folder comes before what is in it.
    for inner in folders.iter().rev().map(|inner| root.join(inner)) {
        if share.has_folder(&inner).await? && !is_filled(share, &inner).await? {
            share.remove_folder(&inner).await?;
        }
    }
    let (mut ours, mut others) = (Vec::new(), 0);
    share
        .list(Some(&root), &mut |entry| {
            if !entry.folder && entry.name.starts_with(OURS) && ours.len() < MOST_ENTRIES {
                ours.push(entry.name);
            } else {
                others += 1;
            }
        })
        .await?;
    if others > 0 {
        return Ok(Removal::Left(format!("{} stays, because something else is in it", root.as_str())));
    }
    for name in ours {
        share.remove(&root.join(&name)).await?;
    }
    share.remove_folder(&root).await?;
    Ok(Removal::Removed)
}

/// Whether anything is in a folder.
async fn is_filled(share: &dyn Share, folder: &SharePath) -> Result<bool> {
    let mut filled = false;
    share.list(Some(folder), &mut |_| filled = true).await?;
    Ok(filled)
}

/// Where a file is while it is being copied into a folder.
fn part_of(key: &OperationKey, root: &SharePath) -> SharePath {
    root.join(&format!(".lamina-{key}.part"))
}

/// The folders of a file, outermost first.
fn folders_of(file: &DiskName) -> Vec<String> {
    let slashes = file.as_str().match_indices('/').map(|(at, _)| at);
    slashes.map(|at| file.as_str()[..at].to_owned()).collect()
}

/// The length of a local file; `None` when there is none.
async fn local_bytes(path: &Path) -> Result<Option<u64>> {
    let owned = path.to_owned();
    local_io("examining", path, move || match fs::metadata(owned) {
        Ok(facts) => Ok(Some(facts.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

async fn local_io<T: Send + 'static>(
    doing: &str,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let shown = path.display().to_string();
    blocking(work).await.map_err(|source| Error::io(format!("{doing} {shown}"), &shown, source))
}
