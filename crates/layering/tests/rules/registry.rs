//! Composition 5 to 7: the registry. Keys are united, values overwritten, lists merged; users and the machine's own
//! identity stay those of the OS layer.

use crate::bench::*;
use hive::{Data, multi_string, value_kind};
use layering::reference::LayerKind;

pub const SYSTEM: &str = "\\Windows\\System32\\config\\SYSTEM";
pub const SOFTWARE: &str = "\\Windows\\System32\\config\\SOFTWARE";
pub const ANN: &str = "\\Users\\ann\\NTUSER.DAT";
pub const ENVIRONMENT: &str = "Control\\Session Manager\\Environment";

/// A SYSTEM hive that uses control set `current` of two.
pub fn system(current: u32) -> Registry {
    let mut system = Registry::new();
    system.set("Select", "Current", Data::new(value_kind::DWORD, current.to_le_bytes().to_vec()));
    for set in ["ControlSet001", "ControlSet002"] {
        system.text(&format!("{set}\\{ENVIRONMENT}"), "Path", "C:\\Windows;C:\\Windows\\System32");
        system.set(
            &format!("{set}\\Control\\Lsa"),
            "Security Packages",
            multi_string(["kerberos", "msv1_0"]),
        );
        system.text(&format!("{set}\\Services\\Base"), "ImagePath", "base.sys");
    }
    system.text("MountedDevices", "\\DosDevices\\C:", "disk 1");
    system
}

pub fn software() -> Registry {
    let mut software = Registry::new();
    software.text("Microsoft\\Windows NT\\CurrentVersion", "ProductName", "Windows");
    software.text("Microsoft\\Cryptography", "MachineGuid", "one");
    software.text("Microsoft\\Windows NT\\CurrentVersion\\ProfileList", "Default", "C:\\Users\\Default");
    software.text("Vendor\\Old", "Setting", "1").text("Vendor\\Old\\Below", "Setting", "2");
    software
}

pub fn with_registry(lab: &Lab) {
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, system(1).file()).file(SOFTWARE, software().file());
        disk.file(&format!("{SYSTEM}.LOG1"), noise(9_000, 1)).file(&format!("{SYSTEM}.LOG2"), "");
        disk.file("\\Windows\\System32\\config\\TxR\\{1}.TxR.blf", noise(9_000, 2));
        disk.file(&format!("{SYSTEM}{{2}}.TM.blf"), noise(9_000, 3));
        disk.file(&format!("{SYSTEM}{{2}}.TMContainer00000000000000000001.regtrans-ms"), noise(9_000, 4));
        disk.file(ANN, Registry::new().text("Environment", "Path", "C:\\ann").file());
    });
}

/// A layer version in which the hive at a path was changed.
pub fn change(lab: &Lab, version: &str, path: &str, hive: Registry) -> layering::report::VersionReport {
    lab.app(&on("Windows"), version, |disk| {
        disk.file(path, hive.file());
    })
}

#[test]
fn what_two_layers_change_in_one_hive_is_in_the_image_and_lists_hold_what_both_appended() {
    let lab = lab!();
    with_registry(&lab);
    let set = "ControlSet001";
    for (version, app, end) in [("A@1", "A", "kerberos|msv1_0|pkgA"), ("B@1", "B", "kerberos|msv1_0|pkgB")] {
        let mut hive = system(1);
        let path = format!("C:\\Windows;C:\\Windows\\System32;C:\\Program Files\\{app}\\");
        hive.text(&format!("{set}\\{ENVIRONMENT}"), "PATH", &path);
        hive.set(&format!("{set}\\Control\\Lsa"), "Security Packages", multi_string(end.split('|')));
        hive.text(&format!("{set}\\Services\\{app}"), "ImagePath", &format!("{app}.sys"));
        hive.text(&format!("{set}\\Services\\Base"), "Common", app);
        let report = change(&lab, version, SYSTEM, hive);
        assert_eq!(codes(&report.warnings), [""; 0]);
    }
    let image = lab.compose(&on("Windows").with("A").with("B"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    let merged = Registry::read(image.bytes(SYSTEM).to_vec());
    assert_eq!(
        merged.said(&format!("{set}\\{ENVIRONMENT}"), "Path"),
        "C:\\Windows;C:\\Windows\\System32;C:\\Program Files\\B\\;C:\\Program Files\\A\\"
    );
    let lsa = format!("{set}\\Control\\Lsa");
    assert_eq!(merged.said(&lsa, "Security Packages"), "kerberos|msv1_0|pkgB|pkgA");
    assert_eq!(merged.said(&format!("{set}\\Services\\A"), "ImagePath"), "A.sys");
    assert_eq!(merged.said(&format!("{set}\\Services\\B"), "ImagePath"), "B.sys");
    assert_eq!(merged.said(&format!("{set}\\Services\\Base"), "Common"), "B");
    assert!(!merged.has("ControlSet002\\Services\\A") && !merged.has("CurrentControlSet"));
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
fn changes_go_from_the_control_set_in_use_to_that_which_the_target_uses() {
    let lab = lab!();
    with_registry(&lab);
    // Windows started with another set on the packaging machine, where the application was installed
    let mut hive = system(2);
    hive.text("ControlSet002\\Services\\A", "ImagePath", "A.sys");
    hive.text("ControlSet001\\Services\\Lost", "ImagePath", "lost.sys");
    change(&lab, "A@1", SYSTEM, hive);
    let merged = Registry::read(lab.compose(&on("Windows").with("A")).bytes(SYSTEM).to_vec());
    assert_eq!(merged.said("ControlSet001\\Services\\A", "ImagePath"), "A.sys");
    assert!(!merged.has("ControlSet002\\Services\\A") && !merged.has("ControlSet001\\Services\\Lost"));
    assert_eq!(merged.data("Select", "Current").unwrap().number(), Some(1));
}

#[test]
fn changes_go_to_the_control_set_that_the_image_starts_with() {
    let lab = lab!();
    for (version, default, changed) in [("Next@1", 2u32, "ControlSet002"), ("Lost@1", 7, "ControlSet001")] {
        lab.os(version, |disk| {
            let mut hive = system(1);
            hive.set("Select", "Default", Data::new(value_kind::DWORD, default.to_le_bytes().to_vec()));
            disk.file(SYSTEM, hive.file());
        });
        let (os, _) = version.split_once('@').unwrap();
        let app = format!("{os}App@1");
        lab.app(&on(os), &app, |disk| {
            let mut hive = system(1);
            hive.text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
            disk.file(SYSTEM, hive.file());
        });
        let image = lab.compose(&on(os).with(&format!("{os}App")));
        let merged = Registry::read(image.bytes(SYSTEM).to_vec());
        for set in ["ControlSet001", "ControlSet002"] {
            assert_eq!(merged.has(&format!("{set}\\Services\\A")), set == changed, "{version}: {set}");
        }
        assert!(!merged.has("CurrentControlSet"));
    }
}

#[test]
fn removed_keys_and_values_go_and_what_the_author_could_not_see_stays() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = software();
    hive.text("Vendor\\Old\\Unseen", "Setting", "3");
    change(&lab, "Below@1", SOFTWARE, hive);
    let mut hive = software();
    hive.remove("Vendor\\Old").remove_value("Microsoft\\Windows NT\\CurrentVersion", "ProductName");
    change(&lab, "A@1", SOFTWARE, hive);
    let image = lab.compose(&on("Windows").with("A"));
    let merged = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert!(!merged.has("Vendor\\Old") && merged.has("Vendor"));
    assert_eq!(merged.said("Microsoft\\Windows NT\\CurrentVersion", "ProductName"), "-");
    let image = lab.compose(&on("Windows").with("Below").with("A"));
    assert_eq!(warned(&image.report.warnings, "registry-key-stays"), ["SOFTWARE\\Vendor\\Old"]);
    let merged = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert_eq!(merged.said("Vendor\\Old\\Unseen", "Setting"), "3");
    assert_eq!(merged.said("Vendor\\Old", "Setting"), "-");
    assert!(!merged.has("Vendor\\Old\\Below"));
}

#[test]
fn the_machines_own_identity_is_never_captured() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = software();
    hive.text("Microsoft\\Cryptography", "MachineGuid", "two");
    hive.text(
        "Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1-2-3-1001",
        "ProfileImagePath",
        "x",
    );
    let report = change(&lab, "A@1", SOFTWARE, hive);
    assert_eq!((report.files, codes(&report.warnings)), (0, vec![""; 0]));
    let mut hive = system(1);
    hive.text("MountedDevices", "\\DosDevices\\D:", "disk 2");
    // renames that were done: integrity looks at those that are pending
    hive.set("ControlSet001\\Control\\Session Manager", "PendingFileRenameOperations", multi_string([]));
    change(&lab, "B@1", SYSTEM, hive);
    let image = lab.compose(&on("Windows").with("A").with("B"));
    assert_eq!(image.bytes(SOFTWARE), software().file(), "not even written anew");
    assert_eq!(image.bytes(SYSTEM), system(1).file());
}

#[test]
fn users_hives_are_merged_and_profiles_of_users_whom_the_os_lacks_are_left_out() {
    let lab = lab!();
    with_registry(&lab);
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        let mut ann = Registry::new();
        ann.text("Environment", "Path", "C:\\ann;C:\\A").text("Software\\A", "Setting", "1");
        disk.file(ANN, ann.file());
        disk.file("\\Users\\bob\\NTUSER.DAT", Registry::new().file())
            .file("\\Users\\bob\\Documents\\x.txt", "x");
        disk.file("\\Users\\Public\\Desktop\\A.lnk", "link");
    });
    assert_eq!(warned(&report.warnings, "profile-left-out"), ["\\Users\\bob"]);
    let image = lab.compose(&on("Windows").with("A"));
    let ann = Registry::read(image.bytes(ANN).to_vec());
    assert_eq!(ann.said("Environment", "Path"), "C:\\ann;C:\\A");
    assert!(ann.has("Software\\A") && !image.paths().iter().any(|path| path.contains("bob")));
    assert_eq!(image.bytes("\\Users\\Public\\Desktop\\A.lnk"), b"link");
}

#[test]
fn profiles_of_service_accounts_are_part_of_the_application_and_those_of_users_are_not() {
    let lab = lab!();
    with_registry(&lab);
    let list = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        let mut software = software();
        for (sid, path) in [
            ("S-1-5-80-1-2-3-4-5", "C:\\Users\\mssqlserver"),
            ("S-1-5-82-1-2-3-4-5", "%SystemDrive%\\Users\\Pool"),
            ("S-1-5-21-1-2-3-1001", "C:\\Users\\bob"),
            ("S-1-12-1-1-2-3-4", "C:\\Users\\eve"),
        ] {
            software.text(&format!("{list}\\{sid}"), "ProfileImagePath", path);
        }
        disk.file(SOFTWARE, software.file());
        for user in ["MSSQLSERVER", "Pool", "bob", "eve", "unlisted"] {
            disk.file(&format!("\\Users\\{user}\\NTUSER.DAT"), Registry::new().file());
            disk.file(&format!("\\Users\\{user}\\Documents\\x.txt"), "x");
        }
    });
    assert_eq!(
        warned(&report.warnings, "profile-left-out"),
        ["\\Users\\bob", "\\Users\\eve", "\\Users\\unlisted"]
    );
    let image = lab.compose(&on("Windows").with("A"));
    let merged = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert!(merged.has(&format!("{list}\\S-1-5-80-1-2-3-4-5")));
    assert_eq!(image.bytes("\\Users\\MSSQLSERVER\\NTUSER.DAT"), Registry::new().file());
    let paths = image.paths();
    for (user, there) in
        [("MSSQLSERVER", true), ("Pool", true), ("bob", false), ("eve", false), ("unlisted", false)]
    {
        assert_eq!(paths.contains(&format!("\\Users\\{user}\\Documents\\x.txt")), there, "{user}");
    }
}

#[test]
fn changes_of_a_hive_that_the_os_version_lacks_are_left_out_with_a_warning() {
    let lab = lab!();
    let drivers = "\\Windows\\System32\\config\\DRIVERS";
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, system(1).file()).file(drivers, Registry::new().file());
    });
    change(&lab, "A@1", drivers, software());
    let disk = lab.package(&on("Windows@1"));
    disk.edit(|volume| {
        volume.delete(drivers);
    });
    lab.capture(&on("Windows@1"), LayerKind::Os, "Windows@2", &disk);
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(warned(&image.report.warnings, "hive-missing"), [format!("{drivers} (app:A@1)")]);
}

#[test]
fn a_new_version_starts_from_what_the_older_one_changed() {
    let lab = lab!();
    with_registry(&lab);
    let environment = format!("ControlSet001\\{ENVIRONMENT}");
    let path = "C:\\Windows;C:\\Windows\\System32";
    let mut hive = system(1);
    hive.text(&environment, "Path", &format!("{path};C:\\P"));
    change(&lab, "P@1", SYSTEM, hive);
    let mut hive = system(1);
    hive.text(&environment, "Path", &format!("{path};C:\\A1"));
    hive.text("ControlSet001\\Services\\A1", "ImagePath", "1").text(
        "ControlSet001\\Services\\A",
        "Start",
        "1",
    );
    change(&lab, "A@1", SYSTEM, hive);

    let spec = on("Windows").with("P").base("A@1");
    let disk = lab.package(&spec);
    let mut hive = Registry::read(Snapshot::of(&disk).bytes(SYSTEM).to_vec());
    assert_eq!(hive.said(&environment, "Path"), format!("{path};C:\\A1;C:\\P"));
    hive.text(&environment, "Path", &format!("{path};C:\\A1;C:\\P;C:\\A2"));
    hive.remove("ControlSet001\\Services\\A1").text("ControlSet001\\Services\\A", "Start", "2");
    disk.edit(|volume| {
        volume.file(SYSTEM, hive.file());
    });
    lab.capture(&spec, LayerKind::App, "A@2", &disk);

    let merged = Registry::read(lab.compose(&on("Windows").with("A@2")).bytes(SYSTEM).to_vec());
    assert_eq!(
        merged.said(&environment, "Path"),
        format!("{path};C:\\A1;C:\\A2"),
        "the prerequisite's is not in it"
    );
    assert_eq!(merged.said("ControlSet001\\Services\\A", "Start"), "2");
    assert!(!merged.has("ControlSet001\\Services\\A1"));
    let merged = Registry::read(lab.compose(&on("Windows").with("P").with("A@2")).bytes(SYSTEM).to_vec());
    assert!(merged.said(&environment, "Path").contains("C:\\P"));
}

#[test]
fn a_new_os_version_made_with_a_packaging_platform_has_the_changes_and_not_the_platforms() {
    let lab = lab!();
    with_registry(&lab);
    lab.packaging_platform(&on("Windows"), "Tools@1", |disk| {
        let mut hive = system(1);
        hive.text("ControlSet001\\Services\\Tools", "ImagePath", "tools.sys");
        disk.file(SYSTEM, hive.file());
    });
    let spec = on("Windows@1").platform("Tools");
    let disk = lab.package(&spec);
    let mut hive = Registry::read(Snapshot::of(&disk).bytes(SYSTEM).to_vec());
    assert!(hive.has("ControlSet001\\Services\\Tools"));
    hive.text("ControlSet001\\Services\\Update", "ImagePath", "update.sys");
    disk.edit(|volume| {
        volume.file(SYSTEM, hive.file());
    });
    lab.capture(&spec, LayerKind::Os, "Windows@2", &disk);
    let merged = Registry::read(lab.compose(&on("Windows@2")).bytes(SYSTEM).to_vec());
    assert!(merged.has("ControlSet001\\Services\\Update") && !merged.has("ControlSet001\\Services\\Tools"));
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
fn updates_of_windows_in_an_application_s_layer_are_said() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = software();
    let packages = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages";
    hive.text(
        &format!("{packages}\\Package_for_KB1~31bf3856ad364e35~amd64~~10.0.1.1\\Owners"),
        "Microsoft",
        "1",
    );
    let report = change(&lab, "A@1", SOFTWARE, hive);
    assert_eq!(codes(&report.warnings), ["windows-packages-changed"]);
    assert_eq!(report.warnings[0].paths, ["Package_for_KB1~31bf3856ad364e35~amd64~~10.0.1.1"]);
    let mut hive = software();
    hive.text(&format!("{packages}\\Package_for_KB1"), "Microsoft", "1");
    let report = lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file(SOFTWARE, hive.file());
    });
    assert_eq!(codes(&report.warnings), [""; 0]);
}

#[test]
fn local_users_and_groups_that_a_layer_leaves_out_are_named() {
    let lab = lab!();
    const SAM: &str = "\\Windows\\System32\\config\\SAM";
    let sam = |users: &[&str], groups: &[&str]| {
        let mut sam = Registry::new();
        for (names, kind) in [(users, "Users"), (groups, "Aliases")] {
            for name in names {
                sam.key(&format!("SAM\\Domains\\Account\\{kind}\\Names\\{name}"));
            }
        }
        sam.file()
    };
    lab.os("Windows@1", |disk| {
        disk.file(SAM, sam(&["Administrator", "guest"], &[]));
    });
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(SAM, sam(&["administrator", "ann"], &["Operators"]));
    });
    assert_eq!(
        warned(&report.warnings, "accounts-left-out"),
        ["group Operators (made)", "user ann (made)", "user guest (removed)"]
    );
    assert_eq!(warned(&report.warnings, "hive-left-out"), [SAM]);
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

#[test]
fn what_a_machine_notes_of_its_users_by_itself_is_no_remark() {
    let lab = lab!();
    const SAM: &str = "\\Windows\\System32\\config\\SAM";
    const SECURITY: &str = "\\Windows\\System32\\config\\SECURITY";
    let sam = |signed_in: u8, member: u8| {
        let users = "SAM\\Domains\\Account\\Users\\000001F4";
        let mut sam = Registry::new();
        sam.set(users, "F", Data::new(value_kind::BINARY, vec![signed_in; 80]));
        let group = "SAM\\Domains\\Builtin\\Aliases\\00000220";
        sam.set(group, "C", Data::new(value_kind::BINARY, vec![member; 80])).file()
    };
    let security = |time: u8| {
        let mut security = Registry::new();
        let secret = "Policy\\Secrets\\DPAPI_SYSTEM\\CupdTime";
        security.set(secret, "", Data::new(value_kind::BINARY, vec![time; 8])).file()
    };
    lab.os("Windows@1", |disk| {
        disk.file(SAM, sam(1, 1)).file(SECURITY, security(1)).file(&format!("{SAM}.LOG1"), "1");
    });
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file(SAM, sam(2, 1)).file(SECURITY, security(2)).file(&format!("{SAM}.LOG1"), "2");
    });
    assert_eq!(codes(&report.warnings), [""; 0]);
    // somebody joined a group
    let report = lab.app(&on("Windows"), "B@1", |disk| {
        disk.file(SAM, sam(2, 2)).file(SECURITY, security(2));
    });
    assert_eq!(warned(&report.warnings, "hive-left-out"), [SAM]);
}

#[test]
fn a_new_os_version_is_the_machine_itself_however_it_was_made() {
    let lab = lab!();
    with_registry(&lab);
    lab.packaging_platform(&on("Windows"), "P@1", |disk| {
        disk.file("\\agent.exe", "x");
    });
    let profiles = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
    for (spec, version) in [(on("Windows@1"), "Windows@2"), (on("Windows@1").platform("P"), "Windows@3")] {
        let mut hive = software();
        hive.text(&format!("{profiles}\\S-1-5-21-1-2-3-1001"), "ProfileImagePath", "C:\\Users\\bob");
        hive.text("Microsoft\\Cryptography", "MachineGuid", "two");
        let disk = lab.package(&spec);
        disk.edit(|volume| {
            volume.file(SOFTWARE, hive.file());
        });
        lab.capture(&spec, LayerKind::Os, version, &disk);
        let software = Registry::read(lab.compose(&on(version)).bytes(SOFTWARE).to_vec());
        assert!(software.has(&format!("{profiles}\\S-1-5-21-1-2-3-1001")), "{version}");
        assert_eq!(software.said("Microsoft\\Cryptography", "MachineGuid"), "two", "{version}");
    }
}

#[test]
fn a_version_loses_what_is_never_captured_since_the_older_one() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = software();
    hive.text("Vendor\\Old", "License", "1").text("Vendor\\New", "Kept", "1");
    change(&lab, "A@1", SOFTWARE, hive);
    std::fs::write(lab.store().join("registry-never-captured.txt"), "SOFTWARE\\Vendor\\Old : License\n")
        .unwrap();
    let spec = on("Windows").base("app:A@1");
    let disk = lab.package(&spec);
    let mut hive = Registry::read(lab.compose(&on("Windows").with("A@1")).bytes(SOFTWARE).to_vec());
    hive.remove("Vendor\\Old");
    disk.edit(|volume| {
        volume.file(SOFTWARE, hive.file());
    });
    lab.capture(&spec, LayerKind::App, "A@2", &disk);
    let merged = Registry::read(lab.compose(&on("Windows").with("A@2")).bytes(SOFTWARE).to_vec());
    assert!(!merged.has("Vendor\\Old"));
    assert_eq!(merged.said("Vendor\\New", "Kept"), "1");
}

#[test]
fn a_packaging_disk_whose_layers_merge_to_something_else_by_now_is_refused() {
    let lab = lab!();
    with_registry(&lab);
    let list = |text: &str| {
        let mut hive = software();
        hive.text("Vendor", "List", text);
        hive
    };
    change(&lab, "A@1", SOFTWARE, list("p;a"));
    change(&lab, "B@1", SOFTWARE, list("p;b"));
    let spec = on("Windows").with("A").with("B");
    let (alone, above) = (lab.package(&on("Windows")), lab.package(&spec));
    std::fs::write(lab.store().join("registry-lists.txt"), "semicolons SOFTWARE\\Vendor : List\n").unwrap();
    let refusal = refused(lab.try_capture(&spec, LayerKind::App, "C@1", &above), "not-descended");
    assert!(refusal.contains("registry-lists.txt"), "{refusal}");
    // where nothing was merged, lists made no difference
    lab.capture(&on("Windows"), LayerKind::App, "C@1", &alone);
}

#[test]
fn classes_of_wmi_that_a_layer_does_not_bring_are_said() {
    let lab = lab!();
    with_registry(&lab);
    let mut hive = software();
    hive.set("Microsoft\\WBEM\\CIMOM", "Autorecover MOFs", multi_string(["C:\\Agent\\agent.mof"]));
    let report = change(&lab, "A@1", SOFTWARE, hive);
    assert_eq!(warned(&report.warnings, "wmi-classes-left-out"), ["C:\\Agent\\agent.mof"]);
}

#[test]
fn two_devices_to_which_windows_gave_one_number_are_said() {
    let lab = lab!();
    with_registry(&lab);
    for (version, own) in [("A@1", "tunnel of A"), ("B@1", "tunnel of B")] {
        let mut hive = system(1);
        hive.text("ControlSet001\\Enum\\ROOT\\NET\\0000", "DeviceDesc", own);
        hive.text("ControlSet001\\Enum\\ROOT\\NET\\0001", "DeviceDesc", "the same");
        hive.text("ControlSet001\\Services\\0000", "Description", own);
        change(&lab, version, SYSTEM, hive);
    }
    let warnings = lab.compose(&on("Windows").with("A").with("B")).report.warnings;
    assert_eq!(
        warned(&warnings, "numbered-keys-collide"),
        ["SYSTEM\\CURRENTCONTROLSET\\ENUM\\ROOT\\NET\\0000 (app:A@1, app:B@1)"]
    );
}

#[test]
fn the_set_that_a_machine_starts_with_is_compared_with_the_one_that_it_started_with() {
    let lab = lab!();
    // Windows was started once with its other set, and is to start with the first again
    let both = |in_use: u32| {
        let mut hive = system(in_use);
        hive.set("Select", "Default", Data::new(value_kind::DWORD, 1u32.to_le_bytes().to_vec()));
        hive.text("ControlSet001\\Services\\First", "ImagePath", "first.sys");
        hive.text("ControlSet002\\Services\\Second", "ImagePath", "second.sys");
        hive
    };
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, both(2).file());
    });
    let mut hive = both(1);
    hive.text("ControlSet001\\Services\\A", "ImagePath", "A.sys");
    change(&lab, "A@1", SYSTEM, hive);
    let merged = Registry::read(lab.compose(&on("Windows").with("A")).bytes(SYSTEM).to_vec());
    assert_eq!(merged.said("ControlSet001\\Services\\A", "ImagePath"), "A.sys");
    assert!(merged.has("ControlSet001\\Services\\First") && !merged.has("ControlSet001\\Services\\Second"));
    assert!(merged.has("ControlSet002\\Services\\Second") && !merged.has("ControlSet002\\Services\\A"));
}
