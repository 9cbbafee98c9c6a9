//! A whole volume in memory: every node and the directories that lead to it.

use crate::{FileId, Kind, Name, Node};
use std::collections::HashMap;

/// Facts about a volume that layering decides by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFacts {
    /// `ntfs` or `ext4`.
    pub file_system: &'static str,
    /// Bytes in a cluster (ext4: block).
    pub cluster: u64,
    /// Length of the volume in bytes.
    pub len: u64,
    /// Bytes in clusters that nothing uses.
    pub free: u64,
    /// Serial number (NTFS, 64 bits) or the first half of the UUID (ext4).
    pub serial: u64,
    /// Volume label.
    pub label: String,
}

/// One entry of a directory, long name only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The name by which the volume compares: upcased by the volume's own table on NTFS, the name itself on ext4.
    pub folded: Name,
    /// The name as written.
    pub name: Name,
    /// The node.
    pub id: FileId,
}

/// Every node of a volume that a user can see. The file system's own metadata files are not in it.
#[derive(Debug, Clone)]
pub struct Tree {
    root: FileId,
    nodes: HashMap<FileId, Node>,
    children: HashMap<FileId, Vec<Child>>,
    upcase: Option<Box<[u16]>>,
}

impl Tree {
    /// A tree from its nodes. `upcase` is the volume's own table of upper-case code units, or `None` where names are
    /// compared byte for byte.
    ///
    /// Links whose parent is not among the nodes, or is no directory, are the scanner's business to refuse; here they
    /// are reachable from nowhere.
    pub fn new(root: FileId, nodes: impl IntoIterator<Item = Node>, upcase: Option<Box<[u16]>>) -> Tree {
        let nodes: HashMap<FileId, Node> = nodes.into_iter().map(|node| (node.id, node)).collect();
        let mut tree = Tree { root, nodes, children: HashMap::new(), upcase };
        let mut children: HashMap<FileId, Vec<Child>> = HashMap::new();
        for node in tree.nodes.values() {
            for link in &node.links {
                children.entry(link.parent).or_default().push(Child {
                    folded: tree.fold(&link.name),
                    name: link.name.clone(),
                    id: node.id,
                });
            }
        }
        for list in children.values_mut() {
            list.sort_unstable_by(|a, b| (&a.folded, &a.name).cmp(&(&b.folded, &b.name)));
        }
        tree.children = children;
        tree
    }

    /// The root directory.
    pub fn root(&self) -> FileId {
        self.root
    }

    /// The node with this number.
    pub fn node(&self, id: FileId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All nodes, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The entries of a directory, sorted by folded name. Empty for anything else.
    pub fn children(&self, directory: FileId) -> &[Child] {
        self.children.get(&directory).map_or(&[], Vec::as_slice)
    }

    /// The entry of `directory` with this name, compared as the volume compares.
    pub fn child(&self, directory: FileId, name: &Name) -> Option<&Child> {
        let folded = self.fold(name);
        let list = self.children(directory);
        let at = list.partition_point(|child| child.folded < folded);
        list.get(at).filter(|child| child.folded == folded)
    }

    /// The node at a path of names from the root, following directories only.
    pub fn lookup<'a>(&self, path: impl IntoIterator<Item = &'a Name>) -> Option<&Node> {
        let mut id = self.root;
        for name in path {
            id = self.child(id, name)?.id;
        }
        self.node(id)
    }

    /// Whether the node with this number is a directory.
    pub fn is_directory(&self, id: FileId) -> bool {
        self.node(id).is_some_and(|node| node.kind == Kind::Directory)
    }

    /// The form of a name by which this volume compares names.
    pub fn fold(&self, name: &Name) -> Name {
        fold(self.upcase.as_deref(), name)
    }

    /// The volume's own table of upper-case code units, where it has one.
    pub fn upcase(&self) -> Option<&[u16]> {
        self.upcase.as_deref()
    }
}

/// Upcases unit by unit, as NTFS does; surrogates stay as they are because the table maps them to themselves.
fn fold(upcase: Option<&[u16]>, name: &Name) -> Name {
    let Some(table) = upcase else { return name.clone() };
    let bytes = name.as_bytes();
    if bytes.is_ascii() && table.len() >= 0x80 {
        let ascii = bytes.iter().map(|&b| table[usize::from(b)]);
        if ascii.clone().all(|unit| unit < 0x80) {
            return Name::from_bytes(ascii.map(|unit| unit as u8).collect::<Box<[u8]>>());
        }
    }
    match name.to_utf16() {
        Some(mut units) => {
            for unit in &mut units {
                *unit = table.get(usize::from(*unit)).copied().unwrap_or(*unit);
            }
            Name::from_utf16(&units)
        }
        None => name.clone(),
    }
}
