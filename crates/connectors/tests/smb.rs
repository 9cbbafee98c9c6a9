//! The file share that is an SMB share, against a real Samba server on loopback that the test starts as its own user.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and a skip is said"
)]

mod behind;
mod samba;

use behind::Behind;
use connectors::conformance::Fixture;
use connectors::fileshare::Fileshare;
use connectors::{
    Browse, Connector, DiskName, EntryKind, Kind, OperationKey, Purpose, Secrets, Shipment, Values, Watch,
};
use disk::format::Format;
use operation::Explain;
use samba::{PASSWORD, Samba};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Share {
    behind: Behind,
    samba: Samba,
}

impl Share {
    /// `None`, said aloud, where there is no Samba. `options` are lines of its configuration.
    fn new(test: &str, options: &[&str]) -> Option<Share> {
        let behind = Behind::new();
        let samba = Samba::start(test, &behind.root, options)?;
        Some(Share { behind, samba })
    }

    fn values(&self) -> Values {
        Values::from([
            ("access".to_owned(), json!("smb")),
            ("server".to_owned(), json!("127.0.0.1")),
            ("port".to_owned(), json!(self.samba.port)),
            ("share".to_owned(), json!("disks")),
            ("user".to_owned(), json!(self.samba.user)),
        ])
    }

    fn connect(&self, changes: serde_json::Value, password: &str) -> Arc<dyn Connector> {
        let mut values = self.values();
        values.extend(serde_json::from_value::<Values>(changes).unwrap());
        Fileshare::default().connect(&values, &Secrets::new().with("password", password)).unwrap()
    }
}

/// A file that another client has open, and its connection.
struct Held(Option<(smb2::FileReader, smb2::SmbClient)>);

impl Drop for Held {
    fn drop(&mut self) {
        let Some((file, _client)) = self.0.take() else { return };
        let closed = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(file.close()));
        closed.unwrap();
    }
}

#[async_trait::async_trait]
impl Fixture for Share {
    fn connector(&self) -> Arc<dyn Connector> {
        self.connect(json!({}), PASSWORD)
    }
    fn with_wrong_password(&self) -> Option<Arc<dyn Connector>> {
        Some(self.connect(json!({}), "guess"))
    }
    async fn vanish(&self) {
        self.behind.vanish();
    }
    async fn put(&self, name: &str, bytes: &[u8]) {
        self.behind.put(name, bytes);
    }
    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.behind.read(name)
    }
    async fn names(&self) -> BTreeSet<String> {
        self.behind.names()
    }
    async fn hold(&self, name: &str) -> Box<dyn Send> {
        let address = format!("127.0.0.1:{}", self.samba.port);
        let mut client = smb2::connect(&address, &self.samba.user, PASSWORD).await.unwrap();
        let share = client.connect_share("disks").await.unwrap();
        let file = client.open_file_reader(&share, name).await.unwrap();
        Box::new(Held(Some((file, client))))
    }
}

async fn share(test: &str) -> Option<Share> {
    Share::new(test, &[])
}

connectors::conformance_tests!(share);

fn key(text: &str) -> OperationKey {
    text.parse().unwrap()
}

fn name(text: &str) -> DiskName {
    text.parse().unwrap()
}

fn shipment(text: &str) -> Shipment {
    Shipment { purpose: Purpose::Package, name: name(text), format: Format::Raw }
}

fn source(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

async fn refusal(connector: &dyn Connector) -> String {
    connector.check_credentials().await.expect_err("it is refused").code().to_owned()
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_refused_unless_signatures_are_enough() {
    let Some(share) = Share::new("a_server_that_cannot_encrypt", &["server smb encrypt = off"]) else {
        return;
    };
    assert_eq!(refusal(&*share.connector()).await, "connector-unprotected");
    let signed = share.connect(json!({"protection": "signed"}), PASSWORD);
    signed.check_credentials().await.unwrap();
    let file = source(&vec![5; 100_000]);
    signed.deliver(&key("task-1"), &shipment("a.raw"), file.path(), &Watch::silent()).await.unwrap();
    assert!(share.behind.read("a.raw").unwrap() == vec![5; 100_000]);
}

#[tokio::test]
async fn a_server_that_demands_encryption_is_content_with_either_protection() {
    let Some(share) = Share::new("a_server_that_demands_encryption", &["server smb encrypt = required"])
    else {
        return;
    };
    for protection in ["encrypted", "signed"] {
        share.connect(json!({"protection": protection}), PASSWORD).check_credentials().await.unwrap();
    }
}

#[tokio::test]
async fn an_old_version_of_the_protocol_is_refused_unless_signatures_are_enough() {
    let Some(share) = Share::new("an_old_version_of_the_protocol", &["server max protocol = SMB2_10"]) else {
        return;
    };
    assert_eq!(refusal(&*share.connector()).await, "connector-unprotected");
    let signed = share.connect(json!({"protection": "signed"}), PASSWORD);
    let file = source(&vec![6; 3 << 20]);
    signed.deliver(&key("task-1"), &shipment("a.raw"), file.path(), &Watch::silent()).await.unwrap();
    assert_eq!(share.behind.read("a.raw").unwrap().len(), 3 << 20);
}

#[tokio::test]
async fn a_guest_session_is_never_taken() {
    let options = ["map to guest = bad password", "guest account = nobody"];
    let Some(share) = Share::new("a_guest_session_is_never_taken", &options) else { return };
    assert_eq!(refusal(&*share.connect(json!({}), "guess")).await, "connector-credentials-refused");
    let signed = share.connect(json!({"protection": "signed"}), "guess");
    assert_eq!(refusal(&*signed).await, "connector-credentials-refused");
    share.connector().check_credentials().await.unwrap();
}

#[tokio::test]
async fn what_goes_over_the_network_cannot_be_read_there() {
    let Some(mut share) = Share::new("what_goes_over_the_network", &[]) else { return };
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = share.samba.port;
    share.samba.port = listener.local_addr().unwrap().port();
    let recorded = Arc::clone(&heard);
    let tapped = tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let upstream = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let ((mut up_out, mut up_in), (mut down_out, mut down_in)) =
                (client.into_split(), upstream.into_split());
            let record = Arc::clone(&recorded);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count @ 1..) = up_out.read(&mut buffer).await {
                    record.lock().unwrap().extend(&buffer[..count]);
                    down_in.write_all(&buffer[..count]).await.unwrap();
                }
            });
            tokio::spawn(async move { tokio::io::copy(&mut down_out, &mut up_in).await });
        }
    });
    let secret = b"the administrator's password is on this disk".repeat(1000);
    let file = source(&secret);
    for (protection, readable) in [("encrypted", false), ("signed", true)] {
        heard.lock().unwrap().clear();
        let connector = share.connect(json!({"protection": protection}), PASSWORD);
        let shipment = shipment(&format!("{protection}.raw"));
        connector.deliver(&key(protection), &shipment, file.path(), &Watch::silent()).await.unwrap();
        let heard = heard.lock().unwrap();
        assert!(heard.len() > secret.len());
        let found = heard.windows(30).any(|window| window == &secret[..30]);
        assert_eq!(found, readable, "{protection}");
        assert!(!heard.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
    }
    tapped.abort();
}

#[tokio::test]
async fn a_share_that_may_only_be_read_says_so_when_it_is_tried() {
    let Some(share) = Share::new("a_share_that_may_only_be_read", &["read only = yes"]) else { return };
    share.behind.put("a.raw", b"disk");
    let connector = share.connector();
    let trials = connector.test().await;
    let failed: Vec<&str> = trials
        .iter()
        .filter(|trial| trial.outcome == connectors::Outcome::Failed)
        .map(|trial| trial.name)
        .collect();
    assert_eq!(failed, ["write"], "{trials:?}");
    assert!(trials[2].detail.contains("denied"), "{trials:?}");
    let file = source(b"x");
    let delivered =
        connector.deliver(&key("task-1"), &shipment("b.raw"), file.path(), &Watch::silent()).await;
    assert_eq!(delivered.unwrap_err().code(), "connector-access-denied");
    assert!(connector.locate(&name("a.raw")).await.unwrap().is_some());
}

#[tokio::test]
async fn everything_can_happen_in_a_folder_of_the_share() {
    let Some(share) = Share::new("everything_can_happen_in_a_folder", &[]) else { return };
    let inner = share.connect(json!({"folder": "images/lamina"}), PASSWORD);
    assert_eq!(refusal(&*inner).await, "share-not-found");
    std::fs::create_dir_all(share.behind.root.join("images/lamina/sub")).unwrap();
    let file = source(b"disk");
    let delivered =
        inner.deliver(&key("task-1"), &shipment("sub/a.raw"), file.path(), &Watch::silent()).await.unwrap();
    assert_eq!(delivered.location.text, r"\\127.0.0.1\disks\images\lamina\sub\a.raw");
    inner.conclude(&key("task-1")).await.unwrap();
    assert_eq!(share.behind.read("images/lamina/sub/a.raw").unwrap(), b"disk");
    let what = Browse { what: "disks".into(), folder: None, prefix: String::new(), after: None, limit: 9 };
    let listing = inner.browse(&what).await.unwrap();
    assert_eq!((listing.entries[0].value.as_str(), listing.entries[0].kind), ("sub", EntryKind::Folder));
    let below = inner.browse(&Browse { folder: Some(name("sub")), ..what }).await.unwrap();
    assert_eq!((below.entries[0].value.as_str(), below.entries[0].bytes), ("sub/a.raw", Some(4)));
}

#[tokio::test]
async fn a_server_or_a_share_that_is_not_there_are_told_apart() {
    let Some(share) = Share::new("a_server_or_a_share_that_is_not_there", &[]) else { return };
    assert_eq!(refusal(&*share.connect(json!({"share": "nothing"}), PASSWORD)).await, "share-not-found");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = share.connect(json!({"port": closed}), PASSWORD).check_credentials().await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("connector-unreachable", true), "{error}");
}

#[tokio::test]
async fn a_server_killed_in_the_middle_is_a_lost_connection_and_the_delivery_goes_on_later() {
    struct Killing(Mutex<(u64, u64, Option<Samba>)>);
    impl operation::Progress for Killing {
        fn step(&self, _name: &str, _total: Option<u64>, _unit: operation::Unit) {}
        fn advance(&self, amount: u64) {
            let mut state = self.0.lock().unwrap();
            state.1 = state.1.max(if state.0 == 0 { amount } else { 0 });
            state.0 += amount;
            if state.0 >= 70 << 20 {
                state.2 = None;
            }
        }
    }
    let behind = Behind::new();
    let test = "a_server_killed_in_the_middle";
    let Some(samba) = Samba::start(test, &behind.root, &[]) else { return };
    let mut share = Share { behind, samba };
    let connector = share.connector();
    let mut bytes = vec![3; 80 << 20];
    bytes[11] = 4;
    let file = source(&bytes);
    let Some(restarted) = Samba::start(test, &share.behind.root, &[]) else { return };
    let killed = std::mem::replace(&mut share.samba, restarted);
    let progress = Arc::new(Killing(Mutex::new((0, 0, Some(killed)))));
    let watch = Watch::new(progress.clone(), tokio_util::sync::CancellationToken::new());
    let lost = connector.deliver(&key("task-1"), &shipment("a.raw"), file.path(), &watch).await.unwrap_err();
    assert_eq!((lost.code(), lost.is_transient()), ("connector-connection-lost", true), "{lost}");
    assert!(share.behind.read("a.raw").is_none());
    assert!(progress.0.lock().unwrap().2.is_none(), "the server was killed");
    let progress = Arc::new(Killing(Mutex::new((0, 0, None))));
    let watch = Watch::new(progress.clone(), tokio_util::sync::CancellationToken::new());
    share.connector().deliver(&key("task-1"), &shipment("a.raw"), file.path(), &watch).await.unwrap();
    assert!(progress.0.lock().unwrap().1 >= 60 << 20, "it went on");
    assert!(share.behind.read("a.raw").unwrap() == bytes);
}

#[tokio::test]
async fn zeros_take_no_room_on_the_share_and_holes_are_not_read_back() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let Some(share) = Share::new("zeros_take_no_room", &[]) else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 30).unwrap();
    file.as_file().write_all_at(b"far out", (700 << 20) + 3).unwrap();
    let (connector, scratch) = (share.connector(), tempfile::tempdir().unwrap());
    connector.deliver(&key("task-1"), &shipment("a.raw"), file.path(), &Watch::silent()).await.unwrap();
    let there = std::fs::metadata(share.behind.root.join("a.raw")).unwrap();
    assert_eq!(there.len(), 1 << 30);
    assert!(there.blocks() * 512 < 1 << 20, "{} bytes are allocated", there.blocks() * 512);
    let fetched =
        connector.fetch(&key("task-2"), &name("a.raw"), scratch.path(), &Watch::silent()).await.unwrap();
    let copy = std::fs::File::open(&fetched.path).unwrap();
    let mut read = [0; 7];
    copy.read_exact_at(&mut read, (700 << 20) + 3).unwrap();
    assert_eq!((&read, copy.metadata().unwrap().len()), (b"far out", 1 << 30));
    assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20);
}

#[tokio::test]
async fn another_client_reads_what_was_delivered() {
    let Some(share) = Share::new("another_client_reads", &[]) else { return };
    let file = source(b"a disk");
    let connector = share.connector();
    connector.deliver(&key("task-1"), &shipment("a.raw"), file.path(), &Watch::silent()).await.unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    let command = format!("get a.raw {}", copy.path().display());
    let got = share.samba.client().args(["-c", &command]).stderr(Stdio::null()).status().unwrap();
    assert!(got.success());
    assert_eq!(std::fs::read(copy.path()).unwrap(), b"a disk");
}
