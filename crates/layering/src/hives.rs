//! Files that are databases of Windows, and what becomes of them in layers. The list is data: `hives.txt`.

use crate::path_list::PathList;
use crate::registry::HiveKind;
use std::sync::OnceLock;
use volume::{Child, FileId, Name, Tree};

const LINES: &str = include_str!("hives.txt");

/// What becomes of a change of such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is left out of app and platform layers.
    OsOnly,
    /// It is left out of app and platform layers, and changes whenever a machine runs.
    State,
    /// It belongs to a hive and is never carried by itself.
    Log,
    /// It is a hive: what changed in it is carried.
    Hive(HiveKind),
}

/// What becomes of the entry `name` of the directory with this path, if it is such a file. `tree` says how names compare.
pub(crate) fn role(tree: &Tree, directory: &[Name], name: &Name) -> Option<Role> {
    let (roles, paths) = list();
    paths.position(tree, directory, name).map(|at| roles[at])
}

/// A hive on a volume.
#[derive(Debug)]
pub(crate) struct HiveOnVolume<'t> {
    pub(crate) kind: HiveKind,
    /// Path of the directory that it is in.
    pub(crate) directory: Vec<Name>,
    /// That directory.
    pub(crate) parent: FileId,
    /// Its file.
    pub(crate) entry: &'t Child,
}

/// Every hive of a volume whose changes layers carry.
pub(crate) fn all(tree: &Tree) -> Vec<HiveOnVolume<'_>> {
    let (_, paths) = list();
    let mut found = Vec::new();
    let mut pending = vec![(Vec::new(), tree.root())];
    while let Some((directory, parent)) = pending.pop() {
        for entry in tree.children(parent) {
            let mut path = directory.clone();
            if tree.is_directory(entry.id) {
                path.push(entry.name.clone());
                if paths.leads_into(tree, &path) {
                    pending.push((path, entry.id));
                }
            } else if let Some(Role::Hive(kind)) = role(tree, &directory, &entry.name) {
                found.push(HiveOnVolume { kind, directory: path, parent, entry });
            }
        }
    }
    found.sort_by(|a, b| (a.kind, &a.directory).cmp(&(b.kind, &b.directory)));
    found
}

fn list() -> &'static (Vec<Role>, PathList) {
    static LIST: OnceLock<(Vec<Role>, PathList)> = OnceLock::new();
    LIST.get_or_init(|| {
        let (roles, paths): (Vec<Role>, Vec<&str>) = lines().unzip();
        (roles, PathList::parse(&paths.join("\n")).expect("the built-in list is tested"))
    })
}

/// The lines of the list that say something: what becomes of a path. Words that are not known are skipped; a test knows
/// them all.
fn lines() -> impl Iterator<Item = (Role, &'static str)> {
    LINES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (word, path) = line.split_once(' ')?;
        let role = match word {
            "os" => Role::OsOnly,
            "state" => Role::State,
            "log" => Role::Log,
            kind => Role::Hive(HiveKind::parse(kind)?),
        };
        Some((role, path.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use volume::FileId;

    /// What becomes of the entry with this path, as people write it.
    fn role_of_path(tree: &Tree, path: &str) -> Option<Role> {
        let mut parts: Vec<Name> = path.split('\\').skip(1).map(Name::from).collect();
        let name = parts.pop()?;
        role(tree, &parts, &name)
    }

    #[test]
    fn every_hive_of_the_list_has_its_logs_there_too() {
        for line in LINES.lines() {
            let Some((word, path)) = line.split_once(' ') else { continue };
            if HiveKind::parse(word).is_none() || line.starts_with('#') {
                continue;
            }
            let path = path.trim();
            let config =
                path.rsplit_once('\\').is_some_and(|(folder, _)| folder == "\\Windows\\System32\\config");
            let shared = if config { "\\Windows\\System32\\config\\*" } else { path };
            for log in [
                format!("{path}.LOG*"),
                format!("{shared}{{*}}.TM.blf"),
                format!("{shared}{{*}}.TMContainer*.regtrans-ms"),
            ] {
                let there = |line: &str| line.strip_prefix("log").is_some_and(|rest| rest.trim() == log);
                assert!(LINES.lines().any(there), "{log}");
            }
        }
    }

    #[test]
    fn every_line_of_the_list_says_what_becomes_of_a_file() {
        let said = LINES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(lines().count(), said);
        let upper = |unit: u16| if (0x61..=0x7a).contains(&unit) { unit - 0x20 } else { unit };
        let tree = Tree::new(FileId(5), [], Some((0..=u16::MAX).map(upper).collect()));
        for (path, expected) in [
            ("\\Windows\\System32\\config\\SAM", Some(Role::OsOnly)),
            ("\\Windows\\System32\\config\\SECURITY.LOG1", Some(Role::State)),
            ("\\Windows\\System32\\config\\system", Some(Role::Hive(HiveKind::System))),
            ("\\Windows\\System32\\config\\SYSTEM.LOG2", Some(Role::Log)),
            (
                "\\Windows\\System32\\config\\SYSTEM{1c37910b-b8ad-11e8-aa21-e41d2d101530}.TM.blf",
                Some(Role::Log),
            ),
            ("\\Users\\ann\\NTUSER.DAT", Some(Role::Hive(HiveKind::User))),
            ("\\Users\\ann\\ntuser.dat.LOG1", Some(Role::Log)),
            (
                "\\Users\\ann\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
                Some(Role::Hive(HiveKind::Classes)),
            ),
            ("\\Windows\\System32\\wbem\\repository\\OBJECTS.DATA", Some(Role::State)),
            ("\\Windows\\System32\\config\\SAMPLE", None),
            ("\\NTUSER.DAT", None),
        ] {
            assert_eq!(role_of_path(&tree, path), expected, "{path}");
        }
    }
}
