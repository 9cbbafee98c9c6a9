//! Composition 8: publishing puts the software of platforms that an image is not for out of action, and makes the
//! selected hypervisor's boot drivers start at boot. Packaging disks stay as they are.

use crate::bench::*;
use hive::{Data, multi_string, value_kind};
use layering::platform::{Broker, Hypervisor, PlatformTypes, Provisioning};
use layering::reference::LayerKind;
use layering::report::AppliedRow;
use operation::{Explain, Silent};
use store::{Expect, Object, Store};

const SYSTEM: &str = "\\Windows\\System32\\config\\SYSTEM";
const SOFTWARE: &str = "\\Windows\\System32\\config\\SOFTWARE";
const RUN: &str = "Microsoft\\Windows\\CurrentVersion\\Run";
const CONTROLLERS: &str = "Control\\Class\\{4d36e96a-e325-11ce-bfc1-08002be10318}";

fn number(number: u32) -> Data<'static> {
    Data::new(value_kind::DWORD, number.to_le_bytes().to_vec())
}

fn service(hive: &mut Registry, set: &str, name: &str, start: u32) {
    hive.set(&format!("{set}\\Services\\{name}"), "Start", number(start));
}

/// One of the controllers.
const CONTROLLER: &str = "Enum\\PCI\\VEN_8086&DEV_7010\\1";

/// The SYSTEM hive of a machine that was installed on vSphere, and was on XenServer once.
fn system() -> Registry {
    let mut hive = Registry::new();
    hive.set("Select", "Current", number(1));
    for set in ["ControlSet001", "ControlSet002"] {
        for (name, start) in [("VMTools", 2), ("vmci", 0), ("xenfilt", 0), ("xenbus", 0), ("Base", 2)] {
            service(&mut hive, set, name, start);
        }
        service(&mut hive, set, "storahci", 0);
        hive.set(&format!("{set}\\Services\\storahci\\StartOverride"), "0", number(3));
        hive.set(&format!("{set}\\{CONTROLLERS}"), "UpperFilters", multi_string(["other", "XENFILT"]));
    }
    hive.set(&format!("ControlSet001\\{CONTROLLER}"), "LowerFilters", multi_string(["xenfilt"]));
    hive
}

fn software() -> Registry {
    let mut hive = Registry::new();
    hive.text(RUN, "VMware User Process", "vmtoolsd.exe").text(RUN, "Ours", "ours.exe");
    hive
}

/// Windows with the tools of two hypervisors, and a platform layer `KVM` with KVM's and, by mistake, Azure's.
fn two_hypervisors(lab: &Lab) {
    lab.os("Windows@1", |disk| {
        disk.file(SYSTEM, system().file()).file(SOFTWARE, software().file());
        disk.file(&format!("{SYSTEM}.LOG1"), noise(9_000, 1));
        disk.file("\\Packages\\Plugins\\status.txt", "an extension's").file("\\Personality.ini", "PVS");
    });
    lab.platform_of(&on("Windows"), PlatformTypes::publishing(Hypervisor::Kvm), "KVM@1", |disk| {
        let mut hive = system();
        service(&mut hive, "ControlSet001", "viostor", 3);
        hive.set("ControlSet001\\Services\\viostor\\StartOverride", "0", number(3));
        service(&mut hive, "ControlSet001", "QEMU-GA", 2);
        service(&mut hive, "ControlSet001", "RdAgent", 2);
        disk.file(SYSTEM, hive.file());
        disk.file("\\Program Files\\Qemu-ga\\qemu-ga.exe", "agent");
    });
}

/// What an image's record says that recipes did: `recipe action target`.
fn applied(lab: &Lab, image: &Image) -> Vec<String> {
    let reference = format!("image:{}", image.report.image.name);
    let details = lab.engine.show(&reference, &Silent).unwrap().details;
    let rows: Vec<AppliedRow> = match details.get("applied") {
        Some(rows) => serde_json::from_value(rows.clone()).unwrap(),
        None => Vec::new(),
    };
    assert_eq!(image.report.applied, rows.len() as u64);
    let text = |row: &AppliedRow| {
        format!(
            "{} {} {}",
            row.recipe,
            serde_json::to_value(row.action).unwrap().as_str().unwrap(),
            row.target
        )
    };
    rows.iter().map(text).collect()
}

#[test]
fn software_of_platforms_that_were_not_selected_is_out_of_action_in_an_image() {
    let lab = lab!();
    two_hypervisors(&lab);
    let spec = on("Windows").platform("KVM");
    let image = lab.compose(&spec);
    assert_eq!(codes(&image.report.warnings), [""; 0]);
    let hive = Registry::read(image.bytes(SYSTEM).to_vec());
    let start = |set: &str, name: &str| {
        hive.data(&format!("{set}\\Services\\{name}"), "Start").and_then(Data::number)
    };
    for set in ["ControlSet001", "ControlSet002"] {
        for (name, expected) in
            [("VMTools", 4), ("vmci", 3), ("xenfilt", 3), ("xenbus", 3), ("Base", 2), ("storahci", 0)]
        {
            assert_eq!(start(set, name), Some(expected), "{set}: {name}");
        }
        assert!(!hive.has(&format!("{set}\\Services\\storahci\\StartOverride")));
        assert_eq!(hive.said(&format!("{set}\\{CONTROLLERS}"), "UpperFilters"), "other");
    }
    assert_eq!(hive.said(&format!("ControlSet001\\{CONTROLLER}"), "LowerFilters"), "-");
    assert_eq!(start("ControlSet001", "viostor"), Some(0));
    assert!(!hive.has("ControlSet001\\Services\\viostor\\StartOverride"));
    assert_eq!(start("ControlSet001", "QEMU-GA"), Some(2));
    assert_eq!(start("ControlSet001", "RdAgent"), Some(4), "not even the platform layer's own");
    assert_eq!(start("ControlSet002", "viostor"), None, "nothing appears that was not there");
    assert!(!hive.has("ControlSet001\\Services\\BNDevice"));

    // a hive that no layer changes
    let hive = Registry::read(image.bytes(SOFTWARE).to_vec());
    assert_eq!(
        (hive.said(RUN, "VMware User Process"), hive.said(RUN, "Ours")),
        ("-".into(), "ours.exe".into())
    );
    assert_eq!(image.bytes(&format!("{SYSTEM}.LOG1")), b"");
    let paths = image.paths();
    assert!(
        !paths.iter().any(|path| path.starts_with("\\Packages") || path == "\\Personality.ini"),
        "{paths:?}"
    );
    assert_eq!(image.bytes("\\Program Files\\Qemu-ga\\qemu-ga.exe"), b"agent");

    let again = lab.compose(&spec);
    assert_eq!(again.report.digest, image.report.digest, "the same inputs");
    lab.assert_sound();
}

#[test]
fn an_image_records_what_recipes_did() {
    let lab = lab!();
    two_hypervisors(&lab);
    let services = |set: u32, name: &str| format!("SYSTEM\\ControlSet00{set}\\Services\\{name}");
    let mut expected = vec![
        "azure disabled SYSTEM\\ControlSet001\\Services\\RdAgent".to_owned(),
        "azure removed \\Packages".to_owned(),
        format!("kvm boot-start {}", services(1, "storahci")),
        format!("kvm boot-start {}", services(2, "storahci")),
        format!("virtio boot-start {}", services(1, "viostor")),
    ];
    for (action, name) in [("disabled", "VMTools"), ("demand-start", "vmci")] {
        expected.extend([1, 2].map(|set| format!("vsphere {action} {}", services(set, name))));
    }
    expected.push(format!("vsphere removed SOFTWARE\\{RUN} : VMware User Process"));
    expected.extend([1, 2].map(|set| format!("xenserver demand-start {}", services(set, "xenbus"))));
    expected.extend([1, 2].map(|set| format!("xenserver demand-start {}", services(set, "xenfilt"))));
    let filter =
        |set| format!("xenserver removed SYSTEM\\ControlSet00{set}\\{CONTROLLERS} : UpperFilters : xenfilt");
    expected.extend([1, 2].map(filter));
    expected.push(format!("xenserver removed SYSTEM\\ControlSet001\\{CONTROLLER} : LowerFilters : xenfilt"));
    expected.push("pvs removed \\Personality.ini".to_owned());
    assert_eq!(applied(&lab, &lab.compose(&on("Windows").platform("KVM"))), expected);

    // what was selected stays
    let types = PlatformTypes {
        provisioning: Provisioning::Pvs,
        broker: Broker::Avd,
        ..PlatformTypes::publishing(Hypervisor::Azure)
    };
    lab.platform_of(&on("Windows"), types, "Azure@1", |disk| {
        let mut hive = system();
        service(&mut hive, "ControlSet001", "RdAgent", 2);
        disk.file(SYSTEM, hive.file());
    });
    let image = lab.compose(&on("Windows").platform("Azure"));
    let rows = applied(&lab, &image);
    assert!(rows.iter().all(|row| !row.starts_with("azure") && !row.starts_with("pvs")), "{rows:?}");
    assert_eq!(image.bytes("\\Personality.ini"), b"PVS");
    // without a platform layer nothing is selected, and nothing is done
    let image = lab.compose(&on("Windows"));
    assert_eq!((applied(&lab, &image), image.bytes(SYSTEM)), (vec![], &system().file()[..]));
}

#[test]
fn a_packaging_disk_and_what_is_captured_from_it_stay_as_they_are() {
    let lab = lab!();
    two_hypervisors(&lab);
    let types = PlatformTypes::packaging(Hypervisor::Kvm);
    lab.platform_of(&on("Windows"), types, "Packaging@1", |disk| {
        disk.file("\\Program Files\\Qemu-ga\\qemu-ga.exe", "agent");
    });
    let spec = on("Windows").platform("Packaging");
    let disk = lab.package(&spec);
    let snapshot = Snapshot::of(&disk);
    assert_eq!(snapshot.bytes(SYSTEM), system().file());
    assert_eq!(snapshot.bytes("\\Personality.ini"), b"PVS");
    disk.edit(|volume| {
        volume.file("\\new.txt", "new");
    });
    lab.capture(&spec, LayerKind::App, "App@1", &disk);
    assert_eq!(lab.rows("app:App"), ["file \\new.txt"]);
}

#[test]
fn packaging_platform_layers_are_never_in_an_image_and_publishing_ones_on_no_packaging_disk() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.platform_of(&on("Windows"), PlatformTypes::packaging(Hypervisor::Kvm), "Packaging@1", |_| {});
    lab.platform_of(&on("Windows"), PlatformTypes::publishing(Hypervisor::Kvm), "Publishing@1", |_| {});
    let (packaging, publishing) = (on("Windows").platform("Packaging"), on("Windows").platform("Publishing"));
    let request = lab.compose_request(&packaging, "desk");
    let message = refused(lab.engine.compose(&request, &Silent), "platform-purpose");
    assert_eq!(
        message,
        "platform:Packaging@1 is a packaging platform layer, but a publishing one is needed here"
    );
    refused(lab.engine.conflicts(&packaging.0, &Silent), "platform-purpose");
    refused(lab.try_package(&publishing), "platform-purpose");
    let disk = lab.package(&on("Windows"));
    refused(lab.try_capture(&publishing, LayerKind::App, "App@1", &disk), "platform-purpose");
}

#[test]
fn platform_layers_have_types_and_other_layers_have_none() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let spec = on("Windows");
    let disk = lab.package(&spec);
    refused(lab.try_capture(&spec, LayerKind::Platform, "P@1", &disk), "platform-types");
    let packaging = PlatformTypes::packaging(Hypervisor::Kvm);
    for types in [
        PlatformTypes { broker: Broker::Rds, ..packaging },
        PlatformTypes { provisioning: Provisioning::Mcs, ..packaging },
    ] {
        refused(lab.try_capture_platform(&spec, types, "P@1", &disk), "platform-types");
    }
    for kind in [LayerKind::App, LayerKind::Os] {
        let mut request = lab.capture_request(&spec, kind, "P@1", &disk);
        request.version.platform = Some(packaging);
        let message = refused(lab.engine.capture(&request, &Silent), "platform-types");
        assert!(message.starts_with(&format!("{kind}:P is no platform layer")), "{message}");
    }
    assert_eq!(lab.list().len(), 1, "nothing was stored");
    let types = PlatformTypes { broker: Broker::AzureRdsh, ..PlatformTypes::publishing(Hypervisor::Azure) };
    lab.try_capture_platform(&spec, types, "P@1", &disk).unwrap();
    let recorded = lab.engine.show("platform:P", &Silent).unwrap().details["platform"].clone();
    assert_eq!(serde_json::from_value::<PlatformTypes>(recorded).unwrap(), types);
}

#[test]
fn a_platform_layer_from_before_there_were_types_is_composed_without_recipes_and_this_is_said() {
    let lab = lab!();
    two_hypervisors(&lab);
    let store = Store::open(&lab.store()).unwrap();
    let (name, id) = store.refs("platform").unwrap().pop().unwrap();
    let object = store.get_object(id).unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&object.payload).unwrap();
    record.as_object_mut().unwrap().remove("platform").unwrap();
    let old = Object { payload: serde_json::to_vec(&record).unwrap(), ..object };
    let old = store.session().unwrap().put_object(&old).unwrap();
    store.set_ref(&name, Expect::Is(id), old).unwrap();

    let spec = on("Windows").platform("KVM");
    let image = lab.compose(&spec);
    assert_eq!(codes(&image.report.warnings), ["platform-types-missing"]);
    assert_eq!(codes(&lab.conflicts(&spec).warnings), ["platform-types-missing"]);
    assert_eq!(applied(&lab, &image), [""; 0]);
    assert_eq!(image.bytes("\\Personality.ini"), b"PVS");
    lab.package(&spec);
}

#[test]
fn a_store_adds_lines_to_recipes_and_what_is_wrong_in_them_is_said() {
    let lab = lab!();
    two_hypervisors(&lab);
    let recipes = lab.store().join("recipes");
    std::fs::create_dir(&recipes).unwrap();
    std::fs::write(
        recipes.join("vsphere.txt"),
        "source our build\ndisable Base\nremove-file \\Packages\\Plugins\n",
    )
    .unwrap();
    let spec = on("Windows").platform("KVM");
    let rows = applied(&lab, &lab.compose(&spec));
    assert!(rows.contains(&"vsphere disabled SYSTEM\\ControlSet002\\Services\\Base".to_owned()), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains("Plugins")), "it went with \\Packages: {rows:?}");

    let request = lab.compose_request(&spec, "other");
    std::fs::write(recipes.join("vsphere.txt"), "source our build\ndemand storahci\n").unwrap();
    let message = refused(lab.engine.compose(&request, &Silent), "list-malformed");
    assert!(message.contains("vsphere.txt") && message.contains("line 2"), "{message}");
    std::fs::rename(recipes.join("vsphere.txt"), recipes.join("vmware.txt")).unwrap();
    let error = lab.engine.compose(&request, &Silent).unwrap_err();
    assert_eq!(error.code(), "recipe-unknown");
    assert!(error.hint().unwrap().contains("vsphere"));
}

#[test]
fn a_volume_without_hives_is_composed_as_it_is() {
    let lab = lab!();
    lab.os("Data@1", |disk| {
        disk.file("\\data.txt", "data");
    });
    lab.platform_of(&on("Data"), PlatformTypes::publishing(Hypervisor::Azure), "Azure@1", |_| {});
    let image = lab.compose(&on("Data").platform("Azure"));
    assert_eq!((applied(&lab, &image), codes(&image.report.warnings)), (vec![], vec![""; 0]));
    assert_eq!(image.bytes("\\data.txt"), b"data");
}

#[test]
fn a_directory_that_a_recipe_removes_goes_with_what_layers_put_into_it() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\WindowsAzure\\Logs\\old.log", "old").file("\\keep.txt", "keep");
        disk.link("\\keep.txt", "\\WindowsAzure\\linked.txt");
    });
    // never captured from there; an application may put a link to a file of its own there
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\Personality.ini\\folder.txt", "a directory of this name").file("\\A\\a.txt", "a");
        disk.link("\\A\\a.txt", "\\Personality.ini\\also a.txt");
    });
    lab.platform_of(&on("Windows"), PlatformTypes::publishing(Hypervisor::Kvm), "KVM@1", |_| {});
    let image = lab.compose(&on("Windows").with("A").platform("KVM"));
    let rows = applied(&lab, &image);
    assert_eq!(rows, ["azure removed \\WindowsAzure", "pvs removed \\Personality.ini"]);
    let paths = image.paths();
    assert!(
        !paths.iter().any(|path| path.contains("WindowsAzure") || path.contains("Personality")),
        "{paths:?}"
    );
    assert_eq!((image.bytes("\\keep.txt"), image.bytes("\\A\\a.txt")), (&b"keep"[..], &b"a"[..]));
    lab.assert_sound();
}
