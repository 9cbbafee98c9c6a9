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
