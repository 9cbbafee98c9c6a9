//! The overlay against a plain array of bytes, and what it costs.

#![allow(clippy::unwrap_used)] // in functions that tests share

mod support;

use disk::{
    BLOCK, BlockDevice, ByteSource, DirtyRun, ExtentMap, MappedDisk, Overlay, SourceId, SourceRange, Window,
    disk_digest,
};
use proptest::prelude::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::{Memory, budget, contents, noise};

/// Not a multiple of the block: the last page is a part of one.
const LEN: u64 = 300 * BLOCK + 777;
const SOURCE_LEN: u64 = 200 * BLOCK + 100;

#[derive(Debug, Clone)]
enum Step {
    Read { offset: u64, len: u64 },
    Write { offset: u64, len: u64, seed: u64 },
    WriteZeros { offset: u64, len: u64 },
    Discard { offset: u64, len: u64 },
    Splice { offset: u64, len: u64, source: u32, from: u64 },
    Relocate { from: u64, to: u64, len: u64 },
    Grow { by: u64 },
}

/// A range of a device of `limit` bytes, at times on block boundaries, mostly short.
fn range(limit: u64) -> impl Strategy<Value = (u64, u64)> {
    let len = prop_oneof![4 => 0..3 * BLOCK, 2 => 0..40 * BLOCK, 1 => 0..limit];
    (0..limit, len, any::<bool>(), any::<bool>()).prop_map(move |(offset, len, align, to_end)| {
        let offset = if align { offset / BLOCK * BLOCK } else { offset };
        let len = if align { len.next_multiple_of(BLOCK) } else { len };
        (offset, if to_end && len > limit / 2 { limit - offset } else { len.min(limit - offset) })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => range(LEN).prop_map(|(offset, len)| Step::Read { offset, len }),
        6 => (range(LEN), any::<u64>()).prop_map(|((offset, len), seed)| Step::Write { offset, len, seed }),
        1 => range(LEN).prop_map(|(offset, len)| Step::WriteZeros { offset, len }),
        2 => range(LEN).prop_map(|(offset, len)| Step::Discard { offset, len }),
        4 => (range(SOURCE_LEN), 0..LEN, 0u32..2, any::<bool>()).prop_map(|((from, len), at, source, align)| {
            let offset = if align { at / BLOCK * BLOCK } else { at };
            Step::Splice { offset, len: len.min(LEN - offset), source, from }
        }),
        1 => (range(LEN), 0..LEN).prop_map(|((from, len), to)| {
            Step::Relocate { from, to, len: len.min(LEN - to) }
        }),
        1 => (1..2 * BLOCK).prop_map(|by| Step::Grow { by }),
    ]
}

fn sources() -> Vec<Arc<dyn ByteSource>> {
    let mut holed = noise(SOURCE_LEN as usize, 2);
    holed[20 * BLOCK as usize..60 * BLOCK as usize].fill(0);
    vec![
        Arc::new(Memory { knows_digests: true, ..Memory::noise(SOURCE_LEN as usize, 1) }),
        Arc::new(Memory { knows_holes: true, ..Memory::new(holed) }),
    ]
}

fn apply(step: &Step, device: &mut Overlay, model: &mut Vec<u8>, sources: &[Vec<u8>]) {
    let at = |offset: u64, len: u64| offset as usize..(offset + len) as usize;
    match *step {
        Step::Read { offset, len } => {
            let mut bytes = vec![0xa5; len as usize];
            device.read_at(offset, &mut bytes).unwrap();
            assert!(bytes == model[at(offset, len)], "reading {len} bytes at {offset}");
        }
        Step::Write { offset, len, seed } => {
            let bytes = noise(len as usize, seed);
            device.write_at(offset, &bytes).unwrap();
            model[at(offset, len)].copy_from_slice(&bytes);
        }
        Step::WriteZeros { offset, len } => {
            device.write_at(offset, &vec![0; len as usize]).unwrap();
            model[at(offset, len)].fill(0);
        }
        Step::Discard { offset, len } => {
            device.discard(offset, len).unwrap();
            model[at(offset, len)].fill(0);
        }
        Step::Splice { offset, len, source, from } => {
            device.splice(offset, len, SourceRange { source: SourceId(source), offset: from }).unwrap();
            model[at(offset, len)].copy_from_slice(&sources[source as usize][at(from, len)]);
        }
        Step::Relocate { from, to, len } => {
            device.relocate(from, to, len).unwrap();
            let bytes = model[at(from, len)].to_vec();
            model[at(from, len)].fill(0);
            model[at(to, len)].copy_from_slice(&bytes);
        }
        Step::Grow { by } => {
            device.grow(device.len() + by).unwrap();
            model.resize(model.len() + by as usize, 0);
        }
    }
}

/// Whether what the source says to be zero is.
fn check_holes(source: &dyn ByteSource, model: &[u8]) {
    let mut at = 0;
    while let Some(data) = source.next_data(at).unwrap() {
        assert!(at <= data.start && data.start < data.end && data.end <= model.len() as u64, "{at} {data:?}");
        assert!(model[at as usize..data.start as usize].iter().all(|&b| b == 0), "data before {data:?}");
        at = data.end;
    }
    assert!(model[at as usize..].iter().all(|&b| b == 0), "data after {at}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn reads_like_an_array_of_bytes_and_freezes_to_the_same(
        steps in prop::collection::vec(step(), 1..60),
        // the least budget holds 64 of the 301 pages
        bytes in prop_oneof![2 => Just(0u64), 1 => Just(1u64 << 30)],
    ) {
        let sources = sources();
        let raw: Vec<_> = sources.iter().map(|source| contents(source.as_ref())).collect();
        let mut map = ExtentMap::new(LEN);
        map.splice(5000, 100_000, SourceRange { source: SourceId(0), offset: 3 }).unwrap();
        map.splice(64 * BLOCK, 100 * BLOCK, SourceRange { source: SourceId(1), offset: 0 }).unwrap();
        let mut model = vec![0; LEN as usize];
        model[5000..105_000].copy_from_slice(&raw[0][3..100_003]);
        model[64 * BLOCK as usize..164 * BLOCK as usize].copy_from_slice(&raw[1][..100 * BLOCK as usize]);

        let mut device = Overlay::new(map, sources, budget(bytes)).unwrap();
        for step in &steps {
            apply(step, &mut device, &mut model, &raw);
        }
        let all = device.len();
        apply(&Step::Read { offset: 0, len: all }, &mut device, &mut model, &raw);

        let dirty = device.dirty_blocks();
        let mut frozen = device.freeze();
        prop_assert_eq!(frozen.dirty.blocks(), dirty.clone());
        prop_assert!(contents(&frozen) == model, "the frozen overlay differs");
        check_holes(&frozen, &model);
        let expected = disk_digest(&Memory::new(model.clone()), &operation::Silent).unwrap();
        prop_assert_eq!(disk_digest(&frozen, &operation::Silent).unwrap(), expected);

        // stored and spliced, as a caller does
        let mut pack = Vec::new();
        let mut visited = disk::BlockSet::new();
        let source = SourceId(frozen.sources.len() as u32);
        let mut last = 0;
        frozen.dirty.visit(|run| {
            let (offset, len) = match run {
                DirtyRun::Data { offset, bytes } => {
                    let zero = |block: &[u8]| block.iter().all(|&b| b == 0);
                    assert!(!bytes.chunks(BLOCK as usize).any(zero), "a block of zeros was given as data");
                    let from = SourceRange { source, offset: pack.len() as u64 };
                    frozen.map.splice(offset, bytes.len() as u64, from)?;
                    pack.extend_from_slice(bytes);
                    (offset, bytes.len() as u64)
                }
                DirtyRun::Zero { offset, len } => {
                    frozen.map.discard(offset, len)?;
                    (offset, len)
                }
            };
            assert!(offset >= last, "runs are not ascending");
            last = offset + len;
            visited.insert(offset..last);
            Ok(())
        }).unwrap();
        prop_assert_eq!(visited, dirty);
        frozen.sources.push(Arc::new(Memory { knows_digests: true, ..Memory::new(pack) }));
        let stored = MappedDisk::new(frozen.map, frozen.sources).unwrap();
        prop_assert!(contents(&stored) == model, "the stored disk differs");
        check_holes(&stored, &model);
        prop_assert_eq!(disk_digest(&stored, &operation::Silent).unwrap(), expected);
    }
}

#[test]
fn access_past_the_end_is_refused_and_changes_nothing() {
    let mut device = support::over(noise(10_000, 4));
    let before = device.map().clone();
    assert_eq!(device.read_at(9_999, &mut [0; 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(device.read_at(u64::MAX, &mut [0; 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(device.write_at(9_999, &[1; 2]).is_err());
    assert!(device.discard(10_000, 1).is_err());
    let from = |source, offset| SourceRange { source: SourceId(source), offset };
    assert!(device.splice(9_999, 2, from(0, 0)).is_err());
    assert!(device.splice(0, 2, from(0, 9_999)).is_err(), "beyond the end of the source");
    assert!(device.splice(0, 2, from(1, 0)).is_err(), "no such source");
    assert!(device.splice(0, 2, from(0, u64::MAX)).is_err());
    assert!(device.relocate(0, 9_000, 1_001).is_err());
    assert_eq!(device.map(), &before);
    assert!(device.dirty_blocks().is_empty());
}

#[test]
fn a_map_that_names_bytes_its_sources_lack_is_refused() {
    let mut map = ExtentMap::new(100);
    map.splice(0, 100, SourceRange { source: SourceId(0), offset: 1 }).unwrap();
    let short: Vec<Arc<dyn ByteSource>> = vec![Arc::new(Memory::noise(100, 1))];
    assert!(Overlay::new(map.clone(), short.clone(), budget(0)).is_err());
    assert!(MappedDisk::new(map.clone(), short).is_err());
    assert!(MappedDisk::new(map, Vec::new()).is_err());
}

#[test]
fn a_whole_page_is_written_without_reading_what_was_there() {
    let base = Arc::new(Memory::noise(64 * BLOCK as usize + 100, 9));
    let mut map = ExtentMap::new(base.len());
    map.splice(0, base.len(), SourceRange { source: SourceId(0), offset: 0 }).unwrap();
    let mut device = Overlay::new(map, vec![base.clone()], budget(1 << 20)).unwrap();
    device.write_at(BLOCK, &noise(3 * BLOCK as usize, 1)).unwrap();
    device.write_at(64 * BLOCK, &noise(100, 1)).unwrap(); // the short last page is whole too
    assert_eq!(base.reads.load(Ordering::Relaxed), 0);
    device.write_at(10, b"part of a page").unwrap();
    assert_eq!(base.reads.load(Ordering::Relaxed), 1);
}

#[test]
fn small_reads_of_the_base_read_it_once_and_ahead() {
    let base = Arc::new(Memory::noise(1 << 20, 9));
    let mut map = ExtentMap::new(base.len());
    map.splice(0, base.len(), SourceRange { source: SourceId(0), offset: 0 }).unwrap();
    let mut device = Overlay::new(map, vec![base.clone()], budget(8 << 20)).unwrap();
    for _ in 0..3 {
        for sector in 0..2048 {
            let mut bytes = [0; 512];
            device.read_at(sector * 512, &mut bytes).unwrap();
            assert_eq!(bytes, base.bytes[sector as usize * 512..][..512]);
        }
    }
    let reads = base.reads.load(Ordering::Relaxed);
    assert!(reads <= 256 / 16 + 2, "6144 small reads became {reads} reads of the source");
    assert_eq!(base.bytes_read.load(Ordering::Relaxed), 1 << 20);
}

#[test]
fn a_disk_of_two_tebibytes_costs_only_its_data() {
    let len = 2 << 40;
    let mut device = Overlay::new(ExtentMap::new(len), Vec::new(), budget(8 << 20)).unwrap();
    let places = [0, 1 << 30, (1 << 40) + 4096, len - BLOCK];
    for (i, &at) in places.iter().enumerate() {
        device.write_at(at, &[i as u8 + 1; 4096]).unwrap();
    }
    device.discard(1 << 20, len - (2 << 20)).unwrap();
    assert_eq!(device.dirty_blocks().bytes(), 2 * BLOCK);
    let frozen = device.freeze();
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(data) = frozen.next_data(at).unwrap() {
        at = data.end;
        runs.push(data);
    }
    assert_eq!(runs, [0..BLOCK, len - BLOCK..len]);
    let digest = disk_digest(&frozen, &operation::Silent).unwrap();
    let mut other = Overlay::new(ExtentMap::new(len), Vec::new(), budget(0)).unwrap();
    other.write_at(len - BLOCK, &[4; 4096]).unwrap();
    other.write_at(0, &[1; 4096]).unwrap();
    assert_eq!(disk_digest(&other.freeze(), &operation::Silent).unwrap(), digest);
}

#[test]
fn a_window_shows_a_part_of_the_device_and_nothing_else() {
    let mut device = support::over(noise(64 * 1024, 3));
    let source = device.add_source(Arc::new(Memory::new(vec![7; 8192])));
    let mut window = Window::new(device, 4096, 16 * 1024).unwrap();
    assert_eq!(window.len(), 16 * 1024);
    window.write_at(0, b"start").unwrap();
    window.splice(4096, 8192, SourceRange { source, offset: 0 }).unwrap();
    window.discard(12 * 1024, 4096).unwrap();
    let mut bytes = [0; 5];
    window.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"start");
    assert!(window.read_at(16 * 1024 - 1, &mut [0; 2]).is_err());
    assert!(window.write_at(16 * 1024 - 1, &[0; 2]).is_err());
    assert!(window.discard(16 * 1024, 1).is_err());
    assert!(window.splice(16 * 1024 - 1, 2, SourceRange { source, offset: 0 }).is_err());

    let frozen = window.into_inner().freeze();
    let mut expected = noise(64 * 1024, 3);
    expected[4096..4101].copy_from_slice(b"start");
    expected[8192..16384].fill(7);
    expected[16384..20480].fill(0);
    assert!(contents(&frozen) == expected);

    let part: Arc<dyn ByteSource> = Arc::new(frozen);
    let part = disk::SourceWindow::new(part, 4096, 16 * 1024).unwrap();
    assert!(contents(&part) == expected[4096..20480]);
    check_holes(&part, &expected[4096..20480]);
    assert!(part.read_exact_at(16 * 1024, &mut [0; 1]).is_err());
    assert!(disk::SourceWindow::new(&part as &dyn ByteSource, 1, 16 * 1024).is_err());
}

#[test]
fn a_scratch_directory_that_is_not_there_is_named_and_nothing_is_lost() {
    let missing = std::path::PathBuf::from("/nonexistent/scratch");
    let budget = disk::PageBudget { bytes: 0, scratch_dir: missing };
    let mut device = Overlay::new(ExtentMap::new(4 << 20), Vec::new(), budget).unwrap();
    let mut written = 0;
    let error = loop {
        match device.write_at(written, &[0x55; 4096]) {
            Ok(()) => written += BLOCK,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("/nonexistent/scratch"), "{error}");
    assert_eq!(written, 64 * BLOCK, "all of the least budget was used");
    let mut bytes = vec![0; written as usize];
    device.read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&b| b == 0x55));
}
