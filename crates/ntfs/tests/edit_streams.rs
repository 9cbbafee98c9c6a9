//! Contents: spliced, written, sparse, compressed, encrypted; read back by dissect.ntfs, the Rust `ntfs` crate,
//! sleuthkit and 7-Zip.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

mod edit_support;

use disk::{ByteSource, SourceId};
use edit_support::*;
use ntfs_volume::edit::{NtfsEditor, ROOT};
use std::process::Command;
use volume::{
    Error, FileId, Metadata, Name, NewData, NewRun, NewStream, Property, StreamFlags, VolumeEditor,
};

const MIB: u64 = 1 << 20;

/// A soiled volume with 4 MiB of noise as a source.
fn soiled(test: &str, len: u64, cluster: u64) -> Option<(NtfsEditor<Memory>, SourceId, Vec<u8>)> {
    let mut memory = format(test, len, cluster)?;
    memory.soil_free_space();
    let bytes = noise(4 * MIB as usize, 42);
    let source = memory.add_source(bytes.clone());
    Some((edit(memory), source, bytes))
}

#[test]
fn spliced_files_of_every_length_read_back_at_every_cluster_size() {
    for cluster in [512, 1024, 4096, 65536] {
        let test = "spliced_files_of_every_length_read_back_at_every_cluster_size";
        let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, cluster) else { return };
        assert_eq!(editor.cluster(), cluster);
        editor.reserve(3 * MIB).unwrap();
        let lengths = [1, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 200_001];
        let mut made = Vec::new();
        for (i, &len) in lengths.iter().enumerate() {
            let data = [splice(source, 4096 * i as u64, len)];
            let name = Name::from(format!("spliced {len}").as_str());
            let id = editor
                .make_file(ROOT, &name, None, &metadata(len), &[runs(main_name(), len, &data)])
                .unwrap();
            made.push((id, bytes[4096 * i..][..len as usize].to_vec()));
        }
        for len in [0, 1, 100, 600, 700, 800, 1000, 5000, 70_000] {
            let contents = noise(len, len as u64);
            let id = make(&mut editor, &format!("written {len}"), &contents);
            made.push((id, contents));
        }
        let memory = editor.finish_into().unwrap();
        assert_no_soil(&memory, made.iter().map(|made| made.0));
        let Some(dump) = dissect(test, &memory) else { return };
        for (id, contents) in &made {
            dump.assert_stream(*id, "", contents);
        }
        read_with_the_ntfs_crate(&memory, &made);
    }
}

#[test]
fn clusters_of_two_mebibytes_are_filled_in_part_and_zero_behind() {
    let test = "clusters_of_two_mebibytes_are_filled_in_part_and_zero_behind";
    let Some(mut memory) = format(test, 1024 * MIB, 2 * MIB) else { return };
    let bytes = noise(3 * MIB as usize, 7);
    let source = memory.add_source(bytes.clone());
    let mut editor = edit(memory);
    let dir = editor.make_directory(ROOT, &"dir".into(), None, &metadata(1), &[]).unwrap();
    let mut made = Vec::new();
    for len in [1, 5000, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 3 * MIB] {
        let data = [splice(source, 0, len)];
        let name = Name::from(format!("spliced {len}").as_str());
        let id =
            editor.make_file(dir, &name, None, &metadata(len), &[runs(main_name(), len, &data)]).unwrap();
        made.push((id, bytes[..len as usize].to_vec()));
    }
    // Enough names for a tree of index blocks, which are far smaller than a cluster.
    for i in 0..200 {
        let name = Name::from(format!("a file whose name is there for the index, {i}").as_str());
        editor.make_file(dir, &name, None, &metadata(i), &[]).unwrap();
    }
    let memory = editor.finish_into().unwrap();
    assert_no_soil(&memory, made.iter().map(|made| made.0));
    let Some(dump) = dissect(test, &memory) else { return };
    for (id, contents) in &made {
        dump.assert_stream(*id, "", contents);
    }
    read_with_the_ntfs_crate(&memory, &made);
}

/// No cluster of the nodes holds what it held before them.
fn assert_no_soil(memory: &Memory, nodes: impl IntoIterator<Item = FileId>) {
    let tree = ntfs_volume::scan::scan(memory, &operation::Silent).unwrap();
    let mut checked = 0;
    for id in nodes {
        for stream in &tree.node(id).unwrap().streams {
            let volume::StreamData::Runs(runs) = &stream.data else { continue };
            for run in runs {
                let Some(at) = run.at else { continue };
                let mut bytes = vec![0; run.len as usize];
                memory.read_exact_at(at, &mut bytes).unwrap();
                assert!(
                    !bytes.windows(8).any(|window| window == b"PPPPPPPP"),
                    "node {} shows old contents",
                    id.0
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "nothing was checked");
}

fn read_with_the_ntfs_crate(memory: &Memory, made: &[(FileId, Vec<u8>)]) {
    use ntfs::{Ntfs, NtfsReadSeek};
    let image = tempfile::NamedTempFile::new().unwrap();
    memory.save(image.path());
    let mut file = std::io::BufReader::new(std::fs::File::open(image.path()).unwrap());
    let mut volume = Ntfs::new(&mut file).unwrap();
    volume.read_upcase_table(&mut file).unwrap();
    for (id, contents) in made {
        let node = volume.file(&mut file, id.0).unwrap();
        let data = node.data(&mut file, "").unwrap().unwrap();
        let mut value = data.to_attribute().unwrap().value(&mut file).unwrap();
        assert_eq!(value.len(), contents.len() as u64);
        let mut bytes = vec![0; contents.len()];
        value.read_exact(&mut file, &mut bytes).unwrap();
        assert!(bytes == *contents, "the ntfs crate reads something else from node {}", id.0);
    }
}

#[test]
fn sparse_streams_keep_their_holes_exactly() {
    let test = "sparse_streams_keep_their_holes_exactly";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let sparse = StreamFlags { sparse: true, unit_shift: 4, ..StreamFlags::default() };
    let data = [
        splice(source, 0, 65536),
        NewRun::Hole { len: 40 * MIB },
        NewRun::Zero { len: 65536 },
        splice(source, 65536, 60_000),
    ];
    let size = 65536 + 40 * MIB + 65536 + 60_000;
    let stream =
        NewStream { name: main_name(), size, valid: size, flags: sparse, data: NewData::Runs(&data) };
    let hollow = NewStream {
        name: &"hollow".into(),
        size: 10 * MIB,
        valid: 0,
        flags: sparse,
        data: NewData::Runs(&[NewRun::Hole { len: 10 * MIB }]),
    };
    let meta = Metadata { attributes: 0x220, ..metadata(1) };
    let id = editor.make_file(ROOT, &"sparse".into(), None, &meta, &[stream, hollow]).unwrap();
    let memory = editor.finish_into().unwrap();
    assert_no_soil(&memory, [id]);
    let mut expected = vec![0; size as usize];
    expected[..65536].copy_from_slice(&bytes[..65536]);
    expected[size as usize - 60_000..].copy_from_slice(&bytes[65536..65536 + 60_000]);
    read_with_the_ntfs_crate(&memory, &[(id, expected.clone())]);
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_metadata(id, &meta);
    dump.assert_stream(id, "", &expected);
    let stream = dump.stream(id, "");
    let holes: u64 = stream["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r[0] == -1)
        .map(|r| r[1].as_u64().unwrap())
        .sum();
    // 60,000 bytes are 15 clusters; the last of a unit of 16 is a hole.
    assert_eq!(holes, 40 * 256 + 1);
    assert_eq!(stream["compressed"], (16 + 16 + 15) * 4096);
    assert_eq!(stream["flags"], 0x8000);
    assert_eq!(stream["unit"], 4);
    let hollow = dump.stream(id, "hollow");
    assert_eq!((&hollow["valid"], &hollow["compressed"]), (&0.into(), &0.into()));
}

/// One compression unit of 64 KiB that LZNT1 makes small: a repeated line, by the chunk format of [MS-XCA] 2.5.
fn lznt1_unit_of_zeros_and_text() -> (Vec<u8>, Vec<u8>) {
    let mut plain = Vec::new();
    let mut packed = Vec::new();
    for chunk in 0..16_u8 {
        // One literal, then copies of it: displacement 1, length as long as the rules allow.
        let byte = b'a' + chunk;
        plain.extend([byte; 4096]);
        // Flag group: literal, then a phrase token. At position 1 there are 12 bits of length: 4095 - 3.
        let body = [0b10, byte, 0xfc, 0x0f];
        packed.extend((0xb000 | (body.len() as u16 - 1)).to_le_bytes());
        packed.extend(body);
    }
    (plain, packed)
}

#[test]
fn compressed_streams_are_spliced_unit_by_unit() {
    let test = "compressed_streams_are_spliced_unit_by_unit";
    let Some(mut memory) = format(test, 64 * MIB, 4096) else { return };
    memory.soil_free_space();
    let (plain, packed) = lznt1_unit_of_zeros_and_text();
    let raw = noise(65536, 9);
    let mut pack = packed.clone();
    pack.resize(4096, 0);
    pack.extend(&raw);
    let source = memory.add_source(pack);
    let mut editor = edit(memory);
    // A packed unit, a unit of raw bytes, a unit of zeros, a packed unit: then a short tail that is packed too.
    let data = [
        splice(source, 0, 4096),
        NewRun::Hole { len: 15 * 4096 },
        splice(source, 4096, 65536),
        NewRun::Hole { len: 65536 },
        splice(source, 0, 4096),
        NewRun::Hole { len: 15 * 4096 },
    ];
    let size = 3 * 65536 + 50_000;
    let flags = StreamFlags { compressed: true, unit_shift: 4, ..StreamFlags::default() };
    let stream = NewStream { name: main_name(), size, valid: size, flags, data: NewData::Runs(&data) };
    let meta = Metadata { attributes: 0x820, ..metadata(1) };
    let id = editor.make_file(ROOT, &"compressed".into(), None, &meta, &[stream]).unwrap();
    let dir = editor
        .make_directory(
            ROOT,
            &"compressed dir".into(),
            None,
            &Metadata { attributes: 0x800, ..metadata(2) },
            &[],
        )
        .unwrap();
    editor
        .make_file(dir, &"not compressed".into(), None, &metadata(3), &[inline(main_name(), &noise(3000, 1))])
        .unwrap();
    let memory = editor.finish_into().unwrap();
    let mut expected = plain.clone();
    expected.extend(&raw);
    expected.extend(vec![0; 65536]);
    expected.extend(&plain[..50_000]);
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_metadata(id, &meta);
    let stream = dump.stream(id, "");
    assert_eq!((&stream["flags"], &stream["unit"]), (&1.into(), &4.into()));
    assert_eq!(stream["compressed"], 4096 * 18);
    dump.assert_stream(id, "", &expected);
    assert_ntfscat(test, &memory, id, &expected);
}

/// ntfscat is the same library as ours, but decompresses by itself and checks the flags.
fn assert_ntfscat(test: &str, memory: &Memory, id: FileId, expected: &[u8]) {
    let image = tempfile::NamedTempFile::new().unwrap();
    memory.save(image.path());
    let command = Command::new("ntfscat").args(["-f", "-i", &id.0.to_string()]).arg(image.path()).output();
    let Ok(output) = command else { return println!("SKIPPED {test}: ntfscat is not installed") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == expected, "ntfscat reads something else");
}

#[test]
fn encrypted_streams_are_carried_as_they_are() {
    let test = "encrypted_streams_are_carried_as_they_are";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let flags = StreamFlags { encrypted: true, ..StreamFlags::default() };
    let data = [splice(source, 0, 8192)];
    let stream = NewStream { name: main_name(), size: 5000, valid: 5000, flags, data: NewData::Runs(&data) };
    let meta =
        Metadata { attributes: 0x4020, properties: vec![Property::Efs(noise(600, 3).into())], ..metadata(1) };
    let id = editor.make_file(ROOT, &"secret".into(), None, &meta, &[stream]).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_metadata(id, &meta);
    assert_eq!(dump.stream(id, "")["flags"], 0x4000);
    assert_eq!(dump.stream(id, "")["allocated"], 8192);
    dump.assert_stream(id, "", &bytes[..5000]);
}

#[test]
fn a_file_with_three_thousand_runs_has_an_attribute_list() {
    let test = "a_file_with_three_thousand_runs_has_an_attribute_list";
    let Some((mut editor, source, bytes)) = soiled(test, 128 * MIB, 4096) else { return };
    let flags = StreamFlags { sparse: true, unit_shift: 0, ..StreamFlags::default() };
    let mut data = Vec::new();
    let mut expected = Vec::new();
    for i in 0..3000 {
        data.push(splice(source, 4096 * (i % 900), 4096));
        expected.extend(&bytes[4096 * (i as usize % 900)..][..4096]);
        data.push(NewRun::Hole { len: 4096 * (1 + i % 5) });
        expected.extend(vec![0; 4096 * (1 + i as usize % 5)]);
    }
    let size = expected.len() as u64;
    let stream = |name| NewStream { name, size, valid: size, flags, data: NewData::Runs(&data) };
    let other = Name::from("as a named stream");
    let small = inline(&other, b"small beside it");
    let meta = Metadata { attributes: 0x220, ..metadata(1) };
    let id =
        editor.make_file(ROOT, &"fragmented".into(), None, &meta, &[stream(main_name()), small]).unwrap();
    let named = editor.make_file(ROOT, &"named".into(), None, &metadata(2), &[stream(&other)]).unwrap();
    let replaced = editor.make_file(ROOT, &"replaced".into(), None, &meta, &[stream(main_name())]).unwrap();
    editor.set_streams(replaced, &[inline(main_name(), b"now small")]).unwrap();
    let doomed = editor.make_file(ROOT, &"doomed".into(), None, &meta, &[stream(main_name())]).unwrap();
    editor.unlink(doomed, ROOT, &"doomed".into()).unwrap();
    let memory = editor.finish_into().unwrap();
    let tree = ntfs_volume::scan::scan(&memory, &operation::Silent).unwrap();
    assert_eq!(tree.node(id).unwrap().streams[0].size, size);
    let Some(dump) = dissect(test, &memory) else { return };
    assert!(dump.node(id)["spread"].as_bool().unwrap());
    dump.assert_metadata(id, &meta);
    dump.assert_stream(id, "", &expected);
    dump.assert_stream(id, "as a named stream", b"small beside it");
    dump.assert_stream(named, "as a named stream", &expected);
    dump.assert_stream(replaced, "", b"now small");
    assert!(!dump.node(replaced)["spread"].as_bool().unwrap(), "the attribute list goes with its need");
    assert_ntfscat(test, &memory, id, &expected);
}

#[test]
fn a_windows_overlay_compressed_file_is_carried_verbatim() {
    let test = "a_windows_overlay_compressed_file_is_carried_verbatim";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let mut tag = 0x8000_0017_u32.to_le_bytes().to_vec();
    tag.extend([16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let meta = Metadata { attributes: 0x620, properties: vec![Property::Reparse(tag.into())], ..metadata(1) };
    let sparse = StreamFlags { sparse: true, unit_shift: 4, ..StreamFlags::default() };
    let hole = [NewRun::Hole { len: 983_040 }];
    let packed = [splice(source, 0, 123_456)];
    let name = Name::from("WofCompressedData");
    let streams = [
        NewStream { name: main_name(), size: 970_000, valid: 0, flags: sparse, data: NewData::Runs(&hole) },
        runs(&name, 123_456, &packed),
    ];
    let id = editor.make_file(ROOT, &"wof.exe".into(), None, &meta, &streams).unwrap();
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_metadata(id, &meta);
    dump.assert_stream(id, "WofCompressedData", &bytes[..123_456]);
    assert_eq!(dump.stream(id, "")["compressed"], 0);
    assert_eq!(dump.stream(id, "")["size"], 970_000);
    assert_eq!(dump.node(id)["names"][0]["tag"], 0x8000_0017_u32);
}

#[test]
fn named_streams_of_files_and_directories_are_kept_and_replaced() {
    let test = "named_streams_of_files_and_directories_are_kept_and_replaced";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let zone = Name::from("Zone.Identifier");
    let big = Name::from("big");
    let data = [splice(source, 8192, 50_000)];
    let streams = [
        inline(main_name(), &bytes[..300]),
        inline(&zone, b"[ZoneTransfer]\r\nZoneId=3\r\n"),
        runs(&big, 50_000, &data),
    ];
    let id = editor.make_file(ROOT, &"file".into(), None, &metadata(1), &streams).unwrap();
    let dir = editor.make_directory(ROOT, &"dir".into(), None, &metadata(2), &streams[1..]).unwrap();
    let other = editor.make_file(dir, &"other".into(), None, &metadata(3), &streams).unwrap();
    editor.set_streams(other, &[runs(main_name(), 50_000, &data), inline(&big, b"small now")]).unwrap();
    editor.set_streams(dir, &[inline(&big, &bytes[..2000])]).unwrap();
    // So many that only an attribute list can hold them.
    let names: Vec<Name> = (0..100).map(|i| Name::from(format!("stream number {i}").as_str())).collect();
    let many: Vec<_> = names.iter().map(|name| inline(name, &bytes[..200])).collect();
    let crowded =
        editor.make_file(ROOT, &"crowded".into(), Some(&"CROWDE~1".into()), &metadata(4), &many).unwrap();
    editor.link(crowded, dir, &"one more name".into()).unwrap();
    editor.set_metadata(crowded, &metadata(5)).unwrap();
    let memory = editor.finish_into().unwrap();
    assert_no_soil(&memory, [id, dir, other, crowded]);
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_stream(id, "", &bytes[..300]);
    for node in [id, dir] {
        if node == id {
            dump.assert_stream(node, "Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n");
            dump.assert_stream(node, "big", &bytes[8192..58_192]);
        }
    }
    dump.assert_stream(dir, "big", &bytes[..2000]);
    assert!(dump.stream(dir, "Zone.Identifier").is_null() && dump.stream(other, "Zone.Identifier").is_null());
    dump.assert_stream(other, "", &bytes[8192..58_192]);
    dump.assert_stream(other, "big", b"small now");
    for i in 0..100 {
        dump.assert_stream(crowded, &format!("stream number {i}"), &bytes[..200]);
    }
    dump.assert_metadata(id, &metadata(1));
    dump.assert_metadata(dir, &metadata(2));
    dump.assert_metadata(other, &metadata(3));
    dump.assert_metadata(crowded, &metadata(5));
}

#[test]
fn what_was_never_written_of_a_stream_stays_so() {
    let test = "what_was_never_written_of_a_stream_stays_so";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let data = [splice(source, 0, 8192)];
    let mut stream = runs(main_name(), 100_000, &data);
    stream.valid = 6000;
    let id = editor.make_file(ROOT, &"preallocated".into(), None, &metadata(1), &[stream]).unwrap();
    let zeros = [NewRun::Zero { len: 33_000 }];
    let zero = editor
        .make_file(ROOT, &"zeros".into(), None, &metadata(2), &[runs(main_name(), 33_000, &zeros)])
        .unwrap();
    let memory = editor.finish_into().unwrap();
    assert_no_soil(&memory, [id, zero]);
    let Some(dump) = dissect(test, &memory) else { return };
    assert_eq!(dump.stream(id, "")["valid"], 6000);
    assert_eq!(dump.stream(id, "")["size"], 100_000);
    dump.assert_stream(zero, "", &vec![0; 33_000]);
    // What lies beyond the valid length is the reader's to zero; the clusters behind the splice are zero all the same.
    let mut whole = bytes[..8192].to_vec();
    whole.resize(100_000, 0);
    dump.assert_stream(id, "", &whole);
}

#[test]
fn removed_contents_leave_nothing_on_the_device() {
    let test = "removed_contents_leave_nothing_on_the_device";
    let Some(mut memory) = format(test, 64 * MIB, 4096) else { return };
    let secret = b"TOP SECRET CONTENT".repeat(20_000);
    let source = memory.add_source(secret.clone());
    let mut editor = edit(memory);
    let data = [splice(source, 0, secret.len() as u64)];
    let len = secret.len() as u64;
    let stream = Name::from("stream");
    let first = editor
        .make_file(
            ROOT,
            &"removed".into(),
            None,
            &metadata(1),
            &[runs(main_name(), len, &data), runs(&stream, len, &data)],
        )
        .unwrap();
    let second = editor
        .make_file(ROOT, &"overwritten".into(), None, &metadata(1), &[runs(main_name(), len, &data)])
        .unwrap();
    let third = editor
        .make_file(ROOT, &"made again".into(), None, &metadata(1), &[runs(main_name(), len, &data)])
        .unwrap();
    editor.unlink(first, ROOT, &"removed".into()).unwrap();
    editor.set_streams(second, &[inline(main_name(), b"harmless")]).unwrap();
    editor.unlink(third, ROOT, &"made again".into()).unwrap();
    let again = make(&mut editor, "made again", b"harmless too");
    let memory = editor.finish_into().unwrap();
    for (page, bytes) in memory.contents() {
        assert!(!bytes.windows(18).any(|w| w == b"TOP SECRET CONTENT"), "page {page} still has it");
    }
    let Some(dump) = dissect(test, &memory) else { return };
    dump.assert_stream(second, "", b"harmless");
    dump.assert_stream(again, "", b"harmless too");
}

#[test]
fn a_full_volume_says_so() {
    let test = "a_full_volume_says_so";
    let Some((mut editor, source, _)) = soiled(test, 16 * MIB, 4096) else { return };
    let data = [splice(source, 0, 2 * MIB)];
    let failed = (0..20).find_map(|i| {
        let name = format!("big {i}");
        editor
            .make_file(ROOT, &name.as_str().into(), None, &metadata(i), &[runs(main_name(), 2 * MIB, &data)])
            .err()
    });
    assert!(matches!(failed, Some(Error::Full { needed, .. }) if needed == 2 * MIB), "{failed:?}");
}

#[test]
fn contradictory_streams_are_refused() {
    let test = "contradictory_streams_are_refused";
    let Some((mut editor, source, _)) = soiled(test, 16 * MIB, 4096) else { return };
    let mut refused = |stream: NewStream<'_>| {
        let result = editor.make_file(ROOT, &"bad".into(), None, &metadata(1), &[stream]);
        assert!(matches!(result, Err(Error::NotExpressible { .. })), "{result:?}");
    };
    refused(NewStream { size: 5, ..inline(main_name(), b"four") });
    refused(NewStream { valid: 5, ..inline(main_name(), b"four") });
    refused(runs(main_name(), 9000, &[splice(source, 0, 100), splice(source, 100, 8900)]));
    refused(runs(main_name(), 100, &[splice(source, 0, 9000)]));
    refused(inline(&Name::from_utf16(&[0x61; 256]), b""));
    let twice = [inline(main_name(), b"1"), inline(main_name(), b"2")];
    assert!(editor.make_file(ROOT, &"bad".into(), None, &metadata(1), &twice).is_err());
    // Nothing was changed by any of them.
    make(&mut editor, "bad", b"good");
    dissect(test, &editor.finish_into().unwrap());
}

#[test]
fn other_programs_list_and_read_the_volume() {
    let test = "other_programs_list_and_read_the_volume";
    let Some((mut editor, source, bytes)) = soiled(test, 64 * MIB, 4096) else { return };
    let dir = editor.make_directory(ROOT, &"dir".into(), None, &metadata(1), &[]).unwrap();
    for i in 0..300 {
        let len = 10_000 + i;
        let data = [splice(source, 4096 * i, len)];
        let name = format!("file {i:04}.bin");
        editor
            .make_file(
                dir,
                &name.as_str().into(),
                Some(&format!("FILE~{i}.BIN").as_str().into()),
                &metadata(i),
                &[runs(main_name(), len, &data)],
            )
            .unwrap();
    }
    let memory = editor.finish_into().unwrap();
    let image = tempfile::NamedTempFile::with_suffix(".img").unwrap();
    memory.save(image.path());
    let run = |program: &str, arguments: &[&str]| match Command::new(program)
        .args(arguments)
        .arg(image.path())
        .output()
    {
        Ok(output) => Some(output),
        Err(_) => {
            println!("SKIPPED {test}: {program} is not installed");
            None
        }
    };
    if let Some(output) = run("fls", &["-r", "-p", "-f", "ntfs"]) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for i in 0..300 {
            assert!(text.contains(&format!("dir/file {i:04}.bin")), "fls misses {i}");
        }
    }
    if let Some(output) = run("7z", &["t", "-tntfs"]) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Everything is Ok"), "{text}");
    }
    if let Some(output) = run("7z", &["e", "-so", "-tntfs", "-i!dir/file 0123.bin"]) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == bytes[4096 * 123..][..10_123], "7z reads something else");
    }
    if let Some(output) = run("ntfsresize", &["--info", "--force", "--no-progress-bar"]) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    dissect(test, &memory);
}

#[test]
fn the_change_journal_is_removed() {
    let test = "the_change_journal_is_removed";
    let Some((mut editor, source, _)) = soiled(test, 32 * MIB, 4096) else { return };
    assert!(!editor.remove_usn_journal().unwrap());
    let data = [splice(source, 0, 100_000)];
    let (max, j) = (Name::from("$Max"), Name::from("$J"));
    let streams = [inline(&max, &[0; 32]), runs(&j, 100_000, &data)];
    let journal = editor.make_file(FileId(11), &"$UsnJrnl".into(), None, &metadata(1), &streams).unwrap();
    assert!(editor.remove_usn_journal().unwrap());
    assert!(!editor.remove_usn_journal().unwrap());
    let memory = editor.finish_into().unwrap();
    let Some(dump) = dissect(test, &memory) else { return };
    assert!(dump.node(journal).is_null());
}
