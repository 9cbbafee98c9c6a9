//! Sectors: extent maps, copy-on-write overlays, partition tables and disk image formats.
//!
//! Everything here counts in bytes unless a name says otherwise. Nothing here knows of files, Windows or layers.

mod blocks;
mod device;
mod digest;
mod extent;
pub mod format;
mod frozen;
mod mapped;
mod overlay;
mod pages;
pub mod partition;
mod window;

pub use blocks::BlockSet;
pub use device::{BlockDevice, ByteSource, FileRegion, SourceId, SourceRange};
pub use digest::{disk_digest, zero_block_digest};
pub use extent::{Extent, ExtentMap, MapError, Segment, Segments};
pub use frozen::{DirtyPages, DirtyRun, Frozen};
pub use mapped::MappedDisk;
pub use overlay::Overlay;
pub use pages::PageBudget;
pub use window::{SourceWindow, Window};

/// The logical sector size that Lamina works with, in bytes. Disks with 4096-byte logical sectors (4Kn) are refused.
pub const SECTOR: u64 = 512;

/// The block that digests, packs and copy-on-write pages are counted in, in bytes.
pub const BLOCK: u64 = 4096;
