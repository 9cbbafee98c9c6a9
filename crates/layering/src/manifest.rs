//! What a layer version changes on the OS volume: the manifest.
//!
//! A manifest lists directories, files and deletions by path; file contents are named by digest and live in the
//! store. It stands alone: composing it needs no other version of the same layer. Encoded with postcard behind a
//! format number; the store compresses and verifies it.
//!
//! Everything is sorted (directories parents first, then by folded path), so equal changes give equal bytes.

use hive::Delta;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use store::BlobId;
use volume::{Kind, Metadata, Name, Property, Security, StreamFlags, Times};

/// First byte of an encoded manifest.
const FORMAT: u8 = 3;
/// The format before hives were more than files; it is read, and no longer written.
const WITHOUT_HIVES: u8 = 2;

/// What a layer version changes on the OS volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Distinct security values, referred to by position.
    pub securities: Vec<Security>,
    /// Every directory that something below refers to, parents first. The first is the root.
    pub directories: Vec<DirectoryRecord>,
    /// Files; each is one hard-link group.
    pub files: Vec<FileRecord>,
    /// Entries that the version takes away, parents before their contents.
    pub deletions: Vec<DeletionRecord>,
    /// What the version changes in the registry, hive by hive.
    pub hives: Vec<HiveRecord>,
}

/// What a version changes in a registry hive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveRecord {
    /// Position of the directory that the hive's file is in.
    pub directory: u32,
    /// Name of the file.
    pub name: Name,
    /// The change. In the SYSTEM hive the control set in use is called `CurrentControlSet`.
    pub delta: Delta,
}

/// A directory that a manifest speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRecord {
    /// Position of the parent; the root is its own.
    pub parent: u32,
    /// Name; the root's is empty.
    pub name: Name,
    /// Short name on NTFS.
    pub short: Option<Name>,
    /// What the version does to it.
    pub role: DirectoryRole,
    /// Its metadata when it was captured: used where the target lacks the directory, and for what `role` says changed.
    pub metadata: MetadataRecord,
    /// Its named streams.
    pub streams: Vec<StreamRecord>,
}

/// What a version does to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryRole {
    /// Only leads to something else; made when needed and absent.
    Context,
    /// Made by the version: exists afterwards even if empty.
    Created,
    /// Existed; these of its own properties were changed.
    Changed {
        /// Case of its name, or short name.
        name: bool,
        /// Security descriptor, owner or mode.
        security: bool,
        /// File attributes.
        attributes: bool,
        /// Creation and modification time.
        times: bool,
        /// Properties and named streams.
        properties: bool,
    },
}

/// A name in a directory of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// Position of the directory.
    pub directory: u32,
    /// Name.
    pub name: Name,
    /// Short name on NTFS.
    pub short: Option<Name>,
}

/// One file: a hard-link group with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The names that the version brings; at least one.
    pub names: Vec<NameRecord>,
    /// Names of the same file that lay below and were not changed. If there are any, `names` are links to that file,
    /// and the content recorded here serves only where the target has none of them.
    pub lower_names: Vec<NameRecord>,
    /// Metadata.
    pub metadata: MetadataRecord,
    /// Streams, main one first.
    pub streams: Vec<StreamRecord>,
    /// Digest of what the file's main stream was before, when it replaces one.
    pub before: Option<BlobId>,
    /// Version resource of a Windows binary, most significant part first.
    pub binary_version: Option<[u16; 4]>,
}

/// An entry that existed on the packaging disk and does no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRecord {
    /// Position of the directory that held it.
    pub directory: u32,
    /// Name.
    pub name: Name,
    /// What it was.
    pub kind: Kind,
    /// Digest of what its main stream was.
    pub before: Option<BlobId>,
}

/// [`Metadata`] with the security value shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataRecord {
    /// Time stamps.
    pub times: Times,
    /// File attributes.
    pub attributes: u32,
    /// Position in [`Manifest::securities`].
    pub security: u32,
    /// Everything else.
    pub properties: Vec<Property>,
}

/// One stream of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Empty for the main stream.
    pub name: Name,
    /// Length in bytes that readers see.
    pub size: u64,
    /// Bytes from the start that hold data.
    pub valid: u64,
    /// How the bytes are kept.
    pub flags: StreamFlags,
    /// The bytes.
    pub content: ContentRecord,
}

/// The bytes of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentRecord {
    /// Few enough to be written into the file's own record.
    Inline(Box<[u8]>),
    /// In the store.
    Stored {
        /// Digest of the allocated bytes (up to `valid`), holes left out.
        content: BlobId,
        /// How many bytes that are.
        len: u64,
        /// Where they are, when they are parts of other blobs and not a blob of their own.
        pieces: Vec<Piece>,
        /// Alternating data and holes of a sparse, compressed or encrypted stream; empty for a plain one.
        layout: Vec<Allocation>,
    },
}

/// A part of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The blob; `None` for zeros.
    pub blob: Option<BlobId>,
    /// Offset in the blob, bytes.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A stretch of a stream that is allocated, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Bytes.
    pub len: u64,
    /// Not allocated.
    pub hole: bool,
}

impl ContentRecord {
    /// The blobs that must be in the store for this content.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> + '_ {
        let (own, pieces): (Option<BlobId>, &[Piece]) = match self {
            ContentRecord::Stored { content, len, pieces, .. } if pieces.is_empty() && *len > 0 => {
                (Some(*content), &[])
            }
            ContentRecord::Stored { pieces, .. } => (None, pieces),
            ContentRecord::Inline(_) => (None, &[]),
        };
        own.into_iter().chain(pieces.iter().filter_map(|piece| piece.blob))
    }

    /// The digest of the content, whichever way it is kept.
    pub fn digest(&self) -> BlobId {
        match self {
            ContentRecord::Inline(bytes) => BlobId::of(bytes),
            ContentRecord::Stored { content, .. } => *content,
        }
    }
}

impl StreamRecord {
    /// No stream of any file system is longer (bytes); sums of a few such amounts cannot overflow.
    const LONGEST: u64 = 1 << 60;

    /// Whether its lengths agree with each other.
    fn adds_up(&self) -> bool {
        let sum = |lens: &mut dyn Iterator<Item = u64>| {
            let mut total = 0u64;
            for len in lens {
                total = total.checked_add(len).filter(|total| *total <= StreamRecord::LONGEST)?;
            }
            Some(total)
        };
        let content = match &self.content {
            ContentRecord::Inline(bytes) => bytes.len() as u64 == self.size,
            ContentRecord::Stored { len, pieces, layout, .. } => {
                let covered = sum(&mut layout.iter().map(|part| part.len));
                let data = sum(&mut layout.iter().filter(|part| !part.hole).map(|part| part.len));
                let kept = sum(&mut pieces.iter().map(|piece| piece.len));
                let ends = pieces.iter().all(|piece| piece.offset.checked_add(piece.len).is_some());
                *len <= StreamRecord::LONGEST
                    && covered.is_some()
                    && (layout.is_empty() || data == Some(*len))
                    && (pieces.is_empty() || kept == Some(*len))
                    && ends
            }
        };
        content && self.valid <= self.size
    }
}

impl FileRecord {
    /// The main stream, if the file has one.
    pub fn main_stream(&self) -> Option<&StreamRecord> {
        self.streams.iter().find(|stream| stream.name.is_empty())
    }

    /// Digest of the main stream's content.
    pub fn digest(&self) -> Option<BlobId> {
        self.main_stream().map(|stream| stream.content.digest())
    }
}

impl MetadataRecord {
    /// Gives back the metadata; `None` when the manifest lacks the security value.
    pub fn resolve(&self, securities: &[Security]) -> Option<Metadata> {
        Some(Metadata {
            times: self.times,
            attributes: self.attributes,
            security: securities.get(self.security as usize)?.clone(),
            properties: self.properties.clone(),
        })
    }
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Made by a later engine.
    #[error("the manifest has format {found}; this program knows formats up to {FORMAT}")]
    Newer {
        /// Its format number.
        found: u8,
    },
    /// Does not decode, or contradicts itself.
    #[error("the manifest is damaged: {0}")]
    Damaged(String),
}

impl Manifest {
    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("plain data always encodes into memory")
    }

    /// Reads stored bytes and verifies that every position refers to something and that parents come first.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let body = match bytes.first() {
            Some(&FORMAT) => Cow::Borrowed(&bytes[1..]),
            // all but the last list, which was not there yet: an empty one is a zero
            Some(&WITHOUT_HIVES) => Cow::Owned([&bytes[1..], &[0]].concat()),
            Some(&found) if found > FORMAT => return Err(ManifestError::Newer { found }),
            _ => return Err(ManifestError::Damaged("it has no format number".into())),
        };
        let (manifest, rest): (Manifest, _) =
            postcard::take_from_bytes(&body).map_err(|error| ManifestError::Damaged(error.to_string()))?;
        if !rest.is_empty() {
            return Err(ManifestError::Damaged("something follows its end".to_owned()));
        }
        manifest.verify()?;
        Ok(manifest)
    }

    /// Whether it keeps the rules of its form.
    pub(crate) fn verify(&self) -> Result<(), ManifestError> {
        let damaged = |what: &str| Err(ManifestError::Damaged(what.to_owned()));
        let directories = self.directories.len();
        let refers = |directory: u32| (directory as usize) < directories;
        let known = |record: &MetadataRecord| (record.security as usize) < self.securities.len();
        for (position, directory) in self.directories.iter().enumerate() {
            let parent = directory.parent as usize;
            if parent > position || (parent == position && position != 0) {
                return damaged("a directory comes before its parent");
            }
            if directory.name.is_empty() != (position == 0) {
                return damaged("a directory has no name");
            }
            if !known(&directory.metadata) {
                return damaged("a directory refers to a security value that is not there");
            }
        }
        for file in &self.files {
            if file.names.is_empty() {
                return damaged("a file has no name");
            }
            let mut names = file.names.iter().chain(&file.lower_names);
            if !names.all(|name| refers(name.directory) && !name.name.is_empty()) {
                return damaged("a file's directory is not there");
            }
            if !known(&file.metadata) {
                return damaged("a file refers to a security value that is not there");
            }
        }
        let streams = self.files.iter().flat_map(|file| &file.streams);
        let mut streams = streams.chain(self.directories.iter().flat_map(|directory| &directory.streams));
        if !streams.all(StreamRecord::adds_up) {
            return damaged("the amounts of a stream do not add up");
        }
        if !self.deletions.iter().all(|deletion| refers(deletion.directory) && !deletion.name.is_empty()) {
            return damaged("a deletion's directory is not there");
        }
        for hive in &self.hives {
            if !refers(hive.directory) || hive.name.is_empty() {
                return damaged("a hive's directory is not there");
            }
            if let Err(rule) = hive.delta.verify() {
                return damaged(rule);
            }
        }
        Ok(())
    }

    /// The blobs that must be in the store for this manifest, each once, sorted.
    pub fn blobs(&self) -> Vec<BlobId> {
        let streams = self.files.iter().flat_map(|file| &file.streams);
        let streams = streams.chain(self.directories.iter().flat_map(|directory| &directory.streams));
        let mut blobs: Vec<BlobId> = streams.flat_map(|stream| stream.content.blobs()).collect();
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }

    /// The names that lead to a directory, from the root.
    pub fn directory_path(&self, directory: u32) -> Vec<&Name> {
        let mut path = Vec::new();
        let mut at = directory as usize;
        while at != 0 {
            path.push(&self.directories[at].name);
            at = self.directories[at].parent as usize;
        }
        path.reverse();
        path
    }

    /// A name's path as people write it, `\`-separated.
    pub fn display_path(&self, directory: u32, name: &Name) -> String {
        let mut path = String::new();
        for part in self.directory_path(directory).into_iter().chain([name]) {
            path.push('\\');
            path.push_str(&part.to_string());
        }
        path
    }
}

/// Collects distinct security values while a manifest is built.
#[derive(Debug, Default)]
pub struct SecurityTable {
    positions: std::collections::HashMap<Security, u32>,
    values: Vec<Security>,
}

impl SecurityTable {
    /// The position of a value, which is added if it is new.
    pub fn position(&mut self, security: &Security) -> u32 {
        if let Some(&position) = self.positions.get(security) {
            return position;
        }
        let position = u32::try_from(self.values.len()).expect("fewer than 2^32 descriptors fit in memory");
        self.values.push(security.clone());
        self.positions.insert(security.clone(), position);
        position
    }

    /// A record of `metadata`.
    pub fn record(&mut self, metadata: &Metadata) -> MetadataRecord {
        MetadataRecord {
            times: metadata.times,
            attributes: metadata.attributes,
            security: self.position(&metadata.security),
            properties: metadata.properties.clone(),
        }
    }

    /// The values in order of their positions.
    pub fn into_values(self) -> Vec<Security> {
        self.values
    }
}
