//! Hives as files: their logs, hives that a layer brings whole, hives that cannot be read.

use crate::bench::*;
use crate::registry::*;
use layering::reference::LayerKind;

const CLASSES: &str = "\\Users\\ann\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat";

/// The file of a hive whose last write, from one state to another, was interrupted, and the log that completes it.
fn interrupted(old: &Registry, new: &Registry) -> (Vec<u8>, Vec<u8>) {
    let (mut file, new) = (old.file(), new.file());
    let seal = |head: &mut [u8]| {
        let words = head[..508].chunks_exact(4);
        let sum = words.fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
        head[508..512].copy_from_slice(&sum.to_le_bytes());
    };
    let secondary = u32::from_le_bytes(file[8..12].try_into().unwrap());
    file[4..8].copy_from_slice(&(secondary + 1).to_le_bytes());
    seal(&mut file);
    // a log of the old format: a head, a bit for each page of the bins, and the pages; here all of them
    let mut log = new[..512].to_vec();
    log[12..20].copy_from_slice(&file[12..20]);
    log[28..32].copy_from_slice(&1u32.to_le_bytes());
    seal(&mut log);
    log.extend(b"DIRT");
    let bins = &new[4096..];
    log.resize((log.len() + (bins.len() / 512).div_ceil(8)).next_multiple_of(512), 0xff);
    log.extend(bins);
    (file, log)
}

#[test]
fn a_hive_that_was_merged_has_no_logs() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = system(1);
    hive.text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
    change(&lab, "A@1", SYSTEM, hive);
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.bytes(&format!("{SYSTEM}.LOG1")), b"");
    assert_eq!(image.bytes(&format!("{SYSTEM}.LOG2")), b"");
    let paths = image.paths();
    assert!(!paths.iter().any(|path| path.ends_with(".blf") || path.ends_with(".regtrans-ms")), "{paths:?}");
    // a hive that no layer changes stays as it is, with its logs
    let image = lab.compose(&on("Windows"));
    assert_eq!(image.bytes(&format!("{SYSTEM}.LOG1")), noise(9_000, 1));
    assert_eq!(image.bytes(SYSTEM), system(1).file());
}

#[test]
fn a_hive_that_cannot_be_read_is_refused_with_its_name_the_place_and_the_rule() {
    let lab = lab!();
    with_registry(&lab);
    let spec = on("Windows");
    for (damage, code, message) in [
        (
            0,
            "hive-unknown",
            "\\Windows\\System32\\config\\SYSTEM: this is no registry hive: it does not begin with the letters regf",
        ),
        (
            4096,
            "hive-damaged",
            "\\Windows\\System32\\config\\SYSTEM: the registry hive is damaged at byte 4096: a bin does not begin with \
             the letters hbin",
        ),
    ] {
        let disk = lab.package(&spec);
        let mut file = system(1).file();
        file[damage] = b'x';
        disk.edit(|volume| {
            volume.file(SYSTEM, file);
        });
        assert_eq!(refused(lab.try_capture(&spec, LayerKind::App, "A@1", &disk), code), message);
    }
    assert_eq!(lab.list().len(), 1, "nothing was stored");
}

#[test]
fn a_hive_that_the_base_lacks_is_a_file_like_any_other() {
    let lab = lab!();
    with_registry(&lab);
    let drivers = "\\Windows\\System32\\config\\DRIVERS";
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(drivers, software().file());
    });
    assert_eq!(lab.rows("app:A"), [format!("file {drivers}")]);
    assert_eq!(lab.compose(&on("Windows").with("A")).bytes(drivers), software().file());
}

#[test]
fn a_hive_that_a_layer_brings_holds_what_its_logs_say_and_has_no_logs() {
    let lab = lab!();
    with_registry(&lab);
    let mut complete = Registry::new();
    complete.text("Vendor", "Setting", "1");
    let (file, log) = interrupted(&Registry::new(), &complete);
    let drivers = "\\Windows\\System32\\config\\DRIVERS";
    lab.app(&on("Windows"), "A@1", |disk| {
        for hive in [CLASSES, drivers] {
            disk.file(hive, file.clone()).file(&format!("{hive}.LOG1"), log.clone());
        }
    });
    let image = lab.compose(&on("Windows").with("A"));
    let paths = image.paths();
    for hive in [CLASSES, drivers] {
        assert_eq!(Registry::read(image.bytes(hive).to_vec()).said("Vendor", "Setting"), "1", "{hive}");
        assert!(!paths.contains(&format!("{hive}.LOG1")), "{hive}");
    }
    let spec = on("Windows");
    let disk = lab.package(&spec);
    disk.edit(|volume| {
        volume.file(CLASSES, file);
    });
    let message = refused(lab.try_capture(&spec, LayerKind::App, "B@1", &disk), "integrity-blocks");
    assert!(message.contains("hive-dirty") && message.contains(CLASSES), "{message}");
}

#[test]
fn what_layers_change_in_a_hive_that_a_lower_layer_brings_is_in_the_image() {
    let lab = lab!();
    with_registry(&lab);
    let mut classes = Registry::new();
    classes.text("Vendor", "A", "1").text("Vendor", "Both", "A");
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(CLASSES, classes.file()).stream(CLASSES, "more", "a stream");
    });
    let spec = on("Windows").with("A");
    for (version, setting) in [("B@1", "B"), ("C@1", "C")] {
        let disk = lab.package(&spec);
        let mut hive = Registry::read(Snapshot::of(&disk).bytes(CLASSES).to_vec());
        hive.text("Vendor", setting, "1").text("Vendor", "Both", setting).remove_value("Vendor", "A");
        disk.edit(|volume| {
            volume.file(CLASSES, hive.file());
        });
        lab.capture(&spec, LayerKind::App, version, &disk);
    }
    let image = lab.compose(&on("Windows").with("A").with("B").with("C"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    let merged = Registry::read(image.bytes(CLASSES).to_vec());
    let said = ["A", "B", "C", "Both"].map(|name| merged.said("Vendor", name));
    assert_eq!(said, ["-", "1", "1", "C"]);
    assert_eq!(image.stream(CLASSES, "more"), "a stream");
    // alone, the file is what was captured
    assert_eq!(lab.compose(&on("Windows").with("A")).bytes(CLASSES), classes.file());
    // a layer below that which brings the hive cannot have changed this one
    let image = lab.compose(&on("Windows").with("B").with("A").with("C"));
    assert_eq!(warned(&image.report.warnings, "hive-replaced"), [format!("{CLASSES} (app:B@1)")]);
    let merged = Registry::read(image.bytes(CLASSES).to_vec());
    assert_eq!(["B", "C"].map(|name| merged.said("Vendor", name)), ["-", "1"]);
}

#[test]
fn a_new_version_of_a_layer_changes_the_hive_that_the_older_one_brought() {
    let lab = lab!();
    with_registry(&lab);
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(CLASSES, Registry::new().text("Vendor", "V1", "1").file());
    });
    for (base, version, setting) in [("A@1", "A@2", "V2"), ("A@2", "A@3", "V3")] {
        let spec = on("Windows").base(base);
        let disk = lab.package(&spec);
        let mut hive = Registry::read(Snapshot::of(&disk).bytes(CLASSES).to_vec());
        hive.text("Vendor", setting, "1");
        disk.edit(|volume| {
            volume.file(CLASSES, hive.file());
        });
        lab.capture(&spec, LayerKind::App, version, &disk);
    }
    let image = lab.compose(&on("Windows").with("A@3"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    let merged = Registry::read(image.bytes(CLASSES).to_vec());
    assert_eq!(["V1", "V2", "V3"].map(|name| merged.said("Vendor", name)), ["1", "1", "1"]);

    // with the hive goes what was changed in it
    let spec = on("Windows").base("A@3");
    let disk = lab.package(&spec);
    disk.edit(|volume| {
        volume.delete(CLASSES);
    });
    lab.capture(&spec, LayerKind::App, "A@4", &disk);
    let image = lab.compose(&on("Windows").with("A@4"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    assert!(!image.paths().contains(&CLASSES.to_owned()));
}

#[test]
fn drivers_of_all_layers_unite_in_the_driver_store_and_its_database() {
    const DRIVERS: &str = "\\Windows\\System32\\config\\DRIVERS";
    const STORE: &str = "\\Windows\\System32\\DriverStore\\FileRepository";
    let lab = lab!();
    let database = |package: &str| {
        let mut drivers = Registry::new();
        drivers.text("DriverDatabase\\DriverPackages\\disk.inf_amd64_1", "", "disk.inf");
        if !package.is_empty() {
            drivers.text(&format!("DriverDatabase\\DriverPackages\\{package}.inf_amd64_2"), "", "oem1.inf");
        }
        drivers
    };
    lab.os("Windows@1", |disk| {
        disk.file(DRIVERS, database("").file()).file(&format!("{STORE}\\disk.inf_amd64_1\\disk.inf"), "disk");
    });
    for package in ["printer", "scanner"] {
        lab.app(&on("Windows"), &format!("{package}@1"), |disk| {
            disk.file(DRIVERS, database(package).file());
            disk.file(&format!("{STORE}\\{package}.inf_amd64_2\\{package}.inf"), package);
        });
    }
    let image = lab.compose(&on("Windows").with("printer").with("scanner"));
    let merged = Registry::read(image.bytes(DRIVERS).to_vec());
    for package in ["disk.inf_amd64_1", "printer.inf_amd64_2", "scanner.inf_amd64_2"] {
        assert!(merged.has(&format!("DriverDatabase\\DriverPackages\\{package}")), "{package}");
        let inf = package.split("_amd64").next().unwrap();
        assert!(image.paths().contains(&format!("{STORE}\\{package}\\{inf}")), "{package}");
    }
}
