//! Volumes that Windows formatted and filled, changed by the editor.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

mod edit_support;
mod scan_support;

use disk::{BlockDevice, ByteSource, ExtentMap, Overlay, PageBudget, SourceId, SourceRange};
use edit_support::{descriptor, inline, main_name, metadata, noise, runs, splice};
use ntfs_volume::check::{CheckReport, check};
use ntfs_volume::edit::{NtfsEditor, ROOT, grow};
use operation::Silent;
use scan_support::{Set, images};
use std::collections::BTreeSet;
use std::sync::Arc;
use volume::{Error, Metadata, Name, Security, StreamData, VolumeEditor};

/// Changed pages over an image; source 1 is noise.
fn overlay(volume: scan_support::Volume, contents: &[u8]) -> Overlay {
    let mut map = ExtentMap::new(volume.len);
    map.splice(0, volume.len, SourceRange { source: SourceId(0), offset: 0 }).unwrap();
    let sources: Vec<Arc<dyn ByteSource>> =
        vec![Arc::new(volume), Arc::new(scan_support::Memory(contents.to_vec()))];
    Overlay::new(map, sources, PageBudget { bytes: 256 << 20, scratch_dir: std::env::temp_dir() }).unwrap()
}

fn findings(report: &CheckReport) -> BTreeSet<String> {
    report.findings.iter().map(|finding| format!("{finding:?}")).collect()
}

#[test]
fn a_layer_goes_onto_every_volume_that_windows_formatted() {
    let test = "a_layer_goes_onto_every_volume_that_windows_formatted";
    let contents = noise(1 << 20, 3);
    for volume in images(test, Set::Windows) {
        let (name, path) = (volume.name.clone(), volume.path.clone());
        let before = check(&volume, &Silent).unwrap();
        let free = ntfs_volume::facts(&volume).unwrap().free;
        let mut editor = match NtfsEditor::mount(overlay(volume, &contents)) {
            Ok(editor) => editor,
            Err(Error::Refused(refusal)) => {
                println!("{name} is refused: {refusal}");
                continue;
            }
            Err(error) => panic!("{name} ({}): {error}", path.display()),
        };
        let removed_journal = editor.remove_usn_journal().unwrap();
        let dir = editor
            .make_directory(ROOT, &"Lamina test".into(), Some(&"LAMINA~1".into()), &metadata(1), &[])
            .unwrap();
        let mut made = Vec::new();
        // The smallest image has 2 MiB; the largest clusters have as much.
        let cluster = editor.cluster();
        let count = (free / 2 / cluster.max(16 * 1024)).min(400);
        assert!(count >= 20, "{name}: room for {count} files");
        for i in 0..count {
            let file = Name::from(format!("file {i:04}.dll").as_str());
            let len = 200 + i * 37 % 9000;
            let data = [splice(SourceId(1), 4096 * (i % 200), len)];
            let meta =
                Metadata { security: Security::Descriptor(descriptor(1000 + i as u32 % 90)), ..metadata(i) };
            let id = editor.make_file(dir, &file, None, &meta, &[runs(main_name(), len, &data)]).unwrap();
            if i % 10 == 0 {
                editor.link(id, ROOT, &Name::from(format!("link {i}").as_str())).unwrap();
            }
            if i % 25 == 0 {
                editor.set_streams(id, &[inline(main_name(), b"replaced")]).unwrap();
            }
            made.push((id, meta, len));
        }
        let source = editor.finish_into().unwrap().freeze();
        let after = check(&source, &Silent).unwrap();
        let new: Vec<_> = findings(&after).difference(&findings(&before)).cloned().collect();
        assert!(new.is_empty(), "{name}: the checker finds {new:#?}");
        ntfs_volume::gate::check_state(&source).unwrap();

        let tree = ntfs_volume::scan::scan(&source, &Silent).unwrap();
        for (i, (id, meta, len)) in made.iter().enumerate() {
            let node = tree.node(*id).unwrap();
            assert_eq!(&node.metadata, meta, "{name}");
            let stream = &node.streams[0];
            if i % 25 == 0 {
                continue;
            }
            assert_eq!(stream.size, *len);
            let StreamData::Runs(found) = &stream.data else { panic!("{name}: spliced data is in clusters") };
            // Every byte of the clusters, the tail behind the end of the file too.
            let mut bytes = Vec::new();
            for run in found {
                let start = bytes.len();
                bytes.resize(start + run.len as usize, 0);
                source.read_exact_at(run.at.unwrap(), &mut bytes[start..]).unwrap();
            }
            let offset = 4096 * (i % 200);
            let mut expected = contents[offset..offset + *len as usize].to_vec();
            expected.resize(bytes.len(), 0);
            assert!(bytes == expected, "{name}: old contents shine through behind file {i}");
        }
        println!("{name}: edited; it had {} change journal", if removed_journal { "a" } else { "no" });
    }
}

#[test]
fn every_volume_that_windows_formatted_grows() {
    let test = "every_volume_that_windows_formatted_grows";
    for volume in images(test, Set::Windows) {
        let name = volume.name.clone();
        let before = check(&volume, &Silent).unwrap();
        let len = volume.len + (1 << 30) + 3 * 512;
        let mut device = overlay(volume, &[]);
        device.grow(len).unwrap();
        assert_eq!(BlockDevice::len(&device), len);
        let device = match grow(device, len) {
            Ok(device) => device,
            Err(Error::Refused(refusal)) => {
                println!("{name} is refused: {refusal}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let source = device.freeze();
        let after = check(&source, &Silent).unwrap();
        let new: Vec<_> = findings(&after).difference(&findings(&before)).cloned().collect();
        assert!(new.is_empty(), "{name}: the checker finds {new:#?}");
        let facts = ntfs_volume::facts(&source).unwrap();
        assert!(facts.len >= len - 1024 && facts.free > 1 << 29, "{name}: {facts:?}");
    }
}
