//! Whose profile a folder in `\Users` is, as SOFTWARE lists them.

use super::HiveFiles;
use hive::{Name, Tree, Upcase};

/// Where SOFTWARE has a key for each account with a profile, named by the account's SID.
const PROFILES: &str = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";

/// How the SIDs of users begin: those of the machine or a domain, and those of Entra ID. All others, such as `S-1-5-80-`
/// (services) and `S-1-5-82-` (application pools), are made from names and are the same on every machine.
const USERS: [&str; 2] = ["S-1-5-21-", "S-1-12-1-"];

/// The names of the folders in `\Users` that are profiles of accounts of services, and of no user.
pub(crate) fn service_profiles(upcase: &Upcase, software: HiveFiles) -> hive::Result<Vec<String>> {
    let hive = software.open_dirty()?;
    let (tree, _) = Tree::load(&hive, upcase)?;
    let list = tree.descendant(tree.root(), PROFILES);
    let keys = list.map_or(&[][..], |list| tree.key(list).subkeys());
    let (mut services, mut users) = (Vec::new(), Vec::new());
    for key in keys {
        let path = tree.value(*key, &Name::from("ProfileImagePath")).and_then(|data| data.text());
        let Some(folder) = path.as_deref().and_then(folder_of) else { continue };
        let sid = tree.key(*key).name.to_string().to_uppercase();
        let of = if USERS.iter().any(|start| sid.starts_with(start)) { &mut users } else { &mut services };
        of.push(folder.to_owned());
    }
    let is_users = |folder: &String| {
        users.iter().any(|user| upcase.same(&Name::from(user.as_str()), &Name::from(folder.as_str())))
    };
    services.retain(|folder| !is_users(folder));
    Ok(services)
}

/// The name of the folder that a path of a profile leads to, if that is in `\Users`.
fn folder_of(path: &str) -> Option<&str> {
    let mut parts = path.trim_end_matches('\\').split('\\');
    let (_drive, users, folder) = (parts.next()?, parts.next()?, parts.next()?);
    let is_it = parts.next().is_none() && users.eq_ignore_ascii_case("Users") && !folder.is_empty();
    is_it.then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_right_in_users_are_profiles_there() {
        assert_eq!(folder_of("C:\\Users\\MSSQLSERVER"), Some("MSSQLSERVER"));
        assert_eq!(folder_of("%SystemDrive%\\users\\ann\\"), Some("ann"));
        for path in ["", "C:\\Users", "%systemroot%\\ServiceProfiles\\LocalService", "C:\\Users\\a\\b"] {
            assert_eq!(folder_of(path), None, "{path}");
        }
    }
}
