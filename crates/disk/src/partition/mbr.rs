//! The master boot record and the chain of logical partitions.
//!
//! ```text
//!   sector 0                                 entry, 16 bytes
//!   440  disk signature (u32 LE)               0  status: 0x80 active, 0x00 not
//!   446  four entries                          1  first sector as cylinder/head/sector
//!   510  55 AA                                 4  type
//!                                              5  last sector as cylinder/head/sector
//!                                              8  first sector (u32 LE)   12  sectors (u32 LE)
//! ```
//!
//! An extended partition holds a chain of such records: entry 1 is a logical partition, relative to its record; entry
//! 2 is the next record, relative to the extended partition. (Windows Internals, "MBR-style partitioning"; the chain
//! as Linux's block/partitions/msdos.c reads it.)

use super::{Partition, PartitionError, PartitionKind, PartitionTable, Result, Scheme, Sectors};
use super::{check_layout, u32_at};
use crate::SECTOR;
use std::collections::HashSet;

const SIGNATURE: usize = 440;
const ENTRIES: usize = 446;
const ENTRY_LEN: usize = 16;
const PROTECTIVE: u8 = 0xee;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Logical partitions beyond this number are taken for a damaged or hostile chain.
const MAX_LOGICAL: usize = 128;
/// The first length in bytes that the 32-bit sector numbers cannot describe.
pub(super) const LIMIT: u64 = (1 << 32) * SECTOR;

/// One used entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Place in the record, from 0.
    pub(super) slot: usize,
    pub(super) status: u8,
    pub(super) kind: u8,
    /// First sector; in logical records relative.
    pub(super) start: u32,
    /// Sectors.
    pub(super) count: u32,
}

impl Entry {
    /// Whether status and start are what they can be.
    fn is_legal(&self) -> bool {
        self.status & 0x7f == 0 && self.start > 0
    }
}

/// A sector that ends in 55 AA.
#[derive(Debug, Clone)]
pub(super) struct Record {
    bytes: [u8; SECTOR as usize],
}

impl Record {
    pub(super) fn parse(sector: &[u8; SECTOR as usize]) -> Option<Record> {
        (sector[510..] == [0x55, 0xaa]).then_some(Record { bytes: *sector })
    }

    /// A record without partitions and boot code.
    pub(super) fn new(signature: u32) -> Record {
        let mut bytes = [0; SECTOR as usize];
        bytes[SIGNATURE..SIGNATURE + 4].copy_from_slice(&signature.to_le_bytes());
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        Record { bytes }
    }

    /// The record that tells tools without GPT that the disk is not empty (UEFI 2.10 section 5.2.3).
    pub(super) fn protective(disk_sectors: u64) -> Record {
        let mut record = Record::new(0);
        record.protect(0, disk_sectors);
        record
    }

    /// Makes the entry in `slot` the protective one for a disk of this many sectors.
    pub(super) fn protect(&mut self, slot: usize, disk_sectors: u64) {
        let count = u32::try_from(disk_sectors - 1).unwrap_or(u32::MAX);
        self.set(Entry { slot, status: 0, kind: PROTECTIVE, start: 1, count });
    }

    pub(super) fn bytes(&self) -> &[u8; SECTOR as usize] {
        &self.bytes
    }

    pub(super) fn signature(&self) -> u32 {
        u32_at(&self.bytes, SIGNATURE)
    }

    /// The entries that have a type and a length; others are unused, as Linux and Windows see it.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..4).map(|slot| self.entry(slot)).filter(|entry| entry.kind != 0 && entry.count != 0)
    }

    /// The slot of the entry that protects a GPT.
    pub(super) fn protective_slot(&self) -> Option<usize> {
        self.entries().find(|entry| entry.kind == PROTECTIVE).map(|entry| entry.slot)
    }

    pub(super) fn is_protective(&self) -> bool {
        self.protective_slot().is_some()
    }

    pub(super) fn has_extended(&self) -> bool {
        self.entries().any(|entry| EXTENDED.contains(&entry.kind))
    }

    /// Whether the entries look like a table rather than like the boot code of a file system: there is one, and all
    /// have a legal status and begin on the disk.
    pub(super) fn is_plausible(&self, disk_sectors: u64) -> bool {
        self.entries().next().is_some()
            && self.entries().all(|entry| entry.is_legal() && u64::from(entry.start) < disk_sectors)
    }

    /// Writes an entry; its cylinder/head/sector fields are made for 255 heads and 63 sectors, as Windows does.
    pub(super) fn set(&mut self, entry: Entry) {
        let last = entry.start.saturating_add(entry.count.saturating_sub(1));
        let bytes = &mut self.bytes[ENTRIES + entry.slot * ENTRY_LEN..][..ENTRY_LEN];
        bytes[0] = entry.status;
        bytes[1..4].copy_from_slice(&chs(entry.start));
        bytes[4] = entry.kind;
        bytes[5..8].copy_from_slice(&chs(last));
        bytes[8..12].copy_from_slice(&entry.start.to_le_bytes());
        bytes[12..16].copy_from_slice(&entry.count.to_le_bytes());
    }

    /// Takes an entry away.
    pub(super) fn clear(&mut self, slot: usize) {
        self.bytes[ENTRIES + slot * ENTRY_LEN..][..ENTRY_LEN].fill(0);
    }

    pub(super) fn entry(&self, slot: usize) -> Entry {
        let at = ENTRIES + slot * ENTRY_LEN;
        Entry {
            slot,
            status: self.bytes[at],
            kind: self.bytes[at + 4],
            start: u32_at(&self.bytes, at + 8),
            count: u32_at(&self.bytes, at + 12),
        }
    }
}

/// A sector number as cylinder/head/sector; beyond 1023 cylinders the largest value stands for all.
fn chs(sector: u32) -> [u8; 3] {
    let (cylinder, head, sector) = (sector / (255 * 63), sector / 63 % 255, sector % 63 + 1);
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    [head as u8, (sector | cylinder >> 8 << 6) as u8, cylinder as u8]
}

/// The partitions that a record and its chains describe.
pub(super) fn table(record: &Record, disk: &mut Sectors<'_>) -> Result<PartitionTable> {
    let mut primary = Vec::new();
    let mut warnings = Vec::new();
    let mut containers = Vec::new();
    for entry in record.entries() {
        let number = entry.slot as u32 + 1;
        let partition = partition(number, entry, 0)?;
        if EXTENDED.contains(&entry.kind) {
            containers.push(partition.clone());
        }
        primary.push(partition);
    }
    check_layout(&primary, disk.len)?;
    let mut logical = Vec::new();
    for container in &containers {
        chain(container, disk, &mut logical, &mut warnings)?;
    }
    check_layout(&logical, disk.len)?;
    let is_container = |partition: &Partition| containers.iter().any(|c| c.number == partition.number);
    let mut partitions: Vec<_> = primary.into_iter().filter(|p| !is_container(p)).collect();
    partitions.append(&mut logical);
    Ok(PartitionTable { scheme: Scheme::Mbr { signature: record.signature() }, partitions, warnings })
}

/// Follows the chain of an extended partition. It ends at the latest when a record comes again.
fn chain(
    container: &Partition,
    disk: &mut Sectors<'_>,
    logical: &mut Vec<Partition>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let base = container.start / SECTOR;
    let mut at = base;
    let mut seen = HashSet::new();
    loop {
        if !seen.insert(at) || seen.len() > MAX_LOGICAL {
            let what =
                format!("the chain of logical partitions in partition {} has no end", container.number);
            return Err(PartitionError::Damaged { what });
        }
        let Some(record) = disk.sector(at)?.as_ref().and_then(Record::parse) else {
            warnings.push(format!("the chain of logical partitions breaks off at sector {at}"));
            return Ok(());
        };
        for entry in record.entries().filter(|entry| entry.slot < 2 && !EXTENDED.contains(&entry.kind)) {
            let partition = partition(5 + logical.len() as u32, entry, at)?;
            if partition.start < container.start || partition.end() > container.end() {
                let what = format!("logical partition {} lies outside its container", partition.number);
                return Err(PartitionError::Damaged { what });
            }
            logical.push(partition);
        }
        let Some(next) = record.entries().find(|entry| EXTENDED.contains(&entry.kind)) else { return Ok(()) };
        at = base + u64::from(next.start);
        if at * SECTOR >= container.end() {
            let what = format!("the chain of logical partitions leaves its container at sector {at}");
            return Err(PartitionError::Damaged { what });
        }
    }
}

/// The partition of an entry in the record at sector `record`.
fn partition(number: u32, entry: Entry, record: u64) -> Result<Partition> {
    if !entry.is_legal() {
        let what = format!("the entry of partition {number} has an illegal status or start");
        return Err(PartitionError::Damaged { what });
    }
    Ok(Partition {
        number,
        start: (record + u64::from(entry.start)) * SECTOR,
        len: u64::from(entry.count) * SECTOR,
        kind: PartitionKind::Mbr(entry.kind),
        guid: None,
        name: String::new(),
        attributes: u64::from(entry.status),
        logical: record > 0,
    })
}
