//! Volumes to change and other implementations to read them with.

#![allow(dead_code, unreachable_pub)] // each test binary uses its part
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

use disk::{BlockDevice, ByteSource, SourceId, SourceRange};
use ntfs_volume::edit::NtfsEditor;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use volume::{
    FileId, Metadata, Name, NewData, NewRun, NewStream, Property, Security, StreamFlags, Times, VolumeEditor,
};

const PAGE: usize = 4096;

/// A device in memory that copies what is spliced.
#[derive(Clone)]
pub struct Memory {
    len: u64,
    pages: HashMap<u64, Box<[u8; PAGE]>>,
    sources: Vec<Arc<[u8]>>,
    /// Fail the write with this number, counted from now.
    pub fail_write: Option<u64>,
    pub panic_on_write: bool,
}

impl Memory {
    pub fn load(path: &Path) -> Memory {
        let file = File::open(path).unwrap();
        let len = file.metadata().unwrap().len();
        let mut memory = Memory {
            len,
            pages: HashMap::new(),
            sources: Vec::new(),
            fail_write: None,
            panic_on_write: false,
        };
        let mut page = Box::new([0; PAGE]);
        for number in 0..len.div_ceil(PAGE as u64) {
            let at = number * PAGE as u64;
            page.fill(0);
            let part = (len - at).min(PAGE as u64) as usize;
            file.read_exact_at(&mut page[..part], at).unwrap();
            if page.iter().any(|&byte| byte != 0) {
                memory.pages.insert(number, page.clone());
            }
        }
        memory
    }

    pub fn add_source(&mut self, bytes: impl Into<Arc<[u8]>>) -> SourceId {
        self.sources.push(bytes.into());
        SourceId(self.sources.len() as u32 - 1)
    }

    pub fn save(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.len).unwrap();
        for (number, page) in &self.pages {
            let at = number * PAGE as u64;
            let part = (self.len - at).min(PAGE as u64) as usize;
            file.write_all_at(&page[..part], at).unwrap();
        }
    }

    /// The pages that are not zero, for comparisons.
    pub fn contents(&self) -> Vec<(u64, &[u8])> {
        let mut pages: Vec<_> =
            self.pages.iter().filter(|(_, p)| p.iter().any(|&b| b != 0)).map(|(&n, p)| (n, &p[..])).collect();
        pages.sort_unstable_by_key(|page| page.0);
        pages
    }

    /// Fills every free cluster with a pattern that must never be seen in a file.
    pub fn soil_free_space(&mut self) {
        let used: Vec<_> = ntfs_volume::allocated(self).unwrap().map(|range| range.unwrap()).collect();
        let mut at = 0;
        for range in used.into_iter().chain(std::iter::once(self.len..self.len)) {
            let pattern = vec![b'P'; (range.start - at) as usize];
            self.write_at(at, &pattern).unwrap();
            at = range.end;
        }
    }

    pub fn set_len(&mut self, len: u64) {
        self.len = len;
    }

    fn each(&mut self, offset: u64, len: u64, mut body: impl FnMut(&mut [u8], usize)) {
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let within = (at % PAGE as u64) as usize;
            let part = ((PAGE - within) as u64).min(len - done) as usize;
            let page = self.pages.entry(at / PAGE as u64).or_insert_with(|| Box::new([0; PAGE]));
            body(&mut page[within..within + part], done as usize);
            done += part as u64;
        }
    }
}

impl BlockDevice for Memory {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        assert!(!self.panic_on_write, "a device that panics");
        if let Some(left) = &mut self.fail_write {
            if *left == 0 {
                return Err(io::Error::other("the cable was pulled"));
            }
            *left -= 1;
        }
        assert!(offset + buf.len() as u64 <= self.len);
        self.each(offset, buf.len() as u64, |part, done| part.copy_from_slice(&buf[done..done + part.len()]));
        Ok(())
    }

    fn discard(&mut self, offset: u64, len: u64) -> io::Result<()> {
        assert!(offset + len <= self.len);
        let mut at = offset;
        while at < offset + len {
            let part = (PAGE as u64 - at % PAGE as u64).min(offset + len - at);
            if part == PAGE as u64 {
                self.pages.remove(&(at / PAGE as u64));
            } else if self.pages.contains_key(&(at / PAGE as u64)) {
                self.each(at, part, |bytes, _| bytes.fill(0));
            }
            at += part;
        }
        Ok(())
    }

    fn splice(&mut self, offset: u64, len: u64, from: SourceRange) -> io::Result<()> {
        let source = Arc::clone(&self.sources[from.source.0 as usize]);
        self.write_at(offset, &source[from.offset as usize..(from.offset + len) as usize])
    }
}

impl ByteSource for Memory {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset + buf.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let within = (at % PAGE as u64) as usize;
            let part = (PAGE - within).min(buf.len() - done);
            match self.pages.get(&(at / PAGE as u64)) {
                Some(page) => buf[done..done + part].copy_from_slice(&page[within..within + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        Ok(())
    }
}

/// An empty volume made by mkntfs; `None`, with a visible skip, where that is missing.
pub fn format(test: &str, len: u64, cluster: u64) -> Option<Memory> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(len).unwrap();
    let made =
        Command::new("mkntfs").args(["-F", "-Q", "-q", "-c", &cluster.to_string()]).arg(file.path()).output();
    match made {
        Ok(output) if output.status.success() => Some(Memory::load(file.path())),
        Ok(output) => panic!("mkntfs: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            println!("SKIPPED {test}: mkntfs is not installed");
            None
        }
    }
}

pub fn edit(memory: Memory) -> NtfsEditor<Memory> {
    NtfsEditor::mount(memory).unwrap()
}

/// A self-relative descriptor: owner Administrators, group SYSTEM, a DACL that depends on `number`.
pub fn descriptor(number: u32) -> Arc<[u8]> {
    let mut value = vec![1, 0, 4, 0x80];
    for offset in [0x14_u32, 0x24, 0, 0x30] {
        value.extend(offset.to_le_bytes());
    }
    value.extend([1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
    value.extend([1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]);
    value.extend([2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0]);
    value.extend((0x1f_0000 + number).to_le_bytes());
    value.extend([1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    value.into()
}

/// Metadata that differs in everything from that of other numbers.
pub fn metadata(number: u64) -> Metadata {
    let base = 132_000_000_000_000_000 + number * 40;
    Metadata {
        times: Times { created: base + 1, modified: base + 2, changed: base + 3, accessed: base + 4 },
        attributes: 0x20,
        security: Security::Descriptor(descriptor((number % 7) as u32)),
        properties: Vec::new(),
    }
}

pub fn main_name() -> &'static Name {
    static NAME: std::sync::OnceLock<Name> = std::sync::OnceLock::new();
    NAME.get_or_init(Name::default)
}

pub fn inline<'a>(name: &'a Name, bytes: &'a [u8]) -> NewStream<'a> {
    let len = bytes.len() as u64;
    NewStream { name, size: len, valid: len, flags: StreamFlags::default(), data: NewData::Inline(bytes) }
}

pub fn runs<'a>(name: &'a Name, size: u64, runs: &'a [NewRun]) -> NewStream<'a> {
    NewStream { name, size, valid: size, flags: StreamFlags::default(), data: NewData::Runs(runs) }
}

pub fn splice(source: SourceId, offset: u64, len: u64) -> NewRun {
    NewRun::Splice { len, from: SourceRange { source, offset } }
}

/// Bytes that are different at every place.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
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

/// Our own checker finds nothing, not even what Windows tolerates.
pub fn assert_sound(source: &dyn ByteSource) {
    let report = ntfs_volume::check::check(source, &operation::Silent).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// What dissect.ntfs makes of the volume, or `None` with a visible skip. Fails when the volume does not fit together, in
/// its eyes or in those of our own checker.
pub fn dissect(test: &str, memory: &Memory) -> Option<Dump> {
    assert_sound(memory);
    let python = std::env::var_os("LAMINA_ORACLES").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let present = Command::new(&python).args(["-c", "import dissect.ntfs"]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED {test}: dissect.ntfs is not installed (LAMINA_ORACLES names a Python that has it)");
        return None;
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    memory.save(image.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edit_support/dump.py");
    let output = Command::new(python).arg(script).arg(image.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = value["problems"].as_array().unwrap();
    assert!(problems.is_empty(), "dissect.ntfs finds {} problems: {problems:#?}", problems.len());
    Some(Dump(value))
}

/// What dissect.ntfs says.
pub struct Dump(pub Value);

impl Dump {
    pub fn node(&self, id: FileId) -> &Value {
        &self.0["nodes"][id.0.to_string()]
    }

    /// Name and namespace of every name of a node, sorted.
    pub fn names(&self, id: FileId) -> Vec<(String, u64)> {
        let mut names: Vec<_> = self.node(id)["names"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| {
                let bytes = unhex(name["name"].as_str().unwrap());
                (String::from_utf8_lossy(&bytes).into_owned(), name["namespace"].as_u64().unwrap())
            })
            .collect();
        names.sort();
        names
    }

    pub fn stream(&self, id: FileId, name: &str) -> &Value {
        &self.node(id)["streams"][hex(name.as_bytes())]
    }

    /// Checks times (also those of every name), attribute flags and descriptor.
    pub fn assert_metadata(&self, id: FileId, expected: &Metadata) {
        let node = self.node(id);
        let times = &expected.times;
        let stamps = serde_json::json!([times.created, times.modified, times.changed, times.accessed]);
        assert_eq!(node["times"], stamps, "node {}", id.0);
        for name in node["names"].as_array().unwrap() {
            assert_eq!(name["times"], stamps, "a name of node {}", id.0);
        }
        let reparse = expected.properties.iter().any(|p| matches!(p, Property::Reparse(_)));
        let flags = expected.attributes | if reparse { 0x400 } else { 0 };
        assert_eq!(node["flags"].as_u64().unwrap(), u64::from(flags), "flags of node {}", id.0);
        if let Security::Descriptor(descriptor) = &expected.security {
            assert_eq!(node["security"].as_str().unwrap(), hex(descriptor), "node {}", id.0);
        }
    }

    pub fn assert_stream(&self, id: FileId, name: &str, contents: &[u8]) {
        let stream = self.stream(id, name);
        assert_eq!(stream["size"].as_u64(), Some(contents.len() as u64), "{name} of node {}: {stream}", id.0);
        assert_eq!(stream["sha256"].as_str().unwrap(), sha256(contents), "{name} of node {}: {stream}", id.0);
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// SHA-256 by coreutils: the tests need no dependency for it.
pub fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Makes a file with the given main stream in the root directory.
pub fn make(editor: &mut NtfsEditor<Memory>, name: &str, contents: &[u8]) -> FileId {
    let stream = [inline(main_name(), contents)];
    editor.make_file(ntfs_volume::edit::ROOT, &name.into(), None, &metadata(1), &stream).unwrap()
}
