//! Every reader against images that QEMU and Windows made.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod format_images;

use disk::ByteSource;
use disk::format::{self, Format, OpenOptions, Warning};
use format_images::*;
use operation::{Explain, Progress, Unit};
use std::path::{Path, PathBuf};
use tempfile::tempdir;

/// Has QEMU convert the islands and compares what we read.
fn read_what_qemu_wrote(test: &str, driver: &str, creation: &[&str], format: Format) {
    let dir = tempdir().unwrap();
    let raw = islands_disk(dir.path());
    let image = dir.path().join("image");
    let args = [&["convert", "-f", "raw", "-O", driver], creation, &[utf8(&raw), utf8(&image)]].concat();
    if qemu_img_ok(test, &args).is_none() {
        return;
    }
    let opened = open(&image);
    assert_eq!(opened.format, format);
    assert_same_disk(&*open(&raw).source, &*opened.source, test);
    assert_regions_are_true(&*opened.source);
}

/// What `file_region` says is what reading gives.
fn assert_regions_are_true(source: &dyn ByteSource) {
    use std::os::unix::fs::FileExt;
    let (mut a, mut b) = ([0; 4096], [0; 4096]);
    let mut at = 0;
    while let Some(range) = source.next_data(at).unwrap() {
        for offset in range.clone().step_by(4096) {
            let len = 4096.min(source.len() - offset) as usize;
            if let Some(region) = source.file_region(offset, len as u64) {
                region.file.read_exact_at(&mut a[..len], region.offset).unwrap();
                source.read_exact_at(offset, &mut b[..len]).unwrap();
                assert!(a[..len] == b[..len], "the region of byte {offset} holds something else");
            }
        }
        at = range.end;
    }
}

macro_rules! qemu_images {
    ($($name:ident: $driver:literal $creation:expr => $format:ident;)*) => {
        $(#[test]
        fn $name() {
            read_what_qemu_wrote(stringify!($name), $driver, &$creation, Format::$format);
        })*
    };
}

qemu_images! {
    fixed_vhd: "vpc" ["-o", "subformat=fixed"] => Vhd;
    fixed_vhd_of_forced_size: "vpc" ["-o", "subformat=fixed,force_size=on"] => Vhd;
    dynamic_vhd: "vpc" ["-o", "subformat=dynamic"] => VhdDynamic;
    dynamic_vhdx: "vhdx" ["-o", "subformat=dynamic"] => Vhdx;
    dynamic_vhdx_with_small_blocks: "vhdx" ["-o", "subformat=dynamic,block_size=1M"] => Vhdx;
    fixed_vhdx: "vhdx" ["-o", "subformat=fixed"] => Vhdx;
    qcow2: "qcow2" [] => Qcow2;
    old_qcow2: "qcow2" ["-o", "compat=0.10"] => Qcow2;
    qcow2_with_small_clusters: "qcow2" ["-o", "cluster_size=512"] => Qcow2;
    compressed_qcow2: "qcow2" ["-c"] => Qcow2;
    qcow2_compressed_with_zstd: "qcow2" ["-c", "-o", "compression_type=zstd"] => Qcow2;
    qcow2_with_subclusters: "qcow2" ["-o", "extended_l2=on"] => Qcow2;
    sparse_vmdk: "vmdk" ["-o", "subformat=monolithicSparse"] => Vmdk;
    stream_optimized_vmdk: "vmdk" ["-o", "subformat=streamOptimized"] => Vmdk;
}

#[test]
fn a_conversion_can_be_cancelled_and_leaves_nothing() {
    struct Stopped;
    impl Progress for Stopped {
        fn step(&self, _: &str, _: Option<u64>, _: Unit) {}
        fn advance(&self, _: u64) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let (dir, scratch) = (tempdir().unwrap(), tempdir().unwrap());
    let image = dir.path().join("image");
    let raw = islands_disk(dir.path());
    let args = ["convert", "-f", "raw", "-O", "qcow2", "-o", "extended_l2=on", utf8(&raw), utf8(&image)];
    if qemu_img_ok("a_conversion_can_be_cancelled_and_leaves_nothing", &args).is_none() {
        return;
    }
    let options = OpenOptions { scratch: Some(scratch.path()), progress: &Stopped, ..OpenOptions::default() };
    let error = format::open(&image, &options).unwrap_err();
    assert_eq!(error.code(), "cancelled", "{error}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn the_name_of_a_file_says_nothing() {
    let dir = tempdir().unwrap();
    let raw = islands_disk(dir.path());
    let image = dir.path().join("disk.vhd");
    export(&*open(&raw).source, Format::Vhdx, &image);
    assert_eq!(open(&image).format, Format::Vhdx);
}

#[test]
fn the_footer_of_a_fixed_vhd_wins_over_what_its_guest_wrote() {
    let dir = tempdir().unwrap();
    let raw = raw_disk(&dir.path().join("guest"), 2 * MIB, &[(0, b"QFI\xfb\0\0\0\x03".to_vec())]);
    let file = std::fs::OpenOptions::new().write(true).open(&raw).unwrap();
    let image = dir.path().join("image");
    // The guest's disk cannot be opened as raw: its start makes it a QCOW2. As a VHD it can.
    let error = format::open(&raw, &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("qcow2"), "{error}");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 8], 0).unwrap();
    export(&*open(&raw).source, Format::Vhd, &image);
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"QFI\xfb\0\0\0\x03", 0).unwrap();
    assert_eq!(open(&image).format, Format::Vhd);
}

#[test]
fn foreign_formats_are_refused_by_name() {
    let dir = tempdir().unwrap();
    for (magic, name) in [
        (&b"\x1f\x8b\x08"[..], "gzip"),
        (b"QED\0", "QED"),
        (b"QFI\xfb\0\0\0\x01", "version 1"),
        (b"PK\x03\x04", "zip"),
    ] {
        let path = raw_disk(&dir.path().join("foreign"), MIB, &[(0, magic.to_vec())]);
        let error = format::open(&path, &OpenOptions::default()).unwrap_err();
        assert_eq!(error.code(), "image-unsupported");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let error = format::open(Path::new("/dev/null"), &OpenOptions::default()).unwrap_err();
    assert_eq!(error.code(), "image-unsupported");
    let error = format::open(Path::new("/nonexistent"), &OpenOptions::default()).unwrap_err();
    assert_eq!(error.code(), "image-unreadable");
}

#[test]
fn a_raw_disk_that_ends_within_a_sector_is_truncated() {
    let dir = tempdir().unwrap();
    let error = format::open(&raw_disk(&dir.path().join("odd"), MIB + 100, &[]), &OpenOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "image-truncated");
}

/// An image with a backing file that holds the islands.
fn with_backing(test: &str, directory: &Path, driver: &str) -> Option<PathBuf> {
    let raw = islands_disk(directory);
    let base = directory.join("base");
    qemu_img_ok(test, &["convert", "-O", driver, utf8(&raw), utf8(&base)])?;
    let image = directory.join("overlay");
    qemu_img_ok(test, &["create", "-f", driver, "-b", "base", "-F", driver, utf8(&image)])?;
    Some(image)
}

#[test]
fn backing_files_are_refused_unless_allowed() {
    for driver in ["qcow2", "vmdk"] {
        let dir = tempdir().unwrap();
        let Some(image) = with_backing("backing_files_are_refused_unless_allowed", dir.path(), driver) else {
            return;
        };
        let error = format::open(&image, &OpenOptions::default()).unwrap_err();
        assert_eq!(error.code(), "image-backing-file", "{error}");
        assert!(error.to_string().contains("base"), "{error}");
        let allowed =
            OpenOptions { allow_backing: true, scratch: Some(dir.path()), ..OpenOptions::default() };
        let opened = format::open(&image, &allowed).unwrap();
        assert_same_disk(&*open(&dir.path().join("islands.raw")).source, &*opened.source, driver);
    }
}

#[test]
fn a_chain_of_backing_files_that_is_a_cycle_is_an_error() {
    let dir = tempdir().unwrap();
    let test = "a_chain_of_backing_files_that_is_a_cycle_is_an_error";
    let Some(image) = with_backing(test, dir.path(), "qcow2") else { return };
    qemu_img_ok(test, &["rebase", "-u", "-b", "overlay", "-F", "qcow2", utf8(&image)]);
    let allowed = OpenOptions { allow_backing: true, ..OpenOptions::default() };
    let error = format::open(&image, &allowed).unwrap_err();
    assert_eq!(error.code(), "image-corrupt", "{error}");
    assert!(error.to_string().contains("cycle"), "{error}");
    qemu_img_ok(test, &["rebase", "-u", "-b", "nbd://localhost:1/", "-F", "raw", utf8(&image)]);
    let error = format::open(&image, &allowed).unwrap_err();
    assert_eq!(error.code(), "image-backing-file", "{error}");
}

#[test]
fn external_data_files_are_refused_unless_allowed() {
    let dir = tempdir().unwrap();
    let raw = islands_disk(dir.path());
    let image = dir.path().join("image");
    let data = format!("data_file={}", utf8(&dir.path().join("data")));
    let test = "external_data_files_are_refused_unless_allowed";
    if qemu_img_ok(test, &["convert", "-O", "qcow2", "-o", &data, utf8(&raw), utf8(&image)]).is_none() {
        return;
    }
    let error = format::open(&image, &OpenOptions::default()).unwrap_err();
    assert_eq!(error.code(), "image-backing-file", "{error}");
    let opened =
        format::open(&image, &OpenOptions { allow_backing: true, ..OpenOptions::default() }).unwrap();
    assert_same_disk(&*open(&raw).source, &*opened.source, test);
}

#[test]
fn vmdks_of_several_files_are_refused_unless_allowed() {
    for subformat in ["monolithicFlat", "twoGbMaxExtentSparse"] {
        let dir = tempdir().unwrap();
        let raw = islands_disk(dir.path());
        let image = dir.path().join("image.vmdk");
        let test = "vmdks_of_several_files_are_refused_unless_allowed";
        let subformat = format!("subformat={subformat}");
        if qemu_img_ok(test, &["convert", "-O", "vmdk", "-o", &subformat, utf8(&raw), utf8(&image)]).is_none()
        {
            return;
        }
        let error = format::open(&image, &OpenOptions::default()).unwrap_err();
        assert_eq!(error.code(), "image-backing-file", "{error}");
        let opened =
            format::open(&image, &OpenOptions { allow_backing: true, ..OpenOptions::default() }).unwrap();
        assert_eq!(opened.warnings, [Warning::Converted("references to other files")]);
        assert_same_disk(&*open(&raw).source, &*opened.source, test);
        let left = std::fs::read_dir(dir.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".convert"));
        assert_eq!(left.count(), 0, "the scratch file has no name");
    }
}

/// The images of the test data, against what QEMU converts them to.
#[test]
fn images_from_elsewhere_read_as_qemu_reads_them() {
    let test = "images_from_elsewhere_read_as_qemu_reads_them";
    let Some(data) = std::env::var_os("LAMINA_TESTDATA").map(PathBuf::from) else {
        println!("SKIPPED {test}: LAMINA_TESTDATA is not set");
        return;
    };
    for (name, driver, format) in [
        ("ntfs/plaso/image.vhd", "vpc", None),
        ("ntfs/plaso/vsstest.qcow2", "qcow2", Some(Format::Qcow2)),
        ("ntfs/dfvfs/windows_volume.qcow2", "qcow2", Some(Format::Qcow2)),
    ] {
        let image = data.join(name);
        if !image.exists() {
            println!("SKIPPED {test}: {} is not there", image.display());
            continue;
        }
        let dir = tempdir().unwrap();
        let raw = dir.path().join("raw");
        if qemu_img_ok(test, &["convert", "-f", driver, "-O", "raw", utf8(&image), utf8(&raw)]).is_none() {
            return;
        }
        let opened = open(&image);
        assert!(format.is_none_or(|format| format == opened.format), "{name}");
        let converted = open(&raw).source;
        assert_same_disk(&*converted, &*opened.source, name);
        assert_regions_are_true(&*opened.source);
    }
}
