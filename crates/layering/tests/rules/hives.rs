//! Composition 4 and 6: what is a database of Windows, and belongs to the OS layer alone.

use crate::bench::*;
use layering::reference::LayerKind;

const SAM: &str = "\\Windows\\System32\\config\\SAM";

fn with_hives(lab: &Lab) {
    lab.os("Windows@1", |disk| {
        for name in ["SAM", "SECURITY", "SECURITY.LOG1", "SYSTEM"] {
            disk.file(&format!("\\Windows\\System32\\config\\{name}"), noise(9_000, 1));
        }
        disk.file("\\Boot\\BCD", noise(9_000, 2));
    });
}

#[test]
fn local_users_secrets_and_the_boot_configuration_stay_those_of_the_os_layer() {
    let lab = lab!();
    with_hives(&lab);
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(SAM, noise(9_000, 3)).file("\\Windows\\System32\\config\\sam.log2", "new");
        disk.delete("\\Windows\\System32\\config\\SECURITY").file("\\Boot\\BCD", noise(9_000, 4));
        disk.file("\\Windows\\System32\\config\\SAMPLE", "no hive");
    });
    assert_eq!(lab.rows("app:A"), ["file \\Windows\\System32\\config\\SAMPLE"]);
    assert_eq!(
        warned(&report.warnings, "hive-left-out"),
        [
            "\\Boot\\BCD",
            "\\Windows\\System32\\config\\SAM",
            "\\Windows\\System32\\config\\SECURITY",
            "\\Windows\\System32\\config\\sam.log2",
        ]
    );
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.bytes(SAM), noise(9_000, 1));
    assert_eq!(image.bytes("\\Boot\\BCD"), noise(9_000, 2));
    // Untouched hives are no news.
    let report = lab.app(&on("Windows"), "B@1", |_| {});
    assert_eq!(codes(&report.warnings), [""; 0]);
}

#[test]
fn a_new_os_version_has_its_own_users_and_secrets() {
    let lab = lab!();
    with_hives(&lab);
    lab.platform(&on("Windows"), "P@1", |disk| {
        disk.file("\\agent.exe", "x");
    });
    for (spec, version) in [(on("Windows@1"), "Windows@2"), (on("Windows@1").platform("P"), "Windows@3")] {
        let disk = lab.package(&spec);
        disk.edit(|volume| {
            volume.file(SAM, noise(9_000, 5));
        });
        let report = lab.capture(&spec, LayerKind::Os, version, &disk);
        assert_eq!(codes(&report.warnings), [""; 0]);
        assert_eq!(lab.compose(&on(version)).bytes(SAM), noise(9_000, 5));
    }
}
