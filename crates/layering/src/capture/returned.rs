//! A disk that comes back from a packaging machine: whether it is one, whether it is the right one, what it changed.

use crate::contents::Equality;
use crate::error::Rule;
use crate::marker::Marker;
use crate::os_volume::OsVolume;
use crate::{Error, Result};
use disk::partition::PartitionTable;
use disk::{BLOCK, BlockSet, ByteSource, ExtentMap, MappedDisk, SourceId, SourceRange, SourceWindow};
use operation::Progress;
use std::sync::Arc;
use volume::Tree;

/// How much longer than its composite a disk may have become by being rounded up in another format, bytes: fixed VHDs
/// have whole MiB.
const ROUNDING: u64 = 1 << 20;

/// How many blocks are compared to see that known changes are those of this disk.
const SAMPLES: u64 = 128;

/// A returned disk, found its way around in.
pub(super) struct Returned {
    pub(super) disk: Arc<dyn ByteSource>,
    pub(super) volume: OsVolume,
    pub(super) tree: Tree,
}

/// What a returned disk is compared with.
pub(super) struct Origin<'a> {
    pub(super) disk: &'a Arc<dyn ByteSource>,
    pub(super) volume: &'a OsVolume,
    pub(super) marker: &'a Marker,
    /// What composing wrote.
    pub(super) written: &'a BlockSet,
}

impl Origin<'_> {
    /// Looks at some of the blocks that composing wrote and that are not among the changed ones: where one is not the
    /// same on the returned disk. Two ways of composing the same layers differ in almost all of what they write.
    fn first_difference(&self, returned: &dyn ByteSource, changed: &BlockSet) -> Result<Option<u64>> {
        let blocks = self.written.bytes() / BLOCK;
        let step = (blocks / SAMPLES).max(1);
        let (mut ours, mut theirs) = (vec![0; BLOCK as usize], vec![0; BLOCK as usize]);
        let all = self.written.iter().flat_map(|range| range.step_by(BLOCK as usize));
        for at in all.step_by(step as usize) {
            if at + BLOCK > self.disk.len() || changed.intersects(at..at + BLOCK) {
                continue;
            }
            self.disk.read_exact_at(at, &mut ours).map_err(Error::io("reading the composite"))?;
            returned.read_exact_at(at, &mut theirs).map_err(Error::io("reading the returned disk"))?;
            if ours != theirs {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

impl Returned {
    /// Finds its way around in a disk and refuses one that was not made from the composite, or was not shut down.
    /// Where the changed blocks are known, nothing else of the disk is read than these and what tells its descent.
    pub(super) fn open(
        disk: Arc<dyn ByteSource>,
        name: &str,
        origin: &Origin<'_>,
        known: Option<&BlockSet>,
        progress: &dyn Progress,
    ) -> Result<Returned> {
        let not_descended =
            |reason: String| Error::from(Rule::NotDescended { disk: name.to_owned(), reason });
        if disk.len() < origin.disk.len() {
            let (found, needed) = (disk.len(), origin.disk.len());
            return Err(not_descended(format!("it has {found} bytes, the composite {needed}")));
        }
        let disk =
            without_rounding(disk, origin.disk.len()).map_err(Error::io("reading the end of the disk"))?;
        let table = PartitionTable::read(&*disk)
            .map_err(|source| Error::Partition { context: name.to_owned(), source })?;
        if table.scheme != origin.volume.table.scheme {
            return Err(not_descended("its partition table has another identity".into()));
        }
        let before = &origin.volume.partition;
        let partition = table
            .partition(before.number)
            .filter(|partition| partition.start == before.start && partition.guid == before.guid);
        let Some(partition) = partition.cloned() else {
            return Err(not_descended(format!("partition {} is not where the OS volume was", before.number)));
        };
        let volume = OsVolume { table, partition };
        let window = volume.window(&disk)?;
        let facts = ntfs_volume::facts(&window).map_err(Error::volume(volume.context(name)))?;
        let ours = ntfs_volume::facts(&origin.volume.window(origin.disk)?)
            .map_err(Error::volume("the composite"))?;
        if facts.serial != ours.serial {
            return Err(not_descended("its OS volume has another serial number".into()));
        }
        let seen = match known {
            Some(changed) => {
                if let Some(at) = origin.first_difference(&*disk, changed)? {
                    return Err(not_descended(format!(
                        "byte {at} is not among the changed ones, but it is not what the composite has: the \
                         changes are counted from another state, or the disk was made by another version of Lamina"
                    )));
                }
                patched(origin.disk, &disk, changed)?
            }
            None => Arc::clone(&disk),
        };
        let tree = volume.scan_shut_down(&seen, name, progress)?;
        // The mark is read from the disk itself: seen through its known changes, any disk would have it.
        match Marker::read(&window, &tree)? {
            None => Err(not_descended(format!("{} is missing from its root", crate::marker::FILE))),
            Some(found) if found.composite != origin.marker.composite => {
                let (made_of, needed) = (found.contains.join(" + "), origin.marker.contains.join(" + "));
                Err(not_descended(format!("it was made from {made_of}, not from {needed}")))
            }
            Some(found) if found.lists.is_some() && found.lists != origin.marker.lists => {
                Err(not_descended(
                    "the lists of registry values that are merged were changed since it was made (registry-lists.txt \
                     in the store, or another version of Lamina): what its layers merged to then is not what they \
                     merge to now; put them back as they were, capture, and change them afterwards"
                        .into(),
                ))
            }
            Some(_) => Ok(Returned { disk: seen, volume, tree }),
        }
    }
}

/// The disk without what was added to round its length up.
fn without_rounding(disk: Arc<dyn ByteSource>, len: u64) -> std::io::Result<Arc<dyn ByteSource>> {
    let more = disk.len() - len;
    if more == 0 || more >= ROUNDING {
        return Ok(disk);
    }
    let mut end = vec![0; more as usize];
    disk.read_exact_at(len, &mut end)?;
    if end.iter().any(|&byte| byte != 0) {
        return Ok(disk);
    }
    let window = SourceWindow::new(disk, 0, len).map_err(std::io::Error::other)?;
    Ok(Arc::new(window))
}

/// `base` with the blocks that changed taken from `new`.
fn patched(
    base: &Arc<dyn ByteSource>,
    new: &Arc<dyn ByteSource>,
    changed: &BlockSet,
) -> Result<Arc<dyn ByteSource>> {
    let whole = |error| Error::record("the changed blocks", &error);
    let mut map = ExtentMap::new(new.len());
    map.splice(0, base.len(), SourceRange { source: SourceId(0), offset: 0 }).map_err(whole)?;
    for range in changed.iter() {
        let start = range.start / BLOCK * BLOCK;
        let end = range.end.min(new.len()).next_multiple_of(BLOCK).min(new.len());
        if start < end {
            map.splice(start, end - start, SourceRange { source: SourceId(1), offset: start })
                .map_err(whole)?;
        }
    }
    let disk = MappedDisk::new(map, vec![Arc::clone(base), Arc::clone(new)]).map_err(whole)?;
    Ok(Arc::new(disk))
}

/// The part of a set of ranges of the disk that lies in the OS volume, in its terms.
pub(super) fn within(blocks: &BlockSet, volume: &OsVolume) -> Equality {
    let (start, end) = (volume.partition.start, volume.partition.end());
    let inside = blocks.iter().filter(|range| range.start < end && range.end > start);
    Equality::Changed(
        inside.map(|range| range.start.max(start) - start..range.end.min(end) - start).collect(),
    )
}
