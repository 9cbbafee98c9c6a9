//! A composed image judged by programs that share no code with Lamina, nor with the library that it writes NTFS with.
//!
//! The image has everything that is hard about NTFS, and its OS volume was grown. The judges are asked for what was
//! installed, not for what Lamina reads back: a mistake that its writer and its readers have in common shows here.

use crate::bench::*;
use ::disk::format::Format;
use layering::request::ExportRequest;
use operation::Silent;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use volume::Property;

/// Every path of the image, with `/` between names: the bytes of a file, `None` for a directory.
type Paths = BTreeMap<String, Option<Vec<u8>>>;

/// The image and what must be in it.
struct Evil {
    lab: Lab,
    disk: Disk,
    paths: Paths,
    /// The bytes of named streams, as `path:stream`.
    streams: BTreeMap<String, Vec<u8>>,
}

/// A file or directory that is being installed, and the same in the list of what must be in the image.
struct Installer<'a> {
    disk: &'a mut Edit,
    paths: &'a mut Paths,
    streams: &'a mut BTreeMap<String, Vec<u8>>,
}

/// A path of the bench as the judges write it.
fn slashes(text: &str) -> String {
    text.trim_start_matches('\\').replace('\\', "/")
}

/// What readers find in a stream that lies on the volume like this.
fn contents(body: &Body) -> Vec<u8> {
    match body {
        Body::Plain(bytes) => bytes.clone(),
        Body::Sparse(size, islands) => {
            let mut bytes = vec![0; *size as usize];
            for (at, island) in islands {
                bytes[*at as usize..][..island.len()].copy_from_slice(island);
            }
            bytes
        }
        Body::Compressed(byte, plain) => [vec![*byte; 65536], plain.clone()].concat(),
        // Readers do not agree on what is behind the valid length.
        Body::Valid(..) => unreachable!("not among the files of this module"),
    }
}

impl Installer<'_> {
    fn directory(&mut self, text: &str) -> &mut Self {
        self.disk.directory(text);
        self.listed(text, None)
    }

    fn file(&mut self, text: &str, file: NewFile) -> &mut Self {
        let bytes = contents(&file.body);
        for (name, body) in &file.streams {
            self.streams.insert(format!("{}:{name}", slashes(text)), contents(body));
        }
        self.disk.file_with(text, file);
        self.listed(text, Some(bytes))
    }

    fn link(&mut self, existing: &str, new: &str) -> &mut Self {
        self.disk.link(existing, new);
        let bytes = self.paths[&slashes(existing)].clone();
        self.listed(new, bytes)
    }

    /// Notes a path and the directories that lead to it.
    fn listed(&mut self, text: &str, bytes: Option<Vec<u8>>) -> &mut Self {
        let path = slashes(text);
        for (at, _) in path.match_indices('/') {
            self.paths.entry(path[..at].to_owned()).or_default();
        }
        self.paths.insert(path, bytes);
        self
    }
}

fn operating_system(on: &mut Installer<'_>) {
    on.directory("\\Windows\\System32\\config");
    on.file("\\Windows\\kept.dll", NewFile::new(noise(70_000, 1)));
    on.file("\\Windows\\replaced.dll", NewFile::new("of the OS"));
    on.file("\\Windows\\removed.dll", NewFile::new("of the OS"));
}

/// One of everything.
fn application(on: &mut Installer<'_>) {
    on.file("\\Windows\\replaced.dll", NewFile::new(noise(9_000, 2)));
    on.disk.delete("\\Windows\\removed.dll");
    on.paths.remove("Windows/removed.dll");

    // Hard links across directories, one of them to a file of the OS.
    on.file("\\WinSxS\\amd64\\one.dll", NewFile::new(noise(50_000, 3)));
    on.link("\\WinSxS\\amd64\\one.dll", "\\Windows\\System32\\one.dll");
    on.link("\\Windows\\kept.dll", "\\WinSxS\\kept too.dll");

    // Named streams, in the record and outside of it.
    let zone = "[ZoneTransfer]\r\nZoneId=3\r\n";
    let file = NewFile::new("main").stream("Zone.Identifier", zone).stream("big", noise(100_000, 4));
    on.file("\\Streams\\file.txt", file);
    on.directory("\\Streams\\Folder");
    on.disk.stream("\\Streams\\Folder", "icon", noise(20_000, 5));
    on.streams.insert("Streams/Folder:icon".to_owned(), noise(20_000, 5));

    // A symbolic link ([MS-FSCC] 2.1.2.4), relative, to `x`; extended attributes; an object id.
    let mut link = 0xa000_000c_u32.to_le_bytes().to_vec();
    link.extend([0x10, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 1, 0, 0, 0, b'x', 0, b'x', 0]);
    on.file("\\Properties\\link", NewFile::new("").property(Property::Reparse(link.into())));
    let mut value = vec![0, 0, 0, 0, 0, 4, 5, 0];
    value.extend(b"LXUI\0value");
    value.resize(20, 0);
    let file = NewFile::new("x").property(Property::ExtendedAttributes(value.into()));
    on.file("\\Properties\\identified.txt", file.property(Property::ObjectId(noise(64, 6).into())));
    on.file("\\Properties\\protected.txt", NewFile::new("secret").security(77));

    let islands = vec![(65_536, noise(65_536, 7)), (1 << 20, noise(100_000, 8))];
    on.file("\\Layouts\\sparse.bin", NewFile::of(Body::Sparse(3 << 20, islands)).attributes(0x220));
    on.file("\\Layouts\\hole.bin", NewFile::of(Body::Sparse(1 << 20, Vec::new())).attributes(0x220));
    let compressed = Body::Compressed(b'A', noise(65_536, 9));
    on.file("\\Layouts\\compressed.bin", NewFile::of(compressed).attributes(0x820));
    on.file("\\Layouts\\empty", NewFile::new(""));

    on.file(&format!("\\Names\\{}", "n".repeat(255)), NewFile::new("255 characters"));
    on.file("\\Names\\\u{1f600} and \u{10ffff}.txt", NewFile::new("beyond the BMP"));
    on.file("\\Names\\Ärger, Ωμέγα; 文字.txt", NewFile::new("inside it"));
    on.file("\\Names\\a long name.text", NewFile::new("two names").short("ALONGN~1.TEX"));
    on.disk.directory_with("\\Names\\A long folder", Some("ALONGF~1"), 0x10, 3);
    on.file("\\Names\\A long folder\\inside.txt", NewFile::new("inside"));
    on.file(&format!("{}\\deep.txt", "\\down".repeat(40)), NewFile::new("deep"));
    on.directory("\\Empty directory");

    // An index of several levels, and records that need an attribute list.
    for number in 0..700 {
        let text = format!("\\Many\\{number:03} of the files in this folder.txt");
        on.file(&text, NewFile::new(format!("file {number}")).security(number % 20));
    }
    on.file("\\Lists\\many names.bin", NewFile::new(noise(30_000, 10)));
    for number in 0..60 {
        let link = format!("\\Lists\\links\\a rather long name for a hard link {number}");
        on.link("\\Lists\\many names.bin", &link);
    }
    let streams = (0..40).fold(NewFile::new("main"), |file, number| {
        file.stream(&format!("a stream with a long name {number}"), noise(60 + number * 40, number as u64))
    });
    on.file("\\Lists\\many streams.txt", streams);
}

impl Evil {
    fn composed(lab: Lab) -> Evil {
        let (mut paths, mut streams) = (Paths::new(), BTreeMap::new());
        let mut note = |disk: &mut Edit, install: fn(&mut Installer<'_>)| {
            install(&mut Installer { disk, paths: &mut paths, streams: &mut streams });
        };
        lab.os("Windows@1", |disk| note(disk, operating_system));
        lab.app(&on("Windows"), "Evil@1", |disk| note(disk, application));
        let mut request = lab.compose_request(&on("Windows").with("Evil"), "evil");
        request.size = request.size.map(|size| size + 13 * MIB);
        lab.engine.compose(&request, &Silent).unwrap();
        // Not as a snapshot of the bench: the `ntfs` crate, whom it asks, takes streams of different records for pieces
        // of one when their attributes have the same number.
        let disk = Disk { path: lab.fresh("evil.raw") };
        export(&lab, Format::Raw, &disk.path);
        lab.assert_sound();
        Evil { lab, disk, paths, streams }
    }

    /// The OS volume in a file of its own.
    fn volume(&self) -> PathBuf {
        let path = self.lab.fresh("volume.img");
        fs::write(&path, self.disk.bytes_of(self.disk.os_number())).unwrap();
        path
    }

    /// Files of every kind, few of those that are many of a kind.
    fn samples(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        let files = self.paths.iter().filter_map(|(path, bytes)| Some((path, bytes.as_ref()?)));
        files.chain(&self.streams).filter(|(path, _)| {
            let many = ["Many/", "Lists/links/", "Lists/many streams.txt:"];
            many.iter().all(|start| !path.starts_with(start)) || path.contains("17")
        })
    }

    /// Asserts that a judge lists every path and every named stream of the image and nothing else.
    #[track_caller]
    fn assert_lists(&self, judge: &str, listed: &BTreeSet<String>) {
        let expected: BTreeSet<String> = self.paths.keys().chain(self.streams.keys()).cloned().collect();
        let missing: Vec<_> = expected.difference(listed).collect();
        let strange: Vec<_> = listed.difference(&expected).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "{judge}: missing {missing:#?}, strange {strange:#?}"
        );
    }
}

fn export(lab: &Lab, format: Format, out: &Path) {
    let request = ExportRequest { image: "evil".to_owned(), format, out: out.to_owned() };
    lab.engine.export(&request, &Silent).unwrap();
}

/// Runs a judge, who must be content, and gives what he said on stdout.
#[track_caller]
fn ask(command: &mut Command) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(
        status.success(),
        "{command:?}: {status}\n{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

/// Like [`ask`], as text.
#[track_caller]
fn said(command: &mut Command) -> String {
    String::from_utf8(ask(command)).unwrap()
}

/// The evil image, where a judge and mkntfs are installed; else a visible skip in the name of the test.
#[expect(clippy::print_stdout, reason = "the test command counts these lines")]
fn evil_for(test: &str, judge: &mut Command, absent: &str) -> Option<Evil> {
    if !judge.output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED {test}: {absent}");
        return None;
    }
    Lab::open(test).map(Evil::composed)
}

#[test]
fn qemu_finds_every_format_sound_and_equal() {
    let test = "qemu_finds_every_format_sound_and_equal";
    let Some(evil) = evil_for(test, Command::new("qemu-img").arg("--version"), "qemu-img is not installed")
    else {
        return;
    };
    for format in Format::ALL {
        let out = evil.lab.fresh(&format!("evil.{format}"));
        export(&evil.lab, format, &out);
        let driver = match format {
            Format::Vhd | Format::VhdDynamic => "vpc",
            other => other.name(),
        };
        let compare = ["compare", "-f", "raw", "-F", driver];
        let verdict = said(Command::new("qemu-img").args(compare).arg(&evil.disk.path).arg(&out));
        assert!(verdict.contains("identical"), "{format}: {verdict}");
        // QEMU has no check for the others.
        if matches!(format, Format::Vhdx | Format::Qcow2 | Format::Vmdk) {
            let verdict = said(Command::new("qemu-img").args(["check", "-f", driver]).arg(&out));
            assert!(verdict.contains("No errors were found"), "{format}: {verdict}");
        }
    }
}

#[test]
fn sfdisk_finds_no_error_in_the_partition_table() {
    let test = "sfdisk_finds_no_error_in_the_partition_table";
    let Some(evil) = evil_for(test, Command::new("sfdisk").arg("--version"), "sfdisk is not installed")
    else {
        return;
    };
    let Output { stdout, stderr, .. } =
        Command::new("sfdisk").arg("--verify").arg(&evil.disk.path).output().unwrap();
    let verdict = String::from_utf8(stdout).unwrap();
    assert!(verdict.contains("No errors detected"), "{verdict}");
    // It detects no errors either where only the backup at the end is damaged, but says so.
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    let listing = said(Command::new("sfdisk").arg("--dump").arg(&evil.disk.path));
    assert_eq!(listing.matches("start=").count(), 2, "{listing}");
}

#[test]
fn sleuthkit_lists_and_reads_what_was_installed() {
    let test = "sleuthkit_lists_and_reads_what_was_installed";
    let Some(evil) = evil_for(test, Command::new("fls").arg("-V"), "sleuthkit (fls) is not installed") else {
        return;
    };
    let sector = (evil.disk.partition(evil.disk.os_number()).start / 512).to_string();
    let listing = said(Command::new("fls").args(["-r", "-p", "-u", "-o", &sector]).arg(&evil.disk.path));
    let mut addresses = BTreeMap::new();
    for line in listing.lines() {
        let (head, path) = line.split_once(":\t").unwrap_or_else(|| panic!("{line}"));
        let (kinds, address) = head.split_once(' ').unwrap();
        let record: u64 = address.split('-').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        // The file system's own files, the folder that sleuthkit makes up for files without a name, and the streams of
        // a directory once more, as those of its entry `.`.
        let own = record < 24 || kinds.ends_with('V') || path.starts_with("$Extend/");
        if !own && !path.contains("/.:") {
            addresses.insert(path.to_owned(), address.to_owned());
        }
    }
    evil.assert_lists("fls", &addresses.keys().cloned().collect());
    for (path, bytes) in evil.samples() {
        let read = ask(Command::new("icat").args(["-o", &sector]).arg(&evil.disk.path).arg(&addresses[path]));
        assert!(read == *bytes, "icat reads something else from {path}: {} bytes", read.len());
    }
}

#[test]
fn seven_zip_lists_and_reads_what_was_installed() {
    let test = "seven_zip_lists_and_reads_what_was_installed";
    let Some(evil) = evil_for(test, Command::new("7z").arg("i"), "7z is not installed") else { return };
    let volume = evil.volume();
    said(Command::new("7z").args(["t", "-tntfs", "-bso0", "-bsp0"]).arg(&volume));
    let listing = said(Command::new("7z").args(["l", "-tntfs", "-slt", "-ba"]).arg(&volume));
    let listed = listing.lines().filter_map(|line| line.strip_prefix("Path = "));
    let listed = listed.filter(|path| !path.starts_with("[SYSTEM]")).map(str::to_owned);
    // It reads named streams, but does not list them.
    let listed = listed.chain(evil.streams.keys().cloned()).collect();
    evil.assert_lists("7z", &listed);
    for (path, bytes) in evil.samples() {
        // Else it writes a file's named streams behind its contents.
        let alone = if evil.streams.contains_key(path) { "-sns" } else { "-sns-" };
        let read = ask(Command::new("7z").args(["x", "-so", "-tntfs", "-spd", alone]).arg(&volume).arg(path));
        assert!(read == *bytes, "7z reads something else from {path}: {} bytes", read.len());
    }
}

#[test]
fn dissect_finds_a_volume_that_fits_together_with_what_was_installed() {
    let test = "dissect_finds_a_volume_that_fits_together_with_what_was_installed";
    let python = std::env::var_os("LAMINA_ORACLES").unwrap_or_else(|| "python3".into());
    let absent = "dissect.ntfs is not installed (LAMINA_ORACLES names a Python that has it)";
    let mut judge = Command::new(&python);
    let Some(evil) = evil_for(test, judge.args(["-c", "import dissect.ntfs"]), absent) else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ntfs/tests/edit_support/dump.py");
    let dump = ask(Command::new(&python).arg(script).arg(evil.volume()));
    let dump: serde_json::Value = serde_json::from_slice(&dump).unwrap();
    assert_eq!(dump["problems"], serde_json::json!([]));

    let nodes = Nodes::of(&dump);
    let checksums = checksums(&evil);
    let mut listed = BTreeSet::new();
    for (&number, node) in &nodes.0 {
        for path in nodes.paths(number) {
            for (name, stream) in node["streams"].as_object().unwrap() {
                let name = text_of(name);
                let path = if name.is_empty() { path.clone() } else { format!("{path}:{name}") };
                assert_eq!(stream["sha256"].as_str(), checksums.get(&path).map(String::as_str), "{path}");
                listed.insert(path);
            }
            listed.insert(path);
        }
    }
    evil.assert_lists("dissect.ntfs", &listed);

    let node = |path: &str| nodes.at(path);
    let protected = hex(match &descriptor(77) {
        volume::Security::Descriptor(bytes) => bytes,
        other => panic!("{other:?}"),
    });
    assert_eq!(node("Properties/protected.txt")["security"], protected);
    assert!(node("Properties/link")["reparse"].as_str().unwrap().starts_with("0c0000a0"));
    assert!(node("Properties/identified.txt")["ea"].as_str().unwrap().contains(&hex(b"value")));
    assert_eq!(node("Properties/identified.txt")["object_id"], hex(&noise(64, 6)));
    assert_eq!(node("Names/a long name.text")["names"].as_array().unwrap().len(), 2);
    assert_eq!(node("Names/A long folder")["names"].as_array().unwrap().len(), 2);
    for (path, flag) in [("Layouts/sparse.bin", 0x8000), ("Layouts/compressed.bin", 1)] {
        assert_eq!(node(path)["streams"][""]["flags"].as_u64().unwrap() & flag, flag, "{path}");
    }
}

/// What dissect.ntfs says about each node of the user's, by record number.
struct Nodes<'a>(BTreeMap<u64, &'a serde_json::Value>);

impl<'a> Nodes<'a> {
    fn of(dump: &'a serde_json::Value) -> Nodes<'a> {
        let nodes = dump["nodes"].as_object().unwrap();
        let all = nodes.iter().map(|(number, node)| (number.parse::<u64>().unwrap(), node));
        // $Extend (record 11) has its files behind those of the user.
        let own = |node: &serde_json::Value| {
            node["names"].as_array().unwrap().iter().all(|name| name["parent"] == 11)
        };
        Nodes(all.filter(|(number, node)| *number >= 24 && !own(node)).collect())
    }

    /// Every path of a node.
    fn paths(&self, number: u64) -> Vec<String> {
        const ROOT: u64 = 5;
        const SHORT: u64 = 2;
        let names = self.0[&number]["names"].as_array().unwrap();
        let long = names.iter().filter(|name| name["namespace"].as_u64() != Some(SHORT));
        long.flat_map(|name| {
            let parent = name["parent"].as_u64().unwrap();
            let name = text_of(name["name"].as_str().unwrap());
            match parent {
                ROOT => vec![name],
                _ => self.paths(parent).into_iter().map(|parent| format!("{parent}/{name}")).collect(),
            }
        })
        .collect()
    }

    fn at(&self, path: &str) -> &'a serde_json::Value {
        let found = self.0.iter().find(|(number, _)| self.paths(**number).iter().any(|found| found == path));
        found.unwrap_or_else(|| panic!("dissect.ntfs has no {path}")).1
    }
}

/// SHA-256 of everything in the image, by coreutils: the tests need no dependency for it.
fn checksums(evil: &Evil) -> BTreeMap<String, String> {
    let folder = evil.lab.fresh("contents");
    fs::create_dir(&folder).unwrap();
    let files = evil.paths.iter().filter_map(|(path, bytes)| Some((path, bytes.as_ref()?)));
    let all: Vec<(&String, &Vec<u8>)> = files.chain(&evil.streams).collect();
    let names: Vec<String> = (0..all.len()).map(|number| number.to_string()).collect();
    for (name, (_, bytes)) in names.iter().zip(&all) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let listing = said(Command::new("sha256sum").args(&names).current_dir(&folder));
    let sums = listing.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
    all.into_iter().map(|(path, _)| path.clone()).zip(sums).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of UTF-8 bytes in hexadecimal digits.
fn text_of(hex: &str) -> String {
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}
