//! Random hives: what is written is what is read, and deltas obey their laws.

mod support;

use hive::{
    Data, Delta, Hive, KeyId, ListKind, Lists, Name, NoLists, Properties, Tree, key_flags, value_kind,
};
use proptest::prelude::*;
use std::borrow::Cow;
use support::{first_difference, upcase};

/// A key of the model: everything that a key can have.
#[derive(Debug, Clone)]
struct Model {
    name: String,
    class: Vec<u8>,
    security: u8,
    time: u64,
    link: bool,
    values: Vec<(String, u32, Vec<u8>)>,
    subkeys: Vec<Model>,
}

fn names() -> BoxedStrategy<String> {
    // few names, so that trees have keys in common; other cases, other scripts, NULs and characters beyond the BMP
    prop_oneof![
        "[a-e]",
        "[A-E]",
        Just("é".to_owned()),
        Just("É".to_owned()),
        Just("Ж\u{0}ж".to_owned()),
        Just("a longer name 😀".to_owned()),
        Just("nul\u{0}".to_owned()),
    ]
    .boxed()
}

fn data() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..9),
        1 => (16_300usize..16_400).prop_map(|len| (0..len).map(|at| (at % 253) as u8).collect()),
        1 => (40_000usize..70_000).prop_map(|len| (0..len).map(|at| (at % 251) as u8).collect()),
    ]
    .boxed()
}

fn model() -> impl Strategy<Value = Model> {
    let value = (prop_oneof![Just(String::new()), names()], 0u32..13, data());
    let own = (
        names(),
        proptest::collection::vec(any::<u8>(), 0..6),
        0u8..3,
        0u64..5,
        any::<bool>(),
        proptest::collection::vec(value, 0..4),
    )
        .boxed();
    let leaf = own.clone().prop_map(|(name, class, security, time, link, values)| Model {
        name,
        class,
        security,
        time,
        link,
        values,
        subkeys: Vec::new(),
    });
    leaf.prop_recursive(4, 24, 5, move |below| {
        (own.clone(), proptest::collection::vec(below, 0..5)).prop_map(
            |((name, class, security, time, link, values), subkeys)| Model {
                name,
                class,
                security,
                time,
                link,
                values,
                subkeys,
            },
        )
    })
}

fn tree(minor: u32, model: &Model) -> Tree<'static> {
    let mut tree = Tree::new(upcase(), minor, Name::from("ROOT"), vec![9]);
    let root = tree.root();
    fill(&mut tree, root, model);
    tree
}

fn fill(tree: &mut Tree<'static>, key: KeyId, model: &Model) {
    for (name, kind, bytes) in &model.values {
        tree.set_value(key, Name::from(name.as_str()), Data::new(*kind, bytes.clone()));
    }
    for below in &model.subkeys {
        let flags = if below.link { key_flags::SYMBOLIC_LINK } else { 0 };
        let class = Cow::Owned(below.class.clone());
        let properties = Properties { last_written: below.time, flags, user_flags: 0, access: 0, class };
        let security = tree.security_id(vec![below.security; 20]);
        let (subkey, _) = tree.make_subkey(key, Name::from(below.name.as_str()), properties, Some(security));
        fill(tree, subkey, below);
    }
}

fn same_meaning(left: &Tree<'_>, right: &Tree<'_>) -> bool {
    Delta::between(left, right).is_empty() && Delta::between(right, left).is_empty()
}

/// Values of type 1 with the names `a` and `A` are lists.
struct SomeLists;

impl Lists for SomeLists {
    fn kind(&self, _path: &str, value: &Name<'_>) -> Option<ListKind> {
        (value.to_string().to_lowercase() == "a").then_some(ListKind::Semicolons)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_read(minor in 3u32..7, model in model()) {
        let tree = tree(minor, &model);
        let hive = Hive::open(tree.write().unwrap(), &[]).unwrap();
        let (read, repairs) = Tree::load(&hive, upcase()).unwrap();
        prop_assert_eq!(repairs, []);
        prop_assert_eq!(first_difference(&tree, &read), None);
    }

    #[test]
    fn a_delta_makes_of_one_hive_the_other(one in model(), other in model()) {
        let (base, changed) = (tree(5, &one), tree(5, &other));
        let delta = Delta::between(&base, &changed);
        delta.verify().unwrap();
        let mut target = base.clone();
        let notices = target.apply(&delta, &NoLists);
        prop_assert_eq!(notices, []);
        prop_assert!(same_meaning(&target, &changed));
        // applied once more it has nothing left to do
        let mut again = target.clone();
        again.apply(&delta, &NoLists);
        prop_assert!(same_meaning(&again, &changed));
    }

    #[test]
    fn two_deltas_in_sequence_are_as_good_as_one(one in model(), two in model(), three in model()) {
        let trees = [tree(5, &one), tree(5, &two), tree(5, &three)];
        let first = Delta::between(&trees[0], &trees[1]);
        let next = Delta::between(&trees[1], &trees[2]);
        let both = first.then(&next, None, upcase(), &NoLists);
        both.verify().unwrap();
        let mut target = trees[0].clone();
        prop_assert_eq!(target.apply(&both, &NoLists), []);
        prop_assert!(same_meaning(&target, &trees[2]), "{both:#?}");
    }

    #[test]
    fn a_newer_version_made_on_another_os_version_gives_there_what_its_author_saw(
        hives in proptest::array::uniform4(model())
    ) {
        let [os, base, newer_os, seen] = hives.map(|model| tree(5, &model));
        let base = Delta::between(&os, &base);
        let mut composite = newer_os.clone();
        composite.apply(&base, &NoLists);
        let change = Delta::between(&composite, &seen);
        let both = base.then(&change, Some(&newer_os), upcase(), &NoLists);
        prop_assert_eq!(both.verify(), Ok(()));
        let mut image = newer_os.clone();
        image.apply(&both, &NoLists);
        prop_assert!(same_meaning(&image, &seen), "{:#?}", both);
    }

    #[test]
    fn deltas_of_unrelated_hives_in_sequence_are_a_sound_delta(
        hives in proptest::array::uniform4(model())
    ) {
        let [one, two, three, four] = hives.map(|model| tree(5, &model));
        let (first, next) = (Delta::between(&one, &two), Delta::between(&three, &four));
        for (lists, below) in [(&SomeLists as &dyn Lists, None), (&NoLists, None), (&SomeLists, Some(&two))] {
            let both = first.then(&next, below, upcase(), lists);
            prop_assert_eq!(both.verify(), Ok(()), "{:#?}", both);
            // and so is a third one after it
            let back = both.then(&Delta::between(&two, &three), below, upcase(), lists);
            prop_assert_eq!(back.verify(), Ok(()), "{:#?}", back);
        }
    }

    #[test]
    fn a_delta_on_a_foreign_hive_leaves_a_sound_hive_with_what_it_adds(
        one in model(), other in model(), foreign in model()
    ) {
        let (base, changed) = (tree(5, &one), tree(5, &other));
        let delta = Delta::between(&base, &changed);
        let mut target = tree(5, &foreign);
        target.apply(&delta, &NoLists);
        let hive = Hive::open(target.write().unwrap(), &[]).unwrap();
        let (read, repairs) = Tree::load(&hive, upcase()).unwrap();
        prop_assert_eq!(repairs, []);
        prop_assert_eq!(first_difference(&target, &read), None);
        for (position, change) in delta.keys.iter().enumerate() {
            for value in change.values.iter().filter(|value| value.after.is_some()) {
                let key = descend(&read, &delta, position).expect("the key is there");
                prop_assert_eq!(read.value(key, &value.name), value.after.as_ref());
            }
        }
    }
}

fn descend(tree: &Tree<'_>, delta: &Delta, position: usize) -> Option<KeyId> {
    let key = &delta.keys[position];
    if position == 0 {
        return Some(tree.root());
    }
    tree.subkey(descend(tree, delta, key.parent as usize)?, &key.name)
}

#[test]
fn keys_lie_512_levels_deep_and_no_deeper() {
    let mut deep = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
    let properties =
        || Properties { last_written: 0, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
    let mut key = deep.root();
    for _ in 0..512 {
        key = deep.make_subkey(key, Name::from("k"), properties(), None).0;
    }
    let hive = Hive::open(deep.write().unwrap(), &[]).unwrap();
    let (read, _) = Tree::load(&hive, upcase()).unwrap();
    assert_eq!(first_difference(&deep, &read), None);
    let empty = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
    assert_eq!(Delta::between(&empty, &deep).counts().keys_added, 512);
    deep.make_subkey(key, Name::from("k"), properties(), None);
    assert_eq!(
        deep.write().unwrap_err().to_string(),
        "the registry hive cannot hold a key that lies so deep: keys nest up to 512 levels below the root"
    );
}

#[test]
fn seventy_thousand_subkeys_and_a_value_of_20_mb_survive() {
    let mut large = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
    let root = large.root();
    for number in 0..70_000u32 {
        let properties =
            Properties { last_written: 1, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
        // not in the order of the names
        let name = format!("{{{:08X}}}", number.wrapping_mul(2_654_435_761));
        large.make_subkey(root, Name::from(name.as_str()), properties, None);
    }
    let bytes: Vec<u8> = (0..20_000_000u32).map(|at| (at % 255) as u8).collect();
    large.set_value(root, Name::from("large"), Data::new(value_kind::BINARY, bytes));
    let hive = Hive::open(large.write().unwrap(), &[]).unwrap();
    let (read, repairs) = Tree::load(&hive, upcase()).unwrap();
    assert_eq!((repairs, first_difference(&large, &read)), (Vec::new(), None));
}
