//! Sessions: what a process needs of the store while it works, so that garbage collection leaves it alone.
//!
//! A session's *lease* is a file that it holds locked and in which it lists what it relies on: packs and objects. The
//! rule that makes this safe (`docs/store-format.md`, "Locks"): something is listed, and then seen to exist, under the
//! shared sweep lock; garbage is removed under the exclusive one, after all leases were read.

use crate::directory::LockFile;
use crate::durable::{remove_if_there, replace, sync_directory};
use crate::error::{Error, IoContext, Result};
use crate::id::SessionId;
use crate::lock::{self, Lock};
use crate::object;
use crate::pack_writer::PackWriter;
use crate::{BlobId, Location, Object, ObjectId, PackId, Store};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How often a search starts again because packs vanish before they can be pinned.
const RETRIES: usize = 16;

/// A reader's or writer's claim on what it uses. Clones share it; it ends with the last clone and with the process.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    store: Store,
    id: SessionId,
    path: PathBuf,
    lease: Mutex<Lease>,
    temporaries: AtomicU64,
}

/// What a session relies on. The file has one line for each.
struct Lease {
    /// Exclusively locked as long as the session lives.
    file: File,
    /// Where the next line goes. A line that could not be written in full is overwritten.
    end: u64,
    packs: HashSet<PackId>,
    objects: HashSet<ObjectId>,
}

/// What the leases of other sessions list.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    pub(crate) sessions: HashSet<SessionId>,
    pub(crate) packs: HashSet<PackId>,
    pub(crate) objects: HashSet<ObjectId>,
    /// Leases whose owners are gone.
    pub(crate) stale: Vec<PathBuf>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Only tidiness: a lease that nobody holds locked counts for nothing, and garbage collection removes it.
        _ = remove_if_there(&self.path);
    }
}

impl Session {
    pub(crate) fn start(store: &Store) -> Result<Session> {
        let directory = store.directory();
        let id = SessionId::random().on("name a session of", directory.root())?;
        let path = directory.lease(id);
        // Before the lease is locked it looks stale; under the sweep lock nobody removes it for that. Who only looks
        // whether it is held holds it for a moment.
        let sweep = Lock::shared(&directory.lock(LockFile::Sweep))?;
        let file = crate::durable::create_new(&path)?;
        file.lock().on("lock", &path)?;
        drop(sweep);
        let lease = Mutex::new(Lease { file, end: 0, packs: HashSet::new(), objects: HashSet::new() });
        Ok(Session(Arc::new(Shared {
            store: store.clone(),
            id,
            path,
            lease,
            temporaries: AtomicU64::new(0),
        })))
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Starts writing blobs. What is appended becomes visible when the writer is finished.
    pub fn pack_writer(&self) -> Result<PackWriter> {
        self.store().catalog().refresh()?;
        Ok(PackWriter::new(self.clone()))
    }

    /// A path for a temporary file that is removed when this session is gone.
    pub(crate) fn temporary(&self) -> PathBuf {
        let number = self.0.temporaries.fetch_add(1, Ordering::Relaxed);
        self.store().directory().temporary().join(format!("{}-{number}", self.0.id))
    }

    /// Lists packs and objects in the lease, then looks whether they exist; gives the packs that do not, and the
    /// objects. Those stay listed, which is what a pack or object about to be written wants.
    pub(crate) fn pin(&self, packs: &[PackId], objects: &[ObjectId]) -> Result<(Vec<PackId>, Vec<ObjectId>)> {
        let mut lease = self.0.lease.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let packs: Vec<PackId> = packs.iter().filter(|id| !lease.packs.contains(id)).copied().collect();
        let objects: Vec<ObjectId> =
            objects.iter().filter(|id| !lease.objects.contains(id)).copied().collect();
        if packs.is_empty() && objects.is_empty() {
            return Ok(Default::default());
        }
        let mut lines = String::new();
        packs.iter().for_each(|id| writeln!(lines, "pack {id}").expect("a string takes all"));
        objects.iter().for_each(|id| writeln!(lines, "object {id}").expect("a string takes all"));
        let directory = self.store().directory();
        let _sweep = Lock::shared(&directory.lock(LockFile::Sweep))?;
        lease.file.write_all_at(lines.as_bytes(), lease.end).on("write", &self.0.path)?;
        lease.end += lines.len() as u64;
        let (there, gone): (Vec<_>, Vec<_>) =
            packs.into_iter().partition(|id| directory.pack_index(*id).exists());
        lease.packs.extend(there);
        let (there, lacking): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|id| directory.object(*id).exists());
        lease.objects.extend(there);
        Ok((gone, lacking))
    }

    /// Keeps an object, and all that it needs, for the life of the session, even if no reference reaches it any more.
    pub fn hold(&self, id: ObjectId) -> Result<()> {
        match self.pin(&[], &[id])?.1.first() {
            Some(_) => Err(Error::NoObject { id }),
            None => Ok(()),
        }
    }

    /// Where a blob lies, if it is known without looking for new packs; its pack stays for the life of the session.
    pub(crate) fn find(&self, id: &BlobId) -> Result<Option<Location>> {
        for _ in 0..RETRIES {
            let Some(location) = self.store().catalog().find(id)? else { return Ok(None) };
            if self.pin(&[location.pack], &[])?.0.is_empty() {
                return Ok(Some(location));
            }
            self.store().catalog().refresh()?;
        }
        Ok(None)
    }

    /// Where a blob lies. It stays there for the life of the session.
    pub fn locate(&self, id: BlobId) -> Result<Option<Location>> {
        Ok(self.locate_all([id])?.remove(&id))
    }

    /// Where these blobs lie; those that the store lacks are left out. They stay there for the life of the session.
    pub fn locate_all(&self, ids: impl IntoIterator<Item = BlobId>) -> Result<HashMap<BlobId, Location>> {
        let ids: Vec<BlobId> = ids.into_iter().collect();
        for _ in 0..RETRIES {
            let found = self.store().locate_all(ids.iter().copied())?;
            let packs: HashSet<PackId> = found.values().map(|location| location.pack).collect();
            if self.pin(&packs.into_iter().collect::<Vec<_>>(), &[])?.0.is_empty() {
                return Ok(found);
            }
            self.store().catalog().refresh()?;
        }
        self.store().locate_all(ids)
    }

    /// Stores an object whose links and blobs are all in the store, durably. That it is there already is fine.
    /// It stays for the life of the session; set a reference to keep it longer.
    pub fn put_object(&self, object: &Object) -> Result<ObjectId> {
        let canonical = object.encode().ok_or_else(|| Error::BadObject {
            why: format!("its kind is `{}`, or it is longer than {} bytes", object.kind, object::LONGEST),
        })?;
        let id = object::id_of(&canonical);
        let found = self.locate_all(object.blobs.iter().copied())?;
        if let Some(lacking) = object.blobs.iter().find(|blob| !found.contains_key(blob)) {
            return Err(Error::NoBlob { id: *lacking });
        }
        if let Some(lacking) = self.pin(&[], &object.links)?.1.first() {
            return Err(Error::NoObject { id: *lacking });
        }
        self.pin(&[], &[id])?;
        let directory = self.store().directory();
        if !found.is_empty() {
            // Another session's pack is visible a moment before it is durable.
            sync_directory(&directory.packs())?;
        }
        let bucket = directory.object_bucket(id.0[0]);
        for link in &object.links {
            sync_directory(&directory.object_bucket(link.0[0]))?;
        }
        // An existing one that is damaged is written anew.
        if self.store().get_object(id).is_ok() {
            sync_directory(&bucket)?;
            return Ok(id);
        }
        let path = directory.object(id);
        let file = object::encode_file(&canonical).on("compress", &path)?;
        replace(&path, &self.temporary(), &file)?;
        Ok(id)
    }
}

/// Reads all leases. Meaningful only under the exclusive sweep lock, or as a first look.
pub(crate) fn read_leases(sessions: &Path) -> Result<Pinned> {
    let mut pinned = Pinned::default();
    for name in crate::durable::names_in(sessions)? {
        let path = sessions.join(&name);
        let Ok(id) = name.parse::<SessionId>() else { continue };
        let file = match File::options().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.on("open", &path)?,
        };
        if !lock::is_held(&file).on("lock", &path)? {
            pinned.stale.push(path);
            continue;
        }
        pinned.sessions.insert(id);
        let text = std::fs::read_to_string(&path);
        let text = match text {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.on("read", &path)?,
        };
        // A last line without its end was never relied upon.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ') {
                Some(("pack", id)) => pinned.packs.extend(id.parse::<PackId>()),
                Some(("object", id)) => pinned.objects.extend(id.parse::<ObjectId>()),
                _ => {}
            }
        }
    }
    Ok(pinned)
}
