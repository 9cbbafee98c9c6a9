//! The registry in layers: what changed in a hive, and all changes put into the hives of a composite.
//!
//! ```text
//! capture:  hive of the composite + its logs ─┐
//!           hive of the returned disk + logs ─┴─► hive::Delta, without what no layer carries ─► manifest
//! compose:  hive of the OS version + its logs ─► the deltas of all layers, lowest first ─► one new hive, no logs
//! ```
//!
//! In the SYSTEM hive one control set is compared and changed under the name `CurrentControlSet`, whatever its number:
//! compared the one in use, changed and shown the one that the composite starts with. Other sets are left as they are.
//! Which values are lists (`lists.txt`) and what no layer carries (`never-captured.txt`) are data.

mod accounts;
mod compose;
mod conflicts;
mod files;
mod keys;
mod leave_out;
mod lists;
mod never;
mod packages;
mod patterns;
mod profiles;

pub(crate) use accounts::{accounts_changed, settings_changed};
pub(crate) use compose::{Composition, RegistryLayer, Rules};
pub(crate) use conflicts::conflicts;
pub(crate) use files::read;
pub(crate) use keys::Keys;
pub(crate) use leave_out::leave_out;
pub(crate) use lists::ListValues;
pub(crate) use never::NeverCapturedKeys;
pub(crate) use packages::{mof_files, windows_packages};
pub(crate) use patterns::lines;
pub(crate) use profiles::service_profiles;

use crate::plan::warning;
use crate::recipes::{CleanUp, Done};
use crate::report::{RegistryConflict, Warning};
use hive::{Data, Delta, Hive, KeyId, KeyRole, Name, Repair, Tree, Upcase};

/// Under which name the control set in use is known.
pub(crate) const CURRENT_CONTROL_SET: &str = "CurrentControlSet";

/// A kind of hive: what Windows mounts it as, and what its keys mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HiveKind {
    /// `HKEY_LOCAL_MACHINE\SYSTEM`.
    System,
    /// `HKEY_LOCAL_MACHINE\SOFTWARE`.
    Software,
    /// `HKEY_USERS\.DEFAULT`.
    Default,
    /// `HKEY_LOCAL_MACHINE\COMPONENTS`, mounted while components are serviced.
    Components,
    /// `HKEY_LOCAL_MACHINE\DRIVERS`, mounted while drivers are installed.
    Drivers,
    /// A user's `HKEY_CURRENT_USER`.
    User,
    /// A user's `HKEY_CURRENT_USER\Software\Classes`.
    Classes,
}

/// Every kind with its name in the lists.
const KINDS: [(HiveKind, &str); 7] = [
    (HiveKind::System, "SYSTEM"),
    (HiveKind::Software, "SOFTWARE"),
    (HiveKind::Default, "DEFAULT"),
    (HiveKind::Components, "COMPONENTS"),
    (HiveKind::Drivers, "DRIVERS"),
    (HiveKind::User, "USER"),
    (HiveKind::Classes, "CLASSES"),
];

impl HiveKind {
    /// The kind with this name in the lists.
    pub(crate) fn parse(name: &str) -> Option<HiveKind> {
        KINDS.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(kind, _)| *kind)
    }

    /// Whether it lies in `\Windows\System32\config`.
    pub(crate) fn is_of_machine(self) -> bool {
        !matches!(self, HiveKind::User | HiveKind::Classes)
    }

    /// Its name in the lists.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// The bytes of a hive with those of its logs.
#[derive(Debug, Clone, Default)]
pub struct HiveFiles {
    /// The hive.
    pub file: Vec<u8>,
    /// `.LOG`, `.LOG1` and `.LOG2`, those that exist.
    pub logs: Vec<Vec<u8>>,
}

impl HiveFiles {
    /// The hive with its logs applied; [`hive::Error::Dirty`] when its last write is incomplete and no log completes it.
    pub(crate) fn open(self) -> hive::Result<Hive> {
        let logs: Vec<&[u8]> = self.logs.iter().map(Vec::as_slice).collect();
        Hive::open(self.file, &logs)
    }

    /// The same, but an incomplete last write is taken as it is.
    pub(crate) fn open_dirty(self) -> hive::Result<Hive> {
        let logs: Vec<&[u8]> = self.logs.iter().map(Vec::as_slice).collect();
        Hive::open_dirty(self.file, &logs)
    }
}

/// What changed in a hive between the composite and the returned disk.
#[derive(Debug)]
pub struct HiveChange {
    /// The change, without what no layer carries.
    pub delta: Delta,
    /// What was mended in the returned hive.
    pub repairs: Vec<Repair>,
}

/// The remark that hives were mended, each with what was wrong with it.
pub(crate) fn mended_warning(hives: Vec<String>) -> Option<Warning> {
    let message = "registry hives broke rules of their format, and were read all the same";
    (!hives.is_empty()).then(|| warning("hive-mended", message, hives))
}

/// What was mended in the hive at a path, in words.
pub(crate) fn mended(path: &str, repairs: &[Repair]) -> impl Iterator<Item = String> {
    repairs.iter().map(move |repair| format!("{path}: {} ({} times)", repair.rule, repair.count))
}

/// Which side of a comparison a hive that cannot be read is on.
#[derive(Debug)]
pub enum Side {
    /// The composite that the disk was written from.
    Composite,
    /// The returned disk.
    Returned,
}

/// Compares the two states of a hive. `accept_dirty` takes the returned one even if its last write is incomplete; the
/// composite's was accepted when its OS version was stored.
pub(crate) fn changes(
    kind: HiveKind,
    upcase: &Upcase,
    base: HiveFiles,
    (new, accept_dirty): (HiveFiles, bool),
    never: &NeverCapturedKeys,
) -> Result<HiveChange, (Side, hive::Error)> {
    let composite = |error| (Side::Composite, error);
    let returned = |error| (Side::Returned, error);
    let base = base.open_dirty().map_err(composite)?;
    let new = if accept_dirty { new.open_dirty() } else { new.open() };
    let new = new.map_err(returned)?;
    let (mut before, _) = Tree::load(&base, upcase).map_err(composite)?;
    let (mut after, repairs) = Tree::load(&new, upcase).map_err(returned)?;
    if kind == HiveKind::System {
        // The composite's changes are in the set that it starts with next; a machine that did has that one in use.
        let number = |tree: &Tree<'_>, set: Option<KeyId>| set.map(|set| tree.key(set).name.to_string());
        let (next, in_use) = (next_set(&before), set_in_use(&after));
        let started = number(&before, next) == number(&after, in_use);
        let base = if started { next } else { set_in_use(&before) };
        let enter = |tree: &mut _, set: Option<KeyId>| set.and_then(|set| enter_set(tree, set)).is_some();
        match (enter(&mut before, base), enter(&mut after, in_use)) {
            (true, true) => {
                // the sets that are not in use are no part of what a layer carries
                for tree in [&mut before, &mut after] {
                    for other in control_sets(tree) {
                        tree.remove_key(other);
                    }
                }
            }
            (false, false) => {}
            (true, false) => return Err(returned(no_control_set())),
            (false, true) => return Err(composite(no_control_set())),
        }
    }
    let mut delta = Delta::between(&before, &after);
    never.leave_out(kind, &mut delta);
    Ok(HiveChange { delta, repairs })
}

/// The paths of keys and values in which two states of a boot configuration differ.
pub(crate) fn changed_elements(was: &HiveFiles, is: &HiveFiles) -> hive::Result<Vec<String>> {
    let upcase = Upcase::unicode();
    let (was, is) = (was.clone().open()?, is.clone().open()?);
    let (before, _) = Tree::load(&was, &upcase)?;
    let (after, _) = Tree::load(&is, &upcase)?;
    let delta = Delta::between(&before, &after);
    let mut elements = Vec::new();
    for (position, key) in delta.keys.iter().enumerate() {
        if key.role != KeyRole::Context || !key.values.is_empty() {
            elements.push(delta.path(position));
        }
    }
    Ok(elements)
}

/// A hive with the changes of layers in it, not yet written.
pub(crate) struct Merged<'h> {
    tree: Tree<'h>,
    set: Option<(KeyId, Name<'h>)>,
    /// What more than one layer, or a layer and a changed OS, claim.
    pub(crate) conflicts: Vec<RegistryConflict>,
    /// What was met, layer by layer.
    pub(crate) notices: Vec<(&'h Delta, Vec<hive::Notice>)>,
    /// What was mended in the hive as it was read.
    pub(crate) repairs: Vec<Repair>,
}

impl Merged<'_> {
    /// Applies the recipes, which call the hive's root `place`; gives the new file, `None` when neither layers nor recipes
    /// changed anything, and what the recipes changed.
    pub(crate) fn finish(
        mut self,
        (kind, place): (HiveKind, &str),
        recipes: &CleanUp,
    ) -> hive::Result<(Option<Vec<u8>>, Vec<Done>)> {
        if let Some((set, name)) = self.set
            && !self.tree.rename_key(set, name.clone())
        {
            let what =
                format!("changes of {name} beside those of the control set in use, which has this number");
            return Err(hive::Error::Unsupported { what });
        }
        let applied = recipes.apply(kind, &mut self.tree, place);
        let changed = !self.notices.is_empty() || !applied.is_empty();
        let file = if changed { Some(self.tree.write()?) } else { None };
        Ok((file, applied))
    }
}

/// A hive of a kind, with what its names and values mean.
#[derive(Clone, Copy)]
pub(crate) struct Meaning<'h> {
    pub(crate) kind: HiveKind,
    /// What reports call the hive.
    pub(crate) shown: &'h str,
    /// How names compare.
    pub(crate) upcase: &'h Upcase,
    /// Which values are lists.
    pub(crate) lists: &'h ListValues,
}

/// Applies the changes of layers to a hive, lowest layer first. `os` is the reference of the OS version that the hive is
/// of; there is none for a hive that a layer brings.
pub(crate) fn merge<'h>(
    meaning: Meaning<'h>,
    hive: &'h Hive,
    layers: &[(&RegistryLayer<'_>, &'h Delta)],
    os: Option<&str>,
) -> hive::Result<Merged<'h>> {
    let (mut tree, repairs) = Tree::load(hive, meaning.upcase)?;
    let set = match meaning.kind {
        HiveKind::System => enter_next_set(&mut tree),
        _ => None,
    };
    let of_set = |delta: &&Delta| {
        let mut keys = delta.keys.iter().skip(1).filter(|key| key.parent == 0);
        keys.any(|key| meaning.upcase.same(&key.name, &Name::from(CURRENT_CONTROL_SET)))
    };
    if meaning.kind == HiveKind::System && set.is_none() && layers.iter().any(|(_, delta)| of_set(delta)) {
        return Err(no_control_set());
    }
    let lists = meaning.lists.of(meaning.kind);
    let conflicts = conflicts::of_hive(&tree, meaning.shown, layers, &lists, os);
    let notices = layers.iter().map(|(_, delta)| (*delta, tree.apply(delta, &lists))).collect();
    Ok(Merged { tree, set, conflicts, notices, repairs })
}

/// One change of a hive and another one after it, as one. `below` is the hive without both, where it is known.
pub(crate) fn in_sequence(
    kind: HiveKind,
    (upcase, lists): (&Upcase, &ListValues),
    below: Option<HiveFiles>,
    (first, next): (&Delta, &Delta),
) -> hive::Result<Delta> {
    let lists = lists.of(kind);
    let Some(below) = below else { return Ok(first.then(next, None, upcase, &lists)) };
    let hive = below.open_dirty()?;
    let (mut tree, _) = Tree::load(&hive, upcase)?;
    if kind == HiveKind::System {
        enter_next_set(&mut tree);
    }
    Ok(first.then(next, Some(&tree), upcase, &lists))
}

fn no_control_set() -> hive::Error {
    let what = "no control set that Select names, as Windows needs one to start".to_owned();
    hive::Error::Unsupported { what }
}

/// The control set that Windows starts with next, if `name` is what the one in use is known as.
pub(crate) fn current_set(tree: &Tree<'_>, name: &Name<'_>) -> Option<KeyId> {
    let asked = tree.upcase().same(name, &Name::from(CURRENT_CONTROL_SET));
    asked.then(|| next_set(tree)).flatten()
}

/// The control set that Windows started with last.
fn set_in_use(tree: &Tree<'_>) -> Option<KeyId> {
    selected_set(tree, "Current")
}

/// The control set that Windows starts with next.
fn next_set(tree: &Tree<'_>) -> Option<KeyId> {
    selected_set(tree, "Default").or_else(|| set_in_use(tree))
}

fn selected_set(tree: &Tree<'_>, purpose: &str) -> Option<KeyId> {
    let select = tree.subkey(tree.root(), &Name::from("Select"))?;
    let number = tree.value(select, &Name::from(purpose)).and_then(Data::number)?;
    tree.subkey(tree.root(), &Name::from(format!("ControlSet{number:03}").as_str()))
}

/// Gives the control set in use the name [`CURRENT_CONTROL_SET`]; with it, the name that it had.
pub(crate) fn enter_current_set<'h>(tree: &mut Tree<'h>) -> Option<(KeyId, Name<'h>)> {
    let set = set_in_use(tree)?;
    enter_set(tree, set)
}

/// The same with the control set that Windows starts with next.
pub(crate) fn enter_next_set<'h>(tree: &mut Tree<'h>) -> Option<(KeyId, Name<'h>)> {
    let set = next_set(tree)?;
    enter_set(tree, set)
}

fn enter_set<'h>(tree: &mut Tree<'h>, set: KeyId) -> Option<(KeyId, Name<'h>)> {
    let name = tree.key(set).name.clone();
    // a key of that name would be a link, which Windows makes in memory only
    if let Some(link) = tree.subkey(tree.root(), &Name::from(CURRENT_CONTROL_SET)) {
        tree.remove_key(link);
    }
    tree.rename_key(set, Name::from(CURRENT_CONTROL_SET)).then_some((set, name))
}

/// The control sets that are called by their numbers: all, unless the one in use was entered.
pub(crate) fn control_sets(tree: &Tree<'_>) -> Vec<KeyId> {
    let is_set = |key: &KeyId| is_control_set(&tree.key(*key).name.to_string());
    tree.key(tree.root()).subkeys().iter().copied().filter(is_set).collect()
}

/// Whether this is the name of a control set with its number, such as `ControlSet001`.
pub(crate) fn is_control_set(name: &str) -> bool {
    let number = name.get(..10).filter(|start| start.eq_ignore_ascii_case("ControlSet")).map(|_| &name[10..]);
    number.is_some_and(|number| number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit()))
}
