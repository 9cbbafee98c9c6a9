//! The hives of local users, groups and secrets: what of their changes a person should know.

use super::HiveFiles;
use hive::{Delta, Name, Tree, Upcase};

/// Where SAM has a key for each name, and what the names are of.
const NAMES: [(&str, &str); 3] = [
    ("SAM\\Domains\\Account\\Users\\Names", "user"),
    ("SAM\\Domains\\Account\\Aliases\\Names", "group"),
    ("SAM\\Domains\\Builtin\\Aliases\\Names", "group"),
];

/// The users and groups that one state of SAM has and the other has not.
pub(crate) fn accounts_changed(upcase: &Upcase, was: HiveFiles, is: HiveFiles) -> hive::Result<Vec<String>> {
    let (was, is) = (was.open()?, is.open()?);
    let load = |hive| -> hive::Result<Tree<'_>> { Ok(Tree::load(hive, upcase)?.0) };
    let (before, after) = (load(&was)?, load(&is)?);
    let mut changed = Vec::new();
    for (path, kind) in NAMES {
        for (tree, other, what) in [(&after, &before, "made"), (&before, &after, "removed")] {
            let there = |name: &Name<'_>| {
                other.descendant(other.root(), path).is_some_and(|key| other.subkey(key, name).is_some())
            };
            let names = tree.descendant(tree.root(), path).map_or(&[][..], |key| tree.key(key).subkeys());
            let names = names.iter().map(|key| &tree.key(*key).name).filter(|name| !there(name));
            changed.extend(names.map(|name| format!("{kind} {name} ({what})")));
        }
    }
    Ok(changed)
}

/// Whether one of these hives says something else now than what a machine notes whenever somebody signs in: counters
/// and times of accounts (values `F`), and the contents and times of secrets that it had.
pub(crate) fn settings_changed(upcase: &Upcase, was: HiveFiles, is: HiveFiles) -> hive::Result<bool> {
    let (was, is) = (was.open()?, is.open()?);
    let (before, after) = (Tree::load(&was, upcase)?.0, Tree::load(&is, upcase)?.0);
    let mut delta = Delta::between(&before, &after);
    delta.retain(|path, value| match value {
        Some(value) => {
            let counters = path.starts_with("SAM\\Domains\\") && value.to_string() == "F";
            let secret = path.starts_with("Policy\\Secrets\\") && path.split('\\').count() == 4;
            !counters && !secret
        }
        None => true,
    });
    Ok(!delta.is_empty())
}
