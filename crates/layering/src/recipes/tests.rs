//! The built-in recipes, and that none of them takes a selected type's way to boot.

use super::*;
use crate::registry::HiveKind;
use crate::report::{AppliedAction, AppliedRow};
use hive::{Data, KeyId, Name, Properties, Tree, Upcase, multi_string, value_kind};
use std::borrow::Cow;
use std::collections::BTreeSet;

const SETS: [&str; 2] = ["ControlSet001", "ControlSet002"];

fn make(tree: &mut Tree<'_>, path: &str) -> KeyId {
    path.split('\\').fold(tree.root(), |key, name| {
        let class = Cow::Borrowed(&[][..]);
        let properties = Properties { last_written: 7, flags: 0, user_flags: 0, access: 0, class };
        tree.make_subkey(key, Name::from(name), properties, None).0
    })
}

fn number(tree: &mut Tree<'_>, path: &str, name: &str, number: u32) {
    let key = make(tree, path);
    tree.set_value(key, Name::from(name), Data::new(value_kind::DWORD, number.to_le_bytes().to_vec()));
}

fn start(tree: &Tree<'_>, set: &str, service: &str) -> Option<u32> {
    let key = tree.descendant(tree.root(), &format!("{set}\\Services\\{service}"))?;
    tree.value(key, &Name::from("Start")).and_then(Data::number)
}

/// A SYSTEM hive of two control sets with every service and driver that a recipe names. Half of the drivers that start
/// at boot were installed on other hardware: `Start` is 3, or `StartOverride` says so.
fn system<'h>(recipes: &Recipes, upcase: &'h Upcase) -> Tree<'h> {
    let mut tree = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]);
    for set in SETS {
        for (position, line) in recipes.0.iter().flat_map(|recipe| &recipe.lines).enumerate() {
            let (Action::Disable(name) | Action::Demand(name) | Action::Boot(name) | Action::Needs(name)) =
                &line.action
            else {
                continue;
            };
            let path = format!("{set}\\Services\\{name}");
            number(&mut tree, &path, "Start", if position % 2 == 0 { 3 } else { 0 });
            number(&mut tree, &format!("{path}\\StartOverride"), "0", 3);
        }
        let class =
            make(&mut tree, &format!("{set}\\Control\\Class\\{{4d36e96a-e325-11ce-bfc1-08002be10318}}"));
        tree.set_value(class, Name::from("UpperFilters"), multi_string(["XENFILT", "other"]));
        tree.set_value(class, Name::from("LowerFilters"), multi_string(["xenfilt"]));
    }
    tree
}

/// Every combination of types that a publishing platform layer can have.
fn every_selection() -> Vec<PlatformTypes> {
    let mut all = Vec::new();
    for hypervisor in Hypervisor::ALL {
        for provisioning in Provisioning::ALL {
            for broker in Broker::ALL {
                let (provisioning, broker) = (*provisioning, *broker);
                all.push(PlatformTypes { provisioning, broker, ..PlatformTypes::publishing(*hypervisor) });
            }
        }
    }
    all
}

#[test]
fn every_recipe_parses_and_each_line_has_a_source() {
    for (name, text) in BUILT_IN {
        let lines = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(lines.iter().all(|line| line.source.len() > 10), "{name}: {lines:?}");
        assert_eq!(lines.is_empty(), name == "azure-rdsh", "{name}");
    }
}

#[test]
fn every_type_has_a_recipe_and_every_recipe_a_type() {
    let reached: BTreeSet<&str> = every_selection().iter().flat_map(selected).collect();
    assert_eq!(reached, names().collect());
}

#[test]
fn no_driver_that_is_shipped_in_windows_is_touched_by_any_recipe() {
    for recipe in Recipes::built_in().0 {
        for line in recipe.lines {
            let Some(name) = line.action.touches() else { continue };
            let guest_service = matches!(&line.action, Action::Disable(name) if in_box::may_disable(name));
            assert!(guest_service || !in_box::is_in_box(name), "{}: {name}", recipe.name);
        }
    }
    for name in
        ["vmbus", "StorVSC", "storflt", "storahci", "stornvme", "disk", "TermService", "vmicheartbeat"]
    {
        assert!(in_box::is_in_box(name), "{name}");
    }
    assert!(!in_box::may_disable("vmbus") && !in_box::is_in_box("viostor"));
}

#[test]
fn whatever_is_selected_its_boot_drivers_start_at_boot_and_nothing_that_it_needs_is_touched() {
    let (recipes, upcase) = (Recipes::built_in(), Upcase::unicode());
    let untouched = system(&recipes, &upcase);
    for types in every_selection() {
        let mut tree = untouched.clone();
        let rows = recipes.clean_up(&types).apply(HiveKind::System, &mut tree, "SYSTEM");
        assert!(!rows.is_empty());
        let (selected, mut boot, mut needs) = (selected(&types), 0, 0);
        for recipe in &recipes.0 {
            let is_selected = selected.contains(&recipe.name);
            for (line, set) in recipe.lines.iter().flat_map(|line| SETS.map(|set| (line, set))) {
                match &line.action {
                    Action::Boot(name) if is_selected => {
                        boot += 1;
                        assert_eq!(start(&tree, set, name), Some(0), "{types:?}: {set}: {name}");
                        let exceptions = format!("{set}\\Services\\{name}\\StartOverride");
                        assert_eq!(
                            tree.descendant(tree.root(), &exceptions),
                            None,
                            "{types:?}: {set}: {name}"
                        );
                    }
                    Action::Needs(name) if is_selected => {
                        needs += 1;
                        let before = start(&untouched, set, name);
                        let now = start(&tree, set, name);
                        // needed by one and started at boot by another of the selected recipes
                        assert!(now == before || now == Some(0), "{types:?}: {set}: {name}");
                    }
                    Action::Boot(name) if types.hypervisor == Hypervisor::Other => {
                        let before = start(&untouched, set, name);
                        assert_eq!(start(&tree, set, name), before, "{types:?}: {set}: {name}");
                    }
                    _ => {}
                }
            }
        }
        assert!(boot >= 2 * 3 || types.hypervisor == Hypervisor::Other, "{types:?}: {boot}, {needs}");
    }
}

#[test]
fn what_was_not_selected_does_not_start_any_more_in_any_control_set() {
    let (recipes, upcase) = (Recipes::built_in(), Upcase::unicode());
    for types in every_selection() {
        let mut tree = system(&recipes, &upcase);
        recipes.clean_up(&types).apply(HiveKind::System, &mut tree, "SYSTEM");
        let has = |set, name| start(&tree, set, name).unwrap();
        for set in SETS {
            let is = |one: Hypervisor| types.hypervisor == one;
            assert_eq!(has(set, "VMTools") == 4, !is(Hypervisor::Vsphere), "{types:?}");
            let hyperv = is(Hypervisor::Hyperv) || is(Hypervisor::Azure);
            assert_eq!(has(set, "vmicheartbeat") == 4, !hyperv, "{types:?}");
            assert_eq!(has(set, "RdAgent") == 4, !is(Hypervisor::Azure), "{types:?}");
            // of the drivers of unknown hypervisors any may be the boot disk's
            let virtio = is(Hypervisor::Kvm) || is(Hypervisor::Nutanix);
            assert!(is(Hypervisor::Other) || (has(set, "viostor") == 0) == virtio, "{types:?}");
            assert_eq!(has(set, "BNDevice") == 4, types.provisioning != Provisioning::Pvs, "{types:?}");
            assert_eq!(has(set, "RDAgentBootLoader") == 4, types.broker != Broker::Avd, "{types:?}");
            // a filter that does not start at boot would keep the disk's controller from starting
            let class = format!("{set}\\Control\\Class\\{{4d36e96a-e325-11ce-bfc1-08002be10318}}");
            let class = tree.descendant(tree.root(), &class).unwrap();
            let filters = tree.value(class, &Name::from("UpperFilters")).unwrap().texts().unwrap();
            let lower = tree.value(class, &Name::from("LowerFilters")).is_some();
            let xen = [Hypervisor::Xenserver, Hypervisor::Aws, Hypervisor::Other].into_iter().any(is);
            assert_eq!(filters, if xen { vec!["XENFILT", "other"] } else { vec!["other"] }, "{types:?}");
            assert_eq!(lower, xen, "{types:?}: a list without elements goes");
        }
    }
}

#[test]
fn nothing_appears_that_was_not_there_and_what_is_done_already_is_left() {
    let (recipes, upcase) = (Recipes::built_in(), Upcase::unicode());
    let clean_up = recipes.clean_up(&PlatformTypes::publishing(Hypervisor::Kvm));
    let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
    make(&mut tree, "ControlSet001\\Services\\Tcpip");
    // a key that is no service
    make(&mut tree, "ControlSet001\\Services\\viostor\\Parameters");
    number(&mut tree, "ControlSet001\\Services\\VMTools", "Start", 4);
    number(&mut tree, "ControlSet001\\Services\\xenbus", "Start", 3);
    number(&mut tree, "ControlSet001\\Services\\storahci", "Start", 0);
    let before = tree.write().unwrap();
    for kind in [HiveKind::System, HiveKind::Software, HiveKind::User] {
        assert_eq!(clean_up.apply(kind, &mut tree, kind.name()), []);
    }
    assert_eq!(tree.write().unwrap(), before);
}

#[test]
fn the_boot_disk_of_a_windows_7_is_found_on_each_hypervisor_that_offers_ahci_or_ide() {
    let (recipes, upcase) = (Recipes::built_in(), Upcase::unicode());
    for hypervisor in [Hypervisor::Kvm, Hypervisor::Vsphere, Hypervisor::Nutanix] {
        let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
        for driver in ["msahci", "pciide"] {
            number(&mut tree, &format!("ControlSet001\\Services\\{driver}"), "Start", 3);
        }
        recipes.clean_up(&PlatformTypes::publishing(hypervisor)).apply(HiveKind::System, &mut tree, "SYSTEM");
        let started = ["msahci", "pciide"].map(|driver| start(&tree, "ControlSet001", driver));
        assert_eq!(started, [Some(0); 2], "{hypervisor:?}");
    }
}

#[test]
fn a_driver_that_is_disabled_filters_no_devices_any_more() {
    let mut recipes = Recipes::built_in();
    recipes.extend("vsphere", "source our build\ndisable OurFilter\ndisable OurAgent").unwrap();
    let upcase = Upcase::unicode();
    let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
    number(&mut tree, "ControlSet001\\Services\\OurFilter", "Start", 0);
    let class = make(&mut tree, "ControlSet001\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}");
    // the agent is no service of this machine
    tree.set_value(class, Name::from("UpperFilters"), multi_string(["PartMgr", "ourfilter", "OurAgent"]));
    let rows = recipes.clean_up(&PlatformTypes::publishing(Hypervisor::Kvm)).apply(
        HiveKind::System,
        &mut tree,
        "SYSTEM",
    );
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| (row.action, row.target)).collect();
    let path = "SYSTEM\\ControlSet001\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}";
    assert_eq!(
        rows,
        [
            (AppliedAction::Disabled, "SYSTEM\\ControlSet001\\Services\\OurFilter".to_owned()),
            (AppliedAction::Removed, format!("{path} : UpperFilters : OurFilter")),
        ]
    );
    let filters = tree.value(class, &Name::from("UpperFilters")).unwrap().texts().unwrap();
    assert_eq!(filters, ["PartMgr", "OurAgent"]);
}

#[test]
fn a_stores_own_lines_add_to_a_recipe_and_say_what_they_did() {
    let mut recipes = Recipes::built_in();
    let more = "source our build\ndisable Our Agent\nremove-value SOFTWARE\\Ours : Host\nremove-key SOFTWARE\\Ours\\State";
    recipes.extend("vsphere", more).unwrap();
    assert_eq!(recipes.extend("vsphere", "source us\nstop it").unwrap_err().line, 2);
    let upcase = Upcase::unicode();
    let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
    number(&mut tree, "Ours", "Host", 1);
    number(&mut tree, "Ours\\State\\Below", "Kept", 1);
    let clean_up = recipes.clean_up(&PlatformTypes::publishing(Hypervisor::Kvm));
    let rows = clean_up.apply(HiveKind::Software, &mut tree, "SOFTWARE");
    let removed = |target: &str| AppliedRow {
        recipe: "vsphere".into(),
        action: AppliedAction::Removed,
        target: target.into(),
    };
    let rows: Vec<AppliedRow> = rows.into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows, [removed("SOFTWARE\\Ours : Host"), removed("SOFTWARE\\Ours\\State")]);
    let clean_up = recipes.clean_up(&PlatformTypes::publishing(Hypervisor::Vsphere));
    assert_eq!(clean_up.apply(HiveKind::Software, &mut tree, "SOFTWARE"), []);
}
