//! Disks to export and to open, and the other implementations that judge the results.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a part of tests")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this")]

use disk::ByteSource;
use disk::format::{self, ExportOptions, ExportReport, Format, OpenOptions, OpenedDisk};
use operation::Silent;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const TIB: u64 = 1 << 40;

/// Bytes that do not compress and differ from place to place.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A sparse raw file with data at some places.
pub fn raw_disk(path: &Path, len: u64, islands: &[(u64, Vec<u8>)]) -> PathBuf {
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    for (at, bytes) in islands {
        file.write_all_at(bytes, *at).unwrap();
    }
    path.to_owned()
}

/// Data in the first and the last sector, across MiB and 2 MiB boundaries, text that compresses, lone bytes; the
/// length is no whole number of MiB or of 4 KiB.
pub fn islands_disk(directory: &Path) -> PathBuf {
    let len = 37 * MIB + 1536;
    let text = b"all work and no play makes jack a dull boy. ".repeat(9000);
    raw_disk(
        &directory.join("islands.raw"),
        len,
        &[
            (0, noise(1, 512)),
            (3 * MIB - 5000, noise(2, 10_000)),
            (8 * MIB - 1, vec![0xff; 2]),
            (12 * MIB, text),
            (20 * MIB, noise(3, 3 * MIB as usize)),
            (len - 512, noise(4, 512)),
        ],
    )
}

pub fn open(path: &Path) -> OpenedDisk {
    format::open(path, &OpenOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn options() -> ExportOptions {
    ExportOptions::new(*blake3::hash(b"the disk of this test").as_bytes())
}

pub fn export(source: &dyn ByteSource, format: Format, out: &Path) -> ExportReport {
    format::export(source, format, out, &options(), &Silent)
        .unwrap_or_else(|error| panic!("{format}: {error}"))
}

/// Panics at the first difference between two disks. The second may be longer if the rest is zeros.
pub fn assert_same_disk(expected: &dyn ByteSource, found: &dyn ByteSource, what: &str) {
    assert!(found.len() >= expected.len(), "{what}: {} bytes instead of {}", found.len(), expected.len());
    const STEP: u64 = 3 * 512 * 1024;
    let (mut a, mut b) = (vec![0; STEP as usize], vec![0; STEP as usize]);
    let mut at = 0;
    while at < found.len() {
        // Where neither has data both read as zeros.
        let data = |source: &dyn ByteSource| match source.next_data(at.min(source.len())).unwrap() {
            Some(range) => range.start.max(at),
            None => found.len(),
        };
        at = data(expected).min(data(found));
        if at >= found.len() {
            break;
        }
        let len = STEP.min(found.len() - at) as usize;
        let known = (expected.len().saturating_sub(at) as usize).min(len);
        a.fill(0);
        if known > 0 {
            expected.read_exact_at(at, &mut a[..known]).unwrap();
        }
        found.read_exact_at(at, &mut b[..len]).unwrap();
        if let Some(index) = (0..len).find(|&i| a[i] != b[i]) {
            panic!("{what}: byte {} is {:#04x} instead of {:#04x}", at + index as u64, b[index], a[index]);
        }
        at += len as u64;
    }
}

/// Bytes that a file takes on the disk.
pub fn allocated(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

/// Runs qemu-img; `None`, after saying so, where it is not installed.
pub fn qemu_img(test: &str, args: &[&str]) -> Option<Output> {
    match Command::new("qemu-img").args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("SKIPPED {test}: qemu-img is not installed");
            None
        }
        Err(error) => panic!("qemu-img: {error}"),
    }
}

/// Runs qemu-img and requires success; what it said.
pub fn qemu_img_ok(test: &str, args: &[&str]) -> Option<String> {
    let output = qemu_img(test, args)?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "qemu-img {args:?}: {said}");
    Some(said)
}

/// QEMU's name of a format.
pub fn driver(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Vhd | Format::VhdDynamic => "vpc",
        Format::Vhdx => "vhdx",
        Format::Qcow2 => "qcow2",
        Format::Vmdk => "vmdk",
    }
}

pub fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}
