//! Fresh partition tables.

use super::{
    Partition, PartitionError, PartitionKind, PartitionTable, Result, Scheme, check_layout, gpt, mbr,
    whole_disk,
};
use crate::{BlockDevice, SECTOR};
use std::collections::HashSet;

/// Entries in the array of a fresh GPT: what Windows and all other tools make.
const GPT_ENTRIES: u32 = 128;

/// Writes a fresh table with these partitions and returns it as it will be read. Whatever table was there is gone; the
/// contents of partitions are not touched. Everything, GUIDs included, is the caller's, so that the same call writes
/// the same bytes. Boot code is not written.
///
/// Partitions need whole sectors, a number that fits (GPT: 1 to 128, MBR: 1 to 4), a kind of the scheme and, on GPT, a
/// GUID and a name of at most 36 UTF-16 units.
pub fn create(
    disk: &mut dyn BlockDevice,
    scheme: Scheme,
    partitions: &[Partition],
) -> Result<PartitionTable> {
    let len = disk.len();
    if !len.is_multiple_of(SECTOR) {
        return Err(PartitionError::NotWholeSectors { len });
    }
    check_layout(partitions, len)?;
    let mut numbers = HashSet::new();
    for partition in partitions {
        let number = partition.number;
        if !numbers.insert(number) {
            return Err(not_expressible(number, "comes twice"));
        }
        if partition.len == 0 || !(partition.start | partition.len).is_multiple_of(SECTOR) {
            return Err(not_expressible(number, "is no whole number of sectors"));
        }
    }
    match scheme {
        Scheme::Gpt { disk: guid } => {
            let table = gpt::NewTable { disk: guid, disk_sectors: len / SECTOR, entries: GPT_ENTRIES };
            create_gpt(disk, &table, partitions)?;
        }
        Scheme::Mbr { signature } => create_mbr(disk, signature, partitions)?,
        Scheme::Unpartitioned => {
            if partitions != whole_disk(len).partitions {
                let what = "a disk without a table has one partition over all of it".to_owned();
                return Err(PartitionError::NotExpressible { what });
            }
            return Ok(whole_disk(len));
        }
    }
    PartitionTable::read_device(disk)
}

fn create_gpt(disk: &mut dyn BlockDevice, table: &gpt::NewTable, partitions: &[Partition]) -> Result<()> {
    // MBR, two headers, two arrays and at least one usable sector
    let least = 3 + 2 * (u64::from(table.entries) * gpt::ENTRY_LEN as u64 / SECTOR) + 1;
    if table.disk_sectors < least {
        let what = format!("a GPT disk has at least {least} sectors");
        return Err(PartitionError::NotExpressible { what });
    }
    let mut primary = gpt::TableCopy::new(table);
    let usable = primary.first_usable() * SECTOR..(primary.last_usable() + 1) * SECTOR;
    for partition in partitions {
        let number = partition.number;
        let PartitionKind::Gpt(kind) = partition.kind else {
            return Err(not_expressible(number, "has no GPT type"));
        };
        let Some(guid) = partition.guid.filter(|_| !kind.is_nil()) else {
            return Err(not_expressible(number, "has no GUID or an empty type"));
        };
        if !(1..=table.entries).contains(&number) {
            return Err(not_expressible(number, "has a number that the table has no place for"));
        }
        if partition.start < usable.start || partition.end() > usable.end {
            return Err(not_expressible(number, "lies where the table itself has to be"));
        }
        let name: Vec<u16> = partition.name.encode_utf16().collect();
        if name.len() > gpt::NAME_UNITS || name.contains(&0) {
            return Err(not_expressible(number, "has a name that does not fit"));
        }
        let entry = primary.entry_mut(number);
        entry[..16].copy_from_slice(&kind.to_bytes_le());
        entry[16..32].copy_from_slice(&guid.to_bytes_le());
        gpt::set_range(entry, partition.start, partition.len);
        entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
        for (place, unit) in entry[56..].chunks_exact_mut(2).zip(name) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    primary.seal();
    for (offset, bytes) in primary.writes() {
        disk.write_at(offset, &bytes)?;
    }
    disk.write_at(0, mbr::Record::protective(table.disk_sectors).bytes())?;
    Ok(())
}

fn create_mbr(disk: &mut dyn BlockDevice, signature: u32, partitions: &[Partition]) -> Result<()> {
    let mut record = mbr::Record::new(signature);
    for partition in partitions {
        let number = partition.number;
        let PartitionKind::Mbr(kind) = partition.kind else {
            return Err(not_expressible(number, "has no MBR type"));
        };
        if !(1..=4).contains(&number) || partition.logical {
            return Err(not_expressible(number, "is no primary partition with a number from 1 to 4"));
        }
        let sectors = |bytes: u64| u32::try_from(bytes / SECTOR);
        let (Ok(start @ 1..), Ok(count)) = (sectors(partition.start), sectors(partition.len)) else {
            return Err(not_expressible(number, "lies in the first sector or beyond 2 TiB"));
        };
        let status = match partition.attributes {
            0 => 0,
            0x80 => 0x80,
            _ => return Err(not_expressible(number, "has a status other than 0 and 0x80")),
        };
        record.set(mbr::Entry { slot: number as usize - 1, status, kind, start, count });
    }
    // A GPT that was there would otherwise be found again.
    if disk.len() >= 2 * SECTOR {
        disk.write_at(SECTOR, &[0; SECTOR as usize])?;
        let last = disk.len() - SECTOR;
        let in_use = |at: u64| partitions.iter().any(|p| p.start <= at && at < p.end());
        if last > SECTOR && !in_use(last) {
            disk.write_at(last, &[0; SECTOR as usize])?;
        }
    }
    disk.write_at(0, record.bytes())?;
    Ok(())
}

fn not_expressible(number: u32, why: &str) -> PartitionError {
    PartitionError::NotExpressible { what: format!("partition {number} {why}") }
}
