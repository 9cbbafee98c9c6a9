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
        // A sound file is a start for many unsound ones: the places that hold something are few.
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for &at in places.iter().step_by(places.len() / 500 + 1) {
            for change in [1u8, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = changed[at].wrapping_add(change);
                oracle(&changed);
            }
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
            oracle(&bytes[..at]);
        }
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus {corpus} is empty");
}

#[test]
fn hives_of_the_corpus_are_written_anew_or_refused() {
    replay("hive", oracles::hive);
}

#[test]
fn bins_of_the_corpus_are_written_anew_or_refused() {
    replay("bins", oracles::bins);
}

#[test]
fn logs_of_the_corpus_are_applied_or_do_not_serve() {
    replay("log", oracles::log);
}
