//! Where the files of a store lie. `docs/store-format.md`, "Layout".

use crate::id::SessionId;
use crate::{ObjectId, PackId};
use std::path::{Path, PathBuf};

/// The paths of one store.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
}

/// The lock files and what holding them means; the rule is in `docs/store-format.md`, "Locks".
#[derive(Debug, Clone, Copy)]
pub(crate) enum LockFile {
    /// Shared: the store is open. Exclusive: maintenance.
    Store,
    /// Exclusive: garbage collection. Shared: a check.
    Collector,
    /// Shared, briefly: something is being pinned or referenced. Exclusive: garbage is being removed.
    Sweep,
    /// Exclusive, briefly: a reference is being changed.
    Refs,
}

impl Directory {
    pub(crate) fn new(root: &Path) -> Directory {
        Directory { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn format(&self) -> PathBuf {
        self.root.join("lamina-store")
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    pub(crate) fn pack_data(&self, id: PackId) -> PathBuf {
        self.root.join(format!("packs/{id}.data"))
    }

    pub(crate) fn pack_index(&self, id: PackId) -> PathBuf {
        self.root.join(format!("packs/{id}.idx"))
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The directory of the objects whose digests begin with this byte.
    pub(crate) fn object_bucket(&self, first: u8) -> PathBuf {
        self.root.join(format!("objects/{first:02x}"))
    }

    pub(crate) fn object(&self, id: ObjectId) -> PathBuf {
        self.object_bucket(id.0[0]).join(id.to_string())
    }

    pub(crate) fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    pub(crate) fn lease(&self, id: SessionId) -> PathBuf {
        self.root.join(format!("sessions/{id}"))
    }

    pub(crate) fn lock(&self, lock: LockFile) -> PathBuf {
        self.root.join(match lock {
            LockFile::Store => "locks/store",
            LockFile::Collector => "locks/gc",
            LockFile::Sweep => "locks/sweep",
            LockFile::Refs => "locks/refs",
        })
    }
}
