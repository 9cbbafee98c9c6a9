//! The examination of one Windows installation: what its hives and files say, put together.

use super::checks::{self, Which};
use super::drivers;
use super::finding::{Found, Matter};
use super::identity::{Membership, Setup, pending_name};
use crate::never_captured::NeverCaptured;
use crate::reference::LayerKind;
use crate::report::{Evidence, Finding, ImageState};
use hive::Tree as Keys;
use volume::{Name, Tree};

/// What servicing has still to do at the next start.
const PENDING_XML: [&str; 3] = ["Windows", "WinSxS", "pending.xml"];
/// Where Windows Installer keeps scripts that undo an installation, for as long as it runs. (Files with the ending rbf
/// stay longer: they were in use and go at the next start, which PendingFileRenameOperations tells.)
const ROLLBACK: &str = "Config.Msi";
const ROLLBACK_SCRIPT: &str = ".rbs";
/// What sysprep leaves when it succeeded.
const TAG: [&str; 4] = ["Windows", "System32", "Sysprep", "Sysprep_succeeded.tag"];

/// Collects what hives and files say. Hives may come in any order.
#[derive(Debug, Default)]
pub(super) struct Examination<'v> {
    /// The paths that no version carries, and the volume's tree.
    never: Option<(&'v NeverCaptured, &'v Tree)>,
    found: Found,
    membership: Membership,
    setup: Setup,
    /// Devices of the boot disk whose installation is not complete.
    devices: Vec<Evidence>,
    tag: Option<Evidence>,
}

impl<'v> Examination<'v> {
    /// An examination of the volume with this tree, of which a version does not carry what `never` lists.
    pub(super) fn new(never: &'v NeverCaptured, tree: &'v Tree) -> Examination<'v> {
        Examination { never: Some((never, tree)), ..Examination::default() }
    }

    /// Whether a path as the session manager writes it, such as `\??\C:\Windows\Temp\x`, is in no version.
    fn is_left_out(&self, path: &str) -> bool {
        let Some((never, tree)) = self.never else { return false };
        let path = path.trim_start_matches('!').trim_start_matches("\\??\\");
        let Some((_, path)) = path.split_once(":\\") else { return false };
        let mut names: Vec<Name> = path.split('\\').map(Name::from).collect();
        let Some(name) = names.pop() else { return false };
        never.matches(tree, &names, &name)
    }

    /// Looks at files by their names.
    pub(super) fn files(&mut self, tree: &Tree) {
        let file = |path: &[&str]| {
            let names: Vec<Name> = path.iter().map(|name| Name::from(*name)).collect();
            let is_file = tree.lookup(&names).is_some_and(|node| !tree.is_directory(node.id));
            is_file.then(|| Evidence::file(format!("\\{}", path.join("\\"))))
        };
        if let Some(pending) = file(&PENDING_XML) {
            self.found.add(Matter::Reboot, pending);
        }
        self.tag = file(&TAG);
        let rollback = tree.child(tree.root(), &Name::from(ROLLBACK)).map(|child| child.id);
        for child in rollback.map_or(&[][..], |id| tree.children(id)) {
            if child.name.to_string().to_ascii_lowercase().ends_with(ROLLBACK_SCRIPT) {
                self.found.add(Matter::Msi, Evidence::file(format!("\\{ROLLBACK}\\{}", child.name)));
            }
        }
    }

    /// Looks into a hive. In that of the system the control set in use has the name `CurrentControlSet`. `path` is where
    /// the hive lies.
    pub(super) fn hive(&mut self, which: Which, path: &str, keys: &Keys<'_>) {
        let name = match which {
            Which::System => "SYSTEM",
            Which::Software => "SOFTWARE",
            Which::Security => "SECURITY",
            Which::User => path,
        };
        checks::look(which, name, keys, &mut self.found);
        match which {
            Which::System => {
                let mut found = std::mem::take(&mut self.found);
                drivers::renames(name, keys, |path| self.is_left_out(path), &mut found);
                self.found = found;
                self.devices = drivers::unfinished_devices(name, keys);
                pending_name(name, keys, &mut self.found);
                self.membership.system(name, keys);
                self.setup.system(name, keys);
            }
            Which::Software => self.setup.software(name, keys),
            Which::Security => self.membership.security(name, keys),
            Which::User => {}
        }
    }

    /// Notes a hive whose last write is incomplete.
    pub(super) fn dirty(&mut self, path: &str, error: &hive::Error) {
        let evidence =
            Evidence { hive: Some(path.to_owned()), data: Some(error.to_string()), ..Evidence::default() };
        self.found.add(Matter::HiveDirty, evidence);
    }

    /// The findings for a version of a layer of this kind, what blocks first, and what setup says of the image.
    pub(super) fn finish(mut self, kind: LayerKind) -> (Vec<Finding>, ImageState) {
        let state = self.setup.state();
        // Generalizing makes Windows install its devices again: that is no update that waits.
        if state != ImageState::Generalized {
            for device in self.devices {
                self.found.add(Matter::DriverReboot, device);
            }
        }
        self.membership.finish(&mut self.found);
        self.setup.finish(self.tag, &mut self.found);
        (self.found.into_findings(kind), state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;
    use hive::{Data, Properties, Upcase, multi_string, string, value_kind};
    use std::borrow::Cow;
    use std::sync::OnceLock;
    use volume::{FileId, Kind, Link, Metadata, Node, Security, Times};

    fn upcase() -> &'static Upcase {
        static TABLE: OnceLock<Upcase> = OnceLock::new();
        TABLE.get_or_init(Upcase::unicode)
    }

    /// A hive with these values by path; `None` makes the key alone.
    fn hive_of(values: &[(&str, Option<(&str, Data<'static>)>)]) -> Keys<'static> {
        let mut tree = Keys::new(upcase(), 5, hive::Name::from("ROOT"), vec![1; 20]);
        for (path, value) in values {
            let mut key = tree.root();
            for name in path.split('\\') {
                let class = Cow::Borrowed(&[][..]);
                let properties = Properties { last_written: 7, flags: 0, user_flags: 0, access: 0, class };
                let name = hive::Name::from(name);
                key = tree.make_subkey(key, name, properties, None).0;
            }
            if let Some((name, data)) = value {
                tree.set_value(key, hive::Name::from(*name), data.clone());
            }
        }
        tree
    }

    fn number(number: u32) -> Data<'static> {
        Data::new(value_kind::DWORD, number.to_le_bytes().to_vec())
    }

    fn said(text: &str) -> Data<'static> {
        string(value_kind::SZ, text)
    }

    /// What an OS layer's findings are when these hives are all there is.
    fn findings(hives: &[(Which, Keys<'_>)]) -> (Vec<Finding>, ImageState) {
        let mut examination = Examination::default();
        for (which, keys) in hives {
            examination.hive(*which, "\\Users\\ann\\NTUSER.DAT", keys);
        }
        examination.finish(LayerKind::Os)
    }

    /// The codes of the findings with their evidence, in lines.
    fn lines(hives: &[(Which, Keys<'_>)]) -> Vec<String> {
        let line = |finding: &Finding| format!("{}: {}", finding.code, finding.evidence_lines().join(" | "));
        findings(hives).0.iter().map(line).collect()
    }

    #[test]
    fn everything_that_waits_for_a_restart_is_found_with_its_key_and_an_empty_key_is_nothing() {
        const CURRENT: &str = "Microsoft\\Windows\\CurrentVersion";
        let servicing = format!("{CURRENT}\\Component Based Servicing");
        let update = format!("{CURRENT}\\WindowsUpdate\\Auto Update");
        let contents = |key: String, code| (key, Some(("1", said("x"))), code);
        let ngen = "Microsoft\\.NETFramework";
        for (key, value, code) in [
            (format!("{servicing}\\RebootPending"), None, "reboot-pending"),
            (format!("{servicing}\\RebootInProgress"), None, "reboot-pending"),
            (format!("{servicing}\\PackagesPending\\Package_1"), None, "reboot-pending"),
            (format!("{update}\\RebootRequired"), None, "reboot-pending"),
            (format!("{update}\\PostRebootReporting"), None, "reboot-pending"),
            ("Microsoft\\Updates".into(), Some(("UpdateExeVolatile", number(3))), "reboot-pending"),
            contents(format!("{CURRENT}\\RunOnce"), "reboot-pending"),
            contents(format!("Wow6432Node\\{CURRENT}\\RunOnce"), "reboot-pending"),
            contents(format!("{CURRENT}\\RunOnceEx\\0001"), "reboot-pending"),
            contents(format!("Wow6432Node\\{CURRENT}\\RunOnceEx\\0001"), "reboot-pending"),
            contents(format!("{CURRENT}\\Installer\\InProgress"), "msi-in-progress"),
            contents(format!("{CURRENT}\\Installer\\Rollback\\Scripts"), "msi-in-progress"),
            contents(format!("{ngen}\\NGenQueue\\WIN32\\Default\\app"), "ngen-in-progress"),
            contents(format!("{ngen}\\v2.0.50727\\NGenQueue\\WIN64\\Default\\app"), "ngen-in-progress"),
            contents(format!("{ngen}\\v4.0.30319\\NGenQueue\\WIN32\\default\\app"), "ngen-in-progress"),
            contents(
                format!("Wow6432Node\\{ngen}\\v4.0.30319\\NGenQueue\\WIN32\\Default\\a"),
                "ngen-in-progress",
            ),
            (
                format!("{ngen}\\v4.0.30319\\NGenService\\ListenedState"),
                Some(("RootstoreDirty", number(1))),
                "ngen-work-noted",
            ),
            (
                format!("Wow6432Node\\{ngen}\\v2.0.50727\\NGenService\\State"),
                Some(("PendingUpdate", number(1))),
                "ngen-work-noted",
            ),
        ] {
            let software = hive_of(&[(&key, value.clone())]);
            let (found, _) = findings(&[(Which::Software, software)]);
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            assert_eq!(found[0].code, code, "{key}");
            let blocks = if code == "ngen-work-noted" { Severity::Warns } else { Severity::Blocks };
            assert_eq!(found[0].severity, blocks, "{key}");
            let evidence = found[0].evidence_lines().join("");
            // evidence is the value, or the subkey that is nearest to the key that is looked at
            let shortest = key.rsplit_once('\\').map_or("", |(parent, _)| parent);
            assert!(evidence.starts_with(&format!("SOFTWARE\\{shortest}")), "{key}: {evidence}");
        }
        for nothing in [
            format!("{servicing}\\PackagesPending"),
            format!("{CURRENT}\\RunOnce"),
            format!("{CURRENT}\\RunOnceEx"),
            format!("{CURRENT}\\Installer\\InProgress"),
            format!("{CURRENT}\\Installer\\Rollback\\Scripts"),
            format!("{ngen}\\NGenQueue\\WIN32\\Default"),
            format!("{ngen}\\v4.0.30319\\NGenService\\Roots\\mscorlib"),
        ] {
            assert_eq!(lines(&[(Which::Software, hive_of(&[(&nothing, None)]))]), [""; 0], "{nothing}");
        }
        let settled = hive_of(&[
            ("Microsoft\\Updates", Some(("UpdateExeVolatile", number(0)))),
            (&format!("{CURRENT}\\RunOnceEx"), Some(("Title", said("Setting up")))),
            (&format!("{CURRENT}\\RunOnceEx"), Some(("Flags", number(8)))),
            (&format!("{ngen}\\v4.0.30319\\NGenService\\ListenedState"), Some(("RootstoreDirty", number(0)))),
        ]);
        assert_eq!(lines(&[(Which::Software, settled)]), [""; 0]);
    }

    #[test]
    fn what_a_user_runs_at_the_next_sign_in_warns() {
        let user = hive_of(&[
            ("Software\\Microsoft\\Windows\\CurrentVersion\\RunOnce", Some(("Setup", said("setup.exe /2")))),
            ("Software\\Microsoft\\Windows\\CurrentVersion\\RunOnceEx\\1", None),
        ]);
        let (found, _) = findings(&[(Which::User, user)]);
        assert_eq!((found[0].code.as_str(), found[0].severity), ("user-sign-in-pending", Severity::Warns));
        assert_eq!(
            found[0].evidence_lines(),
            [
                "\\Users\\ann\\NTUSER.DAT : Software\\Microsoft\\Windows\\CurrentVersion\\RunOnce : Setup = setup.exe /2",
                "\\Users\\ann\\NTUSER.DAT : Software\\Microsoft\\Windows\\CurrentVersion\\RunOnceEx\\1",
            ]
        );
    }

    const MANAGER: &str = "CurrentControlSet\\Control\\Session Manager";

    fn list(text: &str) -> Data<'static> {
        let bytes: Vec<u8> = text.replace('|', "\0").encode_utf16().flat_map(u16::to_le_bytes).collect();
        Data::new(value_kind::MULTI_SZ, bytes)
    }

    #[test]
    fn files_that_are_renamed_at_the_next_start_wait_for_it_and_drivers_are_told_apart() {
        let system = hive_of(&[
            (
                MANAGER,
                Some((
                    "PendingFileRenameOperations",
                    list("\\??\\C:\\a.dll||\\??\\C:\\b.tmp|!\\??\\C:\\b.dll|"),
                )),
            ),
            (
                MANAGER,
                Some((
                    "PendingFileRenameOperations2",
                    list(
                        "\\??\\C:\\Windows\\System32\\drivers\\SETEAC4.tmp||\\??\\C:\\x|\\??\\C:\\disk.SYS|",
                    ),
                )),
            ),
        ]);
        assert_eq!(
            lines(&[(Which::System, system)]),
            [
                "driver-reboot-pending: SYSTEM\\CurrentControlSet\\Control\\Session Manager : \
                 PendingFileRenameOperations2 = \\??\\C:\\Windows\\System32\\drivers\\SETEAC4.tmp is deleted | \
                 SYSTEM\\CurrentControlSet\\Control\\Session Manager : PendingFileRenameOperations2 = \\??\\C:\\x \
                 becomes \\??\\C:\\disk.SYS",
                "reboot-pending: SYSTEM\\CurrentControlSet\\Control\\Session Manager : PendingFileRenameOperations = \
                 \\??\\C:\\a.dll is deleted | SYSTEM\\CurrentControlSet\\Control\\Session Manager : \
                 PendingFileRenameOperations = \\??\\C:\\b.tmp becomes !\\??\\C:\\b.dll",
            ]
        );
        let cleaned = "\\??\\C:\\Windows\\System32\\DriverStore\\Temp\\DEL1.tmp||";
        let cleaned = hive_of(&[(MANAGER, Some(("PendingFileRenameOperations", list(cleaned))))]);
        assert_eq!(findings(&[(Which::System, cleaned)]).0[0].code, "reboot-pending");
        let none = hive_of(&[(MANAGER, Some(("PendingFileRenameOperations", multi_string([]))))]);
        assert_eq!(lines(&[(Which::System, none)]), [""; 0]);
    }

    #[test]
    fn temporary_files_that_are_deleted_at_the_next_start_are_in_no_version_and_wait_for_nothing() {
        let never = NeverCaptured::with("").unwrap();
        let upper = |unit: u16| if (0x61..=0x7a).contains(&unit) { unit - 0x20 } else { unit };
        let tree = Tree::new(FileId(5), [], Some((0..=u16::MAX).map(upper).collect()));
        let codes = |text: &str| -> Vec<String> {
            let hive = hive_of(&[(MANAGER, Some(("PendingFileRenameOperations", list(text))))]);
            let mut examination = Examination::new(&never, &tree);
            examination.hive(Which::System, "SYSTEM", &hive);
            examination.finish(LayerKind::App).0.into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(
            codes("\\??\\C:\\Windows\\TEMP\\setup.tmp||\\??\\C:\\Users\\ann\\AppData\\Local\\Temp\\x\\y||"),
            [""; 0]
        );
        // what comes from there and what is deleted elsewhere waits
        assert_eq!(codes("\\??\\C:\\Windows\\TEMP\\a.tmp|\\??\\C:\\a.dll|"), ["reboot-pending"]);
        assert_eq!(codes("\\??\\C:\\Windows\\Temperature||"), ["reboot-pending"]);
    }

    fn device(path: &str, class: &str, flags: u32) -> Keys<'static> {
        let path = format!("CurrentControlSet\\Enum\\{path}");
        hive_of(&[(&path, Some(("ClassGUID", said(class)))), (&path, Some(("ConfigFlags", number(flags))))])
    }

    const DISK: &str = "{4D36E967-E325-11CE-BFC1-08002BE10318}";

    #[test]
    fn an_unfinished_installation_counts_for_devices_of_the_boot_disk_alone() {
        let disk = device("SCSI\\Disk&Ven_X\\1", DISK, 0x420);
        assert_eq!(
            lines(&[(Which::System, disk)]),
            [
                "driver-reboot-pending: SYSTEM\\CurrentControlSet\\Enum\\SCSI\\Disk&Ven_X\\1 : ConfigFlags = 0x420"
            ]
        );
        let legacy = device("Root\\LEGACY_AFD\\0000", "{8ECC055D-047F-11D1-A537-0000F8753ED1}", 0x400);
        assert_eq!(lines(&[(Which::System, legacy)]), [""; 0]);
        for settled in [0, 0x4, 0x40] {
            assert_eq!(lines(&[(Which::System, device("SCSI\\Disk\\1", DISK, settled))]), [""; 0]);
        }
    }

    const STATE: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\State";

    fn image(state: &str) -> (Which, Keys<'static>) {
        (Which::Software, hive_of(&[(STATE, Some(("ImageState", said(state))))]))
    }

    #[test]
    fn the_image_state_decides_whether_a_disk_is_generalized() {
        use ImageState::*;
        for (text, state, code) in [
            ("IMAGE_STATE_COMPLETE", Specialized, None),
            ("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", Generalized, Some("generalized")),
            ("IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", Unknown, Some("setup-unfinished")),
            ("IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", Specialized, Some("setup-unfinished")),
            ("IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", Specialized, Some("setup-unfinished")),
            ("IMAGE_STATE_UNDEPLOYABLE", Unknown, Some("setup-in-progress")),
            ("something new", Unknown, None),
        ] {
            let (found, is) = findings(&[image(text)]);
            assert_eq!(is, state, "{text}");
            assert_eq!(found.first().map(|finding| finding.code.as_str()), code, "{text}");
        }
        assert_eq!(findings(&[]).1, Unknown);
        // Devices are installed again after generalizing: no update that waits.
        let disk = || (Which::System, device("SCSI\\Disk\\1", DISK, 0x20));
        let codes = |hives: &[(Which, Keys<'_>)]| -> Vec<String> {
            findings(hives).0.into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(&[disk(), image("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")]), ["generalized"]);
        assert_eq!(codes(&[disk(), image("IMAGE_STATE_COMPLETE")]), ["driver-reboot-pending"]);
    }

    #[test]
    fn sysprep_that_is_half_done_is_found() {
        let running = || (Which::System, hive_of(&[("Setup", Some(("SystemSetupInProgress", number(1))))]));
        let expected = "setup-in-progress: SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State : ImageState = \
                        IMAGE_STATE_COMPLETE | SYSTEM\\Setup : SystemSetupInProgress = 1";
        assert_eq!(lines(&[running(), image("IMAGE_STATE_COMPLETE")]), [expected]);
        assert_eq!(lines(&[running()]), ["setup-in-progress: SYSTEM\\Setup : SystemSetupInProgress = 1"]);
        let generalized = lines(&[running(), image("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")]);
        assert_eq!(generalized.len(), 1, "setup is what runs next on a generalized disk: {generalized:?}");
        let sysprep = |state| {
            let key = "Setup\\Status\\SysprepStatus";
            (Which::System, hive_of(&[(key, Some(("GeneralizationState", number(state))))]))
        };
        let unfinished = "sysprep-unfinished: SYSTEM\\Setup\\Status\\SysprepStatus : GeneralizationState = 3";
        assert_eq!(lines(&[sysprep(3), image("IMAGE_STATE_COMPLETE")]), [unfinished]);
        assert_eq!(lines(&[sysprep(7), image("IMAGE_STATE_COMPLETE")]), [""; 0]);
    }

    /// A name as the security policy keeps it.
    fn counted(text: &str) -> Data<'static> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let len = units.len() as u16;
        let mut bytes: Vec<u8> = [len, len + 2, 8, 0].into_iter().flat_map(u16::to_le_bytes).collect();
        bytes.extend(units);
        Data::new(0, bytes)
    }

    fn policy(sid: Vec<u8>, name: &str) -> (Which, Keys<'static>) {
        let sid = Data::new(0, sid);
        let policy = hive_of(&[
            ("Policy\\PolPrDmS", Some(("", sid))),
            ("Policy\\PolPrDmN", Some(("", counted(name)))),
        ]);
        (Which::Security, policy)
    }

    fn suffix(domain: &str, netlogon: u32) -> (Which, Keys<'static>) {
        let tcpip = "CurrentControlSet\\Services\\Tcpip\\Parameters";
        let system = hive_of(&[
            (tcpip, Some(("NV Domain", said(domain)))),
            ("CurrentControlSet\\Services\\Netlogon", Some(("Start", number(netlogon)))),
        ]);
        (Which::System, system)
    }

    #[test]
    fn the_security_policy_decides_who_is_a_member_of_a_domain_and_without_it_netlogon_does() {
        let sid = || vec![1, 4, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 2, 3, 4];
        let found = findings(&[policy(sid(), "CORP"), suffix("corp.example", 2)]).0;
        assert_eq!((found[0].code.as_str(), found[0].severity), ("domain-joined", Severity::Blocks));
        assert_eq!(
            found[0].evidence_lines(),
            [
                "SECURITY\\Policy\\PolPrDmS : (default) = 01 04 00 00 00 00 00 05 15 00 00 00 01 02 03 04",
                "SECURITY\\Policy\\PolPrDmN : (default) = CORP",
                "SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters : NV Domain = corp.example",
                "SYSTEM\\CurrentControlSet\\Services\\Netlogon : Start = 2",
            ]
        );
        // A workgroup has a name and no SID; a DNS suffix alone is none.
        assert_eq!(lines(&[policy(Vec::new(), "WORKGROUP"), suffix("corp.example", 2)]), [""; 0]);
        assert_eq!(lines(&[suffix("corp.example", 3)]), [""; 0]);
        assert_eq!(lines(&[suffix("", 2)]), [""; 0]);
        assert_eq!(lines(&[suffix("corp.example", 2)]).len(), 1);
    }

    #[test]
    fn a_name_that_comes_into_force_at_the_next_start_waits_for_it() {
        let tcpip = "CurrentControlSet\\Services\\Tcpip\\Parameters";
        let named = |now: &str, next: &str| {
            let system = hive_of(&[
                (tcpip, Some(("HostName", said(now)))),
                (tcpip, Some(("NV HostName", said(next)))),
            ]);
            lines(&[(Which::System, system)])
        };
        assert_eq!(named("DESKTOP-1", "desktop-1"), [""; 0]);
        assert_eq!(named("", "PC-2"), [""; 0]);
        let expected = "reboot-pending: SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters : NV Hostname = PC-2, \
                        in force is DESKTOP-1";
        assert_eq!(named("DESKTOP-1", "PC-2"), [expected]);
    }

    /// A volume with these files.
    fn volume_of(paths: &[&str]) -> Tree {
        let upper = |unit: u16| if (0x61..=0x7a).contains(&unit) { unit - 0x20 } else { unit };
        let metadata = Metadata {
            times: Times::default(),
            attributes: 0,
            security: Security::None,
            properties: Vec::new(),
        };
        let node = |id, kind, links| Node {
            id: FileId(id),
            generation: 1,
            kind,
            links,
            metadata: metadata.clone(),
            streams: Vec::new(),
        };
        let mut nodes = vec![node(5, Kind::Directory, Vec::new())];
        for path in paths {
            let mut parent = FileId(5);
            let names: Vec<&str> = path.split('\\').skip(1).collect();
            for (depth, name) in names.iter().enumerate() {
                let kind = if depth + 1 == names.len() { Kind::File } else { Kind::Directory };
                let id = 100 + nodes.len() as u64;
                nodes.push(node(id, kind, vec![Link { parent, name: Name::from(*name), short: None }]));
                parent = FileId(id);
            }
        }
        Tree::new(FileId(5), nodes, Some((0..=u16::MAX).map(upper).collect()))
    }

    #[test]
    fn files_that_servicing_and_windows_installer_leave_while_they_work_are_found() {
        let lines = |paths: &[&str]| -> Vec<String> {
            let mut examination = Examination::default();
            examination.files(&volume_of(paths));
            let findings = examination.finish(LayerKind::App).0;
            findings
                .iter()
                .map(|found| format!("{}: {}", found.code, found.evidence_lines().join("|")))
                .collect()
        };
        assert_eq!(
            lines(&["\\windows\\winsxs\\Pending.xml"]),
            ["reboot-pending: \\Windows\\WinSxS\\pending.xml"]
        );
        assert_eq!(lines(&["\\Config.msi\\12ab.RBS"]), ["msi-in-progress: \\Config.Msi\\12ab.RBS"]);
        assert_eq!(lines(&["\\Config.Msi\\12ab.rbf"]), [""; 0], "it only waits to be deleted");
        assert_eq!(lines(&["\\Windows\\WinSxS\\pending.xml\\x"]), [""; 0], "a directory");
    }
}
