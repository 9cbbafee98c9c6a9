//! Nodes, names and metadata, made by the editor and read back by dissect.ntfs.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

mod edit_support;

use edit_support::*;
use ntfs_volume::edit::{NtfsEditor, ROOT};
use std::panic::{AssertUnwindSafe, catch_unwind};
use volume::{Error, FileId, Kind, Metadata, Name, NewRun, Property, Refusal, Security, VolumeEditor};

const MIB: u64 = 1 << 20;

/// A call that must be refused without harm to the volume.
fn assert_refused<T: std::fmt::Debug>(result: volume::Result<T>, words: &str) {
    match result {
        Err(error @ Error::NotExpressible { .. }) => {
            assert!(error.to_string().contains(words), "{error}");
        }
        other => panic!("expected a refusal with '{words}', got {other:?}"),
    }
}

#[test]
fn a_directory_and_its_files_are_read_back_with_all_their_metadata() {
    let test = "a_directory_and_its_files_are_read_back_with_all_their_metadata";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let short = Name::from("PROGRA~1");
    let dir = editor.make_directory(ROOT, &"Program Files".into(), Some(&short), &metadata(1), &[]).unwrap();
    let mut made = Vec::new();
    for i in 0..60_usize {
        let contents = noise(i * 37, i as u64);
        let name = Name::from(format!("file {i:03}.dll").as_str());
        let mut meta = metadata(10 + i as u64);
        // read-only, hidden and system, pinned, unpinned, recalled on access: bits far outside the library's mask
        meta.attributes = [0x20, 0x1, 0x26, 0x8_0020, 0x10_0000, 0x40_1020][i % 6];
        let id = editor.make_file(dir, &name, None, &meta, &[inline(main_name(), &contents)]).unwrap();
        made.push((id, meta, contents));
    }
    let memory = editor.finish_into().unwrap();
    let tree = ntfs_volume::scan::scan(&memory, &operation::Silent).unwrap();
    assert_eq!(tree.node(dir).unwrap().kind, Kind::Directory);
    let Some(dump) = dissect(test, &memory) else { return };
    assert_eq!(dump.names(dir), [("PROGRA~1".to_owned(), 2), ("Program Files".to_owned(), 1)]);
    dump.assert_metadata(dir, &metadata(1));
    for (id, meta, contents) in made {
        dump.assert_metadata(id, &meta);
        dump.assert_stream(id, "", &contents);
    }
}

#[test]
fn every_name_that_a_real_volume_can_have_is_stored() {
    let test = "every_name_that_a_real_volume_can_have_is_stored";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let mut names: Vec<Name> =
        ["CON", "nul.txt", "trailing.", "trailing ", "a?b", "a*b", "x:y", "a\\b", "\u{1}", "日本😀.txt"]
            .iter()
            .map(|&name| name.into())
            .collect();
    names.push(Name::from_utf16(&[0x6e; 255]));
    names.push(Name::from_utf16(&[0xd83d, 0x61]));
    names.push(Name::from_utf16(&[0xdc00]));
    names.push(Name::from_utf16(&[0xde00, 0xd83d]));
    let made: Vec<_> = names
        .iter()
        .map(|name| editor.make_file(ROOT, name, None, &metadata(3), &[inline(main_name(), b"x")]).unwrap())
        .collect();
    for refused in ["a/b", "", "..", "nul\0"] {
        assert_refused(editor.make_file(ROOT, &refused.into(), None, &metadata(3), &[]), "");
    }
    assert_refused(editor.make_file(ROOT, &Name::from_utf16(&[0x6e; 256]), None, &metadata(3), &[]), "255");
    let memory = editor.finish_into().unwrap();
    let tree = ntfs_volume::scan::scan(&memory, &operation::Silent).unwrap();
    for (name, id) in names.iter().zip(&made) {
        assert_eq!(tree.child(ROOT, name).unwrap().id, *id, "{name}");
    }
    let Some(dump) = dissect(test, &memory) else { return };
    for (name, id) in names.iter().zip(&made) {
        assert_eq!(dump.node(*id)["names"][0]["name"], hex(name.as_bytes()));
    }
}

#[test]
fn names_that_differ_only_in_case_cannot_share_a_directory() {
    let test = "names_that_differ_only_in_case_cannot_share_a_directory";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    make(&mut editor, "Straße ÄÖÜ", b"1");
    let words = "same but for case";
    assert_refused(editor.make_file(ROOT, &"STRAßE äöü".into(), None, &metadata(1), &[]), words);
    let dir = editor.make_directory(ROOT, &"new".into(), None, &metadata(1), &[]).unwrap();
    let file =
        editor.make_file(dir, &"Long name".into(), Some(&"LONGNA~1".into()), &metadata(1), &[]).unwrap();
    assert_refused(editor.make_file(dir, &"LONG NAME".into(), None, &metadata(1), &[]), words);
    assert_refused(editor.make_file(dir, &"longna~1".into(), None, &metadata(1), &[]), words);
    assert_refused(
        editor.make_file(dir, &"other name".into(), Some(&"LONGNA~1".into()), &metadata(1), &[]),
        words,
    );
    assert_refused(editor.link(file, dir, &"LoNg NaMe".into()), words);
    // After an unlink the name is free again, in a directory that the editor knows by heart and in one it must look up.
    editor.unlink(file, dir, &"Long name".into()).unwrap();
    editor.make_file(dir, &"LONG NAME".into(), None, &metadata(1), &[]).unwrap();
    let memory = editor.finish_into().unwrap();
    dissect(test, &memory);
}

#[test]
fn short_names_are_set_changed_folded_into_the_name_and_taken_away() {
    let test = "short_names_are_set_changed_folded_into_the_name_and_taken_away";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let short = |name: &str| Some(Name::from(name));
    let mut file = |name: &str, own: Option<Name>| {
        editor
            .make_file(ROOT, &name.into(), own.as_ref(), &metadata(2), &[inline(main_name(), b"abc")])
            .unwrap()
    };
    let pair = file("a long name.text", short("ALONGN~1.TEX"));
    let folded = file("Setup.exe", short("SETUP.EXE"));
    let later = file("gets one later.text", None);
    let loses = file("loses its own.text", short("LOSESI~1.TEX"));
    let becomes = file("readme.txt", None);
    assert_refused(
        editor.make_file(ROOT, &"bad".into(), Some(&"NINECHARS".into()), &metadata(2), &[]),
        "8.3",
    );
    editor
        .rename(
            pair,
            ROOT,
            &"a long name.text".into(),
            &"a long name.text".into(),
            short("OTHER~9.TEX").as_ref(),
        )
        .unwrap();
    editor
        .rename(
            later,
            ROOT,
            &"gets one later.text".into(),
            &"gets one later.text".into(),
            short("ALONGN~1.TEX").as_ref(),
        )
        .unwrap();
    editor.rename(loses, ROOT, &"loses its own.text".into(), &"loses its own.text".into(), None).unwrap();
    editor
        .rename(becomes, ROOT, &"readme.txt".into(), &"readme.txt".into(), short("README.TXT").as_ref())
        .unwrap();
    assert_refused(
        editor.rename(
            later,
            ROOT,
            &"gets one later.text".into(),
            &"gets one later.text".into(),
            short("OTHER~9.TEX").as_ref(),
        ),
        "same but for case",
    );
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    let names = |id| dump.names(id);
    assert_eq!(names(pair), [("OTHER~9.TEX".into(), 2), ("a long name.text".into(), 1)]);
    assert_eq!(names(folded), [("Setup.exe".into(), 3)]);
    assert_eq!(names(later), [("ALONGN~1.TEX".into(), 2), ("gets one later.text".into(), 1)]);
    assert_eq!(names(loses), [("loses its own.text".into(), 0)]);
    assert_eq!(names(becomes), [("readme.txt".into(), 3)]);
    for id in [pair, folded, later, loses, becomes] {
        dump.assert_metadata(id, &metadata(2));
    }
}

#[test]
fn a_name_can_be_written_in_another_case() {
    let test = "a_name_can_be_written_in_another_case";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let dir = editor
        .make_directory(ROOT, &"program files".into(), Some(&"PROGRA~1".into()), &metadata(1), &[])
        .unwrap();
    // Enough neighbours for an index of several nodes.
    for number in 0..300 {
        let name = Name::from(format!("program file {number}").as_str());
        editor.make_file(ROOT, &name, None, &metadata(3), &[]).unwrap();
    }
    let inside = editor.make_file(dir, &"setup.exe".into(), None, &metadata(2), &[]).unwrap();
    editor
        .rename(dir, ROOT, &"program files".into(), &"Program Files".into(), Some(&"PROGRA~5".into()))
        .unwrap();
    editor.rename(inside, dir, &"setup.exe".into(), &"SETUP.exe".into(), Some(&"SETUP.EXE".into())).unwrap();
    assert_refused(
        editor.rename(dir, ROOT, &"Program Files".into(), &"Programs".into(), None),
        "another name",
    );
    assert_refused(
        editor.rename(dir, ROOT, &"program files".into(), &"Program Files".into(), None),
        "no such name",
    );
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    assert_eq!(dump.names(dir), [("PROGRA~5".into(), 2), ("Program Files".into(), 1)]);
    assert_eq!(dump.names(inside), [("SETUP.exe".into(), 3)]);
    dump.assert_metadata(dir, &metadata(1));
    dump.assert_metadata(inside, &metadata(2));
}

#[test]
fn hard_links_across_directories_are_one_file_until_the_last_goes() {
    let test = "hard_links_across_directories_are_one_file_until_the_last_goes";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let contents = noise(600, 1);
    let dirs: Vec<FileId> = (0..8)
        .map(|i| {
            editor.make_directory(ROOT, &format!("dir {i}").as_str().into(), None, &metadata(i), &[]).unwrap()
        })
        .collect();
    let file = editor
        .make_file(
            dirs[0],
            &"component.dll".into(),
            Some(&"COMPON~1.DLL".into()),
            &metadata(9),
            &[inline(main_name(), &contents)],
        )
        .unwrap();
    // More names than one record holds: an attribute list.
    for i in 0..200 {
        let name = format!("another name of the component, number {i}.dll");
        editor.link(file, dirs[i % 8], &name.as_str().into()).unwrap();
    }
    assert_refused(editor.link(dirs[1], dirs[2], &"link to a directory".into()), "one name");
    for i in (0..200).step_by(2) {
        let name = format!("another name of the component, number {i}.dll");
        editor.unlink(file, dirs[i % 8], &name.as_str().into()).unwrap();
    }
    editor.unlink(file, dirs[0], &"component.dll".into()).unwrap();
    let gone = editor.make_file(ROOT, &"gone".into(), None, &metadata(1), &[]).unwrap();
    editor.link(gone, dirs[3], &"gone too".into()).unwrap();
    editor.unlink(gone, ROOT, &"gone".into()).unwrap();
    editor.unlink(gone, dirs[3], &"gone too".into()).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    assert_eq!(dump.names(file).len(), 100);
    assert!(dump.node(file)["spread"].as_bool().unwrap(), "100 names need an attribute list");
    dump.assert_metadata(file, &metadata(9));
    dump.assert_stream(file, "", &contents);
    assert!(dump.node(gone).is_null() || dump.names(gone).iter().all(|(name, _)| !name.contains("gone")));
}

#[test]
fn ten_thousand_entries_come_and_go() {
    let test = "ten_thousand_entries_come_and_go";
    let Some(memory) = format(test, 64 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let dir = editor.make_directory(ROOT, &"many".into(), None, &metadata(1), &[]).unwrap();
    let name = |i: u64| Name::from(format!("entry {:05} of many.txt", i * 7919 % 10_000).as_str());
    let ids: Vec<FileId> = (0..10_000)
        .map(|i| {
            editor.make_file(dir, &name(i), None, &metadata(i), &[inline(main_name(), b"content")]).unwrap()
        })
        .collect();
    assert_refused(editor.unlink(dir, ROOT, &"many".into()), "not empty");
    let full = editor.finish_into().unwrap();
    if let Some(dump) = dissect(test, &full) {
        dump.assert_metadata(ids[4711], &metadata(4711));
    }
    let mut editor = edit(full);
    for (i, id) in ids.iter().enumerate() {
        editor.unlink(*id, dir, &name(i as u64)).unwrap();
    }
    editor.unlink(dir, ROOT, &"many".into()).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    assert!(dump.node(dir).is_null());
}

fn reparse(tag: u32, data: &[u8]) -> Property {
    let mut value = tag.to_le_bytes().to_vec();
    value.extend((data.len() as u16).to_le_bytes());
    value.extend([0, 0]);
    value.extend(data);
    Property::Reparse(value.into())
}

fn ea(entries: &[(&str, &[u8])]) -> Property {
    let mut value = Vec::new();
    for (name, data) in entries {
        let len = (8 + name.len() + 1 + data.len()).next_multiple_of(4);
        let start = value.len();
        value.extend((len as u32).to_le_bytes());
        value.extend([0x80, name.len() as u8]);
        value.extend((data.len() as u16).to_le_bytes());
        value.extend(name.as_bytes());
        value.push(0);
        value.extend(*data);
        value.resize(start + len, 0);
    }
    Property::ExtendedAttributes(value.into())
}

#[test]
fn reparse_points_extended_attributes_object_ids_and_efs_keys_are_kept_and_replaced() {
    let test = "reparse_points_extended_attributes_object_ids_and_efs_keys_are_kept_and_replaced";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let with = |number: u64, properties: Vec<Property>| Metadata { properties, ..metadata(number) };
    let efs = noise(700, 5);
    let cases: Vec<(&str, bool, Metadata)> = vec![
        (
            "junction",
            true,
            with(
                1,
                vec![reparse(
                    0xa000_0003,
                    &[0, 0, 8, 0, 10, 0, 0, 0, 65, 0, 66, 0, 67, 0, 68, 0, 0, 0, 0, 0],
                )],
            ),
        ),
        ("app execution alias", false, with(2, vec![reparse(0x8000_001b, &noise(300, 1))])),
        ("a third party's, long", false, with(3, vec![reparse(0x0000_1234, &noise(5000, 2))])),
        ("socket", false, with(4, vec![reparse(0x8000_0023, &[])])),
        ("attributes", false, with(5, vec![ea(&[("LXATTRB", &noise(56, 3)), ("$KERNEL", b"abc")])])),
        ("attributes, long", false, with(6, vec![ea(&[("BIG", &noise(9000, 4))])])),
        ("object", false, with(7, vec![Property::ObjectId(noise(64, 6).into())])),
        ("object, short", true, with(8, vec![Property::ObjectId(noise(16, 7).into())])),
        (
            "both",
            false,
            with(
                9,
                vec![
                    reparse(0x8000_0017, &noise(16, 8)),
                    ea(&[("X", b"y")]),
                    Property::ObjectId(noise(16, 9).into()),
                ],
            ),
        ),
        ("keys", false, with(10, vec![Property::Efs(efs.clone().into())])),
    ];
    let ids: Vec<FileId> = cases
        .iter()
        .map(|(name, directory, meta)| match directory {
            true => editor.make_directory(ROOT, &(*name).into(), None, meta, &[]).unwrap(),
            false => {
                editor.make_file(ROOT, &(*name).into(), None, meta, &[inline(main_name(), b"data")]).unwrap()
            }
        })
        .collect();
    // The same node twice, the other way round: what a node had is gone, what it gets is there.
    let first = editor
        .make_file(ROOT, &"changes".into(), None, &cases[1].2, &[inline(main_name(), &noise(900, 10))])
        .unwrap();
    editor.set_metadata(first, &cases[5].2).unwrap();
    let second = editor.make_file(ROOT, &"changes too".into(), None, &cases[5].2, &[]).unwrap();
    editor.set_metadata(second, &cases[2].2).unwrap();
    let doomed = editor
        .make_file(
            ROOT,
            &"doomed".into(),
            None,
            &with(11, vec![reparse(0x8000_0023, &[]), Property::ObjectId(noise(32, 11).into())]),
            &[],
        )
        .unwrap();
    editor.unlink(doomed, ROOT, &"doomed".into()).unwrap();
    let xattr = Property::Xattr { name: (*b"user.x").into(), value: (*b"").into() };
    assert_refused(editor.make_file(ROOT, &"posix".into(), None, &with(1, vec![xattr]), &[]), "POSIX");
    let mut posix = metadata(1);
    posix.security = Security::Posix { mode: 0o644, uid: 0, gid: 0 };
    assert_refused(editor.make_file(ROOT, &"posix".into(), None, &posix, &[]), "security descriptors");
    let memory = editor.finish_into().unwrap();
    let tree = ntfs_volume::scan::scan(&memory, &operation::Silent).unwrap();
    let mut all: Vec<(FileId, &Metadata)> =
        ids.iter().copied().zip(cases.iter().map(|case| &case.2)).collect();
    all.extend([(first, &cases[5].2), (second, &cases[2].2)]);
    for (id, expected) in &all {
        let mut properties = expected.properties.clone();
        properties.sort();
        assert_eq!(tree.node(*id).unwrap().metadata.properties, properties);
    }
    let Some(dump) = dissect(test, &memory) else { return };
    for (id, expected) in all {
        dump.assert_metadata(id, expected);
        for property in &expected.properties {
            let (key, value) = match property {
                Property::Reparse(value) => ("reparse", value),
                Property::ExtendedAttributes(value) => ("ea", value),
                Property::ObjectId(value) => ("object_id", value),
                Property::Efs(value) => ("logged", value),
                Property::Xattr { .. } => unreachable!(),
            };
            assert_eq!(dump.node(id)[key].as_str().unwrap(), hex(value), "{key} of node {}", id.0);
        }
    }
    assert!(dump.node(first)["reparse"].is_null() && dump.node(second)["ea"].is_null());
}

#[test]
fn odd_and_many_security_descriptors_are_stored_once_each() {
    let test = "odd_and_many_security_descriptors_are_stored_once_each";
    let Some(memory) = format(test, 32 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let mut given: Vec<Metadata> = Vec::new();
    // No owner, no group, nothing at all: the library's own call refuses these.
    let mut bare = vec![1, 0, 0, 0x80];
    bare.extend([0; 16]);
    given.push(Metadata { security: Security::Descriptor(bare.into()), ..metadata(1) });
    let ownerless = {
        let mut value = descriptor(3).to_vec();
        value[4..8].fill(0);
        value
    };
    given.push(Metadata { security: Security::Descriptor(ownerless.into()), ..metadata(2) });
    // Enough to cross from one 256 KiB block of $SDS into the next, twice, and to make $SII and $SDH trees.
    for i in 0..300 {
        let mut value = descriptor(i).to_vec();
        value.extend(noise(2000 + i as usize % 40, u64::from(i)));
        given.push(Metadata { security: Security::Descriptor(value.into()), ..metadata(u64::from(i)) });
    }
    let again: Vec<Metadata> = given.clone();
    given.extend(again);
    let ids: Vec<FileId> = given
        .iter()
        .enumerate()
        .map(|(i, meta)| editor.make_file(ROOT, &format!("f{i}").as_str().into(), None, meta, &[]).unwrap())
        .collect();
    let bare = Metadata { security: Security::None, ..metadata(1) };
    let dir = editor.make_directory(ROOT, &"dir".into(), None, &given[9], &[]).unwrap();
    let inherits = editor.make_file(dir, &"inherits".into(), None, &bare, &[]).unwrap();
    // mkntfs gives the root directory a descriptor of its own, outside $Secure: nothing to share.
    let default = editor.make_file(ROOT, &"default".into(), None, &bare, &[]).unwrap();
    // A second editor finds what the first has stored.
    let memory = editor.finish_into().unwrap();
    let mut editor = edit(memory);
    let id = editor.make_file(ROOT, &"second session".into(), None, &given[77], &[]).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    for (id, meta) in ids.iter().zip(&given) {
        dump.assert_metadata(*id, meta);
    }
    let number = |id| dump.node(id)["security_id"].as_u64().unwrap();
    assert_eq!(number(ids[0]), number(ids[302]));
    assert_eq!(number(id), number(ids[77]));
    assert_eq!(number(inherits), number(dir));
    let default = unhex(dump.node(default)["security"].as_str().unwrap());
    assert_eq!(default[..4], [1, 0, 4, 0x80], "a descriptor with a DACL");
}

#[test]
fn metadata_of_existing_nodes_is_replaced_everywhere_it_is_repeated() {
    let test = "metadata_of_existing_nodes_is_replaced_everywhere_it_is_repeated";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let mut editor = edit(memory);
    let dir = editor.make_directory(ROOT, &"dir".into(), None, &metadata(1), &[]).unwrap();
    let file = editor
        .make_file(
            dir,
            &"a long file name".into(),
            Some(&"ALONGF~1".into()),
            &metadata(2),
            &[inline(main_name(), b"1")],
        )
        .unwrap();
    editor.link(file, ROOT, &"elsewhere".into()).unwrap();
    editor.set_metadata(file, &metadata(3)).unwrap();
    editor.set_metadata(dir, &metadata(4)).unwrap();
    editor.set_metadata(ROOT, &Metadata { attributes: 0x6, ..metadata(5) }).unwrap();
    editor.make_file(dir, &"after".into(), None, &metadata(6), &[]).unwrap();
    editor.unlink(file, dir, &"a long file name".into()).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_metadata(file, &metadata(3));
    dump.assert_metadata(dir, &metadata(4)); // entries came and went: its own times stay
    dump.assert_metadata(ROOT, &Metadata { attributes: 0x6, ..metadata(5) });
}

#[test]
fn equal_calls_give_equal_bytes() {
    let test = "equal_calls_give_equal_bytes";
    let Some(base) = format(test, 16 * MIB, 4096) else { return };
    let zone = Name::from("zone");
    let run = || {
        let mut memory = base.clone();
        let source = memory.add_source(noise(100_000, 1));
        let mut editor = edit(memory);
        editor.reserve(300_000).unwrap();
        let dir = editor.make_directory(ROOT, &"dir".into(), Some(&"DIR".into()), &metadata(1), &[]).unwrap();
        for i in 0..300 {
            let mut meta = metadata(i);
            if i % 10 == 0 {
                meta.properties = vec![reparse(0x8000_0017, &noise(16, i)), ea(&[("A", b"b")])];
            }
            let data = [splice(source, 4096 * (i % 3), 5000 + i)];
            let streams = [runs(main_name(), 5000 + i, &data), inline(&zone, b"stream")];
            let name = format!("file number {i}");
            let id = editor.make_file(dir, &name.as_str().into(), None, &meta, &streams).unwrap();
            if i % 3 == 0 {
                editor.link(id, ROOT, &format!("link {i}").as_str().into()).unwrap();
            }
            if i % 7 == 0 {
                editor.unlink(id, dir, &name.as_str().into()).unwrap();
            }
        }
        editor.finish_into().unwrap()
    };
    let first = run();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let second = run();
    assert!(first.contents() == second.contents(), "two runs differ");
}

#[test]
fn two_volumes_are_edited_at_once() {
    let test = "two_volumes_are_edited_at_once";
    let Some(base) = format(test, 32 * MIB, 4096) else { return };
    let run = |memory: Memory| {
        let mut editor = edit(memory);
        for i in 0..2000 {
            let name = format!("file {i}");
            editor
                .make_file(
                    ROOT,
                    &name.as_str().into(),
                    None,
                    &metadata(i),
                    &[inline(main_name(), &noise(300, i))],
                )
                .unwrap();
        }
        editor.finish_into().unwrap()
    };
    let results: Vec<Memory> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| run(base.clone()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results[0].contents() == results[1].contents());
    dissect(test, &results[0]);
}

#[test]
fn a_failing_device_gives_its_own_error_and_ends_the_editing() {
    let test = "a_failing_device_gives_its_own_error_and_ends_the_editing";
    let Some(mut memory) = format(test, 16 * MIB, 4096) else { return };
    memory.fail_write = Some(100);
    let mut editor = edit(memory);
    let failed = (0..200).find_map(|i| {
        editor.make_file(ROOT, &format!("f{i}").as_str().into(), None, &metadata(i), &[]).err()
    });
    assert!(matches!(failed, Some(Error::Device(ref e)) if e.to_string().contains("cable")), "{failed:?}");
    let after = editor.make_file(ROOT, &"more".into(), None, &metadata(1), &[]);
    assert!(matches!(after, Err(Error::Library { operation: "continue", .. })), "{after:?}");
    assert!(editor.finish_into().is_err());
}

#[test]
fn a_panic_in_the_device_passes_through_the_library() {
    let test = "a_panic_in_the_device_passes_through_the_library";
    let Some(mut memory) = format(test, 16 * MIB, 4096) else { return };
    memory.panic_on_write = true;
    let mut editor = edit(memory);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        editor.make_file(ROOT, &"f".into(), None, &metadata(1), &[]).map(drop)
    }));
    let panic = caught.expect_err("the panic arrives");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a device that panics"));
}

#[test]
fn what_cannot_be_edited_is_refused_by_kind() {
    let test = "what_cannot_be_edited_is_refused_by_kind";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let damage = |at: u64, bytes: &[u8]| {
        use disk::BlockDevice;
        let mut damaged = memory.clone();
        damaged.write_at(at, bytes).unwrap();
        NtfsEditor::mount(damaged).err().expect("a refusal")
    };
    assert!(matches!(damage(3, b"EXFAT   "), Error::Refused(Refusal::NotThisFileSystem { .. })));
    assert!(matches!(damage(3, b"-FVE-FS-"), Error::Refused(Refusal::BitLocker)));
    let mut hibernated = edit(memory.clone());
    let image = [b"hibr".to_vec(), noise(8192, 1)].concat();
    make(&mut hibernated, "hiberfil.sys", &image);
    let refused = NtfsEditor::mount(hibernated.finish_into().unwrap()).err().expect("a refusal");
    assert!(matches!(refused, Error::Refused(Refusal::Hibernated { .. })), "{refused}");
    let mut editor = edit(memory.clone());
    assert_refused(editor.unlink(FileId(6), ROOT, &"$Bitmap".into()).and(Ok(())), "");
    assert_refused(editor.set_metadata(FileId(0), &metadata(1)), "file system itself");
    let file = make(&mut editor, "file", b"");
    assert_refused(editor.make_file(file, &"below".into(), None, &metadata(1), &[]), "no directory");
    assert_refused(editor.unlink(file, ROOT, &"another".into()), "no such name");
    assert_refused(
        editor.make_directory(ROOT, &"d".into(), None, &metadata(1), &[inline(main_name(), b"x")]),
        "named streams",
    );
    let long = [NewRun::Zero { len: 1 << 40 }];
    let full =
        editor.make_file(ROOT, &"huge".into(), None, &metadata(1), &[runs(main_name(), 1 << 40, &long)]);
    assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
}
