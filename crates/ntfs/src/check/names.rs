//! Every name is said twice: in the record of the file and in the index of its directory.

use super::report::{CheckReport, record_place};
use crate::attribute::{FileName, Namespace};
use crate::mft::system;
use crate::record::Reference;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A name in one of its two places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Record number of the directory.
    pub(super) directory: u64,
    pub(super) file: Reference,
    pub(super) namespace: Namespace,
    /// UTF-16LE.
    pub(super) name: Box<[u8]>,
}

impl Key {
    pub(super) fn new(file: Reference, name: &FileName<'_>) -> Key {
        Key { directory: name.parent.number(), file, namespace: name.namespace, name: name.name.into() }
    }
}

/// All names of a volume.
#[derive(Default)]
pub(super) struct Names {
    pub(super) in_records: Vec<Key>,
    pub(super) in_indexes: Vec<Key>,
}

/// Codes: `name-not-in-index`, `entry-without-name`, `directory-cycle`.
pub(super) fn check(mut names: Names, report: &mut CheckReport) {
    names.in_records.sort_unstable();
    names.in_indexes.sort_unstable();
    let (mut records, mut indexes) = (names.in_records.iter().peekable(), names.in_indexes.iter().peekable());
    loop {
        let order = match (records.peek(), indexes.peek()) {
            (Some(record), Some(index)) => record.cmp(index),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        if order != Ordering::Greater
            && let Some(key) = records.next()
            && order == Ordering::Less
        {
            let shown = crate::bytes::name(&key.name);
            let message = format!("{shown:?} is not in the index of its directory, record {}", key.directory);
            report.error("name-not-in-index", record_place(key.file.number()), message);
        }
        if order != Ordering::Less
            && let Some(key) = indexes.next()
            && order == Ordering::Greater
        {
            let shown = crate::bytes::name(&key.name);
            let message =
                format!("the entry {shown:?} leads to record {}, which has no such name", key.file.number());
            report.error("entry-without-name", record_place(key.directory), message);
        }
    }
    cycles(&names.in_records, report);
}

/// Directories that lie inside themselves are in each other's indexes, and still nobody reaches them.
fn cycles(names: &[Key], report: &mut CheckReport) {
    // A file, too, has a parent here; only directories can be anybody's.
    let parents: HashMap<u64, u64> = names.iter().map(|key| (key.file.number(), key.directory)).collect();
    let mut sound: HashMap<u64, bool> = HashMap::from([(system::ROOT, true)]);
    for key in names {
        let mut way = Vec::new();
        let mut at = key.directory;
        let ends_well = loop {
            if let Some(&known) = sound.get(&at) {
                break known;
            }
            // On the way already: entered as unsound, which stays so when the walk comes round.
            sound.insert(at, false);
            way.push(at);
            match parents.get(&at) {
                Some(&parent) => at = parent,
                // A parent without a name is reported where names are counted.
                None => break true,
            }
        };
        if !ends_well && !way.is_empty() {
            report.error(
                "directory-cycle",
                record_place(key.directory),
                "the directory is not below the root",
            );
        }
        if ends_well {
            for at in way {
                sound.insert(at, true);
            }
        }
    }
}
