//! The volume as it would be: directories of the OS volume, loaded when first touched, and those that layers add.

use std::collections::HashMap;
use volume::{FileId, Kind, Name, Tree};

/// Position of a directory in the view.
pub(super) type DirectoryIndex = usize;

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// A file of the OS volume.
    OldFile(FileId),
    /// A file of a layer: layer, position in its manifest.
    NewFile(usize, u32),
    /// A directory of the OS volume that nothing has touched.
    OldDirectory(FileId),
    /// A directory of the view.
    Directory(DirectoryIndex),
}

impl Target {
    pub(super) fn kind(self) -> Kind {
        match self {
            Target::OldFile(_) | Target::NewFile(..) => Kind::File,
            Target::OldDirectory(_) | Target::Directory(_) => Kind::Directory,
        }
    }
}

/// A name in a directory of the view.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: Name,
    pub(super) short: Option<Name>,
    pub(super) target: Target,
}

/// A directory of the view.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: DirectoryIndex,
    pub(super) name: Name,
    /// The directory of the OS volume that it is.
    pub(super) old: Option<FileId>,
    /// The layer and record that made it, where the OS volume has none.
    pub(super) made_by: Option<(usize, u32)>,
    /// Layers and records that change it, lowest first.
    pub(super) changes: Vec<(usize, u32)>,
    /// The layer that deleted it, though it was not empty yet.
    pub(super) doomed: Option<usize>,
    /// Names by folded form.
    pub(super) entries: HashMap<Name, Slot>,
    /// Folded names by folded short name.
    pub(super) shorts: HashMap<Name, Name>,
}

/// The volume as it would be.
pub(super) struct View<'t> {
    pub(super) tree: &'t Tree,
    pub(super) directories: Vec<Directory>,
    loaded: HashMap<FileId, DirectoryIndex>,
}

/// The root is always the first directory.
pub(super) const ROOT: DirectoryIndex = 0;

impl<'t> View<'t> {
    pub(super) fn new(tree: &'t Tree) -> View<'t> {
        let mut view = View { tree, directories: Vec::new(), loaded: HashMap::new() };
        view.load(tree.root(), ROOT, Name::default());
        view
    }

    fn load(&mut self, id: FileId, parent: DirectoryIndex, name: Name) -> DirectoryIndex {
        let index = self.directories.len();
        let children = self.tree.children(id);
        let mut entries = HashMap::with_capacity(children.len());
        let mut shorts = HashMap::new();
        for child in children {
            let Some(node) = self.tree.node(child.id) else { continue };
            let link = node.links.iter().find(|link| link.parent == id && link.name == child.name);
            let short = link.and_then(|link| link.short.clone());
            if let Some(short) = &short {
                shorts.insert(self.tree.fold(short), child.folded.clone());
            }
            let target = match node.kind {
                Kind::File => Target::OldFile(child.id),
                Kind::Directory => Target::OldDirectory(child.id),
            };
            // Of two names that fold alike, Windows sees the first; the other stays on the volume untouched.
            entries.entry(child.folded.clone()).or_insert(Slot { name: child.name.clone(), short, target });
        }
        self.loaded.insert(id, index);
        self.directories.push(Directory {
            parent,
            name,
            old: Some(id),
            made_by: None,
            changes: Vec::new(),
            doomed: None,
            entries,
            shorts,
        });
        index
    }

    /// The index of a directory that the OS volume has, if something has touched it.
    pub(super) fn loaded(&self, id: FileId) -> Option<DirectoryIndex> {
        self.loaded.get(&id).copied()
    }

    /// The sub-directory with this folded name, loaded if need be.
    pub(super) fn subdirectory(&mut self, parent: DirectoryIndex, folded: &Name) -> Option<DirectoryIndex> {
        let slot = self.directories[parent].entries.get(folded)?;
        match slot.target {
            Target::Directory(index) => Some(index),
            Target::OldDirectory(id) => {
                let name = slot.name.clone();
                let index = match self.loaded(id) {
                    Some(index) => index,
                    None => self.load(id, parent, name),
                };
                if let Some(slot) = self.directories[parent].entries.get_mut(folded) {
                    slot.target = Target::Directory(index);
                }
                Some(index)
            }
            Target::OldFile(_) | Target::NewFile(..) => None,
        }
    }

    /// Adds an empty directory that a layer makes; the caller gives it its name in the parent.
    pub(super) fn make(&mut self, parent: DirectoryIndex, name: Name, by: (usize, u32)) -> DirectoryIndex {
        self.directories.push(Directory {
            parent,
            name,
            old: None,
            made_by: Some(by),
            changes: Vec::new(),
            doomed: None,
            entries: HashMap::new(),
            shorts: HashMap::new(),
        });
        self.directories.len() - 1
    }

    /// Takes a name away and gives back what it was.
    pub(super) fn remove(&mut self, parent: DirectoryIndex, folded: &Name) -> Option<Slot> {
        let slot = self.directories[parent].entries.remove(folded)?;
        if let Some(short) = &slot.short {
            self.directories[parent].shorts.remove(&self.tree.fold(short));
        }
        Some(slot)
    }

    /// The path of a directory as people write it; empty for the root.
    pub(super) fn path(&self, directory: DirectoryIndex) -> String {
        let mut parts = Vec::new();
        let mut at = directory;
        while at != ROOT {
            parts.push(self.directories[at].name.to_string());
            at = self.directories[at].parent;
        }
        parts.iter().rev().fold(String::new(), |path, part| path + "\\" + part)
    }

    /// The path of an entry as people write it.
    pub(super) fn entry_path(&self, directory: DirectoryIndex, name: &Name) -> String {
        format!("{}\\{name}", self.path(directory))
    }

    /// Paths of everything below an entry that is a directory.
    pub(super) fn paths_below(&self, path: &str, target: Target) -> Vec<String> {
        let mut paths = Vec::new();
        let mut pending = vec![(path.to_owned(), target)];
        while let Some((path, target)) = pending.pop() {
            let mut entry = |name: &Name, target: Target| {
                let path = format!("{path}\\{name}");
                paths.push(path.clone());
                pending.push((path, target));
            };
            match target {
                Target::Directory(index) => {
                    for slot in self.directories[index].entries.values() {
                        entry(&slot.name, slot.target);
                    }
                }
                Target::OldDirectory(id) => {
                    for child in self.tree.children(id) {
                        let target = if self.tree.is_directory(child.id) {
                            Target::OldDirectory(child.id)
                        } else {
                            Target::OldFile(child.id)
                        };
                        entry(&child.name, target);
                    }
                }
                Target::OldFile(_) | Target::NewFile(..) => {}
            }
        }
        paths.sort();
        paths
    }

    /// Whether a path leads to a file that a layer higher than `layer` brings.
    pub(super) fn file_of_layer_above(&self, path: &[Name], layer: usize) -> bool {
        let mut at = ROOT;
        let Some((name, directories)) = path.split_last() else { return false };
        for part in directories {
            // A directory that nothing has touched holds no file of a layer.
            match self.directories[at].entries.get(&self.tree.fold(part)).map(|slot| slot.target) {
                Some(Target::Directory(index)) => at = index,
                _ => return false,
            }
        }
        let slot = self.directories[at].entries.get(&self.tree.fold(name));
        matches!(slot.map(|slot| slot.target), Some(Target::NewFile(by, _)) if by > layer)
    }

    /// Whether a path exists.
    pub(super) fn exists(&self, directory: &[&Name], name: &Name) -> bool {
        let mut at = Target::Directory(ROOT);
        for part in directory.iter().copied().chain([name]) {
            let folded = self.tree.fold(part);
            let next = match at {
                Target::Directory(index) => {
                    self.directories[index].entries.get(&folded).map(|slot| slot.target)
                }
                Target::OldDirectory(id) => self.tree.child(id, part).map(|child| {
                    if self.tree.is_directory(child.id) {
                        Target::OldDirectory(child.id)
                    } else {
                        Target::OldFile(child.id)
                    }
                }),
                Target::OldFile(_) | Target::NewFile(..) => None,
            };
            match next {
                Some(target) => at = target,
                None => return false,
            }
        }
        true
    }
}
