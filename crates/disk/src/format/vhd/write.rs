//! Writing fixed and dynamic VHDs.

use super::*;
use crate::format::Format;
use crate::format::export::{Finish, Identity, Layout, Window, Write};

const MIB: u64 = 1 << 20;
/// Bytes in a block of the dynamic disks that are written: what Hyper-V writes.
const BLOCK: u64 = 2 * MIB;
/// Bitmap of a block: every sector is valid. Sectors that were not written are holes of the file and read as zeros.
static BITMAP: [u8; 512] = [0xff; 512];

fn footer(identity: &Identity, kind: u32, data_offset: u64, current_size: u64) -> Footer {
    Footer {
        kind,
        data_offset,
        current_size,
        timestamp: u32::try_from(identity.created.saturating_sub(EPOCH)).unwrap_or(u32::MAX),
        uuid: identity.uuid("vhd"),
    }
}

/// The bytes of the disk, rounded up to whole MiB as Azure requires, and a footer.
pub(in crate::format) struct FixedLayout {
    disk: u64,
    footer: Footer,
}

impl FixedLayout {
    pub(in crate::format) fn new(disk: u64, identity: &Identity) -> Result<FixedLayout> {
        let disk = disk.next_multiple_of(MIB);
        check_limit(Format::Vhd, disk)?;
        Ok(FixedLayout { disk, footer: footer(identity, FIXED, u64::MAX, disk) })
    }
}

impl Layout for FixedLayout {
    type Encoder = ();

    fn disk_len(&self) -> u64 {
        self.disk
    }

    fn place<'w>(&mut self, window: &Window<'w>, (): &(), writes: &mut Vec<Write<'w>>) -> Result<()> {
        window.place_at(0, writes);
        Ok(())
    }

    fn finish(self) -> Result<Finish> {
        let footer = self.footer.encode();
        Ok(Finish::new(self.disk + footer.len() as u64, vec![(self.disk, footer.to_vec())]))
    }
}

/// Blocks in the order in which they are met. Their contents begin on 4 KiB, so that they can be reflinked; the
/// bitmap takes the sector before.
///
/// ```text
/// 0 footer copy | 512 header | 1536 table ... | (pad) bitmap | block | (pad) bitmap | block | footer
/// ```
pub(in crate::format) struct DynamicLayout {
    disk: u64,
    footer: Footer,
    header: DynamicHeader,
    /// Sector of every block's bitmap.
    table: Vec<u32>,
    /// Where the contents of the next block go, bytes.
    next: u64,
}

const TABLE_OFFSET: u64 = (FOOTER_LEN + HEADER_LEN) as u64;
const ALIGN: u64 = 4096;

impl DynamicLayout {
    pub(in crate::format) fn new(disk: u64, identity: &Identity) -> Result<DynamicLayout> {
        check_limit(Format::VhdDynamic, disk)?;
        let entries = disk.div_ceil(BLOCK) as u32;
        let table_len = (u64::from(entries) * 4).next_multiple_of(512);
        Ok(DynamicLayout {
            disk,
            footer: footer(identity, DYNAMIC, FOOTER_LEN as u64, disk),
            header: DynamicHeader { table_offset: TABLE_OFFSET, entries, block: BLOCK as u32 },
            table: vec![UNUSED; (table_len / 4) as usize],
            next: (TABLE_OFFSET + table_len + BITMAP.len() as u64).next_multiple_of(ALIGN),
        })
    }
}

impl Layout for DynamicLayout {
    type Encoder = ();

    fn disk_len(&self) -> u64 {
        self.disk
    }

    fn place<'w>(&mut self, window: &Window<'w>, (): &(), writes: &mut Vec<Write<'w>>) -> Result<()> {
        let (table, next) = (&mut self.table, &mut self.next);
        window.place_in_units(BLOCK, writes, |number, writes| {
            let entry = &mut table[number as usize];
            // Blocks that are larger than windows are met more than once.
            if *entry == UNUSED {
                // At most 2040 GiB of blocks and their bitmaps: the sector of a bitmap always fits 32 bits.
                let bitmap = *next - BITMAP.len() as u64;
                *entry = (bitmap / 512) as u32;
                writes.push(Write::fixed(bitmap, &BITMAP));
                *next += BLOCK + ALIGN;
            }
            Ok(u64::from(*entry) * 512 + BITMAP.len() as u64)
        })
    }

    fn finish(self) -> Result<Finish> {
        let footer = self.footer.encode();
        let table: Vec<u8> = self.table.iter().flat_map(|sector| sector.to_be_bytes()).collect();
        // `next` is aligned, and the footer is what the last block's padding leaves room for.
        let end = self.next - ALIGN;
        let end = end.max(TABLE_OFFSET + table.len() as u64).next_multiple_of(512);
        let start = [&footer[..], &self.header.encode(), &table].concat();
        Ok(Finish::new(end + footer.len() as u64, vec![(0, start), (end, footer.to_vec())]))
    }
}
