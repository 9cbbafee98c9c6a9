//! A full disk fails the operation, not the store.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::{Explain, Failure, Silent};
use rustix::mount::{MountFlags, UnmountFlags};
use sample::{bytes, files_in, name, object};
use std::fs;
use std::path::Path;
use store::{Expect, ObjectId, Result, Store};

/// A small file system in memory, unmounted at the end.
///
/// By system call and not by the `mount` program: a process that is being started holds this one's open files, and with
/// them the space of removed ones, until it executes the program.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` when this process may not mount.
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let options = Some(c"size=16m,nr_inodes=4000");
        rustix::mount::mount("store-test", directory.path(), "tmpfs", MountFlags::empty(), options).ok()?;
        Some(SmallDisk(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached, as a failed test may still have files open.
        _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// Stores content with an object and a reference; no step but the last makes any of it visible.
fn store_version(store: &Store, seed: u64, len: usize) -> Result<ObjectId> {
    let session = store.session()?;
    let mut writer = session.pack_writer()?;
    let blobs = [writer.append_bytes(&bytes(seed, len))?.id, writer.append_bytes(&bytes(seed + 1, 100))?.id];
    writer.finish()?;
    let manifest = session.put_object(&object(&blobs, &[], &bytes(seed, 20_000)))?;
    let version = session.put_object(&object(&[], &[manifest], b""))?;
    store.set_ref(&name("new"), Expect::Absent, version)?;
    Ok(version)
}

#[test]
fn a_disk_that_is_full_at_any_step_leaves_the_store_as_it_was() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED a_disk_that_is_full_at_any_step_leaves_the_store_as_it_was: cannot mount a tmpfs");
        return;
    };
    let path = disk.path().join("store");
    let store = Store::init(&path).unwrap();
    let kept = store_version(&store, 100, 1 << 20).unwrap();
    store.set_ref(&name("kept"), Expect::Absent, kept).unwrap();
    store.remove_ref(&name("new"), Expect::Is(kept)).unwrap();

    let filler = disk.path().join("filler");
    let (mut failed, mut succeeded) = (0, 0);
    for free in (0..160u64).step_by(4) {
        // Fill the disk, then give some of it back.
        let mut length = 0;
        let file = fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut &file, &[1; 4096]).is_ok() {
            length += 4096;
        }
        file.set_len(length - free * 1024).unwrap();
        match store_version(&store, 1000 + free * 10, 50_000) {
            Err(error) => {
                assert_eq!(error.code(), "store-full", "{free} KiB free: {:?}", Failure::new(&error));
                assert!(error.hint().unwrap().contains("space"));
                assert_eq!(store.refs("").unwrap(), [(name("kept"), kept)]);
                failed += 1;
            }
            Ok(version) => {
                store.remove_ref(&name("new"), Expect::Is(version)).unwrap();
                succeeded += 1;
            }
        }
        assert_eq!(files_in(&path.join("tmp")), 0, "{free} KiB free");
        // On the full disk still: what was written in vain can be removed.
        store.gc(false, &Silent).unwrap();
        let report = store.check(true, &Silent).unwrap();
        assert_eq!(report.problems, [], "{free} KiB free");
        assert_eq!((report.objects, report.packs), (2, 1));
        fs::remove_file(&filler).unwrap();
    }
    assert!(failed > 10 && succeeded > 3, "both ends were met: {failed} failed, {succeeded} succeeded");

    let large = store_version(&store, 7, 40 << 20).unwrap_err();
    assert_eq!(large.code(), "store-full", "in the middle of the data: {:?}", Failure::new(&large));
    assert_eq!(files_in(&path.join("tmp")), 0);
    store_version(&store, 8, 5 << 20).unwrap();
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn a_full_disk_does_not_keep_garbage_collection_from_removing_dead_packs() {
    let Some(disk) = SmallDisk::mount() else {
        println!(
            "SKIPPED a_full_disk_does_not_keep_garbage_collection_from_removing_dead_packs: cannot mount a tmpfs"
        );
        return;
    };
    let store = Store::init(&disk.path().join("store")).unwrap();
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    let live = writer.append_bytes(&bytes(1, 1 << 20)).unwrap().id;
    writer.append_bytes(&bytes(2, 3 << 20)).unwrap();
    writer.finish().unwrap();
    sample::store_blobs(&session, &[bytes(3, 2 << 20)]);
    let id = session.put_object(&object(&[live], &[], b"")).unwrap();
    store.set_ref(&name("live"), Expect::Absent, id).unwrap();
    drop(session);
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 4096]).is_ok() {}
    let report = store.gc(false, &Silent).unwrap();
    assert_eq!((report.packs_removed, report.packs_compacted), (1, 0), "there is no room to compact yet");
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
    assert_eq!(store.gc(false, &Silent).unwrap().packs_compacted, 1, "now there is");
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}
