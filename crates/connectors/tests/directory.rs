//! The file share that is a directory.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod behind;

use behind::Behind;
use connectors::conformance::Fixture;
use connectors::fileshare::Fileshare;
use connectors::{
    Connector, DiskName, Kind, OperationKey, Placement, Purpose, Removal, Secrets, Shipment, Usage, Values,
    Watch,
};
use disk::format::Format;
use operation::Explain;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::Arc;

struct Directory(Behind);

impl Directory {
    fn new() -> Directory {
        Directory(Behind::new())
    }
}

async fn directory(_test: &str) -> Option<Directory> {
    Some(Directory::new())
}

connectors::conformance_tests!(directory);

fn connect(root: &std::path::Path) -> Arc<dyn Connector> {
    let values = Values::from([("path".to_owned(), root.to_str().unwrap().into())]);
    Fileshare::default().connect(&values, &Secrets::new()).unwrap()
}

#[async_trait::async_trait]
impl Fixture for Directory {
    fn connector(&self) -> Arc<dyn Connector> {
        connect(&self.0.root)
    }
    fn with_wrong_password(&self) -> Option<Arc<dyn Connector>> {
        None
    }
    async fn vanish(&self) {
        self.0.vanish();
    }
    async fn put(&self, name: &str, bytes: &[u8]) {
        self.0.put(name, bytes);
    }
    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.0.read(name)
    }
    async fn names(&self) -> BTreeSet<String> {
        self.0.names()
    }
    async fn hold(&self, name: &str) -> Box<dyn Send> {
        let file = fs::File::options().write(true).open(self.0.root.join(name)).unwrap();
        file.lock().unwrap();
        Box::new(file)
    }
}

fn name(text: &str) -> DiskName {
    text.parse().unwrap()
}

fn key() -> OperationKey {
    "task-1".parse().unwrap()
}

fn shipment(text: &str) -> Shipment {
    Shipment { purpose: Purpose::Package, name: name(text), format: Format::Raw }
}

fn code<T>(outcome: connectors::Result<T>) -> &'static str {
    outcome.map(drop).expect_err("it is refused").code()
}

#[tokio::test]
async fn links_are_never_followed_whether_they_are_the_disk_or_a_folder_on_the_way() {
    let fixture = Directory::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.raw"), b"secret").unwrap();
    symlink(outside.path(), fixture.0.root.join("folder")).unwrap();
    symlink(outside.path().join("secret.raw"), fixture.0.root.join("disk.raw")).unwrap();
    symlink(outside.path(), fixture.0.root.join(".lamina-task-1")).unwrap();
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().unwrap());
    for hostile in ["disk.raw", "folder/secret.raw"] {
        let fetched = connector.fetch(&key(), &name(hostile), scratch.path(), &Watch::silent()).await;
        assert_eq!(code(fetched), "disk-not-plain", "{hostile}");
    }
    assert_eq!(code(connector.placement(&key(), &shipment("folder/new.raw")).await), "disk-not-plain");
    assert_eq!(code(connector.placement(&key(), &shipment("new.raw")).await), "disk-not-plain");
    let file = scratch.path().join("file");
    fs::write(&file, b"x").unwrap();
    let delivered = connector.deliver(&key(), &shipment("new.raw"), &file, &Watch::silent()).await;
    assert_eq!(code(delivered), "disk-not-plain");
    assert_eq!(code(connector.withdraw(&key(), &shipment("disk.raw")).await), "disk-not-plain");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was written outside");
    assert_eq!(fs::read(outside.path().join("secret.raw")).unwrap(), b"secret");
}

#[tokio::test]
async fn a_pipe_and_a_folder_with_the_name_of_a_disk_are_refused_without_waiting() {
    let fixture = Directory::new();
    fs::create_dir(fixture.0.root.join("folder.raw")).unwrap();
    let made = Command::new("mkfifo").arg(fixture.0.root.join("pipe.raw")).status().unwrap();
    assert!(made.success());
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().unwrap());
    for odd in ["folder.raw", "pipe.raw"] {
        let fetched = connector.fetch(&key(), &name(odd), scratch.path(), &Watch::silent()).await;
        assert_eq!(code(fetched), "disk-not-plain", "{odd}");
    }
}

#[tokio::test]
async fn where_the_engine_may_write_in_place_nothing_is_copied() {
    let fixture = Directory::new();
    let connector = fixture.connector();
    let Placement::Here(path) = connector.placement(&key(), &shipment("a.raw")).await.unwrap() else {
        panic!("a directory is written in place")
    };
    assert!(path.starts_with(&fixture.0.root) && !path.exists());
    let leftover = path.with_file_name(".export-1.part");
    fs::write(&leftover, b"of an engine that was killed").unwrap();
    fs::write(&path, b"disk").unwrap();
    use std::os::unix::fs::MetadataExt;
    let inode = fs::metadata(&path).unwrap().ino();
    connector.deliver(&key(), &shipment("a.raw"), &path, &Watch::silent()).await.unwrap();
    assert_eq!(fs::metadata(fixture.0.root.join("a.raw")).unwrap().ino(), inode);
    connector.conclude(&key()).await.unwrap();
    assert_eq!(fixture.0.names(), BTreeSet::from(["a.raw".to_owned()]), "the engine's leftover went, too");
}

#[tokio::test]
async fn a_placement_removes_what_an_interrupted_engine_wrote() {
    let fixture = Directory::new();
    let connector = fixture.connector();
    let Placement::Here(path) = connector.placement(&key(), &shipment("a.raw")).await.unwrap() else {
        panic!("a directory is written in place")
    };
    fs::write(&path, b"of an earlier run").unwrap();
    connector.placement(&key(), &shipment("a.raw")).await.unwrap();
    assert!(!path.exists());
    let missing = connector.deliver(&key(), &shipment("a.raw"), &path, &Watch::silent()).await;
    assert_eq!(code(missing), "nothing-to-deliver");
}

#[tokio::test]
async fn a_note_that_is_damaged_stops_the_operation_and_harms_nothing() {
    let fixture = Directory::new();
    fixture.0.put("a.raw", b"somebody's");
    let folder = fixture.0.root.join(".lamina-task-1");
    fs::create_dir(&folder).unwrap();
    let connector = fixture.connector();
    for damaged in [&b"{"[..], b"[]", &vec![b'x'; 1 << 20]] {
        fs::write(folder.join("delivery.json"), damaged).unwrap();
        assert_eq!(code(connector.placement(&key(), &shipment("b.raw")).await), "connector-note-damaged");
        assert_eq!(code(connector.withdraw(&key(), &shipment("a.raw")).await), "connector-note-damaged");
    }
    connector.conclude(&key()).await.unwrap();
    assert_eq!(fixture.0.names(), BTreeSet::from(["a.raw".to_owned()]));
}

#[tokio::test]
async fn a_disk_that_qemu_has_open_is_in_use() {
    let fixture = Directory::new();
    fixture.0.put("a.raw", &vec![0; 65536]);
    let shell = Command::new("qemu-io")
        .args(["-f", "raw"])
        .arg(fixture.0.root.join("a.raw"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut shell) = shell else {
        println!("SKIPPED a_disk_that_qemu_has_open_is_in_use: qemu-io is not installed");
        return;
    };
    // Its prompt comes when the image is open.
    let mut prompt = [0; 1];
    shell.stdout.as_mut().unwrap().read_exact(&mut prompt).unwrap();
    let found = fixture.connector().locate(&name("a.raw")).await.unwrap().unwrap();
    assert!(matches!(&found.usage, Usage::InUse(reason) if reason.contains("lock")), "{found:?}");
    drop(shell.stdin.take());
    shell.wait().unwrap();
    let found = fixture.connector().locate(&name("a.raw")).await.unwrap().unwrap();
    assert_eq!(found.usage, Usage::NotSeen);
}

const CHILD: &str = "CONNECTORS_TEST_CHILD";

/// Not a test of its own: delivers until it is killed, and tells every step of its progress on standard output.
#[tokio::test]
async fn child_that_delivers() {
    struct Loud;
    impl operation::Progress for Loud {
        fn step(&self, name: &str, _total: Option<u64>, _unit: operation::Unit) {
            println!("PROGRESS {name}");
        }
        fn advance(&self, amount: u64) {
            println!("PROGRESS {amount}");
        }
    }
    let Some(root) = std::env::var_os(CHILD) else { return };
    let root = std::path::PathBuf::from(root);
    let watch = Watch::new(Arc::new(Loud), tokio_util::sync::CancellationToken::new());
    let connector = connect(&root.join("share"));
    println!("PROGRESS begin");
    connector.deliver(&key(), &shipment("a.raw"), &root.join("source"), &watch).await.unwrap();
    println!("PROGRESS delivered");
}

#[tokio::test]
async fn after_kill_9_at_any_step_the_delivery_goes_on_or_is_undone_and_no_half_disk_is_seen() {
    let mut bytes = vec![7; 72 << 20];
    bytes[20 << 20..30 << 20].fill(0);
    let mut ends = BTreeSet::new();
    for kill_after in 1_u32.. {
        let directory = tempfile::tempdir().unwrap();
        let share = directory.path().join("share");
        fs::create_dir(&share).unwrap();
        fs::write(directory.path().join("source"), &bytes).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_delivers", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut steps = lines.filter(|line| line.contains("PROGRESS"));
        let last = steps.by_ref().nth(kill_after as usize - 1);
        let _ = child.kill();
        child.wait().unwrap();
        let disk = share.join("a.raw");
        assert!(!disk.exists() || fs::read(&disk).unwrap() == bytes, "a half disk after step {kill_after}");
        let connector = connect(&share);
        if kill_after % 2 == 0 {
            connector.withdraw(&key(), &shipment("a.raw")).await.unwrap();
            assert_eq!(connector.withdraw(&key(), &shipment("a.raw")).await.unwrap(), Removal::WasGone);
            assert_eq!(fs::read_dir(&share).unwrap().count(), 0, "after step {kill_after}");
        } else {
            let source = directory.path().join("source");
            connector.deliver(&key(), &shipment("a.raw"), &source, &Watch::silent()).await.unwrap();
            connector.conclude(&key()).await.unwrap();
            assert!(fs::read(&disk).unwrap() == bytes, "after step {kill_after}");
            assert_eq!(fs::read_dir(&share).unwrap().count(), 1, "after step {kill_after}");
        }
        match last {
            Some(line) => ends.insert(line),
            None => break,
        };
    }
    assert!(ends.len() > 3, "the child was killed at different steps: {ends:?}");
}
