//! The ways in which changes are found agree.

use crate::bench::*;
use ::disk::BlockSet;
use layering::Changes;
use layering::reference::LayerKind;
use operation::Silent;

/// The blocks in which two disks differ.
pub fn changed(before: &Disk, after: &Disk) -> BlockSet {
    let (before, after) = (before.source(), after.source());
    let mut blocks = BlockSet::new();
    let (mut a, mut b) = (vec![0; 4096], vec![0; 4096]);
    for at in (0..after.len()).step_by(4096) {
        before.read_exact_at(at, &mut a).unwrap();
        after.read_exact_at(at, &mut b).unwrap();
        if a != b {
            blocks.insert(at..at + 4096);
        }
    }
    blocks
}

/// Captures a disk in one way and gives the identity of the manifest and how many bytes were read.
pub fn captured(lab: &Lab, spec: &Spec, reference: &str, disk: &Disk, changes: Changes) -> (String, u64) {
    let request = lab.capture_request(spec, LayerKind::App, reference, disk);
    let report = lab.engine.capture_changes(&request, changes, &Silent).unwrap();
    let body = lab.engine.show(&format!("app:{reference}"), &Silent).unwrap().details["body"].to_string();
    (body, report.read)
}

#[test]
fn known_blocks_a_full_comparison_and_trusted_metadata_give_the_same_manifest() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        for number in 0..40 {
            disk.file(&format!("\\os\\{number}.bin"), noise(number * 3_000, number as u64));
        }
        disk.file("\\os\\linked.bin", noise(50_000, 99)).link("\\os\\linked.bin", "\\os\\other name.bin");
    });
    let before = lab.package(&on("Windows"));
    let after = lab.copy(&before);
    after.edit(|disk| {
        for number in [3, 17, 20] {
            disk.file(&format!("\\os\\{number}.bin"), noise(number * 3_000, 1_000 + number as u64));
        }
        disk.delete("\\os\\5.bin").file("\\new\\a.bin", noise(200_000, 5)).file("\\new\\small", "s");
        disk.file("\\os\\linked.bin", noise(60_000, 8)).stream("\\os\\8.bin", "extra", noise(5_000, 1));
    });
    let compared = captured(&lab, &on("Windows"), "A@1", &after, Changes::Compare);
    let known = captured(&lab, &on("Windows"), "B@1", &after, Changes::Known(changed(&before, &after)));
    assert_eq!(known.0, compared.0);
    assert!(known.1 < compared.1, "known blocks read {} bytes, comparing {}", known.1, compared.1);
    // What is trusted here is what a system keeps: a file that changed has another size or time.
    let after = lab.copy(&before);
    after.edit(|disk| {
        for number in [3, 17, 20] {
            disk.file(&format!("\\os\\{number}.bin"), noise(number * 3_000, 1_000 + number as u64));
        }
        disk.file("\\new\\a.bin", noise(200_000, 5));
    });
    let compared = captured(&lab, &on("Windows"), "A@2", &after, Changes::Compare);
    let trusted = captured(&lab, &on("Windows"), "C@1", &after, Changes::TrustMetadata);
    let known = captured(&lab, &on("Windows"), "B@2", &after, Changes::Known(changed(&before, &after)));
    assert_eq!(trusted.0, compared.0);
    assert_eq!(known.0, compared.0);
}

#[test]
fn known_blocks_that_did_not_change_in_truth_make_no_difference_to_what_is_captured() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        for number in 0..40 {
            disk.file(&format!("\\os\\{number}.bin"), noise(number * 3_000, number as u64));
        }
    });
    let before = lab.package(&on("Windows"));
    let after = lab.copy(&before);
    after.edit(|disk| {
        disk.file("\\os\\3.bin", noise(9_000, 5)).delete("\\os\\4.bin");
    });
    let mut all = BlockSet::new();
    all.insert(0..after.source().len());
    let everything = captured(&lab, &on("Windows"), "A@1", &after, Changes::Known(all));
    let exact = captured(&lab, &on("Windows"), "B@1", &after, Changes::Known(changed(&before, &after)));
    assert_eq!(everything.0, exact.0);
}

#[test]
fn contents_changed_without_a_trace_are_found_by_comparing_and_by_blocks_but_not_by_metadata() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\big.bin", noise(50_000, 1)).file("\\small.txt", "before");
    });
    let before = lab.package(&on("Windows"));
    let after = lab.copy(&before);
    // Written in place: the same clusters, the same record.
    let needle = noise(50_000, 1);
    let volume = after.bytes_of(2);
    let at = volume.windows(64).position(|window| window == &needle[..64]).unwrap() as u64;
    after.write(after.partition(2).start + at, &noise(50_000, 2));
    captured(&lab, &on("Windows"), "A@1", &after, Changes::Compare);
    captured(&lab, &on("Windows"), "B@1", &after, Changes::Known(changed(&before, &after)));
    captured(&lab, &on("Windows"), "C@1", &after, Changes::TrustMetadata);
    assert_eq!(lab.rows("app:A"), ["file \\big.bin"]);
    assert_eq!(lab.rows("app:B"), ["file \\big.bin"]);
    assert_eq!(lab.rows("app:C"), [""; 0]);
    assert_eq!(lab.engine.show("app:C", &Silent).unwrap().details["captured"]["trust_metadata"], true);
    assert_eq!(lab.compose(&on("Windows").with("A")).bytes("\\big.bin"), noise(50_000, 2));
}

#[test]
fn moving_clusters_without_changing_contents_is_no_change() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a.bin", noise(300_000, 1)).file("\\b.bin", noise(300_000, 2));
    });
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        // As a defragmenter does: the same bytes in other places.
        volume.overwrite_secretly("\\a.bin", noise(300_000, 1));
        volume.file("\\temporary", noise(500_000, 3)).overwrite_secretly("\\b.bin", noise(300_000, 2));
        volume.delete("\\temporary");
    });
    let report = lab.capture(&on("Windows"), LayerKind::App, "A@1", &disk);
    assert_eq!(lab.rows("app:A"), [""; 0]);
    assert_eq!(report.version.size, 0);
}

#[test]
fn nothing_done_is_an_empty_layer_and_an_equal_image() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a.bin", noise(300_000, 1)).usn_journal();
    });
    let disk = lab.package(&on("Windows"));
    let report = lab.capture(&on("Windows"), LayerKind::App, "A@1", &disk);
    assert_eq!((report.files, report.directories, report.deletions, report.version.size), (0, 0, 0, 0));
    let plain = lab.compose(&on("Windows"));
    assert_eq!(lab.compose(&on("Windows").with("A")).report.digest, plain.report.digest);
}

#[test]
fn known_blocks_of_another_disk_or_another_state_are_refused() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a.bin", noise(300_000, 1));
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a\\of A.bin", noise(300_000, 2));
    });
    let before = lab.package(&on("Windows"));
    let other = lab.package(&on("Windows").with("A"));
    let refusal = |disk: &Disk, blocks| {
        let request = lab.capture_request(&on("Windows"), LayerKind::App, "B@1", disk);
        refused(lab.engine.capture_changes(&request, Changes::Known(blocks), &Silent), "not-descended")
    };
    // Without its own mark among the changed blocks it would pass for the composite.
    let message = refusal(&other, BlockSet::new());
    assert!(message.contains("not among the changed ones"), "{message}");
    refusal(&other, changed(&before, &other));
    // What was changed before the counting began.
    let after = lab.copy(&before);
    after.edit(|disk| {
        for number in 0..200 {
            disk.file(&format!("\\new\\{number}"), "x");
        }
    });
    let later = lab.copy(&after);
    later.edit(|disk| {
        disk.file("\\last", "x");
    });
    refusal(&later, changed(&after, &later));
    captured(&lab, &on("Windows"), "B@1", &later, Changes::Known(changed(&before, &later)));
}
