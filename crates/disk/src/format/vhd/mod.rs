//! VHD, fixed and dynamic ("Virtual Hard Disk Image Format Specification", Microsoft 2006, version 1.0). Big endian.
//!
//! ```text
//! fixed:    data ............................................................ footer
//! dynamic:  footer copy | header (1 KiB) | table | bitmap, block | bitmap, block | ... | footer
//! ```
//!
//! Deliberately missing: differencing disks, and CHS as the size of a disk: the current size of the footer counts, as
//! it does for Hyper-V and Azure.

mod read;
mod write;

pub(super) use read::{open_dynamic, open_fixed};
pub(super) use write::{DynamicLayout, FixedLayout};

use super::fields::{be_u32, be_u64, guid, put};
use super::image_file::ImageFile;
use super::{Error, Result};

/// What footers begin with.
pub(super) const COOKIE: &[u8; 8] = b"conectix";
/// What the header of a dynamic disk begins with.
const HEADER_COOKIE: &[u8; 8] = b"cxsparse";
const FOOTER_LEN: usize = 512;
const HEADER_LEN: usize = 1024;
/// Disk type of a fixed disk.
pub(super) const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;
/// The largest disk, bytes: what Hyper-V and Azure take, a little less than the table could address.
pub(super) const MAX_DISK: u64 = 2040 << 30;
/// Table entry of a block that is not allocated.
const UNUSED: u32 = u32::MAX;
/// The epoch of VHD time stamps, 2000-01-01 UTC, in Unix seconds.
const EPOCH: u64 = 946_684_800;

/// What the footer says. Fields that nothing decides by are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    /// Disk type.
    pub(super) kind: u32,
    /// Where the dynamic header is, bytes; all ones for fixed disks.
    pub(super) data_offset: u64,
    /// Length of the disk, bytes.
    pub(super) current_size: u64,
    /// Seconds since 2000-01-01 UTC.
    pub(super) timestamp: u32,
    pub(super) uuid: [u8; 16],
}

/// What stands at the end of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FooterAtEnd {
    None,
    /// The cookie is there, the rest is not right.
    Damaged,
    Valid(Footer),
}

/// Looks for a footer at the end of a file.
pub(super) fn footer_at_end(file: &ImageFile) -> Result<FooterAtEnd> {
    let Some(at) = file.len().checked_sub(FOOTER_LEN as u64) else { return Ok(FooterAtEnd::None) };
    let mut buf = [0; FOOTER_LEN];
    file.read(at, &mut buf, "the footer")?;
    if !buf.starts_with(COOKIE) {
        // Virtual PC before 2004 wrote footers of 511 bytes; the byte that is missing is a reserved zero.
        buf.rotate_left(1);
        buf[FOOTER_LEN - 1] = 0;
    }
    Ok(match Footer::decode(&buf) {
        Some(footer) => FooterAtEnd::Valid(footer),
        None if buf.starts_with(COOKIE) => FooterAtEnd::Damaged,
        None => FooterAtEnd::None,
    })
}

impl Footer {
    /// The footer in `buf` if cookie, version and checksum are right.
    fn decode(buf: &[u8; FOOTER_LEN]) -> Option<Footer> {
        let valid =
            buf.starts_with(COOKIE) && be_u32(buf, 12) >> 16 == 1 && checksum(buf, 64) == be_u32(buf, 64);
        valid.then(|| Footer {
            data_offset: be_u64(buf, 16),
            timestamp: be_u32(buf, 24),
            current_size: be_u64(buf, 48),
            kind: be_u32(buf, 60),
            uuid: guid(buf, 68),
        })
    }

    fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut buf = [0; FOOTER_LEN];
        put(&mut buf, 0, *COOKIE);
        put(&mut buf, 8, 2u32.to_be_bytes()); // features: the reserved bit that is always set
        put(&mut buf, 12, 0x0001_0000u32.to_be_bytes());
        put(&mut buf, 16, self.data_offset.to_be_bytes());
        put(&mut buf, 24, self.timestamp.to_be_bytes());
        // Azure and QEMU take the size from the geometry unless they know the creator; they know this one.
        put(&mut buf, 28, *b"win ");
        put(&mut buf, 32, 0x000a_0000u32.to_be_bytes()); // creator version 10.0, of Windows
        put(&mut buf, 36, *b"Wi2k");
        put(&mut buf, 40, self.current_size.to_be_bytes());
        put(&mut buf, 48, self.current_size.to_be_bytes());
        put(&mut buf, 56, geometry(self.current_size / 512));
        put(&mut buf, 60, self.kind.to_be_bytes());
        put(&mut buf, 68, self.uuid);
        let sum = checksum(&buf, 64);
        put(&mut buf, 64, sum.to_be_bytes());
        buf
    }
}

/// One's complement of the sum of all bytes except the four of the checksum itself.
fn checksum(buf: &[u8], checksum_at: usize) -> u32 {
    let sum = |part: &[u8]| part.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    !(sum(buf) - sum(&buf[checksum_at..checksum_at + 4]))
}

/// Cylinders, heads and sectors per track as the appendix of the specification calculates them.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65535 * 16 * 255);
    let (per_track, heads, tracks) = if sectors >= 65535 * 16 * 63 {
        (255, 16, sectors / 255)
    } else {
        let heads = (sectors / 17).div_ceil(1024).max(4);
        if sectors / 17 < heads * 1024 && heads <= 16 {
            (17, heads, sectors / 17)
        } else if sectors / 31 < 16 * 1024 {
            (31, 16, sectors / 31)
        } else {
            (63, 16, sectors / 63)
        }
    };
    // No quotient leaves its field: at most 65535 cylinders, 16 heads, 255 sectors.
    let cylinders = ((tracks / heads) as u16).to_be_bytes();
    [cylinders[0], cylinders[1], heads as u8, per_track as u8]
}

/// Where the table of a dynamic disk is, and how its blocks are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DynamicHeader {
    /// File offset of the table, bytes.
    table_offset: u64,
    /// Entries that the table has room for.
    entries: u32,
    /// Bytes in a block.
    block: u32,
}

impl DynamicHeader {
    fn decode(file: &ImageFile, buf: &[u8; HEADER_LEN]) -> Result<DynamicHeader> {
        if !buf.starts_with(HEADER_COOKIE) {
            return Err(file.corrupt("the header of the dynamic disk does not begin with `cxsparse`"));
        }
        if checksum(buf, 36) != be_u32(buf, 36) {
            return Err(file.corrupt("the checksum of the dynamic header is wrong"));
        }
        if be_u32(buf, 24) >> 16 != 1 {
            return Err(file.unsupported(format!("its dynamic header has version {:#010x}", be_u32(buf, 24))));
        }
        Ok(DynamicHeader { table_offset: be_u64(buf, 16), entries: be_u32(buf, 28), block: be_u32(buf, 32) })
    }

    fn encode(&self) -> [u8; HEADER_LEN] {
        let mut buf = [0; HEADER_LEN];
        put(&mut buf, 0, *HEADER_COOKIE);
        put(&mut buf, 8, u64::MAX.to_be_bytes());
        put(&mut buf, 16, self.table_offset.to_be_bytes());
        put(&mut buf, 24, 0x0001_0000u32.to_be_bytes());
        put(&mut buf, 28, self.entries.to_be_bytes());
        put(&mut buf, 32, self.block.to_be_bytes());
        let sum = checksum(&buf, 36);
        put(&mut buf, 36, sum.to_be_bytes());
        buf
    }
}

/// Refuses disks that no VHD can hold.
pub(super) fn check_limit(format: super::Format, len: u64) -> Result<()> {
    if len > MAX_DISK {
        let reason = "a VHD holds at most 2040 GiB".to_owned();
        return Err(Error::Limit { format, len, reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chs(bytes: u64) -> (u16, u8, u8) {
        let [high, low, heads, per_track] = geometry(bytes / 512);
        (u16::from_be_bytes([high, low]), heads, per_track)
    }

    #[test]
    fn geometry_is_what_the_appendix_calculates() {
        assert_eq!(chs(1 << 20), (30, 4, 17));
        assert_eq!(chs(64 << 20), (963, 8, 17));
        assert_eq!(chs(1 << 30), (2080, 16, 63));
        assert_eq!(chs(127 << 30), (65278, 16, 255));
        assert_eq!(chs(MAX_DISK), (65535, 16, 255));
    }

    #[test]
    fn footers_survive_a_round_trip_and_no_flipped_bit_does() {
        let footer = Footer {
            kind: FIXED,
            data_offset: u64::MAX,
            current_size: 5 << 30,
            timestamp: 77,
            uuid: [9; 16],
        };
        let good = footer.encode();
        assert_eq!(Footer::decode(&good), Some(footer));
        for bit in 0..FOOTER_LEN * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::decode(&bad), None, "bit {bit}");
        }
    }
}
