//! What must hold for any bytes: used by the fuzz targets, and by the test that replays their corpora.
#![allow(dead_code, reason = "each fuzz target uses one of these")]

use hive::{Delta, Hive, Key, Name, Properties, Tree, Upcase};
use std::borrow::Cow;
use std::sync::OnceLock;

/// A hive opens, and is then written anew as one that reads back equal, or it is refused.
pub(crate) fn hive(data: &[u8]) {
    let mut file = data.to_vec();
    hive_as_it_is(file.clone());
    if file.len() >= 512 {
        let secondary: [u8; 4] = file[8..12].try_into().expect("four bytes");
        file[4..8].copy_from_slice(&secondary);
        seal(&mut file);
        hive_as_it_is(file);
    }
}

/// The same for bytes that are the bins of a hive.
pub(crate) fn bins(data: &[u8]) {
    let mut file = base_block();
    file.extend_from_slice(data);
    file.resize(file.len().next_multiple_of(4096), 0);
    let len = file.len() as u32 - 4096;
    file[40..44].copy_from_slice(&len.to_le_bytes());
    seal(&mut file);
    hive_as_it_is(file);
}

/// A log makes of an incomplete hive one that is no longer than both, or does not serve.
pub(crate) fn log(data: &[u8]) {
    let upcase = upcase();
    let mut file = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]).write().expect("it is small");
    file[4..8].copy_from_slice(&9u32.to_le_bytes());
    seal(&mut file);
    let mut log = data.to_vec();
    for _ in 0..2 {
        if let Ok(hive) = Hive::open(file.clone(), &[&log]) {
            assert!(hive.as_bytes().len() <= file.len() + log.len());
            _ = Tree::load(&hive, upcase);
        }
        if log.len() >= 512 {
            seal(&mut log);
        }
    }
}

fn upcase() -> &'static Upcase {
    static TABLE: OnceLock<Upcase> = OnceLock::new();
    TABLE.get_or_init(Upcase::unicode)
}

fn base_block() -> Vec<u8> {
    let upcase = upcase();
    let mut file = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]).write().expect("it is small");
    file.truncate(4096);
    file
}

/// Makes the checksum right.
fn seal(file: &mut [u8]) {
    let word = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
    let sum = match (0..508).step_by(4).fold(0, |sum, at| sum ^ word(at)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    };
    file[508..512].copy_from_slice(&sum.to_le_bytes());
}

fn hive_as_it_is(file: Vec<u8>) {
    let Ok(hive) = Hive::open(file, &[]) else { return };
    let upcase = upcase();
    if let Ok(root) = hive.root() {
        look(&root, 3);
    }
    let Ok((tree, _)) = Tree::load(&hive, upcase) else { return };
    let written = tree.write().expect("what fitted into a hive fits into one");
    let again = Hive::open(written, &[]).expect("what was written opens");
    let (same, repairs) = Tree::load(&again, upcase).expect("what was written loads");
    assert_eq!(repairs, []);
    assert!(Delta::between(&tree, &same).is_empty());
    let pairs = tree.walk().zip(same.walk());
    for ((left, _), (right, _)) in pairs {
        let (left, right) = (tree.key(left), same.key(right));
        assert_eq!((&left.name, &left.properties), (&right.name, &right.properties));
        assert_eq!(left.values(), right.values());
    }
    assert!(same.write().expect("it fits")[4096..] == again.as_bytes()[4096..]);
}

/// Reads keys where they are, a few of each, so many levels deep.
fn look(key: &Key<'_>, levels: usize) {
    let _: Result<Properties<'_>, _> = key.properties();
    _ = key.security();
    if let Ok(values) = key.values() {
        values.take(8).for_each(|value| _ = value.map(|value| Cow::into_owned(value.data.bytes)));
    }
    if levels > 0
        && let Ok(subkeys) = key.subkeys()
    {
        subkeys.take(8).flatten().for_each(|subkey| look(&subkey, levels - 1));
    }
}
