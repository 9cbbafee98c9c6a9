//! The calls of the editor: nodes made, named, changed and removed.

use super::attributes::{Item, main_item};
use super::file_name::{Duplicated, FileName, namespace, same, short_units, units};
use super::library::{ENCRYPTED, Inode, NameIndex, SPARSE, attribute_type as kind};
use super::property::{EFS, Properties, file_attribute};
use super::stream::{Body, Ready, validate};
use super::{Editor, FileId};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use volume::{Error, Metadata, Name, NewStream, Result, Security, Times};

/// $I30 in UTF-16: the index of names, and its attributes.
const I30: &[u16] = &[b'$' as u16, b'I' as u16, b'3' as u16, b'0' as u16];
/// What a node gets whose source volume has no security descriptors and whose parent has none either: full access for
/// SYSTEM and Administrators, reading for everyone else, owned by Administrators.
#[rustfmt::skip]
const DEFAULT_DESCRIPTOR: &[u8] = &[
    1, 0, 4, 0x80, 0x14, 0, 0, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0, 0,  // owner, group, no SACL, DACL
    1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0,                    // S-1-5-32-544
    1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0,
    2, 0, 0x48, 0, 3, 0, 0, 0,                                               // DACL, 3 entries
    0, 0, 0x14, 0, 0xff, 1, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 5, 0x12, 0, 0, 0,  // S-1-5-18: all
    0, 0, 0x18, 0, 0xff, 1, 0x1f, 0, 1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0,
    0, 0, 0x14, 0, 0xa9, 0, 0x12, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,     // S-1-1-0: read and execute
];

/// The attribute flags that repeat how the main stream is kept. The library refuses a node where they differ.
fn main_stream_flags(streams: &[Ready<'_>]) -> u32 {
    let Some(main) = streams.iter().find(|stream| stream.name.is_empty()) else { return 0 };
    let sparse = if main.flags & SPARSE != 0 { file_attribute::SPARSE } else { 0 };
    let encrypted = if main.flags & ENCRYPTED != 0 { file_attribute::ENCRYPTED } else { 0 };
    sparse | encrypted
}

/// The value of $STANDARD_INFORMATION, long form; what is zero here has no meaning without quotas and a journal.
fn standard_information(times: &Times, flags: u32, security_id: u32) -> [u8; 72] {
    let mut value = [0; 72];
    for (at, time) in [(0, times.created), (8, times.modified), (16, times.changed), (24, times.accessed)] {
        value[at..at + 8].copy_from_slice(&time.to_le_bytes());
    }
    value[32..36].copy_from_slice(&flags.to_le_bytes());
    value[52..56].copy_from_slice(&security_id.to_le_bytes());
    value
}

impl Editor {
    pub(super) fn make(
        &mut self,
        directory: bool,
        parent: FileId,
        name: &Name,
        short: Option<&Name>,
        metadata: &Metadata,
        streams: &[NewStream<'_>],
    ) -> Result<FileId> {
        self.usable()?;
        let properties = Properties::of(metadata)?;
        validate(streams, self.volume.cluster())?;
        if directory && streams.iter().any(|stream| stream.name.is_empty()) {
            let reason = "directories have only named streams".to_owned();
            return Err(Error::NotExpressible { what: format!("the main stream of {name}"), reason });
        }
        let names = self.name_pair(name, short)?;
        let dir = self.directory(parent.0)?;
        for (_, units) in &names {
            self.refuse_collision(dir, units)?;
        }
        let security_id = self.security_id(&metadata.security, dir.security_id())?;

        let mut ready = Vec::with_capacity(streams.len());
        for stream in streams {
            ready.push(self.prepare(stream)?);
        }
        let has_main = ready.iter().any(|stream| stream.name.is_empty());
        if !directory && !has_main {
            // Every file has one, and readers count on it.
            ready.push(Ready { name: Vec::new(), flags: 0, body: Body::Resident(Cow::Borrowed(&[])) });
        }

        let created = Inode::create(&self.volume);
        let inode = self.check("create", name, created)?;
        let flags = own_flags(metadata.attributes, &properties) | main_stream_flags(&ready);
        if directory {
            inode.set_directory();
        }
        inode.set_flags(flags);
        inode.set_times(&metadata.times);
        inode.set_security_id(security_id);
        inode.set_names(names.len() as u16);

        let information = standard_information(&metadata.times, flags, security_id);
        let index_root = directory.then(|| self.empty_index_root());
        let mut items = vec![Item::resident(kind::STANDARD_INFORMATION, &[], &information[..], false)];
        // The names come last, when the sizes are known, but take their room now.
        let name_bytes: usize =
            names.iter().map(|(_, units)| Inode::resident_bytes(0, 66 + 2 * units.len())).sum();
        if let Some(value) = &index_root {
            items.push(Item::resident(kind::INDEX_ROOT, I30, &value[..], false));
        }
        items.extend(ready.into_iter().map(Item::stream));
        items.extend(
            properties
                .attributes()
                .map(|(kind, name, value, movable)| Item::resident(kind, name, value, movable)),
        );
        let room = inode.room().saturating_sub(name_bytes);
        self.fit(&mut items, room, name)?;

        let (size, allocated) = main_item(&items);
        inode.set_main_stream(size, allocated);
        let duplicated = Duplicated {
            times: metadata.times,
            size,
            allocated,
            attributes: flags,
            directory,
            tag_or_ea: properties.tag_or_ea(),
        };
        for (namespace, units) in &names {
            let file_name = FileName::new(dir.reference(), *namespace, units, &duplicated);
            let added = inode.add_resident(&self.volume, kind::FILE_NAME, &[], &file_name.0, 0);
            self.check("name", name, added)?;
            self.insert_name(dir, &file_name, units, inode.reference(), name)?;
        }
        self.add_items(inode, &items, name)?;
        self.index_properties(inode, &properties, name)?;
        if directory {
            self.empty_directories.insert(inode.number());
        }
        let number = inode.number();
        self.close_node(inode)?;
        Ok(FileId(number))
    }

    pub(super) fn link(&mut self, file: FileId, parent: FileId, name: &Name) -> Result<()> {
        let units = units(name)?;
        let inode = self.node(file)?;
        if inode.is_directory() {
            self.close_node(inode)?;
            let reason = "directories have one name".to_owned();
            return Err(Error::NotExpressible { what: format!("the link {name}"), reason });
        }
        let dir = self.directory(parent.0)?;
        self.refuse_collision(dir, &units)?;
        if inode.names() >= MAX_LINKS {
            let reason = format!("its file has {MAX_LINKS} names already");
            return Err(Error::NotExpressible { what: format!("the link {name}"), reason });
        }
        let duplicated = self.duplicated(inode)?;
        let file_name = FileName::new(dir.reference(), namespace::POSIX, &units, &duplicated);
        let added = inode.add_resident(&self.volume, kind::FILE_NAME, &[], &file_name.0, 0);
        self.check("link", name, added)?;
        self.insert_name(dir, &file_name, &units, inode.reference(), name)?;
        inode.set_names(inode.names() + 1);
        self.close_node(inode)
    }

    pub(super) fn unlink(&mut self, node: FileId, parent: FileId, name: &Name) -> Result<()> {
        let units = units(name)?;
        let inode = self.node(node)?;
        let names = self.file_names(inode)?;
        let Some(long) = names.iter().find(|found| {
            found.parent() == parent.0 && found.namespace() != namespace::DOS && found.units() == units
        }) else {
            self.close_node(inode)?;
            let reason = format!("node {} has no such name in directory {}", node.0, parent.0);
            return Err(Error::NotExpressible { what: format!("the removal of {name}"), reason });
        };
        if inode.is_directory() && !self.is_empty_directory(inode)? {
            self.close_node(inode)?;
            let reason = "the directory is not empty".to_owned();
            return Err(Error::NotExpressible { what: format!("the removal of {name}"), reason });
        }
        let mut gone = vec![long];
        if long.namespace() == namespace::WIN32 {
            gone.extend(names.iter().find(|found| is_short_name_in(found, parent)));
        }
        let last = gone.len() == names.len();
        let dir = self.directory(parent.0)?;
        for found in &gone {
            let removed = NameIndex(dir).remove(&found.0);
            self.check("unlink", name, removed)?;
            self.forget_name(&found.units());
            // A record that is given back keeps its last names, as Windows leaves them.
            if !last {
                self.remove_attribute(inode, |kind, value| kind == kind::FILE_NAME && value == found.0)?;
            }
        }
        inode.set_names(inode.names().saturating_sub(gone.len() as u16));
        if !last {
            return self.close_node(inode);
        }
        self.unindex_properties(inode)?;
        self.empty_directories.remove(&inode.number());
        for runs in self.attribute_runs(inode, 0)? {
            self.release(&runs)?;
        }
        let deleted = inode.delete(&self.volume);
        self.check("delete", name, deleted)
    }

    pub(super) fn set_metadata(&mut self, node: FileId, metadata: &Metadata) -> Result<()> {
        let properties = Properties::of(metadata)?;
        let inode = self.node(node)?;
        let what = format!("node {}", node.0);
        let lengthened = inode.lengthen_standard_information();
        self.check("change", &what, lengthened)?;
        let security_id = match metadata.security {
            Security::None => inode.security_id(),
            _ => self.security_id(&metadata.security, 0)?,
        };
        self.unindex_properties(inode)?;
        for kind in [kind::REPARSE_POINT, kind::OBJECT_ID, kind::EA_INFORMATION, kind::EA] {
            self.remove_whole_attribute(inode, kind, None)?;
        }
        self.remove_whole_attribute(inode, kind::LOGGED_UTILITY_STREAM, Some(EFS))?;
        if security_id != 0 {
            self.remove_whole_attribute(inode, kind::SECURITY_DESCRIPTOR, None)?;
            inode.set_security_id(security_id);
        }
        let streams = inode.flags() & (file_attribute::SPARSE | file_attribute::ENCRYPTED);
        let streams = if inode.is_directory() { 0 } else { streams };
        inode.set_flags(own_flags(metadata.attributes, &properties) | streams);
        inode.set_times(&metadata.times);
        let mut items: Vec<_> = properties
            .attributes()
            .map(|(kind, name, value, movable)| Item::resident(kind, name, value, movable))
            .collect();
        self.fit(&mut items, inode.room(), &what)?;
        self.add_items(inode, &items, &what)?;
        self.index_properties(inode, &properties, &what)?;
        self.refresh_names(inode)?;
        self.close_node(inode)
    }

    pub(super) fn set_streams(&mut self, node: FileId, streams: &[NewStream<'_>]) -> Result<()> {
        validate(streams, self.volume.cluster())?;
        let inode = self.node(node)?;
        let what = format!("node {}", node.0);
        if inode.is_directory() && streams.iter().any(|stream| stream.name.is_empty()) {
            self.close_node(inode)?;
            let reason = "directories have only named streams".to_owned();
            return Err(Error::NotExpressible { what: format!("the main stream of {what}"), reason });
        }
        let mut ready = Vec::with_capacity(streams.len());
        for stream in streams {
            ready.push(self.prepare(stream)?);
        }
        if !inode.is_directory() && !ready.iter().any(|stream| stream.name.is_empty()) {
            ready.push(Ready { name: Vec::new(), flags: 0, body: Body::Resident(Cow::Borrowed(&[])) });
        }
        self.remove_whole_attribute(inode, kind::DATA, None)?;
        if !inode.is_directory() {
            let flags = main_stream_flags(&ready);
            let own = inode.flags() & !(file_attribute::SPARSE | file_attribute::ENCRYPTED);
            inode.set_flags(own | flags);
        }
        let mut items: Vec<_> = ready.into_iter().map(Item::stream).collect();
        self.fit(&mut items, inode.room(), &what)?;
        if !inode.is_directory() {
            let (size, allocated) = main_item(&items);
            inode.set_main_stream(size, allocated);
        }
        self.add_items(inode, &items, &what)?;
        self.refresh_names(inode)?;
        self.close_node(inode)
    }

    pub(super) fn rename(
        &mut self,
        node: FileId,
        parent: FileId,
        name: &Name,
        new: &Name,
        short: Option<&Name>,
    ) -> Result<()> {
        let what = format!("the name {name}");
        let old_units = units(name)?;
        let pair = self.name_pair(new, short)?;
        let new_units = &pair[0].1;
        if !same(self.volume.upcase(), &old_units, new_units) {
            let reason = format!("{new} is another name to the volume, not the same in another case");
            return Err(Error::NotExpressible { what, reason });
        }
        let inode = self.node(node)?;
        let mut names = self.file_names(inode)?;
        let Some(long) = names.iter().position(|found| {
            found.parent() == parent.0 && found.namespace() != namespace::DOS && found.units() == old_units
        }) else {
            self.close_node(inode)?;
            let reason = format!("node {} has no such name in directory {}", node.0, parent.0);
            return Err(Error::NotExpressible { what, reason });
        };
        let mut long = names.swap_remove(long);
        let old = names.iter().find(|found| is_short_name_in(found, parent)).cloned();
        let old = old.filter(|_| long.namespace() == namespace::WIN32);
        let elsewhere =
            names.iter().any(|found| found.namespace() & namespace::DOS != 0 && Some(found) != old.as_ref());
        if short.is_some() && elsewhere {
            self.close_node(inode)?;
            let reason = "another name of the file has one, and Windows keeps one per file".to_owned();
            return Err(Error::NotExpressible { what, reason });
        }
        let dir = self.directory(parent.0)?;
        if let [_, (_, units)] = &pair[..]
            && old.as_ref().is_none_or(|old| !same(self.volume.upcase(), &old.units(), units))
        {
            self.refuse_collision(dir, units)?;
        }

        if let Some(old) = &old {
            let removed = NameIndex(dir).remove(&old.0);
            self.check("remove a name", &what, removed)?;
            self.forget_name(&old.units());
            self.remove_attribute(inode, |kind, value| kind == kind::FILE_NAME && value == old.0)?;
            inode.set_names(inode.names().saturating_sub(1));
        }
        let before = long.0.clone();
        let duplicated = self.duplicated(inode)?;
        if *new_units == old_units {
            long.set_duplicated(&duplicated);
            long.set_namespace(pair[0].0);
            let updated = NameIndex(dir).update(&long.0);
            self.check("change a name", &what, updated)?;
        } else {
            // The index compares case where nothing else differs, so the entry is another one.
            let removed = NameIndex(dir).remove(&before);
            self.check("remove a name", &what, removed)?;
            self.forget_name(&old_units);
            long = FileName::new(dir.reference(), pair[0].0, new_units, &duplicated);
            self.insert_name(dir, &long, new_units, inode.reference(), new)?;
        }
        // Names that are the same but for case are equally long.
        self.change_attribute(inode, kind::FILE_NAME, |value| {
            if value == before {
                value.copy_from_slice(&long.0);
            }
        })?;
        if let [_, (namespace, units)] = &pair[..] {
            let file_name = FileName::new(dir.reference(), *namespace, units, &duplicated);
            let added = inode.add_resident(&self.volume, kind::FILE_NAME, &[], &file_name.0, 0);
            self.check("name", &what, added)?;
            self.insert_name(dir, &file_name, units, inode.reference(), name)?;
            inode.set_names(inode.names() + 1);
        }
        self.close_node(inode)
    }

    /// The names that a name with its short name is stored as, the long one first.
    fn name_pair(&self, name: &Name, short: Option<&Name>) -> Result<Vec<(u8, Vec<u16>)>> {
        let long = units(name)?;
        let Some(short) = short else { return Ok(vec![(namespace::POSIX, long)]) };
        let short = short_units(short)?;
        if same(self.volume.upcase(), &long, &short) {
            return Ok(vec![(namespace::WIN32_AND_DOS, long)]);
        }
        Ok(vec![(namespace::WIN32, long), (namespace::DOS, short)])
    }

    /// Refuses a name that its directory has already, whatever the case.
    fn refuse_collision(&mut self, dir: Inode, units: &[u16]) -> Result<()> {
        let name = Name::from_utf16(units);
        let known = self.directory.as_ref().and_then(|open| open.names.as_ref());
        let taken = match known {
            Some(names) => names.contains(&self.fold(units)),
            None => {
                let found = NameIndex(dir).find(&self.volume, units);
                self.check("find", &name, found)?.is_some()
            }
        };
        if taken {
            let reason = "its directory has an entry that is the same but for case".to_owned();
            return Err(Error::NotExpressible { what: format!("the name {name}"), reason });
        }
        Ok(())
    }

    fn fold(&self, units: &[u16]) -> Vec<u16> {
        let upcase = self.volume.upcase();
        units.iter().map(|&unit| upcase.get(usize::from(unit)).copied().unwrap_or(unit)).collect()
    }

    fn insert_name(
        &mut self,
        dir: Inode,
        file_name: &FileName,
        units: &[u16],
        reference: u64,
        name: &Name,
    ) -> Result<()> {
        let inserted = NameIndex(dir).insert(&file_name.0, reference);
        if !self.check("enter into its directory", name, inserted)? {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return self.check("enter into its directory", name, Err(source));
        }
        let folded = self.fold(units);
        if let Some(names) = self.directory.as_mut().and_then(|open| open.names.as_mut()) {
            names.insert(folded);
        }
        Ok(())
    }

    fn forget_name(&mut self, units: &[u16]) {
        let folded = self.fold(units);
        if let Some(names) = self.directory.as_mut().and_then(|open| open.names.as_mut()) {
            names.remove(&folded);
        }
    }

    fn security_id(&mut self, security: &Security, parent: u32) -> Result<u32> {
        let descriptor = match security {
            Security::Descriptor(descriptor) => Arc::clone(descriptor),
            _ if parent != 0 => return Ok(parent),
            _ => Arc::from(DEFAULT_DESCRIPTOR),
        };
        let id = self.descriptors.id(&mut self.volume, &descriptor);
        self.check("store", &"a security descriptor", id)
    }
}

/// More names of one file than Windows allows (1024, short ones not counted).
const MAX_LINKS: u16 = 1024;

/// The attribute flags without those that other attributes say, and with the one for a reparse point.
fn own_flags(attributes: u32, properties: &Properties<'_>) -> u32 {
    use file_attribute::{DIRECTORY, INDEXES, REPARSE_POINT};
    let own = attributes & !(DIRECTORY | INDEXES | REPARSE_POINT);
    own | if properties.reparse.is_some() { REPARSE_POINT } else { 0 }
}

fn is_short_name_in(name: &FileName, parent: FileId) -> bool {
    name.namespace() == namespace::DOS && name.parent() == parent.0
}
