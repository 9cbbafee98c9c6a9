//! Images that are longer than their OS disk.

use crate::bench::*;
use ::disk::partition::PartitionKind;
use layering::request::Recovery;
use operation::Silent;

const GIB: u64 = 1 << 30;

fn compose_to(lab: &Lab, size: Option<u64>, recovery: Option<Recovery>) -> Result<Image, layering::Error> {
    let mut request = lab.compose_request(&on("Windows"), "desk");
    request.size = size;
    request.recovery = recovery;
    let report = lab.engine.compose(&request, &Silent)?;
    Ok(lab.export("desk", report))
}

/// An OS disk with a recovery partition behind the OS volume, which ReAgent.xml names by its offset.
fn with_recovery(lab: &Lab) -> Disk {
    let disk = lab.disk_of(&[Part::Esp, Part::Ntfs(16), Part::Recovery]);
    let offset = disk.partition(3).start;
    disk.edit(|volume| {
        volume.file("\\Windows\\System32\\Recovery\\ReAgent.xml", reagent(offset));
    });
    lab.import("Windows@1", &disk);
    disk
}

fn reagent(offset: u64) -> String {
    format!(
        "<?xml version='1.0' encoding='utf-8'?><WindowsRE><WinreLocation path=\"\\Recovery\\WindowsRE\" id=\"0\" \
         offset=\"{offset}\" guid=\"{{0000-a2}}\"/><ImageLocation path=\"\" id=\"0\" offset=\"0\"/></WindowsRE>"
    )
}

#[test]
fn an_image_is_by_default_as_long_as_100_gib_and_grows_the_os_volume() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a", "a");
    });
    let image = compose_to(&lab, None, None).unwrap();
    assert_eq!(image.report.image.size, 100 * GIB);
    let volume = image.disk.partition(2);
    assert!(volume.end() > 100 * GIB - 2 * MIB, "{volume:?}");
    let facts = ntfs_volume::facts(&image.disk.volume(2)).unwrap();
    assert!(facts.len > 100 * GIB - 10 * MIB && facts.free > 99 * GIB, "{facts:?}");
    assert_eq!(image.text("\\a"), "a");
}

#[test]
fn an_image_smaller_than_its_os_disk_is_refused() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |_| {});
    refused(compose_to(&lab, Some(disk.source().len() - MIB), None).map(|_| ()), "image-too-small");
    refused(compose_to(&lab, Some(64 * MIB + 512), None).map(|_| ()), "image-size");
}

#[test]
fn a_recovery_partition_in_the_way_makes_growth_refused() {
    let lab = lab!();
    with_recovery(&lab);
    let message = compose_to(&lab, Some(64 * MIB), None).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains('3'), "{message}");
    assert_eq!(lab.list().len(), 1, "nothing was made");
}

#[test]
fn a_moved_recovery_partition_keeps_guid_type_and_attributes_and_reagent_xml_finds_it() {
    let lab = lab!();
    let disk = with_recovery(&lab);
    let image = compose_to(&lab, Some(64 * MIB), Some(Recovery::Move)).unwrap();
    let (before, after) = (disk.partition(3), image.disk.partition(3));
    assert!(after.start > before.start && after.end() > 60 * MIB, "{after:?}");
    assert_eq!(
        (after.guid, after.kind, after.attributes, &after.name, after.len),
        (before.guid, before.kind, before.attributes, &before.name, before.len)
    );
    assert_eq!(image.disk.bytes_of(3), disk.bytes_of(3));
    assert_eq!(image.text("\\Windows\\System32\\Recovery\\ReAgent.xml"), reagent(after.start));
    let os = image.disk.partition(2);
    assert!(os.end() <= after.start && os.end() > after.start - 2 * MIB, "{os:?}");
}

#[test]
fn a_dropped_recovery_partition_is_gone_and_said_to_be() {
    let lab = lab!();
    with_recovery(&lab);
    let image = compose_to(&lab, Some(64 * MIB), Some(Recovery::Drop)).unwrap();
    assert!(image.disk.table().partition(3).is_none());
    assert_eq!(codes(&image.report.warnings), ["partition-dropped"]);
    assert!(image.disk.partition(2).end() > 62 * MIB);
}

#[test]
fn the_backup_of_the_gpt_is_at_the_new_end_and_at_the_old_one_no_more() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |_| {});
    let image = compose_to(&lab, Some(64 * MIB), None).unwrap();
    assert_eq!(image.disk.read(64 * MIB - 512, 8), b"EFI PART");
    let table = image.disk.table();
    assert!(table.warnings.is_empty(), "{:?}", table.warnings);
    assert_eq!(table.scheme, disk.table().scheme);
    // The primary can be lost.
    image.disk.write(512, &[0; 512]);
    let table = image.disk.table();
    assert_eq!(table.partitions.len(), 2);
    assert!(matches!(table.partitions[1].kind, PartitionKind::Gpt(_)));
}

#[test]
fn growing_an_mbr_disk_keeps_its_signature() {
    let lab = lab!();
    let disk = Disk::with_mbr(lab.fresh("mbr.raw"), 0xdead_beef);
    lab.import("Windows@1", &disk);
    let image = compose_to(&lab, Some(64 * MIB), None).unwrap();
    assert_eq!(image.disk.table().scheme, disk.table().scheme);
    assert!(image.disk.partition(1).end() > 62 * MIB);
}

#[test]
fn reagent_xml_of_a_layer_names_the_new_place_too_and_one_that_cannot_be_updated_is_reported() {
    let lab = lab!();
    let disk = with_recovery(&lab);
    let offset = disk.partition(3).start;
    let path = "\\Windows\\System32\\Recovery\\ReAgent.xml";
    // Windows writes the file again now and then; long enough to lie in clusters of its own.
    fn longer(text: String) -> String {
        text + &"<!-- state -->".repeat(400)
    }
    lab.app(&on("Windows"), "Long@1", |volume| {
        volume.file(path, longer(reagent(offset)));
    });
    lab.app(&on("Windows"), "Short@1", |volume| {
        volume.file(path, reagent(offset) + " ");
    });
    lab.app(&on("Windows"), "Other@1", |volume| {
        volume.file(path, reagent(4096));
    });
    let composed = |layer: &str| {
        let mut request = lab.compose_request(&on("Windows").with(layer), layer);
        (request.size, request.recovery) = (Some(64 * MIB), Some(Recovery::Move));
        let report = lab.engine.compose(&request, &Silent).unwrap();
        lab.export(layer, report)
    };
    for (layer, expected) in [("Long", longer as fn(String) -> String), ("Short", |text| text + " ")] {
        let image = composed(layer);
        let place = image.disk.partition(3).start;
        assert_ne!(place, offset);
        assert_eq!(image.text(path), expected(reagent(place)), "{layer}");
        assert_eq!(codes(&image.report.warnings), [""; 0]);
    }
    let image = composed("Other");
    assert_eq!(image.text(path), reagent(4096));
    assert_eq!(codes(&image.report.warnings), ["recovery-not-updated"]);
}
