//! The fuzz corpora replayed: what must hold is in the oracles that the fuzz targets use.

#[path = "../../fuzz/oracles/binary_version.rs"]
mod binary_version;
#[path = "../../fuzz/oracles/disk_record.rs"]
mod disk_record;
#[path = "../../fuzz/oracles/layout_json.rs"]
mod layout_json;
#[path = "../../fuzz/oracles/layout_pack.rs"]
mod layout_pack;
#[path = "../../fuzz/oracles/manifest.rs"]
mod manifest;
#[path = "../../fuzz/oracles/names.rs"]
mod names;
#[path = "../../fuzz/oracles/reagent.rs"]
mod reagent;

use layering::manifest::Manifest;
use std::path::Path;

fn replay(target: &str, oracle: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        oracle(&input);
        // Every beginning of it, and every byte of it changed.
        for len in 0..input.len() {
            oracle(&input[..len]);
        }
        let mut changed = input.clone();
        for at in 0..input.len() {
            for value in [0, 0x7f, 0x80, 0xff, input[at].wrapping_add(1)] {
                changed[at] = value;
                oracle(&changed);
            }
            changed[at] = input[at];
        }
        count += 1;
    }
    assert!(count >= 4, "only {count} inputs in {}", corpus.display());
}

#[test]
fn the_fuzz_corpus_of_manifests_holds() {
    // The inputs are worth something only as long as they are manifests.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/manifest");
    for name in ["deletions", "directories", "hives", "links", "pieces-and-holes", "root"] {
        Manifest::decode(&std::fs::read(corpus.join(name)).unwrap()).unwrap();
    }
    replay("manifest", manifest::check);
}

#[test]
fn the_fuzz_corpus_of_names_and_patterns_holds() {
    replay("names", names::check);
}

#[test]
fn the_fuzz_corpus_of_version_resources_holds() {
    replay("binary_version", binary_version::check);
}

#[test]
fn the_fuzz_corpus_of_reagent_files_holds() {
    replay("reagent", reagent::check);
}

#[test]
fn the_fuzz_corpus_of_disk_records_holds() {
    replay("disk_record", disk_record::check);
}

#[test]
fn the_fuzz_corpus_of_packs_of_layouts_holds() {
    replay("layout_pack", layout_pack::check);
}

#[test]
fn the_fuzz_corpus_of_indexes_and_manifests_of_layouts_holds() {
    replay("layout_json", layout_json::check);
}

#[test]
fn a_manifest_of_a_later_engine_is_told_apart_from_a_damaged_one() {
    let bytes = Manifest::default().encode();
    let newer = [&[bytes[0] + 1], &bytes[1..]].concat();
    assert!(Manifest::decode(&newer).unwrap_err().to_string().contains("up to"));
    assert!(Manifest::decode(&[]).unwrap_err().to_string().contains("damaged"));
}
