//! Attributes of open nodes: fitted into records, added, removed, and repeated in directories and indexes.

use super::Editor;
use super::file_name::{Duplicated, FileName};
use super::library::{Element, Inode, NameIndex, ViewIndex, attribute_type as kind};
use super::property::{Properties, file_attribute};
use super::stream::{Body, Ready, Writer};
use std::borrow::Cow;
use std::io;
use volume::{Error, Name, NewStream, Result};

/// $R: the index of $Extend\$Reparse.
const R: &[u16] = &[b'$' as u16, b'R' as u16];
/// $O: the index of $Extend\$ObjId.
const O: &[u16] = &[b'$' as u16, b'O' as u16];

/// An attribute to be made.
pub(super) struct Item<'a> {
    pub(super) kind: u32,
    pub(super) name: Cow<'a, [u16]>,
    pub(super) flags: u16,
    pub(super) body: Body<'a>,
    /// Whether the value may leave the record.
    pub(super) movable: bool,
}

impl<'a> Item<'a> {
    pub(super) fn resident(
        kind: u32,
        name: &'a [u16],
        value: impl Into<Cow<'a, [u8]>>,
        movable: bool,
    ) -> Item<'a> {
        Item { kind, name: name.into(), flags: 0, body: Body::Resident(value.into()), movable }
    }

    pub(super) fn stream(ready: Ready<'a>) -> Item<'a> {
        Item {
            kind: kind::DATA,
            name: ready.name.into(),
            flags: ready.flags,
            body: ready.body,
            movable: true,
        }
    }

    /// Bytes in the record.
    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Body::Resident(value) => Inode::resident_bytes(self.name.len(), value.len()),
            Body::Clusters(stream) => {
                let pairs = stream.encode(0, usize::MAX).bytes.len();
                stream.header_bytes(self.name.len()) + pairs.next_multiple_of(8)
            }
        }
    }
}

impl Editor {
    pub(super) fn prepare<'a>(&mut self, stream: &NewStream<'a>) -> Result<Ready<'a>> {
        let mut writer = Writer { volume: &mut self.volume, reservation: &mut self.reservation };
        let prepared = writer.prepare(stream);
        if prepared.as_ref().is_err_and(|reason| reason.kind() == io::ErrorKind::StorageFull) {
            self.broken = true;
            let what = format!("a stream of {} bytes", stream.size);
            return Err(Error::Full { what, needed: stream.size });
        }
        self.check("place", &format_args!("a stream of {} bytes", stream.size), prepared)
    }

    /// Moves values to clusters, the largest first, until everything fits into the room of the base record, as Windows
    /// does. What cannot be moved goes to extent records later.
    pub(super) fn fit(
        &mut self,
        items: &mut [Item<'_>],
        room: usize,
        what: &dyn std::fmt::Display,
    ) -> Result<()> {
        const MOVED: usize = 64 + 8; // header and one short run
        loop {
            let total: usize = items.iter().map(Item::bytes).sum();
            if total <= room {
                return Ok(());
            }
            let largest = items
                .iter_mut()
                .filter(|item| {
                    item.movable && item.bytes() > MOVED + (2 * item.name.len()).next_multiple_of(8)
                })
                .filter(|item| matches!(item.body, Body::Resident(_)))
                .max_by_key(|item| item.bytes());
            let Some(item) = largest else { return Ok(()) };
            let Body::Resident(value) = &item.body else { return Ok(()) };
            let mut writer = Writer { volume: &mut self.volume, reservation: &mut self.reservation };
            let stored = writer.store(value, item.flags);
            let stored = self.check("store", what, stored)?;
            item.flags = stored.flags;
            item.body = Body::Clusters(stored);
        }
    }

    pub(super) fn add_items(
        &mut self,
        inode: Inode,
        items: &[Item<'_>],
        what: &dyn std::fmt::Display,
    ) -> Result<()> {
        for item in items {
            let added = match &item.body {
                Body::Resident(value) => {
                    inode.add_resident(&self.volume, item.kind, &item.name, value, item.flags)
                }
                Body::Clusters(stream) => inode.add_non_resident(&self.volume, item.kind, &item.name, stream),
            };
            self.check("add an attribute", what, added)?;
        }
        Ok(())
    }

    /// The index of names of an empty directory, as a value of $INDEX_ROOT.
    pub(super) fn empty_index_root(&self) -> [u8; 48] {
        const COLLATE_FILE_NAME: u8 = 1;
        const END: u8 = 2;
        let (block, cluster) = (u64::from(self.volume.index_bytes()), self.volume.cluster());
        let per_block = if cluster <= block { block / cluster } else { block / 512 };
        let mut value = [0; 48];
        value[0] = kind::FILE_NAME as u8;
        value[4] = COLLATE_FILE_NAME;
        value[8..12].copy_from_slice(&self.volume.index_bytes().to_le_bytes());
        value[12] = per_block as u8;
        value[16] = 16; // first entry, from here
        value[20] = 32; // bytes used
        value[24] = 32; // bytes allocated
        value[40] = 16; // length of the end entry
        value[44] = END;
        value
    }

    /// All names of a node.
    pub(super) fn file_names(&mut self, inode: Inode) -> Result<Vec<FileName>> {
        let mut found = Vec::new();
        self.change_attribute(inode, kind::FILE_NAME, |value| found.push(FileName::parse(value)))?;
        let names: Option<Vec<_>> = found.into_iter().collect();
        let broken = io::Error::new(io::ErrorKind::InvalidData, "a $FILE_NAME is shorter than its name");
        self.check("read", &format_args!("the names of node {}", inode.number()), names.ok_or(broken))
    }

    /// Lets `change` see and change the values of all resident attributes of one type.
    pub(super) fn change_attribute(
        &mut self,
        inode: Inode,
        kind: u32,
        mut change: impl FnMut(&mut [u8]),
    ) -> Result<()> {
        let walked = (|| {
            let mut attributes = inode.attributes(kind)?;
            while let Some(mut attribute) = attributes.next()? {
                let before = attribute.value().to_vec();
                change(attribute.value());
                if before != attribute.value() {
                    attribute.mark_dirty();
                }
            }
            Ok(())
        })();
        self.check("read", &format_args!("node {}", inode.number()), walked)
    }

    /// Removes the first resident attribute that `matches` by type and value.
    pub(super) fn remove_attribute(
        &mut self,
        inode: Inode,
        matches: impl Fn(u32, &[u8]) -> bool,
    ) -> Result<()> {
        let removed = (|| {
            let mut attributes = inode.attributes(0)?;
            while let Some(mut attribute) = attributes.next()? {
                if matches(attribute.type_code(), attribute.value()) {
                    return attributes.remove_found();
                }
            }
            Err(io::Error::new(io::ErrorKind::InvalidData, "an attribute has disappeared"))
        })();
        self.check("change", &format_args!("node {}", inode.number()), removed)
    }

    /// Removes all attributes of a type, or those with one name, and frees and discards their clusters.
    pub(super) fn remove_whole_attribute(
        &mut self,
        inode: Inode,
        kind: u32,
        name: Option<&[u16]>,
    ) -> Result<()> {
        let volume = &self.volume;
        let removed = (|| {
            let mut runs = Vec::new();
            let mut attributes = inode.attributes(kind)?;
            while let Some(attribute) = attributes.next()? {
                if name.is_some_and(|name| attribute.name() != name) {
                    continue;
                }
                if attribute.is_non_resident() {
                    runs.push(attribute.elements(volume)?);
                }
                attributes.remove_found()?;
            }
            Ok(runs)
        })();
        for runs in self.check("change", &format_args!("node {}", inode.number()), removed)? {
            self.release(&runs)?;
        }
        Ok(())
    }

    /// The clusters of all attributes of a type (0: of all types), attribute by attribute.
    pub(super) fn attribute_runs(&mut self, inode: Inode, kind: u32) -> Result<Vec<Vec<Element>>> {
        let volume = &self.volume;
        let found = (|| {
            let mut runs = Vec::new();
            let mut attributes = inode.attributes(kind)?;
            while let Some(attribute) = attributes.next()? {
                if attribute.is_non_resident() {
                    runs.push(attribute.elements(volume)?);
                }
            }
            Ok(runs)
        })();
        self.check("read", &format_args!("node {}", inode.number()), found)
    }

    /// Frees clusters and makes them read as zeros.
    pub(super) fn release(&mut self, elements: &[Element]) -> Result<()> {
        let (cluster, clusters) = (self.volume.cluster(), self.volume.clusters());
        for element in elements {
            let Some(at) = element.at else { continue };
            let freed = match at.checked_add(element.clusters) {
                Some(end) if end <= clusters => self.volume.free(at, element.clusters),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a run lies outside the volume")),
            };
            self.check("free clusters", &"a stream", freed)?;
            self.volume.device().discard(at * cluster, element.clusters * cluster)?;
        }
        Ok(())
    }

    pub(super) fn is_empty_directory(&mut self, inode: Inode) -> Result<bool> {
        let mut empty = true;
        self.change_attribute(inode, kind::INDEX_ROOT, |value| {
            // The root of an empty index has its end entry only, and no blocks below.
            let (used, flags) = (value.get(20).copied(), value.get(28).copied());
            let long = value.get(21..24).is_none_or(|bytes| bytes != [0; 3]);
            empty &= used == Some(32) && flags == Some(0) && !long;
        })?;
        Ok(empty)
    }

    /// What directories repeat of a node.
    pub(super) fn duplicated(&mut self, inode: Inode) -> Result<Duplicated> {
        let mut tag_or_ea = 0;
        let mut ea = 0;
        self.change_attribute(inode, kind::EA_INFORMATION, |value| {
            ea = value.first_chunk().map_or(0, |&length| u32::from(u16::from_le_bytes(length)));
        })?;
        if inode.flags() & file_attribute::REPARSE_POINT != 0 {
            tag_or_ea = self.reparse_tag(inode)?.unwrap_or_default();
        }
        let directory = inode.is_directory();
        let (size, allocated) = if directory { (0, 0) } else { inode.main_stream() };
        Ok(Duplicated {
            times: inode.times(),
            size,
            allocated,
            attributes: inode.flags(),
            directory,
            tag_or_ea: if tag_or_ea == 0 { ea } else { tag_or_ea },
        })
    }

    /// Brings every name of a node, and its entry in the directory, up to date.
    pub(super) fn refresh_names(&mut self, inode: Inode) -> Result<()> {
        let duplicated = self.duplicated(inode)?;
        self.change_attribute(inode, kind::FILE_NAME, |value| {
            if let Some(mut name) = FileName::parse(value) {
                name.set_duplicated(&duplicated);
                value[..name.0.len()].copy_from_slice(&name.0);
            }
        })?;
        for name in self.file_names(inode)? {
            // The root directory is its own parent.
            let itself = name.parent() == inode.number();
            let dir = if itself { inode } else { self.directory(name.parent())? };
            let updated = NameIndex(dir).update(&name.0);
            self.check("change", &Name::from_utf16(&name.units()), updated)?;
        }
        Ok(())
    }

    /// The tag of a node's reparse point.
    pub(super) fn reparse_tag(&mut self, inode: Inode) -> Result<Option<u32>> {
        let mut tag = None;
        self.change_attribute(inode, kind::REPARSE_POINT, |value| tag = value.first_chunk().copied())?;
        if tag.is_none()
            && let Some(runs) = self.attribute_runs(inode, kind::REPARSE_POINT)?.first()
            && let Some(at) = runs.first().and_then(|run| run.at)
        {
            let mut bytes = [0; 4];
            let offset = at.saturating_mul(self.volume.cluster());
            self.volume.device().read_at(offset, &mut bytes)?;
            tag = Some(bytes);
        }
        Ok(tag.map(u32::from_le_bytes))
    }

    /// The node's key in $Extend\$Reparse.
    pub(super) fn reparse_key(tag: u32, reference: u64) -> [u8; 12] {
        let mut key = [0; 12];
        key[..4].copy_from_slice(&tag.to_le_bytes());
        key[4..].copy_from_slice(&reference.to_le_bytes());
        key
    }

    pub(super) fn reparse_index(&mut self) -> Result<&mut ViewIndex> {
        if self.reparse_points.is_none() {
            let opened = ViewIndex::open_in_extend(&self.volume, &utf16("$Reparse"), R);
            self.reparse_points = self.check("open", &"$Extend\\$Reparse", opened)?;
        }
        self.reparse_points.as_mut().ok_or_else(|| no_index("reparse points", "$Extend\\$Reparse"))
    }

    pub(super) fn object_id_index(&mut self) -> Result<&mut ViewIndex> {
        if self.object_ids.is_none() {
            let opened = ViewIndex::open_in_extend(&self.volume, &utf16("$ObjId"), O);
            self.object_ids = self.check("open", &"$Extend\\$ObjId", opened)?;
        }
        self.object_ids.as_mut().ok_or_else(|| no_index("object ids", "$Extend\\$ObjId"))
    }

    /// Enters a node's reparse point and object id into the indexes of the volume.
    pub(super) fn index_properties(
        &mut self,
        inode: Inode,
        properties: &Properties<'_>,
        what: &dyn std::fmt::Display,
    ) -> Result<()> {
        let reference = inode.reference();
        if properties.reparse.is_some() {
            let key = Editor::reparse_key(properties.tag_or_ea(), reference);
            let inserted = self.reparse_index()?.insert(&key, &[], 28, 32);
            self.check("index the reparse point of", what, inserted)?;
        }
        if let Some(id) = properties.object_id {
            // The key is the id; the value is the reference and the birth ids, which the attribute may leave out.
            let mut value = [0; 56];
            value[..8].copy_from_slice(&reference.to_le_bytes());
            value[8..8 + id.len() - 16].copy_from_slice(&id[16..]);
            let inserted = self.object_id_index()?.insert(&id[..16], &value, 32, 88);
            if !self.check("index the object id of", what, inserted)? {
                self.broken = true;
                let reason = "another node of the volume has the same".to_owned();
                return Err(Error::NotExpressible { what: format!("the object id of {what}"), reason });
            }
        }
        Ok(())
    }

    /// Takes a node's reparse point and object id out of the indexes of the volume.
    pub(super) fn unindex_properties(&mut self, inode: Inode) -> Result<()> {
        let what = format!("node {}", inode.number());
        if let Some(tag) = self.reparse_tag(inode)? {
            let key = Editor::reparse_key(tag, inode.reference());
            let removed = self.reparse_index()?.remove(&key);
            self.check("take out of $Reparse", &what, removed)?;
        }
        let mut id = None::<[u8; 16]>;
        self.change_attribute(inode, kind::OBJECT_ID, |value| id = value.first_chunk().copied())?;
        if let Some(id) = id {
            let removed = self.object_id_index()?.remove(&id);
            self.check("take out of $ObjId", &what, removed)?;
        }
        Ok(())
    }
}

/// Length of the main stream among `items`, and the bytes it takes.
pub(super) fn main_item(items: &[Item<'_>]) -> (u64, u64) {
    let main = items.iter().find(|item| item.kind == kind::DATA && item.name.is_empty());
    match main.map(|item| &item.body) {
        Some(Body::Resident(value)) => (value.len() as u64, (value.len() as u64).next_multiple_of(8)),
        Some(Body::Clusters(stream)) => (stream.size, stream.allocated()),
        None => (0, 0),
    }
}

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn no_index(what: &str, index: &str) -> Error {
    Error::NotExpressible { what: what.to_owned(), reason: format!("the volume has no {index}") }
}
