//! "Import stores allocated clusters only; free clusters, paging and hibernation contents and shadow copies become zero."

use crate::bench::*;
use ::disk::SourceWindow;
use ::disk::format::{ExportOptions, Format, export};
use operation::Silent;
use std::fs::OpenOptions;

/// Whether some bytes are anywhere in a partition.
fn holds(disk: &Disk, number: u32, needle: &[u8]) -> bool {
    disk.bytes_of(number).windows(needle.len()).any(|window| window == needle)
}

const SECRET: &[u8] = b"a secret that must not travel";

fn secret() -> Vec<u8> {
    SECRET.repeat(10_000)
}

#[test]
fn free_clusters_become_zero() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\kept.bin", noise(100_000, 1));
    });
    // Deleted files leave their bytes behind: clusters that nothing uses hold the secret.
    let volume = disk.volume(2);
    let mut at = 0;
    let start = disk.partition(2).start;
    for used in ntfs_volume::allocated(&volume).unwrap().map(Result::unwrap) {
        if used.start >= at + 64 * 1024 {
            disk.write(start + at, &secret()[..64 * 1024]);
        }
        at = used.end;
    }
    assert!(holds(&disk, 2, SECRET));
    lab.import("Windows@1", &disk);
    let image = lab.compose(&on("Windows"));
    assert!(!holds(&image.disk, 2, SECRET));
    assert_eq!(image.bytes("\\kept.bin"), noise(100_000, 1));
}

#[test]
fn paging_and_hibernation_contents_become_zero_and_the_files_stay() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        let mut sleeping = vec![0; 4096];
        sleeping.extend(secret());
        disk.file("\\pagefile.sys", secret())
            .file("\\SWAPFILE.SYS", secret())
            .file("\\hiberfil.sys", sleeping);
    });
    let image = lab.compose(&on("Windows"));
    for name in ["\\pagefile.sys", "\\swapfile.sys", "\\hiberfil.sys"] {
        let bytes = image.bytes(name);
        assert!(bytes.len() >= secret().len() && bytes.iter().all(|&byte| byte == 0), "{name}");
    }
    assert!(!holds(&image.disk, 2, SECRET));
}

#[test]
fn shadow_copies_become_zero_and_the_rest_of_system_volume_information_stays() {
    let lab = lab!();
    let copy = "\\System Volume Information\\{0a1b}{3808876b-c176-4e48-b7ae-04046e6cc752}";
    lab.os("Windows@1", |disk| {
        disk.file(copy, secret()).file("\\System Volume Information\\tracking.log", noise(20_480, 3));
    });
    let image = lab.compose(&on("Windows"));
    assert!(image.bytes(copy).iter().all(|&byte| byte == 0));
    assert_eq!(image.bytes("\\System Volume Information\\tracking.log"), noise(20_480, 3));
}

#[test]
fn a_disk_costs_what_is_allocated_on_it_however_long_it_is() {
    let lab = lab!();
    let disk = lab.disk();
    let report = lab.import("Windows@1", &disk);
    assert!(report.version.size < 16 * MIB, "{report:?}");
    // The same partitions at the beginning of a disk of 2 TiB.
    let long = lab.copy(&disk);
    let len = 2 << 40;
    OpenOptions::new().write(true).open(&long.path).unwrap().set_len(len).unwrap();
    let report = lab.import("Long@1", &long);
    assert!(report.read < 16 * MIB && report.version.size < 16 * MIB, "{report:?}");
    let mut request = lab.compose_request(&on("Long"), "long");
    request.size = Some(len);
    let composed = lab.engine.compose(&request, &Silent).unwrap();
    assert_eq!(composed.image.size, len);
    lab.assert_sound();
}

#[test]
fn every_format_gives_the_same_version() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\a.bin", noise(300_000, 1));
    });
    lab.import("Original@1", &disk);
    let body = |reference: &str| lab.engine.show(reference, &Silent).unwrap().details["body"].clone();
    for format in Format::ALL {
        let out = lab.fresh("disk.img");
        export_source(&disk, format, &out);
        let other = Disk { path: out };
        lab.import(&format!("{format}@1"), &other);
        assert_eq!(body(&format!("os:{format}")), body("os:Original"), "{format}");
    }
}

fn export_source(disk: &Disk, format: Format, out: &std::path::Path) {
    let source = disk.source();
    export(
        &SourceWindow::new(source.clone(), 0, source.len()).unwrap(),
        format,
        out,
        &ExportOptions::new([7; 32]),
        &Silent,
    )
    .unwrap();
}

#[test]
fn equal_blocks_of_two_os_layers_are_stored_once() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\big.bin", noise(4 << 20, 1));
    });
    lab.import("One@1", &disk);
    disk.edit(|volume| {
        volume.file("\\small.bin", noise(50_000, 2));
    });
    let second = lab.import("Two@1", &disk);
    assert!(second.stored < MIB, "{} bytes stored again", second.stored);
    assert!(second.version.size > 4 * MIB, "an imported OS counts its allocated bytes");
}
