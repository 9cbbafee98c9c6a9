//! What changed between two trees, as a manifest. Pure but for contents, which a [`Contents`] compares and keeps.
//!
//! Entries are matched by path, as the volume compares names; record numbers only tell which names are one file. The
//! walk is depth first and sorted, so that contents are kept in the order in which composing will want them.

use crate::Result;
use crate::error::Rule;
use crate::hives::{self, Role};
use crate::manifest::*;
use crate::never_captured::NeverCaptured;
use crate::registry::HiveKind;
use hive::Delta;
use operation::{Progress, Unit};
use std::collections::{HashMap, HashSet};
use store::BlobId;
use volume::{Child, FileId, Kind, Metadata, Name, Node, Stream, Tree};

/// What comparing trees needs to know, and to do, about bytes.
pub trait Contents {
    /// Whether two streams of equal size hold the same bytes.
    fn same(&mut self, base: &Stream, new: &Stream) -> Result<bool>;
    /// Keeps the bytes of a stream of the new tree in the store.
    fn keep(&mut self, new: &Stream) -> Result<StreamRecord>;
    /// Digest of a stream of the base tree.
    fn base_digest(&mut self, base: &Stream) -> Result<BlobId>;
    /// What changed in a registry hive, logs taken into account; `None` for nothing that a layer carries. `path` is for
    /// messages.
    fn hive_change(
        &mut self,
        path: &str,
        kind: HiveKind,
        base: &HiveStreams<'_>,
        new: &HiveStreams<'_>,
    ) -> Result<Option<Delta>>;
    /// Whether two states of a hive of users or secrets differ in more than a machine notes by itself; so they do where
    /// one cannot be read.
    fn settings_changed(&mut self, base: &HiveStreams<'_>, new: &HiveStreams<'_>) -> bool;
    /// Keeps the bytes of a hive of the new tree with its logs replayed; `None` where there is nothing to replay. `path` is
    /// for messages.
    fn recovered_hive(&mut self, path: &str, new: &HiveStreams<'_>) -> Result<Option<StreamRecord>>;
    /// Local users and groups that were made or removed between two states of SAM; none where it cannot be read.
    fn accounts_changed(&mut self, base: &HiveStreams<'_>, new: &HiveStreams<'_>) -> Vec<String>;
    /// Names of the folders in `\Users` that are profiles of accounts of services, as SOFTWARE of the new tree lists them;
    /// none where it cannot be read.
    fn service_profiles(&mut self, software: &HiveStreams<'_>) -> Vec<String>;
    /// Version resource of a binary of the new tree.
    fn binary_version(&mut self, name: &Name, stream: &Stream) -> Result<Option<[u16; 4]>>;
}

/// The main streams of a hive's file and of its logs.
#[derive(Debug)]
pub struct HiveStreams<'t> {
    /// The hive.
    pub file: &'t Stream,
    /// Its logs, in the order of their names.
    pub logs: Vec<&'t Stream>,
}

/// What is not looked at when trees are compared.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Paths that are left out on both sides.
    pub never: &'a NeverCaptured,
    /// Whether to leave out what belongs to the OS layer alone, and to list what of it changed.
    pub without_os_only: bool,
}

/// What [`difference`] found.
#[derive(Debug)]
pub struct Difference {
    /// What turns the base into the new tree.
    pub manifest: Manifest,
    /// Paths of what changed and belongs to the OS layer alone, sorted.
    pub os_only: Vec<String>,
    /// Local users and groups that were made or removed, which are part of that, sorted.
    pub accounts: Vec<String>,
    /// Paths of profiles of users whom the base lacks, which are left out likewise, sorted.
    pub profiles: Vec<String>,
}

/// What turns `base` into `new`.
///
/// # Errors
/// [`Rule::NamesCollide`] when entries changed whose directory has another that is the same but for case: which of the
/// two the change means cannot be told apart later. Those of `contents`.
pub fn difference(
    base: &Tree,
    new: &Tree,
    scope: Scope<'_>,
    contents: &mut dyn Contents,
    progress: &dyn Progress,
) -> Result<Difference> {
    progress.step("Comparing files", Some(new.len() as u64), Unit::Items);
    let mut walk = Walk {
        base,
        new,
        scope,
        contents,
        frames: Vec::new(),
        groups: HashMap::new(),
        group_order: Vec::new(),
        securities: SecurityTable::default(),
        manifest: Manifest::default(),
        os_only: Vec::new(),
        accounts: Vec::new(),
        profiles: Vec::new(),
        service_profiles: None,
        recovered: HashMap::new(),
    };
    walk.frames.push(Frame {
        parent: 0,
        name: Name::default(),
        short: None,
        base: Some(base.root()),
        new: Some(new.root()),
        position: None,
        role: DirectoryRole::Context,
        path: Vec::new(),
        ambiguous: false,
    });
    let mut pending = vec![0];
    walk.position(0)?;
    while let Some(frame) = pending.pop() {
        if progress.cancelled() {
            return Err(crate::Error::Cancelled);
        }
        let below = walk.directory(frame)?;
        progress.advance(walk.frames[frame].new.map_or(0, |id| new.children(id).len() as u64));
        pending.extend(below.into_iter().rev());
    }
    walk.finish_groups()?;
    let mut manifest = walk.manifest;
    manifest.securities = walk.securities.into_values();
    Ok(Difference { manifest, os_only: walk.os_only, accounts: walk.accounts, profiles: walk.profiles })
}

/// A directory path that exists in either tree.
struct Frame {
    parent: usize,
    name: Name,
    short: Option<Name>,
    base: Option<FileId>,
    new: Option<FileId>,
    /// Position in the manifest, once something refers to it.
    position: Option<u32>,
    role: DirectoryRole,
    path: Vec<Name>,
    /// It, or a directory above it, has a neighbour of the same name but for case: nothing in it may have changed.
    ambiguous: bool,
}

/// One captured-or-not name of a file with several.
struct GroupName {
    frame: usize,
    name: Name,
    short: Option<Name>,
    base: Option<FileId>,
    renamed: bool,
}

struct Walk<'a> {
    base: &'a Tree,
    new: &'a Tree,
    scope: Scope<'a>,
    contents: &'a mut dyn Contents,
    frames: Vec<Frame>,
    groups: HashMap<FileId, Vec<GroupName>>,
    group_order: Vec<FileId>,
    securities: SecurityTable,
    manifest: Manifest,
    os_only: Vec<String>,
    accounts: Vec<String>,
    profiles: Vec<String>,
    /// Folded names of the folders in `\Users` that belong to services, once somebody asked.
    service_profiles: Option<HashSet<Name>>,
    /// Main streams of hives that are brought as files, where their logs had to be replayed.
    recovered: HashMap<FileId, StreamRecord>,
}

impl Walk<'_> {
    /// Compares the entries of one directory and gives back the frames of its sub-directories, in order.
    fn directory(&mut self, frame: usize) -> Result<Vec<usize>> {
        let (base, new) = (self.base, self.new);
        let old = self.frames[frame].base.map_or(&[][..], |id| base.children(id));
        let now = self.frames[frame].new.map_or(&[][..], |id| new.children(id));
        let mut below = Vec::new();
        let (mut o, mut n) = (0, 0);
        while o < old.len() || n < now.len() {
            // Volumes that hold two names of equal folded form are compared name by name within the pair.
            let order = match (old.get(o), now.get(n)) {
                (Some(a), Some(b)) => a.folded.cmp(&b.folded),
                (Some(_), None) => std::cmp::Ordering::Less,
                _ => std::cmp::Ordering::Greater,
            };
            let was = order.is_le().then(|| &old[o]);
            let is = order.is_ge().then(|| &now[n]);
            o += usize::from(was.is_some());
            n += usize::from(is.is_some());
            let shown = is.or(was).expect("one side has an entry");
            let (name, directory) = (&shown.name, &self.frames[frame].path);
            if self.scope.never.matches(self.new, directory, name) {
                continue;
            }
            let role = hives::role(self.new, directory, name);
            let twins = |entries: &[Child], at: usize| {
                let twin = |other: Option<&Child>| other.is_some_and(|other| other.folded == shown.folded);
                twin(at.checked_sub(2).and_then(|at| entries.get(at))) || twin(entries.get(at))
            };
            if role == Some(Role::State) && self.scope.without_os_only {
                continue;
            }
            if role == Some(Role::OsOnly) && self.scope.without_os_only {
                if !self.is_unchanged(frame, was, is)? {
                    self.os_only(frame, (was, old), (is, now));
                }
            } else if role == Some(Role::Log) && self.frames[frame].new.is_some() {
                // part of the hive that it belongs to
            } else if self.scope.without_os_only && was.is_none() && self.is_users_profile(frame, shown) {
                self.profiles.push(self.display(frame, name));
            } else if let (Some(Role::Hive(kind)), Some(was), Some(is)) = (role, was, is)
                && self.are_files(was, is)
            {
                self.hive(frame, kind, (was, old), (is, now))?;
            } else if self.frames[frame].ambiguous || twins(old, o) || twins(now, n) {
                self.ambiguous_entry(frame, was, is, &mut below)?;
            } else {
                if let (Some(Role::Hive(_)), Some(is)) = (role, is) {
                    self.brought_hive(frame, is, now)?;
                }
                self.entry(frame, was, is, &mut below)?;
            }
        }
        Ok(below)
    }

    /// Something that belongs to the OS layer alone and is not the same on both sides: a remark, unless it is only what a
    /// machine notes by itself.
    fn os_only(
        &mut self,
        frame: usize,
        (was, old): (Option<&Child>, &[Child]),
        (is, now): (Option<&Child>, &[Child]),
    ) {
        let Some(name) = is.or(was).map(|child| child.name.clone()) else { return };
        let streams = (
            was.and_then(|was| hive_streams(self.base, was, old)),
            is.and_then(|is| hive_streams(self.new, is, now)),
        );
        if let (Some(base), Some(new)) = &streams {
            if !self.contents.settings_changed(base, new) {
                return;
            }
            if name.to_string().eq_ignore_ascii_case("SAM") {
                self.accounts.extend(self.contents.accounts_changed(base, new));
            }
        }
        self.os_only.push(self.display(frame, &name));
    }

    /// Whether an entry of the new tree is the profile of a user: users are the OS layer's alone. The account of a service
    /// is part of the program that the service belongs to.
    fn is_users_profile(&mut self, frame: usize, child: &Child) -> bool {
        let is_users = |path: &[Name]| matches!(path, [only] if self.new.fold(only) == self.new.fold(&Name::from("Users")));
        let is_profile = is_users(&self.frames[frame].path)
            && self.new.child(child.id, &Name::from("NTUSER.DAT")).is_some();
        is_profile && !self.is_of_service(child)
    }

    fn is_of_service(&mut self, child: &Child) -> bool {
        let (tree, contents) = (self.new, &mut *self.contents);
        let folders = self.service_profiles.get_or_insert_with(|| {
            let all = hives::all(tree);
            let software = all.iter().find(|hive| hive.kind == HiveKind::Software);
            let streams =
                software.and_then(|hive| hive_streams(tree, hive.entry, tree.children(hive.parent)));
            let names = streams.map_or_else(Vec::new, |streams| contents.service_profiles(&streams));
            names.iter().map(|name| tree.fold(&Name::from(name.as_str()))).collect()
        });
        folders.contains(&child.folded)
    }

    fn are_files(&self, was: &Child, is: &Child) -> bool {
        !self.base.is_directory(was.id) && !self.new.is_directory(is.id)
    }

    /// A hive that both sides have: what changed in it. The file's own metadata is not looked at; it changes whenever
    /// Windows runs.
    fn hive(
        &mut self,
        frame: usize,
        kind: HiveKind,
        (was, old): (&Child, &[Child]),
        (is, now): (&Child, &[Child]),
    ) -> Result<()> {
        let (Some(base), Some(new)) = (hive_streams(self.base, was, old), hive_streams(self.new, is, now))
        else {
            return Ok(());
        };
        let path = self.display(frame, &is.name);
        if let Some(delta) = self.contents.hive_change(&path, kind, &base, &new)? {
            let directory = self.position(frame)?;
            self.manifest.hives.push(HiveRecord { directory, name: is.name.clone(), delta });
        }
        Ok(())
    }

    /// A hive that the base lacks is brought as a file, and its logs are not: what they say is put into it.
    fn brought_hive(&mut self, frame: usize, is: &Child, now: &[Child]) -> Result<()> {
        if self.new.is_directory(is.id) {
            return Ok(());
        }
        let Some(streams) = hive_streams(self.new, is, now) else { return Ok(()) };
        let path = self.display(frame, &is.name);
        if let Some(record) = self.contents.recovered_hive(&path, &streams)? {
            self.recovered.insert(is.id, record);
        }
        Ok(())
    }

    /// An entry whose path leads to another one as well, as the volume compares names: Windows makes such directories
    /// for the Linux programs that it runs. They are left as they are, and refused where something changed.
    fn ambiguous_entry(
        &mut self,
        frame: usize,
        was: Option<&Child>,
        is: Option<&Child>,
        below: &mut Vec<usize>,
    ) -> Result<()> {
        if !self.is_unchanged(frame, was, is)? {
            let name = is.or(was).map_or_else(Name::default, |child| child.name.clone());
            return Err(Rule::NamesCollide { path: self.display(frame, &name) }.into());
        }
        if let (Some(was), Some(is)) = (was, is)
            && self.new.is_directory(is.id)
        {
            let child = self.frame(frame, &is.name, None, Some(was.id), Some(is.id), DirectoryRole::Context);
            self.frames[child].ambiguous = true;
            below.push(child);
        }
        Ok(())
    }

    /// Whether both sides have the entry, with the same name and the same in every respect; of directories, what is in
    /// them is not looked at.
    fn is_unchanged(&mut self, frame: usize, was: Option<&Child>, is: Option<&Child>) -> Result<bool> {
        let (Some(was), Some(is)) = (was, is) else { return Ok(false) };
        let (Some(old), Some(now)) = (self.base.node(was.id), self.new.node(is.id)) else { return Ok(false) };
        if was.name != is.name || old.kind != now.kind {
            return Ok(false);
        }
        let (before, after) = (self.frames[frame].base, self.frames[frame].new);
        if short_of(old, before, &was.name) != short_of(now, after, &is.name) {
            return Ok(false);
        }
        match now.kind {
            Kind::File => Ok(old.links.len() == now.links.len() && self.same_file(old, now)?),
            Kind::Directory => Ok(self.directory_change(old, now, false)? == DirectoryRole::Context),
        }
    }

    /// The path of an entry as people write it.
    fn display(&self, frame: usize, name: &Name) -> String {
        let parts = self.frames[frame].path.iter().chain([name]);
        parts.fold(String::new(), |path, part| format!("{path}\\{part}"))
    }

    fn entry(
        &mut self,
        frame: usize,
        was: Option<&Child>,
        is: Option<&Child>,
        below: &mut Vec<usize>,
    ) -> Result<()> {
        let (base, new) = (self.base, self.new);
        let old = was.and_then(|child| base.node(child.id));
        let now = is.and_then(|child| new.node(child.id));
        let old_kind = old.map(|node| node.kind);
        let now_kind = now.map(|node| node.kind);
        if let (Some(was), Some(old)) = (was, old)
            && now_kind != old_kind
        {
            let before = match old.kind {
                Kind::File => self.before(old)?,
                Kind::Directory => None,
            };
            let directory = self.position(frame)?;
            let (name, kind) = (was.name.clone(), old.kind);
            self.manifest.deletions.push(DeletionRecord { directory, name, kind, before });
            if old.kind == Kind::Directory {
                let short = short_of(old, self.frames[frame].base, &was.name);
                below.push(self.frame(frame, &was.name, short, Some(old.id), None, DirectoryRole::Context));
            }
        }
        let (Some(is), Some(now)) = (is, now) else { return Ok(()) };
        let counterpart = old.filter(|node| node.kind == now.kind);
        let short = short_of(now, self.frames[frame].new, &is.name);
        let renamed = match (was, counterpart) {
            (Some(was), Some(old)) => {
                was.name != is.name || short_of(old, self.frames[frame].base, &was.name) != short
            }
            _ => false,
        };
        match now.kind {
            Kind::Directory => {
                let role = match counterpart {
                    None => DirectoryRole::Created,
                    Some(old) => self.directory_change(old, now, renamed)?,
                };
                let old = counterpart.map(|node| node.id);
                let child = self.frame(frame, &is.name, short, old, Some(now.id), role);
                if role != DirectoryRole::Context {
                    self.position(child)?;
                }
                below.push(child);
            }
            // Also what had several names: one that was made a file of its own may look the same as before.
            Kind::File if now.links.len() > 1 || counterpart.is_some_and(|old| old.links.len() > 1) => {
                let group = self.groups.entry(now.id).or_default();
                if group.is_empty() {
                    self.group_order.push(now.id);
                }
                let base = counterpart.map(|node| node.id);
                group.push(GroupName { frame, name: is.name.clone(), short, base, renamed });
            }
            Kind::File => {
                let changed = match counterpart {
                    Some(old) => renamed || !self.same_file(old, now)?,
                    None => true,
                };
                if changed {
                    let before = counterpart.map(|old| self.before(old)).transpose()?.flatten();
                    let directory = self.position(frame)?;
                    let names = vec![NameRecord { directory, name: is.name.clone(), short }];
                    self.file(now, names, Vec::new(), before)?;
                }
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        parent: usize,
        name: &Name,
        short: Option<Name>,
        base: Option<FileId>,
        new: Option<FileId>,
        role: DirectoryRole,
    ) -> usize {
        let mut path = self.frames[parent].path.clone();
        path.push(name.clone());
        let (position, ambiguous) = (None, false);
        self.frames.push(Frame {
            parent,
            name: name.clone(),
            short,
            base,
            new,
            position,
            role,
            path,
            ambiguous,
        });
        self.frames.len() - 1
    }

    /// The manifest position of a frame; it and its parents are recorded when something first refers to them.
    fn position(&mut self, frame: usize) -> Result<u32> {
        let mut missing = Vec::new();
        let mut at = frame;
        while self.frames[at].position.is_none() {
            missing.push(at);
            if at == 0 {
                break;
            }
            at = self.frames[at].parent;
        }
        for at in missing.into_iter().rev() {
            let Frame { parent, name, short, base, new, role, .. } = &self.frames[at];
            let node = match new {
                Some(id) => self.new.node(*id),
                None => base.and_then(|id| self.base.node(id)),
            };
            let node = node.expect("a frame's directory is in one of the trees");
            let (mut role, name, short) = (*role, name.clone(), short.clone());
            let parent = self.frames[*parent].position.unwrap_or(0);
            if at == 0 {
                let old = self.base.node(self.base.root()).expect("a tree has its root");
                role = self.directory_change(old, node, false)?;
            }
            let metadata = self.securities.record(&node.metadata);
            let mut streams = Vec::new();
            if self.frames[at].new.is_some() {
                for stream in &node.streams {
                    streams.push(self.contents.keep(stream)?);
                }
            }
            let position = u32::try_from(self.manifest.directories.len())
                .map_err(|_| crate::Error::TooMany { what: "directories" })?;
            self.manifest.directories.push(DirectoryRecord { parent, name, short, role, metadata, streams });
            self.frames[at].position = Some(position);
        }
        Ok(self.frames[frame].position.expect("set above"))
    }

    fn directory_change(&mut self, old: &Node, now: &Node, name: bool) -> Result<DirectoryRole> {
        let (a, b) = (&old.metadata, &now.metadata);
        let security = a.security != b.security;
        let attributes = a.attributes != b.attributes;
        let times = !same_times(a, b);
        let properties = a.properties != b.properties || !self.same_streams(&old.streams, &now.streams)?;
        if name || security || attributes || times || properties {
            Ok(DirectoryRole::Changed { name, security, attributes, times, properties })
        } else {
            Ok(DirectoryRole::Context)
        }
    }

    fn same_file(&mut self, old: &Node, now: &Node) -> Result<bool> {
        let (a, b) = (&old.metadata, &now.metadata);
        let same = a.security == b.security
            && a.attributes == b.attributes
            && same_times(a, b)
            && a.properties == b.properties;
        Ok(same && self.same_streams(&old.streams, &now.streams)?)
    }

    fn same_streams(&mut self, old: &[Stream], now: &[Stream]) -> Result<bool> {
        if old.len() != now.len() {
            return Ok(false);
        }
        for (a, b) in old.iter().zip(now) {
            let alike = a.name == b.name && a.size == b.size && a.valid == b.valid && a.flags == b.flags;
            if !alike || !self.contents.same(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn before(&mut self, old: &Node) -> Result<Option<BlobId>> {
        let main = old.streams.iter().find(|stream| stream.name.is_empty());
        main.map(|stream| self.contents.base_digest(stream)).transpose()
    }

    /// Decides about the files that have or had several names, all of which are known now.
    ///
    /// One file of the base stays one file: of the names that look unchanged, those stay that were names of the same
    /// file before, and no other file of the new tree has kept any of them. All others are brought.
    fn finish_groups(&mut self) -> Result<()> {
        // For each file of the base, the file of the new tree that it is.
        let mut became: HashMap<FileId, FileId> = HashMap::new();
        for id in std::mem::take(&mut self.group_order) {
            let names = self.groups.remove(&id).unwrap_or_default();
            let now = self.new.node(id).expect("a group is made from a node");
            let mut equal: HashMap<FileId, bool> = HashMap::new();
            let (mut brought, mut kept) = (Vec::new(), Vec::new());
            let mut was: Option<FileId> = None;
            for name in names {
                let same = match name.base {
                    None => false,
                    Some(base) => match equal.get(&base) {
                        Some(&same) => same,
                        None => {
                            let old = self.base.node(base).expect("counterparts are nodes");
                            let same = self.same_file(old, now)?;
                            equal.insert(base, same);
                            same
                        }
                    },
                };
                let stays = name.base.filter(|base| {
                    same && !name.renamed
                        && was.is_none_or(|was| was == *base)
                        && became.get(base).is_none_or(|other| *other == id)
                });
                match stays {
                    Some(base) => {
                        was = Some(base);
                        became.insert(base, id);
                        kept.push(name);
                    }
                    None => brought.push(name),
                }
            }
            if brought.is_empty() {
                continue;
            }
            let replaced = brought.iter().find_map(|name| name.base).and_then(|id| self.base.node(id));
            let before = replaced.map(|old| self.before(old)).transpose()?.flatten();
            let mut records = |names: Vec<GroupName>| -> Result<Vec<NameRecord>> {
                names
                    .into_iter()
                    .map(|name| {
                        let directory = self.position(name.frame)?;
                        Ok(NameRecord { directory, name: name.name, short: name.short })
                    })
                    .collect()
            };
            let (names, lower_names) = (records(brought)?, records(kept)?);
            self.file(now, names, lower_names, before)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        node: &Node,
        names: Vec<NameRecord>,
        lower_names: Vec<NameRecord>,
        before: Option<BlobId>,
    ) -> Result<()> {
        let mut streams = Vec::with_capacity(node.streams.len());
        for stream in &node.streams {
            let recovered = if stream.name.is_empty() { self.recovered.remove(&node.id) } else { None };
            streams.push(match recovered {
                Some(recovered) => recovered,
                None => self.contents.keep(stream)?,
            });
        }
        // Also of a new file: a later version of the operating system may bring one of the same name.
        let binary_version = match node.streams.first() {
            Some(main) if main.name.is_empty() => self.contents.binary_version(&names[0].name, main)?,
            _ => None,
        };
        let metadata = self.securities.record(&node.metadata);
        self.manifest.files.push(FileRecord {
            names,
            lower_names,
            metadata,
            streams,
            before,
            binary_version,
        });
        Ok(())
    }
}

/// Reading a file changes its access time, and moving or defragmenting it the time of its record: neither is a change.
fn same_times(a: &Metadata, b: &Metadata) -> bool {
    a.times.created == b.times.created && a.times.modified == b.times.modified
}

/// The streams of a hive and of the logs beside it; `None` for a file without a main stream.
pub(crate) fn hive_streams<'t>(tree: &'t Tree, hive: &Child, beside: &[Child]) -> Option<HiveStreams<'t>> {
    let main = |id| tree.node(id)?.streams.iter().find(|stream: &&Stream| stream.name.is_empty());
    let is_log = |child: &&Child| {
        ["LOG", "LOG1", "LOG2"]
            .iter()
            .any(|end| child.folded == tree.fold(&Name::from(format!("{}.{end}", hive.name).as_str())))
    };
    let logs = beside.iter().filter(is_log).filter_map(|child| main(child.id)).collect();
    Some(HiveStreams { file: main(hive.id)?, logs })
}

/// The short name that goes with the name of a node in a directory.
fn short_of(node: &Node, parent: Option<FileId>, name: &Name) -> Option<Name> {
    let link = node.links.iter().find(|link| Some(link.parent) == parent && link.name == *name)?;
    link.short.clone()
}
