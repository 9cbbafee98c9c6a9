//! Opening a store, and what can be done with it outside of a session.

use crate::catalog::{Catalog, Location};
use crate::directory::{Directory, LockFile};
use crate::durable::{names_in, read_bounded, remove_if_there, replace, sync_directory};
use crate::error::{Error, IoContext, Result};
use crate::format::{self, Format, Unusable};
use crate::lock::{self, Lock};
use crate::object::{self, Object};
use crate::pack_reader::PackReader;
use crate::refs::{self, Expect, RefName, RefRecord};
use crate::{BlobId, ObjectId, PackId, Session};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How many packs are kept open although nobody uses them.
const OPEN_PACKS: usize = 32;

/// An open store. Clones are handles to the same one; all methods can be called from any thread.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    directory: Directory,
    catalog: Catalog,
    /// The packs that were used last, the latest at the end.
    open: Mutex<Vec<Arc<PackReader>>>,
    /// Keeps maintenance out.
    _lock: Lock,
}

/// The right to be alone with a store: nobody else has it open, nobody can open it. Ends when dropped.
#[derive(Debug)]
pub struct Maintenance(#[expect(dead_code, reason = "held, not read")] Lock);

impl Maintenance {
    /// Locks a store for maintenance, or says that it is in use.
    pub fn lock(path: &Path) -> Result<Maintenance> {
        let directory = Directory::new(path);
        read_format(&directory)?;
        let lock = Lock::attempt(&directory.lock(LockFile::Store), true)?;
        lock.map(Maintenance).ok_or_else(|| Error::InUse { path: path.to_owned() })
    }
}

fn read_format(directory: &Directory) -> Result<Format> {
    let path = directory.root().to_owned();
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing { path }),
        Err(error) => return Err(error).on("open", &path),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Error::NotAStore { path, why: "it is not a directory".into() });
        }
        Ok(_) => {}
    }
    let Some(bytes) = read_bounded(&directory.format(), format::LIMIT)? else {
        return Err(Error::NotAStore { path, why: "it has no file `lamina-store`".into() });
    };
    Format::decode(&bytes).map_err(|unusable| match unusable {
        Unusable::Foreign(why) => Error::NotAStore { path, why },
        Unusable::Damaged(why) => Error::Corrupt { path: directory.format(), why },
        Unusable::Older(found) => Error::Older { path, found, expected: format::FORMAT },
        Unusable::Newer(found) => Error::Newer { path, found, expected: format::FORMAT },
        Unusable::Unknown(features) => Error::UnknownFeature { path, features },
    })
}

impl Store {
    /// Makes a store in a directory that is empty or does not exist yet, and opens it. What an interrupted `init`
    /// left is taken over.
    pub fn init(path: &Path) -> Result<Store> {
        let directory = Directory::new(path);
        fs::create_dir_all(path).on("create", path)?;
        let parts = [
            directory.packs(),
            directory.objects(),
            directory.refs(),
            directory.temporary(),
            directory.locks(),
            directory.sessions(),
        ];
        for name in names_in(path)? {
            let entry = path.join(&name);
            if entry == directory.format() {
                return Err(Error::Occupied {
                    path: path.to_owned(),
                    why: "there is a store already".into(),
                });
            }
            if !parts.contains(&entry) {
                return Err(Error::Occupied {
                    path: path.to_owned(),
                    why: format!("it has an entry `{name}`"),
                });
            }
        }
        let buckets = (0..=255).map(|first| directory.object_bucket(first));
        for part in parts.iter().cloned().chain(buckets) {
            fs::create_dir_all(&part).on("create", &part)?;
        }
        sync_directory(&directory.objects())?;
        let temporary = directory.temporary().join("init");
        remove_if_there(&temporary)?;
        replace(&directory.format(), &temporary, &Format::current().encode())?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        Store::open(path)
    }

    /// Opens a store. Each reason why that may be impossible is an error of its own.
    pub fn open(path: &Path) -> Result<Store> {
        let directory = Directory::new(path);
        read_format(&directory)?;
        // These hold nothing that lasts, so a copy of a store may lack them.
        for part in [directory.locks(), directory.sessions(), directory.temporary()] {
            fs::create_dir_all(&part).on("create", &part)?;
        }
        let lock_path = directory.lock(LockFile::Store);
        let no_locks = |why| Error::NoLocks { path: path.to_owned(), why };
        let lock = match Lock::attempt(&lock_path, false) {
            Ok(lock) => lock.ok_or_else(|| Error::Locked { path: path.to_owned() })?,
            Err(Error::Io { action: "lock", source, .. }) => return Err(no_locks(source.to_string())),
            Err(error) => return Err(error),
        };
        if let Some(why) = lock::probe(&lock_path)? {
            return Err(no_locks(why));
        }
        // Maintenance may have ended just before the lock was taken.
        read_format(&directory)?;
        let catalog = Catalog::new(directory.clone());
        Ok(Store(Arc::new(Inner { directory, catalog, open: Mutex::default(), _lock: lock })))
    }

    /// Reads the format file again, as it is now.
    pub(crate) fn read_format(&self) -> Result<()> {
        read_format(self.directory()).map(drop)
    }

    /// Closes the packs that nobody uses at the moment: they may be gone, and take up space as long as they are open.
    pub(crate) fn forget_open_packs(&self) {
        self.0.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        self.0.directory.root()
    }

    /// The version of the store's format.
    pub fn format(&self) -> u64 {
        format::FORMAT
    }

    /// A directory on the store's file system for unnamed scratch files.
    pub fn scratch_dir(&self) -> PathBuf {
        self.0.directory.temporary()
    }

    /// Starts a session: needed for writing, and for reading positions that must stay valid.
    pub fn session(&self) -> Result<Session> {
        Session::start(self)
    }

    /// Where a blob lies at the moment. Garbage collection may move it: use [`Session::locate`] to prevent that.
    pub fn locate(&self, id: BlobId) -> Result<Option<Location>> {
        Ok(self.locate_all([id])?.remove(&id))
    }

    /// Where these blobs lie at the moment; those that the store lacks are left out. Made for hundreds of thousands.
    pub fn locate_all(&self, ids: impl IntoIterator<Item = BlobId>) -> Result<HashMap<BlobId, Location>> {
        self.catalog().locate_all(&mut ids.into_iter())
    }

    /// Opens a pack.
    pub fn pack(&self, id: PackId) -> Result<Arc<PackReader>> {
        let mut open = self.0.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(position) = open.iter().position(|pack| pack.id() == id) {
            let pack = open.remove(position);
            open.push(Arc::clone(&pack));
            return Ok(pack);
        }
        let reader = match self.catalog().index(id)? {
            Some(index) => PackReader::open(self.directory(), index)?,
            None => None,
        };
        let pack = Arc::new(reader.ok_or(Error::NoPack { id })?);
        if open.len() >= OPEN_PACKS {
            open.remove(0);
        }
        open.push(Arc::clone(&pack));
        Ok(pack)
    }

    /// Reads an object and verifies that it is the one asked for.
    pub fn get_object(&self, id: ObjectId) -> Result<Object> {
        let path = self.directory().object(id);
        let Some(file) = read_bounded(&path, object::LONGEST_FILE)? else {
            return Err(Error::NoObject { id });
        };
        let canonical = object::decode_file(&file).map_err(|why| Error::corrupt(&path, why))?;
        if object::id_of(&canonical) != id {
            return Err(Error::corrupt(&path, "it holds another object"));
        }
        Object::decode(&canonical).map_err(|why| Error::corrupt(&path, why))
    }

    fn read_ref(&self, path: &Path) -> Result<Option<RefRecord>> {
        let Some(bytes) = read_bounded(path, refs::LONGEST_FILE)? else { return Ok(None) };
        let record = RefRecord::decode(&bytes).map_err(|why| Error::corrupt(path, why))?;
        if path.file_name().and_then(|name| name.to_str()) != Some(&record.name.file_name()) {
            return Err(Error::corrupt(
                path,
                format!("it holds reference `{}`, which belongs elsewhere", record.name),
            ));
        }
        Ok(Some(record))
    }

    /// What a reference names.
    pub fn get_ref(&self, name: &RefName) -> Result<Option<ObjectId>> {
        let path = self.directory().refs().join(name.file_name());
        Ok(self.read_ref(&path)?.map(|record| record.object))
    }

    /// The references that are `prefix` or lie below it (see [`RefName::is_within`]), in the order of their names.
    pub fn refs(&self, prefix: &str) -> Result<Vec<(RefName, ObjectId)>> {
        let mut found = Vec::new();
        for (_, record) in self.read_refs()? {
            let record = record?;
            if record.name.is_within(prefix) {
                found.push((record.name, record.object));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every file of a reference with what it holds, or what is wrong with it.
    pub(crate) fn read_refs(&self) -> Result<Vec<(std::path::PathBuf, Result<RefRecord>)>> {
        let directory = self.directory().refs();
        let read = names_in(&directory)?.into_iter().filter_map(|name| {
            let path = directory.join(name);
            self.read_ref(&path).transpose().map(|record| (path, record))
        });
        Ok(read.collect())
    }

    /// Makes a reference name an object that is in the store, atomically and durably, if it is what is expected.
    pub fn set_ref(&self, name: &RefName, expected: Expect, new: ObjectId) -> Result<()> {
        self.lock_refs()?.set(name, expected, new)
    }

    /// Keeps all references as they are while the caller looks at them and decides what one of them becomes. Not for
    /// long: others that set references wait.
    pub fn lock_refs(&self) -> Result<RefsLock<'_>> {
        let directory = self.directory();
        let sweep = Lock::shared(&directory.lock(LockFile::Sweep))?;
        let refs = Lock::exclusive(&directory.lock(LockFile::Refs))?;
        Ok(RefsLock { store: self, _sweep: sweep, _refs: refs })
    }

    /// Removes a reference durably, if it is what is expected. What it named becomes garbage unless something else
    /// needs it. Removing what does not exist is an error unless that is [expected](Expect).
    pub fn remove_ref(&self, name: &RefName, expected: Expect) -> Result<()> {
        self.lock_refs()?.remove(name, expected)
    }
}

/// Nobody else changes a reference until this is dropped. See [`Store::lock_refs`].
pub struct RefsLock<'s> {
    store: &'s Store,
    _sweep: Lock,
    _refs: Lock,
}

impl RefsLock<'_> {
    /// What [`Store::set_ref`] does, with nothing changed since the lock was taken.
    pub fn set(&self, name: &RefName, expected: Expect, new: ObjectId) -> Result<()> {
        let directory = self.store.directory();
        expected.compare(name, self.store.get_ref(name)?)?;
        if !directory.object(new).exists() {
            return Err(Error::NoObject { id: new });
        }
        let record = RefRecord { name: name.clone(), object: new };
        let number = crate::id::random().on("name a file in", &directory.temporary())?;
        let temporary = directory.temporary().join(format!("ref-{:032x}", u128::from_le_bytes(number)));
        replace(&directory.refs().join(name.file_name()), &temporary, &record.encode())
    }

    /// What [`Store::remove_ref`] does, with nothing changed since the lock was taken.
    pub fn remove(&self, name: &RefName, expected: Expect) -> Result<()> {
        let directory = self.store.directory();
        expected.compare(name, self.store.get_ref(name)?)?;
        remove_if_there(&directory.refs().join(name.file_name()))?;
        sync_directory(&directory.refs())
    }
}
