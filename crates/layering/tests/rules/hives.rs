//! Composition 4 and 6: what is a database of Windows, and belongs to the OS layer alone.

use crate::bench::*;
use layering::reference::LayerKind;

const SAM: &str = "\\Windows\\System32\\config\\SAM";

fn with_hives(lab: &Lab) {
    lab.os("Windows@1", |disk| {
        for name in ["SAM", "SECURITY.LOG1"] {
            disk.file(&format!("\\Windows\\System32\\config\\{name}"), noise(9_000, 1));
        }
        for name in ["SECURITY", "SYSTEM"] {
            disk.file(&format!("\\Windows\\System32\\config\\{name}"), Registry::new().file());
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
        ["\\Boot\\BCD", "\\Windows\\System32\\config\\SAM", "\\Windows\\System32\\config\\SECURITY",]
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
    lab.packaging_platform(&on("Windows"), "P@1", |disk| {
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

/// Databases that Windows derives or keeps about one machine.
const INDEX: &str = "\\ProgramData\\Microsoft\\Search\\Data\\Windows.edb";
const CATALOG: &str = "\\Windows\\System32\\CatRoot\\{F750E6C3}\\oem1.cat";
const CATALOG_DATABASE: &str = "\\Windows\\System32\\catroot2\\{F750E6C3}\\catdb";

#[test]
fn databases_of_one_machine_stay_the_os_layer_s_without_a_word() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file(INDEX, "of the OS").file(CATALOG_DATABASE, "knows no catalog");
    });
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(INDEX, "of the packaging machine").file("\\Windows\\INF\\a.PNF", "compiled");
        disk.file(CATALOG_DATABASE, "of the packaging machine").file("\\app.txt", "app");
    });
    assert_eq!((report.files, report.warnings.len()), (1, 0));
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.bytes(INDEX), b"of the OS");
    assert_eq!(image.bytes(CATALOG_DATABASE), b"knows no catalog");
    // a new OS version keeps what its disk had
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file(INDEX, "of the packaging machine");
    });
    assert_eq!(lab.compose(&on("Windows@2")).bytes(INDEX), b"of the packaging machine");
}

#[test]
fn where_a_layer_brings_catalogs_windows_has_to_make_the_database_over_them_anew() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file(CATALOG_DATABASE, "knows no catalog")
            .file("\\Windows\\System32\\catroot2\\edb.log", "names it");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(CATALOG, "signed");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.bytes(CATALOG), b"signed");
    assert!(!image.paths().iter().any(|path| path.ends_with("catdb") || path.ends_with("edb.log")));
}

#[test]
fn two_drivers_of_one_name_are_said_and_equal_ones_are_not() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Windows\\INF\\disk.inf", "of Windows");
    });
    for (layer, own) in [("A@1", "driver of A"), ("B@1", "driver of B")] {
        lab.app(&on("Windows"), layer, |disk| {
            disk.file("\\Windows\\INF\\oem7.inf", own).file("\\Windows\\INF\\oem8.inf", "the same");
            disk.file("\\Windows\\INF\\oemsetup.inf", own);
        });
    }
    let warnings = lab.compose(&on("Windows").with("A").with("B")).report.warnings;
    assert_eq!(codes(&warnings), ["driver-names-collide"]);
    assert_eq!(warnings[0].paths, ["\\Windows\\INF\\oem7.inf (app:A@1, app:B@1)"]);
    assert!(lab.compose(&on("Windows").with("A")).report.warnings.is_empty());
}
