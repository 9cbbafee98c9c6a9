//! What is on a volume, read back: by the scanner of the `ntfs-volume` crate, judged by its checker, and read a second
//! time by the `ntfs` crate, which shares no code with it.

use super::disk::Disk;
use super::edit::{Path, path, show};
use disk::ByteSource;
use ntfs_volume::content::read_stream;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Seek, SeekFrom};
use volume::{FileId, Kind, Metadata, Name, Property, Stream, StreamData, StreamFlags, Tree};

/// The bytes of one stream and how they are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes {
    pub bytes: Vec<u8>,
    pub size: u64,
    pub valid: u64,
    pub flags: StreamFlags,
    /// Lengths of data and holes, for streams that are not plain.
    pub layout: Vec<(u64, bool)>,
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(40)]);
        write!(f, "{start:?} ({} of {} valid, {:?}, {:?})", self.valid, self.size, self.flags, self.layout)
    }
}

/// One entry: what a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub kind: Kind,
    pub name: Name,
    pub short: Option<Name>,
    pub metadata: Metadata,
    pub streams: BTreeMap<Name, Bytes>,
    /// Every path of the same file.
    pub group: BTreeSet<Path>,
}

/// A volume in memory.
pub struct Snapshot {
    pub entries: BTreeMap<Path, Found>,
    fold: Tree,
}

impl Snapshot {
    /// Reads the OS volume of a disk, which has to be consistent and to look the same to the second reader.
    pub fn of(disk: &Disk) -> Snapshot {
        Snapshot::of_volume(&disk.volume(disk.os_number()))
    }

    pub fn of_volume(source: &dyn ByteSource) -> Snapshot {
        let report = ntfs_volume::check::check(source, &operation::Silent).unwrap();
        assert!(report.findings.is_empty(), "the volume is not consistent: {:#?}", report.findings);
        ntfs_volume::gate::check_state(source).unwrap();
        let tree = ntfs_volume::scan::scan(source, &operation::Silent).unwrap();
        let mut paths: HashMap<FileId, BTreeSet<Path>> = HashMap::new();
        let mut found = Vec::new();
        let mut pending = vec![(Path::new(), tree.root())];
        while let Some((parent_path, parent)) = pending.pop() {
            for child in tree.children(parent) {
                let mut path = parent_path.clone();
                path.push(child.name.clone());
                paths.entry(child.id).or_default().insert(path.clone());
                if tree.is_directory(child.id) {
                    pending.push((path.clone(), child.id));
                }
                found.push((path, parent, child.id));
            }
        }
        let mut entries = BTreeMap::new();
        for (path, parent, id) in found {
            let node = tree.node(id).unwrap();
            let name = path.last().unwrap().clone();
            let link = node.links.iter().find(|link| link.parent == parent && link.name == name).unwrap();
            let streams =
                node.streams.iter().map(|stream| (stream.name.clone(), bytes_of(source, stream))).collect();
            let entry = Found {
                kind: node.kind,
                name,
                short: link.short.clone(),
                metadata: node.metadata.clone(),
                streams,
                group: paths[&id].clone(),
            };
            entries.insert(path, entry);
        }
        let snapshot = Snapshot { entries, fold: tree };
        snapshot.agrees_with_the_second_reader(source);
        snapshot
    }

    pub fn find(&self, path: &[Name]) -> Option<&Found> {
        let exact = self.entries.get(path);
        exact.or_else(|| {
            let folded = self.folded(path);
            self.entries.iter().find(|(key, _)| self.folded(key) == folded).map(|(_, found)| found)
        })
    }

    /// A path in the form by which the volume compares.
    pub fn folded(&self, path: &[Name]) -> Path {
        path.iter().map(|name| self.fold.fold(name)).collect()
    }

    pub fn has(&self, text: &str) -> bool {
        self.find(&path(text)).is_some()
    }

    #[track_caller]
    pub fn get(&self, text: &str) -> &Found {
        self.find(&path(text)).unwrap_or_else(|| panic!("there is no {text} among {:#?}", self.paths()))
    }

    /// The main stream of a file as text.
    #[track_caller]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(self.bytes(text)).into_owned()
    }

    #[track_caller]
    pub fn bytes(&self, text: &str) -> &[u8] {
        &self.get(text).streams[&Name::default()].bytes
    }

    #[track_caller]
    pub fn stream(&self, text: &str, name: &str) -> String {
        String::from_utf8_lossy(&self.get(text).streams[&Name::from(name)].bytes).into_owned()
    }

    /// Every path, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.entries.keys().map(|path| show(path)).collect()
    }

    /// Every path of the file that has this one, sorted.
    #[track_caller]
    pub fn group(&self, text: &str) -> Vec<String> {
        self.get(text).group.iter().map(|path| show(path)).collect()
    }

    #[track_caller]
    pub fn short(&self, text: &str) -> Option<String> {
        self.get(text).short.as_ref().map(Name::to_string)
    }

    /// Everything that the scanner finds has to be found by the `ntfs` crate, and nothing else.
    fn agrees_with_the_second_reader(&self, source: &dyn ByteSource) {
        let theirs = second_reading(source);
        let ours: BTreeSet<&Path> = self.entries.keys().collect();
        let other: BTreeSet<&Path> = theirs.keys().collect();
        assert_eq!(ours, other, "the ntfs crate finds other entries");
        for (path, found) in &self.entries {
            let streams = &theirs[path];
            assert_eq!(
                found.streams.keys().collect::<Vec<_>>(),
                streams.keys().collect::<Vec<_>>(),
                "the ntfs crate finds other streams in {}",
                show(path)
            );
            for (name, bytes) in &found.streams {
                // It decompresses nothing, and takes no notice of valid lengths.
                if bytes.flags.compressed || bytes.flags.encrypted || bytes.valid != bytes.size {
                    continue;
                }
                let same = streams[name] == bytes.bytes;
                assert!(same, "the ntfs crate reads something else from {}:{name}", show(path));
            }
        }
    }
}

fn bytes_of(source: &dyn ByteSource, stream: &Stream) -> Bytes {
    let mut bytes = Vec::new();
    read_stream(source, stream, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })
    .unwrap();
    let mut layout: Vec<(u64, bool)> = Vec::new();
    if let StreamData::Runs(runs) = &stream.data
        && (stream.flags.sparse || stream.flags.compressed)
    {
        for run in runs {
            match layout.last_mut() {
                Some((len, hole)) if *hole == run.at.is_none() => *len += run.len,
                _ => layout.push((run.len, run.at.is_none())),
            }
        }
    }
    Bytes { bytes, size: stream.size, valid: stream.valid, flags: stream.flags, layout }
}

/// A source with a position, as readers from elsewhere want it.
struct Cursor<'a> {
    source: &'a dyn ByteSource,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = (self.source.len().saturating_sub(self.at)).min(buf.len() as u64) as usize;
        self.source.read_exact_at(self.at, &mut buf[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::End(by) => {
                self.source.len().checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?
            }
        };
        Ok(self.at)
    }
}

/// Every path and the bytes of its streams, as the `ntfs` crate sees them.
fn second_reading(source: &dyn ByteSource) -> BTreeMap<Path, BTreeMap<Name, Vec<u8>>> {
    use ntfs::structured_values::NtfsFileNamespace;
    use ntfs::{Ntfs, NtfsAttributeType, NtfsReadSeek};
    const FIRST_USER_RECORD: u64 = 24;
    let mut fs = io::BufReader::with_capacity(16 << 10, Cursor { source, at: 0 });
    let ntfs = Ntfs::new(&mut fs).unwrap();
    let mut found = BTreeMap::new();
    let mut pending = vec![(Path::new(), 5)];
    while let Some((parent, number)) = pending.pop() {
        let directory = ntfs.file(&mut fs, number).unwrap();
        let index = directory.directory_index(&mut fs).unwrap();
        let mut entries = index.entries();
        let mut children = Vec::new();
        while let Some(entry) = entries.next(&mut fs) {
            let entry = entry.unwrap();
            let name = entry.key().unwrap().unwrap();
            let number = entry.file_reference().file_record_number();
            if number >= FIRST_USER_RECORD && name.namespace() != NtfsFileNamespace::Dos {
                let units: Vec<u16> = name.name().u16_iter().collect();
                children.push((Name::from_utf16(&units), number, name.is_directory()));
            }
        }
        for (name, number, is_directory) in children {
            let mut path = parent.clone();
            path.push(name);
            let file = ntfs.file(&mut fs, number).unwrap();
            let mut streams = BTreeMap::new();
            let mut attributes = file.attributes();
            while let Some(item) = attributes.next(&mut fs) {
                let item = item.unwrap();
                let attribute = item.to_attribute().unwrap();
                if attribute.ty().unwrap() != NtfsAttributeType::Data {
                    continue;
                }
                let units: Vec<u16> = attribute.name().unwrap().u16_iter().collect();
                let mut value = attribute.value(&mut fs).unwrap();
                let mut bytes = vec![0; value.len() as usize];
                if !attribute.flags().contains(ntfs::NtfsAttributeFlags::COMPRESSED) {
                    value.read_exact(&mut fs, &mut bytes).unwrap();
                }
                streams.insert(Name::from_utf16(&units), bytes);
            }
            if is_directory {
                pending.push((path.clone(), number));
            }
            found.insert(path, streams);
        }
    }
    found
}

/// What the `ntfs` crate finds in $Extend, which no tree shows.
pub fn names_in_extend(source: &dyn ByteSource) -> Vec<String> {
    let mut fs = io::BufReader::new(Cursor { source, at: 0 });
    let ntfs = ntfs::Ntfs::new(&mut fs).unwrap();
    let extend = ntfs.file(&mut fs, 11).unwrap();
    let index = extend.directory_index(&mut fs).unwrap();
    let mut entries = index.entries();
    let mut names = Vec::new();
    while let Some(entry) = entries.next(&mut fs) {
        names.push(entry.unwrap().key().unwrap().unwrap().name().to_string_lossy());
    }
    names
}

/// The reparse value of an entry.
pub fn reparse(found: &Found) -> Option<&[u8]> {
    found.metadata.properties.iter().find_map(|property| match property {
        Property::Reparse(value) => Some(&value[..]),
        _ => None,
    })
}
