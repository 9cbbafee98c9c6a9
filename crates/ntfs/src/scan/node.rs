//! From the attributes of a file to a [`Node`].

use super::hierarchy::Candidate;
use crate::attribute::{
    Attribute, Body, COMPRESSED, COMPRESSION_MASK, ENCRYPTED, FileName, Namespace, SPARSE,
    StandardInformation, code,
};
use crate::bytes;
use crate::inode::Inode;
use crate::mft::{Mft, corrupt, system};
use std::collections::HashMap;
use std::sync::Arc;
use volume::{
    Error, FileId, Kind, Link, Metadata, Name, Node, Property, Refusal, Result, Security, Stream, StreamData,
    StreamFlags,
};

/// Attribute flags that say what the record already says: DIRECTORY, and the two that mark indexes
/// (`FILE_ATTR_I30_INDEX_PRESENT`, `FILE_ATTR_VIEW_INDEX_PRESENT`).
const INTERNAL_ATTRIBUTES: u32 = 0x0000_0010 | 0x1000_0000 | 0x2000_0000;

/// Largest value of $REPARSE_POINT ([MS-FSCC] 2.1.2: 16 KiB with its header), and room to spare.
const MAX_REPARSE: u64 = 32 << 10;
/// Largest value of $EA: its length is a 16-bit number.
const MAX_EA: u64 = 64 << 10;
/// Largest security descriptor in a record of its own; $Secure has none over 64 KiB.
const MAX_DESCRIPTOR: u64 = 64 << 10;
/// Largest $EFS value: libntfs-3g's own limit for keys of many users.
const MAX_EFS: u64 = 256 << 10;
/// `$EFS` in UTF-16LE.
const EFS: &[u8] = b"$\0E\0F\0S\0";

/// Makes nodes.
pub(super) struct Builder<'m, 's> {
    mft: &'m Mft<'s>,
    descriptors: HashMap<u32, Arc<[u8]>>,
    /// Descriptors from $SECURITY_DESCRIPTOR attributes, so that equal ones are shared.
    own: HashMap<Box<[u8]>, Arc<[u8]>>,
}

impl<'m, 's> Builder<'m, 's> {
    pub(super) fn new(mft: &'m Mft<'s>, descriptors: HashMap<u32, Arc<[u8]>>) -> Builder<'m, 's> {
        Builder { mft, descriptors, own: HashMap::new() }
    }

    /// The node of a file, and what is needed to place it.
    pub(super) fn candidate(&mut self, inode: &Inode<'_>) -> Result<Candidate> {
        let broken = |what: &str| corrupt(inode.number, what);
        let mut information = None;
        let mut descriptor = None;
        let mut names = Names::default();
        let mut properties = Vec::new();
        let mut streams = Vec::new();
        for group in inode.groups() {
            let first = &group[0];
            match (first.code, first.body) {
                (code::STANDARD_INFORMATION, Body::Resident { value, .. }) => {
                    information = StandardInformation::parse(value);
                }
                (code::FILE_NAME, Body::Resident { value, .. }) => {
                    names.add(FileName::parse(value).ok_or_else(|| broken("a $FILE_NAME is malformed"))?);
                }
                (code::SECURITY_DESCRIPTOR, _) => {
                    descriptor = Some(inode.group_value(self.mft, group, MAX_DESCRIPTOR)?);
                }
                (code::OBJECT_ID, _) => {
                    let id = inode.group_value(self.mft, group, 64)?;
                    if id.len() < 16 {
                        return Err(broken("an $OBJECT_ID is too short"));
                    }
                    properties.push(Property::ObjectId(id.into()));
                }
                (code::REPARSE_POINT, _) => {
                    let value = inode.group_value(self.mft, group, MAX_REPARSE)?;
                    properties.push(Property::Reparse(value.into()));
                }
                (code::EA, _) => {
                    let value = inode.group_value(self.mft, group, MAX_EA)?;
                    properties.push(Property::ExtendedAttributes(value.into()));
                }
                (code::LOGGED_UTILITY_STREAM, _) if first.name == EFS => {
                    let value = inode.group_value(self.mft, group, MAX_EFS)?;
                    properties.push(Property::Efs(value.into()));
                }
                (code::DATA, _) => streams.push(self.stream(inode, group)?),
                _ => {}
            }
        }
        let information = information.ok_or_else(|| broken("there is no $STANDARD_INFORMATION"))?;
        let kind = if inode.header.is_directory() { Kind::Directory } else { Kind::File };
        if kind == Kind::Directory && !inode.has_names_index() {
            return Err(broken("a directory has no index of file names"));
        }
        properties.sort_unstable();
        streams.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if streams.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(broken("two streams have the same name"));
        }
        let is_root = inode.number == system::ROOT;
        let (links, sequences) = if is_root { Default::default() } else { names.links() };
        if links.is_empty() && !is_root {
            return Err(broken("a file in use has no name"));
        }
        let node = Node {
            id: FileId(inode.number),
            generation: u32::from(inode.header.sequence),
            kind,
            links,
            metadata: Metadata {
                times: information.times,
                attributes: information.attributes & !INTERNAL_ATTRIBUTES,
                security: self.security(inode.number, information.security_id, descriptor)?,
                properties,
            },
            streams,
        };
        Ok(Candidate { node, sequences })
    }

    fn security(&mut self, record: u64, id: u32, own: Option<Vec<u8>>) -> Result<Security> {
        if id != 0 {
            let shared = self.descriptors.get(&id);
            let shared =
                shared.ok_or_else(|| corrupt(record, format!("$Secure has no descriptor {id:#x}")))?;
            return Ok(Security::Descriptor(Arc::clone(shared)));
        }
        let Some(bytes) = own else { return Ok(Security::None) };
        if let Some(shared) = self.own.get(&bytes[..]) {
            return Ok(Security::Descriptor(Arc::clone(shared)));
        }
        let shared: Arc<[u8]> = bytes.as_slice().into();
        self.own.insert(bytes.into(), Arc::clone(&shared));
        Ok(Security::Descriptor(shared))
    }

    fn stream(&self, inode: &Inode<'_>, group: &[Attribute<'_>]) -> Result<Stream> {
        let first = &group[0];
        let compressed = match first.flags & COMPRESSION_MASK {
            0 => false,
            COMPRESSED => true,
            method => {
                return Err(Error::Refused(Refusal::Feature {
                    feature: format!("compression method {method} (file record {})", inode.number),
                }));
            }
        };
        let mut stream = Stream {
            name: if first.name.is_empty() { Name::default() } else { bytes::name(first.name) },
            size: 0,
            valid: 0,
            flags: StreamFlags {
                sparse: first.flags & SPARSE != 0,
                compressed,
                encrypted: first.flags & ENCRYPTED != 0,
                unit_shift: 0,
            },
            data: StreamData::Inline(Box::default()),
        };
        match (first.body, inode.place(&self.mft.boot, group)?) {
            (Body::Resident { value, .. }, _) => {
                stream.size = value.len() as u64;
                stream.valid = stream.size;
                stream.data = StreamData::Inline(value.into());
            }
            (_, Some(place)) => {
                stream.size = place.size;
                stream.valid = place.valid;
                stream.flags.unit_shift = place.unit_shift;
                stream.data = StreamData::Runs(place.runs);
            }
            (_, None) => {}
        }
        Ok(stream)
    }
}

/// The names of one file.
#[derive(Default)]
struct Names<'a> {
    /// Names that are links, with the namespace that tells which of them a short name can belong to.
    long: Vec<FileName<'a>>,
    short: Vec<FileName<'a>>,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: FileName<'a>) {
        if name.namespace == Namespace::Dos { self.short.push(name) } else { self.long.push(name) }
    }

    /// Pairs each short name with the long one beside it, and returns the links with the sequence number that each
    /// expects of its parent. A short name alone in its directory is an ordinary name.
    fn links(self) -> (Vec<Link>, Vec<u16>) {
        let mut links = Vec::with_capacity(self.long.len());
        let mut sequences = Vec::with_capacity(self.long.len());
        let mut short = self.short;
        for long in &self.long {
            let partner = (long.namespace == Namespace::Win32)
                .then(|| short.iter().position(|s| s.parent == long.parent))
                .flatten()
                .map(|at| short.swap_remove(at));
            links.push(link(long, partner));
            sequences.push(long.parent.sequence());
        }
        for alone in &short {
            links.push(link(alone, None));
            sequences.push(alone.parent.sequence());
        }
        (links, sequences)
    }
}

fn link(long: &FileName<'_>, short: Option<FileName<'_>>) -> Link {
    Link {
        parent: FileId(long.parent.number()),
        name: bytes::name(long.name),
        short: short.map(|short| bytes::name(short.name)),
    }
}
