//! The checker and the gate on real images.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod scan_support;

use ntfs_volume::check::{Severity, check};
use ntfs_volume::gate::check_state;
use operation::Silent;
use scan_support::{Set, image, images};
use volume::{Error, Refusal};

#[test]
fn volumes_that_windows_wrote_are_clean() {
    for volume in images("volumes_that_windows_wrote_are_clean", Set::Windows) {
        let report = check(&volume, &Silent).unwrap();
        assert!(report.is_clean(), "{}: {:#?}", volume.name, report.findings);
        assert!(report.counts.names >= report.counts.files - 4, "{}: {:?}", volume.name, report.counts);
        assert_eq!(report.counts.names, report.counts.index_entries, "{}", volume.name);
    }
}

#[test]
fn volumes_that_windows_left_in_order_pass_the_gate() {
    for volume in images("volumes_that_windows_left_in_order_pass_the_gate", Set::Windows) {
        check_state(&volume).unwrap_or_else(|error| panic!("{}: {error}", volume.name));
    }
}

#[test]
fn a_system_volume_taken_while_windows_ran_is_refused() {
    let test = "a_system_volume_taken_while_windows_ran_is_refused";
    let Some(volume) = image(test, "dissect.ntfs/ntfs-cloud.bin.gz") else { return };
    match check_state(&volume) {
        Err(Error::Refused(Refusal::Hibernated { evidence })) => {
            assert!(evidence.contains("2.0"), "{evidence}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_file_that_another_driver_left_without_index_entry_is_found() {
    let test = "the_file_that_another_driver_left_without_index_entry_is_found";
    let Some(volume) = image(test, "dfir_ntfs/dn_ntfs3.raw.gz") else { return };
    let report = check(&volume, &Silent).unwrap();
    let errors: Vec<_> = report.findings.iter().filter(|f| f.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!((errors[0].code, &errors[0].place[..]), ("name-not-in-index", "file record 28"));
}
