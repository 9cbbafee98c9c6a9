//! Object ids (`$OBJECT_ID`, by which shortcuts and the indexer find a file that was moved): a volume can have each only
//! once, but layers can bring one twice, for example when one of them moved a file that another keeps where it was.

use crate::plan::Steps;
use std::collections::HashMap;
use volume::{FileId, Metadata, Property, Tree};

/// Bytes of the id itself; birth ids may follow.
const ID: usize = 16;

/// Who has which id on the volume as it is being composed.
pub(crate) struct ObjectIds {
    /// Nodes that are made have no number before they are made.
    owners: HashMap<[u8; ID], Option<FileId>>,
    /// Paths of those that lost theirs.
    pub(crate) dropped: Vec<String>,
}

impl ObjectIds {
    /// The ids of the nodes that stay.
    pub(crate) fn new(tree: &Tree, steps: &Steps) -> ObjectIds {
        let mut lost: HashMap<FileId, usize> = HashMap::new();
        for unlink in &steps.unlinks {
            *lost.entry(unlink.node).or_default() += 1;
        }
        let stays = |id: &FileId, names: usize| lost.get(id).is_none_or(|lost| *lost < names);
        let owners = tree
            .nodes()
            .filter(|node| stays(&node.id, node.links.len()))
            .filter_map(|node| Some((id_of(&node.metadata)?, Some(node.id))))
            .collect();
        ObjectIds { owners, dropped: Vec::new() }
    }

    /// Takes the id out of the metadata if another node has it, else notes that this one does: `node`, or one that is
    /// about to be made. `path` is what reports call it.
    pub(crate) fn claim(
        &mut self,
        metadata: &mut Metadata,
        node: Option<FileId>,
        path: impl FnOnce() -> String,
    ) {
        let Some(id) = id_of(metadata) else { return };
        match self.owners.get(&id) {
            Some(owner) if node.is_none() || *owner != node => {
                metadata.properties.retain(|property| !matches!(property, Property::ObjectId(_)));
                self.dropped.push(path());
            }
            _ => {
                self.owners.insert(id, node);
            }
        }
    }

    /// Notes which node it is that was made with this metadata.
    pub(crate) fn made(&mut self, metadata: &Metadata, node: FileId) {
        if let Some(id) = id_of(metadata) {
            self.owners.insert(id, Some(node));
        }
    }
}

fn id_of(metadata: &Metadata) -> Option<[u8; ID]> {
    metadata.properties.iter().find_map(|property| match property {
        Property::ObjectId(value) => value.first_chunk().copied(),
        _ => None,
    })
}
