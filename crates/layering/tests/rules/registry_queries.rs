//! Looking into registries: conflicts, differences, rows, programs and exports, on real volumes.

use crate::bench::*;
use crate::registry::*;
use hive::{Data, multi_string, value_kind};
use layering::Error;
use layering::report::*;
use layering::request::*;
use operation::Silent;

const UNINSTALL: &str = "Microsoft\\Windows\\CurrentVersion\\Uninstall";
const SAM: &str = "\\Windows\\System32\\config\\SAM";

/// `SOFTWARE\Vendor : Setting`.
fn place(hive: &str, key: &str, value: Option<&String>) -> String {
    let value = value.map(|value| format!(" : {value}")).unwrap_or_default();
    format!("{hive}\\{key}{value}")
}

fn said(data: Option<&RegistryData>) -> &str {
    data.map_or("-", |data| if data.kind == "deletion" { "deletion" } else { &data.data })
}

/// `added SOFTWARE\Vendor : Setting - 1`.
fn lines(rows: &[RegistryRow]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let change = format!("{:?}", row.change).to_lowercase();
            let place = place(&row.hive, &row.key, row.value.as_ref());
            match &row.value {
                None if row.properties.is_empty() => format!("{change} {place}"),
                None => format!("{change} {place} {}", row.properties.join(",")),
                Some(_) => {
                    format!("{change} {place} {} {}", said(row.before.as_ref()), said(row.after.as_ref()))
                }
            }
        })
        .collect()
}

/// `SOFTWARE\Vendor : Setting app:B@1 b; app:A@1 a`, `!` where the OS has changed it.
fn conflicts(report: &ConflictsReport) -> Vec<String> {
    let row = |row: &RegistryConflict| {
        let place = place(&row.hive, &row.key, row.value.as_ref());
        let subject = format!("{:?}", row.subject).to_lowercase();
        let losers =
            row.losers.iter().map(|loser| format!("{} {}", loser.reference, said(loser.value.as_ref())));
        let all: Vec<String> = [format!("{} {}", row.winner, said(row.winner_value.as_ref()))]
            .into_iter()
            .chain(losers)
            .collect();
        format!("{}{subject} {place} = {}", if row.changed_by_os { "!" } else { "" }, all.join("; "))
    };
    report.registry.iter().map(row).collect()
}

/// An app version of which `change` is what it does to the SOFTWARE hive.
fn app(lab: &Lab, on: &Spec, version: &str, change: impl FnOnce(&mut Registry)) {
    let disk = lab.package(on);
    let mut hive = Registry::read(Snapshot::of(&disk).bytes(SOFTWARE).to_vec());
    change(&mut hive);
    disk.edit(|volume| {
        volume.file(SOFTWARE, hive.file());
    });
    lab.capture(on, layering::reference::LayerKind::App, version, &disk);
}

fn scope(hive: Option<&str>, key: Option<&str>) -> RegistryScope {
    RegistryScope { hive: hive.map(str::to_owned), key: key.map(str::to_owned) }
}

fn diff(lab: &Lab, from: &str, to: &str, scope: RegistryScope) -> Result<Vec<String>, Error> {
    let request = RegistryDiffRequest { from: from.into(), to: to.into(), scope };
    Ok(lines(&lab.engine.registry_diff(&request, &Silent)?.rows))
}

/// What an export wrote, with the report; a `.reg` file as text with plain line ends.
fn export(
    lab: &Lab,
    of: RegistryOf,
    scope: RegistryScope,
    format: RegistryFormat,
) -> Result<(String, RegistryExportReport), Error> {
    let out = lab.fresh("registry");
    let report = lab
        .engine
        .registry_export(&RegistryExportRequest { of, scope, format, out: out.clone() }, &Silent)?;
    let bytes = std::fs::read(out).unwrap();
    assert_eq!(bytes.len() as u64, report.written);
    let text = match format {
        RegistryFormat::Json => String::from_utf8(bytes).unwrap(),
        RegistryFormat::Reg => {
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            String::from_utf16(&units).unwrap().replace("\r\n", "\n")
        }
    };
    Ok((text, report))
}

fn layer(reference: &str) -> RegistryOf {
    RegistryOf::Layer(reference.to_owned())
}

#[test]
fn a_value_that_two_layers_change_is_reported_with_both_values_and_a_list_is_not() {
    let lab = lab!();
    with_registry(&lab);
    for (version, own) in [("A@1", "a"), ("B@1", "b")] {
        app(&lab, &on("Windows"), version, |hive| {
            hive.text("Vendor", "Differs", own).text("Vendor", "Same", "1");
            hive.text("Microsoft\\Windows NT\\CurrentVersion", "ProductName", &format!("Windows {own}"));
            hive.set(
                "Microsoft\\Windows NT\\CurrentVersion\\Svchost",
                "netsvcs",
                multi_string(["base", own]),
            );
        });
    }
    let report = lab.conflicts(&on("Windows").with("A").with("B"));
    assert_eq!(report.rows, [], "hives are no files that layers claim");
    assert_eq!(
        conflicts(&report),
        [
            "value SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion : ProductName = app:B@1 Windows b; app:A@1 \
             Windows a; os:Windows@1 Windows",
            "value SOFTWARE\\Vendor : Differs = app:B@1 b; app:A@1 a",
        ]
    );
    let report = lab.conflicts(&on("Windows").with("B").with("A"));
    assert_eq!(conflicts(&report)[1], "value SOFTWARE\\Vendor : Differs = app:A@1 a; app:B@1 b");
    let report = lab.conflicts(&on("Windows").with("A"));
    assert_eq!(conflicts(&report), [""; 0]);
}

#[test]
fn a_list_of_which_one_layer_makes_something_else_is_a_conflict_like_any_value() {
    let lab = lab!();
    with_registry(&lab);
    let key = "Microsoft\\Windows NT\\CurrentVersion\\Svchost";
    app(&lab, &on("Windows"), "A@1", |hive| {
        hive.set(key, "netsvcs", multi_string(["a"]));
    });
    app(&lab, &on("Windows"), "B@1", |hive| {
        hive.set(key, "netsvcs", Data::new(value_kind::DWORD, vec![7, 0, 0, 0]));
    });
    let report = lab.conflicts(&on("Windows").with("A").with("B"));
    assert_eq!(conflicts(&report), [format!("value SOFTWARE\\{key} : netsvcs = app:B@1 7; app:A@1 a")]);
}

#[test]
fn users_hives_are_told_apart() {
    let lab = lab!();
    with_registry(&lab);
    for (version, own) in [("A@1", "a"), ("B@1", "b")] {
        let mut hive = Registry::new();
        hive.text("Environment", "Path", "C:\\ann").text("Software\\Vendor", "", own);
        change(&lab, version, ANN, hive);
    }
    let report = lab.conflicts(&on("Windows").with("A").with("B"));
    assert_eq!(
        conflicts(&report),
        ["value \\Users\\ann\\NTUSER.DAT\\Software\\Vendor :  = app:B@1 b; app:A@1 a"]
    );
}

#[test]
fn a_key_that_one_layer_removes_and_another_changes_is_a_conflict() {
    let lab = lab!();
    with_registry(&lab);
    app(&lab, &on("Windows"), "Uses@1", |hive| {
        hive.text("Vendor\\Old\\Below\\New", "Setting", "x");
    });
    app(&lab, &on("Windows"), "Removes@1", |hive| {
        hive.remove("Vendor\\Old");
    });
    let report = lab.conflicts(&on("Windows").with("Uses").with("Removes"));
    assert_eq!(conflicts(&report), ["key SOFTWARE\\Vendor\\Old = app:Removes@1 -; app:Uses@1 -"]);
    assert_eq!(report.registry[0].change, DiffKind::Removed);
    // which composing remarks, too
    assert_eq!(warned(&report.warnings, "registry-key-stays"), ["SOFTWARE\\Vendor\\Old"]);
    let report = lab.conflicts(&on("Windows").with("Removes").with("Uses"));
    assert_eq!(conflicts(&report), ["key SOFTWARE\\Vendor\\Old = app:Uses@1 -; app:Removes@1 -"]);
}

#[test]
fn the_security_of_a_key_that_two_layers_change_differently_is_a_conflict() {
    let lab = lab!();
    with_registry(&lab);
    for (version, own) in [("A@1", 7), ("B@1", 8), ("C@1", 7)] {
        app(&lab, &on("Windows"), version, |hive| {
            let key = hive.key("Vendor\\Old");
            let security = hive.0.security_id(vec![own; 20]);
            hive.0.set_security(key, Some(security));
        });
    }
    let report = lab.conflicts(&on("Windows").with("A").with("B"));
    assert_eq!(conflicts(&report), ["security SOFTWARE\\Vendor\\Old = app:B@1 -; app:A@1 -; os:Windows@1 -"]);
    assert_eq!(conflicts(&lab.conflicts(&on("Windows").with("A").with("C"))), [""; 0]);
}

#[test]
fn of_a_key_that_two_layers_create_the_higher_one_s_security_wins_and_the_conflict_is_told() {
    let lab = lab!();
    with_registry(&lab);
    let create = |spec: &Spec, version: &str, own: u8| {
        app(&lab, spec, version, |hive| {
            let key = hive.key("Vendor\\New");
            let security = hive.0.security_id(vec![own; 20]);
            hive.0.set_security(key, Some(security));
        });
    };
    for (version, own) in [("A@1", 7), ("B@1", 8), ("C@1", 7)] {
        create(&on("Windows@1"), version, own);
    }
    let security = |spec: &Spec| {
        let mut merged = Registry::read(lab.compose(spec).bytes(SOFTWARE).to_vec());
        let key = merged.key("Vendor\\New");
        merged.0.key_security(key).unwrap()[0]
    };
    let spec = on("Windows@1").with("A").with("B");
    assert_eq!(security(&spec), 8);
    assert_eq!(conflicts(&lab.conflicts(&spec)), ["security SOFTWARE\\Vendor\\New = app:B@1 -; app:A@1 -"]);
    assert_eq!(conflicts(&lab.conflicts(&on("Windows@1").with("A").with("C"))), [""; 0]);
    // an OS version that has the key by now
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        let mut hive = software();
        let key = hive.key("Vendor\\New");
        let security = hive.0.security_id(vec![9; 20]);
        hive.0.set_security(key, Some(security));
        disk.file(SOFTWARE, hive.file());
    });
    let spec = on("Windows@2").with("A");
    assert_eq!(security(&spec), 7);
    let expected = ["!security SOFTWARE\\Vendor\\New = app:A@1 -; os:Windows@2 -"];
    assert_eq!(conflicts(&lab.conflicts(&spec)), expected);
}

#[test]
fn a_value_that_the_os_has_changed_since_is_reported_by_conflicts_and_when_composing() {
    let lab = lab!();
    with_registry(&lab);
    let version = "Microsoft\\Windows NT\\CurrentVersion";
    app(&lab, &on("Windows@1"), "A@1", |hive| {
        hive.text(version, "ProductName", "mine").text("Vendor\\Old", "Setting", "mine");
        hive.text("Vendor", "New in both", "mine");
    });
    // its author saw what the prerequisite had made of the value, not what the OS has
    app(&lab, &on("Windows@1").with("A"), "B@1", |hive| {
        hive.text(version, "ProductName", "higher").text("Vendor\\Old", "Setting", "higher");
    });
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        let mut hive = software();
        hive.text(version, "ProductName", "Windows 2").text("Vendor", "New in both", "theirs");
        hive.text("Vendor\\Old\\Below", "Setting", "nobody's");
        disk.file(SOFTWARE, hive.file());
    });
    assert_eq!(conflicts(&lab.conflicts(&on("Windows@1").with("A"))), [""; 0]);
    let spec = on("Windows@2").with("A");
    let expected = [
        "!value SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion : ProductName = app:A@1 mine; os:Windows@2 Windows 2",
        "!value SOFTWARE\\Vendor : New in both = app:A@1 mine; os:Windows@2 theirs",
    ];
    let places =
        ["SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion : ProductName", "SOFTWARE\\Vendor : New in both"];
    let report = lab.conflicts(&spec);
    assert_eq!(conflicts(&report), expected);
    assert_eq!(warned(&report.warnings, "registry-os-changed-since"), places);
    let image = lab.compose(&spec);
    assert_eq!(warned(&image.report.warnings, "registry-os-changed-since"), places);
    let merged = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert_eq!(merged.said(version, "ProductName"), "mine", "and the layer wins");
    // what a lower layer had made of a value is no change of the OS
    let report = lab.conflicts(&on("Windows@2").with("A").with("B"));
    let by_os: Vec<&RegistryConflict> = report.registry.iter().filter(|row| row.changed_by_os).collect();
    let values: Vec<&str> = by_os.iter().filter_map(|row| row.value.as_deref()).collect();
    assert_eq!(values, ["ProductName", "New in both"]);
    assert!(conflicts(&report).contains(
        &"value SOFTWARE\\Vendor\\Old : Setting = app:B@1 higher; app:A@1 mine; os:Windows@2 1".to_owned()
    ));
}

#[test]
fn changes_of_a_user_whom_the_os_lacks_are_no_conflict_and_remarked() {
    let lab = lab!();
    with_registry(&lab);
    let mut ann = Registry::new();
    ann.text("Software\\A", "Setting", "1").text("Environment", "Path", "C:\\ann");
    change(&lab, "A@1", ANN, ann);
    lab.os_version(&on("Windows@1"), "Windows@2", |volume| {
        volume.delete(ANN).delete("\\Users\\ann");
    });
    let report = lab.conflicts(&on("Windows@2").with("A"));
    assert_eq!(conflicts(&report), [""; 0]);
    assert_eq!(warned(&report.warnings, "profile-left-out"), ["\\Users\\ann (app:A@1)"]);
}

#[test]
fn files_lists_what_a_layer_changes_in_the_registry_and_the_hives_of_an_os_version() {
    let lab = lab!();
    with_registry(&lab);
    app(&lab, &on("Windows"), "A@1", |hive| {
        hive.text("Vendor\\A", "Setting", "x").text("Vendor\\Old", "Setting", "2");
        hive.remove("Vendor\\Old\\Below");
    });
    let report = lab.engine.files("app:A", None, &Silent).unwrap();
    let expected = [
        "added SOFTWARE\\Vendor\\A",
        "added SOFTWARE\\Vendor\\A : Setting - x",
        "changed SOFTWARE\\Vendor\\Old : Setting 1 2",
        "removed SOFTWARE\\Vendor\\Old\\Below",
        "removed SOFTWARE\\Vendor\\Old\\Below : Setting 2 -",
    ];
    assert_eq!((lines(&report.registry), report.hives), (expected.map(String::from).to_vec(), vec![]));
    let report = lab.engine.files("app:A", Some("\\windows\\system32\\config\\SOFTWARE"), &Silent).unwrap();
    assert_eq!(report.registry.len(), 5);
    refused(lab.engine.files("app:A", Some("\\Users"), &Silent), "path-not-found");

    let report = lab.engine.files("os:Windows", Some("\\Windows\\System32"), &Silent).unwrap();
    let hives: Vec<(&str, u64, u64)> =
        report.hives.iter().map(|row| (row.hive.as_str(), row.keys, row.values)).collect();
    assert_eq!(hives, [("SOFTWARE", 9, 5), ("SYSTEM", 17, 8)]);
    assert!(report.registry.is_empty() && report.rows.len() > 3);
}

#[test]
fn a_hive_that_cannot_be_read_is_told_of_and_everything_else_is_shown() {
    let lab = lab!();
    const COMPONENTS: &str = "\\Windows\\System32\\config\\COMPONENTS";
    let disk = lab.os("Windows@1", |disk| {
        disk.file(COMPONENTS, noise(9_000, 1)).file(SOFTWARE, software().file());
    });
    lab.os_after(&disk, "Windows@2", |disk| {
        let mut hive = software();
        disk.file(COMPONENTS, noise(9_000, 2)).file(SOFTWARE, hive.text("Vendor", "New", "1").file());
    });
    let report = lab.engine.files("os:Windows@1", None, &Silent).unwrap();
    let problem = report.hives.iter().find_map(|row| row.problem.as_deref()).unwrap();
    assert!(problem.contains("COMPONENTS: this is no registry hive"), "{problem}");
    let report = lab.engine.diff("os:Windows@1", "os:Windows@2", &Silent).unwrap();
    assert_eq!(lines(&report.registry), ["added SOFTWARE\\Vendor : New - 1"]);
    assert_eq!(warned(&report.warnings, "hive-unreadable").len(), 1);
    refused(diff(&lab, "os:Windows@1", "os:Windows@2", scope(None, None)), "hive-unknown");
    refused(
        export(&lab, layer("os:Windows@1"), scope(Some("COMPONENTS"), None), RegistryFormat::Reg),
        "hive-unknown",
    );
    let report = lab.engine.show("os:Windows@1", &Silent).unwrap();
    assert_eq!((report.programs.len(), codes(&report.warnings)), (0, vec![]));
}

#[test]
fn diff_compares_the_registries_of_volumes_and_what_two_layer_versions_do() {
    let lab = lab!();
    with_registry(&lab);
    for (version, own) in [("A@1", "1"), ("A@2", "2")] {
        app(&lab, &on("Windows"), version, |hive| {
            hive.text("Vendor", "Both", own).text("Vendor", "Same", "s").text(
                "Vendor",
                &format!("Only {own}"),
                "x",
            );
            match own {
                "1" => hive.remove_value("Vendor\\Old", "Setting"),
                _ => hive.remove("Vendor\\Old\\Below").text("Vendor\\Old", "Setting", "new"),
            };
        });
    }
    let expected = [
        "changed SOFTWARE\\Vendor : Both 1 2",
        "removed SOFTWARE\\Vendor : Only 1 x -",
        "added SOFTWARE\\Vendor : Only 2 - x",
        "changed SOFTWARE\\Vendor\\Old : Setting deletion new",
        "added SOFTWARE\\Vendor\\Old\\Below",
        "added SOFTWARE\\Vendor\\Old\\Below : Setting - deletion",
    ];
    let report = lab.engine.diff("app:A@1", "app:A@2", &Silent).unwrap();
    assert_eq!(lines(&report.registry), expected);
    assert_eq!(diff(&lab, "app:A@1", "app:A@2", scope(None, None)).unwrap(), expected);
    assert_eq!(
        diff(&lab, "app:A@1", "app:A@2", scope(Some("software"), Some("vendor\\OLD\\below"))).unwrap(),
        expected[4..]
    );
    refused(diff(&lab, "app:A@1", "app:A@2", scope(Some("SYSTEM"), None)), "hive-not-found");
    refused(diff(&lab, "app:A@1", "app:A@2", scope(Some("SOFTWARE"), Some("Nobody"))), "key-not-found");
    refused(diff(&lab, "app:A@1", "os:Windows", scope(None, None)), "not-applicable");

    let image = lab.compose(&on("Windows").with("A@2"));
    let image = format!("image:{}", image.report.image.name);
    let expected = [
        "added SOFTWARE\\Vendor : Both - 2",
        "added SOFTWARE\\Vendor : Only 2 - x",
        "added SOFTWARE\\Vendor : Same - s",
        "changed SOFTWARE\\Vendor\\Old : Setting 1 new",
        "removed SOFTWARE\\Vendor\\Old\\Below",
        "removed SOFTWARE\\Vendor\\Old\\Below : Setting 2 -",
    ];
    let report = lab.engine.diff("os:Windows", &image, &Silent).unwrap();
    assert_eq!(
        (lines(&report.registry), codes(&report.warnings)),
        (expected.map(String::from).to_vec(), vec![])
    );
    assert_eq!(diff(&lab, "os:Windows", &image, scope(Some("SYSTEM"), None)).unwrap(), [""; 0]);
    assert_eq!(
        diff(&lab, "os:Windows", &image, scope(Some("SOFTWARE"), Some("Vendor\\Old\\Below"))).unwrap(),
        expected[4..]
    );
    refused(diff(&lab, "os:Windows", &image, scope(Some("SOFTWARE"), Some("Nobody"))), "key-not-found");
}

#[test]
fn secrets_are_compared_and_exported_only_for_who_names_their_hive() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |disk| {
        disk.file(SAM, Registry::new().text("SAM", "V", "one").file()).file(SOFTWARE, software().file());
    });
    lab.os_after(&disk, "Windows@2", |disk| {
        disk.file(SAM, Registry::new().text("SAM", "V", "two").file());
    });
    assert_eq!(diff(&lab, "os:Windows@1", "os:Windows@2", scope(None, None)).unwrap(), [""; 0]);
    assert_eq!(
        diff(&lab, "os:Windows@1", "os:Windows@2", scope(Some("sam"), None)).unwrap(),
        ["changed SAM\\SAM : V one two"]
    );
    lab.os("Other@1", |disk| {
        disk.file(SOFTWARE, software().file());
    });
    let message = refused(diff(&lab, "os:Windows", "os:Other", scope(Some("SAM"), None)), "hive-not-found");
    assert!(message.contains("in one of the two; there is SOFTWARE"), "{message}");
    let (_, report) = export(&lab, layer("os:Windows"), scope(None, None), RegistryFormat::Reg).unwrap();
    assert_eq!(report.hives, ["SOFTWARE"]);
    let (text, _) = export(&lab, layer("os:Windows"), scope(Some("SAM"), None), RegistryFormat::Reg).unwrap();
    assert!(text.contains("[HKEY_LOCAL_MACHINE\\SAM\\SAM]\n\"V\"=\"two\"\n"), "{text}");
}

/// Puts an entry of a program into the list below `path`.
fn program(hive: &mut Registry, path: &str, key: &str, name: &str, version: &str) {
    let path = format!("{path}\\{key}");
    hive.text(&path, "DisplayName", name).text(&path, "DisplayVersion", version);
    hive.text(&path, "Publisher", "Maker").text(&path, "InstallDate", "20260102");
}

/// `Editor 2 (1) Maker 20260102 SOFTWARE wow64 added`.
fn programs(lab: &Lab, reference: &str) -> Vec<String> {
    let report = lab.engine.show(reference, &Silent).unwrap();
    assert_eq!(codes(&report.warnings), [""; 0]);
    let line = |program: &Program| {
        let mut words = vec![program.name.clone(), program.version.clone().unwrap_or_default()];
        words.extend(program.version_before.as_ref().map(|before| format!("({before})")));
        words.extend(program.publisher.clone().into_iter().chain(program.installed.clone()));
        words.push(program.hive.clone());
        words.extend(program.wow64.then(|| "wow64".to_owned()));
        words.extend(program.change.map(|change| format!("{change:?}").to_lowercase()));
        words.join(" ")
    };
    report.programs.iter().map(line).collect()
}

#[test]
fn installed_programs_are_shown_as_windows_lists_them() {
    let lab = lab!();
    let wow = format!("Wow6432Node\\{UNINSTALL}");
    lab.os("Windows@1", |disk| {
        let mut hive = software();
        program(&mut hive, UNINSTALL, "Tool", "Tool", "1");
        program(&mut hive, UNINSTALL, "Gone", "Gone", "1");
        program(&mut hive, &wow, "Old", "An old one", "9");
        program(&mut hive, UNINSTALL, "Hidden", "Component", "1");
        hive.set(
            &format!("{UNINSTALL}\\Hidden"),
            "SystemComponent",
            Data::new(value_kind::DWORD, vec![1, 0, 0, 0]),
        );
        program(&mut hive, UNINSTALL, "KB1", "Update of Tool", "1");
        hive.text(&format!("{UNINSTALL}\\KB1"), "ParentKeyName", "Tool");
        hive.text(&format!("{UNINSTALL}\\Nameless"), "DisplayVersion", "1");
        disk.file(SOFTWARE, hive.file());
        let mut ann = Registry::new();
        program(&mut ann, &format!("Software\\{UNINSTALL}"), "Mine", "Mine", "3");
        disk.file(ANN, ann.file());
    });
    assert_eq!(
        programs(&lab, "os:Windows"),
        [
            "An old one 9 Maker 20260102 SOFTWARE wow64",
            "Gone 1 Maker 20260102 SOFTWARE",
            "Mine 3 Maker 20260102 \\Users\\ann\\NTUSER.DAT",
            "Tool 1 Maker 20260102 SOFTWARE",
        ]
    );
    app(&lab, &on("Windows"), "A@1", |hive| {
        program(hive, UNINSTALL, "Editor", "Editor", "1");
        hive.remove(&format!("{UNINSTALL}\\Gone"));
        // of which the name and the publisher are no part of the change
        hive.text(&format!("{UNINSTALL}\\Tool"), "DisplayVersion", "2");
        hive.text(&format!("{UNINSTALL}\\Tool"), "Comments", "nothing that counts");
        hive.text(&format!("{wow}\\Old"), "Comments", "nothing that counts");
    });
    let changed = [
        "Editor 1 Maker 20260102 SOFTWARE added",
        "Gone 1 Maker 20260102 SOFTWARE removed",
        "Tool 2 (1) Maker 20260102 SOFTWARE changed",
    ];
    assert_eq!(programs(&lab, "app:A"), changed);
    let report = lab.engine.show("app:A", &Silent).unwrap();
    let counts = &report.registry[0];
    assert_eq!((counts.hive.as_str(), counts.keys_added, counts.keys_removed), ("SOFTWARE", 1, 1));
    assert_eq!((counts.values_added, counts.values_changed, counts.values_removed), (6, 1, 4));

    // what a prerequisite brought
    app(&lab, &on("Windows").with("A"), "B@1", |hive| {
        hive.text(&format!("{UNINSTALL}\\Editor"), "DisplayVersion", "1.1");
    });
    assert_eq!(programs(&lab, "app:B"), ["Editor 1.1 (1) Maker 20260102 SOFTWARE changed"]);

    let image = lab.compose(&on("Windows").with("A").with("B"));
    let all = programs(&lab, &format!("image:{}", image.report.image.name));
    assert_eq!(
        all[1..],
        [
            "Editor 1.1 Maker 20260102 SOFTWARE",
            "Mine 3 Maker 20260102 \\Users\\ann\\NTUSER.DAT",
            "Tool 2 Maker 20260102 SOFTWARE",
        ]
    );
}

#[test]
fn a_layer_is_exported_as_a_file_that_makes_the_same_changes() {
    let lab = lab!();
    with_registry(&lab);
    app(&lab, &on("Windows"), "A@1", |hive| {
        hive.text("Vendor\\A", "Path", "C:\\\"A\"").remove("Vendor\\Old");
        hive.remove_value("Microsoft\\Windows NT\\CurrentVersion", "ProductName");
        let key = hive.key("Microsoft\\Cryptography");
        let security = hive.0.security_id(vec![9; 20]);
        hive.0.set_security(key, Some(security));
    });
    let mut hive = system(1);
    hive.text("ControlSet001\\Services\\B", "ImagePath", "b.sys");
    change(&lab, "B@1", SYSTEM, hive);
    let (text, report) = export(&lab, layer("app:A"), scope(None, None), RegistryFormat::Reg).unwrap();
    assert_eq!(
        text,
        "\u{feff}Windows Registry Editor Version 5.00\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Cryptography]\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]\n\"ProductName\"=-\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\A]\n\"Path\"=\"C:\\\\\\\"A\\\"\"\n\n\
         [-HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Old]\n\n"
    );
    assert_eq!((report.keys, report.values, report.format.as_str()), (4, 2, "reg"));
    assert_eq!(codes(&report.warnings), ["reg-security-left-out"]);
    let (text, _) = export(&lab, layer("app:B"), scope(None, None), RegistryFormat::Reg).unwrap();
    assert!(text.contains("[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\B]\n"), "{text}");
    let part = scope(Some("SOFTWARE"), Some("Vendor\\Old"));
    let (text, _) = export(&lab, layer("app:A"), part, RegistryFormat::Reg).unwrap();
    assert!(text.ends_with("5.00\n\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Old]\n\n"), "{text}");

    let (text, _) = export(&lab, layer("app:A"), scope(None, None), RegistryFormat::Json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = json["hives"][0]["keys"].as_array().unwrap();
    assert_eq!((&json["of"]["name"], &json["hives"][0]["hive"]), (&"A".into(), &"SOFTWARE".into()));
    assert_eq!(keys[0]["change"], "changed");
    assert_eq!(keys[0]["security"], "09".repeat(20));
    assert_eq!(keys[0]["security_before"], "02".repeat(20));
    assert_eq!(keys[1]["values"][0]["before"], serde_json::json!({"kind": "REG_SZ", "data": "Windows"}));
    assert_eq!(keys[1]["values"][0].get("after"), None);
    assert_eq!(keys[3]["change"], "removed");
}

#[test]
fn an_os_version_or_image_is_exported_whole_or_from_a_key_on() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        let mut hive = system(2);
        hive.text("ControlSet002\\Services\\Base", "nul\0", "left out");
        hive.set("Values", "Odd", Data::new(value_kind::SZ, vec![0x41]));
        hive.set("Values", "Number", Data::new(value_kind::QWORD, vec![1, 0, 0, 0, 0, 0, 0, 0]));
        hive.set("Values", "List", multi_string(["a", "b"]));
        disk.file(SYSTEM, hive.file()).file(ANN, Registry::new().text("Environment", "", "x").file());
    });
    let (text, report) = export(&lab, layer("os:Windows"), scope(None, None), RegistryFormat::Reg).unwrap();
    assert_eq!(report.hives, ["SYSTEM", "\\Users\\ann\\NTUSER.DAT"]);
    assert_eq!(codes(&report.warnings), ["reg-names-left-out"]);
    for expected in [
        "[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Base]\n\"ImagePath\"=\"base.sys\"\n",
        "[HKEY_USERS\\ann\\Environment]\n@=\"x\"\n",
        "[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\n\"Current\"=dword:00000002\n",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    let part = || scope(Some("SYSTEM"), Some("currentcontrolset\\Services"));
    let (text, _) = export(&lab, layer("os:Windows"), part(), RegistryFormat::Reg).unwrap();
    assert!(text.contains("5.00\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Services]\n"), "{text}");

    let values = scope(Some("\\Windows\\System32\\config\\SYSTEM"), Some("Values"));
    let (text, report) = export(&lab, layer("os:Windows"), values, RegistryFormat::Json).unwrap();
    assert_eq!((report.keys, report.values), (1, 3));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        json["hives"][0]["keys"][0]["values"],
        serde_json::json!([
            {"name": "Odd", "kind": "REG_SZ", "hex": "41"},
            {"name": "Number", "kind": "REG_QWORD", "data": 1},
            {"name": "List", "kind": "REG_MULTI_SZ", "data": ["a", "b"]},
        ])
    );
    let composed = lab.compose(&on("Windows"));
    let name = composed.report.image.name.to_string();
    let image = RegistryOf::Image(name.clone());
    let (same, _) = export(&lab, image, part(), RegistryFormat::Reg).unwrap();
    assert!(same.contains("ControlSet002\\Services\\Base"), "{same}");
    for (of, scope, code) in [
        (layer(&name), scope(None, None), "reference-kind"),
        (layer("os:Windows"), scope(Some("HKLM"), None), "hive-name"),
        (layer("os:Windows"), scope(Some("SOFTWARE"), None), "hive-not-found"),
        (layer("os:Windows"), scope(Some("USER:ann"), Some("Nobody")), "key-not-found"),
    ] {
        refused(export(&lab, of, scope, RegistryFormat::Reg), code);
    }
    let out = lab.fresh("there");
    std::fs::write(&out, "mine").unwrap();
    let request = RegistryExportRequest {
        of: layer("os:Windows"),
        scope: scope(None, None),
        format: RegistryFormat::Reg,
        out: out.clone(),
    };
    refused(lab.engine.registry_export(&request, &Silent), "export-target-exists");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
}
