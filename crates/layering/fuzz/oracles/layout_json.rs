//! Indexes and manifests of layouts from hostile bytes: nothing panics; an index that is written again says the same, and every
//! entry is counted once; an entry that is added takes the place of the one of its name and leaves all others as they
//! are; a manifest of ours is the same after being written and read again.

use layering::fuzzing::{layout_index, layout_manifest};
use serde_json::Value;

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    if let Some(manifest) = layout_manifest(input) {
        assert_eq!(layout_manifest(&manifest).expect("what was read is written"), manifest);
    }
    let Some((same, added, counts)) = layout_index(input) else { return };
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let (before, same, added) = (read(input), read(&same), read(&added));
    assert_eq!(before, same);
    let entries = |index: &Value| index["manifests"].as_array().expect("a list").clone();
    let (before, added) = (entries(&before), entries(&added));
    assert_eq!(counts.iter().sum::<usize>(), before.len());
    let named = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "app/name";
    let (last, rest) = added.split_last().expect("an entry was added");
    assert!(named(last) && last["size"] == 2);
    assert!(rest.iter().eq(before.iter().filter(|entry| !named(entry))));
}
