//! What the file-share connector needs of a share, whatever protocol reaches it: a directory or SMB.

use crate::connector::{DiskStamp, Location, Usage};
use crate::error::Result;
use crate::key::OperationKey;
use crate::name::DiskName;
use async_trait::async_trait;
use std::ops::Range;
use std::path::PathBuf;

/// A way to a share. Reaching it costs little or nothing, so each operation does it anew: no connection has to be
/// kept alive, and what an operation left open is closed with it.
#[async_trait]
pub(crate) trait Access: Send + Sync {
    /// Reaches the share.
    async fn open(&self) -> Result<Box<dyn Share>>;
    /// The share, as messages name it.
    fn place(&self) -> &str;
    /// Where a disk is, for people.
    fn location(&self, name: &DiskName) -> Location;
    /// The path of a file, if programs on this machine may read and write it directly.
    fn here(&self, file: &SharePath) -> Option<PathBuf>;
}

/// A share that was reached. Paths never lead out of it, symbolic links are refused, and only ordinary files are
/// opened.
#[async_trait]
pub(crate) trait Share: Send + Sync {
    /// Shows every file and folder in a folder (`None`: the root), in any order.
    async fn list(&self, folder: Option<&SharePath>, see: &mut (dyn FnMut(RawEntry) + Send)) -> Result<()>;
    /// Whether there is such a folder.
    async fn has_folder(&self, folder: &SharePath) -> Result<bool>;
    /// The state of a file, or `None` when there is none.
    async fn stamp(&self, file: &SharePath) -> Result<Option<DiskStamp>>;
    /// Whether somebody has a file open, as far as can be seen.
    async fn usage(&self, file: &SharePath) -> Result<Usage>;
    /// Opens a file to read it; others are kept from writing meanwhile where the protocol can do that.
    async fn read(&self, file: &SharePath) -> Result<(Box<dyn Source>, DiskStamp)>;
    /// Opens a file to write it.
    async fn write(&self, file: &SharePath, opening: Opening) -> Result<Box<dyn Sink>>;
    /// Makes a folder that people do not see; fine when it is there.
    async fn make_hidden_folder(&self, folder: &SharePath) -> Result<()>;
    /// Makes a folder; fine when it is there.
    async fn make_folder(&self, folder: &SharePath) -> Result<()>;
    /// Gives a file another name, durably. `disk-name-taken` when anything has that name.
    async fn rename_new(&self, from: &SharePath, to: &SharePath) -> Result<()>;
    /// Puts a file in the place of another one, durably.
    async fn replace(&self, from: &SharePath, to: &SharePath) -> Result<()>;
    /// Removes a file durably; says whether it was there.
    async fn remove(&self, file: &SharePath) -> Result<bool>;
    /// Removes an empty folder; says whether it was there.
    async fn remove_folder(&self, folder: &SharePath) -> Result<bool>;
    /// Bytes that can still be written.
    async fn free(&self) -> Result<u64>;
    /// Leaves the share and closes what is still open there. Nothing can be done about a failure.
    async fn leave(&self);
}

/// Whether a file is made or must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It must not exist.
    New,
    /// It must exist.
    Existing,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEntry {
    pub(crate) name: String,
    pub(crate) folder: bool,
    /// Length of a file, bytes, where the listing says it.
    pub(crate) bytes: Option<u64>,
}

/// An open file that is read. Offsets and lengths are bytes.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// The first range at or after `from` that may hold something else than zeros; `None` when only zeros follow.
    async fn next_data(&self, from: u64) -> Result<Option<Range<u64>>>;
    /// Exactly `len` bytes from `at`.
    async fn read(&self, at: u64, len: usize) -> Result<Vec<u8>>;
    /// Closes the file.
    async fn close(&self) -> Result<()>;
}

/// An open file that is written. Offsets and lengths are bytes.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    /// Makes the file this long; what is added reads as zeros and is not allocated where the file system can.
    async fn set_len(&self, len: u64) -> Result<()>;
    /// Writes at `at`, within the file's length.
    async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<()>;
    /// Makes everything that was written durable.
    async fn flush(&self) -> Result<()>;
    /// Closes the file.
    async fn close(&self) -> Result<()>;
}

/// A path below the root of a share: a [`DiskName`], or one of the connector's own hidden names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharePath(String);

impl SharePath {
    /// The folder in which one operation keeps what is not finished.
    pub(crate) fn own_folder(key: &OperationKey) -> SharePath {
        SharePath(format!(".lamina-{key}"))
    }

    /// A file or folder in this folder.
    pub(crate) fn join(&self, name: &str) -> SharePath {
        SharePath(format!("{}/{name}", self.0))
    }

    /// Components separated by `/`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub(crate) fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The folder that it is in; `None` for the root.
    pub(crate) fn parent(&self) -> Option<SharePath> {
        self.0.rsplit_once('/').map(|(folder, _)| SharePath(folder.to_owned()))
    }
}

impl From<&DiskName> for SharePath {
    fn from(name: &DiskName) -> SharePath {
        SharePath(name.as_str().to_owned())
    }
}
