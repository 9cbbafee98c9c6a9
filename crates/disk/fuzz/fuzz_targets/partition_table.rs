//! Partition tables from hostile disks; what must hold is in the oracle, which the normal tests replay the corpus with.
#![no_main]

#[path = "../oracles/partition_table.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::check(input));
