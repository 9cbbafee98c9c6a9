//! Local users and groups, by name, as SAM lists them.

use super::HiveFiles;
use hive::{Name, Tree, Upcase};

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
