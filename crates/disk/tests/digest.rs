//! The disk digest: its format, frozen for ever, and what it costs.

mod support;

use disk::{
    BLOCK, BlockDevice, ByteSource, ExtentMap, MappedDisk, Overlay, SourceId, SourceRange, disk_digest,
    zero_block_digest,
};
use operation::{Progress, Silent, Unit};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Memory, budget, noise};

const MIB: usize = 1 << 20;

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The definition in the module's documentation, word for word and all in memory.
fn by_definition(bytes: &[u8]) -> [u8; 32] {
    let mut top = blake3::Hasher::new_derive_key("lamina disk digest v1");
    top.update(&(bytes.len() as u64).to_le_bytes());
    for (index, chunk) in bytes.chunks(MIB).enumerate() {
        let mut level1 = blake3::Hasher::new();
        for block in chunk.chunks(4096) {
            let mut padded = [0; 4096];
            padded[..block.len()].copy_from_slice(block);
            level1.update(blake3::hash(&padded).as_bytes());
        }
        if chunk.iter().any(|&byte| byte != 0) {
            top.update(&(index as u64).to_le_bytes());
            top.update(level1.finalize().as_bytes());
        }
    }
    *top.finalize().as_bytes()
}

/// Golden values, computed with another BLAKE3 (PyPI `blake3`) from the definition: a change here makes every stored digest worthless.
#[test]
fn the_digests_of_known_disks_never_change() {
    let sparse = {
        let mut bytes = vec![0; 3 * MIB + 5000];
        bytes[2 * MIB + 17] = 1;
        bytes[3 * MIB + 4999] = 0xff;
        bytes
    };
    let cases = [
        ("empty", vec![], "32fb69ee4ffdab74770b2a43df2e0905c2236f7fedff348e1b51bac56d884dd6"),
        ("zeros", vec![0; 2 * MIB], "ba2013a07d17f52798dca84fe30e7a792e25a06b18aa410bf5549a240e62fb1a"),
        (
            "sparse, with a short last block",
            sparse,
            "fa5c527d5cd04c0e9c0ceb9a45e59eac9221366338f449f2c4e673e9f66b7bd5",
        ),
        (
            "counting",
            (0..MIB + 4096).map(|i| (i / 4096 + i) as u8).collect(),
            "c5bb2590f30925a76bc0cd2c8cbe1a7f334337c544b92f997f1eed2af94b91df",
        ),
    ];
    assert_eq!(hex(zero_block_digest()), "b6fb73fc46938c981e2b0b4b1ef282adcfc89854d01bfe3972fdc4785b41b2c7");
    for (name, bytes, golden) in cases {
        assert_eq!(hex(by_definition(&bytes)), golden, "{name}: the definition");
        assert_eq!(hex(disk_digest(&Memory::new(bytes), &Silent).unwrap()), golden, "{name}");
    }
}

#[test]
fn length_place_and_every_byte_count() {
    let base = noise(2 * MIB, 1);
    let digest = |bytes: &[u8]| disk_digest(&Memory::new(bytes.to_vec()), &Silent).unwrap();
    let mut seen = vec![digest(&base)];
    for at in [0, 4095, 4096, MIB - 1, MIB, 2 * MIB - 1] {
        let mut changed = base.clone();
        changed[at] ^= 1;
        seen.push(digest(&changed));
    }
    seen.push(digest(&[&base[..], &[0]].concat()));
    seen.push(digest(&[&vec![0; MIB][..], &base[..MIB]].concat()));
    seen.push(digest(&[&base[..MIB], &vec![0; MIB][..]].concat()));
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

#[test]
fn how_a_disk_is_composed_does_not_show() {
    let mut bytes = noise(5 * MIB + 100, 3);
    bytes[MIB..3 * MIB].fill(0);
    bytes[4 * MIB + 8192..4 * MIB + 20_000].fill(0);
    let expected = by_definition(&bytes);
    for knows_digests in [false, true] {
        for knows_holes in [false, true] {
            let source = Memory { knows_digests, knows_holes, ..Memory::new(bytes.clone()) };
            assert_eq!(disk_digest(&source, &Silent).unwrap(), expected);
        }
    }
    // in pieces that begin and end anywhere
    let mut map = ExtentMap::new(bytes.len() as u64);
    let mut pieces: Vec<Arc<dyn ByteSource>> = Vec::new();
    for (i, piece) in bytes.chunks(70_001).enumerate() {
        let from = SourceRange { source: SourceId(i as u32), offset: 0 };
        map.splice(i as u64 * 70_001, piece.len() as u64, from).unwrap();
        pieces.push(Arc::new(Memory { knows_digests: true, ..Memory::new(piece.to_vec()) }));
    }
    assert_eq!(disk_digest(&MappedDisk::new(map, pieces).unwrap(), &Silent).unwrap(), expected);
}

#[test]
fn what_sources_know_is_not_read() {
    let known = Arc::new(Memory { knows_digests: true, ..Memory::noise(64 * MIB, 1) });
    let mut map = ExtentMap::new(1 << 40);
    map.splice(1 << 30, 64 << 20, SourceRange { source: SourceId(0), offset: 0 }).unwrap();
    let mut disk = Overlay::new(map, vec![known.clone()], budget(1 << 20)).unwrap();
    disk.write_at((1 << 30) + 10 * BLOCK, &[1; 4096]).unwrap();
    disk.write_at((1 << 30) + 300 * BLOCK + 5, &[1]).unwrap();
    let before = known.bytes_read.load(Ordering::Relaxed);
    let digest = disk_digest(&disk.freeze(), &Silent).unwrap();
    assert_eq!(known.bytes_read.load(Ordering::Relaxed), before, "known blocks were read");

    let mut all = known.bytes.clone();
    all[10 * 4096..11 * 4096].fill(1);
    all[300 * 4096 + 5] = 1;
    let plain = Arc::new(Memory::new(all));
    let mut map = ExtentMap::new(1 << 40);
    map.splice(1 << 30, 64 << 20, SourceRange { source: SourceId(0), offset: 0 }).unwrap();
    assert_eq!(disk_digest(&MappedDisk::new(map, vec![plain.clone()]).unwrap(), &Silent).unwrap(), digest);
    assert_eq!(plain.bytes_read.load(Ordering::Relaxed), 64 << 20, "unknown blocks are read once");
}

#[test]
fn progress_covers_the_disk_and_can_stop_it() {
    #[derive(Default)]
    struct Watch {
        total: AtomicU64,
        done: AtomicU64,
        stop_after: u64,
    }
    impl Progress for Watch {
        fn step(&self, _: &str, total: Option<u64>, unit: Unit) {
            assert_eq!(unit, Unit::Bytes);
            self.total.store(total.unwrap(), Ordering::Relaxed);
        }
        fn advance(&self, amount: u64) {
            self.done.fetch_add(amount, Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.done.load(Ordering::Relaxed) > self.stop_after
        }
    }
    let mut bytes = noise(10 * MIB + 5, 1);
    bytes[3 * MIB..8 * MIB].fill(0);
    bytes[9 * MIB..].fill(0);
    let disk = Memory { knows_holes: true, ..Memory::new(bytes) };
    let watch = Watch { stop_after: u64::MAX, ..Watch::default() };
    disk_digest(&disk, &watch).unwrap();
    assert_eq!(watch.total.load(Ordering::Relaxed), disk.len());
    assert_eq!(watch.done.load(Ordering::Relaxed), disk.len());

    let watch = Watch { stop_after: MIB as u64, ..Watch::default() };
    assert_eq!(disk_digest(&disk, &watch).unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert!(watch.done.load(Ordering::Relaxed) < disk.len());
}

#[test]
fn a_source_that_fails_or_lies_ends_in_an_error() {
    struct Bad(fn(u64) -> io::Result<Option<Range<u64>>>);
    impl ByteSource for Bad {
        fn len(&self) -> u64 {
            8 << 20
        }
        fn read_exact_at(&self, offset: u64, _: &mut [u8]) -> io::Result<()> {
            if offset > 4 << 20 { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
        }
        fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
            (self.0)(from)
        }
    }
    let error = disk_digest(&Bad(|from| Ok((from < 8 << 20).then_some(from..8 << 20))), &Silent).unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    type NextData = fn(u64) -> io::Result<Option<Range<u64>>>;
    let lies: [NextData; 3] =
        [|from| Ok(Some(from..from)), |_| Ok(Some(0..4096)), |_| Ok(Some(9 << 20..10 << 20))];
    for lie in lies {
        let error = disk_digest(&Bad(lie), &Silent).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    assert!(disk_digest(&Bad(|_| Err(io::Error::other("no holes"))), &Silent).is_err());
}
