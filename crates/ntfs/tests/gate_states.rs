//! Every state that must be refused is refused by its own name, and nothing else is.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod scan_support;

use ntfs_volume::attribute::code;
use ntfs_volume::gate::check_state;
use ntfs_volume::scan::scan;
use operation::Silent;
use scan_support::surgery::{Surgery, record_of, sample};
use scan_support::{Memory, Volume, formatted, populate, skipped};
use volume::{Error, Refusal, Result};

/// The gate's word on the sample volume after a change.
fn judged(test: &str, change: impl FnOnce(&mut Surgery, &dyn Fn(&str) -> u64)) -> Option<Result<()>> {
    let volume = sample(test)?;
    let tree = scan(&volume, &Silent).unwrap();
    let mut surgery = Surgery::on(volume);
    change(&mut surgery, &|path| record_of(&tree, path));
    Some(check_state(&surgery.volume))
}

/// The gate's word on a volume that a shell command filled through ntfs-3g.
fn filled(test: &str, command: &str) -> Option<Result<()>> {
    let folder = tempfile::tempdir().unwrap();
    let made = formatted(folder.path(), 16, "-c 4096").and_then(|path| {
        populate(&path, command)?;
        Ok(Memory::of(&Volume::open(&path, 0)))
    });
    match made {
        Ok(volume) => Some(check_state(&volume)),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

#[test]
fn an_ordinary_volume_passes() {
    if let Some(result) = judged("an_ordinary_volume_passes", |_, _| ()) {
        result.unwrap();
    }
}

#[test]
fn a_dirty_volume_is_refused() {
    let test = "a_dirty_volume_is_refused";
    let Some(result) =
        judged(test, |volume, _| volume.value(3, code::VOLUME_INFORMATION, "", |value| value[10] |= 1))
    else {
        return;
    };
    assert!(matches!(result, Err(Error::Refused(Refusal::Dirty))), "{result:?}");
}

#[test]
fn an_old_version_of_ntfs_is_refused() {
    let test = "an_old_version_of_ntfs_is_refused";
    let Some(result) = judged(test, |volume, _| {
        volume.value(3, code::VOLUME_INFORMATION, "", |value| value[8..10].copy_from_slice(&[1, 2]));
    }) else {
        return;
    };
    match result {
        Err(Error::Refused(Refusal::Feature { feature })) => assert_eq!(feature, "NTFS version 1.2"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bitlocker_is_refused_by_its_signature() {
    let test = "bitlocker_is_refused_by_its_signature";
    let Some(result) = judged(test, |volume, _| volume.volume.0[3..11].copy_from_slice(b"-FVE-FS-")) else {
        return;
    };
    assert!(matches!(result, Err(Error::Refused(Refusal::BitLocker))), "{result:?}");
}

#[test]
fn something_else_is_no_ntfs() {
    let test = "something_else_is_no_ntfs";
    let Some(result) = judged(test, |volume, _| volume.volume.0[3..11].copy_from_slice(b"MSDOS5.0")) else {
        return;
    };
    assert!(matches!(result, Err(Error::Refused(Refusal::NotThisFileSystem { .. }))), "{result:?}");
}

#[test]
fn logs_that_real_systems_left_are_understood() {
    let test = "logs_that_real_systems_left_are_understood";
    let Some(data) = std::env::var_os("LAMINA_TESTDATA") else {
        skipped(test, "LAMINA_TESTDATA is not set");
        return;
    };
    let judge = |file: &str| {
        let log = std::fs::read(std::path::Path::new(&data).join("ntfs/dfir_ntfs").join(file)).unwrap();
        judged(test, |volume, _| {
            let run = volume.runs(2, code::DATA, "")[0];
            let at = run.at.unwrap() as usize;
            volume.volume.0[at..at + log.len()].copy_from_slice(&log);
        })
    };
    for file in ["dn_LogFile_10.bin", "dn_LogFile_10_large.bin"] {
        let Some(result) = judge(file) else { return };
        assert!(matches!(result, Err(Error::Refused(Refusal::Hibernated { .. }))), "{file}: {result:?}");
    }
    // Windows 7 closed its log before the sample was taken.
    judge("dn_LogFile_7.bin").unwrap().unwrap();
    // The same log, had it not: the flag "clean" is in both restart areas, at 0x30 + 0x0e.
    let log = std::fs::read(std::path::Path::new(&data).join("ntfs/dfir_ntfs/dn_LogFile_7.bin")).unwrap();
    let area = usize::from(u16::from_le_bytes([log[0x18], log[0x19]]));
    let result = judged(test, |volume, _| {
        let at = volume.runs(2, code::DATA, "")[0].at.unwrap() as usize;
        volume.volume.0[at..at + log.len()].copy_from_slice(&log);
        for page in [0, 4096] {
            volume.volume.0[at + page + area + 0x0e] = 0;
        }
    });
    assert!(matches!(result, Some(Err(Error::Refused(Refusal::UncleanLog)))), "{result:?}");
}

#[test]
fn a_hibernated_windows_is_refused_and_a_resumed_and_erased_one_is_not() {
    let test = "a_hibernated_windows_is_refused_and_a_resumed_and_erased_one_is_not";
    for signature in ["hibr", "HIBR", "RSTR"] {
        let command = format!(
            "head -c 100000 /dev/zero > hiberfil.sys; printf {signature} | dd of=hiberfil.sys conv=notrunc status=none"
        );
        let Some(result) = filled(test, &command) else { return };
        match result {
            Err(Error::Refused(Refusal::Hibernated { evidence })) => {
                assert!(evidence.contains(signature), "{evidence}")
            }
            other => panic!("{signature}: {other:?}"),
        }
    }
    filled(test, "head -c 100000 /dev/zero > hiberfil.sys").unwrap().unwrap();
    filled(test, "printf wake > hiberfil.sys").unwrap().unwrap();
    filled(test, "mkdir sub; printf hibr > sub/hiberfil.sys").unwrap().unwrap();
}

/// A file whose reparse point has this tag (little-endian hexadecimal).
fn reparse(tag: &str) -> String {
    format!(
        "mkdir 'a dir'; echo > 'a dir/file'; setfattr -n system.ntfs_reparse_data -v 0x{tag}080000000102030405060708 'a dir/file'"
    )
}

#[test]
fn deduplicated_files_are_refused_with_their_path() {
    let Some(result) = filled("deduplicated_files_are_refused_with_their_path", &reparse("13000080")) else {
        return;
    };
    match result {
        Err(Error::Refused(Refusal::Placeholder { path, kind })) => {
            assert_eq!((&path[..], &kind[..]), ("\\a dir\\file", "data deduplication"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deduplication_store_is_refused() {
    let command = "mkdir -p 'System Volume Information/Dedup/ChunkStore/{1}.ddp'";
    let Some(result) = filled("a_deduplication_store_is_refused", command) else { return };
    assert!(matches!(result, Err(Error::Refused(Refusal::Placeholder { .. }))), "{result:?}");
}

#[test]
fn a_cloud_file_is_refused_when_its_contents_are_elsewhere_and_only_then() {
    let test = "a_cloud_file_is_refused_when_its_contents_are_elsewhere_and_only_then";
    let cloud = reparse("1a300090");
    let Some(result) = filled(test, &cloud) else { return };
    result.expect("contents are here");
    let offline = format!("echo > 'x'; {cloud}");
    let Some(result) = filled(
        test,
        &offline.replace(
            "echo > 'a dir/file'",
            "echo > 'a dir/file'; setfattr -n system.ntfs_attrib_be -v 0x00001000 'a dir/file'",
        ),
    ) else {
        return;
    };
    match result {
        Err(Error::Refused(Refusal::Placeholder { path, kind })) => {
            assert_eq!((&path[..], &kind[..]), ("\\a dir\\file", "cloud file"));
        }
        other => panic!("{other:?}"),
    }
}
