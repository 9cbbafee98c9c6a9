//! Disks that Windows itself partitioned, formatted and wrote, through the whole engine.

use crate::bench::*;
use layering::reference::LayerKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whole disks of the test data, and the shell command that unpacks `$1` to `$2`.
const DISKS: &[(&str, &str)] = &[
    ("ntfs-samples/ns_ntfs-2m.raw.gz", GZIP),
    ("ntfs-samples/ns_ntfs-lastaccess.raw.gz", GZIP),
    ("ntfs-samples/ns_ntfs-ptrn.raw.gz", GZIP),
    ("ntfs-samples/ns_ntfs-ramslack.raw.gz", GZIP),
    ("ntfs-samples/ns_ntfs-si-vs-fn.raw.gz", GZIP),
    ("ntfs-samples/ns_ntfs.tgz", TAR),
    ("dfir_ntfs/dn_ntfs_index.raw.gz", GZIP),
];

const GZIP: &str = "set -o pipefail; gzip -dc \"$1\" | cp --sparse=always /dev/stdin \"$2\"";
// One sparse member, of which a pipe would make 64 GiB of zeros.
const TAR: &str = "mkdir \"$2.d\" && tar xzSf \"$1\" -C \"$2.d\" && mv \"$2.d\"/*.raw \"$2\"";

/// The folder of the test data; `None` with a visible skip where it is not there.
#[expect(clippy::print_stdout, reason = "the test command counts these lines")]
pub fn test_data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("LAMINA_TESTDATA").map(PathBuf::from);
    if data.is_none() {
        println!("SKIPPED {test}: LAMINA_TESTDATA is not set");
    }
    data
}

fn unpack(lab: &Lab, from: &Path, how: &str) -> Disk {
    let to = lab.fresh("windows.raw");
    let output = Command::new("bash").args(["-c", how, "unpack"]).args([from, &to]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Disk { path: to }
}

#[test]
fn a_layer_is_captured_from_and_composed_over_every_disk_that_windows_formatted() {
    let Some(data) =
        test_data("a_layer_is_captured_from_and_composed_over_every_disk_that_windows_formatted")
    else {
        return;
    };
    for (packed, how) in DISKS {
        let lab = lab!();
        let windows = unpack(&lab, &data.join("ntfs").join(packed), how);
        lab.import("Windows@1", &windows);
        let before = Snapshot::of(&windows);
        let disk = lab.package(&on("Windows"));
        disk.edit(|volume| {
            volume.file("\\Program Files\\App\\app.exe", noise(300_000, 1));
            volume.file("\\Program Files\\App\\app.ini", "small");
            volume.link("\\Program Files\\App\\app.exe", "\\Program Files\\second name.exe");
            volume.stream("\\Program Files\\App\\app.ini", "Zone.Identifier", "[ZoneTransfer]");
        });
        lab.app(&on("Windows"), "Empty@1", |_| {});
        assert_eq!(lab.rows("app:Empty@1"), [""; 0], "{packed}: an untouched disk gives an empty layer");
        lab.capture(&on("Windows"), LayerKind::App, "App@1", &disk);
        let image = lab.compose(&on("Windows").with("App"));
        assert_eq!(image.bytes("\\Program Files\\App\\app.exe"), noise(300_000, 1), "{packed}");
        assert_eq!(image.text("\\Program Files\\App\\app.ini"), "small");
        assert_eq!(image.stream("\\Program Files\\App\\app.ini", "Zone.Identifier"), "[ZoneTransfer]");
        assert_eq!(image.group("\\Program Files\\second name.exe").len(), 2);
        let kept = before.entries.iter().filter(|(path, _)| image.entries.contains_key(*path));
        for (path, found) in kept.clone() {
            let now = &image.entries[path];
            assert_eq!(now.streams, found.streams, "{packed}: {}", show(path));
            assert_eq!(now.metadata.security, found.metadata.security, "{packed}: {}", show(path));
        }
        let kept: BTreeSet<_> = kept.map(|(path, _)| path).collect();
        let gone: Vec<_> = before.entries.keys().filter(|path| !kept.contains(path)).collect();
        assert!(gone.is_empty(), "{packed}: {gone:?}");
        lab.assert_sound();
    }
}
