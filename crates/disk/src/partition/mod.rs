//! Partition tables: GPT, MBR, and disks that are one file system from the first sector on.
//!
//! Reading is strict where a wrong guess would destroy data (overlaps, ranges outside the disk) and forgiving where
//! the specification foresees it (a damaged primary GPT is replaced by its backup, with a warning). Sectors are 512
//! bytes. Deliberately missing: changing anything but what growing a disk takes, and writing logical partitions.

mod create;
mod error;
mod gpt;
mod grow;
mod kind;
mod mbr;

pub use create::create;
pub use error::PartitionError;
pub use grow::{Grown, Moved, RecoveryPolicy, grow_disk};
pub use kind::{
    GPT_BASIC_DATA, GPT_EFI_SYSTEM, GPT_LINUX, GPT_MICROSOFT_RESERVED, GPT_WINDOWS_RECOVERY, MBR_LINUX,
    MBR_NTFS, MBR_WINDOWS_RECOVERY, PartitionKind,
};

use crate::{BlockDevice, ByteSource, SECTOR};
use std::io;
use uuid::Uuid;

type Result<T> = std::result::Result<T, PartitionError>;

/// What kind of table a disk has, and the identity that the table gives to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// GUID partition table (UEFI 2.10 section 5.3).
    Gpt {
        /// GUID of the disk.
        disk: Uuid,
    },
    /// Master boot record.
    Mbr {
        /// The disk signature at byte 440, by which Windows knows the disk.
        signature: u32,
    },
    /// None: a file system begins in the first sector.
    Unpartitioned,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The number by which partitioning tools know it, from 1: the place in the table; logical partitions of an MBR
    /// begin at 5.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is for.
    pub kind: PartitionKind,
    /// GPT: the GUID of this very partition.
    pub guid: Option<Uuid>,
    /// GPT: its name.
    pub name: String,
    /// GPT: the attribute bits. MBR: the status byte, 0x80 for the active partition.
    pub attributes: u64,
    /// MBR: whether it lies in an extended partition.
    pub logical: bool,
}

impl Partition {
    /// First byte after the partition.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// The partitions of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Kind of the table and identity of the disk.
    pub scheme: Scheme,
    /// The partitions by number. The container of logical partitions is not among them.
    pub partitions: Vec<Partition>,
    /// What is wrong with the table but could be read past, in words for a person.
    pub warnings: Vec<String>,
}

impl PartitionTable {
    /// Reads the table of a disk.
    pub fn read(disk: &dyn ByteSource) -> Result<PartitionTable> {
        read(&mut Sectors { len: disk.len(), read: &mut |offset, buf| disk.read_exact_at(offset, buf) })
    }

    /// Reads the table of a disk that can be changed.
    pub fn read_device(disk: &mut dyn BlockDevice) -> Result<PartitionTable> {
        read(&mut Sectors { len: disk.len(), read: &mut |offset, buf| disk.read_at(offset, buf) })
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.number == number)
    }
}

/// Reads sectors of a disk, wherever they come from.
struct Sectors<'a> {
    /// Length of the disk, bytes.
    len: u64,
    read: &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
}

impl Sectors<'_> {
    /// How many whole sectors the disk has.
    fn count(&self) -> u64 {
        self.len / SECTOR
    }

    /// One sector, or `None` when the disk has no such sector.
    fn sector(&mut self, number: u64) -> io::Result<Option<[u8; SECTOR as usize]>> {
        if number >= self.count() {
            return Ok(None);
        }
        let mut sector = [0; SECTOR as usize];
        (self.read)(number * SECTOR, &mut sector)?;
        Ok(Some(sector))
    }
}

fn read(disk: &mut Sectors<'_>) -> Result<PartitionTable> {
    let Some(first) = disk.sector(0)? else { return Err(PartitionError::NotPartitioned) };
    let record = mbr::Record::parse(&first);
    let protective = record.as_ref().is_some_and(mbr::Record::is_protective);
    let primary = gpt::TableCopy::read(disk, gpt::PRIMARY_HEADER)?;

    if let Some(record) = &record
        && !protective
        && record.is_plausible(disk.count())
    {
        let mut table = mbr::table(record, disk)?;
        if primary.is_ok() {
            table.warnings.push(
                "the disk also has a GUID partition table, which is ignored because the MBR does not announce it"
                    .to_owned(),
            );
        }
        return Ok(table);
    }
    if primary.is_err() && !protective && holds_file_system(&first, disk)? {
        return Ok(whole_disk(disk.len));
    }
    let last = disk.count() - 1;
    let gpt = match primary {
        Ok(primary) => {
            let warnings = gpt::check_backup(&primary, disk)?;
            Some((primary, warnings))
        }
        Err(_) if gpt::is_4kn(disk)? => return Err(PartitionError::FourKn),
        Err(why) => match gpt::TableCopy::read(disk, last)? {
            Ok(backup) => {
                let warning = format!("the primary partition table is damaged ({why}); its backup was used");
                Some((backup, vec![warning]))
            }
            Err(why_backup) if protective => {
                let what = format!("{why}; and its backup: {why_backup}");
                return Err(PartitionError::Damaged { what });
            }
            Err(_) => None,
        },
    };
    match (gpt, &record) {
        (Some((copy, mut warnings)), record) => {
            if !protective {
                warnings.push("the protective MBR is missing".to_owned());
            } else if record.as_ref().is_some_and(|record| record.entries().count() > 1) {
                warnings.push("the MBR is a hybrid one; its own partitions are ignored".to_owned());
            }
            let partitions = copy.partitions(disk.len)?;
            Ok(PartitionTable { scheme: Scheme::Gpt { disk: copy.disk() }, partitions, warnings })
        }
        (None, Some(record)) if record.entries().next().is_none() => Ok(PartitionTable {
            scheme: Scheme::Mbr { signature: record.signature() },
            partitions: Vec::new(),
            warnings: Vec::new(),
        }),
        (None, Some(record)) => mbr::table(record, disk),
        (None, None) => Err(PartitionError::NotPartitioned),
    }
}

/// The table of a disk without one.
fn whole_disk(len: u64) -> PartitionTable {
    let partition = Partition {
        number: 1,
        start: 0,
        len,
        kind: PartitionKind::WholeDisk,
        guid: None,
        name: String::new(),
        attributes: 0,
        logical: false,
    };
    PartitionTable { scheme: Scheme::Unpartitioned, partitions: vec![partition], warnings: Vec::new() }
}

/// Whether the disk begins with a file system: boot sectors by their OEM name or type field (NTFS, BitLocker, exFAT,
/// FAT), ext by the magic at byte 56 of its superblock in the third sector, XFS by its first bytes.
fn holds_file_system(first: &[u8; SECTOR as usize], disk: &mut Sectors<'_>) -> Result<bool> {
    const OEM_NAMES: [&[u8; 8]; 3] = [b"NTFS    ", b"-FVE-FS-", b"EXFAT   "];
    let boot_sector = first[510..] == [0x55, 0xaa]
        && (OEM_NAMES.iter().any(|name| first[3..11] == name[..])
            || first[54..57] == *b"FAT"
            || first[82..87] == *b"FAT32");
    let superblock = disk.sector(2)?;
    let ext = superblock.is_some_and(|sector| sector[56..58] == [0x53, 0xef]);
    Ok(boot_sector || ext || first[..4] == *b"XFSB")
}

/// Refuses partitions that reach beyond the disk or into each other.
fn check_layout(partitions: &[Partition], len: u64) -> Result<()> {
    for partition in partitions {
        match partition.start.checked_add(partition.len) {
            Some(end) if end <= len => {}
            end => {
                return Err(PartitionError::BeyondDisk {
                    number: partition.number,
                    end: end.unwrap_or(u64::MAX),
                    len,
                });
            }
        }
    }
    let mut by_start: Vec<&Partition> = partitions.iter().collect();
    by_start.sort_by_key(|partition| partition.start);
    match by_start.windows(2).find(|pair| pair[0].end() > pair[1].start) {
        Some(pair) => Err(PartitionError::Damaged {
            what: format!("partitions {} and {} overlap", pair[0].number, pair[1].number),
        }),
        None => Ok(()),
    }
}

/// The little-endian number at byte `at`, which the caller's fixed-size buffer has.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// The little-endian number at byte `at`, which the caller's fixed-size buffer has.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}
