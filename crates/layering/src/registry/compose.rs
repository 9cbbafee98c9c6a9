//! The hives of a composite: each that a layer or a recipe changes is read once, changed by all layers and then by the
//! recipes, and written once.

use super::{HiveKind, ListValues, Meaning, Merged, files, merge};
use crate::difference::hive_streams;
use crate::hives::{self, Role};
use crate::manifest::Manifest;
use crate::plan::{Steps, warning};
use crate::query::hives::HiveName;
use crate::recipes::{CleanUp, Done};
use crate::report::Warning;
use crate::{Error, Result};
use disk::ByteSource;
use hive::{Delta, Hive, Notice, Recovery, Upcase};
use operation::{Progress, Unit};
use std::collections::{BTreeMap, HashSet};
use volume::{Child, FileId, Name, NewData, NewStream, StreamFlags, Tree, VolumeEditor};

/// A layer's manifest with the reference that messages call it by.
pub(crate) struct RegistryLayer<'m> {
    pub(crate) label: &'m str,
    pub(crate) manifest: &'m Manifest,
    /// Whether it was captured on the OS version of the composite: that cannot have changed since.
    pub(crate) same_os_version: bool,
}

/// What besides the layers decides how hives become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'r> {
    /// Values that are lists.
    pub(crate) lists: &'r ListValues,
    /// What recipes do at the end.
    pub(crate) clean_up: &'r CleanUp,
}

/// A hive that layers change, or recipes.
pub(super) struct Target<'m> {
    directory: Vec<Name>,
    name: Name,
    /// Which layers, and what they change.
    deltas: Vec<(usize, &'m Delta)>,
}

impl<'m> Target<'m> {
    fn path(&self) -> String {
        self.directory.iter().chain([&self.name]).fold(String::new(), |path, name| format!("{path}\\{name}"))
    }

    /// What reports call it.
    pub(super) fn name(&self, kind: HiveKind) -> HiveName {
        HiveName::new(Some(kind), &self.directory.iter().collect::<Vec<_>>(), &self.name)
    }

    /// The layers that change it, lowest first, and what they change.
    pub(super) fn of<'l>(&self, layers: &'l [RegistryLayer<'m>]) -> Vec<(&'l RegistryLayer<'m>, &'m Delta)> {
        self.deltas.iter().map(|(layer, delta)| (&layers[*layer], *delta)).collect()
    }
}

/// A hive of the OS volume that was read.
pub(super) struct Opened<'t> {
    parent: FileId,
    child: &'t Child,
    pub(super) kind: HiveKind,
    pub(super) hive: Hive,
    /// What messages call it.
    pub(super) place: String,
}

/// The hives of an OS volume as it was before anything was done to it, and what is to be said of them.
pub(super) struct Hives<'u> {
    tree: &'u Tree,
    window: &'u dyn ByteSource,
    steps: &'u Steps,
    os: &'u str,
    context: &'u str,
    missing: Vec<String>,
    kept: Vec<String>,
    changed_by_os: Vec<String>,
    dirty: Vec<String>,
}

impl<'u> Hives<'u> {
    /// `os` is the OS version's reference, `context` what messages call the volume. Hives that `steps` took away are not
    /// there.
    pub(super) fn new(
        tree: &'u Tree,
        window: &'u dyn ByteSource,
        steps: &'u Steps,
        os: &'u str,
        context: &'u str,
    ) -> Hives<'u> {
        let (missing, kept, changed_by_os, dirty) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Hives { tree, window, steps, os, context, missing, kept, changed_by_os, dirty }
    }

    /// How names compare.
    pub(super) fn upcase(&self) -> Upcase {
        self.tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode)
    }

    /// Every hive that a layer changes, or that recipes are about, by folded path.
    pub(super) fn targets<'m>(
        &self,
        layers: &[RegistryLayer<'m>],
        clean_up: &CleanUp,
    ) -> BTreeMap<Vec<Name>, Target<'m>> {
        let mut targets: BTreeMap<Vec<Name>, Target<'_>> = BTreeMap::new();
        for (index, layer) in layers.iter().enumerate() {
            for hive in &layer.manifest.hives {
                let directory: Vec<Name> =
                    layer.manifest.directory_path(hive.directory).into_iter().cloned().collect();
                let folded = directory.iter().chain([&hive.name]).map(|name| self.tree.fold(name)).collect();
                let name = hive.name.clone();
                let target =
                    targets.entry(folded).or_insert_with(|| Target { directory, name, deltas: Vec::new() });
                target.deltas.push((index, &hive.delta));
            }
        }
        for hive in hives::all(self.tree).into_iter().filter(|hive| clean_up.concerns(hive.kind)) {
            let (directory, name) = (hive.directory, hive.entry.name.clone());
            let folded = directory.iter().chain([&name]).map(|name| self.tree.fold(name)).collect();
            targets.entry(folded).or_insert_with(|| Target { directory, name, deltas: Vec::new() });
        }
        targets
    }

    /// Reads a hive; `None`, which is noted, where the volume lacks it. One whose last write is incomplete is taken as it
    /// is: that was accepted when its OS version was stored.
    pub(super) fn open(
        &mut self,
        target: &Target<'_>,
        layers: &[RegistryLayer<'_>],
    ) -> Result<Option<Opened<'u>>> {
        let found = self.find(target).filter(|(_, child, _)| !self.is_gone(child.id));
        let Some((parent, child, kind)) = found else {
            let by = target.of(layers).into_iter().map(|(layer, _)| layer.label);
            self.missing.extend(by.map(|label| format!("{} ({label})", target.path())));
            return Ok(None);
        };
        let Some(streams) = hive_streams(self.tree, child, self.tree.children(parent)) else {
            return Ok(None);
        };
        let place = format!("{}: {}", self.context, target.path());
        let files = files::read(self.window, &streams).map_err(Error::io(format!("reading {place}")))?;
        let hive = files.open_dirty().map_err(|source| Error::Hive { context: place.clone(), source })?;
        Ok(Some(Opened { parent, child, kind, hive, place }))
    }

    /// Notes what was met in a hive.
    pub(super) fn remark(&mut self, shown: &str, merged: &Merged<'_>) {
        for notice in merged.notices.iter().flatten() {
            if let Notice::KeyKept { path } = notice {
                self.kept.push(format!("{shown}\\{path}"));
            }
        }
        for row in merged.conflicts.iter().filter(|row| row.changed_by_os) {
            let value = row.value.as_ref().map(|value| format!(" : {value}")).unwrap_or_default();
            self.changed_by_os.push(format!("{shown}\\{}{value}", row.key));
        }
    }

    /// What a person should see of all that was noted.
    pub(super) fn warnings(self) -> Vec<Warning> {
        let warnings = [
            (
                "hive-missing",
                "changes of the registry that were left out, because the OS version has no such hive (of a user whom \
                 it lacks, for example)",
                self.missing,
            ),
            (
                "registry-key-stays",
                "registry keys that a layer removes stay because something else is in them",
                self.kept,
            ),
            (
                "hive-dirty",
                "registry hives of the OS version were not written completely, and were taken as they are",
                self.dirty,
            ),
            (
                "registry-os-changed-since",
                "of the registry, also changed by the OS since the layer was captured; the layer wins",
                self.changed_by_os,
            ),
        ];
        let said = warnings.into_iter().filter(|(_, _, paths)| !paths.is_empty());
        said.map(|(code, message, paths)| warning(code, message, paths)).collect()
    }

    /// The hive on the volume: its directory, its entry there, and what kind it is.
    fn find(&self, target: &Target<'_>) -> Option<(FileId, &'u Child, HiveKind)> {
        let Some(Role::Hive(kind)) = hives::role(self.tree, &target.directory, &target.name) else {
            return None;
        };
        let parent = self.tree.lookup(&target.directory)?.id;
        let child = self.tree.child(parent, &target.name)?;
        (!self.tree.is_directory(child.id)).then_some((parent, child, kind))
    }

    fn is_gone(&self, id: FileId) -> bool {
        self.steps.unlinks.iter().chain(&self.steps.held).any(|unlink| unlink.node == id)
    }
}

/// Puts the layers' changes of the registry, and those of recipes, into the hives of the OS volume, which was `tree` and
/// `window` before anything was done to it. Hives that `steps` took away are left alone. `os` is the OS version's
/// reference, `context` what messages call the volume. Gives what recipes did, too.
pub(crate) fn update(
    editor: &mut dyn VolumeEditor,
    (tree, window): (&Tree, &dyn ByteSource),
    steps: &Steps,
    layers: &[RegistryLayer<'_>],
    rules: Rules<'_>,
    (os, context): (&str, &str),
    progress: &dyn Progress,
) -> Result<(Vec<Warning>, Vec<Done>)> {
    let hives = Hives::new(tree, window, steps, os, context);
    let targets = hives.targets(layers, rules.clean_up);
    if targets.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    progress.step("Merging the registry", Some(targets.len() as u64), Unit::Items);
    let upcase = hives.upcase();
    let mut update = Update { editor, hives, cleared: HashSet::new(), applied: Vec::new() };
    for target in targets.values() {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        update.hive(target, layers, (&upcase, rules))?;
        progress.advance(1);
    }
    Ok((update.hives.warnings(), update.applied))
}

struct Update<'u> {
    editor: &'u mut dyn VolumeEditor,
    hives: Hives<'u>,
    /// Folders of transactions that are done.
    cleared: HashSet<FileId>,
    applied: Vec<Done>,
}

impl Update<'_> {
    fn hive(
        &mut self,
        target: &Target<'_>,
        layers: &[RegistryLayer<'_>],
        (upcase, rules): (&Upcase, Rules<'_>),
    ) -> Result<()> {
        let Some(opened) = self.hives.open(target, layers)? else { return Ok(()) };
        let Opened { parent, child, kind, hive, place } = opened;
        let name = target.name(kind);
        let meaning = Meaning { kind, shown: name.shown(), upcase, lists: rules.lists };
        let merged = merge(meaning, &hive, &target.of(layers), self.hives.os).and_then(|merged| {
            self.hives.remark(name.shown(), &merged);
            merged.finish((kind, name.shown()), rules.clean_up)
        });
        let (file, applied) = merged.map_err(|source| Error::Hive { context: place.clone(), source })?;
        self.applied.extend(applied);
        let Some(file) = file else { return Ok(()) };
        if hive.recovery() == Recovery::Ignored {
            self.hives.dirty.push(target.path());
        }
        self.rewrite(child.id, &file, &place)?;
        let tree = self.hives.tree;
        let own = tree.fold(&target.name);
        for log in tree.children(parent) {
            if !self.hives.is_gone(log.id) && log.folded.as_bytes().starts_with(own.as_bytes()) {
                self.clear_log(parent, log, &target.directory, &place)?;
            }
        }
        // The machine's hives share a folder of transactions.
        if kind.is_of_machine()
            && let Some(transactions) = tree.child(parent, &Name::from("TxR"))
        {
            let directory: Vec<Name> =
                target.directory.iter().cloned().chain([transactions.name.clone()]).collect();
            let id = transactions.id;
            if self.cleared.insert(id) {
                for log in tree.children(id) {
                    if !self.hives.is_gone(log.id) {
                        self.clear_log(id, log, &directory, &place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives the hive's file its new content; its other streams and its metadata stay.
    fn rewrite(&mut self, id: FileId, content: &[u8], place: &str) -> Result<()> {
        let node =
            self.hives.tree.node(id).ok_or(Error::Internal { what: "a directory leads to no file" })?;
        let mut others = Vec::new();
        for stream in node.streams.iter().filter(|stream| !stream.name.is_empty()) {
            let bytes = files::read_whole(self.hives.window, stream);
            others
                .push((&stream.name, bytes.map_err(Error::io(format!("reading {place}:{}", stream.name)))?));
        }
        let plain = |name, bytes| {
            let len = <[u8]>::len(bytes) as u64;
            let flags = StreamFlags::default();
            NewStream { name, size: len, valid: len, flags, data: NewData::Inline(bytes) }
        };
        let main = Name::default();
        let mut streams = vec![plain(&main, content)];
        streams.extend(others.iter().map(|(name, bytes)| plain(name, bytes)));
        let failed = || Error::volume(place.to_owned());
        self.editor.set_streams(id, &streams).map_err(failed())?;
        self.editor.set_metadata(id, &node.metadata).map_err(failed())
    }

    /// Empties a log, and takes away what the transactional registry logged: both speak of the hive as it was.
    fn clear_log(&mut self, parent: FileId, log: &Child, directory: &[Name], place: &str) -> Result<()> {
        if hives::role(self.hives.tree, directory, &log.name) != Some(Role::Log)
            || self.hives.tree.is_directory(log.id)
        {
            return Ok(());
        }
        let name = log.name.to_string().to_lowercase();
        if [".blf", ".regtrans-ms"].iter().any(|end| name.ends_with(end)) {
            let failed = Error::volume(format!("{place}: {}", log.name));
            return self.editor.unlink(log.id, parent, &log.name).map_err(failed);
        }
        self.rewrite(log.id, &[], &format!("{place}: {}", log.name))
    }
}
