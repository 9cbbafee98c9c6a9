//! A check finds any flipped bit and says what it affects.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::Silent;
use sample::{bytes, directory, name, object, store_blobs};
use std::fs;
use std::path::{Path, PathBuf};
use store::{BLOCK, BlobId, Expect, ObjectId, Store};

/// Two references that share an object, and one that has nothing to do with it.
fn sample_store(path: &Path) -> (Vec<BlobId>, Vec<ObjectId>) {
    let store = Store::init(path).unwrap();
    let session = store.session().unwrap();
    let blobs = store_blobs(&session, &[bytes(1, 5000), [vec![0; 4096], vec![1]].concat(), bytes(3, 10)]);
    let shared = session.put_object(&object(&blobs[..2], &[], b"shared")).unwrap();
    let first = session.put_object(&object(&[], &[shared], b"first")).unwrap();
    let other = session.put_object(&object(&blobs[2..], &[], b"other")).unwrap();
    for (ref_name, id) in [("layer/1", first), ("layer/2", shared), ("other", other)] {
        store.set_ref(&name(ref_name), Expect::Absent, id).unwrap();
    }
    (blobs, vec![shared, first, other])
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

fn is_sound(path: &Path) -> bool {
    Store::open(path).is_ok_and(|store| store.check(true, &Silent).unwrap().problems.is_empty())
}

#[test]
fn a_flipped_bit_anywhere_in_the_store_is_found() {
    let directory = directory();
    sample_store(directory.path());
    assert!(is_sound(directory.path()));
    let mut flipped = 0;
    for file in files(directory.path()) {
        let sound = fs::read(&file).unwrap();
        // Every byte of the small files, a spread over the large ones that meets content, padding and holes alike;
        // the unit tests flip each bit of each encoding.
        let stride = sound.len() / 400 + 1;
        for at in (0..sound.len()).step_by(stride) {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, damaged).unwrap();
            assert!(!is_sound(directory.path()), "byte {at} of {}", file.display());
            flipped += 1;
        }
        fs::write(&file, sound).unwrap();
    }
    assert!(flipped > 1000, "{flipped}");
    assert!(is_sound(directory.path()));
}

#[test]
fn a_cut_or_missing_or_grown_file_is_found_even_without_reading_data() {
    let directory = directory();
    sample_store(directory.path());
    let sound_without_reading = || {
        Store::open(directory.path())
            .is_ok_and(|store| store.check(false, &Silent).unwrap().problems.is_empty())
    };
    for file in files(directory.path()) {
        let sound = fs::read(&file).unwrap();
        // An absent reference is no reference, and locks come and go.
        if sound.is_empty() {
            continue;
        }
        fs::write(&file, &sound[..sound.len() - 1]).unwrap();
        assert!(!sound_without_reading(), "cut: {}", file.display());
        fs::write(&file, [sound.as_slice(), b"\0"].concat()).unwrap();
        assert!(!sound_without_reading(), "grown: {}", file.display());
        fs::remove_file(&file).unwrap();
        if !file.starts_with(directory.path().join("refs")) {
            assert!(!sound_without_reading(), "missing: {}", file.display());
        }
        fs::write(&file, sound).unwrap();
        assert!(sound_without_reading());
    }
}

#[test]
fn damage_is_followed_to_the_blob_and_the_objects_and_references_that_need_it() {
    let directory = directory();
    let (blobs, objects) = sample_store(directory.path());
    let store = Store::open(directory.path()).unwrap();
    let location = store.locate(blobs[0]).unwrap().unwrap();
    let data = directory.path().join(format!("packs/{}.data", location.pack));
    let sound = fs::read(&data).unwrap();
    let mut damaged = sound.clone();
    damaged[(location.offset + BLOCK) as usize + 4000] ^= 0x80;
    fs::write(&data, damaged).unwrap();
    assert_eq!(store.check(false, &Silent).unwrap().problems, [], "the structure is sound");
    let problems = store.check(true, &Silent).unwrap().problems;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((problem.path.as_path(), problem.pack), (data.as_path(), Some(location.pack)));
    assert_eq!(problem.offset, Some(location.offset + BLOCK), "padding belongs to the blob's last block");
    assert_eq!(problem.blob, Some(blobs[0]));
    let mut affected = objects[..2].to_vec();
    affected.sort();
    assert_eq!(problem.affected_objects, affected);
    assert_eq!(problem.affected_refs, ["layer/1", "layer/2"]);
    fs::write(&data, sound).unwrap();

    let path = directory.path().join(format!("objects/{}/{}", &objects[2].to_string()[..2], objects[2]));
    fs::write(&path, "nonsense").unwrap();
    let problems = store.check(true, &Silent).unwrap().problems;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(
        (problem.object, problem.affected_refs.as_slice()),
        (Some(objects[2]), ["other".to_owned()].as_slice())
    );
}

#[test]
fn a_damaged_index_costs_only_its_own_pack_and_new_content_can_still_be_stored() {
    let directory = directory();
    let (blobs, objects) = sample_store(directory.path());
    let store = Store::open(directory.path()).unwrap();
    let location = store.locate(blobs[0]).unwrap().unwrap();
    drop(store);
    let index = directory.path().join(format!("packs/{}.idx", location.pack));
    let mut bytes_of_index = fs::read(&index).unwrap();
    let last = bytes_of_index.len() - 1;
    bytes_of_index[last] ^= 1;
    fs::write(&index, bytes_of_index).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let error = store.locate(blobs[0]).unwrap_err();
    assert!(error.to_string().contains(&location.pack.to_string()), "{error}");
    let problems = store.check(true, &Silent).unwrap().problems;
    assert!(problems.iter().any(|problem| problem.path == index));
    let lacking: Vec<_> = problems.iter().filter_map(|problem| problem.object).collect();
    assert!(lacking.contains(&objects[0]) && lacking.contains(&objects[2]), "{problems:?}");
    // Storing the content again heals it.
    let session = store.session().unwrap();
    store_blobs(&session, &[bytes(1, 5000), [vec![0; 4096], vec![1]].concat(), bytes(3, 10)]);
    assert_eq!(session.locate_all(blobs).unwrap().len(), 3);
}
