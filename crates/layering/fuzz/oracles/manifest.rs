//! Manifests from hostile bytes: decoding never panics; what decodes is the same after being encoded and decoded again,
//! every position in it leads somewhere, and its amounts add up. What it changes in a hive can be applied to another
//! one, which is a sound hive afterwards.

use hive::{Hive, Name, NoLists, Tree, Upcase};
use layering::manifest::{ContentRecord, Manifest};

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    let Ok(manifest) = Manifest::decode(input) else { return };
    let encoded = manifest.encode();
    assert_eq!(Manifest::decode(&encoded).expect("what was decoded encodes"), manifest);
    assert_eq!(Manifest::decode(&encoded).unwrap().encode(), encoded);
    let count = manifest.directories.len();
    for position in 0..count {
        assert!(manifest.directory_path(position as u32).len() <= position);
        assert!(manifest.directories[position].metadata.resolve(&manifest.securities).is_some());
    }
    for file in &manifest.files {
        assert!(file.metadata.resolve(&manifest.securities).is_some());
        for name in file.names.iter().chain(&file.lower_names) {
            assert!(manifest.display_path(name.directory, &name.name).starts_with('\\'));
        }
    }
    for deletion in &manifest.deletions {
        manifest.display_path(deletion.directory, &deletion.name);
    }
    let streams = manifest.files.iter().flat_map(|file| &file.streams);
    for stream in streams.chain(manifest.directories.iter().flat_map(|directory| &directory.streams)) {
        assert!(stream.valid <= stream.size);
        match &stream.content {
            ContentRecord::Inline(bytes) => assert_eq!(bytes.len() as u64, stream.size),
            ContentRecord::Stored { len, pieces, layout, .. } => {
                let sum = |lens: Vec<u64>| lens.into_iter().try_fold(0u64, u64::checked_add);
                let data = sum(layout.iter().filter(|part| !part.hole).map(|part| part.len).collect());
                let whole = sum(layout.iter().map(|part| part.len).collect());
                assert!(whole.is_some() && (layout.is_empty() || data == Some(*len)));
                assert!(
                    pieces.is_empty() || sum(pieces.iter().map(|piece| piece.len).collect()) == Some(*len)
                );
            }
        }
    }
    for record in &manifest.hives {
        assert!(record.delta.verify().is_ok());
        manifest.display_path(record.directory, &record.name);
        let upcase = Upcase::unicode();
        let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
        tree.apply(&record.delta, &NoLists);
        // a hive has limits that a change does not have
        let Ok(written) = tree.write() else { continue };
        let read = Hive::open(written, &[]).expect("what was written is sound");
        let (read, repairs) = Tree::load(&read, &upcase).expect("what was written is sound");
        assert_eq!(repairs.len(), 0, "{repairs:?}");
        assert_eq!(read.walk().count(), tree.walk().count());
    }
    let blobs = manifest.blobs();
    assert!(blobs.is_sorted_by(|a, b| a < b));
}
