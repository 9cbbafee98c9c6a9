//! What a volume holds: nodes, their names, metadata and streams.

use crate::Name;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The number by which the file system itself knows a node: MFT record number on NTFS, inode number on ext4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// What a node is to the file system. Symbolic links and junctions of NTFS are files or directories with a
/// [`Property::Reparse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Holds other nodes.
    Directory,
    /// A file.
    File,
}

/// One node with everything that layering carries, except the bytes of its large streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number on this volume.
    pub id: FileId,
    /// Distinguishes successive uses of the same number (NTFS: the record's sequence number).
    pub generation: u32,
    /// File or directory.
    pub kind: Kind,
    /// Its names: several are hard links. Only the root directory has none.
    pub links: Vec<Link>,
    /// Times, security and properties.
    pub metadata: Metadata,
    /// Its streams, the main one (empty name) first if there is one; sorted by name.
    pub streams: Vec<Stream>,
}

/// One name of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The directory that holds the name.
    pub parent: FileId,
    /// The name.
    pub name: Name,
    /// The short (8.3) name that belongs to it on NTFS.
    pub short: Option<Name>,
}

/// What is true of a node besides its names and contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Time stamps.
    pub times: Times,
    /// NTFS: the file attribute flags of $STANDARD_INFORMATION that Windows lets callers see, without DIRECTORY.
    /// ext4: the inode flags that can be set.
    pub attributes: u32,
    /// Who may do what.
    pub security: Security,
    /// Everything else, sorted.
    pub properties: Vec<Property>,
}

/// Time stamps in the file system's own resolution: 100 ns since 1601-01-01 UTC on NTFS, nanoseconds since 1970 on
/// ext4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// Birth.
    pub created: u64,
    /// Last change of the contents.
    pub modified: u64,
    /// Last change of the node itself.
    pub changed: u64,
    /// Last access.
    pub accessed: u64,
}

/// Owner and access rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Security {
    /// A self-relative Windows security descriptor, byte for byte; shared by the nodes that have the same.
    Descriptor(#[serde(with = "shared")] Arc<[u8]>),
    /// POSIX mode (permission and set-id bits), owner and group.
    Posix {
        /// Permission, set-id and sticky bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// The node has none (very old NTFS volumes); the file system's default applies.
    None,
}

/// Metadata that only some nodes have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Property {
    /// The whole $REPARSE_POINT value: tag, length, data ([MS-FSCC] 2.1.2).
    Reparse(Box<[u8]>),
    /// The whole $EA value: FILE_FULL_EA_INFORMATION entries ([MS-FSCC] 2.4.16, packed as on disk).
    ExtendedAttributes(Box<[u8]>),
    /// The $OBJECT_ID value: 16 or 64 bytes.
    ObjectId(Box<[u8]>),
    /// The $LOGGED_UTILITY_STREAM `$EFS` value of an encrypted file.
    Efs(Box<[u8]>),
    /// A POSIX extended attribute, ACLs and capabilities among them.
    Xattr {
        /// Full name with its prefix, such as `security.capability`.
        name: Box<[u8]>,
        /// Value.
        value: Box<[u8]>,
    },
}

/// One stream of bytes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Empty for the main stream.
    pub name: Name,
    /// Length in bytes that readers see.
    pub size: u64,
    /// Bytes from the start that were ever written; what follows reads as zeros (NTFS: initialized size).
    pub valid: u64,
    /// How the bytes are kept.
    pub flags: StreamFlags,
    /// Where the bytes are.
    pub data: StreamData,
}

/// How the bytes of a stream are kept on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct StreamFlags {
    /// Holes are not allocated and read as zeros.
    pub sparse: bool,
    /// LZNT1; the runs are compression units, verbatim.
    pub compressed: bool,
    /// EFS; the bytes are cipher text, verbatim.
    pub encrypted: bool,
    /// log2 of the compression unit in clusters; 0 where the stream has no units.
    pub unit_shift: u8,
}

/// Where the bytes of a stream are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamData {
    /// In the node's own record: `size` bytes.
    Inline(Box<[u8]>),
    /// In clusters, in stream order. They cover the allocated size.
    Runs(Vec<Run>),
}

/// A run of clusters, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Offset on the volume in bytes, or `None` for a hole.
    pub at: Option<u64>,
    /// Length in bytes, a multiple of the cluster size.
    pub len: u64,
}

/// `Arc<[u8]>` in serialized forms; equal ones are shared again by whoever decodes them.
mod shared {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(Vec::<u8>::deserialize(deserializer)?.into())
    }
}
