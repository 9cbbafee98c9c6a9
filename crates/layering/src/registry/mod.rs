//! The registry in layers: what changed in a hive, and all changes put into the hives of a composite.
//!
//! ```text
//! capture:  hive of the composite + its logs ─┐
//!           hive of the returned disk + logs ─┴─► hive::Delta, without what no layer carries ─► manifest
//! compose:  hive of the OS version + its logs ─► the deltas of all layers, lowest first ─► one new hive, no logs
//! ```
//!
//! In the SYSTEM hive the control set that is in use is compared and changed under the name `CurrentControlSet`, whatever
//! its number; other sets are left as they are. Which values are lists (`lists.txt`) and what no layer carries
//! (`never-captured.txt`) are data.

mod accounts;
mod compose;
mod files;
mod lists;
mod never;
mod packages;
mod patterns;

pub(crate) use accounts::accounts_changed;
pub(crate) use compose::{RegistryLayer, Rules, update};
pub(crate) use files::read;
pub(crate) use lists::ListValues;
pub(crate) use never::NeverCapturedKeys;
pub(crate) use packages::windows_packages;
pub(crate) use patterns::lines;

use crate::recipes::{CleanUp, Done};
use hive::{Data, Delta, Hive, KeyId, KeyRole, Name, Recovery, Repair, Tree, Upcase};

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
        for tree in [&mut before, &mut after] {
            if enter_current_set(tree).is_some() {
                // the sets that are not in use are no part of what a layer carries
                for other in control_sets(tree) {
                    tree.remove_key(other);
                }
            }
        }
    }
    let mut delta = Delta::between(&before, &after);
    delta.retain(|path, value| never.keeps(kind, path, value));
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

/// What became of a hive.
pub(crate) struct Merged {
    /// The new file; `None` when nothing changed.
    pub(crate) file: Option<Vec<u8>>,
    /// What was met, by layer.
    pub(crate) notices: Vec<Vec<hive::Notice>>,
    /// What recipes changed.
    pub(crate) applied: Vec<Done>,
    /// Whether the last write of the hive had not been completed, and no log completed it.
    pub(crate) was_dirty: bool,
}

/// Applies changes to a hive, lowest layer first, and then the recipes, which call the hive's root `place`. One
/// whose last write is incomplete is taken as it is: that was accepted when its OS version was stored.
pub(crate) fn merge(
    (kind, place): (HiveKind, &str),
    upcase: &Upcase,
    target: HiveFiles,
    deltas: &[&Delta],
    lists: &ListValues,
    recipes: &CleanUp,
) -> hive::Result<Merged> {
    let hive = target.open_dirty()?;
    let was_dirty = hive.recovery() == Recovery::Ignored;
    let (mut tree, _) = Tree::load(&hive, upcase)?;
    let entered = if kind == HiveKind::System { enter_current_set(&mut tree) } else { None };
    let lists = lists.of(kind);
    let notices = deltas.iter().map(|delta| tree.apply(delta, &lists)).collect();
    if let Some((set, name)) = entered {
        tree.rename_key(set, name);
    }
    let applied = recipes.apply(kind, &mut tree, place);
    let changed = !deltas.is_empty() || !applied.is_empty();
    let file = if changed { Some(tree.write()?) } else { None };
    Ok(Merged { file, notices, applied, was_dirty })
}

/// Gives the control set in use the name [`CURRENT_CONTROL_SET`]; with it, the name that it had.
pub(crate) fn enter_current_set<'h>(tree: &mut Tree<'h>) -> Option<(KeyId, Name<'h>)> {
    let select = tree.subkey(tree.root(), &Name::from("Select"))?;
    let number = tree.value(select, &Name::from("Current")).and_then(Data::number)?;
    let set = tree.subkey(tree.root(), &Name::from(format!("ControlSet{number:03}").as_str()))?;
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
