//! What goes into a store comes out of it: blobs, objects, references.

mod sample;

use sample::{bytes, directory, files_in, name, read};
use std::io;
use store::{
    Appended, BLOCK, BlobId, Error, Expect, Object, ObjectId, Store, block_digest, zero_block_digest,
};

#[test]
fn contents_come_back_whichever_way_they_were_appended() {
    let directory = directory();
    let store = Store::init(&directory.path().join("store")).unwrap();
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    let lengths = [0, 1, 4095, 4096, 4097, 100_000, 9 << 20];
    let mut ids = Vec::new();
    for (seed, len) in lengths.into_iter().enumerate() {
        let content = bytes(seed as u64, len);
        let id = BlobId::of(&content);
        let new = Appended { id, len: len as u64, new: true };
        match seed % 4 {
            0 => assert_eq!(writer.append(&mut content.as_slice(), None).unwrap(), new),
            1 => assert_eq!(writer.append(&mut content.as_slice(), Some(17)).unwrap(), new, "a wrong hint"),
            2 => assert_eq!(writer.append_bytes(&content).unwrap(), new),
            _ => {
                let digests: Vec<_> = content.chunks(BLOCK as usize).map(block_digest).collect();
                let mut fill = |offset: u64, buf: &mut [u8]| {
                    buf.copy_from_slice(&content[offset as usize..][..buf.len()]);
                    Ok(())
                };
                assert_eq!(writer.append_known(len as u64, &digests, &mut fill).unwrap(), new);
            }
        }
        assert_eq!(store.locate(id).unwrap(), None, "nothing is visible before the end");
        ids.push((id, content));
    }
    assert_eq!(writer.finish().unwrap().len(), 1);
    for (id, content) in &ids {
        assert!(read(&session, *id) == *content);
    }
    drop(session);
    drop(store);
    let store = Store::open(&directory.path().join("store")).unwrap();
    let session = store.session().unwrap();
    let found = session.locate_all(ids.iter().map(|(id, _)| *id).chain([BlobId([7; 32])])).unwrap();
    assert_eq!(found.len(), ids.len(), "what is not there is left out");
    assert!(found.values().all(|location| location.offset % BLOCK == 0));
    for (id, content) in &ids {
        assert!(read(&session, *id) == *content);
    }
}

#[test]
fn the_same_content_is_stored_once_and_a_duplicate_takes_no_space_even_beyond_the_buffers() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let large = bytes(1, 21 << 20);
    let mut writer = session.pack_writer().unwrap();
    assert!(writer.append_bytes(&large).unwrap().new);
    assert!(!writer.append_bytes(&large).unwrap().new, "in the same pack");
    let sparse = [vec![0; 12 << 20], vec![1]].concat();
    assert!(writer.append_bytes(&sparse).unwrap().new, "zeros where the duplicate lay");
    let first = writer.finish().unwrap();
    assert!(read(&session, BlobId::of(&sparse)) == sparse, "nothing of the duplicate shows through the hole");

    let mut writer = session.pack_writer().unwrap();
    assert!(!writer.append_bytes(&large).unwrap().new, "in an older pack");
    let digests: Vec<_> = large.chunks(BLOCK as usize).map(block_digest).collect();
    let mut never = |_: u64, _: &mut [u8]| -> io::Result<()> { panic!("a known duplicate is not read") };
    assert!(!writer.append_known(large.len() as u64, &digests, &mut never).unwrap().new);
    assert_eq!(writer.finish().unwrap(), [], "no pack for nothing");
    assert_eq!(store.pack(first[0]).unwrap().len(), (21 << 20) + (12 << 20) + BLOCK);
    assert_eq!(files_in(&directory.path().join("tmp")), 0);
    assert_eq!(files_in(&directory.path().join("packs")), 2);
}

#[test]
fn zeros_inside_a_blob_are_content_but_take_no_space() {
    use std::os::unix::fs::MetadataExt;
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let content = [bytes(1, 5000), vec![0; 10 << 20], bytes(2, 5000), vec![0; 3 << 20]].concat();
    let mut writer = session.pack_writer().unwrap();
    let id = writer.append_bytes(&content).unwrap().id;
    let pack = store.pack(writer.finish().unwrap()[0]).unwrap();
    assert!(read(&session, id) == content);
    assert!(pack.file().metadata().unwrap().blocks() * 512 < 64 << 10, "holes stay holes");
    let mut digests = Vec::new();
    pack.block_digests(0, pack.len(), &mut digests).unwrap();
    let expected: Vec<_> = content.chunks(BLOCK as usize).map(block_digest).collect();
    assert!(digests == expected);
    assert_eq!(digests[100], zero_block_digest());
    let mut some = Vec::new();
    for start in [0, 1, 2559, 1023] {
        some.clear();
        pack.block_digests(start * BLOCK, 3 * BLOCK, &mut some).unwrap();
        assert!(some == expected[start as usize..][..3], "from block {start}");
    }
    assert!(pack.block_digests(pack.len(), BLOCK, &mut some).is_err(), "beyond the end");
    assert!(pack.block_digests(1, BLOCK, &mut some).is_err(), "not at a block");
}

#[test]
fn a_source_that_fails_or_changes_spoils_only_its_own_blob() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    let before = writer.append_bytes(&bytes(1, 5000)).unwrap().id;
    let failing = writer.append_with(20 << 20, &mut |offset, buf| {
        buf.fill(9);
        if offset > 9 << 20 { Err(io::Error::other("the disk went away")) } else { Ok(()) }
    });
    assert!(matches!(failing, Err(Error::Source(_))));
    let changed = writer.append_known(5, &[block_digest(b"hello")], &mut |_, buf| {
        buf.copy_from_slice(b"world");
        Ok(())
    });
    assert!(matches!(changed, Err(Error::Changed { .. })));
    let content = [vec![0; 8 << 20], bytes(2, 5000)].concat();
    let after = writer.append_bytes(&content).unwrap().id;
    writer.finish().unwrap();
    assert!(read(&session, before) == bytes(1, 5000));
    assert!(read(&session, after) == content);
    assert_eq!(store.locate(BlobId::of(b"world")).unwrap(), None);
}

#[test]
fn a_writer_that_is_given_up_leaves_nothing() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let mut writer = session.pack_writer().unwrap();
    writer.append_bytes(&bytes(1, 30 << 20)).unwrap();
    drop(writer);
    drop(session);
    for part in ["packs", "tmp", "sessions"] {
        assert_eq!(files_in(&directory.path().join(part)), 0, "{part}");
    }
}

#[test]
fn an_object_is_stored_only_with_everything_that_it_needs() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let mut object =
        Object { kind: "manifest".into(), payload: b"what it means".to_vec(), ..Object::default() };
    object.blobs.push(BlobId::of(b"content"));
    assert!(matches!(session.put_object(&object), Err(Error::NoBlob { .. })));
    let mut writer = session.pack_writer().unwrap();
    writer.append_bytes(b"content").unwrap();
    writer.finish().unwrap();
    let leaf = session.put_object(&object).unwrap();
    assert_eq!(session.put_object(&object).unwrap(), leaf, "a second time is fine");
    assert_eq!(store.get_object(leaf).unwrap(), object);
    let version =
        Object { kind: "version".into(), links: vec![leaf, ObjectId([9; 32])], ..Object::default() };
    assert!(matches!(session.put_object(&version), Err(Error::NoObject { id }) if id == ObjectId([9; 32])));
    assert!(matches!(store.get_object(ObjectId([9; 32])), Err(Error::NoObject { .. })));
}

#[test]
fn a_damaged_object_is_never_given_out_and_is_healed_by_storing_it_again() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let put = |payload: &[u8]| {
        session
            .put_object(&Object { kind: "k".into(), payload: payload.to_vec(), ..Object::default() })
            .unwrap()
    };
    let (one, two) = (put(b"one"), put(b"two"));
    let path = |id: ObjectId| directory.path().join(format!("objects/{}/{id}", &id.to_string()[..2]));
    std::fs::copy(path(two), path(one)).unwrap();
    assert!(matches!(store.get_object(one), Err(Error::Corrupt { .. })), "a sound file under another's name");
    assert_eq!(put(b"one"), one);
    assert_eq!(store.get_object(one).unwrap().payload, b"one");
}

#[test]
fn references_change_only_from_what_is_expected() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    let session = store.session().unwrap();
    let put = |payload: u8| {
        session.put_object(&Object { kind: "k".into(), payload: vec![payload], ..Object::default() }).unwrap()
    };
    let (one, two) = (put(1), put(2));
    let layer = name("os/Windows 11/1");
    let changed = |result| matches!(result, Err(Error::RefChanged { .. }));
    assert!(changed(store.set_ref(&layer, Expect::Is(one), two)));
    store.set_ref(&layer, Expect::Absent, one).unwrap();
    assert!(changed(store.set_ref(&layer, Expect::Absent, two)));
    assert!(changed(store.set_ref(&layer, Expect::Is(two), two)));
    assert_eq!(store.get_ref(&layer).unwrap(), Some(one));
    store.set_ref(&layer, Expect::Is(one), two).unwrap();
    store.set_ref(&name("os/Windows 11"), Expect::Anything, one).unwrap();
    store.set_ref(&name("app/Editor/1"), Expect::Anything, one).unwrap();
    let names = |prefix| {
        store.refs(prefix).unwrap().into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("os"), ["os/Windows 11", "os/Windows 11/1"]);
    assert_eq!(names("").len(), 3);
    assert!(changed(store.remove_ref(&layer, Expect::Is(one))));
    store.remove_ref(&layer, Expect::Is(two)).unwrap();
    assert!(changed(store.remove_ref(&layer, Expect::Is(two))));
    assert_eq!(store.get_ref(&layer).unwrap(), None);
    assert!(matches!(store.set_ref(&layer, Expect::Absent, ObjectId([1; 32])), Err(Error::NoObject { .. })));
}
