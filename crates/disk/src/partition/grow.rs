//! Growing a disk and one partition on it.
//!
//! Only tables change here, and the place of what lies behind the partition; the file system inside is grown by whoever
//! knows it. Entries are edited in place, so that everything a table says that Lamina does not understand stays.

use super::{
    Partition, PartitionError, PartitionTable, Result, Scheme, Sectors, check_layout, gpt, mbr, read,
};
use crate::{BlockDevice, Overlay, SECTOR};
use std::ops::Range;

/// Partitions begin and end on multiples of this, in bytes, as Windows makes them.
const ALIGNMENT: u64 = 1 << 20;

/// What to do with the partitions that lie behind the one that grows; usually one, for recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryPolicy {
    /// Grow nothing if there are any.
    Refuse,
    /// Move them to the end of the disk, whatever they are; type, GUID, attributes and name are kept.
    Move,
    /// Remove them, if they are recovery partitions and nothing else.
    Drop,
}

/// A partition that lies elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its number, which is the same as before.
    pub number: u32,
    /// Where it began, bytes.
    pub from: u64,
    /// Where it begins, bytes.
    pub to: u64,
    /// Its length, bytes.
    pub len: u64,
}

/// A disk that was grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The new table.
    pub table: PartitionTable,
    /// Partitions that were moved. What refers to them by place (ReAgent.xml, the boot configuration) is the caller's
    /// to change.
    pub moved: Vec<Moved>,
    /// Partitions that were removed, as they were.
    pub dropped: Vec<Partition>,
}

/// Makes a disk `new_len` bytes long and extends the partition with this number as far as there is room, to a multiple
/// of 1 MiB. The backup of a GPT moves to the new end. Contents that move are spliced, not copied.
///
/// Everything that can be refused is refused before anything changes; when reading or writing fails in between, the
/// overlay is to be thrown away.
pub fn grow_disk(disk: &mut Overlay, new_len: u64, number: u32, policy: RecoveryPolicy) -> Result<Grown> {
    let len = disk.len();
    if !new_len.is_multiple_of(SECTOR) {
        return Err(PartitionError::NotWholeSectors { len: new_len });
    }
    if new_len < len {
        return Err(PartitionError::Shrink { len, new_len });
    }
    let mut sectors = Sectors { len, read: &mut |offset, buf| disk.read_at(offset, buf) };
    let table = read(&mut sectors)?;
    let first = sectors.sector(0)?.expect("a disk with a table has a first sector");
    let record = mbr::Record::parse(&first);
    let change = match table.scheme {
        Scheme::Gpt { .. } => {
            let primary = match gpt::TableCopy::read(&mut sectors, gpt::PRIMARY_HEADER)? {
                Ok(primary) => primary,
                Err(_) => {
                    let backup = gpt::TableCopy::read(&mut sectors, len / SECTOR - 1)?;
                    backup.map_err(|why| PartitionError::Damaged { what: why.to_string() })?
                }
            };
            plan_gpt(&table, primary, record, new_len, number, policy)?
        }
        Scheme::Mbr { .. } => {
            let record = record.expect("a disk with an MBR has one");
            plan_mbr(&table, record, new_len, number, policy)?
        }
        Scheme::Unpartitioned => {
            if number != 1 {
                return Err(PartitionError::NoSuchPartition { number });
            }
            let grown = len..new_len;
            let plan = Plan { start: 0, grown, moved: Vec::new(), dropped: Vec::new() };
            Change { plan, writes: Vec::new(), abandoned: len }
        }
    };
    execute(disk, new_len, change)
}

/// What will be where.
struct Plan {
    /// Where the partition that grows begins, bytes.
    start: u64,
    /// The bytes that it gains.
    grown: Range<u64>,
    /// The last one first: the order in which they can be moved.
    moved: Vec<Moved>,
    dropped: Vec<Partition>,
}

struct Change {
    plan: Plan,
    /// The new tables: what is written where, in bytes.
    writes: Vec<(u64, Vec<u8>)>,
    /// From here to its end the old disk held nothing but the backup of its table.
    abandoned: u64,
}

/// Decides the places; `limit` is the first byte that partitions cannot use.
fn plan(partitions: &[Partition], number: u32, limit: u64, policy: RecoveryPolicy) -> Result<Plan> {
    let target = partitions
        .iter()
        .find(|partition| partition.number == number)
        .ok_or(PartitionError::NoSuchPartition { number })?;
    let mut behind: Vec<&Partition> =
        partitions.iter().filter(|partition| partition.start > target.start).collect();
    behind.sort_by_key(|partition| std::cmp::Reverse(partition.start));
    check_layout(partitions, limit)?;
    let grown = target.end()..target.end();
    let mut plan = Plan { start: target.start, grown, moved: Vec::new(), dropped: Vec::new() };
    let mut end = limit;
    for partition in behind {
        match policy {
            RecoveryPolicy::Refuse => {
                return Err(PartitionError::InTheWay {
                    number,
                    behind: partition.number,
                    kind: partition.kind.to_string(),
                    len: partition.len,
                });
            }
            RecoveryPolicy::Drop if !partition.kind.is_recovery() => {
                let kind = partition.kind.to_string();
                return Err(PartitionError::NotRecovery { number: partition.number, kind });
            }
            RecoveryPolicy::Drop => plan.dropped.push(partition.clone()),
            RecoveryPolicy::Move => {
                let to = align_down(end - partition.len);
                if to > partition.start {
                    let Partition { number, start: from, len, .. } = *partition;
                    plan.moved.push(Moved { number, from, to, len });
                }
                end = to.max(partition.start);
            }
        }
    }
    plan.grown.end = align_down(end).max(target.end());
    Ok(plan)
}

fn plan_gpt(
    table: &PartitionTable,
    mut copy: gpt::TableCopy,
    record: Option<mbr::Record>,
    new_len: u64,
    number: u32,
    policy: RecoveryPolicy,
) -> Result<Change> {
    let new_sectors = new_len / SECTOR;
    // A primary array that was moved away, or belongs to a damaged copy, comes back to its usual place.
    if gpt::PRIMARY_HEADER + 1 + copy.array_sectors() > copy.first_usable() {
        let what = "there is no room for the entries before the first usable sector".to_owned();
        return Err(PartitionError::NotExpressible { what });
    }
    let record = match record {
        Some(mut record) => match record.protective_slot() {
            Some(_) if record.entries().count() > 1 => return Err(PartitionError::HybridMbr),
            slot => {
                record.protect(slot.unwrap_or(0), new_sectors);
                record
            }
        },
        None => mbr::Record::protective(new_sectors),
    };
    let abandoned = copy.last_usable().saturating_add(1).saturating_mul(SECTOR);
    copy.settle(new_sectors);
    let limit = (copy.last_usable() + 1) * SECTOR;
    let plan = plan(&table.partitions, number, limit, policy)?;
    for moved in &plan.moved {
        gpt::set_range(copy.entry_mut(moved.number), moved.to, moved.len);
    }
    for dropped in &plan.dropped {
        copy.entry_mut(dropped.number).fill(0);
    }
    gpt::set_range(copy.entry_mut(number), plan.start, plan.grown.end - plan.start);
    copy.seal();
    let mut writes = copy.writes();
    writes.push((0, record.bytes().to_vec()));
    Ok(Change { plan, writes, abandoned })
}

fn plan_mbr(
    table: &PartitionTable,
    mut record: mbr::Record,
    new_len: u64,
    number: u32,
    policy: RecoveryPolicy,
) -> Result<Change> {
    if record.has_extended() {
        return Err(PartitionError::LogicalPartitions);
    }
    if new_len > mbr::LIMIT {
        return Err(PartitionError::MbrLimit { len: new_len });
    }
    let plan = plan(&table.partitions, number, new_len, policy)?;
    let mut set = |number: u32, start: u64, len: u64| {
        let entry = record.entry(number as usize - 1);
        let sectors =
            |bytes: u64| u32::try_from(bytes / SECTOR).map_err(|_| PartitionError::MbrLimit { len: new_len });
        record.set(mbr::Entry { start: sectors(start)?, count: sectors(len)?, ..entry });
        Ok::<_, PartitionError>(())
    };
    for moved in &plan.moved {
        set(moved.number, moved.to, moved.len)?;
    }
    set(number, plan.start, plan.grown.end - plan.start)?;
    for dropped in &plan.dropped {
        record.clear(dropped.number as usize - 1);
    }
    let writes = vec![(0, record.bytes().to_vec())];
    Ok(Change { plan, writes, abandoned: new_len })
}

fn execute(disk: &mut Overlay, new_len: u64, change: Change) -> Result<Grown> {
    let Change { plan, writes, abandoned } = change;
    let old_len = disk.len();
    if abandoned < old_len {
        disk.discard(abandoned, old_len - abandoned)?;
    }
    disk.grow(new_len).map_err(std::io::Error::from)?;
    for moved in &plan.moved {
        disk.relocate(moved.from, moved.to, moved.len)?;
    }
    // Dropped partitions and what once was in free space would otherwise lie in the free space of the volume.
    disk.discard(plan.grown.start, plan.grown.end - plan.grown.start)?;
    for (offset, bytes) in writes {
        disk.write_at(offset, &bytes)?;
    }
    let table = PartitionTable::read_device(disk)?;
    Ok(Grown { table, moved: plan.moved, dropped: plan.dropped })
}

fn align_down(bytes: u64) -> u64 {
    bytes - bytes % ALIGNMENT
}
