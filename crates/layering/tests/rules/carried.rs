//! Composition 4: what survives besides names and bytes.

use crate::bench::edit::show;
use crate::bench::snapshot::{Found, reparse};
use crate::bench::*;
use volume::{Name, Property, Times};

/// A layer with one file, composed: the file as it was installed, and as it is in the image.
fn carried(lab: &Lab, text: &str, change: impl FnOnce(&mut Edit)) -> (Found, Image) {
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    disk.edit(change);
    let installed = Snapshot::of(&disk).get(text).clone();
    lab.capture(&on("Windows"), layering::reference::LayerKind::App, "A@1", &disk);
    let image = lab.compose(&on("Windows").with("A"));
    (installed, image)
}

#[track_caller]
fn assert_carried(lab: &Lab, text: &str, change: impl FnOnce(&mut Edit)) -> Found {
    let (installed, image) = carried(lab, text, change);
    let found = image.get(text);
    assert_eq!(*found, installed, "{text}");
    installed
}

#[test]
fn security_descriptors_survive_and_a_change_of_one_alone_is_a_change() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\os.txt", noise(90_000, 1)).file("\\same.txt", "x");
    });
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.metadata("\\os.txt", |metadata| metadata.security = descriptor(77));
        disk.directory_with("\\Data", None, 0x10, 5)
            .file_with("\\Data\\own.txt", NewFile::new("x").security(9));
    });
    assert!(
        report.stored < 70_000,
        "contents of 90,000 bytes were there already, {} were stored",
        report.stored
    );
    let image = lab.compose(&on("Windows").with("A"));
    for (text, number) in [("\\os.txt", 77), ("\\Data", 5), ("\\Data\\own.txt", 9), ("\\same.txt", 0)] {
        assert_eq!(image.get(text).metadata.security, descriptor(number), "{text}");
    }
    assert_eq!(image.bytes("\\os.txt"), noise(90_000, 1));
}

#[test]
fn named_streams_survive_on_files_and_directories() {
    let lab = lab!();
    let (_, image) = carried(&lab, "\\a.txt", |disk| {
        let file =
            NewFile::new("main").stream("Zone.Identifier", "[ZoneTransfer]").stream("big", noise(100_000, 1));
        disk.file_with("\\a.txt", file).directory("\\Folder").stream("\\Folder", "icon", "a picture");
    });
    assert_eq!(image.stream("\\a.txt", "Zone.Identifier"), "[ZoneTransfer]");
    assert_eq!(image.get("\\a.txt").streams[&Name::from("big")].bytes, noise(100_000, 1));
    assert_eq!(image.stream("\\Folder", "icon"), "a picture");
}

#[test]
fn a_named_stream_added_to_a_directory_of_the_os_is_carried() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.directory("\\Folder").stream("\\Folder", "old", "old");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.stream("\\Folder", "icon", noise(20_000, 2));
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.get("\\Folder").streams[&Name::from("icon")].bytes, noise(20_000, 2));
    assert_eq!(image.stream("\\Folder", "old"), "old");
}

fn symbolic_link() -> Vec<u8> {
    // IO_REPARSE_TAG_SYMLINK ([MS-FSCC] 2.1.2.4), relative, to `x`.
    let mut value = 0xa000_000c_u32.to_le_bytes().to_vec();
    value.extend([0x10, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 1, 0, 0, 0, b'x', 0, b'x', 0]);
    value
}

#[test]
fn reparse_points_survive_on_files_and_directories() {
    let lab = lab!();
    let mut junction = 0xa000_0003_u32.to_le_bytes().to_vec();
    junction.extend([0x0c, 0, 0, 0, 0, 0, 2, 0, 4, 0, 0, 0, b'x', 0, 0, 0, 0, 0, 0, 0]);
    let (_, image) = carried(&lab, "\\link.txt", |disk| {
        disk.file_with("\\link.txt", NewFile::new("").property(Property::Reparse(symbolic_link().into())));
        disk.directory("\\Junction").metadata("\\Junction", |metadata| {
            metadata.properties = vec![Property::Reparse(junction.clone().into())];
        });
    });
    assert_eq!(reparse(image.get("\\link.txt")), Some(&symbolic_link()[..]));
    assert_eq!(reparse(image.get("\\Junction")), Some(&junction[..]));
}

#[test]
fn timestamps_survive_all_four_of_them() {
    let lab = lab!();
    let times = Times {
        created: 116_444_736_000_000_001,
        modified: 130_000_000_000_000_002,
        changed: 131_000_000_000_000_003,
        accessed: 132_000_000_000_000_004,
    };
    let installed = assert_carried(&lab, "\\old.txt", |disk| {
        disk.file_with("\\old.txt", NewFile { times: Some(times), ..NewFile::new("x") });
    });
    assert_eq!(installed.metadata.times, times);
}

#[test]
fn attributes_survive() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let all = [0x1, 0x2, 0x4, 0x20, 0x27, 0x80, 0x100, 0x2000, 0x2020, 0x8_0000, 0x10_0000];
    lab.app(&on("Windows"), "A@1", |disk| {
        for attributes in all {
            disk.file_with(&format!("\\{attributes:x}"), NewFile::new("x").attributes(attributes));
        }
        disk.directory_with("\\hidden", None, 0x16, 0);
    });
    let image = lab.compose(&on("Windows").with("A"));
    for attributes in all {
        assert_eq!(image.get(&format!("\\{attributes:x}")).metadata.attributes, attributes);
    }
    assert_eq!(image.get("\\hidden").metadata.attributes & 0x7, 0x6);
}

#[test]
fn extended_attributes_and_object_ids_survive() {
    let lab = lab!();
    // FILE_FULL_EA_INFORMATION: no next entry, no flags, name and value.
    let mut value = vec![0, 0, 0, 0, 0, 4, 5, 0];
    value.extend(b"LXUI\0value");
    value.resize(20, 0);
    let object = Property::ObjectId(noise(64, 3).into());
    let expected = vec![Property::ExtendedAttributes(value.into()), object];
    let set = expected.clone();
    let installed = assert_carried(&lab, "\\ea.txt", |disk| {
        let file = NewFile::new("x").property(set[0].clone()).property(set[1].clone());
        disk.file_with("\\ea.txt", file);
    });
    assert_eq!(installed.metadata.properties, expected);
}

#[test]
fn sparse_files_keep_their_holes() {
    let lab = lab!();
    let body = Body::Sparse(3 << 20, vec![(65_536, noise(65_536, 1)), (1 << 20, noise(100_000, 2))]);
    let installed = assert_carried(&lab, "\\sparse.bin", |disk| {
        disk.file_with("\\sparse.bin", NewFile::of(body).attributes(0x220));
    });
    let main = &installed.streams[&Name::default()];
    assert!(main.layout.iter().any(|(_, hole)| *hole), "{main:?}");
    assert_eq!(&main.bytes[1 << 20..(1 << 20) + 100_000], &noise(100_000, 2)[..]);
}

#[test]
fn a_sparse_file_that_is_all_hole_survives() {
    let lab = lab!();
    let installed = assert_carried(&lab, "\\hole.bin", |disk| {
        disk.file_with("\\hole.bin", NewFile::of(Body::Sparse(1 << 20, Vec::new())).attributes(0x220));
    });
    assert!(installed.streams[&Name::default()].bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn what_was_never_written_of_a_file_stays_unwritten() {
    let lab = lab!();
    let installed = assert_carried(&lab, "\\preallocated.bin", |disk| {
        disk.file_with("\\preallocated.bin", NewFile::of(Body::Valid(300_000, noise(10_000, 1))));
    });
    assert_eq!(installed.streams[&Name::default()].valid, 10_000);
}

#[test]
fn files_compressed_with_lznt1_are_carried_verbatim() {
    let lab = lab!();
    let installed = assert_carried(&lab, "\\compressed.bin", |disk| {
        let body = Body::Compressed(b'A', noise(65_536, 1));
        disk.file_with("\\compressed.bin", NewFile::of(body).attributes(0x820));
    });
    let main = &installed.streams[&Name::default()];
    assert!(main.flags.compressed && main.bytes[..65_536].iter().all(|&byte| byte == b'A'), "{main:?}");
    assert_eq!(main.layout, [(4096, false), (61_440, true), (65_536, false)]);
}

#[test]
fn files_that_windows_compressed_through_its_overlay_filter_are_carried_verbatim() {
    let lab = lab!();
    // IO_REPARSE_TAG_WOF with WOF_EXTERNAL_INFO version 1, provider FILE, version 1, algorithm XPRESS4K.
    let mut tag = 0x8000_0017_u32.to_le_bytes().to_vec();
    tag.extend([0x10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let reparse_value = Property::Reparse(tag.into());
    let installed = assert_carried(&lab, "\\notepad.exe", |disk| {
        let body = Body::Sparse(200_000, Vec::new());
        let file = NewFile::of(body).stream("WofCompressedData", noise(60_000, 1)).attributes(0x220);
        disk.file_with("\\notepad.exe", file.property(reparse_value));
    });
    assert_eq!(installed.streams[&Name::from("WofCompressedData")].bytes, noise(60_000, 1));
    assert_eq!(installed.streams[&Name::default()].size, 200_000);
}

#[test]
fn a_file_in_many_pieces_survives() {
    let lab = lab!();
    let bytes = noise(400 * 4096, 1);
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        // Every second of many small files goes, so that a large one has to lie in the gaps.
        for number in 0..1200 {
            volume.file(&format!("\\fill\\{number:04}"), noise(4096, number));
        }
        volume.file("\\fill\\rest", noise(17 << 20, 9));
        for number in (0..1200).step_by(2) {
            volume.delete(&format!("\\fill\\{number:04}"));
        }
        volume.file("\\scattered.bin", &bytes);
        volume.delete("\\fill");
    });
    lab.capture(&on("Windows"), layering::reference::LayerKind::App, "A@1", &disk);
    assert_eq!(lab.compose(&on("Windows").with("A")).bytes("\\scattered.bin"), bytes);
}

#[test]
fn a_directorys_own_metadata_is_carried_only_if_it_was_changed() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.directory_with("\\Plain", None, 0x10, 1).directory_with("\\Tuned", None, 0x10, 1);
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\Plain\\a.txt", "a").file("\\Tuned\\a.txt", "a");
        disk.metadata("\\Tuned", |metadata| metadata.security = descriptor(42));
    });
    // The OS changes both later: what the layer did not touch is the OS's.
    let mut expected = Times::default();
    lab.os_after(&first, "Windows@2", |disk| {
        for text in ["\\Plain", "\\Tuned"] {
            disk.metadata(text, |metadata| {
                metadata.security = descriptor(7);
                metadata.attributes = 0x2;
                metadata.times.created = 5;
                metadata.times.modified = 6;
                expected = metadata.times;
            });
        }
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    let plain = &image.get("\\Plain").metadata;
    assert_eq!((&plain.security, plain.attributes & 0x7), (&descriptor(7), 0x2));
    assert_eq!((plain.times.created, plain.times.modified), (5, 6), "entries came and went without a trace");
    let tuned = &image.get("\\Tuned").metadata;
    assert_eq!(
        (&tuned.security, tuned.attributes & 0x7),
        (&descriptor(42), 0x2),
        "only the descriptor was changed"
    );
    assert_eq!(tuned.times, expected);
}

#[test]
fn recorded_metadata_of_a_directory_is_used_where_the_target_lacks_it() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.directory_with("\\Data", Some("DATA~1"), 0x12, 33);
    });
    let expected = Snapshot::of(&first).get("\\Data").metadata.clone();
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\Data\\a.txt", "a");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.delete("\\Data");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.get("\\Data").metadata, expected);
    assert_eq!(image.short("\\Data").as_deref(), Some("DATA~1"));
}

#[test]
fn the_times_of_a_directory_that_changed_are_carried() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.directory("\\Data");
    });
    let now = tick();
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\Data\\a.txt", "a").metadata("\\Data", |metadata| metadata.times.modified = now);
    });
    assert_eq!(lab.compose(&on("Windows").with("A")).get("\\Data").metadata.times.modified, now);
}

#[test]
fn names_of_every_kind_survive() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let names: Vec<Name> = [
        &[0x6e; 255][..],
        &[0xd83d, 0xde00, 0x20, 0xd83d],
        &[0xdc00, 0x41],
        &[0x43, 0x4f, 0x4e],
        &[0x74, 0x2e],
        &[0x20, 0x78],
        &[0x6100, 0xffff, 0x1],
    ]
    .iter()
    .map(|units| Name::from_utf16(units))
    .collect();
    lab.app(&on("Windows"), "A@1", |disk| {
        for (number, name) in names.iter().enumerate() {
            disk.file_at(std::slice::from_ref(name), NewFile::new(number.to_string()));
            disk.file_at(&["dir".into(), name.clone(), name.clone()], NewFile::new(number.to_string()));
        }
    });
    let image = lab.compose(&on("Windows").with("A"));
    for (number, name) in names.iter().enumerate() {
        for path in [vec![name.clone()], vec!["dir".into(), name.clone(), name.clone()]] {
            let found = image.entries.get(&path).unwrap_or_else(|| panic!("{}", show(&path)));
            assert_eq!(found.streams[&Name::default()].bytes, number.to_string().as_bytes());
        }
    }
}

#[test]
fn an_object_id_that_two_layers_bring_is_given_to_one_and_reported() {
    let lab = lab!();
    let object = || Property::ObjectId(noise(16, 3).into());
    lab.os("Windows@1", |disk| {
        disk.file_with("\\moved.txt", NewFile::new("x").property(object()));
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\moved.txt");
        disk.file_with("\\A\\moved.txt", NewFile::new("x").property(object()));
    });
    lab.app(&on("Windows"), "B@1", |disk| {
        disk.file("\\moved.txt", "changed where it was");
    });
    let image = lab.compose(&on("Windows").with("A").with("B"));
    assert_eq!(image.text("\\A\\moved.txt"), "x");
    assert_eq!(image.text("\\moved.txt"), "changed where it was");
    let holders: Vec<_> =
        image.entries.values().filter(|found| !found.metadata.properties.is_empty()).collect();
    assert_eq!(holders.len(), 1, "{holders:#?}");
    assert_eq!(warned(&image.report.warnings, "object-id-dropped").len(), 1);
    // Alone each has it.
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.get("\\A\\moved.txt").metadata.properties, [object()]);
    assert_eq!(codes(&image.report.warnings), [""; 0]);
}
