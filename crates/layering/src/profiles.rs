//! Profiles of users whom an OS version lacks. Users are the OS layer's alone, so nothing of such a profile is composed:
//! a folder with files and without the user's registry would only be in the way of an account that is made later.

use crate::compose::Layer;
use crate::hives::{Role, role};
use crate::manifest::{DirectoryRole, Manifest};
use crate::plan::warning;
use crate::registry::HiveKind;
use crate::report::Warning;
use std::collections::BTreeSet;
use volume::{Name, Tree};

const USERS: &str = "Users";
const HIVE: &str = "NTUSER.DAT";

/// The layers without what lies in profiles of users whom the OS volume lacks, and the remark that names these; `None`
/// where there is nothing of that kind. Such a profile is one whose hives a layer changes, and that neither the OS volume
/// nor a layer has a hive in.
pub(crate) fn without_absent_users(tree: &Tree, layers: &[Layer]) -> Option<(Vec<Layer>, Warning)> {
    let absent = absent_users(tree, layers);
    if absent.is_empty() {
        return None;
    }
    let (mut present, mut named) = (layers.to_vec(), Vec::new());
    for layer in &mut present {
        let left_out = leave_out(&mut layer.manifest, tree, &absent);
        named.extend(left_out.iter().map(|name| format!("\\{USERS}\\{name} ({})", layer.pinned.reference)));
    }
    let message = "profiles of users whom the OS version lacks are left out, files and registry";
    Some((present, warning("profile-left-out", message, named)))
}

/// Folded names of the folders in `\Users` that are such profiles.
fn absent_users(tree: &Tree, layers: &[Layer]) -> BTreeSet<Name> {
    let users = tree.fold(&Name::from(USERS));
    let own = tree.fold(&Name::from(HIVE));
    let (mut changed, mut brought) = (BTreeSet::new(), BTreeSet::new());
    for manifest in layers.iter().map(|layer| &layer.manifest) {
        for hive in &manifest.hives {
            let path: Vec<Name> = manifest.directory_path(hive.directory).into_iter().cloned().collect();
            let of_user =
                matches!(role(tree, &path, &hive.name), Some(Role::Hive(HiveKind::User | HiveKind::Classes)));
            if let [first, folder, ..] = &path[..]
                && of_user
                && tree.fold(first) == users
            {
                changed.insert(tree.fold(folder));
            }
        }
        for name in manifest.files.iter().flat_map(|file| &file.names) {
            if tree.fold(&name.name) == own
                && let [first, folder] = manifest.directory_path(name.directory)[..]
                && tree.fold(first) == users
            {
                brought.insert(tree.fold(folder));
            }
        }
    }
    let folders = tree.child(tree.root(), &Name::from(USERS)).map(|users| users.id);
    let is_there = |folder: &Name| {
        let profile = folders.and_then(|users| tree.child(users, folder));
        profile.is_some_and(|profile| tree.child(profile.id, &Name::from(HIVE)).is_some())
    };
    changed.retain(|folder| !brought.contains(folder) && !is_there(folder));
    changed
}

/// Takes everything out of a manifest that lies in these folders of `\Users`; gives the names of those that it spoke of.
fn leave_out(manifest: &mut Manifest, tree: &Tree, folders: &BTreeSet<Name>) -> BTreeSet<Name> {
    let users = tree.fold(&Name::from(USERS));
    let mut within: Vec<bool> = Vec::with_capacity(manifest.directories.len());
    let mut left_out = BTreeSet::new();
    for (position, directory) in manifest.directories.iter().enumerate() {
        let parent = directory.parent as usize;
        let above = &manifest.directories[parent];
        let is_profile = parent != 0
            && above.parent == 0
            && tree.fold(&above.name) == users
            && folders.contains(&tree.fold(&directory.name));
        if is_profile {
            left_out.insert(directory.name.clone());
        }
        within.push(is_profile || (position != 0 && within[parent]));
    }
    // Of the directories remains that they lead to something; where nothing is left to lead to, none is made.
    let lost = manifest.directories.iter_mut().zip(&within).filter(|(_, within)| **within);
    for (directory, _) in lost {
        directory.role = DirectoryRole::Context;
        directory.streams.clear();
    }
    let is_within = |directory: u32| within[directory as usize];
    for file in &mut manifest.files {
        file.names.retain(|name| !is_within(name.directory));
    }
    manifest.files.retain(|file| !file.names.is_empty());
    manifest.deletions.retain(|deletion| !is_within(deletion.directory));
    manifest.hives.retain(|hive| !is_within(hive.directory));
    left_out
}
