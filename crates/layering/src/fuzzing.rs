//! Ways into parsers that are private otherwise, for the fuzz targets and for the tests that replay their corpora. For
//! nobody else: nothing here is kept compatible.

use crate::Result;
use crate::record::DiskRecord;
use disk::partition::Moved;
use std::io;
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
