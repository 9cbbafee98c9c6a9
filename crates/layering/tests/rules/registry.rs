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
