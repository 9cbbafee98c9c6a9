//! Files that are databases of Windows, and what becomes of them in layers. The list is data: `hives.txt`.
//!
//! This is where merging begins: a hive whose [`Role`] is to be merged would be recorded as what changed in it, and no
//! longer as a file.

use crate::path_list::PathList;
use std::sync::OnceLock;
use volume::{Name, Tree};

const LIST: &str = include_str!("hives.txt");

/// What becomes of a change of a hive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is left out of app and platform layers.
    OsOnly,
    /// The whole file is carried, like any other.
    Whole,
}

/// What becomes of the entry `name` of the directory with this path, if it is a hive. `tree` says how names compare.
pub(crate) fn role(tree: &Tree, directory: &[Name], name: &Name) -> Option<Role> {
    static LISTS: OnceLock<[(Role, PathList); 2]> = OnceLock::new();
    let lists = LISTS.get_or_init(|| [Role::OsOnly, Role::Whole].map(|role| (role, list(role))));
    lists.iter().find(|(_, list)| list.matches(tree, directory, name)).map(|(role, _)| *role)
}

/// What becomes of the entry with this path, as people write it.
pub(crate) fn role_of_path(tree: &Tree, path: &str) -> Option<Role> {
    let mut parts: Vec<Name> = path.split('\\').skip(1).map(Name::from).collect();
    let name = parts.pop()?;
    role(tree, &parts, &name)
}

fn list(role: Role) -> PathList {
    let keyword = match role {
        Role::OsOnly => "os ",
        Role::Whole => "whole ",
    };
    let lines: Vec<&str> = LIST.lines().filter_map(|line| line.strip_prefix(keyword)).collect();
    PathList::parse(&lines.join("\n")).expect("the built-in list is tested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use volume::FileId;

    #[test]
    fn every_line_of_the_list_says_what_becomes_of_a_hive() {
        let known =
            |line: &str| line.is_empty() || ["#", "os ", "whole "].iter().any(|word| line.starts_with(word));
        assert!(LIST.lines().all(known));
        let upper = |unit: u16| if (0x61..=0x7a).contains(&unit) { unit - 0x20 } else { unit };
        let tree = Tree::new(FileId(5), [], Some((0..=u16::MAX).map(upper).collect()));
        for (path, expected) in [
            ("\\Windows\\System32\\config\\SAM", Some(Role::OsOnly)),
            ("\\Windows\\System32\\config\\SECURITY.LOG1", Some(Role::OsOnly)),
            ("\\Windows\\System32\\config\\SYSTEM", Some(Role::Whole)),
            ("\\Users\\ann\\NTUSER.DAT", Some(Role::Whole)),
            ("\\Windows\\System32\\config\\SAMPLE", None),
            ("\\NTUSER.DAT", None),
        ] {
            assert_eq!(role_of_path(&tree, path), expected, "{path}");
        }
    }
}
