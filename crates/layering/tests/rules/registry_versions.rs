//! The registry where versions follow each other, and where things are unusual: newer versions of layers on newer versions
//! of the OS, removals with what is never captured in them, large hives.

use crate::bench::*;
use crate::registry::*;
use hive::{Data, multi_string, value_kind};
use layering::reference::LayerKind;

#[test]
fn a_hive_that_was_overwritten_in_place_is_compared_even_where_metadata_is_trusted() {
    let lab = lab!();
    with_registry(&lab);
    let (before, after) = ("what it was in place", "what it is in place!");
    let mut hive = software();
    hive.text("Vendor\\Old", "Setting", before).text("Vendor\\Large", "Text", &"x".repeat(3_000));
    lab.os("Windows@2", |disk| {
        disk.file(SOFTWARE, hive.file()).file("\\plain.bin", format!("{before}{}", "x".repeat(9_000)));
    });
    let disk = lab.package(&on("Windows@2"));
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (from, to) in [(utf16(before), utf16(after)), (before.into(), after.into())] {
        overwrite(&disk, &from, &to);
    }
    let mut request = lab.capture_request(&on("Windows@2"), LayerKind::App, "A@1", &disk);
    request.trust_metadata = true;
    lab.engine.capture(&request, &operation::Silent).unwrap();
    assert_eq!(lab.rows("app:A@1"), [""; 0], "the file's change is missed, as was asked");
    let merged = Registry::read(lab.compose(&on("Windows@2").with("A")).bytes(SOFTWARE).to_vec());
    assert_eq!(merged.said("Vendor\\Old", "Setting"), after);
}

/// Overwrites some bytes where they lie on a disk: no record of a file changes.
fn overwrite(disk: &Disk, from: &[u8], to: &[u8]) {
    let mut bytes = std::fs::read(&disk.path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty() && from.len() == to.len());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(&disk.path, bytes).unwrap();
}
