//! The mark that Lamina leaves on a packaging disk, by which a returned disk is known to descend from a composite.

use crate::record::Pinned;
use crate::registry::ListValues;
use crate::streams;
use crate::{Error, Result};
use disk::ByteSource;
use serde::{Deserialize, Serialize};
use volume::{FileId, Metadata, Name, NewData, NewStream, Security, StreamFlags, Times, Tree, VolumeEditor};

/// Name of the file in the root of the OS volume; it is on the list of what is never captured.
pub(crate) const FILE: &str = "Lamina Packaging Disk.json";

/// Larger than any mark.
const MAX_LEN: u64 = 1 << 20;

/// READ-ONLY, HIDDEN and SYSTEM ([MS-FSCC] 2.6).
const ATTRIBUTES: u32 = 0x7;

/// What a packaging disk contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// Identity of the composite, hexadecimal.
    pub(crate) composite: String,
    /// For people: references, lowest first.
    pub(crate) contains: Vec<String>,
    /// Digest of the list of registry values by which layers were merged, hexadecimal; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lists: Option<String>,
}

impl Marker {
    /// The mark of a disk that contains these versions, lowest first, merged by these lists.
    pub(crate) fn new(versions: &[Pinned], lists: &ListValues) -> Marker {
        let mut hasher = blake3::Hasher::new_derive_key("lamina packaging composite v1");
        for version in versions {
            hasher.update(&version.id.0);
        }
        Marker {
            composite: hasher.finalize().to_hex().to_string(),
            contains: versions.iter().map(|version| version.reference.clone()).collect(),
            lists: (versions.len() > 1).then(|| lists.digest().to_owned()),
        }
    }

    /// The mark on a volume, if there is one that can be read. `tree` says where it is; all else is read from the
    /// volume.
    pub(crate) fn read(volume: &dyn ByteSource, tree: &Tree) -> Result<Option<Marker>> {
        let Some(node) = tree.lookup([&Name::from(FILE)]) else { return Ok(None) };
        let node = match ntfs_volume::scan::file(volume, node.id) {
            Ok(node) => node,
            Err(volume::Error::Device(source)) => {
                return Err(Error::io("reading the mark of the packaging disk")(source));
            }
            Err(_) => return Ok(None),
        };
        if !node.links.iter().any(|link| link.parent == tree.root() && link.name == Name::from(FILE)) {
            return Ok(None);
        }
        let Some(stream) = node.streams.iter().find(|stream| stream.name.is_empty()) else { return Ok(None) };
        if stream.size > MAX_LEN {
            return Ok(None);
        }
        let mut bytes = vec![0; stream.size as usize];
        match streams::read_stream_at(volume, stream, 0, &mut bytes) {
            Ok(()) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(Error::io("reading the mark of the packaging disk")(error)),
        }
    }

    /// Puts the mark on a volume whose tree, before the editing began, was `tree`.
    pub(crate) fn write(&self, editor: &mut dyn VolumeEditor, tree: &Tree, context: &str) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::record("a mark", &error))?;
        let root =
            tree.node(tree.root()).ok_or(Error::Internal { what: "a volume without root directory" })?;
        let name = Name::from(FILE);
        // Times that compositing makes come from the inputs.
        let born = root.metadata.times.created;
        let metadata = Metadata {
            times: Times { created: born, modified: born, changed: born, accessed: born },
            attributes: ATTRIBUTES,
            security: match &root.metadata.security {
                Security::Posix { uid, gid, .. } => Security::Posix { mode: 0o444, uid: *uid, gid: *gid },
                other => other.clone(),
            },
            properties: Vec::new(),
        };
        let empty = Name::default();
        let len = bytes.len() as u64;
        let stream = NewStream {
            name: &empty,
            size: len,
            valid: len,
            flags: StreamFlags::default(),
            data: NewData::Inline(&bytes),
        };
        let failed = Error::volume(format!("{context}: the mark of the packaging disk"));
        self.remove(editor, tree, context)?;
        editor.make_file(tree.root(), &name, None, &metadata, &[stream]).map_err(failed)?;
        Ok(())
    }

    /// Takes an old mark away.
    pub(crate) fn remove(&self, editor: &mut dyn VolumeEditor, tree: &Tree, context: &str) -> Result<()> {
        let name = Name::from(FILE);
        let old: Option<FileId> = tree.child(tree.root(), &name).map(|child| child.id);
        match old {
            Some(id) => editor
                .unlink(id, tree.root(), &name)
                .map_err(Error::volume(format!("{context}: the mark of the packaging disk"))),
            None => Ok(()),
        }
    }
}
