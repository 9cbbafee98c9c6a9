//! What fuzzing found worth keeping is tried every time.

#[path = "../fuzz/oracles.rs"]
mod oracles;

use std::path::Path;

fn replay(corpus: &str, oracle: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(corpus);
    let mut replayed = 0;
    for entry in std::fs::read_dir(directory).expect("there is a corpus") {
        let bytes = std::fs::read(entry.expect("it can be listed").path()).expect("it can be read");
        oracle(&bytes);
        // A sound file is a start for many unsound ones.
        for at in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            let mut changed = bytes.clone();
            changed[at] = changed[at].wrapping_add(1);
            oracle(&changed);
            oracle(&bytes[..at]);
        }
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus {corpus} is empty");
}

#[test]
fn indexes_of_the_corpus_are_read_rightly_or_refused() {
    replay("index", oracles::index);
}

#[test]
fn references_of_the_corpus_are_read_rightly_or_refused() {
    replay("reference", oracles::reference);
}

#[test]
fn objects_of_the_corpus_are_read_rightly_or_refused() {
    replay("object", oracles::object);
}

#[test]
fn format_files_of_the_corpus_are_read_rightly_or_refused() {
    replay("format", oracles::format);
}
