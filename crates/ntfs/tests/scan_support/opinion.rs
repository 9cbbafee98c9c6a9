//! What a volume holds, according to us and to others, in one comparable form.

use super::{Volume, has, shell};
use ntfs::structured_values::{NtfsFileNamespace, NtfsStandardInformation};
use ntfs::{Ntfs, NtfsAttributeFlags, NtfsAttributeType, NtfsFile, NtfsReadSeek};
use ntfs_volume::content::read_stream;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use volume::{Kind, Tree};

/// Larger streams are compared by size only.
const MAX_COMPARED: u64 = 16 << 20;

/// By path with `/` between names.
pub type Opinion = BTreeMap<String, Entry>;

#[derive(Debug)]
pub struct Entry {
    pub directory: bool,
    /// By name; `None` where the program does not say.
    pub streams: Option<BTreeMap<String, Stream>>,
}

#[derive(Debug)]
pub struct Stream {
    pub size: u64,
    /// CRC-32 of what a user reads; `None` where it was not read. Other readers show what lies in clusters behind the
    /// valid length, where Windows shows zeros: such streams are not compared.
    pub checksum: Option<u32>,
}

/// What the scanner and the reader of contents say.
pub fn contents(volume: &Volume, tree: &Tree) -> Opinion {
    let mut opinion = Opinion::new();
    let mut waiting = vec![(String::new(), tree.root())];
    while let Some((prefix, directory)) = waiting.pop() {
        for child in tree.children(directory) {
            let path = format!("{prefix}/{}", child.name);
            let node = tree.node(child.id).unwrap();
            let mut streams = BTreeMap::new();
            for stream in &node.streams {
                let mut hasher = crc32fast::Hasher::new();
                let mut read = 0;
                let readable = stream.size <= MAX_COMPARED && !stream.flags.encrypted;
                if readable {
                    read_stream(volume, stream, &mut |bytes| {
                        hasher.update(bytes);
                        read += bytes.len() as u64;
                        Ok(())
                    })
                    .unwrap_or_else(|error| panic!("{path}: {error}"));
                    assert_eq!(read, stream.size, "{path}: as many bytes as the stream is long");
                }
                let checksum = (readable && stream.valid == stream.size).then(|| hasher.finalize());
                streams.insert(stream.name.to_string(), Stream { size: stream.size, checksum });
            }
            let directory = node.kind == Kind::Directory;
            if directory {
                waiting.push((path.clone(), child.id));
            }
            opinion.insert(path, Entry { directory, streams: Some(streams) });
        }
    }
    opinion
}

/// A part of a file for the `ntfs` crate, padded with zeros like [`Volume`].
struct Window {
    file: BufReader<File>,
    offset: u64,
    at: u64,
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.offset + self.at))?;
        let mut read = self.file.read(buf)?;
        if read == 0 {
            buf.fill(0);
            read = buf.len();
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

/// What the Rust crate `ntfs` says. It does not decompress, and does not stop at the valid length.
pub fn ntfs_crate_opinion(volume: &Volume) -> Opinion {
    let file = BufReader::new(File::open(&volume.path).unwrap());
    let mut window = Window { file, offset: volume.offset, at: 0 };
    let mut ntfs = Ntfs::new(&mut window).unwrap();
    ntfs.read_upcase_table(&mut window).unwrap();
    let root = ntfs.root_directory(&mut window).unwrap();
    let mut opinion = Opinion::new();
    visit(&ntfs, &mut window, &root, "", &mut opinion);
    opinion
}

fn visit(ntfs: &Ntfs, window: &mut Window, directory: &NtfsFile<'_>, prefix: &str, opinion: &mut Opinion) {
    let index = directory.directory_index(window).unwrap();
    let mut entries = index.entries();
    let mut below = Vec::new();
    while let Some(entry) = entries.next(window) {
        let entry = entry.unwrap();
        let name = entry.key().unwrap().unwrap();
        if entry.file_reference().file_record_number() < 24 {
            continue;
        }
        let path = format!("{prefix}/{}", name.name().to_string_lossy());
        below.push((path, name.namespace(), entry.to_file(ntfs, window).unwrap()));
    }
    for (path, namespace, file) in below {
        if namespace == NtfsFileNamespace::Dos {
            continue;
        }
        let directory = file.is_directory();
        opinion.insert(path.clone(), Entry { directory, streams: Some(streams(window, &file)) });
        if directory {
            visit(ntfs, window, &file, &path, opinion);
        }
    }
}

fn streams(window: &mut Window, file: &NtfsFile<'_>) -> BTreeMap<String, Stream> {
    let mut streams = BTreeMap::new();
    let mut attributes = file.attributes();
    while let Some(item) = attributes.next(window) {
        let item = item.unwrap();
        let attribute = item.to_attribute().unwrap();
        if attribute.ty().ok() != Some(NtfsAttributeType::Data) {
            continue;
        }
        let size = attribute.value_length();
        let plain =
            !attribute.flags().intersects(NtfsAttributeFlags::COMPRESSED | NtfsAttributeFlags::ENCRYPTED);
        let mut checksum = None;
        // Of a cut image only resident contents are sure to be there; zeros stand for the rest on both sides.
        if plain && size <= MAX_COMPARED {
            let mut value = attribute.value(window).unwrap();
            let mut bytes = vec![0; size as usize];
            let mut done = 0;
            while done < bytes.len() {
                match value.read(window, &mut bytes[done..]).unwrap() {
                    0 => break,
                    read => done += read,
                }
            }
            checksum = Some(crc32fast::hash(&bytes));
        }
        streams.insert(attribute.name().unwrap().to_string_lossy(), Stream { size, checksum });
    }
    let _: NtfsStandardInformation = file.info().unwrap();
    streams
}

/// What `fls` of sleuthkit says: names and kinds.
pub fn sleuthkit_opinion(volume: &Volume) -> Result<Opinion, String> {
    if !has("fls") {
        return Err("sleuthkit (fls) is not installed".into());
    }
    let listing = shell(&format!("fls -r -p -u -o {} {:?}", volume.offset / 512, volume.path))?;
    let mut opinion = Opinion::new();
    for line in listing.lines() {
        let (head, path) = line.split_once(":\t").unwrap();
        let (kinds, address) = head.split_once(' ').unwrap();
        let address = address.trim_start_matches("* ");
        let record: u64 = address.split('-').next().unwrap().parse().unwrap();
        // The kind in the index; one that is not known there was found in slack space.
        let attribute: u32 = address.split('-').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let kind = kinds.split('/').next().unwrap();
        if record < 24 || kind == "-" || kind == "V" || kinds.ends_with('V') || path.starts_with("$Extend/") {
            continue;
        }
        // Named streams are listed as `path:stream`; a colon is in no other name. 144 is the index of a directory.
        if attribute == 128 && path.contains(':') {
            continue;
        }
        opinion.insert(format!("/{path}"), Entry { directory: kind == "d", streams: None });
    }
    Ok(opinion)
}

/// Prints one line of JSON for each entry: path, whether it is a directory, its streams as [name, size, CRC-32].
const DISSECT: &str = r#"
import json, sys, zlib
from dissect.ntfs import NTFS
from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

class Window:
    def __init__(self, file, offset):
        self.file, self.offset, self.at = file, offset, 0
    def seek(self, at, whence=0):
        assert whence == 0
        self.at = at
        return at
    def tell(self):
        return self.at
    def read(self, count=-1):
        self.file.seek(self.offset + self.at)
        data = self.file.read(count)
        data += bytes(count - len(data))
        self.at += len(data)
        return data

def walk(directory, prefix):
    for name, entry in directory.listdir(ignore_dos=True).items():
        record = entry.dereference()
        if record.segment < 24:
            continue
        path = prefix + "/" + name
        streams = {}
        for attribute in record.attributes.get(ATTRIBUTE_TYPE_CODE.DATA, []):
            if attribute.name in streams:
                continue
            size, crc = record.size(attribute.name), None
            if size <= 16 << 20:
                stream, crc = record.open(attribute.name), 0
                while data := stream.read(1 << 20):
                    crc = zlib.crc32(data, crc)
            streams[attribute.name] = [size, crc]
        print(json.dumps([path, record.is_dir(), streams]))
        if record.is_dir():
            walk(record, path)

ntfs = NTFS(Window(open(sys.argv[1], "rb"), int(sys.argv[2])))
walk(ntfs.mft.get(5), "")
"#;

/// Of a stream, in the script's answer.
type SizeAndChecksum = (u64, Option<u32>);

/// What dissect.ntfs says, run by the Python of `LAMINA_ORACLES` or by `python3`.
pub fn dissect_opinion(volume: &Volume) -> Result<Opinion, String> {
    let python = std::env::var("LAMINA_ORACLES").unwrap_or_else(|_| "python3".into());
    if shell(&format!("{python:?} -c 'import dissect.ntfs'")).is_err() {
        return Err("dissect.ntfs is not installed (LAMINA_ORACLES names the Python that has it)".into());
    }
    let listing = shell(&format!("{python:?} -c '{DISSECT}' {:?} {}", volume.path, volume.offset))?;
    let mut opinion = Opinion::new();
    for line in listing.lines() {
        let (path, directory, listed): (String, bool, BTreeMap<String, SizeAndChecksum>) =
            serde_json::from_str(line).unwrap();
        let streams =
            listed.into_iter().map(|(name, (size, checksum))| (name, Stream { size, checksum })).collect();
        opinion.insert(path, Entry { directory, streams: Some(streams) });
    }
    Ok(opinion)
}
