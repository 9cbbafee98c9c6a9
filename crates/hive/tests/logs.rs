//! Completing interrupted writes: what Windows itself made of the same hives is the judge.

mod support;

use hive::{Error, Hive, Recovery, Tree};
use support::{count, first_difference, hives, read, upcase};

/// The bins, which is what logs are about.
fn bins(file: &[u8]) -> &[u8] {
    let len = u32::from_le_bytes([file[40], file[41], file[42], file[43]]) as usize;
    &file[4096..4096 + len]
}

#[test]
fn a_log_of_the_new_format_gives_what_windows_10_recovered_byte_for_byte() {
    let Some(folder) = hives("a_log_of_the_new_format_gives_what_windows_10_recovered_byte_for_byte") else {
        return;
    };
    let file = |name: &str| read(&folder, &format!("yarp/NewDirtyHive1/{name}"));
    let (first, second) = (file("NewDirtyHive.LOG1"), file("NewDirtyHive.LOG2"));
    let windows = file("RecoveredHive_Windows10");
    for logs in [[&first[..], &second[..]], [&second[..], &first[..]]] {
        let hive = Hive::open(file("NewDirtyHive"), &logs).unwrap();
        assert_eq!(hive.recovery(), Recovery::Replayed { entries: 4, pages: 4 });
        assert!(bins(hive.as_bytes()) == bins(&windows));
        assert_eq!(hive.as_bytes()[..512], windows[..512]);
    }
}

#[test]
fn a_log_of_the_old_format_gives_what_windows_7_recovered() {
    let Some(folder) = hives("a_log_of_the_old_format_gives_what_windows_7_recovered") else { return };
    let file = |name: &str| read(&folder, &format!("yarp/OldDirtyHive/{name}"));
    let hive =
        Hive::open(file("OldDirtyHive"), &[&file("OldDirtyHive.LOG1"), &file("OldDirtyHive.LOG2")]).unwrap();
    assert!(matches!(hive.recovery(), Recovery::Replayed { entries: 1, .. }));
    // Windows wrote the hive once more when it had loaded it: another time, and the length of the longest value name that
    // a key keeps as a hint
    let windows = Hive::open(file("RecoveredHive_Windows7"), &[]).unwrap();
    let (ours, theirs) = (bins(hive.as_bytes()), bins(windows.as_bytes()));
    let differing: Vec<usize> = (0..ours.len()).filter(|at| ours[*at] != theirs[*at]).collect();
    assert_eq!(differing, [20, 21, 22, 23, 24, 437_704]);
    let (ours, theirs) = (Tree::load(&hive, upcase()).unwrap().0, Tree::load(&windows, upcase()).unwrap().0);
    assert_eq!(first_difference(&ours, &theirs), None);
}

#[test]
fn a_hive_of_a_running_system_has_the_keys_that_only_its_logs_hold() {
    let Some(folder) = hives("a_hive_of_a_running_system_has_the_keys_that_only_its_logs_hold") else {
        return;
    };
    let file = |name: &str| read(&folder, &format!("regipy/{name}"));
    let logs = (file("SYSTEM_B.LOG1"), file("SYSTEM_B.LOG2"));
    let hive = Hive::open(file("SYSTEM_B"), &[&logs.0, &logs.1]).unwrap();
    assert_eq!(hive.recovery(), Recovery::Replayed { entries: 24, pages: 315 });
    let (tree, _) = Tree::load(&hive, upcase()).unwrap();
    assert_eq!(count(&tree).0, 35_595);
    let before = Hive::open_dirty(file("SYSTEM_B"), &[]).unwrap();
    assert_eq!(before.recovery(), Recovery::Ignored);
    assert_eq!(count(&Tree::load(&before, upcase()).unwrap().0).0, 33_123);
}

#[test]
fn entries_that_were_applied_before_are_passed_over() {
    let Some(folder) = hives("entries_that_were_applied_before_are_passed_over") else { return };
    let file = |name: &str| read(&folder, &format!("yarp/NewDirtyHive2/{name}"));
    let hive =
        Hive::open(file("NewDirtyHive"), &[&file("NewDirtyHive.LOG1"), &file("NewDirtyHive.LOG2")]).unwrap();
    assert_eq!(hive.recovery(), Recovery::Replayed { entries: 3, pages: 3 });
}

#[test]
fn a_damaged_base_block_comes_back_from_the_log() {
    let Some(folder) = hives("a_damaged_base_block_comes_back_from_the_log") else { return };
    let file = |name: &str| read(&folder, &format!("yarp/BadBaseBlockHive/{name}"));
    let hive = Hive::open(file("BadBaseBlockHive"), &[&file("BadBaseBlockHive.LOG1")]).unwrap();
    assert_eq!(hive.minor_version(), 3, "the file says 1");
    Tree::load(&hive, upcase()).unwrap();
}

#[test]
fn an_incomplete_hive_without_a_usable_log_is_refused_unless_asked_for() {
    let Some(folder) = hives("an_incomplete_hive_without_a_usable_log_is_refused_unless_asked_for") else {
        return;
    };
    for (case, reason) in [
        ("BadLogHive1", "log 1 has a wrong checksum; log 2 is empty"),
        ("BadLogHive2", "log 1 has no map of what was written; log 2 is empty"),
        ("BadLogHive3", "log 1 has a wrong checksum; log 2 has a wrong checksum"),
    ] {
        let file = |name: &str| read(&folder, &format!("yarp/{case}/BadLogHive{name}"));
        let logs = (file(".LOG1"), file(".LOG2"));
        match Hive::open(file(""), &[&logs.0, &logs.1]) {
            Err(Error::Dirty { logs, .. }) => assert_eq!(logs, reason, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(
            Hive::open_dirty(file(""), &[&logs.0, &logs.1]).unwrap().recovery(),
            Recovery::Ignored,
            "{case}"
        );
    }
    let Err(error) = Hive::open(read(&folder, "regipy/SYSTEM_B"), &[]) else { panic!("it was opened") };
    assert_eq!(
        error.to_string(),
        "the registry hive was not written completely (its sequence numbers are 1622 and 1621, its checksum is \
         right) and no log completes it: there is none"
    );
}

#[test]
fn a_log_that_claims_a_huge_hive_makes_no_huge_hive() {
    let Some(folder) = hives("a_log_that_claims_a_huge_hive_makes_no_huge_hive") else { return };
    let file = |name: &str| read(&folder, &format!("yarp/OldDirtyHive/{name}"));
    let mut log = file("OldDirtyHive.LOG1");
    log[40..44].copy_from_slice(&0x7000_0000u32.to_le_bytes());
    let sum =
        (0..508).step_by(4).fold(0, |sum, at| sum ^ u32::from_le_bytes(log[at..at + 4].try_into().unwrap()));
    log[508..512].copy_from_slice(&sum.to_le_bytes());
    match Hive::open(file("OldDirtyHive"), &[&log]) {
        Err(Error::Dirty { logs, .. }) => assert_eq!(logs, "log 1 names a length of bins that no hive has"),
        other => panic!("{other:?}"),
    }
}
