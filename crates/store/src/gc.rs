//! Removing what nothing needs any more, beside writers and readers. `docs/store-format.md`, "Garbage collection".
//!
//! First, with nobody waiting: mark what references and leases reach, decide which packs are dead or mostly dead, copy
//! what lives in the latter into new packs. Then, under the exclusive sweep lock and therefore short: mark what has
//! been referenced or pinned meanwhile, and remove what is still garbage.
//!
//! Mostly dead packs are compacted by copying rather than by punching holes: every file stays what its index says,
//! which any reader can verify; a copied blob is verified on the way; and it works on file systems without holes.

use crate::directory::{Directory, LockFile};
use crate::durable::{names_in, remove_if_there, sync_directory};
use crate::error::{Error, IoContext, Result};
use crate::id::SessionId;
use crate::index::{Entry, Index};
use crate::lock::Lock;
use crate::session::{Pinned, read_leases};
use crate::{BLOCK, BlobId, Location, ObjectId, PackId, Store};
use operation::{Progress, Unit};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// What garbage collection removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Objects removed.
    pub objects: u64,
    /// Blobs removed. Dead blobs in packs that are mostly alive stay and are not counted.
    pub blobs: u64,
    /// Bytes given back to the file system; in a dry run, without what compaction would have to write again.
    pub bytes: u64,
    /// Packs removed because nothing in them is needed.
    pub packs_removed: u64,
    /// Packs whose needed blobs were copied into a new pack before they were removed.
    pub packs_compacted: u64,
    /// Packs that stay only because a session uses them or because what is needed of them cannot be read.
    pub packs_kept: u64,
    /// Remains of interrupted work that were removed.
    pub leftovers: u64,
}

/// What references and leases reach.
#[derive(Default)]
struct Marked {
    objects: HashSet<ObjectId>,
    blobs: HashSet<BlobId>,
}

/// What is garbage as far as the first look told.
struct Plan {
    /// All objects that there were. Later ones have not been judged.
    judged: HashSet<ObjectId>,
    /// Dead objects and their links.
    objects: HashMap<ObjectId, Vec<ObjectId>>,
    packs: BTreeMap<PackId, Garbage>,
}

/// A pack that shall go.
struct Garbage {
    index: Arc<Index>,
    /// The blobs that have to be copied first.
    copy: Vec<Entry>,
    /// Blobs that are needed, but are in another pack too.
    elsewhere: Vec<(Entry, Location)>,
}

impl Marked {
    /// Marks what `roots` reach. Roots of leases may not exist yet; everything else must, or nothing may be removed.
    fn mark(
        &mut self,
        store: &Store,
        roots: &[ObjectId],
        may_lack: bool,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut queue: Vec<(ObjectId, bool)> = roots.iter().map(|id| (*id, may_lack)).collect();
        while let Some((id, may_lack)) = queue.pop() {
            if self.objects.contains(&id) {
                continue;
            }
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let object = match store.get_object(id) {
                Err(Error::NoObject { .. }) if may_lack => continue,
                object => object?,
            };
            self.objects.insert(id);
            self.blobs.extend(object.blobs);
            queue.extend(object.links.into_iter().map(|link| (link, false)));
            progress.advance(1);
        }
        Ok(())
    }

    /// Marks from all references and all leases as they are now.
    fn mark_all(&mut self, store: &Store, progress: &dyn Progress) -> Result<Pinned> {
        let pinned = read_leases(&store.directory().sessions())?;
        let refs: Vec<ObjectId> = store.refs("")?.into_iter().map(|(_, object)| object).collect();
        self.mark(store, &refs, false, progress)?;
        self.mark(store, &pinned.objects.iter().copied().collect::<Vec<_>>(), true, progress)?;
        Ok(pinned)
    }
}

/// The bytes that a file occupies.
fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

fn pack_allocated(directory: &Directory, pack: PackId) -> u64 {
    allocated(&directory.pack_data(pack)) + allocated(&directory.pack_index(pack))
}

/// The length of these blobs in a pack, blocks.
fn blocks<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> u64 {
    entries.into_iter().map(|entry| entry.len.div_ceil(BLOCK)).sum()
}

impl Store {
    /// Removes the objects and blobs that no reference reaches and no session relies on, and what crashes left. Safe
    /// beside readers and writers; a second collection or a check waits for the first. Nothing is removed if an
    /// object that is needed cannot be read. With `dry_run` nothing is changed.
    pub fn gc(&self, dry_run: bool, progress: &dyn Progress) -> Result<GcReport> {
        let directory = self.directory();
        let _lock = Lock::wait(&directory.lock(LockFile::Collector), true, &|| progress.cancelled())?;
        let mut marked = Marked::default();
        // Listed first: what is added later is not judged this time.
        let listed = list_objects(directory)?;
        self.catalog().refresh()?;
        let packs = self.catalog().packs();
        progress.step("Marking what is needed", None, Unit::Items);
        let pinned = marked.mark_all(self, progress)?;
        let mut plan = self.plan(&marked, &pinned, listed, packs)?;
        let mut report = GcReport::default();
        if dry_run {
            self.predict(&plan, &mut report);
            return Ok(report);
        }
        self.verify_elsewhere(&mut plan, progress)?;
        let before = plan.packs.len();
        let written = self.copy_live(&mut plan, progress)?;
        progress.step("Removing what is not needed", None, Unit::Items);
        self.sweep(&mut marked, plan, &mut report, progress)?;
        report.packs_kept = before as u64 - report.packs_removed - report.packs_compacted;
        report.bytes =
            report.bytes.saturating_sub(written.iter().map(|pack| pack_allocated(directory, *pack)).sum());
        self.forget_open_packs();
        self.catalog().refresh()?;
        Ok(report)
    }

    /// Decides what is garbage. A blob that several packs have is needed in one of them only.
    fn plan(
        &self,
        marked: &Marked,
        pinned: &Pinned,
        listed: Vec<ObjectId>,
        packs: Vec<PackId>,
    ) -> Result<Plan> {
        let mut objects = HashMap::new();
        let judged: HashSet<ObjectId> = listed.into_iter().collect();
        for id in judged.iter().filter(|id| !marked.objects.contains(*id)).copied() {
            // Links only decide the order of removal. Nobody can rely on an object that cannot be read.
            objects.insert(id, self.get_object(id).map(|object| object.links).unwrap_or_default());
        }
        let mut ranked = Vec::new();
        for pack in packs {
            if let Some(index) = self.catalog().index(pack)? {
                let live: Vec<Entry> =
                    index.entries().filter(|entry| marked.blobs.contains(&entry.id)).collect();
                ranked.push((
                    Reverse(pinned.packs.contains(&pack)),
                    Reverse(blocks(&live)),
                    pack,
                    index,
                    live,
                ));
            }
        }
        ranked.sort_by_key(|(pinned, live_blocks, pack, ..)| (*pinned, *live_blocks, *pack));
        let mut owners: HashMap<BlobId, Location> = HashMap::new();
        let mut garbage = BTreeMap::new();
        for (Reverse(pinned), _, pack, index, live) in ranked {
            let (mut copy, mut elsewhere) = (Vec::new(), Vec::new());
            for entry in live {
                match owners.get(&entry.id) {
                    Some(location) => elsewhere.push((entry, *location)),
                    None => {
                        owners.insert(entry.id, Location { pack, offset: entry.offset, len: entry.len });
                        copy.push(entry);
                    }
                }
            }
            if !pinned && (copy.is_empty() || blocks(&copy) * 2 < index.blocks()) {
                copy.sort_unstable_by_key(|entry| entry.offset);
                garbage.insert(pack, Garbage { index, copy, elsewhere });
            }
        }
        Ok(Plan { judged, objects, packs: garbage })
    }

    fn predict(&self, plan: &Plan, report: &mut GcReport) {
        report.objects = plan.objects.len() as u64;
        for (pack, garbage) in &plan.packs {
            report.blobs += (garbage.index.len() - garbage.copy.len() - garbage.elsewhere.len()) as u64;
            let whole = pack_allocated(self.directory(), *pack);
            report.bytes += whole.saturating_sub(blocks(&garbage.copy) * BLOCK);
            if garbage.copy.is_empty() {
                report.packs_removed += 1;
            } else {
                report.packs_compacted += 1;
            }
        }
    }

    /// A copy is given up only if the other one is sound.
    fn verify_elsewhere(&self, plan: &mut Plan, progress: &dyn Progress) -> Result<()> {
        let total =
            plan.packs.values().flat_map(|garbage| &garbage.elsewhere).map(|(entry, _)| entry.len).sum();
        progress.step("Verifying duplicates", Some(total), Unit::Bytes);
        for garbage in plan.packs.values_mut() {
            for (entry, other) in std::mem::take(&mut garbage.elsewhere) {
                if progress.cancelled() {
                    return Err(Error::Cancelled);
                }
                let mut sound = true;
                let padded = other.len.next_multiple_of(BLOCK);
                let verified = self
                    .pack(other.pack)
                    .and_then(|pack| pack.verify(other.offset, padded, &mut |_| sound = false));
                if verified.is_err() || !sound {
                    garbage.copy.push(entry);
                }
                progress.advance(entry.len);
            }
            garbage.copy.sort_unstable_by_key(|entry| entry.offset);
        }
        Ok(())
    }

    /// Copies what lives in packs that shall go into new ones. A pack that cannot be copied in full stays; when the
    /// disk is full, all do. Gives the new packs.
    fn copy_live(&self, plan: &mut Plan, progress: &dyn Progress) -> Result<Vec<PackId>> {
        if plan.packs.values().all(|garbage| garbage.copy.is_empty()) {
            return Ok(Vec::new());
        }
        let total = plan.packs.values().map(|garbage| blocks(&garbage.copy) * BLOCK).sum();
        progress.step("Copying what is needed out of mostly dead packs", Some(total), Unit::Bytes);
        let mut writer = self.session()?.pack_writer()?;
        let mut unreadable = Vec::new();
        let copied = plan.packs.iter().filter(|(_, garbage)| !garbage.copy.is_empty()).try_for_each(
            |(pack, garbage)| {
                let reader = match self.pack(*pack) {
                    Err(Error::Corrupt { .. } | Error::NoPack { .. }) => {
                        unreadable.push(*pack);
                        return Ok(());
                    }
                    reader => reader?,
                };
                for entry in &garbage.copy {
                    if progress.cancelled() {
                        return Err(Error::Cancelled);
                    }
                    let mut fill = |offset, buf: &mut [u8]| reader.read_exact_at(entry.offset + offset, buf);
                    match writer.append_copy(*entry, &mut fill) {
                        Err(Error::Source(_) | Error::Changed { .. }) => {
                            unreadable.push(*pack);
                            return Ok(());
                        }
                        appended => appended?,
                    }
                    progress.advance(entry.len.next_multiple_of(BLOCK));
                }
                Ok(())
            },
        );
        unreadable.iter().for_each(|pack| _ = plan.packs.remove(pack));
        match copied.and_then(|()| writer.finish()) {
            Err(Error::Full { .. }) => {
                plan.packs.retain(|_, garbage| garbage.copy.is_empty());
                Ok(Vec::new())
            }
            finished => finished,
        }
    }

    /// Removes what is still garbage. While this runs nobody pins or references anything.
    fn sweep(
        &self,
        marked: &mut Marked,
        plan: Plan,
        report: &mut GcReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let directory = self.directory();
        let _sweep = Lock::exclusive(&directory.lock(LockFile::Sweep))?;
        // A reference that was removed a moment ago must not come back after a power cut, to an object that is gone.
        sync_directory(&directory.refs())?;
        let pinned = marked.mark_all(self, progress)?;
        // An object that came meanwhile stays even if it was given up already, so what it needs must stay with it.
        let mut later = list_objects(directory)?;
        later.retain(|id| !plan.judged.contains(id));
        marked.mark(self, &later, false, progress)?;
        report.objects = remove_objects(directory, plan.objects, marked)?;

        let mut packs = plan.packs;
        packs.retain(|pack, _| !pinned.packs.contains(pack));
        self.keep_only_copies(marked, &mut packs)?;
        for (pack, garbage) in &packs {
            report.bytes += pack_allocated(directory, *pack);
            report.blobs +=
                garbage.index.entries().filter(|entry| !marked.blobs.contains(&entry.id)).count() as u64;
            match garbage.copy.is_empty() {
                true => report.packs_removed += 1,
                false => report.packs_compacted += 1,
            }
            remove_if_there(&directory.pack_index(*pack))?;
        }
        // Without its index data is a leftover, with its index but without data a pack would be damaged.
        sync_directory(&directory.packs())?;
        for pack in packs.keys() {
            remove_if_there(&directory.pack_data(*pack))?;
        }
        report.leftovers = remove_leftovers(directory, &pinned)?;
        sync_directory(&directory.packs())
    }

    /// Takes from `packs`, which shall go, those that have a needed blob that no staying pack has.
    fn keep_only_copies(&self, marked: &Marked, packs: &mut BTreeMap<PackId, Garbage>) -> Result<()> {
        let needed = |garbage: &Garbage| -> Vec<BlobId> {
            garbage.index.entries().map(|entry| entry.id).filter(|id| marked.blobs.contains(id)).collect()
        };
        let mut lacking: HashSet<BlobId> = packs.values().flat_map(needed).collect();
        self.catalog().refresh()?;
        for pack in self.catalog().packs() {
            if lacking.is_empty() {
                return Ok(());
            }
            if packs.contains_key(&pack) {
                continue;
            }
            if let Some(index) = self.catalog().index(pack)? {
                lacking.retain(|id| index.find(id).is_none());
            }
        }
        packs.retain(|_, garbage| !garbage.index.entries().any(|entry| lacking.contains(&entry.id)));
        Ok(())
    }
}

/// Every object in the store.
pub(crate) fn list_objects(directory: &Directory) -> Result<Vec<ObjectId>> {
    let mut objects = Vec::new();
    for first in 0..=255 {
        let names = names_in(&directory.object_bucket(first))?;
        objects.extend(
            names.iter().filter_map(|name| name.parse::<ObjectId>().ok()).filter(|id| id.0[0] == first),
        );
    }
    Ok(objects)
}

/// Removes dead objects, each durably before those that it needs: whoever finds an object may then trust that
/// everything it needs is there too, whenever the power went.
fn remove_objects(
    directory: &Directory,
    mut dead: HashMap<ObjectId, Vec<ObjectId>>,
    marked: &Marked,
) -> Result<u64> {
    dead.retain(|id, _| !marked.objects.contains(id));
    let mut needed_by: HashMap<ObjectId, usize> = HashMap::new();
    dead.values().flatten().for_each(|link| *needed_by.entry(*link).or_default() += 1);
    let mut ready: Vec<ObjectId> = dead.keys().filter(|id| !needed_by.contains_key(*id)).copied().collect();
    let mut removed = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for id in &ready {
            remove_if_there(&directory.object(*id))?;
            removed += 1;
            for link in dead.remove(id).unwrap_or_default() {
                let count = needed_by.get_mut(&link).expect("every link was counted");
                *count -= 1;
                if *count == 0 && dead.contains_key(&link) {
                    next.push(link);
                }
            }
        }
        let buckets: BTreeSet<u8> = ready.iter().map(|id| id.0[0]).collect();
        buckets.into_iter().try_for_each(|first| sync_directory(&directory.object_bucket(first)))?;
        ready = next;
    }
    Ok(removed)
}

/// Removes what interrupted work left: leases and temporary files of sessions that are gone, data without an index.
fn remove_leftovers(directory: &Directory, pinned: &Pinned) -> Result<u64> {
    let mut leftovers = pinned.stale.clone();
    for name in names_in(&directory.temporary())? {
        // A reference is written under the sweep lock, which we have; a store is made before it can be collected.
        let owned = name.split_once('-').and_then(|(session, _)| session.parse::<SessionId>().ok());
        if owned.is_none_or(|session| !pinned.sessions.contains(&session)) {
            leftovers.push(directory.temporary().join(name));
        }
    }
    for name in names_in(&directory.packs())? {
        let Some(pack) = name.strip_suffix(".data").and_then(|id| id.parse::<PackId>().ok()) else {
            continue;
        };
        if !pinned.packs.contains(&pack) && !exists(&directory.pack_index(pack))? {
            leftovers.push(directory.pack_data(pack));
        }
    }
    leftovers.iter().try_for_each(|path| remove_if_there(path))?;
    Ok(leftovers.len() as u64)
}

fn exists(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => metadata.on("examine", path).map(|_| true),
    }
}
