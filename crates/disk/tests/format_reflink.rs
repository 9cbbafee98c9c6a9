//! Exports on a file system that can share extents: XFS in a loop image, which needs root.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "the line that says what was skipped")]

mod format_images;

use disk::format::{self, Format};
use format_images::*;
use operation::Silent;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::{TempDir, tempdir};

/// A mounted file system, unmounted when dropped.
struct Xfs {
    mount: PathBuf,
    _directory: TempDir,
}

impl Xfs {
    fn mount() -> Result<Xfs, String> {
        let directory = tempdir().unwrap();
        let (image, mount) = (directory.path().join("xfs"), directory.path().join("mount"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(320 * MIB).unwrap();
        run("mkfs.xfs", &["-q", "-m", "reflink=1", utf8(&image)])?;
        run("mount", &["-o", "loop", utf8(&image), utf8(&mount)])?;
        Ok(Xfs { mount, _directory: directory })
    }

    /// Bytes that are free, after everything was written out.
    fn free(&self) -> u64 {
        run("sync", &["-f", utf8(&self.mount)]).unwrap();
        let stat = rustix::fs::statvfs(&self.mount).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Xfs {
    fn drop(&mut self) {
        if let Err(reason) = run("umount", &[utf8(&self.mount)]) {
            println!("{reason}");
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}

fn assert_shares(xfs: &Xfs, source: &Path, format: Format, whole: u64) {
    let source = open(source).source;
    let out = xfs.mount.join(format!("shared.{format}"));
    let before = xfs.free();
    let report = export(&*source, format, &out);
    let taken = before.saturating_sub(xfs.free());
    assert!(report.bytes_reflinked >= whole, "{format}: {report:?}");
    assert!(taken < 8 * MIB, "{format} takes {taken} bytes");
    assert_same_disk(&*source, &*open(&out).source, &format.to_string());
    // The result is its own: changing the copy is not changing the original, and the copy without sharing is equal.
    let mut options = options();
    options.reflink = false;
    let copy = xfs.mount.join("copy");
    let report = format::export(&*source, format, &copy, &options, &Silent).unwrap();
    assert_eq!(report.bytes_reflinked, 0);
    assert!(
        std::fs::read(&out).unwrap() == std::fs::read(&copy).unwrap(),
        "{format} differs when it is copied"
    );
    std::fs::remove_file(copy).unwrap();
}

#[test]
fn data_is_shared_where_the_file_system_can() {
    let xfs = match Xfs::mount() {
        Ok(xfs) => xfs,
        Err(reason) => return println!("SKIPPED data_is_shared_where_the_file_system_can: {reason}"),
    };
    // Pieces that are whole blocks, on no particular boundary of what formats allocate.
    let islands =
        [(4096, noise(1, 40 << 20)), (90 * MIB + 12288, noise(2, 20 << 20)), (199 * MIB, noise(3, 1000))];
    let raw = raw_disk(&xfs.mount.join("raw"), 200 * MIB, &islands);
    for format in [Format::Raw, Format::Vhd, Format::VhdDynamic, Format::Vhdx, Format::Qcow2] {
        assert_shares(&xfs, &raw, format, 60 * MIB);
    }
    std::fs::remove_file(xfs.mount.join("shared.raw")).unwrap();
    // And from one image to another: what lies plainly in the blocks of the first is shared with the second.
    for format in [Format::Vhd, Format::VhdDynamic, Format::Vhdx, Format::Qcow2] {
        assert_shares(&xfs, &xfs.mount.join(format!("shared.{format}")), Format::Raw, 60 * MIB);
        std::fs::remove_file(xfs.mount.join("shared.raw")).unwrap();
    }
}

#[test]
fn a_full_file_system_is_a_clear_error_and_nothing_is_left() {
    use operation::Explain;
    let xfs = match Xfs::mount() {
        Ok(xfs) => xfs,
        Err(reason) => {
            return println!("SKIPPED a_full_file_system_is_a_clear_error_and_nothing_is_left: {reason}");
        }
    };
    let elsewhere = tempdir().unwrap();
    // Data that cannot be shared, and more than the file system has.
    let raw = raw_disk(&elsewhere.path().join("raw"), GIB, &[(MIB, noise(1, 350 << 20))]);
    let source = open(&raw).source;
    for format in [Format::Vhd, Format::Vmdk] {
        let out = xfs.mount.join("out");
        let error = format::export(&*source, format, &out, &options(), &Silent).unwrap_err();
        assert_eq!(error.code(), "export-no-room", "{error}");
        assert_eq!(std::fs::read_dir(&xfs.mount).unwrap().count(), 0);
    }
}
