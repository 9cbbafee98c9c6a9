//! The records that the store keeps: disks, layer versions and images.

use crate::platform::PlatformTypes;
use crate::reference::{EntityName, LayerKind};
use crate::report::{AppliedRow, Warning};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use store::{BlobId, ObjectId};

/// Revision of the engine; it is part of what an image's content depends on.
pub(crate) const ENGINE: &str = concat!("lamina ", env!("CARGO_PKG_VERSION"));

/// Object kind of [`DiskRecord`].
pub(crate) const DISK: &str = "disk";
/// Object kind of an encoded [`Manifest`](crate::manifest::Manifest).
pub(crate) const MANIFEST: &str = "manifest";
/// Object kind of [`VersionRecord`].
pub(crate) const VERSION: &str = "version";
/// Object kind of [`ImageRecord`].
pub(crate) const IMAGE: &str = "image";

/// The position of a version or image that has none yet: it is given one when it becomes visible.
pub(crate) const UNPUBLISHED: u64 = 0;

/// First byte of an encoded disk record.
const DISK_FORMAT: u8 = 1;

/// A disk as ranges of blobs; what no extent covers is zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskRecord {
    /// Length in bytes.
    pub(crate) len: u64,
    /// Extents, ascending, without overlap.
    pub(crate) extents: Vec<DiskExtent>,
}

/// A range of a disk that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskExtent {
    /// Offset on the disk, bytes.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) len: u64,
    /// The blob.
    pub(crate) blob: BlobId,
    /// Offset in the blob, bytes. A range may reach past the blob's end up to the next multiple of 4 KiB: zeros.
    pub(crate) blob_offset: u64,
}

impl DiskRecord {
    /// The bytes that are stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![DISK_FORMAT]).expect("plain data always encodes into memory")
    }

    /// Reads stored bytes and verifies that extents ascend within the disk.
    pub(crate) fn decode(bytes: &[u8]) -> Result<DiskRecord> {
        let damaged = |reason: &str| Error::record("a disk record", &reason);
        match bytes.first() {
            Some(&DISK_FORMAT) => {}
            Some(&newer) if newer > DISK_FORMAT => return Err(damaged("it was made by a newer engine")),
            _ => return Err(damaged("it has no format number")),
        }
        let (record, rest): (DiskRecord, _) =
            postcard::take_from_bytes(&bytes[1..]).map_err(|error| Error::record("a disk record", &error))?;
        if !rest.is_empty() {
            return Err(damaged("something follows its end"));
        }
        let mut end = 0;
        for extent in &record.extents {
            if extent.offset < end || extent.len == 0 {
                return Err(damaged("its extents do not ascend"));
            }
            let ends = (extent.offset.checked_add(extent.len), extent.blob_offset.checked_add(extent.len));
            end = match ends {
                (Some(end), Some(_)) if end <= record.len => end,
                _ => return Err(damaged("an extent lies outside the disk")),
            };
        }
        Ok(record)
    }

    /// The blobs that the disk needs, each once, sorted.
    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        let mut blobs: Vec<BlobId> = self.extents.iter().map(|extent| extent.blob).collect();
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }
}

/// A layer version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    /// Kind of the layer.
    pub(crate) kind: LayerKind,
    /// Name of the layer.
    pub(crate) layer: EntityName,
    /// Name of the version.
    pub(crate) version: EntityName,
    /// Position among the versions of the layer, from 1.
    pub(crate) sequence: u64,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) created: u64,
    /// Revision of the engine that made it.
    pub(crate) engine: String,
    /// The OS layer that an app or platform layer belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) os_layer: Option<EntityName>,
    /// Platform layers: what it is for. Versions from before there were types have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<PlatformTypes>,
    /// What the version adds, bytes.
    pub(crate) size: u64,
    /// Files (OS: on its OS volume).
    pub(crate) files: u64,
    /// Directories (OS: on its OS volume).
    pub(crate) directories: u64,
    /// Deleted entries.
    pub(crate) deletions: u64,
    /// The disk (OS) or the manifest (app, platform).
    pub(crate) body: ObjectId,
    /// OS versions: number of the partition that is the OS volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) os_volume: Option<u32>,
    /// Why findings about an imported disk were overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) override_reason: Option<String>,
    /// What it was captured from; absent for an imported disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captured: Option<Captured>,
    /// What it was where it was imported from, if it had to take another name or position here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Pinned>,
    /// Remarks made when it was stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<Warning>,
}

/// What a version was captured from. References as text with the identities of the records they led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Captured {
    /// The OS version of the packaging disk.
    pub(crate) os: Pinned,
    /// Prerequisite app versions, lowest priority first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) prerequisites: Vec<Pinned>,
    /// The version that this one started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Pinned>,
    /// Packaging platform layer version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Pinned>,
    /// Files whose records were equal were not compared.
    #[serde(default)]
    pub(crate) trust_metadata: bool,
    /// Why findings about the returned disk were overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) override_reason: Option<String>,
}

/// A reference and what it led to when it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pinned {
    /// Such as `app:Office@2`.
    pub(crate) reference: String,
    /// Identity of the record.
    pub(crate) id: ObjectId,
}

/// A composed image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Name.
    pub(crate) name: EntityName,
    /// Position among images, from 1.
    pub(crate) sequence: u64,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) created: u64,
    /// Revision of the engine that made it.
    pub(crate) engine: String,
    /// The disk.
    pub(crate) disk: ObjectId,
    /// Length of the disk, bytes.
    pub(crate) disk_len: u64,
    /// Digest of the raw disk content, hexadecimal.
    pub(crate) digest: String,
    /// Number of the partition that is the OS volume.
    pub(crate) os_volume: u32,
    /// The OS version.
    pub(crate) os: Pinned,
    /// The OS layer's name.
    pub(crate) os_layer: EntityName,
    /// App versions, lowest priority first.
    pub(crate) layers: Vec<Pinned>,
    /// Publishing platform layer version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Pinned>,
    /// What recipes did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied: Vec<AppliedRow>,
    /// Remarks made when it was composed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<Warning>,
}
