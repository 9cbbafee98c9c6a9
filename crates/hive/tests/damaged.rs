//! Hives that are damaged, or look so: each opens with a stated repair, or is refused with the place and the rule.

mod support;

use hive::{Error, Hive, Name, Properties, Tree};
use support::{hives, read, upcase};

/// What is said of a hive: the error, or what was mended.
fn said(file: Vec<u8>) -> String {
    let outcome = Hive::open(file, &[]).and_then(|hive| {
        let (tree, repairs) = Tree::load(&hive, upcase())?;
        let again = Hive::open(tree.write()?, &[])?;
        let (_, left) = Tree::load(&again, upcase())?;
        assert_eq!(left, [], "writing it anew mends it");
        let repairs = repairs.iter().map(|repair| {
            format!("{} ({} times, first at byte {})", repair.rule, repair.count, repair.first_offset)
        });
        Ok(repairs.collect::<Vec<_>>().join("; "))
    });
    outcome.unwrap_or_else(|error| error.to_string())
}

#[test]
fn damaged_hives_are_mended_or_refused_with_the_place_and_the_rule() {
    let Some(folder) = hives("damaged_hives_are_mended_or_refused_with_the_place_and_the_rule") else {
        return;
    };
    let unfinished = |numbers, checksum| {
        format!(
            "the registry hive was not written completely (its sequence numbers are {numbers}, its checksum is \
             {checksum}) and no log completes it: there is none"
        )
    };
    let damaged = |offset: u32, rule| format!("the registry hive is damaged at byte {offset}: {rule}");
    for (name, expected) in [
        ("BadListHive", damaged(4816, "a cell belongs to two things")),
        ("BadSubkeyHive", damaged(5232, "a cell belongs to two things")),
        (
            "DeletedDataHiveTruncated",
            damaged(1_053_328, "something refers to a cell that is not in use or does not begin here"),
        ),
        ("DuplicateSubkeysHive", damaged(441_824, "two subkeys of a key have the same name")),
        ("TruncatedHive", damaged(12_288, "the file ends before its bins do")),
        ("TruncatedNameHive", damaged(4528, "a record does not fit into its cell")),
        ("TruncatedHiveBin", "this is no registry hive: it does not begin with the letters regf".to_owned()),
        (
            "InvalidParentFragment",
            "this is no registry hive: it does not begin with the letters regf".to_owned(),
        ),
        (
            "OldLogWithRemnantData",
            "this registry hive has file type 1 (it is a log, no hive), which is not supported".to_owned(),
        ),
        ("TruncatedDirtyHive", unfinished("5 and 4", "right")),
        ("EffectiveSizeHive", unfinished("4 and 4", "wrong")),
        ("GarbageHive", unfinished("2 and 2", "wrong")),
        ("WrongOrderHive", "the subkeys of a key are not in order (2 times, first at byte 4696)".to_owned()),
        (
            "InvalidParentHive",
            "a key names another parent than the key that lists it (1 times, first at byte 482056)"
                .to_owned(),
        ),
        (
            "CompHive",
            "a list of subkeys has a wrong hint beside a key (1 times, first at byte 4416)".to_owned(),
        ),
        (
            "HealedHive",
            "a security record counts its references wrongly (1 times, first at byte 4248)".to_owned(),
        ),
    ] {
        assert_eq!(said(read(&folder, &format!("yarp/{name}"))), expected, "{name}");
    }
}

#[test]
fn unusual_hives_are_sound() {
    let Some(folder) = hives("unusual_hives_are_sound") else { return };
    for name in [
        "BigDataHive",
        "BogusKeyNamesHive",
        "DeletedDataHive",
        "DeletedTreeHive",
        "DeletedTreeNoRootFlagHive",
        "DeletedTreePartialPathHive",
        "DupNameHive",
        "EmptyHive",
        "ExtendedASCIIHive",
        "ManySubkeysHive",
        "MultiSzHive",
        "NewFlagsHive",
        "OffHive",
        "PairHive",
        "ReallocValueDataHive",
        "ReallocValueHive",
        "RemnantData",
        "RemnantsHive",
        "SlackHive",
        "SqliteHive",
        "StringValuesHive",
        "System_Delta",
        "TruncatedPairHive",
        "TruncatedPairHive2",
        "TwoOwnersHive",
        "UnicodeHive",
        "UpcaseHive",
        "ValuesOrderHive",
    ] {
        assert_eq!(said(read(&folder, &format!("yarp/{name}"))), "", "{name}");
    }
}

/// A small hive that is sound, to be damaged.
fn small() -> Vec<u8> {
    let mut tree = Tree::new(upcase(), 5, hive::Name::from("ROOT"), vec![1; 20]);
    tree.set_value(tree.root(), hive::Name::from("value"), hive::Data::new(3, vec![7; 40]));
    tree.write().expect("it is small")
}

/// Where a record with this signature begins, byte of the file.
fn record(file: &[u8], signature: &[u8; 2]) -> usize {
    (4096..file.len()).step_by(4).find(|at| file[*at..].starts_with(signature)).expect("there is one")
}

#[test]
fn a_length_that_lies_is_refused() {
    assert_eq!(said(small()), "");
    for (signature, at, bytes, rule) in [
        (b"vk", 4, &[0xff, 0xff, 0xff, 0x7f][..], "a value is longer than its cell"),
        (b"vk", 4, &[5, 0, 0, 0x80], "a value holds more than four bytes in its own record"),
        (b"vk", 2, &[0xff, 0xff], "a record does not fit into its cell"),
        (b"nk", 36, &[0xff, 0xff, 0xff, 0xff], "a key has more values than the hive has cells"),
        (b"nk", 20, &[9, 0, 0, 0], "a key has more subkeys than the hive has cells"),
        (b"nk", 20, &[1, 0, 0, 0], "something refers to a cell that is not in use or does not begin here"),
        (b"sk", 16, &[0, 0, 0, 0x70], "a record does not fit into its cell"),
        (b"nk", 72, &[0, 0], "a key has no name"),
    ] {
        let mut file = small();
        let place = record(&file, signature) + at;
        file[place..place + bytes.len()].copy_from_slice(bytes);
        match Hive::open(file, &[]).and_then(|hive| Tree::load(&hive, upcase()).map(|_| ())) {
            Err(Error::Damaged { rule: found, .. }) => assert_eq!(found, rule),
            other => panic!("{rule}: {other:?}"),
        }
    }
}

/// Where the record of the key with this name begins, byte of the file.
fn key(file: &[u8], name: &str) -> usize {
    let named = |at: &usize| file[*at..].starts_with(b"nk") && file[*at + 76..].starts_with(name.as_bytes());
    (4096..file.len() - 76).step_by(4).find(named).expect("there is one")
}

fn refused_rule(file: Vec<u8>) -> &'static str {
    match Hive::open(file, &[]).and_then(|hive| Tree::load(&hive, upcase()).map(|_| ())) {
        Err(Error::Damaged { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

fn plain() -> Properties<'static> {
    Properties { last_written: 0, flags: 0, user_flags: 0, access: 0, class: Vec::new().into() }
}

#[test]
fn a_key_on_the_513th_level_is_refused() {
    let mut tree = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
    let mut deepest = tree.root();
    for level in 1..=512 {
        deepest =
            tree.make_subkey(deepest, Name::from(format!("level {level:03}").as_str()), plain(), None).0;
    }
    let other = tree.make_subkey(tree.root(), Name::from("other"), plain(), None).0;
    tree.make_subkey(other, Name::from("moved"), plain(), None);
    let mut file = tree.write().expect("it is small");
    assert_eq!(said(file.clone()), "");
    // what is below the other key goes below the deepest one
    let (deepest, other) = (key(&file, "level 512"), key(&file, "other"));
    for at in [20, 28] {
        let field: [u8; 4] = file[other + at..other + at + 4].try_into().expect("four bytes");
        file[deepest + at..deepest + at + 4].copy_from_slice(&field);
    }
    file[other + 20..other + 24].fill(0);
    assert_eq!(refused_rule(file), "a key lies deeper than 512 levels");
}

#[test]
fn names_longer_than_windows_allows_are_refused() {
    let with = |key: &str, value: &str| {
        let mut tree = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
        let key = tree.make_subkey(tree.root(), Name::from(key), plain(), None).0;
        tree.set_value(key, Name::from(value), hive::Data::new(3, vec![7; 40]));
        tree.write()
    };
    with(&"k".repeat(255), &"v".repeat(16_383)).expect("these are the longest");
    let error = with(&"k".repeat(256), "").expect_err("it is longer").to_string();
    assert!(error.ends_with("names of keys have up to 255 characters"), "{error}");
    let error = with("k", &"v".repeat(16_384)).expect_err("it is longer").to_string();
    assert!(error.ends_with("names of values have up to 16,383 characters"), "{error}");
    // two bytes per character, then said to be one
    let mut file = with(&"Ж".repeat(200), "").expect("it is shorter");
    let at = (4096..file.len()).step_by(4).rfind(|at| file[*at..].starts_with(b"nk")).expect("there is one");
    file[at + 2] |= 0x20;
    assert_eq!(refused_rule(file), "the name of a key is longer than 255 characters");
    let mut file = with("k", &"Ж".repeat(10_000)).expect("it is shorter");
    let at = record(&file, b"vk");
    file[at + 16] |= 1;
    assert_eq!(refused_rule(file), "the name of a value is longer than 16,383 characters");
}
