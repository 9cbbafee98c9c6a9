//! The GUID partition table (UEFI 2.10 section 5.3).
//!
//! ```text
//!   sector 0        protective MBR
//!   sector 1        primary header ──► array of entries (usually sectors 2..34)
//!   first usable .. last usable        partitions
//!   …               backup array  ◄── last sector: backup header
//! ```
//!
//! A header and its array are one *copy* of the table here. Each is guarded by a checksum; nothing of a copy is
//! believed before both are right.

use super::{Partition, PartitionError, PartitionKind, Result, Sectors, check_layout, u32_at, u64_at};
use crate::SECTOR;
use std::fmt;
use uuid::Uuid;

/// The sector of the primary header.
pub(super) const PRIMARY_HEADER: u64 = 1;

const MAGIC: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
/// Bytes of a header that the specification defines.
const HEADER_LEN: u32 = 92;
/// Bytes of an entry that the specification defines; real ones are this long times a power of two.
pub(super) const ENTRY_LEN: usize = 128;
const MAX_ENTRY_LEN: usize = 4096;
/// Arrays are 16 KiB nearly always. A longer one than this is not believed.
const MAX_ARRAY: u64 = 1 << 20;
/// UTF-16 units in the name of a partition.
pub(super) const NAME_UNITS: usize = 36;

/// Why a copy of the table is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A header with its array of entries, both with the right checksums when they were read.
#[derive(Debug, Clone)]
pub(super) struct TableCopy {
    header: [u8; SECTOR as usize],
    array: Vec<u8>,
}

/// What a new table says about itself.
pub(super) struct NewTable {
    pub(super) disk: Uuid,
    pub(super) disk_sectors: u64,
    pub(super) entries: u32,
}

impl TableCopy {
    /// Reads the copy whose header is in this sector. The outer error is that of the disk.
    pub(super) fn read(disk: &mut Sectors<'_>, at: u64) -> Result<std::result::Result<TableCopy, Invalid>> {
        let invalid = |why: &str| Ok(Err(Invalid(format!("the header in sector {at} {why}"))));
        let Some(header) = disk.sector(at)? else { return invalid("is beyond the end of the disk") };
        if header[..8] != *MAGIC {
            return invalid("is not there");
        }
        let copy = TableCopy { header, array: Vec::new() };
        let header_len = u32_at(&header, 12);
        if u32_at(&header, 8) != REVISION || !(HEADER_LEN..=SECTOR as u32).contains(&header_len) {
            return invalid("is of an unknown revision");
        }
        if u32_at(&header, 16) != header_checksum(&header) {
            return invalid("has a wrong checksum");
        }
        if u64_at(&header, 24) != at {
            return invalid("says that it belongs elsewhere");
        }
        let entry_len = copy.entry_len();
        if !(ENTRY_LEN..=MAX_ENTRY_LEN).contains(&entry_len) || !entry_len.is_power_of_two() {
            return invalid("says that entries have an impossible length");
        }
        let len = u64::from(copy.entries()) * entry_len as u64;
        if len == 0 || len > MAX_ARRAY {
            return invalid("says that there are impossibly many entries");
        }
        let (first, last) = (copy.first_usable(), copy.last_usable());
        if first > last || (at <= last && at >= first) {
            return invalid("says that no sectors, or its own, are usable");
        }
        let start = copy.array_start();
        let Some(end) = start.checked_add(len.div_ceil(SECTOR)).filter(|&end| end <= disk.count()) else {
            return invalid("says that its entries are beyond the end of the disk");
        };
        if start <= PRIMARY_HEADER || (start..end).contains(&at) || (start <= last && first < end) {
            return invalid("says that its entries lie where something else is");
        }
        let mut array = vec![0; len as usize];
        (disk.read)(start * SECTOR, &mut array)?;
        if crc32fast::hash(&array) != u32_at(&header, 88) {
            return Ok(Err(Invalid(format!("the entries in sector {start} have a wrong checksum"))));
        }
        Ok(Ok(TableCopy { header, array }))
    }

    /// A primary copy without partitions. The disk is long enough for it and its backup.
    pub(super) fn new(table: &NewTable) -> TableCopy {
        let mut header = [0; SECTOR as usize];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&REVISION.to_le_bytes());
        header[12..16].copy_from_slice(&HEADER_LEN.to_le_bytes());
        header[56..72].copy_from_slice(&table.disk.to_bytes_le());
        header[80..84].copy_from_slice(&table.entries.to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY_LEN as u32).to_le_bytes());
        let mut copy = TableCopy { header, array: vec![0; table.entries as usize * ENTRY_LEN] };
        copy.put(40, PRIMARY_HEADER + 1 + copy.array_sectors());
        copy.settle(table.disk_sectors);
        copy
    }

    /// Makes this the primary copy for a disk of this many sectors, whatever it was before: the backup goes to the
    /// end and everything before it is usable.
    pub(super) fn settle(&mut self, disk_sectors: u64) {
        let backup = disk_sectors - 1;
        self.put(24, PRIMARY_HEADER);
        self.put(32, backup);
        self.put(48, backup - self.array_sectors() - 1);
        self.put(72, PRIMARY_HEADER + 1);
        self.seal();
    }

    /// What to write where (in bytes) to store this settled primary copy and its backup, the backup first.
    pub(super) fn writes(&self) -> Vec<(u64, Vec<u8>)> {
        let mut backup = self.clone();
        let at = self.alternate();
        backup.put(24, at);
        backup.put(32, PRIMARY_HEADER);
        backup.put(72, at - self.array_sectors());
        backup.seal();
        vec![
            (backup.array_start() * SECTOR, backup.array),
            (at * SECTOR, backup.header.to_vec()),
            (self.array_start() * SECTOR, self.array.clone()),
            (PRIMARY_HEADER * SECTOR, self.header.to_vec()),
        ]
    }

    pub(super) fn disk(&self) -> Uuid {
        guid(&self.header[56..72])
    }

    pub(super) fn first_usable(&self) -> u64 {
        u64_at(&self.header, 40)
    }

    /// The last sector that partitions may use.
    pub(super) fn last_usable(&self) -> u64 {
        u64_at(&self.header, 48)
    }

    pub(super) fn array_sectors(&self) -> u64 {
        (self.array.len() as u64).div_ceil(SECTOR)
    }

    /// Where the other copy says to be, as a sector.
    fn alternate(&self) -> u64 {
        u64_at(&self.header, 32)
    }

    fn array_start(&self) -> u64 {
        u64_at(&self.header, 72)
    }

    fn entries(&self) -> u32 {
        u32_at(&self.header, 80)
    }

    fn entry_len(&self) -> usize {
        u32_at(&self.header, 84) as usize
    }

    /// The partitions, checked against each other, the usable range and the length of the disk in bytes.
    pub(super) fn partitions(&self, disk_len: u64) -> Result<Vec<Partition>> {
        let mut partitions = Vec::new();
        for (entry, number) in self.array.chunks_exact(self.entry_len()).zip(1..) {
            let kind = guid(&entry[..16]);
            if kind.is_nil() {
                continue;
            }
            let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
            if first > last || first < self.first_usable() || last > self.last_usable() {
                let what = format!(
                    "partition {number} (sectors {first} to {last}) is not inside the usable sectors {} to {}",
                    self.first_usable(),
                    self.last_usable()
                );
                return Err(PartitionError::Damaged { what });
            }
            let beyond = || PartitionError::BeyondDisk {
                number,
                end: last.saturating_add(1).saturating_mul(SECTOR),
                len: disk_len,
            };
            if last >= disk_len / SECTOR {
                return Err(beyond());
            }
            let units: Vec<u16> = entry[56..56 + 2 * NAME_UNITS]
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .take_while(|&unit| unit != 0)
                .collect();
            partitions.push(Partition {
                number,
                start: first * SECTOR,
                len: (last - first + 1) * SECTOR,
                kind: PartitionKind::Gpt(kind),
                guid: Some(guid(&entry[16..32])),
                name: String::from_utf16_lossy(&units),
                attributes: u64_at(entry, 48),
                logical: false,
            });
        }
        check_layout(&partitions, disk_len)?;
        Ok(partitions)
    }

    /// The bytes of the entry with this number, which the array has.
    pub(super) fn entry_mut(&mut self, number: u32) -> &mut [u8] {
        let len = self.entry_len();
        &mut self.array[(number as usize - 1) * len..][..len]
    }

    /// Recomputes both checksums.
    pub(super) fn seal(&mut self) {
        let array = crc32fast::hash(&self.array);
        self.header[88..92].copy_from_slice(&array.to_le_bytes());
        let header = header_checksum(&self.header);
        self.header[16..20].copy_from_slice(&header.to_le_bytes());
    }

    fn put(&mut self, at: usize, value: u64) {
        self.header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// Places an entry at sectors that belong to it from now on.
pub(super) fn set_range(entry: &mut [u8], start: u64, len: u64) {
    entry[32..40].copy_from_slice(&(start / SECTOR).to_le_bytes());
    entry[40..48].copy_from_slice(&((start + len) / SECTOR - 1).to_le_bytes());
}

/// Looks at the backup of a good primary copy and says what is wrong with it.
pub(super) fn check_backup(primary: &TableCopy, disk: &mut Sectors<'_>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let last = disk.count() - 1;
    let alternate = primary.alternate();
    if alternate < last {
        warnings.push(
            "the backup partition table is not at the end of the disk: the disk was extended".to_owned(),
        );
    }
    match TableCopy::read(disk, alternate)? {
        Err(why) => warnings.push(format!("the backup partition table is damaged: {why}")),
        Ok(backup) if backup.array != primary.array || backup.disk() != primary.disk() => {
            warnings
                .push("the backup partition table differs from the primary one, which was used".to_owned());
        }
        Ok(_) => {}
    }
    Ok(warnings)
}

/// Whether a header begins where it does on disks with 4096-byte sectors.
pub(super) fn is_4kn(disk: &mut Sectors<'_>) -> Result<bool> {
    let header = disk.sector(4096 / SECTOR)?;
    Ok(header.is_some_and(|header| header[..8] == *MAGIC && u64_at(&header, 24) == PRIMARY_HEADER))
}

/// The checksum of a header whose own length field was checked; the checksum field counts as zero.
fn header_checksum(header: &[u8; SECTOR as usize]) -> u32 {
    let len = (u32_at(header, 12) as usize).min(header.len());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..16]);
    hasher.update(&[0; 4]);
    hasher.update(&header[20..len]);
    hasher.finalize()
}

/// A GUID in the byte order of GPT: the first three fields little-endian.
fn guid(bytes: &[u8]) -> Uuid {
    Uuid::from_bytes_le(std::array::from_fn(|i| bytes[i]))
}
