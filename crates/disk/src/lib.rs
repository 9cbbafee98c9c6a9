//! Sectors: extent maps, copy-on-write overlays, partition tables and disk image formats.
//!
//! Everything here counts in bytes unless a name says otherwise. Nothing here knows of files, Windows or layers.

mod device;

pub use device::{BlockDevice, ByteSource, FileRegion, SourceId, SourceRange};

/// The logical sector size that Lamina works with, in bytes. Disks with 4096-byte logical sectors (4Kn) are refused.
pub const SECTOR: u64 = 512;

/// The block that digests, packs and copy-on-write pages are counted in, in bytes.
pub const BLOCK: u64 = 4096;
