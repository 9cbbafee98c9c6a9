//! What recipes do to one image.

use super::line::{Action, KeyPath};
use crate::registry::{HiveKind, control_sets};
use crate::report::{AppliedAction, AppliedRow};
use hive::{Data, KeyId, Name, Tree, multi_string, value_kind};

/// `Start` of a service: with the boot loader, when a device or program wants it, never.
const BOOT: u32 = 0;
const DEMAND: u32 = 3;
const DISABLED: u32 = 4;

/// The lists of a class of devices that name the drivers which filter them.
const FILTER_LISTS: [&str; 2] = ["UpperFilters", "LowerFilters"];

/// The steps of all recipes that apply to an image, each with the name of its recipe.
#[derive(Debug, Default)]
pub(crate) struct CleanUp {
    steps: Vec<(&'static str, Action)>,
}

/// Something that was done, with the position of its step.
pub(crate) type Done = (usize, AppliedRow);

impl CleanUp {
    pub(super) fn new(steps: Vec<(&'static str, Action)>) -> CleanUp {
        CleanUp { steps }
    }

    /// Whether a step is about hives of this kind.
    pub(crate) fn concerns(&self, kind: HiveKind) -> bool {
        self.steps.iter().any(|(_, action)| action.hive() == Some(kind))
    }

    /// The files and directories to remove, with the positions of their steps.
    pub(crate) fn files(&self) -> Vec<(usize, &str)> {
        let steps = self.steps.iter().enumerate();
        let files = steps.filter_map(|(position, (_, action))| match action {
            Action::RemoveFile(path) => Some((position, path.as_str())),
            _ => None,
        });
        files.collect()
    }

    /// The row of a step that was carried out on `target`.
    pub(crate) fn row(&self, position: usize, action: AppliedAction, target: String) -> Done {
        (position, AppliedRow { recipe: self.steps[position].0.to_owned(), action, target })
    }

    /// Carries out the steps that are about a hive; gives what was changed. `place` is how the hive's root is called.
    pub(crate) fn apply(&self, kind: HiveKind, tree: &mut Tree<'_>, place: &str) -> Vec<Done> {
        let sets = if kind == HiveKind::System { control_sets(tree) } else { Vec::new() };
        let mut done = Vec::new();
        for (position, (_, action)) in self.steps.iter().enumerate() {
            if action.hive() == Some(kind) {
                let changes = carry_out(action, tree, &sets).into_iter();
                done.extend(changes.map(|(what, path)| self.row(position, what, format!("{place}\\{path}"))));
            }
        }
        done
    }
}

/// Does to a hive with these control sets what a line says; gives what was changed, and where.
fn carry_out(action: &Action, tree: &mut Tree<'_>, sets: &[KeyId]) -> Vec<(AppliedAction, String)> {
    match action {
        Action::Disable(name) => {
            let is_there = !services(tree, sets, name).is_empty();
            let changed = set_start(tree, sets, name, DISABLED, |before| before != DISABLED);
            let disabled = changed.into_iter().map(|path| (AppliedAction::Disabled, path));
            // a device whose filter is disabled does not start
            let removed = if is_there { unfilter(tree, sets, name) } else { Vec::new() };
            disabled.chain(removed.into_iter().map(|path| (AppliedAction::Removed, path))).collect()
        }
        Action::Demand(name) => {
            let changed = set_start(tree, sets, name, DEMAND, |before| before < DEMAND);
            let started = changed.into_iter().map(|path| (AppliedAction::DemandStart, path));
            // devices of the class, the boot disk's controller among them, would wait for a filter that is not there
            // at boot
            let removed = unfilter(tree, sets, name).into_iter().map(|path| (AppliedAction::Removed, path));
            started.chain(removed).collect()
        }
        Action::Boot(name) => {
            start_at_boot(tree, sets, name).into_iter().map(|path| (AppliedAction::BootStart, path)).collect()
        }
        Action::RemoveKey(path) => {
            let found = keys(tree, sets, path);
            let rows = found.iter().map(|key| (AppliedAction::Removed, tree.path(*key))).collect();
            found.into_iter().for_each(|key| tree.remove_key(key));
            rows
        }
        Action::RemoveValue(path, value) => {
            let name = Name::from(value.as_str());
            let mut found = keys(tree, sets, path);
            found.retain(|key| tree.value(*key, &name).is_some());
            found.iter().for_each(|key| tree.remove_value(*key, &name));
            let row = |key: &KeyId| (AppliedAction::Removed, format!("{} : {value}", tree.path(*key)));
            found.iter().map(row).collect()
        }
        Action::Needs(_) | Action::RemoveFile(_) => Vec::new(),
    }
}

/// The keys of a service in every control set that has it.
fn services(tree: &Tree<'_>, sets: &[KeyId], name: &str) -> Vec<KeyId> {
    let path = format!("Services\\{name}");
    sets.iter().filter_map(|set| tree.descendant(*set, &path)).collect()
}

/// The keys that a path leads to, one in each control set if it is about these.
fn keys(tree: &Tree<'_>, sets: &[KeyId], path: &KeyPath) -> Vec<KeyId> {
    let root = [tree.root()];
    let from = if path.in_control_sets { sets } else { &root };
    from.iter().filter_map(|from| tree.descendant(*from, &path.path)).collect()
}

/// How a service starts; a key without that is no service.
fn start(tree: &Tree<'_>, key: KeyId) -> Option<u32> {
    tree.value(key, &Name::from("Start")).and_then(Data::number)
}

fn write_start(tree: &mut Tree<'_>, key: KeyId, start: u32) {
    let data = Data::new(value_kind::DWORD, start.to_le_bytes().to_vec());
    tree.set_value(key, Name::from("Start"), data);
}

/// Sets how a service starts, where it starts otherwise so far; gives the paths of the keys.
fn set_start(
    tree: &mut Tree<'_>,
    sets: &[KeyId],
    name: &str,
    to: u32,
    otherwise: fn(u32) -> bool,
) -> Vec<String> {
    let mut found = services(tree, sets, name);
    found.retain(|key| start(tree, *key).is_some_and(otherwise));
    found.iter().for_each(|key| write_start(tree, *key, to));
    found.iter().map(|key| tree.path(*key)).collect()
}

/// Makes a driver start at boot on every machine; gives the paths of the keys that changed.
fn start_at_boot(tree: &mut Tree<'_>, sets: &[KeyId], name: &str) -> Vec<String> {
    let mut changed = Vec::new();
    for key in services(tree, sets, name) {
        let Some(before) = start(tree, key) else { continue };
        // how the driver starts on single machines, in spite of Start
        let exceptions = tree.subkey(key, &Name::from("StartOverride"));
        if before != BOOT || exceptions.is_some() {
            write_start(tree, key, BOOT);
            exceptions.into_iter().for_each(|key| tree.remove_key(key));
            changed.push(tree.path(key));
        }
    }
    changed
}

/// Takes a driver out of the filters of all classes of devices and of all devices; a list without elements goes. Gives
/// where it was.
fn unfilter(tree: &mut Tree<'_>, sets: &[KeyId], driver: &str) -> Vec<String> {
    let below = |tree: &Tree<'_>, keys: Vec<KeyId>| -> Vec<KeyId> {
        keys.into_iter().flat_map(|key| tree.key(key).subkeys().to_vec()).collect()
    };
    let of = |path: &str| sets.iter().filter_map(|set| tree.descendant(*set, path)).collect();
    let classes = below(tree, of("Control\\Class"));
    // a device is an enumerator's, below its hardware id
    let devices = below(tree, below(tree, below(tree, of("Enum"))));
    let filtered = classes.into_iter().chain(devices);
    let mut changed = Vec::new();
    for (class, list) in filtered.flat_map(|key| FILTER_LISTS.map(|list| (key, list))) {
        let name = Name::from(list);
        let Some(mut filters) = tree.value(class, &name).and_then(Data::texts) else { continue };
        let before = filters.len();
        filters.retain(|filter| !same(filter, driver));
        if filters.len() == before {
            continue;
        }
        match filters.is_empty() {
            true => tree.remove_value(class, &name),
            false => tree.set_value(class, name, multi_string(filters.iter().map(String::as_str))),
        }
        changed.push(format!("{} : {list} : {driver}", tree.path(class)));
    }
    changed
}

/// Names of services compare without case.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
