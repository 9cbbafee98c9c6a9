//! Hives that Windows wrote: loaded, written anew, and loaded again.

mod support;

use hive::{Delta, Hive, NoLists, Tree};
use support::{REAL, count, first_difference, hives, open, upcase};

#[test]
fn a_real_hive_that_is_written_anew_holds_the_same() {
    let Some(folder) = hives("a_real_hive_that_is_written_anew_holds_the_same") else {
        return;
    };
    for name in REAL {
        let hive = open(&folder, name);
        let (tree, repairs) = Tree::load(&hive, upcase()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(repairs.iter().all(|repair| repair.rule.contains("hint")), "{name}: {repairs:?}");
        let written = tree.write().unwrap();
        // bins of 4096 bytes leave a little at their ends
        assert!(written.len() <= hive.as_bytes().len() / 20 * 21 + 4096, "{name}: {} bytes", written.len());
        let again = Hive::open(written, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again.minor_version(), hive.minor_version(), "{name}");
        let (same, repairs) = Tree::load(&again, upcase()).unwrap();
        assert_eq!(repairs, [], "{name}");
        assert_eq!(first_difference(&tree, &same), None, "{name}");
        let twice = same.write().unwrap();
        assert!(twice[4096..] == again.as_bytes()[4096..], "{name}: written twice it is not the same");
    }
}

#[test]
fn the_largest_hives_have_as_many_keys_and_values_as_other_readers_count() {
    let Some(folder) = hives("the_largest_hives_have_as_many_keys_and_values_as_other_readers_count") else {
        return;
    };
    for (name, keys, values) in
        [("regipy/SYSTEM", 30_756, 73_456), ("regipy/SYSTEM_WIN_10_1709", 43_211, 90_307)]
    {
        let hive = open(&folder, name);
        let (tree, _) = Tree::load(&hive, upcase()).unwrap();
        assert_eq!(count(&tree), (keys, values), "{name}");
    }
}

#[test]
fn keys_are_read_where_they_are() {
    let Some(folder) = hives("keys_are_read_where_they_are") else { return };
    let hive = open(&folder, "regipy/SYSTEM");
    let root = hive.root().unwrap();
    let select = root.subkey(upcase(), &hive::Name::from("sELECT")).unwrap().expect("Select is there");
    let current = select.value(upcase(), "current").unwrap().expect("Current is there");
    assert_eq!(current.data.number(), Some(1));
    let path = "ControlSet001\\Control\\Session Manager\\Environment";
    let environment = root.descendant(upcase(), path).unwrap().expect("it is there");
    let list = environment.value(upcase(), "PATHEXT").unwrap().expect("it is there").data.text().unwrap();
    assert!(list.starts_with(".COM;.EXE"), "{list}");
    assert!(root.descendant(upcase(), "ControlSet001\\Nothing\\Here").unwrap().is_none());
}

#[test]
fn what_changed_between_two_real_hives_makes_one_of_the_other() {
    let Some(folder) = hives("what_changed_between_two_real_hives_makes_one_of_the_other") else { return };
    for (base, changed) in [
        ("regipy/NTUSER.DAT", "regipy/NTUSER_modified.DAT"),
        ("dfwinreg/NTUSER.DAT", "regipy/NTUSER.DAT"),
        ("regipy/SYSTEM", "regipy/SYSTEM_WIN_10_1709"),
    ] {
        let (old, new) = (open(&folder, base), open(&folder, changed));
        let (before, _) = Tree::load(&old, upcase()).unwrap();
        let (after, _) = Tree::load(&new, upcase()).unwrap();
        let delta = Delta::between(&before, &after);
        delta.verify().unwrap();
        assert!(!delta.is_empty(), "{base} and {changed}");
        let mut target = before.clone();
        assert_eq!(target.apply(&delta, &NoLists), [], "{base} and {changed}");
        let rest = Delta::between(&target, &after);
        assert!(rest.is_empty(), "{base} and {changed}: {:?}", rest.counts());
    }
}
