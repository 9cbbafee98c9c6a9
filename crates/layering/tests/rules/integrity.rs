//! Integrity before finalize: what a disk's Windows has not finished, read from the disk; what capture and import make of
//! it.

use crate::bad_input::{leave_log_unclean, mark_dirty};
use crate::bench::*;
use crate::windows_disks::test_data;
use hive::{Data, multi_string, value_kind};
use layering::Engine;
use layering::reference::LayerKind;
use layering::report::{Finding, Severity};
use layering::request::{IntegrityRequest, StoredIntegrityRequest};
use operation::Silent;
use std::path::{Path, PathBuf};
use std::process::Command;

const SYSTEM: &str = "\\Windows\\System32\\config\\SYSTEM";
const SOFTWARE: &str = "\\Windows\\System32\\config\\SOFTWARE";
const SECURITY: &str = "\\Windows\\System32\\config\\SECURITY";
const COMPONENTS: &str = "\\Windows\\System32\\config\\COMPONENTS";
const RUN_ONCE: &str = "Microsoft\\Windows\\CurrentVersion\\RunOnce";

/// A SYSTEM hive that uses control set 2 of two.
fn system() -> Registry {
    let mut system = Registry::new();
    system.set("Select", "Current", Data::new(value_kind::DWORD, vec![2, 0, 0, 0]));
    for set in ["ControlSet001", "ControlSet002"] {
        system.text(&format!("{set}\\Services\\Tcpip\\Parameters"), "Hostname", "PC");
    }
    system
}

fn software() -> Registry {
    let mut software = Registry::new();
    software.text("Microsoft\\Windows\\CurrentVersion\\Setup\\State", "ImageState", "IMAGE_STATE_COMPLETE");
    software
}

/// A SOFTWARE hive with something to run after the next start.
fn waiting() -> Registry {
    let mut waiting = software();
    waiting.text(RUN_ONCE, "Setup", "C:\\setup.exe /continue");
    waiting
}

/// The policy of a machine that is a member of a domain.
fn member() -> Registry {
    let mut security = Registry::new();
    security.set("Policy\\PolPrDmS", "", Data::new(0, vec![1, 4, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0]));
    security
}

fn windows(volume: &mut Edit) {
    volume.file(SYSTEM, system().file()).file(SOFTWARE, software().file());
    volume.file(SECURITY, Registry::new().set("Policy\\PolPrDmS", "", Data::new(0, vec![])).file());
}

/// What the disk's findings are for a layer of this kind: `blocks reboot-pending`, evidence on lines of its own.
fn findings(disk: &Disk, kind: LayerKind) -> Vec<String> {
    let request = IntegrityRequest { disk: disk.path.clone(), volume: None, kind, allow_backing: false };
    let report = Engine::integrity(&request, &Silent).unwrap();
    let words = |finding: &Finding| {
        let severity = format!("{:?}", finding.severity).to_lowercase();
        assert!(!finding.advice.is_empty(), "{finding:?}");
        let lines = finding.evidence_lines().into_iter().map(|line| format!("  {line}"));
        std::iter::once(format!("{severity} {}", finding.code)).chain(lines).collect::<Vec<String>>()
    };
    assert_eq!(report.blocked, report.findings.iter().any(|finding| finding.severity == Severity::Blocks));
    report.findings.iter().flat_map(words).collect()
}

/// Writes the hive's file so that its last write was not completed.
fn torn(hive: &Registry) -> Vec<u8> {
    let mut file = hive.file();
    let primary = u32::from_le_bytes(file[4..8].try_into().unwrap()) + 1;
    file[4..8].copy_from_slice(&primary.to_le_bytes());
    let sum = file[..508].chunks(4).fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
    file[508..512].copy_from_slice(&sum.to_le_bytes());
    file
}

#[test]
fn a_volume_without_windows_or_hives_has_no_findings() {
    let lab = lab!();
    let plain = Disk::create(lab.fresh("plain.raw"), WINDOWS);
    plain.edit(|volume| {
        // what would be found beside a Windows
        volume.file("\\Config.Msi\\1.rbs", "x").file("\\Users\\ann\\NTUSER.DAT", noise(9_000, 1));
    });
    assert_eq!(findings(&plain, LayerKind::Os), [""; 0]);
    assert_eq!(findings(&lab.disk(), LayerKind::Os), [""; 0]);
    lab.import("Windows@1", &plain);
    lab.app(&on("Windows"), "A@1", |_| {});
}

#[test]
fn a_disk_that_waits_for_a_restart_is_not_captured_and_the_evidence_says_why() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file(SOFTWARE, waiting().file()).file("\\Windows\\WinSxS\\pending.xml", "<x/>");
    });
    let message = refused(lab.try_capture(&on("Windows"), LayerKind::App, "A@1", &disk), "integrity-blocks");
    let (name, findings) = message.split_once(" is not ready:\n").unwrap();
    assert_eq!(name, disk.path.display().to_string());
    let expected = [
        "    reboot-pending: A post-installation reboot is pending - please check and reboot the Packaging Machine.",
        "        \\Windows\\WinSxS\\pending.xml",
        "        SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce : Setup = C:\\setup.exe /continue",
    ];
    assert_eq!(findings.lines().collect::<Vec<_>>(), expected);
    assert_eq!(lab.list().len(), 1, "nothing was stored");
}

#[test]
fn an_override_captures_all_the_same_and_the_version_records_reason_and_finding() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file(SOFTWARE, waiting().file()).file("\\a.txt", "a");
    });
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &disk);
    request.override_reason = Some("  ".to_owned());
    refused(lab.engine.capture(&request, &Silent), "override-reason");
    request.override_reason = Some(" the installer is known to do that ".to_owned());
    let report = lab.engine.capture(&request, &Silent).unwrap();
    assert_eq!(
        warned(&report.warnings, "integrity-overridden"),
        ["SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce : Setup = C:\\setup.exe /continue"]
    );
    let details = lab.engine.show("app:A", &Silent).unwrap().details;
    assert_eq!(details["captured"]["override_reason"], "the installer is known to do that");
    let recorded = details["warnings"][0]["message"].as_str().unwrap();
    assert!(recorded.contains("reboot-pending") && recorded.ends_with("the installer is known to do that"));
    assert_eq!(lab.compose(&on("Windows").with("A")).text("\\a.txt"), "a");
}

#[test]
fn warnings_are_recorded_in_the_version_and_need_no_override() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        let mut user = Registry::new();
        user.text(&format!("Software\\{RUN_ONCE}"), "Tour", "tour.exe");
        disk.file("\\Users\\Default\\NTUSER.DAT", user.file());
        // nobody signs in as a service
        disk.file("\\Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT", user.file());
    });
    let evidence = format!("\\Users\\Default\\NTUSER.DAT : Software\\{RUN_ONCE} : Tour = tour.exe");
    assert_eq!(warned(&report.warnings, "user-sign-in-pending"), [evidence]);
    assert!(codes(&report.warnings).iter().all(|code| *code != "integrity-overridden"));
}

#[test]
fn only_the_control_set_in_use_counts() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(windows);
    let pending = |set: &str| {
        let mut hive = system();
        let renames = multi_string(["\\??\\C:\\old.dll"]);
        hive.set(&format!("{set}\\Control\\Session Manager"), "PendingFileRenameOperations", renames);
        hive
    };
    disk.edit(|volume| {
        volume.file(SYSTEM, pending("ControlSet001").file());
    });
    assert_eq!(findings(&disk, LayerKind::App), [""; 0]);
    disk.edit(|volume| {
        volume.file(SYSTEM, pending("ControlSet002").file());
    });
    assert_eq!(
        findings(&disk, LayerKind::App),
        [
            "blocks reboot-pending",
            "  SYSTEM\\CurrentControlSet\\Control\\Session Manager : PendingFileRenameOperations = \\??\\C:\\old.dll \
             is deleted",
        ]
    );
}

#[test]
fn a_member_of_a_domain_is_no_os_layer_unless_that_is_overridden_and_warns_for_others() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let disk = lab.disk();
    disk.edit(windows).edit(|volume| {
        volume.file(SECURITY, member().file());
    });
    let found = |severity| {
        let evidence = "  SECURITY\\Policy\\PolPrDmS : (default) = 01 04 00 00 00 00 00 05 15 00 00 00";
        [format!("{severity} domain-joined"), evidence.to_owned()]
    };
    assert_eq!(findings(&disk, LayerKind::Os), found("blocks"));
    assert_eq!(findings(&disk, LayerKind::Platform), found("warns"));
    refused(lab.try_import("Joined@1", &disk), "integrity-blocks");
    let mut request = lab.import_request("Joined@1", &disk);
    request.override_reason = Some("lab".to_owned());
    let report = lab.engine.import(&request, &Silent).unwrap();
    assert_eq!(codes(&report.warnings), ["integrity-overridden"]);
    assert_eq!(lab.engine.show("os:Joined", &Silent).unwrap().details["override_reason"], "lab");

    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file(SECURITY, member().file());
    });
    refused(lab.try_capture(&on("Windows"), LayerKind::Os, "Windows@2", &disk), "integrity-blocks");
    let report = lab.capture(&on("Windows"), LayerKind::App, "A@1", &disk);
    assert_eq!(codes(&report.warnings), ["domain-joined", "hive-left-out"]);
}

#[test]
fn an_os_version_or_image_of_the_store_is_examined_as_a_disk_is_and_no_layer_is() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(windows).edit(|volume| {
        volume.file(SOFTWARE, waiting().file()).file(SECURITY, member().file());
    });
    let mut request = lab.import_request("Windows@1", &disk);
    request.override_reason = Some("lab".to_owned());
    lab.engine.import(&request, &Silent).unwrap();
    lab.app(&on("Windows"), "A@1", |volume| {
        volume.file(SOFTWARE, software().file());
    });
    let image = lab.compose(&on("Windows").with("A")).report.image.name;
    let examine = |image: &str, kind| {
        let request = StoredIntegrityRequest { image: image.to_owned(), kind };
        lab.engine.stored_integrity(&request, &Silent)
    };
    let found = |image: &str, kind| {
        let report = examine(image, kind).unwrap();
        let codes: Vec<String> = report.findings.into_iter().map(|finding| finding.code).collect();
        (report.disk, report.blocked, codes)
    };
    let codes = |codes: [&str; 2]| codes.map(str::to_owned).to_vec();
    assert_eq!(
        found("os:Windows", LayerKind::Os),
        ("os:Windows@1".to_owned(), true, codes(["reboot-pending", "domain-joined"]))
    );
    // the layer's machine has finished
    let image = format!("image:{image}");
    assert_eq!(found(&image, LayerKind::App), (image.clone(), false, vec!["domain-joined".to_owned()]));
    refused(examine("app:A", LayerKind::App), "reference-kind");
}

#[test]
fn a_hive_with_an_incomplete_write_and_no_log_is_refused_unless_asked_and_is_said() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let mut changed = software();
    changed.text("Vendor", "Setting", "1");
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        // nothing is looked for in COMPONENTS, but it is a hive like the others
        volume.file(SOFTWARE, torn(&changed)).file(COMPONENTS, torn(&system()));
    });
    let found = findings(&disk, LayerKind::App);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "blocks hive-dirty");
    assert!(found[1].starts_with(&format!("  {SOFTWARE} = the registry hive was not written completely")));
    assert!(found[2].starts_with(&format!("  {COMPONENTS} = ")));
    refused(lab.try_capture(&on("Windows"), LayerKind::App, "A@1", &disk), "integrity-blocks");
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &disk);
    request.override_reason = Some("the machine is lost".to_owned());
    let report = lab.engine.capture(&request, &Silent).unwrap();
    assert_eq!(warned(&report.warnings, "integrity-overridden").len(), 2);
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(Registry::read(image.bytes(SOFTWARE).to_vec()).said("Vendor", "Setting"), "1");
}

#[test]
fn an_os_version_that_was_taken_with_an_incomplete_hive_can_be_packaged_and_composed() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(windows).edit(|volume| {
        volume.file(SOFTWARE, torn(&software()));
    });
    refused(lab.try_import("Windows@1", &disk), "integrity-blocks");
    let mut request = lab.import_request("Windows@1", &disk);
    request.override_reason = Some("it has booted".to_owned());
    lab.engine.import(&request, &Silent).unwrap();
    // Windows completes the hive when it starts.
    lab.app(&on("Windows"), "A@1", |disk| {
        let mut changed = software();
        changed.text("Vendor", "Setting", "1");
        disk.file(SOFTWARE, changed.file());
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(warned(&image.report.warnings, "hive-dirty"), [SOFTWARE]);
    let merged = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert_eq!(merged.said("Vendor", "Setting"), "1");
}

#[test]
fn a_hive_that_is_damaged_is_a_finding_and_refused_as_what_it_is() {
    let lab = lab!();
    let disk = lab.disk();
    let mut file = software().file();
    file[4096] = b'x';
    disk.edit(windows).edit(|volume| {
        volume.file(SOFTWARE, &file).file(SECURITY, member().file());
    });
    let found = findings(&disk, LayerKind::App);
    assert_eq!(
        (found[0].as_str(), found[1].as_str()),
        ("blocks hive-damaged", &*format!("  {SOFTWARE}")),
        "and the others are examined all the same: {found:?}"
    );
    assert_eq!(found[2], "warns domain-joined");
    refused(lab.try_import("Windows@1", &disk), "hive-damaged");
    let mut request = lab.import_request("Windows@1", &disk);
    request.override_reason = Some("lab".to_owned());
    let report = lab.engine.import(&request, &Silent).unwrap();
    let overridden = report.warnings.iter().filter(|warning| warning.code == "integrity-overridden");
    assert_eq!(overridden.count(), 2, "{:?}", report.warnings);
}

#[test]
fn a_hibernated_volume_is_a_finding_that_nothing_overrides() {
    let lab = lab!();
    lab.os("Windows@1", windows);
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        volume.file("\\hiberfil.sys", [b"hibr".to_vec(), vec![0; 4092]].concat());
        volume.file(SOFTWARE, waiting().file());
    });
    assert_eq!(findings(&disk, LayerKind::App), ["blocks volume-hibernated", "  \\hiberfil.sys"]);
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &disk);
    request.override_reason = Some("because".to_owned());
    refused(lab.engine.capture(&request, &Silent), "volume-hibernated");
}

#[test]
fn an_unclean_volume_and_an_encrypted_one_are_findings_too_and_a_file_that_is_no_disk_is_an_error() {
    let lab = lab!();
    let dirty = lab.disk();
    mark_dirty(&dirty);
    assert_eq!(findings(&dirty, LayerKind::App), ["blocks volume-dirty", "  \\$Volume"]);
    let unclean = lab.disk();
    leave_log_unclean(&unclean);
    assert_eq!(findings(&unclean, LayerKind::App), ["blocks volume-unclean-log", "  \\$LogFile"]);
    let encrypted = Disk::create(lab.fresh("encrypted.raw"), &[Part::Esp, Part::Signed(b"-FVE-FS-")]);
    assert_eq!(findings(&encrypted, LayerKind::App), ["blocks volume-bitlocker"]);

    let request = |path: PathBuf| IntegrityRequest {
        disk: path,
        volume: None,
        kind: LayerKind::App,
        allow_backing: false,
    };
    let empty = Disk::create(lab.fresh("empty.raw"), &[Part::Esp]);
    refused(Engine::integrity(&request(empty.path), &Silent), "no-os-volume");
    Engine::integrity(&request("/does/not/exist".into()), &Silent).unwrap_err();
}

/// A file of the test data, unpacked.
fn unpacked(data: &Path, name: &str) -> Vec<u8> {
    let path = data.join("hives").join(name);
    if path.extension().is_none_or(|extension| extension != "xz") {
        return std::fs::read(path).unwrap();
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// The disk's findings in short: how much evidence there is, and the first of it.
fn in_short(disk: &Disk) -> Vec<String> {
    let request = IntegrityRequest {
        disk: disk.path.clone(),
        volume: None,
        kind: LayerKind::App,
        allow_backing: false,
    };
    let report = Engine::integrity(&request, &Silent).unwrap();
    let short = |finding: &Finding| {
        let count = finding.evidence.len() as u64 + finding.more;
        let first = finding.evidence_lines().swap_remove(0);
        format!("{:?} {} ({count}) {first}", finding.severity, finding.code)
    };
    report.findings.iter().map(short).collect()
}

/// What these real machines waited for when their hives were taken (dissect.regf counts the same in the third):
/// - nothing, as a member of a domain (Windows 7),
/// - what installers left to be deleted, some of it in the hive's logs alone (Windows 10),
/// - drivers that were replaced while they were in use, and printers' (Windows 10),
/// - nothing, as a member of a domain whose security policy is there.
///
/// None has findings that are due to Windows' own habits, such as the flags of legacy drivers or of phantom devices. Hives
/// without their logs that were taken while the machine ran are incomplete, and are examined all the same: that the second
/// machine's policy is one of a workgroup is known.
#[test]
fn the_hives_of_real_machines_say_what_those_machines_waited_for_and_nothing_else() {
    let lab = lab!();
    let test = "the_hives_of_real_machines_say_what_those_machines_waited_for_and_nothing_else";
    let Some(data) = test_data(test) else { return };
    const RENAMES: &str =
        "SYSTEM\\CurrentControlSet\\Control\\Session Manager : PendingFileRenameOperations = \\??";
    const SPOOL: &str = "\\C:\\WINDOWS\\system32\\spool\\DRIVERS\\x64\\3";
    let torn = |path: &str, (primary, secondary): (u32, u32)| {
        format!(
            "Blocks hive-dirty (1) {path} = the registry hive was not written completely (its sequence numbers are \
             {primary} and {secondary}, its checksum is right) and no log completes it: there is none"
        )
    };
    let user = "\\Users\\ann\\NTUSER.DAT";
    for (hives, expected) in [
        (
            vec![(SYSTEM, "regipy/SYSTEM.xz")],
            vec![
                "Warns domain-joined (3) SYSTEM\\CurrentControlSet\\services\\Tcpip\\Parameters : NV Domain = \
                 shieldbase.local"
                    .to_owned(),
            ],
        ),
        (
            vec![
                (SYSTEM, "regipy/SYSTEM_B.xz"),
                ("\\Windows\\System32\\config\\SYSTEM.LOG1", "regipy/SYSTEM_B.LOG1.xz"),
                ("\\Windows\\System32\\config\\SYSTEM.LOG2", "regipy/SYSTEM_B.LOG2.xz"),
                (SECURITY, "regipy/SECURITY.xz"),
            ],
            vec![
                format!("Blocks reboot-pending (8) {RENAMES}\\C:\\Config.Msi\\a014fa5.rbf is deleted"),
                torn(SECURITY, (107, 106)),
            ],
        ),
        (
            vec![(SYSTEM, "regipy/SYSTEM_WIN_10_1709.xz"), (user, "regipy/NTUSER.DAT.xz")],
            vec![
                format!(
                    "Blocks driver-reboot-pending (35) {RENAMES}\\C:\\WINDOWS\\System32\\drivers\\SETEAC4.tmp is deleted"
                ),
                format!(
                    "Blocks reboot-pending (44) {RENAMES}{SPOOL}\\New\\MXDWDRV.DLL becomes \\??{SPOOL}\\MXDWDRV.DLL"
                ),
                torn(SYSTEM, (4317, 4316)),
            ],
        ),
        (
            vec![(SECURITY, "dfwinreg/SECURITY"), (user, "notatin/win7_ntuser.dat")],
            vec![
                "Warns domain-joined (3) SECURITY\\Policy\\PolPrDmS : (default) = 01 04 00 00 00 00 00 05 15 00 00 00 8e \
                 64 79 0d …"
                    .to_owned(),
            ],
        ),
    ] {
        let disk = lab.disk_of(&[Part::Ntfs(48)]);
        disk.edit(|volume| {
            for (path, name) in &hives {
                volume.file(path, unpacked(&data, name));
            }
        });
        assert_eq!(in_short(&disk), expected, "{hives:?}");
    }
}
