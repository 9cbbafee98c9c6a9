//! Writing dynamic VHDX images.

use super::*;
use crate::format::Result;
use crate::format::export::{Finish, Identity, Layout, Window, Write};

/// The smallest blocks that are written. Hyper-V's own default of 32 MiB makes sparse disks up to 16 times larger
/// in the file, and the table of a 2 TiB disk still has no more than 8 MiB.
const MIN_BLOCK: u64 = 2 * MIB;
/// Blocks are made larger rather than having more of them than this.
const MAX_BLOCKS: u64 = 1 << 20;
const LOG_OFFSET: u64 = MIB;
const LOG_LEN: u64 = MIB;
const METADATA_OFFSET: u64 = 2 * MIB;
const METADATA_LEN: u64 = MIB;
const BAT_OFFSET: u64 = 3 * MIB;
/// Logical and physical sectors, bytes. 4096 physical is what Hyper-V writes: guests then align to it.
const LOGICAL_SECTOR: u32 = 512;
const PHYSICAL_SECTOR: u32 = 4096;

/// Blocks in the order in which they are met. Blocks without data are marked as zero rather than as not present:
/// readers may return anything for the latter.
pub(in crate::format) struct DynamicLayout {
    disk: u64,
    block: u64,
    identity: Identity,
    /// The block allocation table, with the entries of sector bitmaps.
    table: Vec<u64>,
    /// Where the next block goes, bytes.
    next: u64,
}

impl DynamicLayout {
    pub(in crate::format) fn new(disk: u64, identity: &Identity) -> Result<DynamicLayout> {
        let block = disk.div_ceil(MAX_BLOCKS).next_power_of_two().max(MIN_BLOCK);
        let ratio = chunk_ratio(block);
        // Every entry after `ratio` blocks is that of a sector bitmap, which only differencing disks have.
        let table: Vec<u64> = (0..table_entries(disk, block))
            .map(|entry| if entry % (ratio + 1) == ratio { BLOCK_NOT_PRESENT } else { BLOCK_ZERO })
            .collect();
        let next = BAT_OFFSET + bat_len(&table);
        Ok(DynamicLayout { disk, block, identity: identity.clone(), table, next })
    }
}

fn bat_len(table: &[u64]) -> u64 {
    (table.len() as u64 * 8).next_multiple_of(MIB)
}

impl Layout for DynamicLayout {
    type Encoder = ();

    fn disk_len(&self) -> u64 {
        self.disk
    }

    fn place<'w>(&mut self, window: &Window<'w>, (): &(), writes: &mut Vec<Write<'w>>) -> Result<()> {
        let (table, next, block) = (&mut self.table, &mut self.next, self.block);
        let ratio = chunk_ratio(block);
        window.place_in_units(block, writes, |number, _| {
            let entry = &mut table[(number + number / ratio) as usize];
            // Blocks that are larger than windows are met more than once.
            if *entry == BLOCK_ZERO {
                *entry = *next | BLOCK_PRESENT;
                *next += block;
            }
            Ok(*entry & !STATE_MASK)
        })
    }

    fn finish(self) -> Result<Finish> {
        let bat_len = bat_len(&self.table);
        let mut identifier = IDENTIFIER.to_vec();
        identifier.extend("Lamina".encode_utf16().flat_map(u16::to_le_bytes));
        let regions = region_table(bat_len);
        let mut writes = vec![(0, identifier)];
        for (sequence, at) in (1..).zip(HEADER_OFFSETS) {
            writes.push((at, header(&self.identity, sequence)));
        }
        for at in REGION_TABLE_OFFSETS {
            writes.push((at, regions.clone()));
        }
        writes.push((METADATA_OFFSET, metadata(&self)));
        let next = self.next;
        let table = self.table;
        let chunks = (0..table.len()).step_by(1 << 17).map(move |from| {
            let part = &table[from..table.len().min(from + (1 << 17))];
            (BAT_OFFSET + from as u64 * 8, part.iter().flat_map(|entry| entry.to_le_bytes()).collect())
        });
        Ok(Finish { file_len: next, writes: Box::new(writes.into_iter().chain(chunks)) })
    }
}

/// [MS-VHDX] 2.2.2. The log is empty: its GUID is zero.
fn header(identity: &Identity, sequence: u64) -> Vec<u8> {
    let mut buf = vec![0; HEADER_LEN];
    put(&mut buf, 0, *HEADER_SIGNATURE);
    put(&mut buf, 8, sequence.to_le_bytes());
    put(&mut buf, 16, identity.uuid("vhdx file"));
    put(&mut buf, 32, identity.uuid("vhdx data"));
    put(&mut buf, 66, 1u16.to_le_bytes()); // version of the format; the log's, at 64, is 0
    put(&mut buf, 68, (LOG_LEN as u32).to_le_bytes());
    put(&mut buf, 72, LOG_OFFSET.to_le_bytes());
    seal(&mut buf);
    buf
}

/// [MS-VHDX] 2.2.3.
fn region_table(bat_len: u64) -> Vec<u8> {
    let mut buf = vec![0; TABLE_LEN];
    put(&mut buf, 0, *REGION_SIGNATURE);
    put(&mut buf, 8, 2u32.to_le_bytes());
    let regions = [(REGION_BAT, BAT_OFFSET, bat_len), (REGION_METADATA, METADATA_OFFSET, METADATA_LEN)];
    for (index, (id, at, len)) in regions.into_iter().enumerate() {
        let entry = 16 + index * 32;
        put(&mut buf, entry, id);
        put(&mut buf, entry + 16, at.to_le_bytes());
        put(&mut buf, entry + 24, (len as u32).to_le_bytes());
        put(&mut buf, entry + 28, 1u32.to_le_bytes()); // required
    }
    seal(&mut buf);
    buf
}

/// [MS-VHDX] 2.6: the table and, from 64 KiB on, the items.
fn metadata(layout: &DynamicLayout) -> Vec<u8> {
    const VIRTUAL_DISK: u32 = 2;
    const REQUIRED: u32 = 4;
    let block = (layout.block as u32).to_le_bytes();
    let items: [([u8; 16], Vec<u8>, u32); 5] = [
        (ITEM_FILE_PARAMETERS, [block, [0; 4]].concat(), REQUIRED),
        (ITEM_DISK_SIZE, layout.disk.to_le_bytes().to_vec(), REQUIRED | VIRTUAL_DISK),
        (ITEM_PAGE_83, layout.identity.uuid("vhdx page 83").to_vec(), REQUIRED | VIRTUAL_DISK),
        (ITEM_LOGICAL_SECTOR, LOGICAL_SECTOR.to_le_bytes().to_vec(), REQUIRED | VIRTUAL_DISK),
        (ITEM_PHYSICAL_SECTOR, PHYSICAL_SECTOR.to_le_bytes().to_vec(), REQUIRED | VIRTUAL_DISK),
    ];
    let mut buf = vec![0; TABLE_LEN];
    put(&mut buf, 0, *METADATA_SIGNATURE);
    put(&mut buf, 10, (items.len() as u16).to_le_bytes());
    for (index, (id, value, flags)) in items.into_iter().enumerate() {
        let entry = 32 + index * 32;
        let at = buf.len() as u32;
        put(&mut buf, entry, id);
        put(&mut buf, entry + 16, at.to_le_bytes());
        put(&mut buf, entry + 20, (value.len() as u32).to_le_bytes());
        put(&mut buf, entry + 24, flags.to_le_bytes());
        buf.extend(value);
    }
    buf
}
