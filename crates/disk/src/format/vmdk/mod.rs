//! VMDK ("Virtual Disk Format 5.0", VMware). Little endian.
//!
//! Read: sparse extents with an embedded descriptor (monolithicSparse and streamOptimized). Disks whose descriptor
//! names files are converted by qemu-img, and only if the caller allows other files. Written: streamOptimized.
//!
//! ```text
//! streamOptimized: header | descriptor | grains of 32 MiB, their table | ... | directory | footer | end marker
//! ```
//!
//! Deliberately missing: ESX's own sparse formats, snapshots.

mod read;
mod write;

pub(super) use read::{open, parent_name};
pub(super) use write::StreamLayout;

const MAGIC: &[u8; 4] = b"KDMV";
const SECTOR: u64 = crate::SECTOR;
/// Flags of the header: line ends can be tested; grains are compressed; markers stand before grains and tables.
const FLAG_NEWLINES: u32 = 1;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;
/// Place of the directory that says: look into the footer.
const DIRECTORY_AT_END: u64 = u64::MAX;
const COMPRESSION_DEFLATE: u16 = 1;
/// What stands in the header to find out whether a transfer as text has changed line ends.
const NEWLINES: [u8; 4] = *b"\n \r\n";
