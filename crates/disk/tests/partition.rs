//! Partition tables: made, read, damaged and grown, with sfdisk and sgdisk as second opinions.

#![allow(clippy::unwrap_used)] // in functions that tests share
#![allow(clippy::print_stdout)] // skipped tests say so

mod support;

#[path = "../fuzz/oracles/partition_table.rs"]
mod oracle;

use disk::partition::{
    GPT_BASIC_DATA, GPT_EFI_SYSTEM, GPT_MICROSOFT_RESERVED, GPT_WINDOWS_RECOVERY, MBR_NTFS,
    MBR_WINDOWS_RECOVERY, Partition, PartitionError, PartitionKind, PartitionTable, RecoveryPolicy, Scheme,
    create, grow_disk,
};
use disk::{BlockDevice, ByteSource, Frozen, Overlay, SECTOR, SourceRange};
use operation::Explain;
use proptest::prelude::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::{Memory, blank, noise};
use uuid::{Uuid, uuid};

const MIB: u64 = 1 << 20;
const DISK: Uuid = uuid!("11111111-2222-3333-4444-555566667777");

fn gpt(number: u32, start: u64, len: u64, kind: Uuid, name: &str) -> Partition {
    Partition {
        number,
        start,
        len,
        kind: PartitionKind::Gpt(kind),
        guid: Some(Uuid::from_u128(0xabcd_0000_0000_4000_8000_0000_0000_0000 + u128::from(number))),
        name: name.to_owned(),
        attributes: 0,
        logical: false,
    }
}

fn mbr(number: u32, start: u64, len: u64, kind: u8) -> Partition {
    Partition { kind: PartitionKind::Mbr(kind), guid: None, ..gpt(number, start, len, DISK, "") }
}

/// The layout that Windows setup makes: system, reserved, Windows, recovery behind it.
fn windows_layout() -> Vec<Partition> {
    let mut recovery = gpt(4, 480 * MIB, 19 * MIB, GPT_WINDOWS_RECOVERY, "Basic data partition");
    recovery.attributes = 0x8000_0000_0000_0001;
    vec![
        gpt(1, MIB, 100 * MIB, GPT_EFI_SYSTEM, "EFI system partition"),
        gpt(2, 101 * MIB, 16 * MIB, GPT_MICROSOFT_RESERVED, "Microsoft reserved partition"),
        gpt(3, 117 * MIB, 363 * MIB, GPT_BASIC_DATA, "Windows – größer 😀"),
        recovery,
    ]
}

fn windows_disk() -> Overlay {
    let mut disk = blank(500 * MIB);
    create(&mut disk, Scheme::Gpt { disk: DISK }, &windows_layout()).unwrap();
    disk
}

/// A disk image as a sparse file for other programs.
fn image(disk: &Frozen) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(disk.len()).unwrap();
    let mut at = 0;
    while let Some(data) = disk.next_data(at).unwrap() {
        let end = data.end.min(data.start + MIB);
        let mut bytes = vec![0; (end - data.start) as usize];
        disk.read_exact_at(data.start, &mut bytes).unwrap();
        file.as_file().write_all_at(&bytes, data.start).unwrap();
        at = end;
    }
    file
}

/// Runs a program and returns what it printed, or `None` (and says so) when it is not installed.
fn second_opinion(test: &str, program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let run = Command::new(program).args(arguments).arg(file).env("PATH", path).env("LC_ALL", "C").output();
    let Ok(output) = run else {
        println!("SKIPPED {test}: {program} is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {text} {}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

/// Whether sfdisk sees the same table.
fn sfdisk_agrees(test: &str, table: &PartitionTable, file: &Path) {
    let Some(text) = second_opinion(test, "sfdisk", &["--json"], file) else { return };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let theirs = &json["partitiontable"];
    let (label, id) = match table.scheme {
        Scheme::Gpt { disk } => ("gpt", format!("{disk:X}")),
        Scheme::Mbr { signature } => ("dos", format!("0x{signature:08x}")),
        Scheme::Unpartitioned => panic!("sfdisk reads tables"),
    };
    assert_eq!(theirs["label"], label);
    assert_eq!(theirs["id"], id);
    let containers = ["5", "f", "85"];
    let list: Vec<_> = theirs["partitions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter(|partition| !containers.contains(&partition["type"].as_str().unwrap()))
        .collect();
    assert_eq!(list.len(), table.partitions.len(), "{text}");
    for (theirs, ours) in list.iter().zip(&table.partitions) {
        let node = theirs["node"].as_str().unwrap();
        assert!(node.ends_with(&ours.number.to_string()), "{node} is not partition {}", ours.number);
        assert_eq!(theirs["start"].as_u64().unwrap() * SECTOR, ours.start);
        assert_eq!(theirs["size"].as_u64().unwrap() * SECTOR, ours.len);
        match ours.kind {
            PartitionKind::Gpt(kind) => {
                assert_eq!(theirs["type"], format!("{kind:X}"));
                assert_eq!(theirs["uuid"], format!("{:X}", ours.guid.unwrap()));
                assert_eq!(theirs["name"].as_str().unwrap_or_default(), ours.name);
            }
            PartitionKind::Mbr(kind) => {
                assert_eq!(theirs["type"], format!("{kind:x}"));
                assert_eq!(theirs["bootable"].as_bool().unwrap_or_default(), ours.attributes == 0x80);
            }
            PartitionKind::WholeDisk => panic!("sfdisk reads tables"),
        }
    }
}

/// Whether sgdisk's own check finds nothing.
fn sgdisk_verifies(test: &str, file: &Path) {
    if let Some(text) = second_opinion(test, "sgdisk", &["-v"], file) {
        assert!(text.contains("No problems found"), "{text}");
    }
}

#[test]
fn a_gpt_that_was_made_reads_back_and_other_tools_agree() {
    let mut disk = windows_disk();
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert_eq!(table.scheme, Scheme::Gpt { disk: DISK });
    assert_eq!(table.partitions, windows_layout());
    assert_eq!(table.warnings, [""; 0]);
    let kinds: Vec<_> = table.partitions.iter().map(|partition| partition.kind.to_string()).collect();
    assert_eq!(kinds, ["EFI system partition", "Microsoft reserved", "basic data", "Windows recovery"]);

    let file = image(&disk.freeze());
    sfdisk_agrees("a_gpt_that_was_made_reads_back_and_other_tools_agree", &table, file.path());
    sgdisk_verifies("a_gpt_that_was_made_reads_back_and_other_tools_agree", file.path());
}

#[test]
fn an_mbr_that_was_made_reads_back_and_other_tools_agree() {
    let mut disk = blank(500 * MIB);
    let mut active = mbr(1, MIB, 400 * MIB, MBR_NTFS);
    active.attributes = 0x80;
    let partitions = [active, mbr(4, 401 * MIB, 99 * MIB, MBR_WINDOWS_RECOVERY)];
    let table = create(&mut disk, Scheme::Mbr { signature: 0xdead_beef }, &partitions).unwrap();
    assert_eq!(table.scheme, Scheme::Mbr { signature: 0xdead_beef });
    assert_eq!(table.partitions, partitions);
    let file = image(&disk.freeze());
    sfdisk_agrees("an_mbr_that_was_made_reads_back_and_other_tools_agree", &table, file.path());
}

#[test]
fn the_same_table_is_written_with_the_same_bytes() {
    let digest = |disk: Overlay| disk::disk_digest(&disk.freeze(), &operation::Silent).unwrap();
    assert_eq!(digest(windows_disk()), digest(windows_disk()));
}

#[test]
fn an_mbr_over_a_gpt_disk_leaves_no_gpt_to_be_found() {
    let mut disk = windows_disk();
    let table = create(&mut disk, Scheme::Mbr { signature: 1 }, &[mbr(1, MIB, MIB, MBR_NTFS)]).unwrap();
    assert_eq!(table.warnings, [""; 0]);
    disk.write_at(0, &[0; 512]).unwrap();
    assert!(matches!(PartitionTable::read_device(&mut disk), Err(PartitionError::NotPartitioned)));
}

#[test]
fn tables_that_cannot_be_written_are_refused_before_anything_is() {
    let scheme = Scheme::Gpt { disk: DISK };
    let one = |change: fn(&mut Partition)| {
        let mut partition = gpt(1, MIB, MIB, GPT_BASIC_DATA, "x");
        change(&mut partition);
        vec![partition]
    };
    let cases = [
        ("name", one(|p| p.name = "n".repeat(37))),
        ("number 0", one(|p| p.number = 0)),
        ("number 129", one(|p| p.number = 129)),
        ("odd start", one(|p| p.start += 1)),
        ("empty", one(|p| p.len = 0)),
        ("no guid", one(|p| p.guid = None)),
        ("mbr kind", one(|p| p.kind = PartitionKind::Mbr(7))),
        ("over the primary table", one(|p| p.start = 33 * SECTOR)),
        ("over the backup table", one(|p| p.len = 9 * MIB - SECTOR)),
        ("beyond the disk", one(|p| p.len = 10 * MIB)),
        ("overflow", one(|p| p.len = u64::MAX / SECTOR * SECTOR)),
        ("twice", [one(|_| {}), one(|p| p.start = 5 * MIB)].concat()),
        ("overlap", [one(|_| {}), one(|p| p.number = 2)].concat()),
    ];
    for (what, partitions) in cases {
        let mut disk = blank(10 * MIB);
        assert!(create(&mut disk, scheme, &partitions).is_err(), "{what} was accepted");
        assert!(disk.dirty_blocks().is_empty(), "{what} was refused too late");
    }
    assert!(create(&mut blank(67 * SECTOR), scheme, &[]).is_err(), "no usable sector");
    assert!(create(&mut blank(68 * SECTOR), scheme, &[]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_tables_survive_the_round_trip(
        spans in prop::collection::vec((0u64..50, 1u64..3000), 0..20),
        names in prop::collection::vec("\\PC{0,18}", 20),
        attributes in prop::collection::vec(any::<u64>(), 20),
    ) {
        let mut start = 34;
        let mut partitions = Vec::new();
        for (i, &(gap, count)) in spans.iter().enumerate() {
            let mut partition =
                gpt(i as u32 * 6 + 1, (start + gap) * SECTOR, count * SECTOR, GPT_BASIC_DATA, &names[i]);
            partition.attributes = attributes[i];
            start += gap + count;
            partitions.push(partition);
        }
        let mut disk = blank((start + 33) * SECTOR + 100 * SECTOR);
        let table = create(&mut disk, Scheme::Gpt { disk: DISK }, &partitions).unwrap();
        prop_assert_eq!(table.partitions, partitions);
    }
}

fn write(disk: &mut Overlay, at: u64, bytes: &[u8]) {
    disk.write_at(at, bytes).unwrap();
}

#[test]
fn a_damaged_primary_is_replaced_by_its_backup_and_growing_mends_it() {
    for at in [512, 512 + 24, 512 + 88, 1024 + 32] {
        let mut disk = windows_disk();
        let mut byte = [0];
        disk.read_at(at, &mut byte).unwrap();
        write(&mut disk, at, &[byte[0] ^ 0xff]);
        let table = PartitionTable::read_device(&mut disk).unwrap();
        assert_eq!(table.partitions, windows_layout());
        assert_eq!(table.warnings.len(), 1);
        assert!(table.warnings[0].contains("primary partition table is damaged"), "{:?}", table.warnings);

        let grown = grow_disk(&mut disk, 600 * MIB, 3, RecoveryPolicy::Move).unwrap();
        assert_eq!(grown.table.warnings, [""; 0]);
        let file = image(&disk.freeze());
        sgdisk_verifies("a_damaged_primary_is_replaced_by_its_backup_and_growing_mends_it", file.path());
    }
}

#[test]
fn a_damaged_backup_is_a_warning_and_two_damaged_copies_are_an_error() {
    let mut disk = windows_disk();
    write(&mut disk, 500 * MIB - 512 + 56, b"x");
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert!(table.warnings[0].contains("backup partition table is damaged"), "{:?}", table.warnings);
    write(&mut disk, 512 + 56, b"x");
    let error = PartitionTable::read_device(&mut disk).unwrap_err();
    assert_eq!(error.code(), "partition-table-damaged");
}

#[test]
fn a_disk_that_was_extended_from_outside_says_so_and_grows() {
    let mut disk = windows_disk();
    disk.grow(700 * MIB).unwrap();
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert!(table.warnings[0].contains("the disk was extended"), "{:?}", table.warnings);
    let grown = grow_disk(&mut disk, 700 * MIB, 3, RecoveryPolicy::Drop).unwrap();
    assert_eq!(grown.table.warnings, [""; 0]);
    assert_eq!(grown.table.partition(3).unwrap().end(), 699 * MIB);
    let file = image(&disk.freeze());
    sgdisk_verifies("a_disk_that_was_extended_from_outside_says_so_and_grows", file.path());
}

#[test]
fn a_truncated_disk_names_the_partition_that_is_cut() {
    let whole = windows_disk().freeze();
    let cut = disk::SourceWindow::new(&whole, 0, 490 * MIB).unwrap();
    let error = PartitionTable::read(&cut).unwrap_err();
    assert!(matches!(error, PartitionError::BeyondDisk { number: 4, .. }), "{error}");
    assert!(error.hint().unwrap().contains("truncated"));
}

#[test]
fn a_4kn_disk_is_refused_by_name() {
    let mut disk = windows_disk();
    let mut header = [0; 512];
    disk.read_at(512, &mut header).unwrap();
    write(&mut disk, 512, &[0; 512]);
    write(&mut disk, 500 * MIB - 512, &[0; 512]);
    write(&mut disk, 4096, &header);
    let error = PartitionTable::read_device(&mut disk).unwrap_err();
    assert_eq!(error.code(), "disk-4kn");
}

#[test]
fn a_missing_protective_mbr_and_a_hybrid_one_are_warnings() {
    let mut disk = windows_disk();
    write(&mut disk, 0, &[0; 512]);
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert_eq!(table.partitions, windows_layout());
    assert_eq!(table.warnings, ["the protective MBR is missing"]);
    let grown = grow_disk(&mut disk, 600 * MIB, 3, RecoveryPolicy::Move).unwrap();
    assert_eq!(grown.table.warnings, [""; 0]);

    let mut disk = windows_disk();
    // a second entry: type 7, sector 2048, 4096 sectors
    write(&mut disk, 446 + 16 + 4, &[7, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0]);
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert!(table.warnings[0].contains("hybrid"), "{:?}", table.warnings);
    let error = grow_disk(&mut disk, 600 * MIB, 3, RecoveryPolicy::Move).unwrap_err();
    assert_eq!(error.code(), "partition-hybrid-mbr");
}

#[test]
fn an_old_gpt_under_a_real_mbr_is_ignored_with_a_warning() {
    let mut disk = windows_disk();
    let mut sector = [0; 512];
    disk.read_at(0, &mut sector).unwrap();
    sector[446 + 4] = 7;
    write(&mut disk, 0, &sector);
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert!(matches!(table.scheme, Scheme::Mbr { .. }));
    assert!(table.warnings[0].contains("is ignored"), "{:?}", table.warnings);
}

#[test]
fn file_systems_without_a_table_are_one_partition_over_all() {
    let boot_sector = |at: usize, name: &[u8]| {
        // what follows the name is boot code: it must not be taken for entries
        let mut sector = noise(512, 77);
        sector[at..at + name.len()].copy_from_slice(name);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    };
    let mut ext = vec![0; 2048];
    ext[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
    let cases = [
        ("NTFS", boot_sector(3, b"NTFS    ")),
        ("BitLocker", boot_sector(3, b"-FVE-FS-")),
        ("FAT32", boot_sector(82, b"FAT32   ")),
        ("FAT16", boot_sector(54, b"FAT16   ")),
        ("ext", ext),
        ("XFS", b"XFSB".to_vec()),
    ];
    for (name, bytes) in cases {
        let mut disk = blank(10 * MIB);
        write(&mut disk, 0, &bytes);
        let table = PartitionTable::read_device(&mut disk).unwrap();
        assert_eq!(table.scheme, Scheme::Unpartitioned, "{name}");
        assert_eq!(table.partitions.len(), 1);
        assert_eq!((table.partitions[0].start, table.partitions[0].len), (0, 10 * MIB));
        let grown = grow_disk(&mut disk, 20 * MIB, 1, RecoveryPolicy::Refuse).unwrap();
        assert_eq!(grown.table.partitions[0].len, 20 * MIB, "{name}");
    }
}

#[test]
fn a_disk_with_nothing_on_it_has_no_table() {
    for len in [0, 511, 512, 1536, MIB] {
        let error = PartitionTable::read_device(&mut blank(len)).unwrap_err();
        assert_eq!(error.code(), "disk-not-partitioned", "{len} bytes");
    }
    let empty = create(&mut blank(MIB), Scheme::Mbr { signature: 5 }, &[]).unwrap();
    assert_eq!(empty.scheme, Scheme::Mbr { signature: 5 });
    assert!(empty.partitions.is_empty());
}

/// Changes a field of the primary header, mends its checksum and takes the backup away.
fn with_header_field(at: usize, value: &[u8]) -> Overlay {
    let mut disk = windows_disk();
    let mut header = [0; 512];
    disk.read_at(512, &mut header).unwrap();
    header[at..at + value.len()].copy_from_slice(value);
    header[16..20].fill(0);
    let len = u32::from_le_bytes([header[12], header[13], header[14], header[15]]).min(512);
    let sum = crc32fast::hash(&header[..len as usize]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    write(&mut disk, 512, &header);
    write(&mut disk, 500 * MIB - 512, &[0; 512]);
    disk
}

#[test]
fn headers_with_right_checksums_and_hostile_numbers_are_refused() {
    assert!(PartitionTable::read_device(&mut with_header_field(120, &[0])).is_ok(), "the test itself");
    let cases: [(&str, usize, &[u8]); 13] = [
        ("header length 0", 12, &[0; 4]),
        ("header length 4 GiB", 12, &[0xff; 4]),
        ("revision", 8, &[0, 0, 2, 0]),
        ("own place", 24, &[7]),
        ("4 billion entries", 80, &[0xff; 4]),
        ("no entries", 80, &[0; 4]),
        ("entries of 4 GiB", 84, &[0xff; 4]),
        ("entries of 0 bytes", 84, &[0; 4]),
        ("entries of 129 bytes", 84, &[129]),
        ("entries beyond the disk", 72, &[0xff; 8]),
        ("entries over the header", 72, &[1]),
        ("entries among the partitions", 72, &[0, 16]),
        ("first usable beyond the last", 40, &[0xff; 8]),
    ];
    for (what, at, value) in cases {
        let error = PartitionTable::read_device(&mut with_header_field(at, value)).unwrap_err();
        assert_eq!(error.code(), "partition-table-damaged", "{what}: {error}");
    }
}

#[test]
fn growing_without_a_word_about_what_lies_behind_is_refused_and_changes_nothing() {
    let mut disk = windows_disk();
    let before = disk.dirty_blocks();
    let error = grow_disk(&mut disk, 600 * MIB, 3, RecoveryPolicy::Refuse).unwrap_err();
    assert_eq!(error.code(), "partition-in-the-way");
    assert!(error.to_string().contains("Windows recovery"), "{error}");
    assert!(error.hint().is_some());
    let refusals = [
        (600 * MIB, 9, RecoveryPolicy::Move, "partition-not-found"),
        (499 * MIB, 3, RecoveryPolicy::Move, "disk-shrink"),
        (600 * MIB + 1, 3, RecoveryPolicy::Move, "disk-length"),
        (600 * MIB, 1, RecoveryPolicy::Drop, "partition-not-recovery"),
    ];
    for (len, number, policy, code) in refusals {
        assert_eq!(grow_disk(&mut disk, len, number, policy).unwrap_err().code(), code);
    }
    assert_eq!((disk.len(), disk.dirty_blocks()), (500 * MIB, before));
    assert_eq!(PartitionTable::read_device(&mut disk).unwrap().partitions, windows_layout());
}

/// Splices noise into the recovery partition and writes some more, as an installer would.
fn with_recovery_contents(disk: &mut Overlay) -> (Arc<Memory>, Vec<u8>) {
    let source = Arc::new(Memory::noise(19 * MIB as usize, 5));
    let id = disk.add_source(source.clone());
    disk.splice(480 * MIB, 19 * MIB, SourceRange { source: id, offset: 0 }).unwrap();
    write(disk, 490 * MIB + 100, b"written later");
    let mut contents = source.bytes.clone();
    contents[10 * MIB as usize + 100..][..13].copy_from_slice(b"written later");
    (source, contents)
}

#[test]
fn moving_keeps_the_recovery_partition_and_its_contents_without_copying() {
    // far, and less than its own length
    for new_len in [600 * MIB, 510 * MIB, 8 << 30] {
        let mut disk = windows_disk();
        let (source, contents) = with_recovery_contents(&mut disk);
        write(&mut disk, 479 * MIB, b"end of Windows");
        let read_before = source.bytes_read.load(Ordering::Relaxed);
        let grown = grow_disk(&mut disk, new_len, 3, RecoveryPolicy::Move).unwrap();
        let read = source.bytes_read.load(Ordering::Relaxed) - read_before;
        assert!(read < MIB, "{read} bytes were copied");
        assert!(disk.dirty_blocks().bytes() < MIB);

        let start = new_len - 20 * MIB;
        let mut expected = windows_layout();
        expected[2].len = start - expected[2].start;
        expected[3].start = start;
        assert_eq!(grown.table.partitions, expected);
        assert_eq!(grown.table.warnings, [""; 0]);
        assert_eq!(grown.dropped, []);
        let moved: Vec<_> = grown.moved.iter().map(|m| (m.number, m.from, m.to, m.len)).collect();
        assert_eq!(moved, [(4, 480 * MIB, start, 19 * MIB)]);

        let mut bytes = vec![0; contents.len()];
        disk.read_at(start, &mut bytes).unwrap();
        assert!(bytes == contents, "the contents changed on the way");
        let gained = (start - 480 * MIB).min(120 * MIB);
        let mut bytes = vec![1; gained as usize];
        disk.read_at(480 * MIB, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&b| b == 0), "what the volume gained is not zero");
        let mut end = [0; 14];
        disk.read_at(479 * MIB, &mut end).unwrap();
        assert_eq!(&end, b"end of Windows");

        let file = image(&disk.freeze());
        let test = "moving_keeps_the_recovery_partition_and_its_contents_without_copying";
        sfdisk_agrees(test, &grown.table, file.path());
        sgdisk_verifies(test, file.path());
    }
}

#[test]
fn dropping_removes_the_recovery_partition_and_its_contents() {
    let mut disk = windows_disk();
    with_recovery_contents(&mut disk);
    let grown = grow_disk(&mut disk, 600 * MIB, 3, RecoveryPolicy::Drop).unwrap();
    assert_eq!(grown.table.partitions.len(), 3);
    assert_eq!(grown.table.partitions[2].end(), 599 * MIB);
    assert_eq!(grown.dropped, windows_layout()[3..]);
    let mut bytes = vec![1; 119 * MIB as usize];
    disk.read_at(480 * MIB, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&b| b == 0));
    let file = image(&disk.freeze());
    let test = "dropping_removes_the_recovery_partition_and_its_contents";
    sfdisk_agrees(test, &grown.table, file.path());
    sgdisk_verifies(test, file.path());
}

#[test]
fn growing_by_nothing_moves_nothing() {
    let mut disk = windows_disk();
    let grown = grow_disk(&mut disk, 500 * MIB, 3, RecoveryPolicy::Move).unwrap();
    assert_eq!(grown.table.partitions, windows_layout());
    assert_eq!(grown.moved, []);
}

#[test]
fn an_mbr_disk_grows_by_the_same_rules_up_to_two_tebibytes() {
    let make = || {
        let mut disk = blank(500 * MIB);
        let mut windows = mbr(2, 50 * MIB, 430 * MIB, MBR_NTFS);
        windows.attributes = 0x80;
        let layout =
            [mbr(1, MIB, 49 * MIB, MBR_NTFS), windows, mbr(3, 480 * MIB, 19 * MIB, MBR_WINDOWS_RECOVERY)];
        create(&mut disk, Scheme::Mbr { signature: 0x1234_5678 }, &layout).unwrap();
        write(&mut disk, 0, b"boot code");
        disk
    };
    let mut disk = make();
    with_recovery_contents(&mut disk);
    let grown = grow_disk(&mut disk, 600 * MIB, 2, RecoveryPolicy::Move).unwrap();
    assert_eq!(grown.table.scheme, Scheme::Mbr { signature: 0x1234_5678 });
    assert_eq!(grown.table.partitions[1].end(), 581 * MIB);
    assert_eq!(grown.table.partitions[1].attributes, 0x80);
    assert_eq!(grown.table.partitions[2].start, 581 * MIB);
    let mut code = [0; 9];
    disk.read_at(0, &mut code).unwrap();
    assert_eq!(&code, b"boot code");
    let file = image(&disk.freeze());
    sfdisk_agrees("an_mbr_disk_grows_by_the_same_rules_up_to_two_tebibytes", &grown.table, file.path());

    let grown = grow_disk(&mut make(), 2 << 40, 2, RecoveryPolicy::Drop).unwrap();
    assert_eq!(grown.table.partitions[1].end(), 2 << 40);
    assert_eq!(grown.table.partitions.len(), 2);
    let error = grow_disk(&mut make(), (2 << 40) + SECTOR, 2, RecoveryPolicy::Drop).unwrap_err();
    assert_eq!(error.code(), "disk-beyond-mbr");
    assert_eq!(
        grow_disk(&mut make(), 600 * MIB, 2, RecoveryPolicy::Refuse).unwrap_err().code(),
        "partition-in-the-way"
    );
}

/// A record with these entries: status 0, (type, start, sectors).
fn record(entries: &[(u8, u32, u32)]) -> [u8; 512] {
    let mut sector = [0; 512];
    for (i, (kind, start, count)) in entries.iter().enumerate() {
        let at = 446 + i * 16;
        sector[at + 4] = *kind;
        sector[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[test]
fn logical_partitions_are_read_and_keep_the_disk_from_growing() {
    let mut disk = blank(20 * MIB);
    write(&mut disk, 0, &record(&[(7, 2048, 2048), (0x0f, 8192, 20_000)]));
    write(&mut disk, 8192 * 512, &record(&[(7, 63, 1000), (5, 10_000, 9000)]));
    write(&mut disk, 18_192 * 512, &record(&[(0x83, 2048, 5000)]));
    let table = PartitionTable::read_device(&mut disk).unwrap();
    let list: Vec<_> =
        table.partitions.iter().map(|p| (p.number, p.start / 512, p.len / 512, p.logical)).collect();
    assert_eq!(
        list,
        [(1, 2048, 2048, false), (5, 8255, 1000, true), (6, 20_240, 5000, true)],
        "the container itself is no partition"
    );
    let error = grow_disk(&mut disk, 30 * MIB, 1, RecoveryPolicy::Move).unwrap_err();
    assert_eq!(error.code(), "partition-logical");
    let file = image(&disk.freeze());
    sfdisk_agrees("logical_partitions_are_read_and_keep_the_disk_from_growing", &table, file.path());
}

#[test]
fn chains_of_logical_partitions_that_are_damaged_come_to_an_end() {
    let cases = [
        ("to itself", record(&[(7, 63, 100), (5, 0, 100)])),
        ("out of the container", record(&[(7, 63, 100), (5, 20_000, 100)])),
        ("partition out of the container", record(&[(7, 63, 20_000)])),
        ("partition over its record", record(&[(7, 0, 100)])),
    ];
    for (what, logical) in cases {
        let mut disk = blank(20 * MIB);
        write(&mut disk, 0, &record(&[(0x05, 8192, 20_000)]));
        write(&mut disk, 8192 * 512, &logical);
        let error = PartitionTable::read_device(&mut disk).unwrap_err();
        assert_eq!(error.code(), "partition-table-damaged", "{what}");
    }
    let mut disk = blank(20 * MIB);
    write(&mut disk, 0, &record(&[(7, 2048, 2048), (0x05, 8192, 20_000)]));
    let table = PartitionTable::read_device(&mut disk).unwrap();
    assert_eq!(table.partitions.len(), 1);
    assert!(table.warnings[0].contains("breaks off"), "{:?}", table.warnings);
    // a chain of more records than anyone makes
    let mut disk = blank(20 * MIB);
    write(&mut disk, 0, &record(&[(0x05, 8192, 20_000)]));
    for i in 0..1000 {
        write(&mut disk, (8192 + u64::from(i)) * 512, &record(&[(5, i + 1, 1)]));
    }
    assert_eq!(PartitionTable::read_device(&mut disk).unwrap_err().code(), "partition-table-damaged");
}

#[test]
fn mbr_partitions_that_overlap_or_leave_the_disk_are_refused() {
    let mut disk = blank(20 * MIB);
    write(&mut disk, 0, &record(&[(7, 2048, 2048), (7, 4095, 10)]));
    assert_eq!(PartitionTable::read_device(&mut disk).unwrap_err().code(), "partition-table-damaged");
    write(&mut disk, 0, &record(&[(7, 2048, 2048), (7, 4096, 40_000)]));
    assert_eq!(PartitionTable::read_device(&mut disk).unwrap_err().code(), "partition-beyond-disk");
    write(&mut disk, 0, &record(&[(7, 50_000, 2048)]));
    assert_eq!(PartitionTable::read_device(&mut disk).unwrap_err().code(), "partition-beyond-disk");
}

/// The first MiB of a gzip-compressed image, on a disk of the length of the image.
fn beginning(path: &Path) -> Overlay {
    let mut compressed = Vec::new();
    File::open(path).unwrap().read_to_end(&mut compressed).unwrap();
    let len = u32::from_le_bytes(*compressed.last_chunk::<4>().unwrap()); // RFC 1952: ISIZE
    let mut gzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(&compressed));
    let mut bytes = Vec::new();
    gzip.stdout.take().unwrap().take(MIB).read_to_end(&mut bytes).unwrap();
    gzip.wait().unwrap();
    let _ = feeder.join().unwrap(); // a broken pipe: more was not wanted
    let mut disk = blank(u64::from(len));
    write(&mut disk, 0, &bytes);
    disk
}

#[test]
fn disks_that_windows_10_partitioned_are_read() {
    let test = "disks_that_windows_10_partitioned_are_read";
    let Some(data) = std::env::var_os("LAMINA_TESTDATA").map(PathBuf::from) else {
        println!("SKIPPED {test}: LAMINA_TESTDATA is not set");
        return;
    };
    let samples = data.join("ntfs/ntfs-samples");
    for name in ["ntfs-ptrn", "ntfs-ramslack", "ntfs-si-vs-fn", "ntfs-lastaccess", "ntfs-2m"] {
        let mut disk = beginning(&samples.join(format!("ns_{name}.raw.gz")));
        let table = PartitionTable::read_device(&mut disk).unwrap();
        assert!(matches!(table.scheme, Scheme::Mbr { .. }), "{name}: {:?}", table.scheme);
        assert_eq!(table.partitions.len(), 1, "{name}");
        assert_eq!(table.partitions[0].start, 128 * SECTOR, "{name}");
        assert_eq!(table.partitions[0].kind, PartitionKind::Mbr(MBR_NTFS), "{name}");
        let mut boot = [0; 11];
        disk.read_at(table.partitions[0].start, &mut boot).unwrap();
        assert_eq!(&boot[3..], b"NTFS    ", "{name}");
        let file = image(&disk.freeze());
        sfdisk_agrees(test, &table, file.path());
    }
    // a volume without a table
    let volume = std::fs::read(data.join("ntfs/colinfinck-ntfs/testfs1")).unwrap();
    assert_eq!(PartitionTable::read(&Memory::new(volume)).unwrap().scheme, Scheme::Unpartitioned);
}

#[test]
fn a_source_that_fails_is_not_taken_for_an_empty_disk() {
    struct Broken;
    impl ByteSource for Broken {
        fn len(&self) -> u64 {
            MIB
        }
        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let error = PartitionTable::read(&Broken).unwrap_err();
    assert!(matches!(error, PartitionError::Io(_)), "{error}");
}

/// Every input that the fuzzer found worth keeping, and those it started from.
#[test]
fn the_fuzz_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/partition_table");
    let mut count = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        oracle::check(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 8, "only {count} inputs in {}", corpus.display());
}
