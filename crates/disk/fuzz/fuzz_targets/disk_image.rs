//! Disk images from anywhere; what must hold is in the oracle, which the normal tests replay the corpus with.
#![no_main]

#[path = "../oracles/disk_image.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check(input));
