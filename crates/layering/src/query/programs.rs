//! Installed programs, from the keys in which installers list them for removal.
//!
//! As in Windows' own list, entries without a name, system components and updates of other entries are left out.
//! Deliberately missing: apps from the store, which are no entries there.

use super::body::{Body, Volume, body};
use super::hives::{HiveName, of_layer, unicode};
use super::registry::{damaged, unreadable_warning};
use super::rows::{number, shown};
use crate::catalog::{Catalog, Entry, Version};
use crate::manifest::Manifest;
use crate::record::Pinned;
use crate::registry::HiveKind;
use crate::report::{DiffKind, Program, Warning};
use crate::{Error, Result};
use hive::{Data, Delta, Hive, KeyRole, Name, Tree, Upcase, value_kind};
use operation::Progress;
use std::collections::{BTreeMap, HashMap};
use store::Session;

/// Where programs are listed: in which kind of hive, below which key, and whether 64-bit programs look elsewhere.
const PLACES: [(HiveKind, &str, bool); 3] = [
    (HiveKind::Software, "Microsoft\\Windows\\CurrentVersion\\Uninstall", false),
    (HiveKind::Software, "Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall", true),
    (HiveKind::User, "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall", false),
];

const NAME: &str = "DisplayName";
const VERSION: &str = "DisplayVersion";
const PUBLISHER: &str = "Publisher";
const INSTALLED: &str = "InstallDate";
const COMPONENT: &str = "SystemComponent";
const PARENT: &str = "ParentKeyName";

/// The values of an entry that count.
type Values = BTreeMap<&'static str, Data<'static>>;

/// Which of the values that count this one is.
fn that_counts(name: &Name<'_>) -> Option<&'static str> {
    let all = [NAME, VERSION, PUBLISHER, INSTALLED, COMPONENT, PARENT];
    all.into_iter().find(|known| unicode().same(&Name::from(*known), name))
}

/// What is said of a program in its entry; `None` for what Windows does not list either.
fn program(values: &Values, hive: &HiveName, key: &Name<'_>, wow64: bool) -> Option<Program> {
    let text = |name| {
        let data: &Data<'_> = values.get(name)?;
        let is_text = [value_kind::SZ, value_kind::EXPAND_SZ].contains(&data.kind);
        let text = shown(data).data.trim().to_owned();
        (is_text && !text.is_empty()).then_some(text)
    };
    let component = values.get(COMPONENT).and_then(number).is_some_and(|number| number != 0);
    if component || text(PARENT).is_some() {
        return None;
    }
    Some(Program {
        name: text(NAME)?,
        version: text(VERSION),
        publisher: text(PUBLISHER),
        installed: text(INSTALLED),
        hive: hive.shown().to_owned(),
        key: key.to_string(),
        wow64,
        change: None,
        version_before: None,
    })
}

/// The places of a kind of hive.
fn places(kind: Option<HiveKind>) -> impl Iterator<Item = (&'static str, bool)> {
    PLACES.iter().filter(move |(own, _, _)| Some(*own) == kind).map(|(_, key, wow64)| (*key, *wow64))
}

fn sorted(mut programs: Vec<Program>) -> Vec<Program> {
    programs.sort_by_cached_key(|program| {
        (program.name.to_lowercase(), program.hive.clone(), program.key.clone())
    });
    programs
}

/// What is installed on a volume. Hives that cannot be read are named in a warning.
pub(crate) fn of_volume(volume: &Volume, progress: &dyn Progress) -> Result<(Vec<Program>, Vec<Warning>)> {
    let upcase = volume.upcase();
    let (mut programs, mut unreadable) = (Vec::new(), Vec::new());
    for hive in volume.hives().iter().filter(|hive| places(hive.kind).next().is_some()) {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let found = volume.read(hive).and_then(|opened| {
            // as a whole, which also tells whether keys lead to each other in circles
            let (tree, _) = Tree::load(&opened, &upcase).map_err(|source| damaged(volume, hive, source))?;
            Ok(places(hive.kind).flat_map(|(key, wow64)| listed(&tree, &hive.name, key, wow64)).collect())
        });
        match found {
            Ok(found) => programs.extend::<Vec<Program>>(found),
            Err(error @ (Error::Hive { .. } | Error::Io { .. })) => unreadable.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok((sorted(programs), unreadable_warning(unreadable).into_iter().collect()))
}

fn listed(tree: &Tree<'_>, hive: &HiveName, key: &str, wow64: bool) -> Vec<Program> {
    let Some(list) = tree.descendant(tree.root(), key) else { return Vec::new() };
    let entry = |key: &hive::KeyId| {
        let key = tree.key(*key);
        let mut values = Values::new();
        for value in key.values() {
            if let Some(name) = that_counts(&value.name) {
                // of several with one name the first is found
                values.entry(name).or_insert_with(|| value.data.clone().into_owned());
            }
        }
        program(&values, hive, &key.name, wow64)
    };
    tree.key(list).subkeys().iter().filter_map(entry).collect()
}

/// The programs that a layer version adds, changes and removes.
pub(crate) fn of_version(
    session: &Session,
    catalog: &Catalog<'_>,
    (version, manifest): (&Version, &Manifest),
    progress: &dyn Progress,
) -> Result<Vec<Program>> {
    let mut base = Base {
        session,
        catalog,
        version,
        progress,
        volume: None,
        prerequisites: None,
        hives: HashMap::new(),
    };
    let mut programs = Vec::new();
    for hive in of_layer(manifest) {
        for (list, wow64) in places(hive.kind) {
            let path: Vec<Name<'static>> = list.split('\\').map(Name::from).collect();
            let Some(part) = hive.record.delta.below(&path, unicode()) else { continue };
            for position in entries(&part, path.len()) {
                let key = &part.keys[position];
                let [before, after] = base.both(&hive.name, list, &part, position)?;
                let [before, after] =
                    [before, after].map(|values| program(&values?, &hive.name, &key.name, wow64));
                programs.extend(change(before, after));
            }
        }
    }
    Ok(sorted(programs))
}

/// The positions of the keys that lie so many names below the list's root: the entries of the list.
fn entries(part: &Delta, list: usize) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(part.keys.len());
    for (position, key) in part.keys.iter().enumerate() {
        depths.push(if position == 0 { 0 } else { depths[key.parent as usize] + 1 });
    }
    (0..part.keys.len()).filter(|position| depths[*position] == list + 1).collect()
}

fn change(before: Option<Program>, after: Option<Program>) -> Option<Program> {
    match (before, after) {
        (None, None) => None,
        (None, Some(program)) => Some(Program { change: Some(DiffKind::Added), ..program }),
        (Some(program), None) => Some(Program { change: Some(DiffKind::Removed), ..program }),
        (Some(before), Some(after)) if before == after => None,
        (Some(before), Some(after)) => {
            let version_before = before.version.filter(|before| Some(before) != after.version.as_ref());
            Some(Program { change: Some(DiffKind::Changed), version_before, ..after })
        }
    }
}

/// What a layer version was captured over, as far as it is needed and still there: what it changes of an entry does not
/// tell the entry's other values.
struct Base<'b> {
    session: &'b Session,
    catalog: &'b Catalog<'b>,
    version: &'b Version,
    progress: &'b dyn Progress,
    volume: Option<Option<Volume>>,
    prerequisites: Option<Vec<Manifest>>,
    /// Hives of the volume by the path of their file.
    hives: HashMap<String, Option<Hive>>,
}

impl Base<'_> {
    /// The values of an entry before and after the layer version's change.
    fn both(
        &mut self,
        hive: &HiveName,
        list: &str,
        part: &Delta,
        position: usize,
    ) -> Result<[Option<Values>; 2]> {
        let key = &part.keys[position];
        let counting = || key.values.iter().filter_map(|value| Some((that_counts(&value.name)?, value)));
        let known = match key.role {
            KeyRole::Added | KeyRole::Removed => Values::new(),
            KeyRole::Context | KeyRole::Changed { .. } if counting().next().is_none() => {
                return Ok([None, None]);
            }
            KeyRole::Context | KeyRole::Changed { .. } => self.values(hive, list, &key.name)?,
        };
        let (mut before, mut after) = (known.clone(), known);
        for (name, value) in counting() {
            for (values, data) in [(&mut before, &value.before), (&mut after, &value.after)] {
                match data {
                    Some(data) => values.insert(name, data.clone()),
                    None => values.remove(name),
                };
            }
        }
        let (added, removed) = (key.role == KeyRole::Added, key.role == KeyRole::Removed);
        Ok([(!added).then_some(before), (!removed).then_some(after)])
    }

    /// The values of an entry below the layer version. Without the OS version the entry is known by its key's name alone.
    fn values(&mut self, hive: &HiveName, list: &str, key: &Name<'static>) -> Result<Values> {
        let mut values = self
            .of_os(hive, list, key)?
            .unwrap_or_else(|| Values::from([(NAME, hive::string(value_kind::SZ, &key.to_string()))]));
        let path: Vec<Name<'static>> = list.split('\\').map(Name::from).chain([key.clone()]).collect();
        if self.prerequisites.is_none() {
            let captured = self.version.record.captured.as_ref();
            let pinned = captured.map_or(&[][..], |captured| &captured.prerequisites);
            let mut manifests = Vec::new();
            for version in pinned.iter().filter_map(|pinned| self.still_there(pinned)) {
                manifests.push(self.catalog.manifest(&version)?);
            }
            self.prerequisites = Some(manifests);
        }
        for manifest in self.prerequisites.iter().flatten() {
            for lower in of_layer(manifest).iter().filter(|lower| lower.name == *hive) {
                let Some(part) = lower.record.delta.below(&path, unicode()) else { continue };
                for position in entries(&part, path.len() - 1) {
                    for value in &part.keys[position].values {
                        match (that_counts(&value.name), &value.after) {
                            (Some(name), Some(data)) => drop(values.insert(name, data.clone())),
                            (Some(name), None) => drop(values.remove(name)),
                            (None, _) => {}
                        }
                    }
                }
            }
        }
        Ok(values)
    }

    /// What a reference led to when the version was captured, if it still leads there.
    fn still_there(&self, pinned: &Pinned) -> Option<Version> {
        match self.catalog.resolve(&pinned.reference) {
            Ok(Entry::Version(version)) => version.is(pinned.id).then_some(version),
            _ => None,
        }
    }

    /// The values of an entry of the OS version; `None` where that is gone or lacks the entry.
    fn of_os(&mut self, name: &HiveName, list: &str, key: &Name<'_>) -> Result<Option<Values>> {
        if self.volume.is_none() {
            let captured = self.version.record.captured.as_ref();
            let os = captured.and_then(|captured| self.still_there(&captured.os));
            let opened = os
                .map(|os| body(self.session, self.catalog, &Entry::Version(os), self.progress))
                .transpose()?;
            self.volume = Some(match opened {
                Some(Body::Volume(volume)) => Some(volume),
                _ => None,
            });
        }
        let Some(volume) = self.volume.as_ref().and_then(Option::as_ref) else { return Ok(None) };
        let upcase = volume.upcase();
        let hive = self.hives.entry(name.path.clone()).or_insert_with(|| {
            let hives = volume.hives();
            let found = hives.iter().find(|hive| hive.name.path.eq_ignore_ascii_case(&name.path));
            found.and_then(|hive| volume.read(hive).ok())
        });
        // what cannot be read here was said when the OS version was shown, and the layer stands alone
        Ok(hive.as_ref().and_then(|hive| entry(hive, &upcase, list, key).ok().flatten()))
    }
}

fn entry(hive: &Hive, upcase: &Upcase, list: &str, key: &Name<'_>) -> hive::Result<Option<Values>> {
    let Some(list) = hive.root()?.descendant(upcase, list)? else { return Ok(None) };
    let Some(key) = list.subkey(upcase, key)? else { return Ok(None) };
    let mut values = Values::new();
    for value in key.values()? {
        let value = value?;
        if let Some(name) = that_counts(&value.name) {
            values.entry(name).or_insert_with(|| value.data.into_owned());
        }
    }
    Ok(Some(values))
}
