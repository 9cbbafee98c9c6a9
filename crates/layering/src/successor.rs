//! The manifest of a version that starts from an older one: the base version's manifest changed by what was done on
//! the packaging disk. It stands alone.

use crate::hives::{self, Role};
use crate::manifest::*;
use crate::registry::{self, HiveFiles, ListValues};
use crate::{Error, Result};
use hive::Upcase;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use volume::{Kind, Metadata, Name, Tree};

/// A path from the root, in the form by which the volume compares names.
type Folded = Vec<Name>;

/// The packaging disk without the base version: the OS version and the prerequisites.
pub(crate) trait Below {
    /// Whether there is something at a path.
    fn exists(&self, directory: &[&Name], name: &Name) -> bool;

    /// A hive with its logs, if it is there.
    fn hive(&mut self, directory: &[Name], name: &Name) -> Result<Option<HiveFiles>>;
}

/// `base` changed by `change`, which was captured on a disk that contained `base`. Only what is on the disk `below` as well
/// has to be taken away still when what the base brought is deleted. `tree` says how names compare.
pub(crate) fn successor(
    base: &Manifest,
    change: &Manifest,
    tree: &Tree,
    (upcase, lists): (&Upcase, &ListValues),
    below: &mut dyn Below,
) -> Result<Manifest> {
    let mut draft = Draft::default();
    let base_paths = folded_directories(base, tree);
    let change_paths = folded_directories(change, tree);
    draft.directories(base, &base_paths);
    draft.directories(change, &change_paths);
    for (position, record) in change.directories.iter().enumerate().skip(1) {
        let parents = change.directory_path(record.parent);
        if matches!(record.role, DirectoryRole::Changed { .. }) && below.exists(&parents, &record.name) {
            draft.changed(&change_paths[position], record.role);
        }
    }

    let path = |paths: &[Folded], directory: u32, name: &Name| -> Folded {
        let mut path = paths[directory as usize].clone();
        path.push(tree.fold(name));
        path
    };
    // Which file of the base, if any, has a name at a path.
    let mut files: Vec<Option<DraftFile>> = Vec::new();
    let mut at: HashMap<Folded, usize> = HashMap::new();
    for file in &base.files {
        let index = files.len();
        let file = DraftFile::new(file, base, &base_paths);
        for name in &file.names {
            at.insert(name.path(tree), index);
        }
        files.push(Some(file));
    }
    let take_name = |files: &mut Vec<Option<DraftFile>>, at: &mut HashMap<Folded, usize>, path: &Folded| {
        let index = at.remove(path)?;
        let file = files[index].as_mut()?;
        file.names.retain(|name| name.path(tree) != *path);
        let before = file.record.before;
        if file.names.is_empty() {
            files[index] = None;
        }
        Some(before)
    };

    let mut deletions: BTreeMap<Folded, DraftDeletion> = BTreeMap::new();
    for deletion in &base.deletions {
        let key = path(&base_paths, deletion.directory, &deletion.name);
        deletions.insert(key, DraftDeletion::new(deletion, base, &base_paths));
    }
    let mut gone: BTreeSet<Folded> = BTreeSet::new();
    for deletion in &change.deletions {
        let key = path(&change_paths, deletion.directory, &deletion.name);
        let own = match deletion.kind {
            Kind::File => take_name(&mut files, &mut at, &key),
            Kind::Directory => draft.forget(&key).then_some(None),
        };
        gone.insert(key.clone());
        // Where the base had taken away something of the other kind to make room, that deletion stays as it is.
        if own.is_some() && deletions.contains_key(&key) {
            continue;
        }
        let parents = change.directory_path(deletion.directory);
        if own.is_none() || below.exists(&parents, &deletion.name) {
            let mut draft = DraftDeletion::new(deletion, change, &change_paths);
            if let Some(before) = own {
                draft.record.before = before;
            }
            deletions.insert(key, draft);
        }
    }
    for file in &change.files {
        let mut new = DraftFile::new(file, change, &change_paths);
        let lower = new.lower_names.iter().find_map(|name| at.get(&name.path(tree)).copied());
        for name in &new.names {
            let key = name.path(tree);
            came_back(&mut deletions, &key, Kind::File);
            if let Some(before) = take_name(&mut files, &mut at, &key) {
                // What matters is what the layer found, not what an older version of the layer had put there.
                new.record.before = before;
            }
        }
        match lower.and_then(|index| files[index].as_mut().map(|file| (index, file))) {
            Some((index, file)) => {
                // What is recorded of the file is what it is now; an older version may have found another below.
                file.metadata = new.metadata;
                file.record.streams = new.record.streams;
                file.record.binary_version = new.record.binary_version;
                for name in new.names {
                    at.insert(name.path(tree), index);
                    file.names.push(name);
                }
            }
            None => {
                for name in &new.names {
                    let key = name.path(tree);
                    at.insert(key.clone(), files.len());
                    gone.insert(key);
                }
                files.push(Some(new));
            }
        }
    }
    // A link to a lower file loses the names that are gone as well, and those that lead to another file now.
    for file in files[..base.files.len()].iter_mut().flatten() {
        file.lower_names.retain(|name| !gone.contains(&name.path(tree)));
    }
    for (path, directory) in &mut draft.directories {
        if directory.record.role == DirectoryRole::Created && came_back(&mut deletions, path, Kind::Directory)
        {
            // It lies below as well, where only what was changed is carried: all of it was.
            directory.record.role = DirectoryRole::Changed {
                name: true,
                security: true,
                attributes: true,
                times: true,
                properties: true,
            };
        }
    }
    let mut hives: BTreeMap<Folded, DraftHive> = BTreeMap::new();
    for (manifest, paths) in [(base, &base_paths), (change, &change_paths)] {
        for record in &manifest.hives {
            let key = path(paths, record.directory, &record.name);
            // What the base changed in a hive is gone with the hive, also when another one is in its place now.
            if std::ptr::eq(manifest, base) && gone.contains(&key) {
                continue;
            }
            let directory = paths[record.directory as usize].clone();
            match hives.get_mut(&key) {
                None => {
                    hives.insert(key, DraftHive { directory, record: record.clone() });
                }
                Some(hive) => {
                    let parents =
                        manifest.directory_path(record.directory).into_iter().cloned().collect::<Vec<_>>();
                    let kind = match hives::role(tree, &parents, &record.name) {
                        Some(Role::Hive(kind)) => kind,
                        _ => continue,
                    };
                    // of a hive that the layer brings itself nothing lies below
                    let below =
                        if at.contains_key(&key) { None } else { below.hive(&parents, &record.name)? };
                    let changes = (&hive.record.delta, &record.delta);
                    let both = registry::in_sequence(kind, (upcase, lists), below, changes);
                    let context = || manifest.display_path(record.directory, &record.name);
                    hive.record.delta = both.map_err(|source| Error::Hive { context: context(), source })?;
                }
            }
        }
    }
    hives.retain(|_, hive| !hive.record.delta.is_empty());
    Ok(draft.finish(files.into_iter().flatten().collect(), deletions, hives, tree))
}

/// Forgets the deletion of what is there again, and says whether there was one; a deletion of something of another kind
/// still makes room for it.
fn came_back(deletions: &mut BTreeMap<Folded, DraftDeletion>, path: &Folded, kind: Kind) -> bool {
    let same = deletions.get(path).is_some_and(|deletion| deletion.record.kind == kind);
    if same {
        deletions.remove(path);
    }
    same
}

fn folded_directories(manifest: &Manifest, tree: &Tree) -> Vec<Folded> {
    let mut paths: Vec<Folded> = Vec::with_capacity(manifest.directories.len());
    for (position, directory) in manifest.directories.iter().enumerate() {
        let path = match position {
            0 => Folded::new(),
            _ => {
                let mut path = paths[directory.parent as usize].clone();
                path.push(tree.fold(&directory.name));
                path
            }
        };
        paths.push(path);
    }
    paths
}

#[derive(Clone)]
struct DraftName {
    directory: Folded,
    name: Name,
    short: Option<Name>,
}

impl DraftName {
    fn new(record: &NameRecord, paths: &[Folded]) -> DraftName {
        DraftName {
            directory: paths[record.directory as usize].clone(),
            name: record.name.clone(),
            short: record.short.clone(),
        }
    }

    fn path(&self, tree: &Tree) -> Folded {
        let mut path = self.directory.clone();
        path.push(tree.fold(&self.name));
        path
    }
}

struct DraftFile {
    names: Vec<DraftName>,
    lower_names: Vec<DraftName>,
    metadata: Metadata,
    record: FileRecord,
}

impl DraftFile {
    fn new(record: &FileRecord, manifest: &Manifest, paths: &[Folded]) -> DraftFile {
        DraftFile {
            names: record.names.iter().map(|name| DraftName::new(name, paths)).collect(),
            lower_names: record.lower_names.iter().map(|name| DraftName::new(name, paths)).collect(),
            metadata: resolved(&record.metadata, manifest),
            record: record.clone(),
        }
    }
}

struct DraftDeletion {
    directory: Folded,
    record: DeletionRecord,
}

impl DraftDeletion {
    fn new(record: &DeletionRecord, manifest: &Manifest, paths: &[Folded]) -> DraftDeletion {
        debug_assert!((record.directory as usize) < manifest.directories.len());
        DraftDeletion { directory: paths[record.directory as usize].clone(), record: record.clone() }
    }
}

struct DraftHive {
    directory: Folded,
    record: HiveRecord,
}

struct DraftDirectory {
    metadata: Metadata,
    record: DirectoryRecord,
}

/// A decoded manifest has been verified: its positions refer to something.
fn resolved(record: &MetadataRecord, manifest: &Manifest) -> Metadata {
    record.resolve(&manifest.securities).expect("a decoded manifest has its security values")
}

#[derive(Default)]
struct Draft {
    /// By folded path, so parents come before what is in them.
    directories: BTreeMap<Folded, DraftDirectory>,
}

impl Draft {
    /// Adds the directories of a manifest; what it says of a directory that is there already is added to that.
    fn directories(&mut self, manifest: &Manifest, paths: &[Folded]) {
        for (record, path) in manifest.directories.iter().zip(paths) {
            let new =
                DraftDirectory { metadata: resolved(&record.metadata, manifest), record: record.clone() };
            match self.directories.get_mut(path) {
                None => {
                    self.directories.insert(path.clone(), new);
                }
                // Metadata was recorded as it was on the packaging disk, earlier changes of the base included.
                Some(old) => {
                    let role = united(old.record.role, record.role);
                    if record.role != DirectoryRole::Context {
                        *old = new;
                    }
                    old.record.role = role;
                }
            }
        }
    }

    /// A directory that the base created, but that lies below as well by now, is one that was changed: of a created one
    /// the metadata would not be used there.
    fn changed(&mut self, path: &Folded, role: DirectoryRole) {
        if let Some(directory) = self.directories.get_mut(path)
            && directory.record.role == DirectoryRole::Created
        {
            directory.record.role = role;
        }
    }

    /// Makes a directory that the base created or changed a mere context; says whether the base had created it.
    fn forget(&mut self, path: &Folded) -> bool {
        match self.directories.get_mut(path) {
            Some(directory) => {
                let created = directory.record.role == DirectoryRole::Created;
                directory.record.role = DirectoryRole::Context;
                created
            }
            None => false,
        }
    }

    /// Puts the manifest together: only directories that something refers to, everything sorted.
    fn finish(
        mut self,
        mut files: Vec<DraftFile>,
        deletions: BTreeMap<Folded, DraftDeletion>,
        hives: BTreeMap<Folded, DraftHive>,
        tree: &Tree,
    ) -> Manifest {
        let mut needed: BTreeSet<Folded> = BTreeSet::from([Folded::new()]);
        let mut need = |path: &Folded| {
            for depth in (0..=path.len()).rev() {
                if !needed.insert(path[..depth].to_vec()) {
                    break;
                }
            }
        };
        for name in files.iter().flat_map(|file| file.names.iter().chain(&file.lower_names)) {
            need(&name.directory);
        }
        deletions.values().for_each(|deletion| need(&deletion.directory));
        hives.values().for_each(|hive| need(&hive.directory));
        for (path, directory) in &self.directories {
            if directory.record.role != DirectoryRole::Context {
                need(path);
            }
        }
        self.directories.retain(|path, _| needed.contains(path));

        let mut manifest = Manifest::default();
        let mut securities = SecurityTable::default();
        let mut positions: HashMap<Folded, u32> = HashMap::new();
        for (path, directory) in self.directories {
            let position = manifest.directories.len() as u32;
            let parent = path.split_last().map_or(0, |(_, parent)| positions[parent]);
            let metadata = securities.record(&directory.metadata);
            manifest.directories.push(DirectoryRecord { parent, metadata, ..directory.record });
            positions.insert(path, position);
        }
        let name_record = |name: &DraftName| NameRecord {
            directory: positions[&name.directory],
            name: name.name.clone(),
            short: name.short.clone(),
        };
        for file in &mut files {
            file.names.sort_by_cached_key(|name| (positions[&name.directory], tree.fold(&name.name)));
        }
        files.sort_by_cached_key(|file| {
            let first = &file.names[0];
            (positions[&first.directory], tree.fold(&first.name))
        });
        for file in files {
            let metadata = securities.record(&file.metadata);
            let names = file.names.iter().map(name_record).collect();
            let lower_names = file.lower_names.iter().map(name_record).collect();
            manifest.files.push(FileRecord { names, lower_names, metadata, ..file.record });
        }
        for deletion in deletions.into_values() {
            let directory = positions[&deletion.directory];
            manifest.deletions.push(DeletionRecord { directory, ..deletion.record });
        }
        for hive in hives.into_values() {
            manifest.hives.push(HiveRecord { directory: positions[&hive.directory], ..hive.record });
        }
        manifest.securities = securities.into_values();
        manifest
    }
}

fn united(base: DirectoryRole, change: DirectoryRole) -> DirectoryRole {
    use DirectoryRole::{Changed, Context, Created};
    match (base, change) {
        (Created, _) | (_, Created) => Created,
        (Context, other) | (other, Context) => other,
        (
            Changed { name: n1, security: s1, attributes: a1, times: t1, properties: p1 },
            Changed { name: n2, security: s2, attributes: a2, times: t2, properties: p2 },
        ) => Changed {
            name: n1 || n2,
            security: s1 || s2,
            attributes: a1 || a2,
            times: t1 || t2,
            properties: p1 || p2,
        },
    }
}
