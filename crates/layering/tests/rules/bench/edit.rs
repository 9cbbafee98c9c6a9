//! What a person or an installer does on a disk, in a few words. Goes through the editor of the `ntfs-volume` crate, by
//! path. Directories keep their times when entries come and go, so that a test changes only what it says.

use super::disk::RawFile;
use disk::{ByteSource, SourceId, SourceRange, Window};
use ntfs_volume::content::read_stream;
use ntfs_volume::edit::NtfsEditor;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use volume::{
    FileId, Kind, Metadata, Name, NewData, NewRun, NewStream, Property, Security, StreamFlags, Times, Tree,
    VolumeEditor,
};

pub type Path = Vec<Name>;

/// `\a\b` as names.
pub fn path(text: &str) -> Path {
    text.split('\\').filter(|part| !part.is_empty()).map(Name::from).collect()
}

/// A path as people write it.
pub fn show(path: &[Name]) -> String {
    path.iter().fold(String::new(), |text, part| format!("{text}\\{part}"))
}

/// Later than any other moment so far, so that a change shows in the times of a file.
pub fn tick() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(133_500_000_000_000_000);
    CLOCK.fetch_add(10_000_000, Ordering::Relaxed)
}

fn times(at: u64) -> Times {
    Times { created: at, modified: at + 1, changed: at + 2, accessed: at + 3 }
}

/// A self-relative descriptor: owner Administrators, group SYSTEM, an access mask that depends on `number`.
pub fn descriptor(number: u32) -> Security {
    let mut value = vec![1, 0, 4, 0x80];
    for offset in [0x14_u32, 0x24, 0, 0x30] {
        value.extend(offset.to_le_bytes());
    }
    value.extend([1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
    value.extend([1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]);
    value.extend([2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0]);
    value.extend((0x1f_0000 + number).to_le_bytes());
    value.extend([1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    Security::Descriptor(value.into())
}

/// Bytes that are different at every place.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// How a stream is to lie on the volume.
#[derive(Clone, Debug)]
pub enum Body {
    /// Its bytes, in the record or in clusters as they fit.
    Plain(Vec<u8>),
    /// So long, with these data at multiples of 64 KiB and holes elsewhere.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    /// LZNT1 in units of 64 KiB: a unit of one repeated byte that is compressed, then these bytes, a whole unit, as
    /// they are.
    Compressed(u8, Vec<u8>),
    /// So long, of which only these bytes were ever written.
    Valid(u64, Vec<u8>),
}

/// A file to be made.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub body: Body,
    pub streams: Vec<(Name, Body)>,
    pub short: Option<Name>,
    pub attributes: u32,
    pub security: u32,
    pub properties: Vec<Property>,
    pub times: Option<Times>,
}

impl NewFile {
    pub fn new(bytes: impl AsRef<[u8]>) -> NewFile {
        NewFile::of(Body::Plain(bytes.as_ref().to_vec()))
    }

    pub fn of(body: Body) -> NewFile {
        NewFile {
            body,
            streams: Vec::new(),
            short: None,
            attributes: 0x20,
            security: 0,
            properties: Vec::new(),
            times: None,
        }
    }

    pub fn stream(mut self, name: &str, bytes: impl AsRef<[u8]>) -> NewFile {
        self.streams.push((name.into(), Body::Plain(bytes.as_ref().to_vec())));
        self
    }

    pub fn short(mut self, short: &str) -> NewFile {
        self.short = Some(short.into());
        self
    }

    pub fn attributes(self, attributes: u32) -> NewFile {
        NewFile { attributes, ..self }
    }

    pub fn security(self, security: u32) -> NewFile {
        NewFile { security, ..self }
    }

    pub fn property(mut self, property: Property) -> NewFile {
        self.properties.push(property);
        self.properties.sort();
        self
    }

    fn metadata(&self) -> Metadata {
        Metadata {
            times: self.times.unwrap_or_else(|| times(tick())),
            attributes: self.attributes,
            security: descriptor(self.security),
            properties: self.properties.clone(),
        }
    }
}

struct PlannedStream {
    name: Name,
    size: u64,
    valid: u64,
    flags: StreamFlags,
    bytes: Vec<u8>,
    runs: Option<Vec<NewRun>>,
}

/// An open volume.
pub struct Edit {
    editor: NtfsEditor<Window<RawFile>>,
    arena: Arc<Mutex<Vec<u8>>>,
    tree: Tree,
    /// Every entry by folded path.
    nodes: HashMap<Path, Entry>,
    /// Contents of plain streams, so that one of them can be changed without the others.
    streams: HashMap<FileId, Vec<(Name, Body)>>,
    metadata: HashMap<FileId, Metadata>,
}

#[derive(Clone)]
struct Entry {
    id: FileId,
    name: Name,
    kind: Kind,
}

impl Edit {
    pub fn open(device: Window<RawFile>, arena: Arc<Mutex<Vec<u8>>>, source: &dyn ByteSource) -> Edit {
        let tree = ntfs_volume::scan::scan(source, &operation::Silent).unwrap();
        let mut nodes = HashMap::new();
        let mut streams = HashMap::new();
        let mut metadata = HashMap::new();
        let mut pending = vec![(Path::new(), tree.root())];
        while let Some((folded, id)) = pending.pop() {
            for child in tree.children(id) {
                let mut folded = folded.clone();
                folded.push(child.folded.clone());
                let kind = tree.node(child.id).unwrap().kind;
                nodes.insert(folded.clone(), Entry { id: child.id, name: child.name.clone(), kind });
                if kind == Kind::Directory {
                    pending.push((folded, child.id));
                }
            }
        }
        for node in tree.nodes() {
            metadata.insert(node.id, node.metadata.clone());
            let plain = node.streams.iter().filter(|stream| {
                !stream.flags.encrypted
                    && !stream.flags.compressed
                    && !stream.flags.sparse
                    && stream.size < 8 << 20
            });
            let bodies = plain.map(|stream| {
                let mut bytes = Vec::new();
                read_stream(source, stream, &mut |part| {
                    bytes.extend_from_slice(part);
                    Ok(())
                })
                .unwrap();
                (stream.name.clone(), Body::Plain(bytes))
            });
            streams.insert(node.id, bodies.collect());
        }
        let editor = NtfsEditor::mount(device).unwrap();
        Edit { editor, arena, tree, nodes, streams, metadata }
    }

    pub fn finish(self) {
        self.editor.finish_into().unwrap();
    }

    fn folded(&self, path: &[Name]) -> Path {
        path.iter().map(|name| self.tree.fold(name)).collect()
    }

    fn entry(&self, path: &[Name]) -> Option<Entry> {
        self.nodes.get(&self.folded(path)).cloned()
    }

    fn id(&self, path: &[Name]) -> FileId {
        if path.is_empty() {
            return self.tree.root();
        }
        self.entry(path).unwrap_or_else(|| panic!("there is no {}", show(path))).id
    }

    /// The directory at a path, made with its parents where it is absent.
    pub fn directory_at(&mut self, path: &[Name]) -> FileId {
        if path.is_empty() {
            return self.tree.root();
        }
        if let Some(entry) = self.entry(path) {
            assert_eq!(entry.kind, Kind::Directory, "{}", show(path));
            return entry.id;
        }
        self.make_directory(path, None, 0x10, 0)
    }

    fn make_directory(
        &mut self,
        path: &[Name],
        short: Option<&str>,
        attributes: u32,
        security: u32,
    ) -> FileId {
        let (name, parent) = path.split_last().unwrap();
        let parent = self.directory_at(parent);
        let metadata = Metadata {
            times: times(tick()),
            attributes: attributes & !0x10,
            security: descriptor(security),
            properties: Vec::new(),
        };
        let short = short.map(Name::from);
        let id = self.editor.make_directory(parent, name, short.as_ref(), &metadata, &[]).unwrap();
        self.metadata.insert(id, metadata);
        self.remember(path, id, Kind::Directory);
        id
    }

    fn remember(&mut self, path: &[Name], id: FileId, kind: Kind) {
        let name = path.last().unwrap().clone();
        self.nodes.insert(self.folded(path), Entry { id, name, kind });
    }

    pub fn directory(&mut self, text: &str) -> &mut Edit {
        self.directory_at(&path(text));
        self
    }

    /// Makes a directory with a short name, attributes and a descriptor.
    pub fn directory_with(
        &mut self,
        text: &str,
        short: Option<&str>,
        attributes: u32,
        security: u32,
    ) -> &mut Edit {
        self.make_directory(&path(text), short, attributes, security);
        self
    }

    /// Makes a file, or writes new contents into the one that is there; its other names follow.
    pub fn file(&mut self, text: &str, bytes: impl AsRef<[u8]>) -> &mut Edit {
        self.file_at(&path(text), NewFile::new(bytes));
        self
    }

    pub fn file_with(&mut self, text: &str, file: NewFile) -> &mut Edit {
        self.file_at(&path(text), file);
        self
    }

    pub fn file_at(&mut self, path: &[Name], file: NewFile) {
        let (name, parent) = path.split_last().unwrap();
        let mut bodies = vec![(Name::default(), file.body.clone())];
        bodies.extend(file.streams.iter().cloned());
        if let Some(entry) = self.entry(path) {
            let mut kept = self.streams.get(&entry.id).cloned().unwrap_or_default();
            kept.retain(|(name, _)| bodies.iter().all(|(new, _)| new != name));
            bodies.extend(kept);
            self.set_streams(entry.id, bodies);
            let mut metadata = self.metadata[&entry.id].clone();
            metadata.times.modified = tick();
            self.set_metadata(entry.id, metadata);
            return;
        }
        let parent = self.directory_at(parent);
        let metadata = file.metadata();
        let planned = self.planned(&bodies);
        let streams = new_streams(&planned);
        let id = self.editor.make_file(parent, name, file.short.as_ref(), &metadata, &streams).unwrap();
        self.metadata.insert(id, metadata);
        self.streams.insert(id, bodies);
        self.remember(path, id, Kind::File);
    }

    /// Other contents of the same length, and nothing else that could tell: no time changes.
    pub fn overwrite_secretly(&mut self, text: &str, bytes: impl AsRef<[u8]>) -> &mut Edit {
        let id = self.id(&path(text));
        let mut bodies = self.streams[&id].clone();
        bodies.retain(|(name, _)| !name.is_empty());
        bodies.insert(0, (Name::default(), Body::Plain(bytes.as_ref().to_vec())));
        self.set_streams(id, bodies);
        let metadata = self.metadata[&id].clone();
        self.set_metadata(id, metadata);
        self
    }

    fn set_streams(&mut self, id: FileId, bodies: Vec<(Name, Body)>) {
        let planned = self.planned(&bodies);
        self.editor.set_streams(id, &new_streams(&planned)).unwrap();
        self.streams.insert(id, bodies);
    }

    fn set_metadata(&mut self, id: FileId, metadata: Metadata) {
        self.editor.set_metadata(id, &metadata).unwrap();
        self.metadata.insert(id, metadata);
    }

    /// Adds or replaces a named stream.
    pub fn stream(&mut self, text: &str, name: &str, bytes: impl AsRef<[u8]>) -> &mut Edit {
        self.stream_at(&path(text), name, bytes.as_ref());
        self
    }

    /// One more name for a file.
    pub fn link(&mut self, existing: &str, new: &str) -> &mut Edit {
        self.link_at(&path(existing), &path(new));
        self
    }

    pub fn link_at(&mut self, existing: &[Name], new: &[Name]) {
        let entry = self.entry(existing).unwrap_or_else(|| panic!("there is no {}", show(existing)));
        let (name, parent) = new.split_last().unwrap();
        let parent = self.directory_at(parent);
        self.editor.link(entry.id, parent, name).unwrap();
        self.remember(new, entry.id, Kind::File);
    }

    /// Takes a name away, of a directory with everything below it.
    pub fn delete(&mut self, text: &str) -> &mut Edit {
        self.delete_at(&path(text));
        self
    }

    pub fn delete_at(&mut self, path: &[Name]) {
        let folded = self.folded(path);
        let mut doomed: Vec<Path> =
            self.nodes.keys().filter(|key| key.starts_with(&folded)).cloned().collect();
        assert!(!doomed.is_empty(), "there is no {}", show(path));
        doomed.sort_by_key(|key| std::cmp::Reverse(key.len()));
        for key in doomed {
            let entry = self.nodes.remove(&key).unwrap();
            let parent = &key[..key.len() - 1];
            let parent = if parent.is_empty() { self.tree.root() } else { self.nodes[parent].id };
            self.editor.unlink(entry.id, parent, &entry.name).unwrap();
        }
    }

    /// Gives a file or a directory with all that is below it another path. The clusters stay where they are.
    pub fn rename(&mut self, from: &str, to: &str) -> &mut Edit {
        let (from, to) = (path(from), path(to));
        let entry = self.entry(&from).unwrap_or_else(|| panic!("there is no {}", show(&from)));
        if entry.kind == Kind::File {
            if self.folded(&from) == self.folded(&to) {
                let aside = path("\\being renamed");
                self.link_at(&from, &aside);
                self.delete_at(&from);
                self.link_at(&aside, &to);
                self.delete_at(&aside);
            } else {
                self.link_at(&from, &to);
                self.delete_at(&from);
            }
            return self;
        }
        let prefix = self.folded(&from);
        if prefix == self.folded(&to) {
            self.write_name(&from, to.last().unwrap(), None);
            return self;
        }
        let mut below: Vec<(Path, Entry)> = self
            .nodes
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(k, e)| (k.clone(), e.clone()))
            .collect();
        below.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, entry) in below {
            let mut target = to.clone();
            for depth in prefix.len()..key.len() {
                target.push(self.nodes[&key[..=depth]].name.clone());
            }
            match entry.kind {
                Kind::Directory => {
                    let id = self.directory_at(&target);
                    let metadata = self.metadata[&entry.id].clone();
                    self.set_metadata(id, metadata);
                }
                Kind::File => self.link_at(&key, &target),
            }
        }
        self.delete_at(&from);
        self
    }

    /// Changes metadata.
    pub fn metadata(&mut self, text: &str, change: impl FnOnce(&mut Metadata)) -> &mut Edit {
        self.metadata_at(&path(text), change);
        self
    }

    pub fn metadata_at(&mut self, path: &[Name], change: impl FnOnce(&mut Metadata)) {
        let id = self.id(path);
        let mut metadata = self.metadata[&id].clone();
        change(&mut metadata);
        self.set_metadata(id, metadata);
    }

    pub fn short_name(&mut self, text: &str, short: Option<&str>) -> &mut Edit {
        let path = path(text);
        let entry = self.entry(&path).unwrap();
        self.write_name(&path, &entry.name, short);
        self
    }

    /// Writes a name in another case, with another short name or none.
    fn write_name(&mut self, path: &[Name], new: &Name, short: Option<&str>) {
        let entry = self.entry(path).unwrap();
        let parent = self.id(&path[..path.len() - 1]);
        let short = short.map(Name::from);
        self.editor.rename(entry.id, parent, &entry.name, new, short.as_ref()).unwrap();
        let folded = self.folded(path);
        self.nodes.get_mut(&folded).unwrap().name = new.clone();
    }

    /// Every folded path, parents first.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths: Vec<Path> = self.nodes.keys().cloned().collect();
        paths.sort();
        paths
    }

    pub fn is_file(&self, path: &[Name]) -> bool {
        self.entry(path).is_some_and(|entry| entry.kind == Kind::File)
    }

    /// Whether all streams of a file can be written again as they are.
    pub fn is_plain_file(&self, path: &[Name]) -> bool {
        let streams = self.entry(path).and_then(|entry| self.streams.get(&entry.id));
        self.is_file(path)
            && streams.is_some_and(|streams| {
                streams.iter().any(|(name, _)| name.is_empty())
                    && streams.iter().all(|(_, body)| matches!(body, Body::Plain(_)))
            })
    }

    /// Deletes files that are in the way of a directory at `path`.
    pub fn make_way_for_directory(&mut self, path: &[Name]) {
        for depth in 1..=path.len() {
            if self.is_file(&path[..depth]) {
                self.delete_at(&path[..depth]);
            }
        }
    }

    /// Deletes what is in the way of a file at `path`, but for a file at the path itself.
    pub fn make_way_for_file(&mut self, path: &[Name]) {
        self.make_way_for_directory(&path[..path.len() - 1]);
        match self.entry(path) {
            Some(entry) if entry.kind == Kind::Directory || !self.is_plain_file(path) => self.delete_at(path),
            _ => {}
        }
    }

    /// Gives a file a name at `to` and, if it is to be moved, takes the old one away. Nothing happens where the new name
    /// lies below the old one, or would replace it.
    pub fn make_way_and_link(&mut self, from: &[Name], to: &[Name], moved: bool) {
        let (old, new) = (self.folded(from), self.folded(to));
        if new.starts_with(&old) || old.starts_with(&new) {
            return;
        }
        self.make_way_for_directory(&to[..to.len() - 1]);
        if self.entry(to).is_some() {
            self.delete_at(to);
        }
        // The way may have been made through the file itself.
        if self.is_file(from) {
            self.link_at(from, to);
            if moved {
                self.delete_at(from);
            }
        }
    }

    pub fn stream_at(&mut self, path: &[Name], name: &str, bytes: &[u8]) {
        let id = self.id(path);
        let mut bodies = self.streams.get(&id).cloned().unwrap_or_default();
        bodies.retain(|(other, _)| *other != Name::from(name));
        bodies.push((name.into(), Body::Plain(bytes.to_vec())));
        self.set_streams(id, bodies);
    }

    /// Makes a change journal, which no path of the tree leads to.
    pub fn usn_journal(&mut self) -> &mut Edit {
        let streams = [("$Max", vec![0; 32]), ("$J", noise(100_000, 7))];
        let planned = self.planned(&streams.map(|(name, bytes)| (name.into(), Body::Plain(bytes))));
        let metadata = NewFile::new("").metadata();
        self.editor
            .make_file(FileId(11), &"$UsnJrnl".into(), None, &metadata, &new_streams(&planned))
            .unwrap();
        self
    }

    fn planned(&mut self, bodies: &[(Name, Body)]) -> Vec<PlannedStream> {
        bodies.iter().map(|(name, body)| self.plan(name, body)).collect()
    }

    fn plan(&mut self, name: &Name, body: &Body) -> PlannedStream {
        let name = name.clone();
        let blank = StreamFlags::default();
        match body {
            Body::Plain(bytes) => {
                let size = bytes.len() as u64;
                PlannedStream { name, size, valid: size, flags: blank, bytes: bytes.clone(), runs: None }
            }
            Body::Valid(size, bytes) => {
                let mut runs = vec![self.splice(bytes)];
                runs.push(NewRun::Zero { len: size.next_multiple_of(4096) - runs[0].len() });
                let valid = bytes.len() as u64;
                PlannedStream { name, size: *size, valid, flags: blank, bytes: Vec::new(), runs: Some(runs) }
            }
            Body::Sparse(size, islands) => {
                let mut runs = Vec::new();
                let mut at = 0;
                for (offset, bytes) in islands {
                    if *offset > at {
                        runs.push(NewRun::Hole { len: offset - at });
                    }
                    let mut unit = bytes.clone();
                    unit.resize(bytes.len().next_multiple_of(65536), 0);
                    runs.push(self.splice(&unit));
                    at = offset + unit.len() as u64;
                }
                let end = size.next_multiple_of(65536);
                if end > at {
                    runs.push(NewRun::Hole { len: end - at });
                }
                let flags = StreamFlags { sparse: true, unit_shift: 4, ..blank };
                PlannedStream { name, size: *size, valid: *size, flags, bytes: Vec::new(), runs: Some(runs) }
            }
            Body::Compressed(byte, plain) => {
                assert_eq!(plain.len(), 65536);
                // Sixteen chunks, each: header, flags, one literal, one back-reference of 4095 bytes ([MS-XCA] 2.5).
                let mut unit = Vec::new();
                for _ in 0..16 {
                    unit.extend([0x03, 0xb0, 0x02, *byte, 0xfc, 0x0f]);
                }
                unit.resize(4096, 0);
                let runs = vec![self.splice(&unit), NewRun::Hole { len: 61440 }, self.splice(plain)];
                let flags = StreamFlags { compressed: true, unit_shift: 4, ..blank };
                PlannedStream {
                    name,
                    size: 131_072,
                    valid: 131_072,
                    flags,
                    bytes: Vec::new(),
                    runs: Some(runs),
                }
            }
        }
    }

    fn splice(&mut self, bytes: &[u8]) -> NewRun {
        let mut arena = self.arena.lock().unwrap();
        let offset = arena.len() as u64;
        arena.extend_from_slice(bytes);
        let end = arena.len().next_multiple_of(4096);
        arena.resize(end, 0);
        NewRun::Splice { len: end as u64 - offset, from: SourceRange { source: SourceId(0), offset } }
    }
}

fn new_streams(planned: &[PlannedStream]) -> Vec<NewStream<'_>> {
    planned
        .iter()
        .map(|stream| NewStream {
            name: &stream.name,
            size: stream.size,
            valid: stream.valid,
            flags: stream.flags,
            data: match &stream.runs {
                Some(runs) => NewData::Runs(runs),
                None => NewData::Inline(&stream.bytes),
            },
        })
        .collect()
}
