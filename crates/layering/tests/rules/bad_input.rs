//! "Bad input gets a clear error and loses nothing."

use crate::bench::edit::path;
use crate::bench::*;
use ::disk::format::Format;
use layering::reference::LayerKind;
use layering::request::{ExportRequest, ImportRequest};
use layering::{Engine, Error};
use operation::{Explain, Silent};
use std::fs;
use std::io::Write;
use std::process::Command;
use store::Maintenance;
use tempfile::{NamedTempFile, TempDir};
use volume::{Name, Property};

/// Where the first record of a volume's file table with this number is on the disk.
fn record_at(disk: &Disk, number: u64) -> u64 {
    let start = disk.partition(disk.os_number()).start;
    let boot = disk.read(start, 512);
    let cluster = u64::from(boot[13]) * 512;
    let mft = u64::from_le_bytes(boot[0x30..0x38].try_into().unwrap());
    start + mft * cluster + number * 1024
}

/// Where the first attribute of this kind begins in a record.
fn attribute_in(record: &[u8], kind: u8) -> usize {
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    while record[at] != kind {
        assert_ne!(record[at], 0xff, "the record has no attribute {kind:#x}");
        at += u32::from_le_bytes(record[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    at
}

/// The record number and the whole reference, with its sequence number, of the node at a path of the OS volume.
fn reference_of(disk: &Disk, text: &str) -> (u64, [u8; 8]) {
    let tree = ntfs_volume::scan::scan(&disk.volume(disk.os_number()), &Silent).unwrap();
    let node = tree.lookup(&path(text)).unwrap_or_else(|| panic!("there is no {text}"));
    (node.id.0, (node.id.0 | u64::from(node.generation) << 48).to_le_bytes())
}

/// Writes over every occurrence of some bytes on the OS volume, as many of them, and says how many there were.
fn overwrite(disk: &Disk, old: &[u8], new: &[u8]) -> usize {
    assert_eq!(old.len(), new.len());
    let partition = disk.partition(disk.os_number());
    let bytes = disk.read(partition.start, partition.len);
    let found: Vec<usize> = (0..bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    for &at in &found {
        disk.write(partition.start + at as u64, new);
    }
    found.len()
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, with a visible skip in the name of the test, where this process may not mount.
    #[expect(clippy::print_stdout, reason = "the test command counts these lines")]
    fn mount(test: &str, mib: u64) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "lamina-test"]).arg(directory.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(directory));
        }
        println!("SKIPPED {test}: cannot mount a tmpfs");
        None
    }

    /// Fills it up but for so many bytes, with a file that is taken away again when the answer is dropped.
    fn fill(&self, free: u64) -> NamedTempFile {
        let mut file = NamedTempFile::new_in(self.0.path()).unwrap();
        let mut len = 0;
        while file.write_all(&[1; 4096]).is_ok() {
            len += 4096;
        }
        file.as_file().set_len(len - free).unwrap();
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached, as a failed test may still have files open.
        _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Like [`Lab::import_request`] for a file that need not be readable.
fn path_request(disk: &Disk) -> ImportRequest {
    ImportRequest {
        disk: disk.path.clone(),
        name: "Bad".to_owned(),
        version: "1".to_owned(),
        volume: None,
        max_size: None,
        allow_backing: false,
        override_reason: None,
    }
}

/// An OS disk that is refused with this code when it is imported, and leaves nothing behind.
#[track_caller]
fn assert_import_refused(lab: &Lab, disk: &Disk, code: &str) -> String {
    let before = lab.list();
    let error = lab.try_import("Bad@1", disk).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(&*disk.path.file_name().unwrap().to_string_lossy()), "{error}");
    assert_eq!(lab.list(), before);
    error.hint().unwrap_or_default()
}

#[test]
fn a_packaging_disk_that_is_not_cleanly_shut_down_is_refused() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file("\\hiberfil.sys", [&b"HIBR"[..], &[0; 8192]].concat());
    });
    let error = lab.try_capture(&on("Windows"), LayerKind::App, "A@1", &disk).unwrap_err();
    assert_eq!(error.code(), "volume-hibernated");
    assert!(error.hint().unwrap().contains("powercfg"));
    assert_eq!(lab.list().len(), 1);
}

#[test]
fn a_hibernated_os_disk_is_refused() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\hiberfil.sys", [&b"hibr"[..], &[0; 8192]].concat());
    });
    assert_import_refused(&lab, &disk, "volume-hibernated");
}

#[test]
fn a_volume_that_is_marked_dirty_is_refused() {
    let lab = lab!();
    let disk = lab.disk();
    mark_dirty(&disk);
    assert_import_refused(&lab, &disk, "volume-dirty");
}

/// Lets the volume ask for chkdsk.
pub fn mark_dirty(disk: &Disk) {
    // $VOLUME_INFORMATION of record 3: version 3.1 and flags.
    let record = disk.read(record_at(disk, 3), 1024);
    let at = attribute_in(&record, 0x70);
    let value = usize::from(u16::from_le_bytes([record[at + 20], record[at + 21]]));
    disk.write(record_at(disk, 3) + (at + value + 10) as u64, &[1, 0]);
}

#[test]
fn a_volume_with_an_unclean_log_is_refused() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\a", "a");
    });
    leave_log_unclean(&disk);
    let hint = assert_import_refused(&lab, &disk, "volume-unclean-log");
    assert!(hint.contains("shutdown"), "{hint}");
}

/// Leaves the volume's log as that of a running machine.
pub fn leave_log_unclean(disk: &Disk) {
    // A log that is in use begins with a restart page that is not marked clean ([NTFS] LFS_RESTART_PAGE_HEADER).
    let log = logged(disk);
    disk.write(log.0, &log.1);
}

/// Where the log of the OS volume is, and a restart area of version 1.1 that says that a client has it open.
fn logged(disk: &Disk) -> (u64, Vec<u8>) {
    let start = disk.partition(disk.os_number()).start;
    let record = disk.read(record_at(disk, 2), 1024);
    let at = attribute_in(&record, 0x80);
    let pairs = at + usize::from(u16::from_le_bytes([record[at + 32], record[at + 33]]));
    let (lengths, offsets) = (usize::from(record[pairs] & 0xf), usize::from(record[pairs] >> 4));
    let mut lcn = [0; 8];
    lcn[..offsets].copy_from_slice(&record[pairs + 1 + lengths..][..offsets]);
    let cluster = u64::from(disk.read(start, 512)[13]) * 512;
    let mut page = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RSTR");
    put(4, &30u16.to_le_bytes()); // fix-up array
    put(6, &9u16.to_le_bytes());
    put(16, &4096u32.to_le_bytes()); // system page
    put(20, &4096u32.to_le_bytes()); // log page
    put(24, &48u16.to_le_bytes()); // restart area
    put(26, &1u16.to_le_bytes()); // version 1.1
    put(28, &1u16.to_le_bytes());
    let area = 48;
    put(area, &100u64.to_le_bytes()); // current LSN
    put(area + 8, &1u16.to_le_bytes()); // clients
    put(area + 10, &0xffffu16.to_le_bytes()); // no free client
    put(area + 12, &0u16.to_le_bytes()); // the first client is in use
    put(area + 14, &0u16.to_le_bytes()); // flags: not clean
    put(area + 16, &44u32.to_le_bytes());
    put(area + 20, &(48u16 + 160).to_le_bytes());
    put(area + 22, &48u16.to_le_bytes());
    put(area + 24, &(2u64 << 20).to_le_bytes());
    let client = area + 48;
    put(client + 16, &0xffffu16.to_le_bytes());
    put(client + 18, &0xffffu16.to_le_bytes());
    put(client + 28, &8u32.to_le_bytes());
    put(client + 32, &[b'N', 0, b'T', 0, b'F', 0, b'S', 0]);
    // Fix-ups: the last two bytes of every sector are kept in the array.
    put(30, &7u16.to_le_bytes());
    for sector in 1..=8 {
        put(sector * 512 - 2, &7u16.to_le_bytes());
    }
    (start + u64::from_le_bytes(lcn) * cluster, [page.clone(), page].concat())
}

#[test]
fn a_bitlocker_volume_is_refused_with_what_to_do() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("bitlocker.raw"), &[Part::Esp, Part::Signed(b"-FVE-FS-")]);
    let hint = assert_import_refused(&lab, &disk, "volume-bitlocker");
    assert!(hint.contains("manage-bde"), "{hint}");
    // As Windows installs itself: the recovery environment has an NTFS volume that is not encrypted.
    let parts = [Part::Esp, Part::Signed(b"-FVE-FS-"), Part::Ntfs(16)];
    let disk = Disk::create(lab.fresh("bitlocker and recovery.raw"), &parts);
    disk.edit(|volume| {
        volume.file("\\Recovery\\WindowsRE\\Winre.wim", "x");
    });
    assert_import_refused(&lab, &disk, "volume-bitlocker");
}

#[test]
fn a_disk_with_4096_byte_sectors_is_refused() {
    let lab = lab!();
    let disk = Disk { path: lab.fresh("4kn.raw") };
    // A protective MBR, and the header of a GPT in the second sector of 4096 bytes (UEFI 2.10 section 5.3.2).
    let mut image = vec![0; 16 * MIB as usize];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(446 + 4, &[0xee]);
    put(446 + 8, &1u32.to_le_bytes());
    put(446 + 12, &4095u32.to_le_bytes());
    put(510, &[0x55, 0xaa]);
    put(4096, b"EFI PART\0\0\x01\0\x5c");
    put(4096 + 24, &1u64.to_le_bytes());
    put(4096 + 32, &4095u64.to_le_bytes());
    fs::write(&disk.path, image).unwrap();
    let hint = assert_import_refused(&lab, &disk, "disk-4kn");
    assert!(hint.contains("512e"), "{hint}");
}

/// Makes the directory `\outer` lie in `\outer\inner\innermost`.
fn tie_a_knot(disk: &Disk) {
    let (outer, _) = reference_of(disk, "\\outer");
    let (_, innermost) = reference_of(disk, "\\outer\\inner\\innermost");
    // $FILE_NAME begins with the reference of the parent.
    let record = disk.read(record_at(disk, outer), 1024);
    let at = attribute_in(&record, 0x30);
    let value = at + usize::from(u16::from_le_bytes([record[at + 20], record[at + 21]]));
    disk.write(record_at(disk, outer) + value as u64, &innermost);
}

#[test]
fn a_directory_that_lies_inside_itself_is_an_error() {
    let lab = lab!();
    let os = lab.os("Windows@1", |disk| {
        disk.directory("\\outer\\inner\\innermost").file("\\outer\\inner\\file", "x");
    });
    let returned = lab.package(&on("Windows"));
    tie_a_knot(&os);
    assert_import_refused(&lab, &os, "volume-corrupt");
    tie_a_knot(&returned);
    let message =
        refused(lab.try_capture(&on("Windows"), LayerKind::App, "A@1", &returned), "volume-corrupt");
    assert!(message.contains("inside itself"), "{message}");
    assert_eq!(lab.list().len(), 1);
    lab.assert_sound();
}

#[test]
fn an_index_that_leads_back_up_is_reported_and_nothing_walks_in_circles() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.directory("\\outer\\inner\\innermost");
    });
    // The entry for `innermost` in the index of `inner` is made to lead to `outer`.
    let (_, outer) = reference_of(&disk, "\\outer");
    let (inner, _) = reference_of(&disk, "\\outer\\inner");
    let (_, innermost) = reference_of(&disk, "\\outer\\inner\\innermost");
    let record = disk.read(record_at(&disk, inner), 1024);
    let root = attribute_in(&record, 0x90);
    let entry = (root..1016).find(|&at| record[at..].starts_with(&innermost)).unwrap();
    disk.write(record_at(&disk, inner) + entry as u64, &outer);

    let report = lab.import("Windows@1", &disk);
    assert_eq!(codes(&report.warnings), ["volume-check"]);
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\outer\\inner\\innermost\\a", "1");
    });
    lab.engine.compose(&lab.compose_request(&on("Windows").with("A"), "desk"), &Silent).unwrap();
    let problems = lab.engine.check(true, &Silent).unwrap().problems;
    assert!(!problems.is_empty() && problems.iter().all(|problem| problem.code == "volume-inconsistent"));
}

#[test]
fn a_volume_with_clusters_of_2_mib_is_layered() {
    const CLUSTER: u64 = 2 << 20;
    let lab = lab!();
    let disk = Disk { path: lab.fresh("large clusters.raw") };
    // The least for which mkntfs makes a log of a whole number of clusters; nearly all of it is a hole.
    fs::File::create(&disk.path).unwrap().set_len(410 * MIB).unwrap();
    let output = Command::new("mkntfs").args(["-F", "-Q", "-q", "-c", "2097152"]).arg(&disk.path).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    disk.edit(|volume| {
        volume.directory("\\Windows\\System32\\config").file("\\os.bin", noise(100_000, 1));
        volume.file("\\replaced.bin", noise(3 << 20, 2)).file("\\removed.bin", noise(5_000, 3));
    });
    lab.import("Windows@1", &disk);
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\A\\large.bin", noise((5 << 20) + 1, 4)).file("\\A\\small.txt", "in the record");
        disk.file("\\A\\one block.bin", noise(4096, 5)).stream("\\A\\small.txt", "named", noise(9_000, 6));
        disk.link("\\A\\large.bin", "\\large too.bin").file("\\replaced.bin", noise(70_000, 7));
        disk.delete("\\removed.bin");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(ntfs_volume::facts(&image.disk.volume(1)).unwrap().cluster, CLUSTER);
    assert_eq!(image.bytes("\\os.bin"), noise(100_000, 1));
    assert_eq!(image.bytes("\\A\\large.bin"), noise((5 << 20) + 1, 4));
    assert_eq!(image.group("\\A\\large.bin"), ["\\A\\large.bin", "\\large too.bin"]);
    assert_eq!(image.text("\\A\\small.txt"), "in the record");
    assert_eq!(image.bytes("\\A\\one block.bin"), noise(4096, 5));
    assert_eq!(image.get("\\A\\small.txt").streams[&Name::from("named")].bytes, noise(9_000, 6));
    assert_eq!(image.bytes("\\replaced.bin"), noise(70_000, 7));
    assert!(!image.has("\\removed.bin"));
    lab.assert_sound();
    // The same again from a disk of another format.
    let out = lab.fresh("large clusters.vhdx");
    let request =
        ExportRequest { image: image.report.image.name.to_string(), format: Format::Vhdx, out: out.clone() };
    lab.engine.export(&request, &Silent).unwrap();
    assert_eq!(Snapshot::of(&Disk { path: out }).entries, image.entries);
}

#[test]
fn names_that_differ_only_in_case_are_refused_on_a_returned_disk() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file("\\Docs\\Setup.exe", "one").file("\\Docs\\SETUP.EXD", "two");
    });
    // As Windows itself allows when told to ("case sensitive directories"): the order of the index stays right.
    let units = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let places = overwrite(&disk, &units("SETUP.EXD"), &units("SETUP.EXE"));
    assert_eq!(places, 2, "the name is in its file's record and in the index of its directory");
    let message = refused(lab.try_capture(&on("Windows"), LayerKind::App, "A@1", &disk), "names-collide");
    assert!(message.to_lowercase().contains("setup.exe"), "{message}");
    assert_eq!(lab.list().len(), 1);
    lab.assert_sound();
}

#[test]
fn deduplicated_files_and_cloud_placeholders_are_refused() {
    let lab = lab!();
    for (tag, attributes) in [(0x8000_0013_u32, 0x620), (0x9000_101a, 0x40_0020)] {
        let disk = lab.disk();
        let mut value = tag.to_le_bytes().to_vec();
        value.extend([8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        disk.edit(|volume| {
            let file = NewFile::of(Body::Sparse(1 << 20, Vec::new())).attributes(attributes);
            volume.file_with("\\Docs\\thesis.docx", file.property(Property::Reparse(value.into())));
        });
        let error = lab.try_import("Bad@1", &disk).unwrap_err();
        assert_eq!(error.code(), "volume-placeholder", "{error}");
        assert!(error.to_string().contains("thesis.docx"), "{error}");
    }
}

#[test]
fn a_disk_that_does_not_descend_from_the_named_composite_is_refused() {
    let lab = lab!();
    let os_disk = lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    lab.app(&os, "A@1", |disk| {
        disk.file("\\a", "1");
    });
    let plain = lab.package(&os);
    let with_a = lab.package(&os.clone().with("A"));
    let capture = |spec: &Spec, disk: &Disk| {
        refused(lab.try_capture(spec, LayerKind::App, "B@1", disk), "not-descended")
    };
    let message = capture(&os.clone().with("A"), &plain);
    assert!(message.contains("os:Windows@1") && message.contains("app:A@1"), "{message}");
    capture(&os, &with_a);
    // The imported disk itself bears no mark.
    assert!(capture(&os, &os_disk).contains("missing"));
    // Another disk altogether.
    let shorter = Disk::create(lab.fresh("short.raw"), &[Part::Ntfs(8)]);
    capture(&os, &shorter);
    let other = Disk::with_mbr(lab.fresh("mbr.raw"), 1);
    capture(&os, &other);
    // The same in all but the serial number of the volume.
    let foreign = lab.copy(&plain);
    let partition = foreign.partition(2);
    for sector in [partition.start, partition.end() - 512] {
        foreign.write(sector + 0x48, &[1; 8]);
    }
    assert!(capture(&os, &foreign).contains("serial"));
    // A mark that says nothing.
    let spoilt = lab.copy(&plain);
    spoilt.edit(|volume| {
        volume.file("\\Lamina Packaging Disk.json", "{}");
    });
    capture(&os, &spoilt);
    assert_eq!(lab.list().len(), 2);
    // The true one is taken, and one that says the same but was made a second time as well.
    lab.capture(&os, LayerKind::App, "B@1", &plain);
    lab.capture(&os, LayerKind::App, "C@1", &lab.package(&on("windows@1")));
}

#[test]
fn an_os_version_that_was_removed_and_made_again_is_another_one() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |_| {});
    lab.import("Windows@2", &disk);
    let packaging = lab.package(&on("Windows@2"));
    lab.engine.remove("os:Windows@2").unwrap();
    disk.edit(|volume| {
        volume.file("\\other", "x");
    });
    lab.import("Windows@2", &disk);
    refused(lab.try_capture(&on("Windows@2"), LayerKind::App, "A@1", &packaging), "not-descended");
}

#[test]
fn truncated_and_foreign_image_files_are_refused_and_leave_nothing() {
    let lab = lab!();
    let disk = lab.disk();
    let len = fs::metadata(&disk.path).unwrap().len();
    for keep in [0, 100, 511, 512, 4096, MIB, len / 2, len - MIB, len - 512] {
        let cut = lab.copy(&disk);
        fs::OpenOptions::new().write(true).open(&cut.path).unwrap().set_len(keep).unwrap();
        let result = lab.engine.import(&path_request(&cut), &Silent);
        // A GPT disk without its last sectors has no backup table, which can be read past.
        if let Err(error) = result {
            assert!(!error.code().is_empty() && error.code() != "internal", "{keep}: {error}");
        } else {
            assert!(keep >= len - MIB, "a disk cut to {keep} bytes was taken");
            lab.engine.remove("os:Bad@1").unwrap();
        }
    }
    let missing = Disk { path: lab.fresh("nothing.raw") };
    assert!(lab.engine.import(&path_request(&missing), &Silent).is_err());
    fs::write(&missing.path, noise(1 << 20, 3)).unwrap();
    assert!(lab.engine.import(&path_request(&missing), &Silent).is_err());
    assert_eq!(lab.list().len(), 0);
    lab.engine.gc(false, &Silent).unwrap();
    lab.assert_sound();
}

#[test]
fn a_volume_with_damaged_structures_never_makes_the_engine_panic() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        for number in 0..30 {
            volume.file(&format!("\\d{}\\f{number}", number % 3), noise(number * 400, number as u64));
        }
    });
    let start = disk.partition(2).start;
    let mut taken = 0;
    for case in 0..40u64 {
        let bad = lab.copy(&disk);
        let random = noise(64, case);
        for hit in random.chunks(8) {
            let place = u64::from_le_bytes(hit.try_into().unwrap());
            // Half of the hits go into the file table, half anywhere in the volume.
            let at = if place & 1 == 0 {
                record_at(&bad, 24 + place % 50) + place / 64 % 1024
            } else {
                start + place % (16 * MIB)
            };
            bad.write(at, &[hit[0], hit[3]]);
        }
        match lab.try_import(&format!("Bad{case}@1"), &bad) {
            Err(error) => assert_ne!(error.code(), "internal", "{error}"),
            Ok(_) => {
                taken += 1;
                let spec = on(&format!("Bad{case}"));
                if let Ok((packaging, _)) = lab.try_package(&spec)
                    && let Err(error) =
                        lab.try_capture(&spec, LayerKind::App, &format!("A{case}@1"), &packaging)
                {
                    assert_ne!(error.code(), "internal", "{error}");
                }
            }
        }
    }
    assert!(taken < 40, "damage was never noticed");
    // What was taken with its damage is what the store's check finds fault with, and nothing else.
    let report = lab.engine.check(true, &Silent).unwrap();
    let strange: Vec<_> =
        report.problems.iter().filter(|problem| problem.code != "volume-inconsistent").collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn an_image_that_is_full_is_an_error_and_nothing_is_published() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("small.raw"), &[Part::Ntfs(8)]);
    disk.edit(|volume| {
        volume.file("\\os.bin", noise(1 << 20, 1));
    });
    lab.import("Small@1", &disk);
    for (name, seed) in [("A@1", 1), ("B@1", 2)] {
        lab.app(&on("Small"), name, |disk| {
            disk.file(&format!("\\{seed}.bin"), noise(5 << 19, seed + 10));
        });
    }
    let before = lab.list();
    let request = lab.compose_request(&on("Small").with("A").with("B"), "full");
    refused(lab.engine.compose(&request, &Silent), "volume-full");
    assert_eq!(lab.list(), before);
    lab.engine.gc(false, &Silent).unwrap();
    lab.assert_sound();
}

#[test]
fn a_mistyped_path_or_comparison_is_refused() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a", "1");
    });
    refused(lab.engine.files("app:A", Some("\\nowhere"), &Silent), "path-not-found");
    refused(lab.engine.diff("app:A", "os:Windows", &Silent), "not-applicable");
    refused(lab.engine.show("app:B", &Silent), "not-found");
    refused(lab.engine.remove("app:B"), "not-found");
}

#[test]
fn an_export_that_finds_no_room_leaves_nothing() {
    let lab = lab!();
    let Some(small) = SmallDisk::mount("an_export_that_finds_no_room_leaves_nothing", 2) else { return };
    lab.os("Windows@1", |disk| {
        disk.file("\\os.bin", noise(6 << 20, 1));
    });
    let image = lab.compose(&on("Windows")).report.image.name;
    for format in Format::ALL {
        let out = small.0.path().join("image");
        let request = ExportRequest { image: image.to_string(), format, out: out.clone() };
        let message = refused(lab.engine.export(&request, &Silent), "export-no-room");
        assert!(message.contains(&*out.to_string_lossy()), "{format}: {message}");
        assert_eq!(fs::read_dir(small.0.path()).unwrap().count(), 0, "{format} left something behind");
    }
    lab.assert_sound();
}

#[test]
fn a_full_store_fails_what_writes_to_it_and_loses_nothing() {
    let test = "a_full_store_fails_what_writes_to_it_and_loses_nothing";
    let lab = lab!();
    let Some(small) = SmallDisk::mount(test, 48) else { return };
    lab.os("Windows@1", |_| {});
    let many = |disk: &mut Edit, seed: u64| {
        for number in 0..200 {
            disk.file(&format!("\\{seed}\\{number}.bin"), noise(2_000, seed + number));
        }
    };
    lab.app(&on("Windows"), "A@1", |disk| many(disk, 1));
    let disk = lab.package(&on("Windows"));
    disk.edit(|disk| many(disk, 1_000));
    let capture = lab.capture_request(&on("Windows"), LayerKind::App, "B@1", &disk);
    let compose = lab.compose_request(&on("Windows").with("A"), "desk");

    let store = small.0.path().join("store");
    assert!(Command::new("cp").arg("-r").args([lab.store(), store.clone()]).status().unwrap().success());
    let engine = Engine::open(&store).unwrap();
    let operations: [&dyn Fn() -> Result<(), Error>; 2] =
        [&|| engine.capture(&capture, &Silent).map(drop), &|| engine.compose(&compose, &Silent).map(drop)];
    for operation in operations {
        let before = engine.list().unwrap().entries.len();
        let mut failures = 0;
        for free in [0].into_iter().chain((14..24).map(|shift| 1 << shift)) {
            let filler = small.fill(free);
            let result = operation();
            drop(filler);
            let done = result.is_ok();
            if !done {
                refused(result, "store-full");
                failures += 1;
            }
            assert_eq!(engine.list().unwrap().entries.len(), before + usize::from(done), "{free} bytes free");
            let report = engine.check(true, &Silent).unwrap();
            assert!(report.clean, "{free} bytes free: {:#?}", report.problems);
            if done {
                break;
            }
        }
        assert!(failures > 1, "it failed {failures} times");
        assert_eq!(engine.list().unwrap().entries.len(), before + 1, "with room it succeeds");
    }
}

#[test]
fn a_store_that_is_locked_for_maintenance_is_not_opened() {
    let lab = lab!();
    let store = lab.store();
    assert_eq!(Maintenance::lock(&store).unwrap_err().code(), "store-in-use");
    drop(lab.engine);
    let alone = Maintenance::lock(&store).unwrap();
    let message = refused(Engine::open(&store).map(|_| ()), "store-locked");
    assert!(message.contains("maintenance"), "{message}");
    assert!(Engine::init(&store).is_err());
    drop(alone);
    assert!(Engine::open(&store).unwrap().list().unwrap().entries.is_empty());
}
