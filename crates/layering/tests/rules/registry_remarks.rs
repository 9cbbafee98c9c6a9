//! What is said of registry changes that a layer cannot carry, or that look like a mistake.

use crate::bench::*;
use crate::registry::*;
use hive::{Data, multi_string, value_kind};

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
