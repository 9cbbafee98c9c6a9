//! Images that are damaged or lie: typed errors, never a panic, never silently other contents.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod format_images;
#[path = "../fuzz/oracles/disk_image.rs"]
mod oracle;

use disk::ByteSource;
use disk::format::{self, Error, Format, OpenOptions, Warning};
use format_images::*;
use operation::Explain;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::tempdir;

const KIB: usize = 1 << 10;

/// A disk of 6 MiB and its image in every format that has structures.
struct Sample {
    raw: Vec<u8>,
    images: Vec<(Format, Vec<u8>)>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let dir = tempdir().unwrap();
    let islands = [(0, noise(1, 5000)), (3 * MIB, noise(2, 4096)), (6 * MIB - 512, noise(3, 512))];
    let raw = raw_disk(&dir.path().join("raw"), 6 * MIB, &islands);
    let source = open(&raw).source;
    let images = Format::ALL[1..].iter().map(|&format| {
        let out = dir.path().join(format.name());
        export(&*source, format, &out);
        (format, std::fs::read(out).unwrap())
    });
    Sample { images: images.collect(), raw: std::fs::read(&raw).unwrap() }
});

fn image(format: Format) -> Vec<u8> {
    SAMPLE.images.iter().find(|(known, _)| *known == format).unwrap().1.clone()
}

fn write(directory: &Path, bytes: &[u8]) -> PathBuf {
    let path = directory.join("image");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn try_open(bytes: &[u8]) -> Result<format::OpenedDisk, Error> {
    let dir = tempdir().unwrap();
    format::open(&write(dir.path(), bytes), &OpenOptions::default())
}

fn refused(bytes: &[u8]) -> Error {
    try_open(bytes).expect_err("the image must be refused")
}

/// All bytes of a disk, or the first failure; and the walk over its data is checked.
fn contents(source: &dyn ByteSource) -> std::io::Result<Vec<u8>> {
    let mut at = 0;
    while let Some(range) = source.next_data(at)? {
        assert!(
            range.start >= at && range.start < range.end && range.end <= source.len(),
            "{range:?} from {at}"
        );
        source.file_region(range.start, (range.end - range.start).min(4096));
        at = range.end;
    }
    let mut bytes = vec![0; usize::try_from(source.len()).unwrap()];
    source.read_exact_at(0, &mut bytes)?;
    assert!(source.read_exact_at(source.len(), &mut [0]).is_err(), "there is nothing behind the end");
    Ok(bytes)
}

#[test]
fn a_truncated_image_is_an_error_or_whole() {
    let dir = tempdir().unwrap();
    for (format, bytes) in &SAMPLE.images {
        let mut lengths: Vec<usize> = (0..64).map(|i| bytes.len() * i / 64).collect();
        lengths.extend([
            1,
            511,
            512,
            513,
            1024,
            4096,
            65536,
            bytes.len() - 1,
            bytes.len() - 511,
            bytes.len() - 513,
        ]);
        lengths.extend([bytes.len() - 512, bytes.len() - 1024]);
        for len in lengths {
            // Without its footer a fixed VHD is a raw disk, and its end is all that tells them apart.
            if *format == Format::Vhd && len.is_multiple_of(512) || len == 0 {
                continue;
            }
            match format::open(&write(dir.path(), &bytes[..len]), &OpenOptions::default()) {
                Err(error) => {
                    let codes = ["image-truncated", "image-corrupt"];
                    assert!(codes.contains(&error.code()), "{format} of {len} bytes: {error}");
                }
                Ok(opened) => {
                    let found = contents(&*opened.source).unwrap();
                    assert!(found == SAMPLE.raw, "{format} of {len} bytes reads as something else");
                }
            }
        }
    }
}

#[test]
fn an_image_cut_within_its_data_is_truncated() {
    for (format, cut) in [
        (Format::VhdDynamic, 3 * KIB * KIB),
        (Format::Vhdx, 5 * KIB * KIB),
        (Format::Qcow2, 3 * 64 * KIB + 100),
        (Format::Vmdk, 66 * KIB),
    ] {
        let error = refused(&image(format)[..cut]);
        assert_eq!(error.code(), "image-truncated", "{format}: {error}");
    }
}

/// Opens and reads whatever comes of it.
fn survives(bytes: &[u8]) {
    if let Ok(opened) = try_open(bytes)
        && opened.source.len() <= 64 * MIB
    {
        let _ = contents(&*opened.source);
    }
}

/// Where the structures of an image are: damage elsewhere only changes data.
fn structures(format: Format, len: usize) -> Vec<std::ops::Range<usize>> {
    let end = len - 1024..len;
    match format {
        Format::Raw | Format::Vhd => vec![end],
        Format::VhdDynamic => vec![0..2048, end],
        Format::Vhdx => {
            [64, 128, 192, 256, 2048, 2048 + 64, 3072].map(|at| at * KIB..at * KIB + 128).to_vec()
        }
        Format::Qcow2 => vec![0..104, 64 * KIB..64 * KIB + 16, 128 * KIB..128 * KIB + 800],
        Format::Vmdk => vec![0..1024, 64 * KIB..64 * KIB + 16, len - 3584..len],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_a_reader_panic(
        which in 0..5usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (format, bytes) = &SAMPLE.images[which];
        let mut bytes = bytes.clone();
        let places = structures(*format, bytes.len());
        for (place, offset, value) in damage {
            let range = place.get(&places);
            bytes[range.start + offset.index(range.len())] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }

    #[test]
    fn no_lie_that_carries_a_valid_checksum_makes_a_reader_panic(
        vhdx in any::<bool>(),
        lies in prop::collection::vec((0..1usize << 16, prop_oneof![Just(0u64), Just(u64::MAX), Just(1 << 20), any::<u64>()]), 1..4),
    ) {
        if vhdx {
            let mut bytes = image(Format::Vhdx);
            for (at, value) in lies {
                let (start, len) = [(64, 4), (192, 64), (2048, 64), (3072, 1)][at % 4];
                let at = start * KIB + 8 + at / 4 % 12 * 8;
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                if start < 2048 {
                    seal(&mut bytes[start * KIB..(start + len) * KIB]);
                    let copy = bytes[start * KIB..(start + len) * KIB].to_vec();
                    bytes[(start + 64) * KIB..(start + 64 + len) * KIB].copy_from_slice(&copy);
                }
            }
            survives(&bytes);
        } else {
            let mut bytes = image(Format::VhdDynamic);
            for (at, value) in lies {
                let at = [16 + at / 2 % 8 * 8, 512 + 16 + at / 2 % 3 * 8][at % 2];
                bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
            }
            seal_vhd(&mut bytes);
            survives(&bytes);
        }
    }
}

/// Puts the checksum of a VHDX structure into bytes 4..8.
fn seal(structure: &mut [u8]) {
    structure[4..8].fill(0);
    let sum = crc32c::crc32c(structure);
    structure[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// Puts the checksums of a dynamic VHD right, and the footer's copy behind its end.
fn seal_vhd(bytes: &mut [u8]) {
    for (range, at) in [(0..512, 64), (512..1536, 512 + 36)] {
        bytes[at..at + 4].fill(0);
        let sum: u32 = bytes[range].iter().map(|&byte| u32::from(byte)).sum();
        bytes[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
    }
    let copy = bytes[..512].to_vec();
    let end = bytes.len() - 512;
    bytes[end..].copy_from_slice(&copy);
}

#[test]
fn differencing_disks_are_refused() {
    let mut vhd = image(Format::VhdDynamic);
    vhd[60..64].copy_from_slice(&4u32.to_be_bytes());
    seal_vhd(&mut vhd);
    assert_eq!(refused(&vhd).code(), "image-differencing");

    let mut vhdx = image(Format::Vhdx);
    vhdx[(2048 + 64) * KIB + 4] = 2; // file parameters: has a parent
    assert_eq!(refused(&vhdx).code(), "image-differencing");
}

#[test]
fn disks_with_sectors_of_4096_bytes_are_refused_for_that_reason() {
    let mut vhdx = image(Format::Vhdx);
    // After the file parameters, the disk size and page 83.
    let at = (2048 + 64) * KIB + 8 + 8 + 16;
    assert_eq!(vhdx[at..at + 4], 512u32.to_le_bytes());
    vhdx[at..at + 4].copy_from_slice(&4096u32.to_le_bytes());
    let error = refused(&vhdx);
    assert_eq!(error.code(), "image-sector-size");
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn blocks_that_share_bytes_are_corrupt() {
    let table = |bytes: &mut [u8], at: usize, width: usize| {
        let (first, second) = (at, at + width);
        let entry = bytes[first..first + width].to_vec();
        bytes[second..second + width].copy_from_slice(&entry);
    };
    let mut vhd = image(Format::VhdDynamic);
    table(&mut vhd, 1536, 4);
    let mut vhdx = image(Format::Vhdx);
    table(&mut vhdx, 3072 * KIB, 8);
    let mut qcow2 = image(Format::Qcow2);
    table(&mut qcow2, 128 * KIB, 8);
    for bytes in [vhd, vhdx, qcow2] {
        let error = refused(&bytes);
        assert_eq!(error.code(), "image-corrupt", "{error}");
    }
}

#[test]
fn one_damaged_copy_is_a_warning_two_are_an_error() {
    let mut vhd = image(Format::VhdDynamic);
    vhd[100] ^= 1;
    let opened = try_open(&vhd).unwrap();
    assert_eq!(opened.warnings, [Warning::CopyDamaged("VHD footer")]);
    assert!(contents(&*opened.source).unwrap() == SAMPLE.raw);
    let at = vhd.len() - 400;
    vhd[at] ^= 1;
    assert_eq!(refused(&vhd).code(), "image-corrupt");

    for (start, what) in [(64, "VHDX header"), (192, "VHDX region table")] {
        let mut vhdx = image(Format::Vhdx);
        vhdx[start * KIB + 20] ^= 1;
        let opened = try_open(&vhdx).unwrap();
        assert_eq!(opened.warnings, [Warning::CopyDamaged(what)]);
        assert!(contents(&*opened.source).unwrap() == SAMPLE.raw);
        vhdx[(start + 64) * KIB + 20] ^= 1;
        assert_eq!(refused(&vhdx).code(), "image-corrupt");
    }
}

#[test]
fn a_sector_whose_bit_is_clear_reads_as_zeros() {
    let mut vhd = image(Format::VhdDynamic);
    let bitmap = u32::from_be_bytes(vhd[1536..1540].try_into().unwrap()) as usize * 512;
    assert_eq!(vhd[bitmap], 0xff);
    vhd[bitmap] = 0b1101_1111; // sector 2 is not valid
    let source = try_open(&vhd).unwrap().source;
    let mut expected = SAMPLE.raw.clone();
    expected[1024..1536].fill(0);
    assert!(contents(&*source).unwrap() == expected);
    let mut odd = [1; 1000];
    source.read_exact_at(600, &mut odd).unwrap();
    assert_eq!(odd, expected[600..1600]);
    assert!(source.file_region(0, 1024).is_some());
    assert!(source.file_region(0, 4096).is_none());
}

#[test]
fn a_grain_that_does_not_inflate_is_an_error_when_it_is_read() {
    let mut vmdk = image(Format::Vmdk);
    vmdk[64 * KIB + 12..64 * KIB + 60].fill(0xff);
    let source = try_open(&vmdk).unwrap().source;
    let error = source.read_exact_at(0, &mut [0; 512]).unwrap_err();
    assert!(error.to_string().contains("grain 0"), "{error}");
}

#[test]
fn the_fuzz_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/disk_image");
    let mut count = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        oracle::check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 12, "only {count} inputs in {}", corpus.display());
}

mod log {
    //! The log of a VHDX, written here by the specification and replayed by QEMU as well.

    use super::*;

    const LOG: usize = 1024 * KIB;
    const LOG_LEN: usize = 1024 * KIB;
    const TABLE: usize = 3072 * KIB;
    const ID: [u8; 16] = [0x5a; 16];

    /// What an entry does.
    enum Change<'c> {
        Write(usize, &'c [u8]),
        Zero(usize, usize),
    }

    /// Writes an entry into the log at `at`, around its end if need be; where the next one would begin.
    fn entry(image: &mut [u8], at: usize, tail: usize, sequence: u64, changes: &[Change<'_>]) -> usize {
        let file_len = image.len() as u64;
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(b"loge");
        bytes[12..16].copy_from_slice(&(tail as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&(changes.len() as u32).to_le_bytes());
        bytes[32..48].copy_from_slice(&ID);
        bytes[48..56].copy_from_slice(&file_len.to_le_bytes());
        bytes[56..64].copy_from_slice(&file_len.to_le_bytes());
        for (index, change) in changes.iter().enumerate() {
            let descriptor = 64 + index * 32;
            match *change {
                Change::Write(to, sector) => {
                    bytes[descriptor..descriptor + 4].copy_from_slice(b"desc");
                    bytes[descriptor + 4..descriptor + 8].copy_from_slice(&sector[4092..]);
                    bytes[descriptor + 8..descriptor + 16].copy_from_slice(&sector[..8]);
                    bytes[descriptor + 16..descriptor + 24].copy_from_slice(&(to as u64).to_le_bytes());
                    let mut data = sector.to_vec();
                    data[..4].copy_from_slice(b"data");
                    data[4..8].copy_from_slice(&((sequence >> 32) as u32).to_le_bytes());
                    data[4092..].copy_from_slice(&(sequence as u32).to_le_bytes());
                    bytes.extend(data);
                }
                Change::Zero(to, len) => {
                    bytes[descriptor..descriptor + 4].copy_from_slice(b"zero");
                    bytes[descriptor + 8..descriptor + 16].copy_from_slice(&(len as u64).to_le_bytes());
                    bytes[descriptor + 16..descriptor + 24].copy_from_slice(&(to as u64).to_le_bytes());
                }
            }
            bytes[descriptor + 24..descriptor + 32].copy_from_slice(&sequence.to_le_bytes());
        }
        let len = bytes.len();
        bytes[8..12].copy_from_slice(&(len as u32).to_le_bytes());
        seal(&mut bytes);
        for (index, byte) in bytes.into_iter().enumerate() {
            image[LOG + (at + index) % LOG_LEN] = byte;
        }
        (at + len) % LOG_LEN
    }

    /// Says in both headers that the log is not empty.
    fn declare(image: &mut [u8]) {
        for at in [64 * KIB, 128 * KIB] {
            image[at + 48..at + 64].copy_from_slice(&ID);
            seal(&mut image[at..at + 4 * KIB]);
        }
    }

    /// An image whose table is wrong in the file and right in its log.
    fn unclosed(first: usize) -> Vec<u8> {
        let mut bytes = image(Format::Vhdx);
        let right = bytes[TABLE..TABLE + 4096].to_vec();
        bytes[TABLE..TABLE + 4096].fill(0);
        declare(&mut bytes);
        // Older entries that are wrong, and that later ones undo: one before the tail, which must not be applied.
        let past = entry(&mut bytes, first, first, 7, &[Change::Write(TABLE, &noise(9, 4096))]);
        let next = entry(&mut bytes, past, past, 8, &[Change::Zero(TABLE, 8192)]);
        entry(&mut bytes, next, past, 9, &[Change::Zero(TABLE + 4096, 4096), Change::Write(TABLE, &right)]);
        bytes
    }

    #[test]
    fn is_replayed_in_memory() {
        // In the middle of the ring, around its end within an entry, and between entries.
        for first in [0, 64 * KIB, LOG_LEN - 4096, LOG_LEN - 12 * KIB] {
            let opened = try_open(&unclosed(first)).unwrap();
            assert_eq!(opened.warnings, [Warning::LogReplayed { entries: 2 }], "{first}");
            assert!(contents(&*opened.source).unwrap() == SAMPLE.raw, "{first}");
        }
    }

    #[test]
    fn qemu_replays_the_same() {
        let test = "qemu_replays_the_same";
        let dir = tempdir().unwrap();
        let raw = dir.path().join("raw");
        std::fs::write(&raw, &SAMPLE.raw).unwrap();
        for first in [0, 64 * KIB] {
            let path = write(dir.path(), &unclosed(first));
            if qemu_img_ok(test, &["check", "-r", "all", "-f", "vhdx", utf8(&path)]).is_none() {
                return;
            }
            qemu_img_ok(test, &["compare", "-f", "raw", "-F", "vhdx", utf8(&raw), utf8(&path)]);
            assert_eq!(open(&path).warnings, [], "QEMU has emptied the log");
        }
    }

    #[test]
    fn without_a_whole_sequence_is_corrupt() {
        let mut bytes = image(Format::Vhdx);
        declare(&mut bytes);
        let error = refused(&bytes);
        assert_eq!(error.code(), "image-corrupt");
        assert!(error.to_string().contains("log"), "{error}");
    }

    #[test]
    fn whose_last_entry_is_torn_ends_before_it() {
        let mut bytes = unclosed(0);
        // The last entry, which puts the table right, loses a byte: the sequence ends with the one before.
        bytes[LOG + 12 * KIB + 100] ^= 1;
        let opened = try_open(&bytes).unwrap();
        assert_eq!(opened.warnings, [Warning::LogReplayed { entries: 1 }]);
        assert!(contents(&*opened.source).unwrap().iter().all(|&byte| byte == 0), "all blocks are absent");
    }

    #[test]
    fn that_relies_on_more_than_the_file_has_is_truncated() {
        let bytes = unclosed(0);
        let error = refused(&bytes[..bytes.len() - KIB * KIB]);
        assert_eq!(error.code(), "image-truncated", "{error}");
    }

    #[test]
    fn that_changes_what_lies_outside_is_corrupt() {
        let mut bytes = image(Format::Vhdx);
        declare(&mut bytes);
        entry(&mut bytes, 0, 0, 1, &[Change::Zero(usize::MAX & !4095, 4096)]);
        assert_eq!(refused(&bytes).code(), "image-corrupt");
        entry(&mut bytes, 0, 0, 1, &[Change::Zero(4096, usize::MAX & !4095)]);
        assert_eq!(refused(&bytes).code(), "image-corrupt");
    }
}
