//! What is left to do once all layers are folded in: the view compared with the tree.

use super::PlanLayer;
use super::view::{Directory, DirectoryIndex, ROOT, Slot, Target, View};
use crate::manifest::DirectoryRole;
use crate::{Error, Result};
use std::collections::HashMap;
use volume::{FileId, Kind, Metadata, Name};

/// A directory in the steps, existing or to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryHandle(pub(super) DirectoryIndex);

/// A file to be made: its number among the files of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHandle(pub usize);

/// A file that is to get one more name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSource {
    /// Of the OS volume.
    Old(FileId),
    /// Made by an earlier step.
    New(FileHandle),
}

/// A name to be taken away.
#[derive(Debug, Clone)]
pub struct Unlink {
    /// What it leads to.
    pub node: FileId,
    /// The directory that holds it.
    pub parent: FileId,
    /// The name.
    pub name: Name,
}

/// Something to be made.
#[derive(Debug, Clone)]
pub enum Creation {
    /// A directory.
    Directory {
        /// By which later steps name it.
        handle: DirectoryHandle,
        /// Where.
        parent: DirectoryHandle,
        /// Name.
        name: Name,
        /// Short name.
        short: Option<Name>,
        /// Layer and position among the directories of its manifest.
        record: (usize, u32),
    },
    /// A file with its first name. Files are numbered in the order of these steps.
    File {
        /// Where.
        parent: DirectoryHandle,
        /// Name.
        name: Name,
        /// Short name.
        short: Option<Name>,
        /// Layer and position among the files of its manifest.
        record: (usize, u32),
    },
}

/// One more name for a file.
#[derive(Debug, Clone)]
pub struct LinkStep {
    /// The file.
    pub file: FileSource,
    /// Where.
    pub parent: DirectoryHandle,
    /// Name.
    pub name: Name,
}

/// A name to be written in another case, or to get another short name.
#[derive(Debug, Clone)]
pub struct RenameStep {
    /// Whose.
    pub node: FileId,
    /// The directory that holds the name.
    pub parent: FileId,
    /// The long name as it is.
    pub name: Name,
    /// The long name as it will be.
    pub new: Name,
    /// The short name as it will be.
    pub short: Option<Name>,
}

/// What to do to a volume, in the order of the fields.
#[derive(Debug, Default)]
pub struct Steps {
    /// Files that lose all the names they have before they get the one they are to have: a name in the root directory
    /// for the meantime, so that the file system does not give them up.
    pub held: Vec<Unlink>,
    /// Names to take away, contents before their directories.
    pub unlinks: Vec<Unlink>,
    /// Names of existing entries to change.
    pub renames: Vec<RenameStep>,
    /// The existing directories that creations and links refer to.
    pub existing: HashMap<DirectoryHandle, FileId>,
    /// What to make: the children of one directory in one go, parents before children, sorted by folded name.
    pub creations: Vec<Creation>,
    /// Further names, once all files are there.
    pub links: Vec<LinkStep>,
    /// Named streams that replace those of existing directories: layer and directory record.
    pub directory_streams: Vec<(DirectoryHandle, (usize, u32))>,
    /// Final metadata of the directories that layers changed.
    pub directories: Vec<(DirectoryHandle, Metadata)>,
}

/// The steps that turn the view's tree into the view.
pub(super) fn steps(view: &View<'_>, layers: &[PlanLayer<'_>]) -> Result<Steps> {
    let mut builder = Builder { view, layers, steps: Steps::default(), files: HashMap::new(), file_count: 0 };
    builder.unlink_changed(ROOT);
    builder.create();
    builder.hold();
    builder.finish_directories()?;
    Ok(builder.steps)
}

struct Builder<'a, 't, 'm> {
    view: &'a View<'t>,
    layers: &'a [PlanLayer<'m>],
    steps: Steps,
    files: HashMap<(usize, u32), FileHandle>,
    file_count: usize,
}

impl<'a> Builder<'a, '_, '_> {
    /// Takes away the names that the view does not have any more, or that lead elsewhere in it.
    fn unlink_changed(&mut self, place: DirectoryIndex) {
        // An explicit stack: the depth of a volume is not ours to bound. `true` marks a directory whose contents are
        // done and whose own name goes.
        enum Work {
            Compare(DirectoryIndex),
            RemoveContents(FileId),
            RemoveName(Unlink),
        }
        let (view, tree) = (self.view, self.view.tree);
        let mut work = vec![Work::Compare(place)];
        while let Some(item) = work.pop() {
            let (id, kept): (FileId, Option<&Directory>) = match item {
                Work::RemoveName(unlink) => {
                    self.steps.unlinks.push(unlink);
                    continue;
                }
                Work::Compare(place) => {
                    let directory = &view.directories[place];
                    let Some(id) = directory.old else { continue };
                    (id, Some(directory))
                }
                Work::RemoveContents(id) => (id, None),
            };
            for child in tree.children(id).iter().rev() {
                let Some(node) = tree.node(child.id) else { continue };
                let slot = kept.and_then(|directory| directory.entries.get(&child.folded));
                // A file's name goes and comes again, a directory's is changed.
                let named = |slot: &Slot| slot.name == child.name || node.kind == Kind::Directory;
                let stays = slot.filter(|slot| leads_to(view, slot, child.id) && named(slot));
                // Of two names that fold alike only the first is in the view; the other stays as it was.
                let shadowed = kept.is_some()
                    && tree.child(id, &child.name).is_some_and(|first| first.name != child.name);
                if let Some(slot) = stays {
                    if let Target::Directory(index) = slot.target {
                        work.push(Work::Compare(index));
                    }
                    let short = node
                        .links
                        .iter()
                        .find(|link| link.parent == id && link.name == child.name)
                        .and_then(|link| link.short.clone());
                    if short != slot.short || slot.name != child.name {
                        self.steps.renames.push(RenameStep {
                            node: child.id,
                            parent: id,
                            name: child.name.clone(),
                            new: slot.name.clone(),
                            short: slot.short.clone(),
                        });
                    }
                } else if !shadowed {
                    let name = child.name.clone();
                    work.push(Work::RemoveName(Unlink { node: child.id, parent: id, name }));
                    if node.kind == Kind::Directory {
                        work.push(Work::RemoveContents(child.id));
                    }
                }
            }
        }
    }

    /// Makes what the tree lacks.
    fn create(&mut self) {
        let mut pending = vec![ROOT];
        let mut links: Vec<(Target, LinkStep)> = Vec::new();
        // A file of several names is made under the one that has the short name, because only one can have it.
        let named = self.preferred_names();
        while let Some(place) = pending.pop() {
            let view = self.view;
            let directory = &view.directories[place];
            let mut entries: Vec<(&Name, &Slot)> = directory.entries.iter().collect();
            entries.sort_unstable_by_key(|(folded, _)| *folded);
            let mut below = Vec::new();
            for (folded, slot) in entries {
                let parent = DirectoryHandle(place);
                let name = slot.name.clone();
                match slot.target {
                    Target::OldDirectory(_) => {}
                    Target::Directory(index) => {
                        below.push(index);
                        if let Some(record) = self.view.directories[index].made_by {
                            let handle = DirectoryHandle(index);
                            let short = slot.short.clone();
                            self.refer(place);
                            self.steps.creations.push(Creation::Directory {
                                handle,
                                parent,
                                name,
                                short,
                                record,
                            });
                        }
                    }
                    Target::NewFile(layer, file) => {
                        self.refer(place);
                        let record = (layer, file);
                        let first = match named.get(&record) {
                            Some((at, preferred)) => *at == place && *preferred == folded,
                            None => !self.files.contains_key(&record),
                        };
                        if first && !self.files.contains_key(&record) {
                            self.files.insert(record, FileHandle(self.file_count));
                            self.file_count += 1;
                            let short = slot.short.clone();
                            self.steps.creations.push(Creation::File { parent, name, short, record });
                        } else {
                            let file = FileSource::Old(FileId(0));
                            links.push((slot.target, LinkStep { file, parent, name }));
                        }
                    }
                    Target::OldFile(id) => {
                        if !self.has_link(directory, slot, id) {
                            self.refer(place);
                            let file = FileSource::Old(id);
                            links.push((slot.target, LinkStep { file, parent, name }));
                        }
                    }
                }
            }
            pending.extend(below.into_iter().rev());
        }
        for (target, mut step) in links {
            if let Target::NewFile(layer, file) = target {
                let handle = self.files.get(&(layer, file)).expect("every new file is made under one name");
                step.file = FileSource::New(*handle);
            }
            self.steps.links.push(step);
        }
    }

    /// Finds names for the files that would be without one between losing the old and getting the new.
    fn hold(&mut self) {
        let tree = self.view.tree;
        let mut lost: HashMap<FileId, usize> = HashMap::new();
        for unlink in &self.steps.unlinks {
            *lost.entry(unlink.node).or_default() += 1;
        }
        let mut homeless: Vec<FileId> = Vec::new();
        for link in &self.steps.links {
            if let FileSource::Old(id) = link.file
                && tree
                    .node(id)
                    .is_some_and(|node| lost.get(&id).is_some_and(|lost| *lost >= node.links.len()))
            {
                homeless.push(id);
            }
        }
        homeless.sort_unstable();
        homeless.dedup();
        let root = &self.view.directories[ROOT];
        let taken = |name: &Name| {
            let folded = tree.fold(name);
            let short = |child: &volume::Child| {
                let links = tree.node(child.id).map_or(&[][..], |node| &node.links);
                links.iter().any(|link| link.short.as_ref().is_some_and(|short| tree.fold(short) == folded))
            };
            root.entries.contains_key(&folded)
                || root.shorts.contains_key(&folded)
                || tree.child(tree.root(), name).is_some()
                || tree.children(tree.root()).iter().any(short)
        };
        let mut names = (0u64..).map(|number| Name::from(format!("held {number}").as_str()));
        for id in homeless {
            let name = names.find(|name| !taken(name)).expect("a directory has fewer than 2^64 names");
            self.steps.held.push(Unlink { node: id, parent: tree.root(), name });
        }
    }

    /// For each new file of which one of several names has a short name: that name.
    fn preferred_names(&self) -> HashMap<(usize, u32), (DirectoryIndex, &'a Name)> {
        let mut preferred = HashMap::new();
        let added_links = self
            .layers
            .iter()
            .any(|layer| layer.manifest.files.iter().any(|file| !file.lower_names.is_empty()));
        let view = self.view;
        for (place, directory) in view.directories.iter().enumerate() {
            for (folded, slot) in &directory.entries {
                if let (Target::NewFile(layer, file), Some(_)) = (slot.target, &slot.short)
                    && (added_links || self.layers[layer].manifest.files[file as usize].names.len() > 1)
                    && self.attached(place)
                {
                    let best = preferred.entry((layer, file)).or_insert((place, folded));
                    if (place, folded) < *best {
                        *best = (place, folded);
                    }
                }
            }
        }
        preferred
    }

    /// Whether a directory of the view can still be reached.
    fn attached(&self, place: DirectoryIndex) -> bool {
        let mut at = place;
        while at != ROOT {
            let directory = &self.view.directories[at];
            let folded = self.view.tree.fold(&directory.name);
            let slot = self.view.directories[directory.parent].entries.get(&folded);
            if !slot.is_some_and(|slot| slot.target == Target::Directory(at)) {
                return false;
            }
            at = directory.parent;
        }
        true
    }

    fn refer(&mut self, place: DirectoryIndex) {
        if let Some(id) = self.view.directories[place].old {
            self.steps.existing.insert(DirectoryHandle(place), id);
        }
    }

    /// Whether the OS volume has this very name for this very file.
    fn has_link(&self, directory: &Directory, slot: &Slot, id: FileId) -> bool {
        let Some(parent) = directory.old else { return false };
        let node = self.view.tree.node(id);
        node.is_some_and(|node| node.links.iter().any(|link| link.parent == parent && link.name == slot.name))
    }

    /// Final metadata of the directories that layers changed.
    fn finish_directories(&mut self) -> Result<()> {
        for place in 0..self.view.directories.len() {
            let directory = &self.view.directories[place];
            let handle = DirectoryHandle(place);
            if directory.changes.is_empty() || !self.attached(place) {
                continue;
            }
            let mut metadata = match (directory.old, directory.made_by) {
                (Some(id), _) => self.view.tree.node(id).map(|node| node.metadata.clone()),
                (None, Some((layer, record))) => {
                    let manifest = self.layers[layer].manifest;
                    manifest.directories[record as usize].metadata.resolve(&manifest.securities)
                }
                (None, None) => None,
            }
            .ok_or(Error::Internal { what: "a directory without origin" })?;
            for &(layer, position) in &directory.changes {
                let manifest = self.layers[layer].manifest;
                let record = &manifest.directories[position as usize];
                let DirectoryRole::Changed { security, attributes, times, properties, name: _ } = record.role
                else {
                    continue;
                };
                let Some(changed) = record.metadata.resolve(&manifest.securities) else { continue };
                if security {
                    metadata.security = changed.security;
                }
                if attributes {
                    metadata.attributes = changed.attributes;
                }
                if times {
                    metadata.times = changed.times;
                }
                if properties {
                    metadata.properties = changed.properties;
                    self.steps.directory_streams.push((handle, (layer, position)));
                }
            }
            if let Some(id) = directory.old {
                self.steps.existing.insert(handle, id);
            }
            self.steps.directories.push((handle, metadata));
        }
        Ok(())
    }
}

/// Whether a slot still leads to a node of the OS volume.
fn leads_to(view: &View<'_>, slot: &Slot, id: FileId) -> bool {
    match slot.target {
        Target::OldFile(target) | Target::OldDirectory(target) => target == id,
        Target::Directory(index) => view.directories[index].old == Some(id),
        Target::NewFile(..) => false,
    }
}
