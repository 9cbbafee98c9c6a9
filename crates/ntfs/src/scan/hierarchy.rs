//! Judges the directory tree that the names of a volume describe, and leaves out the part that is not the user's.

use crate::mft::{corrupt, system};
use volume::{Kind, Node, Result};

/// A node whose place is not known to be sound yet.
pub(super) struct Candidate {
    pub(super) node: Node,
    /// For each link, the sequence number that it expects of its parent; 0 expects nothing.
    pub(super) sequences: Vec<u16>,
}

/// Where a directory's way up ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Unknown,
    /// On the way of the walk that is going on: seeing it again is a cycle.
    Walking,
    AtRoot,
    InExtend,
}

/// The nodes that are reachable from the root.
///
/// # Errors
/// A parent that does not exist, is no directory or was replaced since; a directory with several names or inside
/// itself.
pub(super) fn visible(mut candidates: Vec<Candidate>) -> Result<Vec<Node>> {
    candidates.sort_unstable_by_key(|candidate| candidate.node.id);
    let table = Table::new(&candidates);
    if !candidates.iter().any(|c| c.node.id.0 == system::ROOT && c.node.kind == Kind::Directory) {
        return Err(corrupt(system::ROOT, "there is no root directory"));
    }
    let mut ends = vec![Ends::Unknown; candidates.len()];
    for index in 0..candidates.len() {
        if candidates[index].node.kind == Kind::Directory {
            table.walk(&candidates, index, &mut ends)?;
        }
    }
    let mut nodes = Vec::with_capacity(candidates.len());
    for index in 0..candidates.len() {
        let mut keep = Vec::with_capacity(candidates[index].node.links.len());
        for link in 0..candidates[index].node.links.len() {
            keep.push(match table.parent(&candidates, index, link)? {
                Parent::Extend => false,
                Parent::Directory(parent) => ends[parent] == Ends::AtRoot,
            });
        }
        let node = &mut candidates[index].node;
        let mut kept = keep.into_iter();
        node.links.retain(|_| kept.next().unwrap_or_default());
    }
    for candidate in candidates {
        if !candidate.node.links.is_empty() || candidate.node.id.0 == system::ROOT {
            nodes.push(candidate.node);
        }
    }
    Ok(nodes)
}

/// What a link leads to.
enum Parent {
    /// $Extend, which is not among the candidates.
    Extend,
    /// The candidate with this index.
    Directory(usize),
}

/// Finds candidates by record number.
struct Table {
    /// Index + 1 by record number; 0 for none.
    by_number: Vec<u32>,
}

impl Table {
    fn new(candidates: &[Candidate]) -> Table {
        let last = candidates.last().map_or(0, |candidate| candidate.node.id.0);
        let mut by_number = vec![0; usize::try_from(last).unwrap_or_default() + 1];
        for (candidate, index) in candidates.iter().zip(1..) {
            if let Some(slot) = by_number.get_mut(candidate.node.id.0 as usize) {
                *slot = index;
            }
        }
        Table { by_number }
    }

    /// The directory that holds a link of a candidate.
    fn parent(&self, candidates: &[Candidate], index: usize, link: usize) -> Result<Parent> {
        let Candidate { node, sequences } = &candidates[index];
        let number = node.links[link].parent.0;
        if number == system::EXTEND {
            return Ok(Parent::Extend);
        }
        let broken = |what: &str| {
            corrupt(node.id.0, format!("{what} (parent {number} of {:?})", node.links[link].name))
        };
        let slot = usize::try_from(number).ok().and_then(|at| self.by_number.get(at)).copied().unwrap_or(0);
        let at =
            (slot as usize).checked_sub(1).ok_or_else(|| broken("the parent directory does not exist"))?;
        let parent = &candidates[at].node;
        if parent.kind != Kind::Directory {
            return Err(broken("the parent is not a directory"));
        }
        let sequence = sequences.get(link).copied().unwrap_or(0);
        if sequence != 0 && u32::from(sequence) != parent.generation {
            return Err(broken("the parent directory was deleted and its record used again"));
        }
        Ok(Parent::Directory(at))
    }

    /// Follows a directory up to where its way ends, and remembers that for every directory on the way.
    fn walk(&self, candidates: &[Candidate], from: usize, ends: &mut [Ends]) -> Result<()> {
        let mut way = Vec::new();
        let mut at = from;
        let end = loop {
            match ends[at] {
                Ends::Unknown => {}
                Ends::Walking => {
                    return Err(corrupt(candidates[at].node.id.0, "the directory lies inside itself"));
                }
                known => break known,
            }
            let node = &candidates[at].node;
            if node.id.0 == system::ROOT {
                ends[at] = Ends::AtRoot;
                break Ends::AtRoot;
            }
            if node.links.len() != 1 {
                return Err(corrupt(node.id.0, "a directory has several names"));
            }
            ends[at] = Ends::Walking;
            way.push(at);
            match self.parent(candidates, at, 0)? {
                Parent::Extend => break Ends::InExtend,
                Parent::Directory(parent) => at = parent,
            }
        };
        for at in way {
            ends[at] = end;
        }
        Ok(())
    }
}
