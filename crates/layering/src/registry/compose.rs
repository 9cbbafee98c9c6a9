//! The hives of a composite: each that a layer or a recipe changes is read once, changed by all layers and then by the
//! recipes, and written once.

use super::{HiveKind, ListValues, Merged, files, merge};
use crate::difference::hive_streams;
use crate::hives::{self, Role};
use crate::manifest::Manifest;
use crate::plan::{Steps, warning};
use crate::recipes::{CleanUp, Done};
use crate::report::Warning;
use crate::{Error, Result};
use disk::ByteSource;
use hive::{Delta, Notice, Upcase};
use operation::{Progress, Unit};
use std::collections::{BTreeMap, HashSet};
use volume::{Child, FileId, Name, NewData, NewStream, StreamFlags, Tree, VolumeEditor};

/// A layer's manifest with the reference that messages call it by.
pub(crate) struct RegistryLayer<'m> {
    pub(crate) label: &'m str,
    pub(crate) manifest: &'m Manifest,
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
struct Target<'m> {
    directory: Vec<Name>,
    name: Name,
    /// Which layers, and what they change.
    deltas: Vec<(usize, &'m Delta)>,
}

impl Target<'_> {
    fn path(&self) -> String {
        self.directory.iter().chain([&self.name]).fold(String::new(), |path, name| format!("{path}\\{name}"))
    }
}

/// Puts the layers' changes of the registry, and those of recipes, into the hives of the OS volume, which was `tree` and
/// `window` before anything was done to it. Hives that `steps` took away are left alone. Gives what recipes did, too.
pub(crate) fn update(
    editor: &mut dyn VolumeEditor,
    (tree, window): (&Tree, &dyn ByteSource),
    steps: &Steps,
    layers: &[RegistryLayer<'_>],
    rules: Rules<'_>,
    context: &str,
    progress: &dyn Progress,
) -> Result<(Vec<Warning>, Vec<Done>)> {
    let targets = targets(tree, layers, rules.clean_up);
    if targets.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    progress.step("Merging the registry", Some(targets.len() as u64), Unit::Items);
    let upcase = tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode);
    let mut update = Update {
        editor,
        tree,
        window,
        context,
        cleared: HashSet::new(),
        missing: Vec::new(),
        kept: Vec::new(),
        applied: Vec::new(),
        dirty: Vec::new(),
    };
    for target in targets.values() {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        update.hive(target, steps, layers, (&upcase, rules))?;
        progress.advance(1);
    }
    let warnings = [
        (
            "hive-missing",
            "changes of the registry that were left out, because the OS version has no such hive (of a user whom it \
             lacks, for example)",
            update.missing,
        ),
        (
            "registry-key-stays",
            "registry keys that a layer removes stay because something else is in them",
            update.kept,
        ),
        (
            "hive-dirty",
            "registry hives of the OS version were not written completely, and were taken as they are",
            update.dirty,
        ),
    ];
    let said = warnings.into_iter().filter(|(_, _, paths)| !paths.is_empty());
    let warnings = said.map(|(code, message, paths)| warning(code, message, paths)).collect();
    Ok((warnings, update.applied))
}

/// Every hive that a layer changes, or that recipes are about, by folded path.
fn targets<'m>(
    tree: &Tree,
    layers: &[RegistryLayer<'m>],
    clean_up: &CleanUp,
) -> BTreeMap<Vec<Name>, Target<'m>> {
    let mut targets: BTreeMap<Vec<Name>, Target<'_>> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        for hive in &layer.manifest.hives {
            let directory: Vec<Name> =
                layer.manifest.directory_path(hive.directory).into_iter().cloned().collect();
            let folded = directory.iter().chain([&hive.name]).map(|name| tree.fold(name)).collect();
            let name = hive.name.clone();
            let target =
                targets.entry(folded).or_insert_with(|| Target { directory, name, deltas: Vec::new() });
            target.deltas.push((index, &hive.delta));
        }
    }
    for hive in hives::all(tree).into_iter().filter(|hive| clean_up.concerns(hive.kind)) {
        let (directory, name) = (hive.directory, hive.entry.name.clone());
        let folded = directory.iter().chain([&name]).map(|name| tree.fold(name)).collect();
        targets.entry(folded).or_insert_with(|| Target { directory, name, deltas: Vec::new() });
    }
    targets
}

struct Update<'u> {
    editor: &'u mut dyn VolumeEditor,
    tree: &'u Tree,
    window: &'u dyn ByteSource,
    context: &'u str,
    /// Folders of transactions that are done.
    cleared: HashSet<FileId>,
    missing: Vec<String>,
    kept: Vec<String>,
    applied: Vec<Done>,
    dirty: Vec<String>,
}

impl<'u> Update<'u> {
    fn hive(
        &mut self,
        target: &Target<'_>,
        steps: &Steps,
        layers: &[RegistryLayer<'_>],
        (upcase, rules): (&Upcase, Rules<'_>),
    ) -> Result<()> {
        let gone = |id: FileId| steps.unlinks.iter().chain(&steps.held).any(|unlink| unlink.node == id);
        let found = self.find(target).filter(|(_, child, _)| !gone(child.id));
        let Some((parent, child, kind)) = found else {
            let by = target.deltas.iter().map(|(layer, _)| layers[*layer].label);
            self.missing.extend(by.map(|label| format!("{} ({label})", target.path())));
            return Ok(());
        };
        let beside = self.tree.children(parent);
        let Some(streams) = hive_streams(self.tree, child, beside) else { return Ok(()) };
        let place = format!("{}: {}", self.context, target.path());
        let hive = files::read(self.window, &streams).map_err(Error::io(format!("reading {place}")))?;
        let deltas: Vec<&Delta> = target.deltas.iter().map(|(_, delta)| *delta).collect();
        let root = if kind.is_of_machine() { kind.name().to_owned() } else { target.path() };
        let Merged { file, notices, applied, was_dirty } =
            merge((kind, &root), upcase, hive, &deltas, rules.lists, rules.clean_up)
                .map_err(|source| Error::Hive { context: place.clone(), source })?;
        self.applied.extend(applied);
        for notice in notices.into_iter().flatten() {
            if let Notice::KeyKept { path } = notice {
                self.kept.push(format!("{}\\{path}", kind.name()));
            }
        }
        let Some(file) = file else { return Ok(()) };
        if was_dirty {
            self.dirty.push(target.path());
        }
        self.rewrite(child.id, &file, &place)?;
        let own = self.tree.fold(&target.name);
        for log in
            beside.iter().filter(|log| !gone(log.id) && log.folded.as_bytes().starts_with(own.as_bytes()))
        {
            self.clear_log(parent, log, &target.directory, &place)?;
        }
        // The machine's hives share a folder of transactions.
        if kind.is_of_machine()
            && let Some(transactions) = self.tree.child(parent, &Name::from("TxR"))
        {
            let directory: Vec<Name> =
                target.directory.iter().cloned().chain([transactions.name.clone()]).collect();
            let id = transactions.id;
            if self.cleared.insert(id) {
                for log in self.tree.children(id).iter().filter(|log| !gone(log.id)) {
                    self.clear_log(id, log, &directory, &place)?;
                }
            }
        }
        Ok(())
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

    /// Gives the hive's file its new content; its other streams and its metadata stay.
    fn rewrite(&mut self, id: FileId, content: &[u8], place: &str) -> Result<()> {
        let node = self.tree.node(id).ok_or(Error::Internal { what: "a directory leads to no file" })?;
        let mut others = Vec::new();
        for stream in node.streams.iter().filter(|stream| !stream.name.is_empty()) {
            let bytes = files::read_whole(self.window, stream);
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
        if hives::role(self.tree, directory, &log.name) != Some(Role::Log) || self.tree.is_directory(log.id) {
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
