//! Promises about folders of files.

use super::{Fixture, Meter, code, key, large_disk, name, small_disk};
use crate::connector::{Connector, FolderFile, Removal};
use crate::name::DiskName;
use crate::watch::Watch;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A local folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    }
    folder
}

/// The connector, if it keeps folders; one that does not has to say so.
async fn keeping(fixture: &dyn Fixture) -> Option<Arc<dyn Connector>> {
    let connector = fixture.connector();
    if connector.capabilities().keeps_folders {
        return Some(connector);
    }
    assert_eq!(code(connector.folder(&name("layers")).await), "connector-unsupported");
    assert_eq!(code(connector.folder_files(&name("layers")).await), "connector-unsupported");
    None
}

async fn send(connector: &dyn Connector, task: &str, from: &Path, files: &[&str]) -> crate::Result<()> {
    let files: Vec<DiskName> = files.iter().map(|file| name(file)).collect();
    connector.deliver_files(&key(task), &name("layers"), &files, from, &Watch::silent()).await
}

fn texts(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is put into a folder is seen with its length, and comes back with the same bytes; hidden files are not seen.
pub async fn a_folder_comes_back_as_it_went_out(fixture: &dyn Fixture) {
    let Some(connector) = keeping(fixture).await else { return };
    assert!(!connector.folder(&name("layers")).await.expect("it is seen").exists);
    let disk = small_disk();
    let from = folder(&[("blobs/sha256/a", &disk), ("index.json", b"{}"), ("empty", b"")]);
    let files = ["blobs/sha256/a", "empty", "index.json"];
    send(&*connector, "task-1", from.path(), &files).await.expect("delivered");
    let found = connector.folder(&name("layers")).await.expect("it is seen");
    assert!(found.exists && found.location.text.contains("layers"), "{found:?}");
    fixture.put("layers/.hidden", b"somebody's").await;
    let listed = connector.folder_files(&name("layers")).await.expect("it is listed");
    let expected = [("blobs/sha256/a", disk.len() as u64), ("empty", 0), ("index.json", 2)];
    let expected = expected.map(|(file, bytes)| FolderFile { name: name(file), bytes });
    assert_eq!(listed, expected);
    let back = folder(&[]);
    let (meter, watch) = Meter::watch(u64::MAX);
    connector.fetch_files(&name("layers"), &listed, back.path(), &watch).await.expect("fetched");
    assert_eq!(meter.done(), disk.len() as u64 + 2, "progress adds up to the length of the files");
    assert!(std::fs::read(back.path().join("blobs/sha256/a")).expect("it came") == disk);
    assert_eq!(std::fs::read(back.path().join("empty")).expect("it came"), b"");
    let longer = [FolderFile { name: name("index.json"), bytes: 3 }];
    let other = folder(&[]);
    let refused = connector.fetch_files(&name("layers"), &longer, other.path(), &Watch::silent()).await;
    assert_eq!(code(refused), "disk-changed");
}

/// A repeated delivery writes what is missing or damaged, and nothing else.
pub async fn files_of_a_folder_that_are_there_already_are_kept_and_others_replaced(fixture: &dyn Fixture) {
    let Some(connector) = keeping(fixture).await else { return };
    let from = folder(&[("blobs/a", b"first"), ("blobs/b", b"second"), ("index.json", b"old")]);
    let files = ["blobs/a", "blobs/b", "index.json"];
    send(&*connector, "task-1", from.path(), &files).await.expect("delivered");
    fixture.put("layers/blobs/b", b"sec?nd").await;
    fixture.put("layers/foreign", b"somebody's").await;
    std::fs::write(from.path().join("index.json"), b"newer").expect("a file can be written");
    send(&*connector, "task-2", from.path(), &files).await.expect("delivered again");
    for (file, bytes) in [("a", &b"first"[..]), ("b", b"second")] {
        assert_eq!(fixture.read(&format!("layers/blobs/{file}")).await.expect("it is there"), bytes);
    }
    assert_eq!(fixture.read("layers/index.json").await.expect("it is there"), b"newer");
    let expected = ["layers", "layers/blobs", "layers/blobs/a", "layers/blobs/b", "layers/foreign"];
    let mut expected = texts(&expected);
    expected.insert("layers/index.json".to_owned());
    assert_eq!(fixture.names().await, expected);
}

/// Somebody may look at any moment.
pub async fn a_file_of_a_folder_appears_only_when_it_is_complete(fixture: &dyn Fixture) {
    let Some(connector) = keeping(fixture).await else { return };
    let disk = large_disk();
    let from = folder(&[("first", b"1"), ("large", &disk)]);
    let files = [name("first"), name("large")];
    let (_, watch) = Meter::watch(20 << 20);
    let cut = connector.deliver_files(&key("task-1"), &name("layers"), &files, from.path(), &watch).await;
    assert_eq!(code(cut), "cancelled");
    assert_eq!(fixture.read("layers/first").await.expect("it was complete"), b"1");
    assert!(fixture.read("layers/large").await.is_none());
    send(&*connector, "task-1", from.path(), &["first", "large"]).await.expect("it goes on");
    assert!(fixture.read("layers/large").await.expect("it is there") == disk);
    let listed = connector.folder_files(&name("layers")).await.expect("it is listed");
    let back = folder(&[]);
    let (_, watch) = Meter::watch(20 << 20);
    assert_eq!(code(connector.fetch_files(&name("layers"), &listed, back.path(), &watch).await), "cancelled");
    assert!(!back.path().join("large").exists());
    let silent = Watch::silent();
    connector.fetch_files(&name("layers"), &listed, back.path(), &silent).await.expect("it goes on");
    assert!(std::fs::read(back.path().join("large")).expect("it came") == disk);
    assert_eq!(fixture.names().await, texts(&["layers", "layers/first", "layers/large"]));
}

/// Undoing takes back what was put there, and never what somebody else put beside it.
pub async fn removing_files_takes_only_them_and_folders_that_are_empty_then(fixture: &dyn Fixture) {
    let Some(connector) = keeping(fixture).await else { return };
    let from = folder(&[("blobs/sha256/a", b"1"), ("index.json", b"{}")]);
    let files = ["blobs/sha256/a", "index.json"];
    let names: Vec<DiskName> = files.iter().map(|file| name(file)).collect();
    let (task, layers) = (key("task-1"), name("layers"));
    send(&*connector, "task-1", from.path(), &files).await.expect("delivered");
    fixture.put("layers/blobs/foreign", b"somebody's").await;
    let removal = connector.remove_files(&task, &layers, &names).await.expect("removed");
    assert!(matches!(&removal, Removal::Left(why) if why.contains("layers")), "{removal:?}");
    assert_eq!(fixture.names().await, texts(&["layers", "layers/blobs", "layers/blobs/foreign"]));
    let other = name("layers/blobs/foreign");
    let foreign = connector.locate(&other).await.expect("it is seen").expect("it stays");
    connector.delete_disk(&other, &foreign.stamp).await.expect("deleted");
    fixture.put("layers/.lamina.lock", b"").await;
    let removal = connector.remove_files(&task, &layers, &names).await.expect("removed");
    assert_eq!(removal, Removal::Removed);
    assert_eq!(fixture.names().await, BTreeSet::new());
    let removal = connector.remove_files(&task, &layers, &names).await.expect("removed again");
    assert_eq!(removal, Removal::WasGone);
}

/// Folders are not made out of nothing, and a file is none.
pub async fn a_folder_needs_the_one_that_it_is_in(fixture: &dyn Fixture) {
    let Some(connector) = keeping(fixture).await else { return };
    assert_eq!(code(connector.folder(&name("no/layers")).await), "share-not-found");
    assert_eq!(code(connector.folder_files(&name("layers")).await), "share-not-found");
    fixture.put("layers", b"a file").await;
    let refused = code(connector.folder(&name("layers")).await);
    assert_eq!(refused, "disk-not-plain");
}
