//! "Which volume": the OS volume is found or asked for, and other partitions are left alone.

use crate::bench::*;
use ::disk::format::{ExportOptions, Format, export};
use layering::reference::LayerKind;
use operation::Silent;

#[test]
fn the_only_ntfs_volume_is_the_os_volume_even_without_windows() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("data.raw"), &[Part::Esp, Part::Ntfs(16), Part::Recovery]);
    disk.edit(|volume| {
        volume.file("\\a.txt", "a");
    });
    lab.import("Data@1", &disk);
    assert_eq!(lab.engine.files("os:Data", None, &Silent).unwrap().rows.len(), 1);
}

#[test]
fn of_several_volumes_the_one_with_windows_system32_config_is_the_os_volume() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("two.raw"), &[Part::Ntfs(16), Part::Ntfs(16)]);
    disk.edit_volume(1, |volume| {
        volume.file("\\Windows\\System32\\data.txt", "no configuration");
    });
    disk.edit_volume(2, |volume| {
        volume.directory("\\windows\\SYSTEM32\\Config").file("\\here.txt", "here");
    });
    lab.import("Windows@1", &disk);
    let rows = lab.engine.files("os:Windows", Some("\\here.txt"), &Silent).unwrap().rows;
    assert_eq!(rows.len(), 1);
}

#[test]
fn two_volumes_with_windows_need_a_choice() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("two.raw"), &[Part::Esp, Part::Ntfs(16), Part::Ntfs(16)]);
    for number in [2, 3] {
        disk.edit_volume(number, |volume| {
            volume.directory("\\Windows\\System32\\config").file("\\number.txt", number.to_string());
        });
    }
    let message = refused(lab.try_import("Windows@1", &disk), "several-os-volumes");
    assert!(message.contains("2, 3"), "{message}");
    let mut request = lab.import_request("Windows@1", &disk);
    request.volume = Some(3);
    lab.engine.import(&request, &Silent).unwrap();
    // From then on the choice is known: a layer is captured and composed on that volume.
    let packaging = lab.package(&on("Windows"));
    packaging.edit_volume(3, |volume| {
        assert_eq!(volume_text(&packaging, 3), "3");
        volume.file("\\app.txt", "app");
    });
    lab.capture(&on("Windows"), LayerKind::App, "App@1", &packaging);
    let report =
        lab.engine.compose(&lab.compose_request(&on("Windows").with("App"), "desk"), &Silent).unwrap();
    let image = lab.export("desk", report);
    let third = Snapshot::of_volume(&image.disk.volume(3));
    assert_eq!(third.text("\\app.txt"), "app");
    assert_eq!(image.disk.bytes_of(2), disk.bytes_of(2), "the other volume is carried byte for byte");
}

fn volume_text(disk: &Disk, number: u32) -> String {
    Snapshot::of_volume(&disk.volume(number)).text("\\number.txt")
}

#[test]
fn several_volumes_without_windows_need_a_choice_among_themselves() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("two.raw"), &[Part::Esp, Part::Ntfs(16), Part::Ntfs(16)]);
    let message = refused(lab.try_import("Windows@1", &disk), "several-os-volumes");
    assert!(message.contains("partitions 2, 3"), "only NTFS volumes are candidates: {message}");
}

#[test]
fn a_disk_without_ntfs_volume_is_refused_saying_what_it_has() {
    let lab = lab!();
    let disk = Disk::create(lab.fresh("none.raw"), &[Part::Esp, Part::Recovery]);
    let message = refused(lab.try_import("Windows@1", &disk), "no-os-volume");
    assert!(message.contains("EFI system partition"), "{message}");
    let empty = Disk::create(lab.fresh("empty.raw"), &[]);
    refused(lab.try_import("Windows@1", &empty), "no-os-volume");
}

#[test]
fn a_chosen_partition_has_to_be_there_and_to_be_ntfs() {
    let lab = lab!();
    let disk = lab.disk();
    let mut request = lab.import_request("Windows@1", &disk);
    request.volume = Some(7);
    let message = refused(lab.engine.import(&request, &Silent), "no-partition");
    assert!(message.contains("1, 2"), "{message}");
    request.volume = Some(1);
    refused(lab.engine.import(&request, &Silent), "volume-unknown");
}

#[test]
fn other_partitions_are_carried_byte_for_byte() {
    let lab = lab!();
    let disk = lab.disk_of(&[Part::Esp, Part::Ntfs(16), Part::Recovery]);
    lab.import("Windows@1", &disk);
    lab.app(&on("Windows"), "App@1", |disk| {
        disk.file("\\a", noise(400_000, 1));
    });
    let image = lab.compose(&on("Windows").with("App"));
    for number in [1, 3] {
        assert_eq!(image.disk.bytes_of(number), disk.bytes_of(number));
    }
    assert_eq!(image.disk.read(0, MIB), disk.read(0, MIB), "MBR, GPT and the gap are the OS version's");
    assert_eq!(image.disk.table(), disk.table());
}

#[test]
fn a_change_that_an_app_layer_made_in_another_partition_is_reported_and_not_captured() {
    let lab = lab!();
    let disk = lab.disk_of(&[Part::Esp, Part::Ntfs(16), Part::Recovery]);
    lab.import("Windows@1", &disk);
    let packaging = lab.package(&on("Windows"));
    packaging.write(packaging.partition(1).start + 4096, b"boot entry");
    packaging.edit(|disk| {
        disk.file("\\a", "1");
    });
    let report = lab.capture(&on("Windows"), LayerKind::App, "App@1", &packaging);
    assert_eq!(warned(&report.warnings, "other-partition-changed"), ["partition 1 (EFI system partition)"]);
    let image = lab.compose(&on("Windows").with("App"));
    assert_eq!(image.disk.bytes_of(1), disk.bytes_of(1));
}

#[test]
fn another_partition_that_changed_is_reported_too_where_metadata_is_trusted_but_not_where_it_is_carried() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let packaging = lab.package(&on("Windows"));
    packaging.write(packaging.partition(1).start + 4096, b"boot entry");
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "App@1", &packaging);
    request.trust_metadata = true;
    let report = lab.engine.capture(&request, &Silent).unwrap();
    assert_eq!(codes(&report.warnings), ["other-partition-changed"]);
    // A new OS version has the partition as it came back; it is compared in full, whatever was trusted.
    let mut request = lab.capture_request(&on("Windows"), LayerKind::Os, "Windows@2", &packaging);
    request.trust_metadata = true;
    let report = lab.engine.capture(&request, &Silent).unwrap();
    assert_eq!(codes(&report.warnings), [""; 0]);
    assert_eq!(
        lab.engine.show("os:Windows@2", &Silent).unwrap().details["captured"]["trust_metadata"],
        false
    );
}

#[test]
fn a_disk_that_came_back_longer_by_the_rounding_of_its_format_is_captured() {
    let lab = lab!();
    let disk = lab.disk();
    // Not a whole number of MiB, which a fixed VHD has.
    std::fs::OpenOptions::new()
        .write(true)
        .open(&disk.path)
        .unwrap()
        .set_len(disk.source().len() + 512 * 77)
        .unwrap();
    lab.import("Windows@1", &disk);
    let raw = lab.package(&on("Windows"));
    raw.edit(|volume| {
        volume.file("\\a.txt", "a");
    });
    let vhd = lab.fresh("returned.vhd");
    let options = ExportOptions::new([7; 32]);
    export(&*raw.source(), Format::Vhd, &vhd, &options, &Silent).unwrap();
    let vhd = Disk { path: vhd };
    assert!(vhd.source().len() > raw.source().len());
    lab.capture(&on("Windows"), LayerKind::App, "A@1", &vhd);
    assert_eq!(lab.rows("app:A"), ["file \\a.txt"]);
    lab.capture(&on("Windows"), LayerKind::Os, "Windows@2", &vhd);
    assert_eq!(lab.compose(&on("Windows@2")).text("\\a.txt"), "a");
    // Grown on its platform: longer by more, and by something.
    let grown = lab.copy(&raw);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&grown.path)
        .unwrap()
        .set_len(raw.source().len() + 3 * MIB)
        .unwrap();
    grown.write(raw.source().len() + MIB, b"written behind the old end");
    lab.capture(&on("Windows@1"), LayerKind::App, "A@2", &grown);
    assert_eq!(lab.rows("app:A@2"), ["file \\a.txt"]);
}
