//! Garbage collection removes what nothing needs, and nothing else.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::{Progress, Silent, Unit};
use sample::{bytes, directory, files_in, name, object, read, store_blobs};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Error, Expect, GcReport, Store};

fn packs(path: &Path) -> usize {
    files_in(&path.join("packs")) / 2
}

#[test]
fn what_a_reference_reaches_stays_and_the_rest_goes() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let kept = store_blobs(&session, &[bytes(1, 10_000), bytes(2, 10_000)]);
    let dead = store_blobs(&session, &[bytes(3, 1 << 20)]);
    let manifest = session.put_object(&object(&kept, &[], b"manifest")).unwrap();
    let version = session.put_object(&object(&[], &[manifest], b"version")).unwrap();
    let old = session.put_object(&object(&dead, &[], b"old")).unwrap();
    store.set_ref(&name("layer/1"), Expect::Absent, version).unwrap();
    store.set_ref(&name("layer/2"), Expect::Absent, old).unwrap();
    drop(session);
    assert_eq!(store.gc(false, &Silent).unwrap(), GcReport::default(), "all is referenced");
    store.remove_ref(&name("layer/2"), Expect::Is(old)).unwrap();

    let predicted = store.gc(true, &Silent).unwrap();
    assert_eq!((predicted.objects, predicted.blobs, predicted.packs_removed), (1, 1, 1));
    assert!(predicted.bytes >= 1 << 20);
    assert_eq!(packs(directory.path()), 2, "a dry run changes nothing");
    assert_eq!(store.gc(false, &Silent).unwrap(), predicted);
    assert_eq!(packs(directory.path()), 1);
    assert!(matches!(store.get_object(old), Err(Error::NoObject { .. })));
    assert_eq!(store.locate(dead[0]).unwrap(), None);
    let session = store.session().unwrap();
    assert!(read(&session, kept[0]) == bytes(1, 10_000));
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn a_mostly_dead_pack_is_compacted_and_readers_that_have_it_open_go_on() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let contents: Vec<_> = (0..10).map(|seed| bytes(seed, 100_000)).collect();
    let ids = store_blobs(&session, &contents);
    let live = session.put_object(&object(&ids[3..5], &[], b"")).unwrap();
    store.set_ref(&name("live"), Expect::Absent, live).unwrap();
    let before = store.locate(ids[3]).unwrap().unwrap();
    let reader = store.pack(before.pack).unwrap();
    drop(session);

    let report = store.gc(false, &Silent).unwrap();
    assert_eq!((report.packs_compacted, report.packs_removed, report.blobs), (1, 0, 8));
    assert!(report.bytes > 700_000, "{report:?}");
    assert_eq!(packs(directory.path()), 1);
    assert_ne!(store.locate(ids[3]).unwrap().unwrap().pack, before.pack);
    assert!(matches!(store.pack(before.pack), Err(Error::NoPack { .. })));
    let mut old = vec![0; before.len as usize];
    reader.read_exact_at(before.offset, &mut old).unwrap();
    assert!(old == contents[3], "the open reader still reads");
    let session = store.session().unwrap();
    assert!(read(&session, ids[4]) == contents[4]);
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
    drop(session);
    assert_eq!(store.gc(false, &Silent).unwrap(), GcReport::default(), "there is nothing left to do");
}

#[test]
fn a_pack_that_is_mostly_alive_is_left_as_it_is() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let ids = store_blobs(&session, &(0..10).map(|seed| bytes(seed, 100_000)).collect::<Vec<_>>());
    let live = session.put_object(&object(&ids[..6], &[], b"")).unwrap();
    store.set_ref(&name("live"), Expect::Absent, live).unwrap();
    drop(session);
    assert_eq!(store.gc(false, &Silent).unwrap(), GcReport::default());
}

#[test]
fn what_a_live_session_wrote_or_found_stays_until_the_session_ends() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    // Unreferenced blobs and an object of a session that is over: garbage, until somebody relies on them.
    let over = store.session().unwrap();
    let found = store_blobs(&over, &[bytes(1, 50_000)]);
    let located = store_blobs(&over, &[bytes(2, 50_000)]);
    let held = store_blobs(&over, &[bytes(3, 50_000)]);
    let held = (over.put_object(&object(&held, &[], b"held")).unwrap(), held);
    store_blobs(&over, &[bytes(4, 50_000)]);
    drop(over);

    // The collector is another handle, as if another process.
    let collector = Store::open(directory.path()).unwrap();
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    assert!(!writer.append_bytes(&bytes(1, 50_000)).unwrap().new);
    writer.append_bytes(&bytes(5, 50_000)).unwrap();
    session.locate(located[0]).unwrap().unwrap();
    session.hold(held.0).unwrap();
    assert_eq!(collector.gc(false, &Silent).unwrap().packs_removed, 1, "only what nobody uses");
    let written = store_blobs(&session, &[bytes(6, 50_000)]);
    writer.finish().unwrap();
    assert_eq!(collector.gc(false, &Silent).unwrap().packs_removed, 0);
    let object = object(&[found[0], written[0]], &[held.0], b"");
    let id = session.put_object(&object).unwrap();
    assert_eq!(collector.gc(false, &Silent).unwrap().objects, 0);
    store.set_ref(&name("result"), Expect::Absent, id).unwrap();
    assert!(read(&session, located[0]) == bytes(2, 50_000));
    drop(session);

    assert_eq!(
        collector.gc(false, &Silent).unwrap().packs_removed,
        2,
        "seed 2 was located, seed 5 was never used"
    );
    let session = collector.session().unwrap();
    assert!(read(&session, found[0]) == bytes(1, 50_000));
    assert!(read(&session, held.1[0]) == bytes(3, 50_000));
    assert!(read(&session, written[0]) == bytes(6, 50_000));
    assert_eq!(collector.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn a_writer_notices_that_another_process_removed_what_it_knows() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let ids = store_blobs(&store.session().unwrap(), &[bytes(1, 50_000)]);
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    assert_eq!(Store::open(directory.path()).unwrap().gc(false, &Silent).unwrap().packs_removed, 1);
    assert!(writer.append_bytes(&bytes(1, 50_000)).unwrap().new, "it is gone, so it is written again");
    writer.finish().unwrap();
    assert!(read(&session, ids[0]) == bytes(1, 50_000));
}

#[test]
fn contents_that_two_writers_stored_at_once_end_up_in_one_pack_if_both_copies_are_sound() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let contents: Vec<_> = (0..8).map(|seed| bytes(seed, 20_000)).collect();
    let twice = || {
        let mut writers = [session.pack_writer().unwrap(), session.pack_writer().unwrap()];
        for content in &contents {
            writers.iter_mut().for_each(|writer| assert!(writer.append_bytes(content).unwrap().new));
        }
        writers.map(|writer| writer.finish().unwrap()[0])
    };
    let written = twice();
    let ids: Vec<_> = contents.iter().map(|content| store::BlobId::of(content)).collect();
    let all = session.put_object(&object(&ids, &[], b"")).unwrap();
    store.set_ref(&name("all"), Expect::Absent, all).unwrap();
    drop(session);
    // Of the two the one with the smaller id would be kept; its first block is damaged.
    let kept = written.into_iter().min().unwrap();
    let path = directory.path().join(format!("packs/{kept}.data"));
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    damaged[7] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    store.gc(false, &Silent).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let intact = |store: &Store| {
        let session = store.session().unwrap();
        contents.iter().all(|content| read(&session, store::BlobId::of(content)) == *content)
            || store.check(true, &Silent).unwrap().problems.len() == 1 && packs(directory.path()) == 2
    };
    assert!(intact(&store), "the only sound copy was kept");
    std::fs::write(&path, sound).unwrap();
    store.gc(false, &Silent).unwrap();
    store.gc(false, &Silent).unwrap();
    assert_eq!(packs(directory.path()), 1);
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn nothing_is_removed_while_something_needed_cannot_be_read() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let ids = store_blobs(&session, &[bytes(1, 5000)]);
    store_blobs(&session, &[bytes(2, 5000)]);
    let id = session.put_object(&object(&ids, &[], b"")).unwrap();
    store.set_ref(&name("layer"), Expect::Absent, id).unwrap();
    drop(session);
    let path = directory.path().join(format!("objects/{}/{id}", &id.to_string()[..2]));
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, &sound[1..]).unwrap();
    assert!(matches!(store.gc(false, &Silent), Err(Error::Corrupt { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(store.gc(false, &Silent), Err(Error::NoObject { .. })));
    assert_eq!(packs(directory.path()), 2);
    std::fs::write(&path, sound).unwrap();
    assert_eq!(store.gc(false, &Silent).unwrap().packs_removed, 1);
}

#[test]
fn what_crashed_sessions_left_is_cleaned_and_what_live_ones_write_is_not() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let dead = "0123456789abcdef0123456789abcdef";
    for left in
        ["tmp/ref-1", &format!("tmp/{dead}-0"), &format!("sessions/{dead}"), &format!("packs/{dead}.data")]
    {
        std::fs::write(directory.path().join(left), "pack half").unwrap();
    }
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    writer.append_bytes(&bytes(1, 50_000)).unwrap();
    assert_eq!(store.gc(false, &Silent).unwrap().leftovers, 4);
    assert_eq!(files_in(&directory.path().join("tmp")), 2, "the live session's two files");
    writer.finish().unwrap();
    assert_eq!(store.gc(false, &Silent).unwrap().leftovers, 0);
    assert_eq!(packs(directory.path()), 1);
}

/// Does something at the moment when a collection has decided what is garbage and is about to remove it.
struct BeforeRemoval<F: Fn() + Sync>(F);

impl<F: Fn() + Sync> Progress for BeforeRemoval<F> {
    fn step(&self, name: &str, _total: Option<u64>, _unit: Unit) {
        if name.starts_with("Removing") {
            (self.0)();
        }
    }

    fn advance(&self, _amount: u64) {}
}

#[test]
fn an_object_that_comes_and_is_given_up_during_a_collection_keeps_what_it_needs() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let old = store.session().unwrap();
    let blobs = store_blobs(&old, &[bytes(1, 50_000)]);
    let leaf = old.put_object(&object(&[], &[], b"leaf")).unwrap();
    drop(old);
    // Garbage so far. Then somebody makes an object that needs it, and does not reference that in the end.
    let came = std::sync::Mutex::new(None);
    let progress = BeforeRemoval(|| {
        let session = Store::open(directory.path()).unwrap().session().unwrap();
        *came.lock().unwrap() = Some(session.put_object(&object(&blobs, &[leaf], b"new")).unwrap());
    });
    store.gc(false, &progress).unwrap();
    let came = came.into_inner().unwrap().expect("the collection came to its last step");
    assert_eq!(
        store.check(true, &Silent).unwrap().problems,
        [],
        "whoever finds an object finds all that it needs"
    );
    if store.get_object(came).is_ok() {
        store.set_ref(&name("late"), Expect::Absent, came).unwrap();
        store.gc(false, &Silent).unwrap();
        assert!(read(&store.session().unwrap(), blobs[0]) == bytes(1, 50_000));
        store.remove_ref(&name("late"), Expect::Is(came)).unwrap();
    }
    assert_eq!(store.gc(false, &Silent).unwrap().objects, 2, "the next collection removes both");
    assert_eq!(packs(directory.path()), 0);
}

#[test]
fn what_is_found_or_referenced_while_a_collection_decides_is_not_removed() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let old = store.session().unwrap();
    let found = store_blobs(&old, &[bytes(1, 50_000)]);
    let referenced = store_blobs(&old, &[bytes(2, 50_000)]);
    let version = old.put_object(&object(&referenced, &[], b"version")).unwrap();
    drop(old);
    // All of it is garbage when the collection looks, and no longer when it removes.
    let goes_on = std::sync::Mutex::new(None);
    let progress = BeforeRemoval(|| {
        let store = Store::open(directory.path()).unwrap();
        let session = store.session().unwrap();
        assert!(!session.pack_writer().unwrap().append_bytes(&bytes(1, 50_000)).unwrap().new);
        *goes_on.lock().unwrap() = Some(session);
        store.set_ref(&name("late"), Expect::Absent, version).unwrap();
    });
    let report = store.gc(false, &progress).unwrap();
    let session = goes_on.into_inner().unwrap().expect("the collection came to its last step");
    assert_eq!((report.objects, report.packs_removed, report.packs_kept), (0, 0, 2));
    assert!(read(&session, found[0]) == bytes(1, 50_000), "a running session found it");
    drop(session);
    assert_eq!(store.gc(false, &Silent).unwrap().packs_removed, 1);
    assert!(read(&store.session().unwrap(), referenced[0]) == bytes(2, 50_000), "a reference keeps it");
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}

#[test]
fn while_garbage_is_removed_nothing_can_be_pinned_or_referenced() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let blobs = store_blobs(&session, &[bytes(1, 5000)]);
    let version = session.put_object(&object(&blobs, &[], b"")).unwrap();
    let other = store.session().unwrap();
    let actions: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("begin a session", &|| drop(store.session().unwrap())),
        ("hold an object", &|| other.hold(version).unwrap()),
        ("find a blob", &|| _ = other.locate(blobs[0]).unwrap().unwrap()),
        ("set a reference", &|| store.set_ref(&name("r"), Expect::Anything, version).unwrap()),
    ];
    for (what, action) in actions {
        // What a collection holds while it removes.
        let sweep = std::fs::File::options()
            .read(true)
            .write(true)
            .open(directory.path().join("locks/sweep"))
            .unwrap();
        sweep.lock().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                action();
                done.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(Duration::from_millis(150));
            let early = done.load(Ordering::SeqCst);
            sweep.unlock().unwrap();
            waiting.join().unwrap();
            assert!(!early, "one could {what} beside a removal");
        });
        assert!(done.load(Ordering::SeqCst), "{what}");
    }
}
