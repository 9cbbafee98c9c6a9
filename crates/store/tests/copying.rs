//! A copy holds one moment of a store, made while the store is used.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::{Progress, Silent, Unit};
use sample::{bytes, directory, files_in, name, object, read, store_blobs};
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Error, Expect, ObjectId, Store};

/// A version with one blob of these contents, under a name.
fn version(store: &Store, at: &str, contents: Vec<u8>) -> ObjectId {
    let session = store.session().unwrap();
    let blobs = store_blobs(&session, &[contents]);
    let id = session.put_object(&object(&blobs, &[], at.as_bytes())).unwrap();
    store.set_ref(&name(at), Expect::Absent, id).unwrap();
    id
}

#[test]
fn a_copy_is_a_store_and_only_what_it_lacks_is_copied_again() {
    let (here, there) = (directory(), directory());
    let store = Store::init(here.path()).unwrap();
    let first = version(&store, "app/one/1", bytes(1, 100_000));
    std::fs::write(here.path().join("never-captured.txt"), "x\n").unwrap();
    let target = there.path().join("copy");
    let copy = |store: &Store| {
        let (copying, lock) = store.begin_copy().unwrap();
        drop(lock);
        copying.run(&target, &Silent).unwrap()
    };
    let report = copy(&store);
    assert_eq!((report.refs, report.copied_files, report.removed_files), (1, 3, 0), "pack, index, object");
    let copied = Store::open(&target).unwrap();
    assert_eq!(copied.check(true, &Silent).unwrap().problems, []);
    assert_eq!(copied.get_ref(&name("app/one/1")).unwrap(), Some(first));
    assert!(target.join("never-captured.txt").exists());
    assert!(
        matches!(store.begin_copy().unwrap().0.run(&target, &Silent), Err(Error::InUse { .. })),
        "it is open"
    );
    drop(copied);
    assert_eq!(copy(&store).copied_files, 0, "nothing is new");

    version(&store, "app/one/2", bytes(2, 100_000));
    store.remove_ref(&name("app/one/1"), Expect::Is(first)).unwrap();
    store.gc(false, &Silent).unwrap();
    let report = copy(&store);
    assert_eq!((report.refs, report.copied_files, report.removed_files), (1, 3, 3));
    let copied = Store::open(&target).unwrap();
    assert_eq!(copied.check(true, &Silent).unwrap().problems, []);
    assert_eq!(copied.get_ref(&name("app/one/1")).unwrap(), None);
    assert_eq!(files_in(&target.join("tmp")), 0);
}

#[test]
fn what_is_removed_meanwhile_is_in_the_copy() {
    let (here, there) = (directory(), directory());
    let store = Store::init(here.path()).unwrap();
    let id = version(&store, "app/one/1", bytes(1, 100_000));
    let (copying, lock) = store.begin_copy().unwrap();
    drop(lock);
    store.remove_ref(&name("app/one/1"), Expect::Is(id)).unwrap();
    let collected = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| Store::open(here.path()).unwrap().gc(false, &Silent).unwrap());
        copying.run(there.path(), &Silent).unwrap();
        drop(copying);
        collecting.join().unwrap()
    });
    assert_eq!(collected.packs_removed, 1, "the collector waited, and then did its work");
    let copied = Store::open(there.path()).unwrap();
    assert_eq!(copied.check(true, &Silent).unwrap().problems, []);
    assert_eq!(copied.get_ref(&name("app/one/1")).unwrap(), Some(id));
}

/// Stops after so many looks.
struct Impatient(AtomicU64);

impl Progress for Impatient {
    fn step(&self, _name: &str, _total: Option<u64>, _unit: Unit) {}
    fn advance(&self, _amount: u64) {}
    fn cancelled(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

#[test]
fn an_interrupted_copy_is_still_the_one_before_and_goes_on_where_it_was() {
    let (here, there) = (directory(), directory());
    let store = Store::init(here.path()).unwrap();
    version(&store, "app/one/1", bytes(1, 100_000));
    store.begin_copy().unwrap().0.run(there.path(), &Silent).unwrap();
    for seed in 2..6 {
        version(&store, &format!("app/one/{seed}"), bytes(seed, 10_000_000));
    }
    let (copying, lock) = store.begin_copy().unwrap();
    drop(lock);
    let stopped = copying.run(there.path(), &Impatient(AtomicU64::new(7))).unwrap_err();
    assert!(matches!(stopped, Error::Cancelled));
    let between = Store::open(there.path()).unwrap();
    assert_eq!(between.refs("").unwrap().len(), 1);
    assert_eq!(between.check(true, &Silent).unwrap().problems, []);
    drop(between);
    let report = copying.run(there.path(), &Silent).unwrap();
    assert!(report.copied_bytes < 40_000_000, "some was there: {report:?}");
    let copied = Store::open(there.path()).unwrap();
    assert_eq!(copied.refs("").unwrap().len(), 5);
    assert_eq!(copied.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let (here, there) = (directory(), directory());
    let store = Store::init(here.path()).unwrap();
    let mut contents = bytes(1, 4096);
    contents.resize(64 << 20, 0);
    contents.extend(bytes(2, 4096));
    version(&store, "app/one/1", contents.clone());
    let report = store.begin_copy().unwrap().0.run(there.path(), &Silent).unwrap();
    assert!(report.copied_bytes < 1 << 20, "{report:?}");
    let packs = std::fs::read_dir(there.path().join("packs")).unwrap();
    let blocks: u64 = packs.map(|entry| entry.unwrap().metadata().unwrap().blocks()).sum();
    assert!(blocks * 512 < 1 << 20, "{blocks} blocks of 512 bytes");
    let copied = Store::open(there.path()).unwrap();
    let id = copied.get_object(copied.get_ref(&name("app/one/1")).unwrap().unwrap()).unwrap().blobs[0];
    assert!(read(&copied.session().unwrap(), id) == contents);
}
