//! The trait through which volumes are changed.

use crate::{FileId, Metadata, Name, Result, StreamFlags};
use disk::SourceRange;

/// A stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream<'a> {
    /// Empty for the main stream.
    pub name: &'a Name,
    /// Length in bytes that readers see.
    pub size: u64,
    /// Bytes from the start that hold data; what follows reads as zeros.
    pub valid: u64,
    /// How the bytes are kept.
    pub flags: StreamFlags,
    /// The bytes.
    pub data: NewData<'a>,
}

/// The bytes of a stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewData<'a> {
    /// Exactly `size` bytes, written by the editor (into the record if they fit).
    Inline(&'a [u8]),
    /// Runs in stream order. For sparse, compressed and encrypted streams they mirror the allocation exactly; for
    /// plain ones they are contents, and the editor allocates what it needs.
    Runs(&'a [NewRun]),
}

/// A run of a stream to be made. Lengths are bytes; every run but the last is a multiple of the cluster size of the
/// volume, and what the last one leaves of its cluster reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewRun {
    /// Not allocated.
    Hole {
        /// Bytes.
        len: u64,
    },
    /// Allocated, reads as zeros, nothing is written.
    Zero {
        /// Bytes.
        len: u64,
    },
    /// Allocated and spliced.
    Splice {
        /// Bytes.
        len: u64,
        /// Where they come from, in terms of the device's source table.
        from: SourceRange,
    },
}

impl NewRun {
    /// Bytes that the run covers in the stream.
    pub fn len(&self) -> u64 {
        match *self {
            NewRun::Hole { len } | NewRun::Zero { len } | NewRun::Splice { len, .. } => len,
        }
    }

    /// Whether the run covers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Changes one volume. Nodes are addressed by number; the caller knows the tree.
///
/// Callers keep this order, which every file system can follow cheaply: directories from the root down, each followed
/// by its files; further names of a file after its short name; removals before the creation of anything with the same
/// name. Metadata is what callers give: making and removing entries changes no time stamp of a directory. Nothing is
/// durable or consistent before [`finish`](VolumeEditor::finish); after an error the volume is to be thrown away.
pub trait VolumeEditor {
    /// Bytes in a cluster.
    fn cluster(&self) -> u64;

    /// Announces that about this many bytes will be spliced, so that they can be allocated in one piece.
    fn reserve(&mut self, bytes: u64) -> Result<()>;

    /// Makes a directory with its metadata and named streams.
    fn make_directory(
        &mut self,
        parent: FileId,
        name: &Name,
        short: Option<&Name>,
        metadata: &Metadata,
        streams: &[NewStream<'_>],
    ) -> Result<FileId>;

    /// Makes a file with its first name, metadata and streams.
    fn make_file(
        &mut self,
        parent: FileId,
        name: &Name,
        short: Option<&Name>,
        metadata: &Metadata,
        streams: &[NewStream<'_>],
    ) -> Result<FileId>;

    /// Gives a file one more name.
    fn link(&mut self, file: FileId, parent: FileId, name: &Name) -> Result<()>;

    /// Takes a name, with the short name that belongs to it, away from a node. The node goes with its last name. A
    /// directory must be empty.
    fn unlink(&mut self, node: FileId, parent: FileId, name: &Name) -> Result<()>;

    /// Replaces times, attributes, security and properties of a node.
    fn set_metadata(&mut self, node: FileId, metadata: &Metadata) -> Result<()>;

    /// Replaces all streams of a node; names and metadata stay.
    fn set_streams(&mut self, node: FileId, streams: &[NewStream<'_>]) -> Result<()>;

    /// Writes a name in another case, and sets or takes away the short name that belongs to it. `new` may be `name`;
    /// it may differ from it only in what the volume does not compare.
    fn rename(
        &mut self,
        node: FileId,
        parent: FileId,
        name: &Name,
        new: &Name,
        short: Option<&Name>,
    ) -> Result<()>;

    /// Writes everything that is still in memory, leaves the volume clean and lets go of the device.
    fn finish(self: Box<Self>) -> Result<()>;
}
