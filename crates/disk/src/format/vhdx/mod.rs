//! VHDX ([MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format"). Little endian; all regions are multiples of 1 MiB.
//!
//! ```text
//! 0 identifier | 64K header 1 | 128K header 2 | 192K region table 1 | 256K region table 2
//! 1M log | metadata | block allocation table | payload blocks ...
//! ```
//!
//! Deliberately missing: differencing disks, 4096-byte logical sectors, writing the log.

mod log;
mod read;
mod write;

pub(super) use read::open;
pub(super) use write::DynamicLayout;

use super::fields::put;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const IDENTIFIER: &[u8; 8] = b"vhdxfile";
const HEADER_SIGNATURE: &[u8; 4] = b"head";
const REGION_SIGNATURE: &[u8; 4] = b"regi";
const METADATA_SIGNATURE: &[u8; 8] = b"metadata";
const HEADER_OFFSETS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLE_OFFSETS: [u64; 2] = [192 * KIB, 256 * KIB];
/// Bytes of a header that its checksum covers.
const HEADER_LEN: usize = 4 << 10;
/// Bytes of a region table and of the metadata table.
const TABLE_LEN: usize = 64 << 10;
/// Entries in one of those tables.
const MAX_ENTRIES: usize = 2047;

/// Regions ([MS-VHDX] 2.2.3).
const REGION_BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
const REGION_METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
/// Metadata items ([MS-VHDX] 2.6.2).
const ITEM_FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
const ITEM_DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
const ITEM_PAGE_83: [u8; 16] = guid(0xbeca_12ab, 0xb2e6, 0x4523, 0x93ef_c309_e000_c746);
const ITEM_LOGICAL_SECTOR: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);
const ITEM_PHYSICAL_SECTOR: [u8; 16] = guid(0xcda3_48c7, 0x445d, 0x4471, 0x9cc9_e988_5251_c556);
const ITEM_PARENT_LOCATOR: [u8; 16] = guid(0xa8d3_5f2d, 0xb30b, 0x454d, 0xabf7_d3d8_4834_ab0c);

/// States of payload blocks ([MS-VHDX] 2.5.1.1).
const BLOCK_NOT_PRESENT: u64 = 0;
const BLOCK_UNDEFINED: u64 = 1;
const BLOCK_ZERO: u64 = 2;
const BLOCK_UNMAPPED: u64 = 3;
const BLOCK_PRESENT: u64 = 6;
const STATE_MASK: u64 = 7;

/// A GUID as it is stored: the first three fields little endian, the rest as written.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// CRC-32C of a structure whose checksum field, bytes 4..8, counts as zero.
fn checksum(structure: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&structure[..4]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    crc32c::crc32c_append(sum, &structure[8..])
}

/// Puts the checksum of a finished structure into its field.
fn seal(structure: &mut [u8]) {
    let sum = checksum(structure);
    put(structure, 4, sum.to_le_bytes());
}

/// How many payload blocks one sector bitmap covers, and so after how many entries of the table one of a sector
/// bitmap follows ([MS-VHDX] 2.5).
fn chunk_ratio(block: u64) -> u64 {
    (1 << 23) * crate::SECTOR / block
}

/// Entries of the table of a disk that is not differencing.
fn table_entries(disk: u64, block: u64) -> u64 {
    let blocks = disk.div_ceil(block);
    blocks + blocks.saturating_sub(1) / chunk_ratio(block)
}
