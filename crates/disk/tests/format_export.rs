//! Every writer, judged by our readers and by QEMU.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod format_images;

use disk::ByteSource;
use disk::format::{self, Error, Format};
use format_images::*;
use operation::{Explain, Progress, Silent, Unit};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::tempdir;

/// Exports a raw disk in one format and asks everyone who can read it.
fn export_and_judge(test: &str, raw: &Path, format: Format, directory: &Path) -> format::ExportReport {
    let source = open(raw).source;
    let out = directory.join(format!("out.{format}"));
    let report = export(&*source, format, &out);
    assert_eq!(std::fs::metadata(&out).unwrap().len(), report.file_len, "{format}");
    let opened = open(&out);
    assert_eq!(opened.format, format);
    assert_eq!(opened.warnings, []);
    assert_eq!(opened.source.len(), report.disk_len, "{format}");
    assert_same_disk(&*source, &*opened.source, &format!("{test}: {format}"));
    if !qemu_reads_the_same(test, &*source, raw, format, &out) {
        return report;
    }
    if matches!(format, Format::Vhdx | Format::Qcow2 | Format::Vmdk) {
        let said = qemu_img_ok(test, &["check", "-f", driver(format), utf8(&out)]).unwrap();
        assert!(said.contains("No errors were found"), "{format}: {said}");
    }
    report
}

/// Has QEMU compare an image with the raw disk; of huge ones only the surroundings of the data, because it reads the
/// holes of some formats byte by byte. `false` where there is no QEMU.
fn qemu_reads_the_same(
    test: &str,
    source: &dyn ByteSource,
    raw: &Path,
    format: Format,
    image: &Path,
) -> bool {
    if source.len() < 16 * GIB {
        return qemu_img_ok(test, &["compare", "-f", "raw", "-F", driver(format), utf8(raw), utf8(image)])
            .is_some();
    }
    let part = image.with_extension("part");
    let mut at = 0;
    while let Some(range) = source.next_data(at).unwrap() {
        let first = (range.start / MIB).saturating_sub(1);
        let count = (range.end.div_ceil(MIB) + 1).min(source.len() / MIB) - first;
        let (skip, count) = (format!("skip={first}"), format!("count={}", first + count));
        let (from, to) = (format!("if={}", utf8(image)), format!("of={}", utf8(&part)));
        let args = ["dd", "-f", driver(format), "-O", "raw", "bs=1M", &skip, &count, &from, &to];
        if qemu_img_ok(test, &args).is_none() {
            return false;
        }
        let bytes = std::fs::read(&part).unwrap();
        assert!(bytes.len() as u64 >= range.end - first * MIB, "{format}: {} bytes", bytes.len());
        let mut expected = vec![0; bytes.len()];
        source.read_exact_at(first * MIB, &mut expected).unwrap();
        assert!(bytes == expected, "{format}: QEMU reads something else from MiB {first}");
        at = range.end;
    }
    std::fs::remove_file(part).unwrap();
    true
}

#[test]
fn every_format_holds_exactly_the_disk() {
    let dir = tempdir().unwrap();
    let raw = islands_disk(dir.path());
    for format in Format::ALL {
        export_and_judge("every_format_holds_exactly_the_disk", &raw, format, dir.path());
    }
}

#[test]
fn the_same_disk_gives_the_same_bytes_again() {
    let dir = tempdir().unwrap();
    let source = open(&islands_disk(dir.path())).source;
    for format in Format::ALL {
        let [one, two] = ["one", "two"].map(|name| {
            let out = dir.path().join(name);
            let mut options = options();
            options.overwrite = true;
            format::export(&*source, format, &out, &options, &Silent).unwrap();
            std::fs::read(out).unwrap()
        });
        assert!(one == two, "{format} differs");
    }
}

#[test]
fn images_of_different_disks_have_different_identifiers() {
    let dir = tempdir().unwrap();
    let source = open(&islands_disk(dir.path())).source;
    for format in [Format::Vhd, Format::VhdDynamic, Format::Vhdx, Format::Vmdk] {
        let [one, two] = [1, 2].map(|seed| {
            let out = dir.path().join(format!("{seed}.{format}"));
            format::export(&*source, format, &out, &format::ExportOptions::new([seed; 32]), &Silent).unwrap();
            std::fs::read(out).unwrap()
        });
        assert!(one != two, "{format} is the same");
    }
}

#[test]
fn zeros_that_were_written_are_not_written_again() {
    let dir = tempdir().unwrap();
    let zeros = vec![0; 64 * MIB as usize];
    let raw = raw_disk(&dir.path().join("zeros.raw"), 64 * MIB, &[(0, zeros), (40 * MIB, noise(1, 4096))]);
    assert!(allocated(&raw) >= 64 * MIB);
    for format in Format::ALL {
        let report =
            export_and_judge("zeros_that_were_written_are_not_written_again", &raw, format, dir.path());
        if report.bytes_reflinked == 0 {
            assert!(report.bytes_written < 500_000, "{format}: {} bytes written", report.bytes_written);
            let out = dir.path().join(format!("out.{format}"));
            assert!(allocated(&out) < MIB, "{format} takes {} bytes", allocated(&out));
        }
    }
}

#[test]
fn an_empty_disk_is_an_image_too() {
    let dir = tempdir().unwrap();
    for len in [512, MIB, 5 * GIB] {
        let raw = raw_disk(&dir.path().join(format!("{len}.raw")), len, &[]);
        for format in Format::ALL {
            let report = export_and_judge("an_empty_disk_is_an_image_too", &raw, format, dir.path());
            assert!(report.bytes_written < 500_000, "{format}: {} bytes written", report.bytes_written);
            std::fs::remove_file(dir.path().join(format!("out.{format}"))).unwrap();
        }
    }
}

#[test]
fn two_tebibytes_with_little_data_cost_only_the_data() {
    let dir = tempdir().unwrap();
    for (len, formats) in [
        (2 * TIB, [Format::Raw, Format::Vhdx, Format::Qcow2, Format::Vmdk].as_slice()),
        // What a VHD can hold at most.
        (2040 * GIB, [Format::Vhd, Format::VhdDynamic].as_slice()),
    ] {
        let islands = [(7 * MIB, noise(1, MIB as usize)), (len - 3 * MIB, noise(2, 2 * MIB as usize + 100))];
        let raw = raw_disk(&dir.path().join(format!("{len}.raw")), len, &islands);
        for &format in formats {
            let test = "two_tebibytes_with_little_data_cost_only_the_data";
            let report = export_and_judge(test, &raw, format, dir.path());
            let out = dir.path().join(format!("out.{format}"));
            // Three MiB of data, and at most 8 MiB of table.
            assert!(allocated(&out) < 14 * MIB, "{format} takes {} bytes", allocated(&out));
            assert!(report.bytes_written < 14 * MIB, "{format} wrote {} bytes", report.bytes_written);
        }
    }
}

#[test]
fn a_fixed_vhd_is_what_azure_wants() {
    let dir = tempdir().unwrap();
    let raw = islands_disk(dir.path());
    let out = dir.path().join("azure.vhd");
    let report = export(&*open(&raw).source, Format::Vhd, &out);
    assert_eq!(report.disk_len, 38 * MIB, "a whole number of MiB");
    let bytes = std::fs::read(&out).unwrap();
    assert_eq!(bytes.len() as u64, 38 * MIB + 512);
    let footer = &bytes[38 * MIB as usize..];
    assert_eq!(&footer[..8], b"conectix");
    assert_eq!(footer[8..12], [0, 0, 0, 2], "features");
    assert_eq!(footer[12..16], [0, 1, 0, 0], "version");
    assert_eq!(footer[16..24], [0xff; 8], "data offset");
    assert_eq!(footer[24..28], [0; 4], "2000-01-01");
    assert_eq!(&footer[28..32], b"win ", "the creator for whom the current size counts, not the geometry");
    assert_eq!(footer[40..48], (38 * MIB).to_be_bytes(), "original size");
    assert_eq!(footer[48..56], (38 * MIB).to_be_bytes(), "current size");
    assert_eq!(footer[60..64], [0, 0, 0, 2], "fixed");
    let sum: u32 =
        footer.iter().enumerate().filter(|(i, _)| !(64..68).contains(i)).map(|(_, b)| u32::from(*b)).sum();
    assert_eq!(footer[64..68], (!sum).to_be_bytes(), "checksum");
    assert_ne!(footer[68..84], [0; 16], "UUID");
    if let Some(info) =
        qemu_img_ok("a_fixed_vhd_is_what_azure_wants", &["info", "-f", "vpc", "--output=json", utf8(&out)])
    {
        assert!(info.contains(&format!("\"virtual-size\": {}", 38 * MIB)), "{info}");
    }
}

#[test]
fn vhds_have_the_geometry_that_qemu_calculates() {
    use std::os::unix::fs::FileExt;
    let dir = tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours.vhd"), dir.path().join("theirs.vhd"));
    for len in [3 * MIB, 64 * MIB, 504 * MIB, 600 * MIB, GIB, 8 * GIB, 31 * GIB, 40 * GIB, 126 * GIB] {
        // QEMU rounds up to a size that its geometry describes exactly.
        let create = ["create", "-f", "vpc", "-o", "subformat=dynamic", utf8(&theirs), &len.to_string()];
        if qemu_img_ok("vhds_have_the_geometry_that_qemu_calculates", &create).is_none() {
            return;
        }
        let field = |path: &Path, at: u64| {
            let mut field = [0; 8];
            std::fs::File::open(path).unwrap().read_exact_at(&mut field, at).unwrap();
            field
        };
        let rounded = u64::from_be_bytes(field(&theirs, 48));
        assert!(rounded >= len);
        export(&*open(&raw_disk(&dir.path().join("raw"), rounded, &[])).source, Format::VhdDynamic, &ours);
        assert_eq!(field(&ours, 56)[..4], field(&theirs, 56)[..4], "{len}");
        std::fs::remove_file(&ours).unwrap();
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_with_the_reason() {
    let dir = tempdir().unwrap();
    let big = open(&raw_disk(&dir.path().join("big"), 2040 * GIB + 512, &[])).source;
    for format in [Format::Vhd, Format::VhdDynamic] {
        let error = format::export(&*big, format, &dir.path().join("out"), &options(), &Silent).unwrap_err();
        assert_eq!(error.code(), "export-format-limit");
        assert!(error.to_string().contains("2040 GiB"), "{error}");
    }
    struct Odd(u64);
    impl ByteSource for Odd {
        fn len(&self) -> u64 {
            self.0
        }
        fn read_exact_at(&self, _: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(0);
            Ok(())
        }
    }
    for len in [0, 1000, (64 << 40) + 512] {
        for format in Format::ALL {
            let error =
                format::export(&Odd(len), format, &dir.path().join("out"), &options(), &Silent).unwrap_err();
            assert_eq!(error.code(), "export-format-limit", "{len} as {format}");
        }
    }
    assert_eq!(names(dir.path()), ["big"], "nothing was left behind");
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_existing_file_is_only_replaced_when_allowed() {
    let dir = tempdir().unwrap();
    let source = open(&islands_disk(dir.path())).source;
    let out = dir.path().join("taken");
    std::fs::write(&out, "precious").unwrap();
    let error = format::export(&*source, Format::Qcow2, &out, &options(), &Silent).unwrap_err();
    assert_eq!(error.code(), "export-target-exists");
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    let mut replace = options();
    replace.overwrite = true;
    format::export(&*source, Format::Qcow2, &out, &replace, &Silent).unwrap();
    assert_same_disk(&*source, &*open(&out).source, "replaced");
    assert_eq!(names(dir.path()), ["islands.raw", "taken"]);
}

/// Cancels after so many bytes.
struct CancelAfter(u64, AtomicU64);

impl Progress for CancelAfter {
    fn step(&self, _: &str, _: Option<u64>, _: Unit) {}
    fn advance(&self, amount: u64) {
        self.1.fetch_add(amount, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

#[test]
fn a_cancelled_export_leaves_nothing() {
    let dir = tempdir().unwrap();
    let source = open(&islands_disk(dir.path())).source;
    for format in Format::ALL {
        for after in [0, 10 * MIB, source.len()] {
            let progress = CancelAfter(after, AtomicU64::new(0));
            let error =
                format::export(&*source, format, &dir.path().join("out"), &options(), &progress).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{format}: {error}");
        }
    }
    assert_eq!(names(dir.path()), ["islands.raw"]);
}

#[test]
fn progress_adds_up_to_the_disk() {
    let dir = tempdir().unwrap();
    let source = open(&islands_disk(dir.path())).source;
    for format in Format::ALL {
        let progress = CancelAfter(u64::MAX, AtomicU64::new(0));
        format::export(&*source, format, &dir.path().join(format.name()), &options(), &progress).unwrap();
        assert_eq!(progress.1.into_inner(), source.len(), "{format}");
    }
}

/// A disk of noise whose third MiB cannot be read.
struct BadSector;

impl ByteSource for BadSector {
    fn len(&self) -> u64 {
        40 * MIB
    }
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset >= 30 * MIB {
            return Err(io::Error::other("bad sector"));
        }
        buf.fill(7);
        Ok(())
    }
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < self.len()).then_some(from..self.len()))
    }
}

#[test]
fn a_source_that_fails_is_named_and_nothing_is_left() {
    let dir = tempdir().unwrap();
    for format in Format::ALL {
        let error =
            format::export(&BadSector, format, &dir.path().join("out"), &options(), &Silent).unwrap_err();
        assert_eq!(error.code(), "export-source-unreadable", "{format}");
        assert!(error.to_string().contains("bad sector"), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn a_directory_that_is_not_there_is_a_clear_error() {
    let error = format::export(&BadSector, Format::Raw, Path::new("/nonexistent/out"), &options(), &Silent)
        .unwrap_err();
    assert_eq!(error.code(), "export-unwritable");
    assert!(error.to_string().starts_with("cannot write /nonexistent/out: "), "{error}");
}
