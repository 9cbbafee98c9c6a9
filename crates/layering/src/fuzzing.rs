//! Ways into parsers that are private otherwise, for the fuzz targets and for the tests that replay their corpora. For
//! nobody else: nothing here is kept compatible.

use crate::Result;
use crate::exchange::oci::{Descriptor, Index, VersionManifest};
use crate::exchange::pack;
use crate::record::DiskRecord;
use disk::partition::Moved;
use std::io;
use std::path::Path;
use store::BlobId;

/// The file version of a PE file.
pub fn binary_version(read: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> io::Result<Option<[u16; 4]>> {
    crate::binary_version::binary_version(read)
}

/// ReAgent.xml after partitions were moved; `None` when it names none of them.
pub fn relocate(text: &[u8], moved: &[Moved]) -> Option<Vec<u8>> {
    crate::reagent::relocate(text, moved)
}

/// What a disk record says.
#[derive(Debug, PartialEq, Eq)]
pub struct Disk {
    /// Length of the disk, bytes.
    pub len: u64,
    /// Offset on the disk, length, blob, and offset in the blob of each extent.
    pub extents: Vec<(u64, u64, BlobId, u64)>,
    /// The blobs that the disk needs.
    pub blobs: Vec<BlobId>,
    /// The record as it is stored.
    pub encoded: Vec<u8>,
}

/// Decodes a disk record.
pub fn disk_record(bytes: &[u8]) -> Result<Disk> {
    let record = DiskRecord::decode(bytes)?;
    let extents = record.extents.iter();
    let extents =
        extents.map(|extent| (extent.offset, extent.len, extent.blob, extent.blob_offset)).collect();
    Ok(Disk { len: record.len, extents, blobs: record.blobs(), encoded: record.encode() })
}

/// What the directory of a pack of an exchange layout says.
#[derive(Debug, PartialEq, Eq)]
pub struct PackDirectory {
    /// Which part of a blob the pack is, and of how many.
    pub part: (u64, u64),
    /// Length of the content, bytes.
    pub content: u64,
    /// Its blobs.
    pub blobs: Vec<PackBlob>,
    /// The directory as it is written.
    pub encoded: Vec<u8>,
}

/// A blob in a pack, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct PackBlob {
    /// Length of the whole blob.
    pub len: u64,
    /// Where its content begins in that of the pack.
    pub at: u64,
    /// Offset and length of each run.
    pub runs: Vec<(u64, u64)>,
}

/// Decodes the directory at the beginning of a pack.
pub fn pack_directory(bytes: &[u8]) -> Option<PackDirectory> {
    let directory = pack::Directory::decode(bytes).ok()?;
    let blobs = directory.blobs.iter().map(|blob| {
        let runs = directory.runs[blob.runs.clone()].iter().map(|run| (run.offset, run.len));
        PackBlob { len: blob.len, at: blob.at, runs: runs.collect() }
    });
    Some(PackDirectory {
        part: (directory.part, directory.parts),
        content: directory.content,
        blobs: blobs.collect(),
        encoded: directory.encode(),
    })
}

/// The content of a pack.
pub fn pack_content(bytes: &[u8]) -> Option<Vec<u8>> {
    pack::open(bytes).ok().map(|(_, content)| content)
}

/// An index of a layout, written again: as it is, and after a version was added twice. With how many entries are, or may
/// be, layer versions, how many say so and cannot be read, and how many are somebody else's.
pub fn layout_index(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, [usize; 3])> {
    let index = Index::decode(bytes).ok()?;
    let (candidates, unreadable, foreign) = index.candidates(Path::new("layout"));
    let mut with = index.clone();
    for candidate in [1, 2] {
        let digest = crate::exchange::oci::Digest::of(&[bytes]);
        with.put(&Descriptor::entry(digest, candidate, "app/name".into(), "app:Name@1".into()));
    }
    let counts = [candidates.len(), unreadable.len(), usize::try_from(foreign).ok()?];
    Some((index.encode(), with.encode(), counts))
}

/// The manifest of a layer version, written again.
pub fn layout_manifest(bytes: &[u8]) -> Option<Vec<u8>> {
    VersionManifest::decode(bytes).ok().map(|manifest| manifest.encode())
}
