//! The corpora of the fuzz targets, asked what the targets ask; and mutations of them, by a fixed seed.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../fuzz/oracles.rs"]
mod oracles;

use operation::Silent;
use oracles::Volume;
use std::fs;
use std::path::Path;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty(), "the corpus of {target} is there");
    files
}

/// A small generator of numbers that are the same everywhere (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

fn mutated(input: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len());
        bytes[at] = match numbers.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ 1 << numbers.below(8),
            _ => numbers.below(256) as u8,
        };
    }
    bytes
}

#[test]
fn mapping_pairs_hold_what_they_must() {
    let mut numbers = Numbers(1);
    for input in corpus("runs") {
        oracles::runs(&input);
        for _ in 0..5000 {
            oracles::runs(&mutated(&input, &mut numbers));
        }
    }
}

#[test]
fn compressed_bytes_hold_what_they_must() {
    let mut numbers = Numbers(2);
    for input in corpus("lznt1") {
        oracles::lznt1(&input);
        for _ in 0..2000 {
            oracles::lznt1(&mutated(&input, &mut numbers));
        }
    }
}

#[test]
fn volumes_hold_what_they_must() {
    let mut numbers = Numbers(3);
    for input in corpus("volume") {
        oracles::volume(&input);
        for _ in 0..400 {
            oracles::volume(&mutated(&input, &mut numbers));
        }
    }
}

#[test]
fn the_volumes_of_the_corpus_are_real_ones() {
    let scanned: Vec<usize> = corpus("volume")
        .iter()
        .filter_map(|input| ntfs_volume::scan::scan(&Volume::from_segments(input), &Silent).ok())
        .map(|tree| tree.len())
        .collect();
    assert!(scanned.iter().any(|&nodes| nodes > 5), "mutations start from volumes that scan: {scanned:?}");
}
