//! The registry where versions follow each other, and where things are unusual: newer versions of layers on newer versions
//! of the OS, removals with what is never captured in them, large hives.

use crate::bench::*;
use crate::registry::*;
use hive::{Data, multi_string, value_kind};
use layering::reference::LayerKind;

#[test]
fn a_hive_that_was_overwritten_in_place_is_compared_even_where_metadata_is_trusted() {
    let lab = lab!();
    with_registry(&lab);
    let (before, after) = ("what it was in place", "what it is in place!");
    let mut hive = software();
    hive.text("Vendor\\Old", "Setting", before).text("Vendor\\Large", "Text", &"x".repeat(3_000));
    lab.os("Windows@2", |disk| {
        disk.file(SOFTWARE, hive.file()).file("\\plain.bin", format!("{before}{}", "x".repeat(9_000)));
    });
    let disk = lab.package(&on("Windows@2"));
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (from, to) in [(utf16(before), utf16(after)), (before.into(), after.into())] {
        overwrite(&disk, &from, &to);
    }
    let mut request = lab.capture_request(&on("Windows@2"), LayerKind::App, "A@1", &disk);
    request.trust_metadata = true;
    lab.engine.capture(&request, &operation::Silent).unwrap();
    assert_eq!(lab.rows("app:A@1"), [""; 0], "the file's change is missed, as was asked");
    let merged = Registry::read(lab.compose(&on("Windows@2").with("A")).bytes(SOFTWARE).to_vec());
    assert_eq!(merged.said("Vendor\\Old", "Setting"), after);
}

/// Overwrites some bytes where they lie on a disk: no record of a file changes.
fn overwrite(disk: &Disk, from: &[u8], to: &[u8]) {
    let mut bytes = std::fs::read(&disk.path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty() && from.len() == to.len());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(&disk.path, bytes).unwrap();
}

#[test]
fn a_key_that_was_removed_goes_with_what_is_never_captured_in_it() {
    let lab = lab!();
    let task = "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tasks\\{1}";
    lab.os("Windows@1", |disk| {
        let mut software = software();
        software.text(task, "Path", "\\Task").text(task, "DynamicInfo", "1");
        let mut system = system(1);
        system.text("ControlSet001\\Services\\X", "ImagePath", "x.sys");
        system.text("ControlSet001\\Services\\X\\StartOverride", "0", "3");
        system.text("ControlSet001\\Services\\Y\\StartOverride", "0", "3");
        disk.file(SOFTWARE, software.file()).file(SYSTEM, system.file());
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        let mut system = system(1);
        system.key("ControlSet001\\Services\\Y");
        disk.file(SOFTWARE, software().file()).file(SYSTEM, system.file());
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    let software = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert!(!software.has(task));
    let system = Registry::read(image.bytes(SYSTEM).to_vec());
    assert!(!system.has("ControlSet001\\Services\\X"));
    // a removal of nothing but that is not carried
    assert!(system.has("ControlSet001\\Services\\Y\\StartOverride"));
}

#[test]
fn a_new_os_version_made_with_a_packaging_platform_no_longer_waits_for_what_was_finished() {
    let lab = lab!();
    const MANAGER: &str = "ControlSet001\\Control\\Session Manager";
    const SERVICING: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";
    let finished = || {
        let mut software = software();
        software.key(&format!("{SERVICING}\\PackagesPending"));
        software
    };
    let disk = lab.disk();
    disk.edit(|disk| {
        let mut system = system(1);
        system.set(MANAGER, "PendingFileRenameOperations", multi_string(["\\??\\C:\\old.dll", ""]));
        let mut software = finished();
        software.text(&format!("{SERVICING}\\RebootPending"), "x", "1");
        software.text(&format!("{SERVICING}\\PackagesPending\\P"), "x", "1");
        disk.file(SYSTEM, system.file()).file(SOFTWARE, software.file());
    });
    let mut request = lab.import_request("Windows@1", &disk);
    request.override_reason = Some("it is finished on the packaging machine".to_owned());
    lab.engine.import(&request, &operation::Silent).unwrap();
    // of a platform layer neither is carried, so the OS version still has all of it
    lab.packaging_platform(&on("Windows"), "Tools@1", |disk| {
        disk.file(SYSTEM, system(1).file()).file(SOFTWARE, finished().file()).file("\\agent.exe", "x");
    });
    lab.os_version(&on("Windows@1").platform("Tools"), "Windows@2", |disk| {
        disk.file(SYSTEM, system(1).file()).file(SOFTWARE, finished().file());
    });
    let image = lab.compose(&on("Windows@2"));
    let system = Registry::read(image.bytes(SYSTEM).to_vec());
    assert_eq!(system.said(MANAGER, "PendingFileRenameOperations"), "-");
    let software = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert!(!software.has(&format!("{SERVICING}\\RebootPending")));
    assert!(!software.has(&format!("{SERVICING}\\PackagesPending\\P")));
}

/// A new version of `A` on this composite, whose author makes of a SOFTWARE hive another.
fn next_version(lab: &Lab, spec: &Spec, version: &str, change: impl FnOnce(&mut Registry)) {
    let disk = lab.package(spec);
    let mut hive = Registry::read(Snapshot::of(&disk).bytes(SOFTWARE).to_vec());
    change(&mut hive);
    disk.edit(|volume| {
        volume.file(SOFTWARE, hive.file());
    });
    lab.capture(spec, LayerKind::App, version, &disk);
}

fn software_of(lab: &Lab, spec: &Spec) -> Registry {
    Registry::read(lab.compose(spec).bytes(SOFTWARE).to_vec())
}

#[test]
fn what_a_new_version_takes_away_or_sets_back_is_so_also_where_the_newer_os_has_it_itself() {
    let lab = lab!();
    with_registry(&lab);
    std::fs::write(lab.store().join("registry-lists.txt"), "semicolons SOFTWARE\\Vendor : List\n").unwrap();
    let shipped = |hive: &mut Registry| {
        hive.text("Vendor\\Key", "Value", "1").text("Vendor", "Value", "1").text("Vendor", "Back", "z");
        hive.text("Vendor", "List", "a;n");
    };
    let mut old = software();
    old.text("Vendor", "Back", "x").text("Vendor", "List", "a");
    let first = lab.os("Windows@2", |disk| {
        disk.file(SOFTWARE, old.file());
    });
    lab.os_after(&first, "Windows@3", |disk| {
        let mut hive = software();
        shipped(&mut hive);
        disk.file(SOFTWARE, hive.file());
    });
    lab.app(&on("Windows@2"), "P@1", |disk| {
        let mut hive = software();
        shipped(&mut hive);
        disk.file(SOFTWARE, hive.file());
    });
    lab.app(&on("Windows@2"), "A@1", |disk| {
        let mut hive = software();
        shipped(&mut hive);
        hive.text("Vendor", "Back", "y");
        disk.file(SOFTWARE, hive.file());
    });
    // what is there as well may come from the OS version or from a prerequisite
    let (newer, above) = (on("Windows@3"), on("Windows@2").with("P@1"));
    for (spec, version) in [(newer, "A@2"), (above, "A@3")] {
        next_version(&lab, &spec.clone().base("A@1"), version, |hive| {
            assert_eq!(hive.said("Vendor", "Back"), "y");
            hive.remove("Vendor\\Key").remove_value("Vendor", "Value").text("Vendor", "Back", "x");
            hive.text("Vendor", "List", "a");
        });
        for spec in [spec, on("Windows@2")] {
            let merged = software_of(&lab, &spec.with(version));
            assert!(!merged.has("Vendor\\Key"), "{version}");
            let said = ["Value", "Back", "List"].map(|name| merged.said("Vendor", name));
            assert_eq!(said, ["-", "x", "a"], "{version}");
        }
    }
}

#[test]
fn a_control_set_that_only_one_side_has_in_use_is_refused_and_not_taken_for_a_change() {
    let lab = lab!();
    with_registry(&lab);
    change(&lab, "A@1", SYSTEM, {
        let mut hive = system(1);
        hive.text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
        hive
    });
    let mut lost = system(1);
    lost.remove("Select");
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file(SYSTEM, lost.file());
    });
    refused(lab.try_capture(&on("Windows"), LayerKind::App, "B@1", &disk), "hive-unsupported");
    // and changes of a control set have nowhere to go without one
    lab.os("Windows@2", |disk| {
        disk.file(SYSTEM, lost.file());
    });
    let request = lab.compose_request(&on("Windows@2").with("A"), "lost");
    let refusal = refused(lab.engine.compose(&request, &operation::Silent), "hive-unsupported");
    assert!(refusal.contains("Select"), "{refusal}");
    // changes that were made by number do not go beside the set in use
    lab.app(&on("Windows@2"), "C@1", |disk| {
        let mut hive = lost;
        hive.text("ControlSet001\\Services\\C", "ImagePath", "C.sys");
        disk.file(SYSTEM, hive.file());
    });
    lab.compose(&on("Windows@2").with("C"));
    let request = lab.compose_request(&on("Windows@1").with("C"), "by number");
    refused(lab.engine.compose(&request, &operation::Silent), "hive-unsupported");
}

#[test]
fn seventy_thousand_keys_a_value_of_20_mb_and_names_with_nuls_go_through_a_layer_into_an_image() {
    let lab = lab!();
    let disk = lab.disk_of(&[Part::Esp, Part::Ntfs(160)]);
    disk.edit(|disk| {
        disk.file(SOFTWARE, software().file());
    });
    lab.import("Windows@1", &disk);
    let large: Vec<u8> = (0..20_000_000u32).map(|at| (at % 251) as u8).collect();
    let mut hive = software();
    for number in 0..70_000 {
        hive.key(&format!("Vendor\\Many\\{{{number:08X}}}"));
    }
    hive.set("Vendor\\Large", "value", Data::new(value_kind::BINARY, large.clone()));
    hive.text("Vendor\\nul\0key", "nul\0value", "kept").text("Vendor\\nul", "nul", "another");
    change(&lab, "A@1", SOFTWARE, hive);
    let merged = software_of(&lab, &on("Windows").with("A"));
    let many = merged.0.descendant(merged.0.root(), "Vendor\\Many").unwrap();
    assert_eq!(merged.0.key(many).subkeys().len(), 70_000);
    assert_eq!(merged.data("Vendor\\Large", "value").unwrap().bytes, large);
    assert_eq!(merged.said("Vendor\\nul\0key", "nul\0value"), "kept");
    assert_eq!(merged.said("Vendor\\nul", "nul"), "another");
}
