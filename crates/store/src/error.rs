//! What can go wrong with a store, in words for the person who has to do something about it.

use crate::{BlobId, ObjectId, PackId};
use operation::Explain;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory does not exist.
    #[error("there is no store at {}: the directory does not exist", path.display())]
    Missing {
        /// Where the store should be.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a store: {why}", path.display())]
    NotAStore {
        /// Where the store should be.
        path: PathBuf,
        /// What is there instead.
        why: String,
    },
    /// A store cannot be made where something is already.
    #[error("cannot make a store in {}: {why}", path.display())]
    Occupied {
        /// Where the store should be made.
        path: PathBuf,
        /// What is there.
        why: String,
    },
    /// Written by an older program in a format that this one no longer reads directly.
    #[error("the store {} has format {found}, which is older than {expected}", path.display())]
    Older {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format of this program.
        expected: u64,
    },
    /// Written by a newer program.
    #[error("the store {} has format {found}; this program knows formats up to {expected}", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format of this program.
        expected: u64,
    },
    /// The store uses features that must be understood to read it, and this program does not.
    #[error("the store {} requires features that this program does not know: {}", path.display(), features.join(", "))]
    UnknownFeature {
        /// The store.
        path: PathBuf,
        /// The unknown ones.
        features: Vec<String>,
    },
    /// Somebody holds the store for maintenance.
    #[error("the store {} is locked for maintenance by another process", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// Maintenance needs the store for itself.
    #[error("the store {} is in use by other processes", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// The file system has no locks that work.
    #[error("the file system of the store {} has no working file locks: {why}", path.display())]
    NoLocks {
        /// The store.
        path: PathBuf,
        /// What happened when a lock was tried.
        why: String,
    },
    /// A file of the store does not hold what was written.
    #[error("{} is damaged: {why}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No space or quota left, or the largest file size reached. What was complete before is untouched.
    #[error("there is no space left to {action} {}", path.display())]
    Full {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused something else.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// What the caller gave to be stored could not be read.
    #[error("cannot read the content that is to be stored")]
    Source(#[source] io::Error),
    /// What the caller gave to be stored is not what it was said to be.
    #[error(
        "the content to be stored has digest {found} instead of {expected}: it changed while it was read"
    )]
    Changed {
        /// What was announced.
        expected: BlobId,
        /// What came.
        found: BlobId,
    },
    /// An object or reference was to be written that needs a blob the store lacks.
    #[error("the store has no blob {id}")]
    NoBlob {
        /// The blob.
        id: BlobId,
    },
    /// No such object.
    #[error("the store has no object {id}")]
    NoObject {
        /// The object.
        id: ObjectId,
    },
    /// No such pack, or no longer: garbage collection may have moved its blobs.
    #[error("the store has no pack {id}")]
    NoPack {
        /// The pack.
        id: PackId,
    },
    /// A reference is not what the caller expected, so nothing was changed.
    #[error("reference `{name}` {}, but was expected {}", said_found(found), said_expected(expected))]
    RefChanged {
        /// The reference.
        name: String,
        /// What the caller expected.
        expected: Option<ObjectId>,
        /// What it is.
        found: Option<ObjectId>,
    },
    /// A text that cannot name a reference.
    #[error("`{name}` cannot name a reference: {why}")]
    BadRefName {
        /// The text.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An object that cannot be stored.
    #[error("an object cannot be stored: {why}")]
    BadObject {
        /// What is wrong with it.
        why: String,
    },
    /// An earlier write to this pack failed, so nothing more can be added to it.
    #[error("the pack cannot be written any further because an earlier write to it failed")]
    Poisoned,
    /// The caller's progress said stop.
    #[error("the operation was cancelled")]
    Cancelled,
}

fn said_found(found: &Option<ObjectId>) -> String {
    found.map_or("does not exist".into(), |id| format!("is {id}"))
}

fn said_expected(expected: &Option<ObjectId>) -> String {
    expected.map_or("not to exist".into(), |id| format!("to be {id}"))
}

impl Error {
    pub(crate) fn corrupt(path: &Path, why: impl ToString) -> Error {
        Error::Corrupt { path: path.to_owned(), why: why.to_string() }
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Missing { .. } => "store-missing",
            Error::NotAStore { .. } => "store-not-a-store",
            Error::Occupied { .. } => "store-occupied",
            Error::Older { .. } => "store-older",
            Error::Newer { .. } => "store-newer",
            Error::UnknownFeature { .. } => "store-unknown-feature",
            Error::Locked { .. } => "store-locked",
            Error::InUse { .. } => "store-in-use",
            Error::NoLocks { .. } => "store-no-locks",
            Error::Corrupt { .. } => "store-corrupt",
            Error::Full { .. } => "store-full",
            Error::Io { .. } => "store-io",
            Error::Source(_) => "store-source",
            Error::Changed { .. } => "store-source-changed",
            Error::NoBlob { .. } => "store-no-blob",
            Error::NoObject { .. } => "store-no-object",
            Error::NoPack { .. } => "store-no-pack",
            Error::RefChanged { .. } => "store-ref-changed",
            Error::BadRefName { .. } => "store-bad-ref-name",
            Error::BadObject { .. } => "store-bad-object",
            Error::Poisoned => "store-write-failed",
            Error::Cancelled => "cancelled",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Missing { .. } => "Make one with `lamina plumbing init`, or correct the path.",
            Error::NotAStore { .. } => {
                "Correct the path, or make a store in an empty directory with `lamina plumbing init`."
            }
            Error::Occupied { .. } => "Choose a directory that is empty or does not exist.",
            Error::Older { .. } => "Run the upgrade of the store.",
            Error::Newer { .. } | Error::UnknownFeature { .. } => {
                "Use the version of Lamina that wrote the store, or a newer one."
            }
            Error::Locked { .. } => "Try again when the maintenance is over.",
            Error::InUse { .. } => "Stop the other processes that use the store, then try again.",
            Error::NoLocks { .. } => {
                "Put the store on a local file system (ext4, XFS, btrfs), or mount the network file system with locks."
            }
            Error::Corrupt { .. } | Error::NoBlob { .. } | Error::NoObject { .. } => {
                "Run `lamina plumbing check --read-data` to see everything that is affected."
            }
            Error::Full { .. } => {
                "Free some space, for instance with `lamina plumbing gc`, and try again. Nothing complete was lost."
            }
            Error::Changed { .. } => "Make sure that nothing writes to the disk meanwhile, and try again.",
            Error::RefChanged { .. } | Error::NoPack { .. } => {
                "Somebody else changed it meanwhile: look again and repeat."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Says what was being done to which file when the system refused.
pub(crate) trait IoContext<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Error::Full { action, path, source }
                }
                _ => Error::Io { action, path, source },
            }
        })
    }
}
