//! See the oracle, which the normal tests replay the corpus with.
#![no_main]

#[path = "../oracles/layout_pack.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check(input));
