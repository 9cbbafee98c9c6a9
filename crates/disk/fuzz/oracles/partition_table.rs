//! What must hold for every disk, however its partition table was made up.
//!
//! The input describes a disk whose middle is zero:
//!
//! ```text
//!   0  sectors (u32 LE)   4  flags: bit 0 mend the checksums of GPT copies, bits 1-2 policy for growing
//!   5  number of the partition to grow   6  length of the head (u16 LE)   8  head, at the start of the disk
//!   then the tail, at its end
//! ```

use disk::partition::{Partition, PartitionError, PartitionTable, RecoveryPolicy, grow_disk};
use disk::{BlockDevice, ExtentMap, Overlay, PageBudget, SECTOR};

/// Reads the table and grows the disk, and checks both.
pub(crate) fn check(input: &[u8]) {
    let Some((fixed, rest)) = input.split_first_chunk::<8>() else { return };
    let len = u64::from(u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]])) * SECTOR;
    let (head, tail) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([fixed[6], fixed[7]]))));
    let budget = PageBudget { bytes: 1 << 20, scratch_dir: std::env::temp_dir() };
    let mut disk = Overlay::new(ExtentMap::new(len), Vec::new(), budget).expect("a map without extents");
    let head = &head[..head.len().min(len as usize)];
    disk.write_at(0, head).expect("the head fits");
    let tail = &tail[..tail.len().min(len as usize)];
    disk.write_at(len - tail.len() as u64, tail).expect("the tail fits");
    if fixed[4] & 1 != 0 {
        mend(&mut disk, SECTOR);
        mend(&mut disk, len.saturating_sub(SECTOR));
    }

    let Ok(table) = PartitionTable::read_device(&mut disk) else { return };
    check_table(&table, len);
    let policy = match fixed[4] >> 1 & 3 {
        0 => RecoveryPolicy::Refuse,
        1 => RecoveryPolicy::Drop,
        _ => RecoveryPolicy::Move,
    };
    let number = u32::from(fixed[5]);
    let before: Vec<_> =
        table.partitions.iter().map(|partition| first_sector(&mut disk, partition)).collect();
    let new_len = len + (5 << 20) + 512;
    match grow_disk(&mut disk, new_len, number, policy) {
        Ok(grown) => {
            assert_eq!(disk.len(), new_len);
            check_table(&grown.table, new_len);
            assert_eq!(grown.table.scheme, table.scheme);
            assert_eq!(PartitionTable::read_device(&mut disk).expect("the same disk"), grown.table);
            for (old, content) in table.partitions.iter().zip(before) {
                let Some(new) = grown.table.partition(old.number) else {
                    assert!(grown.dropped.contains(old) && old.kind.is_recovery(), "{old:?} is gone");
                    continue;
                };
                let same = Partition { start: old.start, len: old.len, ..new.clone() };
                assert_eq!(same, *old, "something else than the place changed");
                match grown.moved.iter().find(|moved| moved.number == old.number) {
                    Some(moved) => {
                        assert_eq!((moved.from, moved.to, moved.len), (old.start, new.start, new.len))
                    }
                    None => assert_eq!(new.start, old.start),
                }
                if old.number == number {
                    assert!(new.len >= old.len, "the partition to grow shrank");
                } else {
                    assert_eq!(new.len, old.len);
                }
                assert_eq!(first_sector(&mut disk, new), content, "the contents of {old:?} are lost");
            }
            assert_eq!(PartitionTable::read(&disk.freeze()).expect("the same disk"), grown.table);
        }
        Err(PartitionError::Io(error)) => panic!("nothing can fail in memory: {error}"),
        Err(_) => {
            assert_eq!(disk.len(), len, "a refusal changed the disk");
            assert_eq!(PartitionTable::read_device(&mut disk).expect("the same disk"), table);
        }
    }
}

/// Partitions are whole sectors inside the disk, in ascending order of number, and none overlap.
fn check_table(table: &PartitionTable, len: u64) {
    assert!(table.partitions.len() <= 8192, "more partitions than an array of 1 MiB can hold");
    assert!(table.partitions.is_sorted_by_key(|partition| partition.number));
    let mut places: Vec<_> = table.partitions.iter().map(|p| (p.start, p.len)).collect();
    places.sort_unstable();
    let mut free = 0;
    for (start, size) in places {
        assert!(start >= free, "partitions overlap at byte {start}");
        assert!(size > 0 && start % SECTOR == 0 && (size % SECTOR == 0 || start == 0));
        free = start.checked_add(size).expect("the end can be counted");
    }
    assert!(free <= len, "a partition ends at {free}, the disk at {len}");
}

/// The bytes with which a partition begins.
fn first_sector(disk: &mut Overlay, partition: &Partition) -> Vec<u8> {
    let mut bytes = vec![0; partition.len.min(SECTOR) as usize];
    disk.read_at(partition.start, &mut bytes).expect("partitions are inside the disk");
    bytes
}

/// Gives the GPT copy whose header is at this byte the checksums that it should have, so that what is behind them is
/// reached.
fn mend(disk: &mut Overlay, at: u64) {
    let mut header = [0; SECTOR as usize];
    if disk.read_at(at, &mut header).is_err() || header[..8] != *b"EFI PART" {
        return;
    }
    let number = |at: usize| u64::from(u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i])));
    let array = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| header[72 + i]));
    let mut bytes = vec![0; (number(80) * number(84)).min(1 << 20) as usize];
    if disk.read_at(array.saturating_mul(SECTOR), &mut bytes).is_ok() {
        let sum = crc32fast::hash(&bytes);
        header[88..92].copy_from_slice(&sum.to_le_bytes());
    }
    header[16..20].fill(0);
    let len = (u32::from_le_bytes([0, 1, 2, 3].map(|i| header[12 + i])) as usize).min(header.len());
    let sum = crc32fast::hash(&header[..len]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk.write_at(at, &header).expect("it was read from there");
}
