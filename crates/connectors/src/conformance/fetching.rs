//! Promises about disks that come in.

use super::{Fixture, Meter, code, key, large_disk, name, small_disk};
use crate::connector::{Removal, Usage};
use crate::watch::Watch;

/// Contents are read as they are, in place or as a copy.
pub async fn what_was_fetched_has_the_same_bytes(fixture: &dyn Fixture) {
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().expect("a folder"));
    let bytes = small_disk();
    fixture.put("a.raw", &bytes).await;
    let found = connector.locate(&name("a.raw")).await.expect("located").expect("found");
    assert_eq!((found.stamp.bytes, found.usage), (bytes.len() as u64, Usage::NotSeen));
    let (meter, watch) = Meter::watch(u64::MAX);
    let fetched =
        connector.fetch(&key("task-1"), &name("a.raw"), scratch.path(), &watch).await.expect("fetched");
    assert!(std::fs::read(&fetched.path).expect("it can be read") == bytes);
    assert_eq!(fetched.stamp, found.stamp);
    assert!(fetched.changed.is_none(), "nothing is known of a disk that was not delivered");
    if !fetched.in_place {
        assert!(fetched.path.starts_with(scratch.path()));
        assert_eq!(meter.done(), bytes.len() as u64, "progress adds up to the length of the file");
    }
    assert!(fixture.read("a.raw").await.expect("it stays") == bytes);
}

/// A step that is repeated answers the same; its undo removes the copy and may run twice.
pub async fn fetching_twice_is_fetching_once_and_releasing_removes_it(fixture: &dyn Fixture) {
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().expect("a folder"));
    fixture.put("a.raw", &small_disk()).await;
    let (task, disk) = (key("task-1"), name("a.raw"));
    connector.release(&task, scratch.path()).await.expect("nothing to release");
    let first = connector.fetch(&task, &disk, scratch.path(), &Watch::silent()).await.expect("fetched");
    let again = connector.fetch(&task, &disk, scratch.path(), &Watch::silent()).await.expect("fetched again");
    assert_eq!(again, first);
    // A copy of what was there before is not given out for what is there now.
    fixture.put("a.raw", b"changed since").await;
    let newer = connector.fetch(&task, &disk, scratch.path(), &Watch::silent()).await.expect("fetched anew");
    assert_ne!(newer.stamp, first.stamp);
    assert_eq!(std::fs::read(&newer.path).expect("it can be read"), b"changed since");
    for _ in 0..2 {
        connector.release(&task, scratch.path()).await.expect("released");
        assert_eq!(std::fs::read_dir(scratch.path()).expect("it can be listed").count(), 0);
    }
    assert!(fixture.read("a.raw").await.is_some(), "the disk itself stays");
}

/// An interrupted copy is not begun anew.
pub async fn a_fetch_cancelled_in_the_middle_goes_on_later(fixture: &dyn Fixture) {
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().expect("a folder"));
    let bytes = large_disk();
    fixture.put("a.raw", &bytes).await;
    let (task, disk) = (key("task-1"), name("a.raw"));
    let (_, watch) = Meter::watch(70 << 20);
    match connector.fetch(&task, &disk, scratch.path(), &watch).await {
        Ok(fetched) => assert!(fetched.in_place, "a copy that was to be cancelled was completed"),
        outcome => {
            assert_eq!(code(outcome), "cancelled");
            let (meter, watch) = Meter::watch(u64::MAX);
            let fetched = connector.fetch(&task, &disk, scratch.path(), &watch).await.expect("it goes on");
            assert!(meter.first() >= 60 << 20, "only {} bytes were kept", meter.first());
            assert_eq!(meter.done(), bytes.len() as u64);
            assert!(std::fs::read(&fetched.path).expect("it can be read") == bytes);
        }
    }
    connector.release(&task, scratch.path()).await.expect("released");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("it can be listed").count(), 0);
}

/// Nothing there is an answer to one question and an error of the other.
pub async fn a_disk_that_is_not_there_has_its_own_code(fixture: &dyn Fixture) {
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().expect("a folder"));
    for missing in ["a.raw", "no/such/folder/a.raw"] {
        assert_eq!(connector.locate(&name(missing)).await.expect("an answer"), None);
        let fetched = connector.fetch(&key("task-1"), &name(missing), scratch.path(), &Watch::silent()).await;
        assert_eq!(code(fetched), "disk-not-found");
    }
}

/// A disk that is being written is no version of anything.
pub async fn a_disk_in_use_is_neither_fetched_nor_deleted(fixture: &dyn Fixture) {
    let (connector, scratch) = (fixture.connector(), tempfile::tempdir().expect("a folder"));
    fixture.put("a.raw", &small_disk()).await;
    let (task, disk) = (key("task-1"), name("a.raw"));
    let held = fixture.hold("a.raw").await;
    let found = connector.locate(&disk).await.expect("located").expect("found");
    assert!(matches!(&found.usage, Usage::InUse(reason) if !reason.is_empty()), "{found:?}");
    let fetched = connector.fetch(&task, &disk, scratch.path(), &Watch::silent()).await;
    assert_eq!(code(fetched), "disk-in-use");
    assert_eq!(code(connector.delete_disk(&disk, &found.stamp).await), "disk-in-use");
    drop(held);
    connector.fetch(&task, &disk, scratch.path(), &Watch::silent()).await.expect("it is free");
}

/// Deleting is bound to what was seen, and may run twice.
pub async fn only_the_disk_that_was_seen_is_deleted(fixture: &dyn Fixture) {
    let (connector, disk) = (fixture.connector(), name("a.raw"));
    fixture.put("a.raw", b"first").await;
    let first = connector.locate(&disk).await.expect("located").expect("found").stamp;
    fixture.put("a.raw", b"the second").await;
    assert_eq!(code(connector.delete_disk(&disk, &first).await), "disk-changed");
    assert!(fixture.read("a.raw").await.is_some());
    let second = connector.locate(&disk).await.expect("located").expect("found").stamp;
    assert_eq!(connector.delete_disk(&disk, &second).await.expect("deleted"), Removal::Removed);
    assert!(fixture.read("a.raw").await.is_none());
    assert_eq!(connector.delete_disk(&disk, &second).await.expect("gone"), Removal::WasGone);
}
