//! What else composing does with hives: profiles of users who are gone, hives that layers bring, what was mended, the
//! control set that an image starts with, what a new OS version keeps of a machine that waited for a restart.

use crate::bench::*;
use crate::registry::*;
use hive::{Data, multi_string, value_kind};
use layering::platform::{Hypervisor, PlatformTypes};
use layering::reference::LayerKind;
use layering::report::{ConflictsReport, DiffKind};
use layering::request::*;
use operation::Silent;

const DRIVERS: &str = "\\Windows\\System32\\config\\DRIVERS";
const CLASSES: &str = "\\Users\\ann\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat";

fn number(number: u32) -> Data<'static> {
    Data::new(value_kind::DWORD, number.to_le_bytes().to_vec())
}

/// A new version of the OS layer without ann.
fn without_ann(lab: &Lab) {
    let disk = lab.package(&on("Windows@1"));
    disk.edit(|volume| {
        volume.delete(ANN).delete("\\Users\\ann");
    });
    lab.capture(&on("Windows@1"), LayerKind::Os, "Windows@2", &disk);
}

#[test]
fn of_a_user_whom_the_os_version_lacks_a_layer_brings_nothing_and_the_profile_is_named() {
    let lab = lab!();
    with_registry(&lab);
    lab.app(&on("Windows"), "A@1", |disk| {
        let mut ann = Registry::new();
        ann.text("Software\\A", "Setting", "1").text("Environment", "Path", "C:\\ann");
        disk.file(ANN, ann.file());
        disk.file("\\Users\\ann\\AppData\\Roaming\\A\\settings.txt", "ann's");
        disk.file("\\Program Files\\A\\a.exe", "A").link("\\Program Files\\A\\a.exe", "\\Users\\ann\\a.exe");
        disk.directory("\\Users\\ann\\Empty").file("\\Users\\Shared\\A\\data.txt", "everybody's");
    });
    lab.app(&on("Windows"), "B@1", |disk| {
        disk.file("\\Users\\ann\\b.txt", "B");
    });
    without_ann(&lab);
    let there = |spec: &Spec| {
        let image = lab.compose(spec);
        let paths = image.paths().into_iter().filter(|path| path.contains("ann")).count();
        assert_eq!(image.bytes("\\Program Files\\A\\a.exe"), b"A");
        assert_eq!(image.bytes("\\Users\\Shared\\A\\data.txt"), b"everybody's");
        (paths, image.report.warnings)
    };
    let (paths, warnings) = there(&on("Windows@2").with("A").with("B"));
    assert_eq!((paths, codes(&warnings)), (0, vec!["profile-left-out"]));
    assert_eq!(warned(&warnings, "profile-left-out"), ["\\Users\\ann (app:A@1)", "\\Users\\ann (app:B@1)"]);
    let report = lab.conflicts(&on("Windows@2").with("A"));
    assert_eq!(warned(&report.warnings, "profile-left-out"), ["\\Users\\ann (app:A@1)"]);

    // a new version that is made without the user keeps what the older one brought there
    let spec = on("Windows@2").base("A@1");
    let disk = lab.package(&spec);
    disk.edit(|volume| {
        volume.file("\\Program Files\\A\\more.txt", "2");
    });
    lab.capture(&spec, LayerKind::App, "A@2", &disk);
    let image = lab.compose(&on("Windows@1").with("A@2"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    assert_eq!(image.bytes("\\Users\\ann\\AppData\\Roaming\\A\\settings.txt"), b"ann's");
    assert_eq!(Registry::read(image.bytes(ANN).to_vec()).said("Software\\A", "Setting"), "1");
    assert!(image.has("\\Users\\ann\\a.exe") && image.has("\\Users\\ann\\Empty"));
}

#[test]
fn the_os_version_s_logs_are_cleared_beside_a_hive_that_a_layer_brings() {
    let lab = lab!();
    with_registry(&lab);
    let mut drivers = Registry::new();
    drivers.text("DriverDatabase", "Of", "A");
    change(&lab, "A@1", DRIVERS, drivers);
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file(DRIVERS, Registry::new().text("DriverDatabase", "Of", "OS").file());
        disk.file(&format!("{DRIVERS}.LOG1"), noise(9_000, 5)).file(&format!("{DRIVERS}.LOG2"), "");
        disk.file(&format!("{DRIVERS}{{5}}.TM.blf"), noise(9_000, 6));
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(Registry::read(image.bytes(DRIVERS).to_vec()).said("DriverDatabase", "Of"), "A");
    assert_eq!(image.bytes(&format!("{DRIVERS}.LOG1")), b"");
    assert!(!image.has(&format!("{DRIVERS}{{5}}.TM.blf")));
    // the other hives' logs speak of what is there, and so do all of a volume that has no such hive
    assert_eq!(image.bytes(&format!("{SYSTEM}.LOG1")), noise(9_000, 1));
    let image = lab.compose(&on("Windows@1").with("A"));
    assert!(image.has("\\Windows\\System32\\config\\TxR\\{1}.TxR.blf"));
}

#[test]
fn what_was_mended_in_a_hive_is_said_when_it_is_imported_and_when_it_is_written_anew() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file(SYSTEM, system(1).file()).file(SOFTWARE, [software().file(), vec![0; 100]].concat());
        volume.file(DRIVERS, [Registry::new().file(), vec![0; 100]].concat());
    });
    let rule = "the length of the file is no multiple of 4096 bytes (1 times)";
    let report = lab.import("Windows@1", &disk);
    let both = [DRIVERS, SOFTWARE].map(|hive| format!("{hive}: {rule}"));
    assert_eq!(warned(&report.warnings, "hive-mended"), both);
    let mut hive = system(1);
    hive.text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
    assert_eq!(codes(&change(&lab, "A@1", SYSTEM, hive).warnings), [""; 0]);
    let mut hive = software();
    hive.text("Vendor\\B", "Setting", "1");
    assert_eq!(codes(&change(&lab, "B@1", SOFTWARE, hive).warnings), [""; 0]);
    assert_eq!(codes(&lab.compose(&on("Windows").with("A")).report.warnings), [""; 0]);
    let warnings = lab.compose(&on("Windows").with("A").with("B")).report.warnings;
    assert_eq!(warned(&warnings, "hive-mended"), [format!("{SOFTWARE}: {rule}")]);
}

#[test]
fn values_that_layers_change_in_a_hive_that_a_lower_one_brings_are_conflicts_without_the_os() {
    let lab = lab!();
    with_registry(&lab);
    let mut classes = Registry::new();
    classes.text("Vendor", "Both", "A").text("Vendor", "Same", "A");
    change(&lab, "A@1", CLASSES, classes);
    let spec = on("Windows").with("A");
    for (version, own) in [("B@1", "B"), ("C@1", "C")] {
        let disk = lab.package(&spec);
        let mut hive = Registry::read(Snapshot::of(&disk).bytes(CLASSES).to_vec());
        hive.text("Vendor", "Both", own).text("Vendor", "Same", "1").text("Vendor", own, "1");
        disk.edit(|volume| {
            volume.file(CLASSES, hive.file());
        });
        lab.capture(&spec, LayerKind::App, version, &disk);
    }
    let rows = |report: &ConflictsReport| -> Vec<String> {
        let row = |row: &layering::report::RegistryConflict| {
            let losers: Vec<&str> = row.losers.iter().map(|loser| &*loser.reference).collect();
            let value = row.value.as_deref().unwrap_or_default();
            assert!(!row.changed_by_os && row.change == DiffKind::Changed, "{row:?}");
            format!("{}\\{} : {value} = {}; {}", row.hive, row.key, row.winner, losers.join(", "))
        };
        report.registry.iter().map(row).collect()
    };
    let report = lab.conflicts(&on("Windows").with("A").with("B").with("C"));
    assert_eq!(rows(&report), [format!("{CLASSES}\\Vendor : Both = app:C@1; app:B@1")]);
    assert_eq!(codes(&report.warnings), [""; 0]);
    let report = lab.conflicts(&on("Windows").with("B").with("A").with("C"));
    assert_eq!(rows(&report), [""; 0]);
    assert_eq!(warned(&report.warnings, "hive-replaced"), [format!("{CLASSES} (app:B@1)")]);
}

#[test]
fn after_a_bad_start_what_is_shown_is_the_control_set_that_was_changed() {
    let lab = lab!();
    let recovered = || {
        let mut hive = system(2);
        hive.set("Select", "Default", number(1));
        hive
    };
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, recovered().file());
    });
    let mut hive = recovered();
    hive.set("Select", "Current", number(1)).text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
    change(&lab, "A@1", SYSTEM, hive);
    let image = lab.compose(&on("Windows").with("A"));
    let name = format!("image:{}", image.report.image.name);
    let scope = RegistryScope { hive: None, key: Some("CurrentControlSet\\Services\\A".to_owned()) };
    let request = RegistryDiffRequest { from: "os:Windows@1".into(), to: name.clone(), scope: scope.clone() };
    let rows = lab.engine.registry_diff(&request, &Silent).unwrap().rows;
    assert_eq!(rows[0].key, "CurrentControlSet\\Services\\A");
    let (of, format, out) = (RegistryOf::Image(name), RegistryFormat::Json, lab.fresh("registry"));
    let request = RegistryExportRequest { of, scope, format, out };
    assert_eq!(lab.engine.registry_export(&request, &Silent).unwrap().values, 1);
}

const SERVICING: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";
const UPDATES: &str = "Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update";
const MANAGER: &str = "ControlSet001\\Control\\Session Manager";

#[test]
fn what_an_os_version_waited_for_and_a_machine_has_finished_is_not_in_the_next_version() {
    let lab = lab!();
    let waits = |hive: &mut Registry, list: [&'static str; 2]| {
        hive.set(MANAGER, "PendingFileRenameOperations", multi_string(list));
    };
    let waiting = || {
        let (mut system, mut software) = (system(1), software());
        waits(&mut system, ["\\??\\C:\\one", ""]);
        system.set(MANAGER, "PendingFileRenameOperations2", multi_string(["\\??\\C:\\two", ""]));
        software.set(&format!("{SERVICING}\\PackagesPending\\KB1"), "x", number(1));
        software.set(&format!("{SERVICING}\\RebootPending"), "x", number(1));
        (system, software)
    };
    let disk = lab.disk();
    disk.edit(|volume| {
        let (system, software) = waiting();
        volume.file(SYSTEM, system.file()).file(SOFTWARE, software.file());
    });
    let mut request = lab.import_request("Windows@1", &disk);
    request.override_reason = Some("it is finished on the packaging machine".to_owned());
    lab.engine.import(&request, &Silent).unwrap();
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        let (mut system, mut software) = waiting();
        system.text("ControlSet001\\Services\\P", "ImagePath", "p.sys");
        software.text("P", "Setting", "1");
        volume.file(SYSTEM, system.file()).file(SOFTWARE, software.file());
    });
    let mut request = lab.capture_request(&on("Windows"), LayerKind::Platform, "P@1", &disk);
    request.version.platform = Some(PlatformTypes::packaging(Hypervisor::Other));
    request.override_reason = Some("it waits as the OS does".to_owned());
    lab.engine.capture(&request, &Silent).unwrap();
    let spec = on("Windows@1").platform("P");
    let disk = lab.package(&spec);
    disk.edit(|volume| {
        let (mut system, mut software) = (system(1), software());
        system.text("ControlSet001\\Services\\P", "ImagePath", "p.sys");
        waits(&mut system, ["\\??\\C:\\three", ""]);
        software.text("P", "Setting", "1").key(&format!("{SERVICING}\\PackagesPending"));
        software.set(&format!("{UPDATES}\\RebootRequired"), "x", number(1));
        volume.file(SYSTEM, system.file()).file(SOFTWARE, software.file());
    });
    let mut request = lab.capture_request(&spec, LayerKind::Os, "Windows@2", &disk);
    request.override_reason = Some("it always says that".to_owned());
    lab.engine.capture(&request, &Silent).unwrap();
    let image = lab.compose(&on("Windows@2"));
    let system = Registry::read(image.bytes(SYSTEM).to_vec());
    let software = Registry::read(image.bytes(SOFTWARE).to_vec());
    // neither what was done nor what was new, and which control sets there are is the OS's own
    assert_eq!(system.said(MANAGER, "PendingFileRenameOperations"), "-");
    assert_eq!(system.said(MANAGER, "PendingFileRenameOperations2"), "-");
    assert!(system.has("Select"));
    assert!(!software.has(&format!("{SERVICING}\\RebootPending")));
    assert!(!software.has(&format!("{SERVICING}\\PackagesPending\\KB1")));
    assert!(!software.has(&format!("{UPDATES}\\RebootRequired")));
}

#[test]
fn a_new_os_version_has_the_catalog_database_of_the_machine_whole() {
    const DATABASE: &str = "\\Windows\\System32\\catroot2";
    const CATALOG: &str = "\\Windows\\System32\\CatRoot\\{F750E6C3}\\kb.cat";
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, system(1).file());
        disk.file(&format!("{DATABASE}\\edb.log"), "log 1").file(&format!("{DATABASE}\\catdb"), "1");
    });
    lab.packaging_platform(&on("Windows"), "Plain@1", |disk| {
        disk.file("\\agent.exe", "x");
    });
    lab.packaging_platform(&on("Windows"), "Drivers@1", |disk| {
        disk.file("\\Windows\\System32\\CatRoot\\{F750E6C3}\\oem1.cat", "x");
    });
    for (platform, version, log) in [("Plain", "Windows@2", true), ("Drivers", "Windows@3", false)] {
        lab.os_version(&on("Windows@1").platform(platform), version, |disk| {
            disk.file(CATALOG, "kb").file(&format!("{DATABASE}\\catdb"), "2");
        });
        let image = lab.compose(&on(version));
        assert_eq!(image.bytes(&format!("{DATABASE}\\catdb")), b"2", "{version}");
        // on the disk of the second machine the database was made anew, without the old log
        assert_eq!(image.has(&format!("{DATABASE}\\edb.log")), log, "{version}");
    }
}
