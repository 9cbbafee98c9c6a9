//! Whether a volume may be layered at all: states and kinds that are refused before anything is read or written.
//!
//! What is refused here the administrator can mend by starting the machine again, and each [`Refusal`] says how.
//! Damage is not looked for; that is the business of [`check`](crate::check).

mod log;

use crate::bytes::u32_at;
use crate::content::read_stream;
use crate::mft::Mft;
use crate::{bitmap, scan};
use disk::ByteSource;
use operation::Silent;
use volume::{Error, FileId, Kind, Name, Node, Property, Refusal, Result, Tree};

/// $VOLUME_INFORMATION: Windows wants to run chkdsk.
const VOLUME_IS_DIRTY: u16 = 0x0001;

/// Reparse tag of deduplicated files.
const TAG_DEDUP: u32 = 0x8000_0013;
/// Reparse tag of cloud files, and the bits in which its variants (the sync root's number) differ.
const TAG_CLOUD: u32 = 0x9000_001a;
const TAG_CLOUD_VARIANT: u32 = 0x0000_f000;
/// File attributes of contents that are elsewhere: OFFLINE, RECALL_ON_OPEN, RECALL_ON_DATA_ACCESS ([MS-FSCC] 2.6).
const ABSENT: u32 = 0x0000_1000 | 0x0004_0000 | 0x0040_0000;

/// Refuses a volume that must not be layered, scanning it when nothing else speaks against it.
///
/// # Errors
/// [`Error::Refused`] with the reason; [`Error::Corrupt`] when the volume cannot be read as NTFS.
pub fn check_state(source: &dyn ByteSource) -> Result<()> {
    check_volume(source)?;
    let tree = scan::scan(source, &Silent)?;
    check_tree(source, &tree)
}

/// The part of [`check_state`] that needs no scan, and that should come before one: the kind and version of the file
/// system, the dirty flag and the log.
pub fn check_volume(source: &dyn ByteSource) -> Result<()> {
    let mft = Mft::open(source)?;
    let (major, minor, flags) = bitmap::information(&mft)?;
    if major != 3 || minor > 1 {
        return Err(Refusal::Feature { feature: format!("NTFS version {major}.{minor}") }.into());
    }
    log::check(&mft)?;
    if flags & VOLUME_IS_DIRTY != 0 {
        return Err(Refusal::Dirty.into());
    }
    Ok(())
}

/// The part of [`check_state`] that looks at files: hibernation, and contents that are not on the volume. `tree` is
/// what [`scan`](scan::scan) made of `source`.
pub fn check_tree(source: &dyn ByteSource, tree: &Tree) -> Result<()> {
    check_hibernation(source, tree)?;
    let absent = tree.nodes().filter_map(|node| Some((absence(node)?, node))).min_by_key(|(_, node)| node.id);
    if let Some((kind, node)) = absent {
        return Err(Refusal::Placeholder { path: path(tree, node), kind: kind.into() }.into());
    }
    let store = ["System Volume Information", "Dedup", "ChunkStore"].map(Name::from);
    if let Some(node) = tree.lookup(&store).filter(|node| !tree.children(node.id).is_empty()) {
        return Err(Refusal::Placeholder { path: path(tree, node), kind: "data deduplication".into() }.into());
    }
    Ok(())
}

/// `hiberfil.sys` begins with a signature as long as the session in it is, or may be, alive; a clean one with zeros.
/// `wake` says that the session was resumed: how that one ended is for $LogFile to say.
fn check_hibernation(source: &dyn ByteSource, tree: &Tree) -> Result<()> {
    let Some(file) = tree.lookup(&[Name::from("hiberfil.sys")]) else { return Ok(()) };
    let Some(stream) = file.streams.iter().find(|stream| stream.name.is_empty()) else { return Ok(()) };
    let mut start = Vec::new();
    let mut stream = stream.clone();
    stream.size = stream.size.min(4096);
    stream.valid = stream.valid.min(stream.size);
    read_stream(source, &stream, &mut |bytes| {
        start.extend_from_slice(bytes);
        Ok(())
    })?;
    let signature = start.get(..4).map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
    if [&b"hibr"[..], b"rstr"].contains(&&signature[..]) {
        let shown = String::from_utf8_lossy(&start[..4]).into_owned();
        return Err(Refusal::Hibernated { evidence: format!("hiberfil.sys begins with \"{shown}\"") }.into());
    }
    Ok(())
}

/// Why the contents of a node are not on the volume.
fn absence(node: &Node) -> Option<&'static str> {
    let tag = node.metadata.properties.iter().find_map(|property| match property {
        Property::Reparse(value) => u32_at(value, 0),
        _ => None,
    })?;
    if tag == TAG_DEDUP {
        return Some("data deduplication");
    }
    let cloud = tag & !TAG_CLOUD_VARIANT == TAG_CLOUD;
    (cloud && node.kind == Kind::File && node.metadata.attributes & ABSENT != 0).then_some("cloud file")
}

/// The path of a node of a tree, for people.
fn path(tree: &Tree, node: &Node) -> String {
    let mut names = Vec::new();
    let mut at = Some(node);
    while let Some(link) = at.and_then(|node| node.links.first()) {
        names.push(link.name.to_string());
        at = tree.node(link.parent).filter(|parent| parent.id != FileId(crate::mft::system::ROOT));
    }
    names.reverse();
    format!("\\{}", names.join("\\"))
}

/// For messages about the log.
fn log_corrupt(what: &str) -> Error {
    Error::Corrupt { what: what.into(), place: "$LogFile".into() }
}
