//! Composition 9 and 10: layers on another version of the OS than they were made on.

use crate::bench::*;
use sample::binary;

#[path = "../../src/binary_version/sample.rs"]
mod sample;

#[test]
fn a_file_that_the_os_changed_since_is_reported_and_the_layer_still_wins() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\both.ini", "1").file("\\layer.ini", "1").file("\\os.ini", "1").file("\\same.ini", "1");
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\both.ini", "of the layer")
            .file("\\layer.ini", "of the layer")
            .file("\\same.ini", "agreed");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\both.ini", "2").file("\\os.ini", "2").file("\\same.ini", "agreed");
    });
    let spec = on("Windows@2").with("A");
    let image = lab.compose(&spec);
    assert_eq!(image.text("\\both.ini"), "of the layer");
    assert_eq!(image.text("\\os.ini"), "2");
    assert_eq!(warned(&image.report.warnings, "os-changed-since"), ["\\both.ini", "\\same.ini"]);
    let rows = lab.conflicts(&spec).rows;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].changed_by_os && rows[0].winner == "app:A@1" && rows[0].losers == ["os:Windows@2"]);
    assert!(rows[0].os_is_newer.is_none());
    // On the version that the layer was made on, nothing has changed.
    assert_eq!(lab.compose(&on("Windows@1").with("A")).report.warnings, []);
}

#[test]
fn a_file_that_the_os_has_now_too_is_reported_unless_it_is_the_same() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\new.dll", noise(9_000, 1)).file("\\equal.dll", noise(9_000, 2));
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\new.dll", noise(9_000, 3)).file("\\equal.dll", noise(9_000, 2));
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(warned(&image.report.warnings, "os-changed-since"), ["\\new.dll"]);
    assert_eq!(image.bytes("\\new.dll"), noise(9_000, 1));
}

#[test]
fn a_deleted_file_that_the_os_changed_since_is_reported() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\patched.dll", "1").file("\\plain.dll", "1");
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.delete("\\patched.dll").delete("\\plain.dll");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\patched.dll", "2");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert!(!image.has("\\patched.dll"));
    assert_eq!(warned(&image.report.warnings, "os-changed-since"), ["\\patched.dll"]);
}

#[test]
fn a_binary_of_which_the_os_has_the_higher_version_is_named_with_both() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\old.dll", binary([10, 0, 1, 0])).file("\\new.dll", binary([10, 0, 1, 0]));
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\old.dll", binary([10, 0, 2, 9])).file("\\new.dll", binary([10, 0, 9, 0]));
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\old.dll", binary([10, 0, 3, 0])).file("\\new.dll", binary([10, 0, 3, 0]));
    });
    let report = lab.conflicts(&on("Windows@2").with("A"));
    assert_eq!(warned(&report.warnings, "os-binary-newer"), ["\\old.dll"]);
    assert_eq!(warned(&report.warnings, "os-changed-since"), ["\\new.dll", "\\old.dll"]);
    let row = report.rows.iter().find(|row| row.path == "\\old.dll").unwrap();
    assert_eq!(row.os_is_newer, Some(("10.0.3.0".to_owned(), "10.0.2.9".to_owned())));
}

#[test]
fn a_binary_that_the_layer_brought_before_the_os_had_it_is_compared_too() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\msvcp.dll", binary([14, 0, 0, 0]));
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\msvcp.dll", binary([14, 2, 0, 0]));
    });
    let report = lab.conflicts(&on("Windows@2").with("A"));
    assert_eq!(warned(&report.warnings, "os-binary-newer"), ["\\msvcp.dll"]);
}

#[test]
fn a_platform_layer_packaged_on_another_os_version_is_warned_of() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.platform(&on("Windows@1"), "Azure@1", |disk| {
        disk.file("\\agent", "1");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\os", "2");
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\a", "1");
    });
    let image = lab.compose(&on("Windows@2").with("A").platform("Azure"));
    assert_eq!(codes(&image.report.warnings), ["platform-os-version"]);
    let image = lab.compose(&on("Windows@1").with("A").platform("Azure"));
    assert_eq!(image.report.warnings, []);
}
