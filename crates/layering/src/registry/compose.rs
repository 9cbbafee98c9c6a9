//! The hives of a composite: each that a layer or a recipe changes is read once, changed by all layers and then by the
//! recipes, and written once. Of a hive that a layer brings as a file, the file is changed by that layer and those above
//! it, before it is put on the volume.

use super::{HiveFiles, HiveKind, ListValues, Meaning, Merged, files, mended, mended_warning, merge};
use crate::difference::hive_streams;
use crate::hives::{self, Role};
use crate::manifest::{ContentRecord, FileRecord, Manifest};
use crate::placement::Placement;
use crate::plan::{Creation, MOST_PATHS, Steps, warning};
use crate::query::hives::HiveName;
use crate::recipes::{CleanUp, Done};
use crate::report::Warning;
use crate::{Error, Result};
use disk::ByteSource;
use hive::{Delta, Hive, Notice, Recovery, Repair, Upcase};
use operation::{Progress, Unit};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
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
    /// The file that is to be there, if a layer brings it.
    pub(super) brought: Option<Brought>,
}

/// A hive that a layer brings as a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought {
    layer: usize,
    /// Position among the files of the layer's manifest.
    file: u32,
    kind: HiveKind,
}

impl<'m> Target<'m> {
    fn new(directory: Vec<Name>, name: Name) -> Target<'m> {
        Target { directory, name, deltas: Vec::new(), brought: None }
    }

    fn path(&self) -> String {
        self.directory.iter().chain([&self.name]).fold(String::new(), |path, name| format!("{path}\\{name}"))
    }

    /// What reports call it.
    pub(super) fn name(&self, kind: HiveKind) -> HiveName {
        HiveName::new(Some(kind), &self.directory.iter().collect::<Vec<_>>(), &self.name)
    }

    /// Whether a layer changes it, be it one whose change is lost.
    pub(super) fn is_changed(&self) -> bool {
        !self.deltas.is_empty()
    }

    /// The layers that change it, lowest first, and what they change.
    pub(super) fn of<'l>(&self, layers: &'l [RegistryLayer<'m>]) -> Vec<(&'l RegistryLayer<'m>, &'m Delta)> {
        let counting = self.deltas.iter().filter(|(layer, _)| !self.is_replaced(*layer));
        counting.map(|(layer, delta)| (&layers[*layer], *delta)).collect()
    }

    /// Whether a layer above this one brings the whole hive.
    fn is_replaced(&self, layer: usize) -> bool {
        self.brought.is_some_and(|brought| layer < brought.layer)
    }
}

/// A hive that was read.
pub(super) struct HiveRead {
    pub(super) kind: HiveKind,
    pub(super) hive: Hive,
    /// What messages call it.
    pub(super) place: String,
}

/// Keys that a layer removes and that stay: the first ones, and how many.
#[derive(Default)]
struct Kept {
    first: BTreeSet<String>,
    count: u64,
}

impl Kept {
    /// Notes a key. Hives may have millions of them, and their paths be long.
    fn note(&mut self, path: String) {
        self.count += u64::from(self.first.insert(path));
        if self.first.len() > MOST_PATHS {
            self.first.pop_last();
        }
    }

    fn warning(self) -> Option<Warning> {
        let message = "registry keys that a layer removes stay because something else is in them";
        let first = self.first.into_iter().collect();
        let warning = Warning { count: self.count, ..warning("registry-key-stays", message, first) };
        (warning.count > 0).then_some(warning)
    }
}

/// A hive of the OS volume that was read.
pub(super) struct Opened<'t> {
    parent: FileId,
    child: &'t Child,
    pub(super) read: HiveRead,
}

/// The hives of an OS volume as it was before anything was done to it, and what is to be said of them.
pub(super) struct Hives<'u> {
    tree: &'u Tree,
    window: &'u dyn ByteSource,
    steps: &'u Steps,
    os: &'u str,
    context: &'u str,
    missing: Vec<String>,
    replaced: Vec<String>,
    kept: Kept,
    changed_by_os: Vec<String>,
    dirty: Vec<String>,
    mended: Vec<String>,
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
        let (missing, replaced, kept) = (Vec::new(), Vec::new(), Kept::default());
        let (changed_by_os, dirty, mended) = (Vec::new(), Vec::new(), Vec::new());
        Hives { tree, window, steps, os, context, missing, replaced, kept, changed_by_os, dirty, mended }
    }

    /// How names compare.
    pub(super) fn upcase(&self) -> Upcase {
        self.tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode)
    }

    /// Every hive that a layer changes or brings, or that recipes are about, by folded path.
    pub(super) fn targets<'m>(
        &self,
        layers: &[RegistryLayer<'m>],
        clean_up: &CleanUp,
    ) -> BTreeMap<Vec<Name>, Target<'m>> {
        let mut targets: BTreeMap<Vec<Name>, Target<'_>> = BTreeMap::new();
        for (index, layer) in layers.iter().enumerate() {
            for hive in &layer.manifest.hives {
                let directory = directory_of(layer.manifest, hive.directory);
                let target = self.target(&mut targets, directory, &hive.name);
                target.deltas.push((index, &hive.delta));
            }
        }
        for hive in hives::all(self.tree).into_iter().filter(|hive| clean_up.concerns(hive.kind)) {
            self.target(&mut targets, hive.directory, &hive.entry.name);
        }
        for creation in &self.steps.creations {
            let Creation::File { name, record: (layer, file), .. } = creation else { continue };
            let manifest = layers.get(*layer).map(|layer| layer.manifest);
            let Some((manifest, record)) =
                manifest.and_then(|manifest| Some((manifest, manifest.files.get(*file as usize)?)))
            else {
                continue;
            };
            let own = self.tree.fold(name);
            for name in record.names.iter().filter(|name| self.tree.fold(&name.name) == own) {
                let directory = directory_of(manifest, name.directory);
                let Some(Role::Hive(kind)) = hives::role(self.tree, &directory, &name.name) else { continue };
                let target = self.target(&mut targets, directory, &name.name);
                target.brought = Some(Brought { layer: *layer, file: *file, kind });
            }
        }
        targets
    }

    fn folded(&self, directory: &[Name], name: &Name) -> Vec<Name> {
        directory.iter().chain([name]).map(|name| self.tree.fold(name)).collect()
    }

    /// What is known of the hive at a path so far.
    fn target<'t, 'm>(
        &self,
        targets: &'t mut BTreeMap<Vec<Name>, Target<'m>>,
        directory: Vec<Name>,
        name: &Name,
    ) -> &'t mut Target<'m> {
        let folded = self.folded(&directory, name);
        targets.entry(folded).or_insert_with(|| Target::new(directory, name.clone()))
    }

    /// Reads a hive of the volume; `None`, which is noted, where that lacks it. One whose last write is incomplete is taken
    /// as it is: that was accepted when its OS version was stored.
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
        Ok(Some(Opened { parent, child, read: HiveRead { kind, hive, place } }))
    }

    /// Reads a hive that a layer brings, if other changes than those of that layer's file are to be in it. Notes whose are
    /// not.
    pub(super) fn read_brought(
        &mut self,
        target: &Target<'_>,
        brought: Brought,
        layers: &[RegistryLayer<'_>],
        placement: &Placement<'_>,
    ) -> Result<Option<HiveRead>> {
        self.note_replaced(target, layers);
        let by = layers.get(brought.layer);
        let by = by.ok_or(Error::Internal { what: "a step names a layer that is not there" })?;
        let file = by.manifest.files.get(brought.file as usize);
        let Some(stream) = file.and_then(FileRecord::main_stream) else { return Ok(None) };
        let place = format!("{}: {}", by.label, target.path());
        let hive = HiveFiles { file: files::read_kept(stream, placement, &place)?, logs: Vec::new() };
        let hive = hive.open_dirty().map_err(|source| Error::Hive { context: place.clone(), source })?;
        Ok(Some(HiveRead { kind: brought.kind, hive, place }))
    }

    /// Notes the layers whose changes are lost because a layer above them brings the whole hive.
    fn note_replaced(&mut self, target: &Target<'_>, layers: &[RegistryLayer<'_>]) {
        for (layer, _) in target.deltas.iter().filter(|(layer, _)| target.is_replaced(*layer)) {
            self.replaced.push(format!("{} ({})", target.path(), layers[*layer].label));
        }
    }

    /// Notes what was mended in a hive as it was read.
    pub(super) fn note_mended(&mut self, target: &Target<'_>, repairs: &[Repair]) {
        self.mended.extend(mended(&target.path(), repairs));
    }

    /// Notes what was met in a hive.
    pub(super) fn remark(&mut self, shown: &str, merged: &Merged<'_>) {
        for (delta, notices) in &merged.notices {
            for notice in notices {
                if let Notice::KeyKept { key } = notice {
                    self.kept.note(format!("{shown}\\{}", delta.path(*key)));
                }
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
                "hive-replaced",
                "changes of the registry that were left out, because a layer with a higher priority brings the whole \
                 hive",
                self.replaced,
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
        let said = said.map(|(code, message, paths)| warning(code, message, paths));
        said.chain(mended_warning(self.mended)).chain(self.kept.warning()).collect()
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

fn directory_of(manifest: &Manifest, directory: u32) -> Vec<Name> {
    manifest.directory_path(directory).into_iter().cloned().collect()
}

/// The registry of a composite while that is made: the changes of layers and of recipes go into hives that layers bring
/// as files, and into those of the OS volume.
pub(crate) struct Composition<'u> {
    hives: Hives<'u>,
    targets: Vec<Target<'u>>,
    layers: &'u [RegistryLayer<'u>],
    rules: Rules<'u>,
    upcase: Upcase,
    /// Folders of transactions that are done.
    cleared: HashSet<FileId>,
    applied: Vec<Done>,
}

impl<'u> Composition<'u> {
    /// The OS volume was `tree` and `window` before anything was done to it; `steps` is what is to be done. Hives that
    /// those take away are left alone. `os` is the OS version's reference, `context` what messages call the volume.
    pub(crate) fn new(
        (tree, window): (&'u Tree, &'u dyn ByteSource),
        steps: &'u Steps,
        layers: &'u [RegistryLayer<'u>],
        rules: Rules<'u>,
        (os, context): (&'u str, &'u str),
    ) -> Composition<'u> {
        let hives = Hives::new(tree, window, steps, os, context);
        let targets = hives.targets(layers, rules.clean_up).into_values().collect();
        let upcase = hives.upcase();
        Composition { hives, targets, layers, rules, upcase, cleared: HashSet::new(), applied: Vec::new() }
    }

    /// Changes the hives that layers bring, in `manifests`, which are those of the layers. Comes before the steps.
    pub(crate) fn update_brought(
        &mut self,
        manifests: &mut [Cow<'_, Manifest>],
        placement: &Placement<'_>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let targets = std::mem::take(&mut self.targets);
        for target in &targets {
            let Some(brought) = target.brought else { continue };
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let changed = target.is_changed() || self.rules.clean_up.concerns(brought.kind);
            let read = match changed {
                true => self.hives.read_brought(target, brought, self.layers, placement)?,
                false => None,
            };
            let Some(read) = read else { continue };
            let Some(content) = self.merged(target, &read)? else { continue };
            let file = manifests.get_mut(brought.layer).map(|manifest| manifest.to_mut());
            let file = file.and_then(|manifest| manifest.files.get_mut(brought.file as usize));
            let mut streams = file.into_iter().flat_map(|file| &mut file.streams);
            let Some(stream) = streams.find(|stream| stream.name.is_empty()) else { continue };
            (stream.size, stream.valid) = (content.len() as u64, content.len() as u64);
            stream.flags = StreamFlags::default();
            stream.content = ContentRecord::Inline(content.into());
        }
        self.targets = targets;
        Ok(())
    }

    /// Changes the hives of the OS volume, and clears logs beside hives that layers bring. Comes after the steps.
    pub(crate) fn update_os(&mut self, editor: &mut dyn VolumeEditor, progress: &dyn Progress) -> Result<()> {
        let targets = std::mem::take(&mut self.targets);
        if !targets.is_empty() {
            progress.step("Merging the registry", Some(targets.len() as u64), Unit::Items);
        }
        for target in &targets {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            match target.brought {
                Some(_) => self.clear_logs_of_replaced(editor, target)?,
                None => self.hive(editor, target)?,
            }
            progress.advance(1);
        }
        Ok(())
    }

    /// What a person should see of it, and what recipes did.
    pub(crate) fn finish(self) -> (Vec<Warning>, Vec<Done>) {
        (self.hives.warnings(), self.applied)
    }

    /// The new file of a hive, `None` when nothing is to be changed in it.
    fn merged(
        &mut self,
        target: &Target<'u>,
        HiveRead { kind, hive, place }: &HiveRead,
    ) -> Result<Option<Vec<u8>>> {
        let (kind, name) = (*kind, target.name(*kind));
        let meaning = Meaning { kind, shown: name.shown(), upcase: &self.upcase, lists: self.rules.lists };
        let os = target.brought.is_none().then_some(self.hives.os);
        let mut repairs = Vec::new();
        let merged = merge(meaning, hive, &target.of(self.layers), os).and_then(|mut merged| {
            self.hives.remark(name.shown(), &merged);
            repairs = std::mem::take(&mut merged.repairs);
            merged.finish((kind, name.shown()), self.rules.clean_up)
        });
        let (file, applied) = merged.map_err(|source| Error::Hive { context: place.clone(), source })?;
        self.applied.extend(applied);
        if file.is_some() {
            self.hives.note_mended(target, &repairs);
            if hive.recovery() == Recovery::Ignored {
                self.hives.dirty.push(target.path());
            }
        }
        Ok(file)
    }

    fn hive(&mut self, editor: &mut dyn VolumeEditor, target: &Target<'u>) -> Result<()> {
        let Some(opened) = self.hives.open(target, self.layers)? else { return Ok(()) };
        let Opened { parent, child, read } = opened;
        let Some(file) = self.merged(target, &read)? else { return Ok(()) };
        self.rewrite(editor, child.id, &file, &read.place)?;
        self.clear_logs(editor, (parent, target), read.kind.is_of_machine(), &read.place)
    }

    /// Clears what the OS volume logged of a hive in whose place a layer brings another.
    fn clear_logs_of_replaced(&mut self, editor: &mut dyn VolumeEditor, target: &Target<'u>) -> Result<()> {
        let Some(parent) = self.hives.tree.lookup(&target.directory).map(|node| node.id) else {
            return Ok(());
        };
        let place = format!("{}: {}", self.hives.context, target.path());
        // transactions that are logged there speak of hives that the OS volume has
        let shared = self.hives.find(target).is_some_and(|(_, _, kind)| kind.is_of_machine());
        self.clear_logs(editor, (parent, target), shared, &place)
    }

    /// Clears the logs of a hive in the directory `parent` of the OS volume, and those that hives there share: they speak of
    /// the hive as it was.
    fn clear_logs(
        &mut self,
        editor: &mut dyn VolumeEditor,
        (parent, target): (FileId, &Target<'u>),
        shared: bool,
        place: &str,
    ) -> Result<()> {
        let tree = self.hives.tree;
        let own = tree.fold(&target.name);
        for log in tree.children(parent) {
            if !self.hives.is_gone(log.id) && log.folded.as_bytes().starts_with(own.as_bytes()) {
                self.clear_log(editor, (parent, log), &target.directory, place)?;
            }
        }
        // The machine's hives share a folder of transactions.
        if shared && let Some(transactions) = tree.child(parent, &Name::from("TxR")) {
            let directory: Vec<Name> =
                target.directory.iter().cloned().chain([transactions.name.clone()]).collect();
            let id = transactions.id;
            if self.cleared.insert(id) {
                for log in tree.children(id) {
                    if !self.hives.is_gone(log.id) {
                        self.clear_log(editor, (id, log), &directory, place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives the hive's file its new content; its other streams and its metadata stay.
    fn rewrite(&self, editor: &mut dyn VolumeEditor, id: FileId, content: &[u8], place: &str) -> Result<()> {
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
        editor.set_streams(id, &streams).map_err(failed())?;
        editor.set_metadata(id, &node.metadata).map_err(failed())
    }

    /// Empties a log, and takes away what the transactional registry logged: both speak of the hive as it was.
    fn clear_log(
        &self,
        editor: &mut dyn VolumeEditor,
        (parent, log): (FileId, &Child),
        directory: &[Name],
        place: &str,
    ) -> Result<()> {
        if hives::role(self.hives.tree, directory, &log.name) != Some(Role::Log)
            || self.hives.tree.is_directory(log.id)
        {
            return Ok(());
        }
        let name = log.name.to_string().to_lowercase();
        if [".blf", ".regtrans-ms"].iter().any(|end| name.ends_with(end)) {
            let failed = Error::volume(format!("{place}: {}", log.name));
            return editor.unlink(log.id, parent, &log.name).map_err(failed);
        }
        self.rewrite(editor, log.id, &[], &format!("{place}: {}", log.name))
    }
}
