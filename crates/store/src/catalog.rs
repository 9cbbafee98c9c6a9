//! Which packs there are and which of them has a blob.
//!
//! Indexes are kept in memory up to a budget. What is always kept is one small entry per blob of the store, from the
//! first eight bytes of its digest to a pack: it answers "not here", which is what most questions of a writer get,
//! without touching any index. Packs that other processes add or remove are noticed by [`Catalog::refresh`].

use crate::directory::Directory;
use crate::durable::names_in;
use crate::error::{Error, Result};
use crate::index::{Index, Malformed};
use crate::{BlobId, PackId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// How much memory indexes may occupy before the least recently used ones are dropped, bytes.
const INDEX_MEMORY: usize = 64 << 20;
/// How often a search starts again because packs vanish under it before it gives up.
const RETRIES: usize = 16;

/// Where a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The pack.
    pub pack: PackId,
    /// Where the blob begins in the pack's data: bytes, a multiple of [`BLOCK`](crate::BLOCK).
    pub offset: u64,
    /// The blob's length in bytes; zeros follow it up to the next multiple of [`BLOCK`](crate::BLOCK).
    pub len: u64,
}

/// Digests are uniform already: eight of their bytes are a good hash.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[derive(Default)]
struct Known {
    /// Packs whose index is sound. A pack keeps its number until everything is counted anew.
    packs: Vec<PackId>,
    /// Packs whose index is not, and why.
    damaged: BTreeMap<PackId, String>,
    /// From the first bytes of a blob's digest to the number of a pack that has it.
    places: HashMap<u64, u32, BuildHasherDefault<FirstBytes>>,
    /// Indexes in memory, and when each was used last.
    indexes: HashMap<PackId, (Arc<Index>, u64)>,
    memory: usize,
    clock: u64,
}

fn prefix(id: &BlobId) -> u64 {
    u64::from_le_bytes(id.0[..8].try_into().expect("eight bytes"))
}

impl Known {
    fn keep(&mut self, index: &Arc<Index>) {
        self.clock += 1;
        if self.indexes.insert(index.pack(), (Arc::clone(index), self.clock)).is_none() {
            self.memory += index.memory();
        }
        while self.memory > INDEX_MEMORY && self.indexes.len() > 1 {
            let oldest = self.indexes.iter().min_by_key(|(_, (_, used))| *used).map(|(pack, _)| *pack);
            self.drop_index(oldest.expect("there are at least two"));
        }
    }

    fn drop_index(&mut self, pack: PackId) {
        if let Some((index, _)) = self.indexes.remove(&pack) {
            self.memory -= index.memory();
        }
    }

    fn add(&mut self, index: &Arc<Index>) {
        let number = self.packs.len() as u32;
        self.packs.push(index.pack());
        self.places.reserve(index.len());
        for entry in index.entries() {
            self.places.insert(prefix(&entry.id), number);
        }
        self.keep(index);
    }
}

pub(crate) struct Catalog {
    directory: Directory,
    known: Mutex<Known>,
}

impl Catalog {
    pub(crate) fn new(directory: Directory) -> Catalog {
        Catalog { directory, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Reads a pack's index from disk; `None` when the pack does not exist (any more).
    pub(crate) fn load(&self, pack: PackId) -> Result<Option<Arc<Index>>> {
        let path = self.directory.pack_index(pack);
        let read = File::open(&path).map_err(Malformed::Io).and_then(|file| Index::read(&file, pack));
        match read {
            Ok(index) => Ok(Some(Arc::new(index))),
            Err(Malformed::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(Malformed::Io(source)) => Err(Error::Io { action: "read", path, source }),
            Err(Malformed::Content(why)) => Err(Error::corrupt(&path, why)),
        }
    }

    /// Looks which packs there are now. Says whether that is different from before.
    pub(crate) fn refresh(&self) -> Result<bool> {
        self.refresh_locked(&mut self.lock())
    }

    fn refresh_locked(&self, known: &mut Known) -> Result<bool> {
        let present: BTreeSet<PackId> = names_in(&self.directory.packs())?
            .iter()
            .filter_map(|name| name.strip_suffix(".idx")?.parse().ok())
            .collect();
        let before: BTreeSet<PackId> = known.packs.iter().chain(known.damaged.keys()).copied().collect();
        if present == before {
            return Ok(false);
        }
        if !before.is_subset(&present) {
            // A removed pack may have been the one that `places` names for a blob that others have too.
            let gone: Vec<PackId> =
                known.indexes.keys().filter(|pack| !present.contains(*pack)).copied().collect();
            gone.into_iter().for_each(|pack| known.drop_index(pack));
            known.packs.clear();
            known.places.clear();
            known.damaged.clear();
        }
        let counted: BTreeSet<PackId> = known.packs.iter().chain(known.damaged.keys()).copied().collect();
        for pack in present.difference(&counted) {
            let index = match known.indexes.get(pack) {
                Some((index, _)) => Ok(Some(Arc::clone(index))),
                None => self.load(*pack),
            };
            match index {
                Ok(Some(index)) => known.add(&index),
                Ok(None) => {}
                Err(Error::Corrupt { why, .. }) => _ = known.damaged.insert(*pack, why),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Adds a pack that this process wrote.
    pub(crate) fn add(&self, index: &Arc<Index>) {
        let mut known = self.lock();
        if !known.packs.contains(&index.pack()) {
            known.add(index);
        }
    }

    fn index_locked(&self, known: &mut Known, pack: PackId) -> Result<Option<Arc<Index>>> {
        if let Some((index, _)) = known.indexes.get(&pack) {
            let index = Arc::clone(index);
            known.keep(&index);
            return Ok(Some(index));
        }
        let index = self.load(pack)?;
        if let Some(index) = &index {
            known.keep(index);
        }
        Ok(index)
    }

    /// A pack's index; `None` when the pack does not exist (any more).
    pub(crate) fn index(&self, pack: PackId) -> Result<Option<Arc<Index>>> {
        self.index_locked(&mut self.lock(), pack)
    }

    /// The packs that were there at the last refresh and are sound.
    pub(crate) fn packs(&self) -> Vec<PackId> {
        self.lock().packs.clone()
    }

    /// The packs that were there at the last refresh whose index is damaged, and why.
    pub(crate) fn damaged(&self) -> BTreeMap<PackId, String> {
        self.lock().damaged.clone()
    }

    /// Where a blob lies as far as is known without looking for new packs: a writer that does not find it writes
    /// it once more, which is harmless.
    pub(crate) fn find(&self, id: &BlobId) -> Result<Option<Location>> {
        let known = &mut self.lock();
        for _ in 0..RETRIES {
            let Some(number) = known.places.get(&prefix(id)) else { return Ok(None) };
            let pack = known.packs[*number as usize];
            match self.index_locked(known, pack)? {
                Some(index) => return self.find_in(known, &index, id),
                None => self.refresh_locked(known)?,
            };
        }
        Ok(None)
    }

    /// Looks in the likely pack, then, as two digests can begin alike, in all.
    fn find_in(&self, known: &mut Known, likely: &Index, id: &BlobId) -> Result<Option<Location>> {
        if let Some(entry) = likely.find(id) {
            return Ok(Some(Location { pack: likely.pack(), offset: entry.offset, len: entry.len }));
        }
        for pack in known.packs.clone() {
            if let Some(entry) = self.index_locked(known, pack)?.and_then(|index| index.find(id)) {
                return Ok(Some(Location { pack, offset: entry.offset, len: entry.len }));
            }
        }
        Ok(None)
    }

    /// Where these blobs lie, those left out that the store does not have. Looks for new packs if some are missing.
    pub(crate) fn locate_all(
        &self,
        ids: &mut dyn Iterator<Item = BlobId>,
    ) -> Result<HashMap<BlobId, Location>> {
        let mut found = HashMap::new();
        let mut missing: Vec<BlobId> = ids.collect();
        let known = &mut self.lock();
        for _ in 0..RETRIES {
            // By pack, so that each index is needed once even if not all fit into memory.
            let mut by_pack: BTreeMap<u32, Vec<BlobId>> = BTreeMap::new();
            let mut absent = Vec::new();
            for id in missing {
                match known.places.get(&prefix(&id)) {
                    Some(number) => by_pack.entry(*number).or_default().push(id),
                    None => absent.push(id),
                }
            }
            missing = absent;
            for (number, ids) in by_pack {
                let pack = known.packs[number as usize];
                let Some(index) = self.index_locked(known, pack)? else {
                    missing.extend(ids);
                    continue;
                };
                for id in ids {
                    match self.find_in(known, &index, &id)? {
                        Some(location) => _ = found.insert(id, location),
                        None => missing.push(id),
                    }
                }
            }
            if missing.is_empty() || !self.refresh_locked(known)? {
                break;
            }
        }
        match known.damaged.iter().next() {
            Some((pack, why)) if !missing.is_empty() => Err(Error::corrupt(
                &self.directory.pack_index(*pack),
                format!("{why}; what it lists cannot be found"),
            )),
            _ => Ok(found),
        }
    }
}
