//! Measures how fast blobs are appended and found: `cargo run --release -p store --example append_speed -- DIRECTORY`.
//!
//! 26,000 blobs of together 1.7 GiB come from memory; beside them the same bytes are written to a plain file, which is
//! as fast as the disk goes, and hashed without being written.
#![allow(clippy::print_stdout, reason = "a program of its own")]

use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use store::{BLOCK, BlobId, Store, block_digest};

const BLOBS: usize = 26_000;
const TOTAL: usize = 1700 << 20;

/// Lengths as of a software tree: many small files, a few large ones.
fn lengths() -> Vec<usize> {
    let shape = |n: usize| 1 + (n * 7919 % 997) * if n.is_multiple_of(50) { 500 } else { 10 };
    let sum: usize = (0..BLOBS).map(shape).sum();
    (0..BLOBS).map(|n| shape(n) * (TOTAL / sum)).collect()
}

/// When something began, by the clock and in processor time, which other work on the machine does not change.
#[derive(Clone, Copy)]
struct Start(Instant, f64);

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Start {
    fn now() -> Start {
        Start(Instant::now(), processor_seconds())
    }
}

fn report(what: &str, bytes: usize, start: Start) {
    let (seconds, processor) = (start.0.elapsed().as_secs_f64(), processor_seconds() - start.1);
    let mebibytes = bytes as f64 / 1_048_576.0;
    println!(
        "{what:34} {seconds:6.2} s {:6.0} MiB/s   processor {processor:5.2} s {:6.0} MiB/s",
        mebibytes / seconds,
        mebibytes / processor
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("which directory?")?;
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    let mut pool = vec![0; 256 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut pool);
    let lengths = lengths();
    let bytes: usize = lengths.iter().sum();
    let contents = || {
        let mut at = 0;
        let pool = &pool;
        lengths.iter().enumerate().map(move |(number, len)| {
            at = (at + 4099 * number + len) % (pool.len() - len);
            &pool[at..at + len]
        })
    };

    let start = Start::now();
    for content in contents() {
        for block in content.chunks(BLOCK as usize) {
            std::hint::black_box(block_digest(block));
        }
    }
    report("hash only", bytes, start);

    let start = Start::now();
    let mut plain = File::create(directory.join("plain"))?;
    let mut buffer = Vec::with_capacity(4 << 20);
    for content in contents() {
        for piece in content.chunks(1 << 20) {
            buffer.extend_from_slice(piece);
            buffer.resize(buffer.len().next_multiple_of(BLOCK as usize), 0);
            if buffer.len() >= 3 << 20 {
                plain.write_all(&buffer)?;
                buffer.clear();
            }
        }
    }
    plain.write_all(&buffer)?;
    report("plain file, written", bytes, start);
    plain.sync_data()?;
    report("plain file, written and durable", bytes, start);
    drop(plain);
    std::fs::remove_file(directory.join("plain"))?;

    let store = Store::init(&directory.join("store"))?;
    let session = store.session()?;
    let start = Start::now();
    let mut writer = session.pack_writer()?;
    let ids = contents()
        .map(|content| Ok(writer.append_bytes(content)?.id))
        .collect::<Result<Vec<BlobId>, store::Error>>()?;
    report("append", bytes, start);
    let packs = writer.finish()?;
    report("append and finish (durable)", bytes, start);

    let start = Start::now();
    let mut writer = session.pack_writer()?;
    for content in contents() {
        writer.append_bytes(content)?;
    }
    writer.finish()?;
    report("append again: all duplicates", bytes, start);

    let reopened = Store::open(&directory.join("store"))?;
    let start = Instant::now();
    let found = reopened.locate_all(ids.iter().copied())?;
    println!(
        "locate {} blobs, index not yet read {:17.1} ms",
        found.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let start = Instant::now();
    let mut digests = Vec::new();
    for location in found.values() {
        let pack = reopened.pack(location.pack)?;
        pack.block_digests(location.offset, location.len.next_multiple_of(BLOCK), &mut digests)?;
    }
    println!("{} block digests, blob by blob {:20.1} ms", digests.len(), start.elapsed().as_secs_f64() * 1e3);
    let pack = reopened.pack(packs[0])?;
    let start = Instant::now();
    digests.clear();
    pack.block_digests(0, pack.len(), &mut digests)?;
    println!("{} block digests at once {:26.1} ms", digests.len(), start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
