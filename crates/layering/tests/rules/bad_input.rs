//! "Bad input gets a clear error and loses nothing."

use crate::bench::*;
use layering::reference::LayerKind;
use layering::request::ImportRequest;
use operation::{Explain, Silent};
use std::fs;
use volume::Property;

/// Where the first record of a volume's file table with this number is on the disk.
fn record_at(disk: &Disk, number: u64) -> u64 {
    let start = disk.partition(disk.os_number()).start;
    let boot = disk.read(start, 512);
    let cluster = u64::from(boot[13]) * 512;
    let mft = u64::from_le_bytes(boot[0x30..0x38].try_into().unwrap());
    start + mft * cluster + number * 1024
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
    // $VOLUME_INFORMATION of record 3: version 3.1 and flags.
    let record = disk.read(record_at(&disk, 3), 1024);
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    while record[at] != 0x70 {
        at += u32::from_le_bytes(record[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    let value = usize::from(u16::from_le_bytes([record[at + 20], record[at + 21]]));
    disk.write(record_at(&disk, 3) + (at + value + 10) as u64, &[1, 0]);
    assert_import_refused(&lab, &disk, "volume-dirty");
}

#[test]
fn a_volume_with_an_unclean_log_is_refused() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\a", "a");
    });
    // A log that is in use begins with a restart page that is not marked clean ([NTFS] LFS_RESTART_PAGE_HEADER).
    let log = logged(&disk);
    disk.write(log.0, &log.1);
    let hint = assert_import_refused(&lab, &disk, "volume-unclean-log");
    assert!(hint.contains("shutdown"), "{hint}");
}

/// Where the log of the OS volume is, and a restart area of version 1.1 that says that a client has it open.
fn logged(disk: &Disk) -> (u64, Vec<u8>) {
    let start = disk.partition(disk.os_number()).start;
    let record = disk.read(record_at(disk, 2), 1024);
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    while record[at] != 0x80 {
        at += u32::from_le_bytes(record[at + 4..at + 8].try_into().unwrap()) as usize;
    }
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
    refused(lab.engine.files("app:A", Some("\\nowhere")), "path-not-found");
    refused(lab.engine.diff("app:A", "os:Windows"), "not-applicable");
    refused(lab.engine.show("app:B"), "not-found");
    refused(lab.engine.remove("app:B"), "not-found");
}
