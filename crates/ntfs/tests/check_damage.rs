//! The checker finds what it is for: each test breaks one thing in a clean volume.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod scan_support;

use ntfs_volume::attribute::code;
use ntfs_volume::check::{CheckReport, check};
use ntfs_volume::scan::scan;
use operation::Silent;
use scan_support::surgery::{Surgery, attribute_range, entries, record_of, sample};
use volume::Error;

/// Damages the sample volume and checks it.
fn damaged(test: &str, damage: impl FnOnce(&mut Surgery, &dyn Fn(&str) -> u64)) -> Option<CheckReport> {
    let volume = sample(test)?;
    let tree = scan(&volume, &Silent).unwrap();
    let mut surgery = Surgery::on(volume);
    damage(&mut surgery, &|path| record_of(&tree, path));
    Some(check(&surgery.volume, &Silent).unwrap())
}

/// Asserts that damage is found under this code and nothing is found without it.
#[track_caller]
fn finds(test: &str, code: &str, damage: impl FnOnce(&mut Surgery, &dyn Fn(&str) -> u64)) {
    if let Some(report) = damaged(test, damage) {
        assert!(report.has(code), "{code} is not among {:#?}", report.findings);
    }
}

#[test]
fn the_undamaged_volume_is_clean() {
    let Some(report) = damaged("the_undamaged_volume_is_clean", |_, _| ()) else { return };
    assert!(report.is_clean(), "{:#?}", report.findings);
    let serious: Vec<_> = report.findings.iter().filter(|finding| finding.code != "boot-backup").collect();
    assert!(serious.is_empty(), "{serious:#?}");
}

#[test]
fn a_cleared_bit_of_the_cluster_bitmap_is_found() {
    finds("a_cleared_bit_of_the_cluster_bitmap_is_found", "used-but-free", |volume, record| {
        let run = volume.runs(record("big"), code::DATA, "")[0];
        volume.flip_cluster(run.at.unwrap() / volume.boot.cluster + 3);
    });
}

#[test]
fn a_lost_cluster_is_only_a_warning() {
    let test = "a_lost_cluster_is_only_a_warning";
    let Some(report) = damaged(test, |volume, _| {
        let free = (1..volume.boot.clusters)
            .rev()
            .find(|cluster| *volume.byte(6, code::DATA, "", cluster / 8) >> (cluster % 8) & 1 == 0);
        volume.flip_cluster(free.unwrap());
    }) else {
        return;
    };
    assert!(report.has("allocated-but-unused") && report.is_clean(), "{:#?}", report.findings);
}

#[test]
fn two_files_on_the_same_clusters_are_found() {
    finds("two_files_on_the_same_clusters_are_found", "cross-linked", |volume, record| {
        let mut pairs = Vec::new();
        let read_pairs = |attribute: &mut [u8]| {
            let at = usize::from(u16::from_le_bytes([attribute[0x20], attribute[0x21]]));
            pairs = attribute[at..].to_vec();
        };
        volume.attribute(record("big"), code::DATA, "", read_pairs);
        volume.attribute(record("other"), code::DATA, "", |attribute| {
            let at = usize::from(u16::from_le_bytes([attribute[0x20], attribute[0x21]]));
            let len = pairs.len().min(attribute.len() - at);
            attribute[at..at + len].copy_from_slice(&pairs[..len]);
        });
    });
}

#[test]
fn a_wrong_link_count_is_found() {
    finds("a_wrong_link_count_is_found", "link-count", |volume, record| {
        volume.record(record("big"), |bytes| bytes[0x12] += 1);
    });
}

#[test]
fn a_short_name_counts_as_a_link() {
    finds("a_short_name_counts_as_a_link", "link-count", |volume, record| {
        volume.record(record("a long name.txt"), |bytes| {
            assert_eq!(bytes[0x12], 2);
            bytes[0x12] = 1;
        });
    });
}

#[test]
fn swapped_index_entries_are_found() {
    finds("swapped_index_entries_are_found", "index-order", |volume, record| {
        volume.index_block(record("dir"), "$I30", 0, |block| {
            let list = entries(block, 0x18);
            let (first, second) = (list[0].clone(), list[1].clone());
            assert_eq!(first.len(), second.len());
            let (a, b) = (block[first.clone()].to_vec(), block[second.clone()].to_vec());
            block[first].copy_from_slice(&b);
            block[second].copy_from_slice(&a);
        });
    });
}

#[test]
fn a_name_that_is_twice_in_an_index_is_found() {
    finds("a_name_that_is_twice_in_an_index_is_found", "index-duplicate", |volume, record| {
        volume.index_block(record("dir"), "$I30", 0, |block| {
            let list = entries(block, 0x18);
            let copy = block[list[0].clone()].to_vec();
            block[list[1].clone()].copy_from_slice(&copy);
        });
    });
}

#[test]
fn an_entry_that_leads_to_another_file_is_found_from_both_sides() {
    let test = "an_entry_that_leads_to_another_file_is_found_from_both_sides";
    let Some(report) = damaged(test, |volume, record| {
        let other = record("other");
        volume.index_block(record("dir"), "$I30", 0, |block| {
            let at = entries(block, 0x18)[0].start;
            block[at..at + 6].copy_from_slice(&other.to_le_bytes()[..6]);
        });
    }) else {
        return;
    };
    assert!(report.has("entry-without-name"), "{:#?}", report.findings);
    assert!(report.has("name-not-in-index"), "{:#?}", report.findings);
}

#[test]
fn an_index_block_that_its_bitmap_calls_free_is_found() {
    finds("an_index_block_that_its_bitmap_calls_free_is_found", "index", |volume, record| {
        volume.value(record("dir"), code::BITMAP, "$I30", |bitmap| bitmap[0] ^= 1);
    });
}

#[test]
fn a_torn_index_block_is_found() {
    finds("a_torn_index_block_is_found", "index", |volume, record| {
        *volume.byte(record("dir"), code::INDEX_ALLOCATION, "$I30", 1022) ^= 0xff;
    });
}

#[test]
fn index_blocks_that_lead_back_are_found_and_do_not_loop() {
    finds("index_blocks_that_lead_back_are_found_and_do_not_loop", "index", |volume, record| {
        // The first entry of a leaf is turned into one of an inner node that leads to its own block.
        volume.index_block(record("dir"), "$I30", 0, |block| {
            let first = entries(block, 0x18)[0].clone();
            block[first.start + 12] |= 1;
            block[first.end - 8..first.end].fill(0);
        });
    });
}

#[test]
fn an_entry_that_claims_another_directory_is_found() {
    finds("an_entry_that_claims_another_directory_is_found", "index-parent", |volume, record| {
        volume.index_block(record("dir"), "$I30", 0, |block| {
            let at = entries(block, 0x18)[0].start;
            block[at + 0x10] ^= 1;
        });
    });
}

#[test]
fn a_directory_without_its_flag_is_found() {
    finds("a_directory_without_its_flag_is_found", "directory-flag", |volume, record| {
        volume.record(record("dir"), |bytes| bytes[0x16] &= !2);
    });
}

#[test]
fn a_record_that_differs_from_its_mirror_is_found() {
    finds("a_record_that_differs_from_its_mirror_is_found", "mft-mirror", |volume, _| {
        *volume.byte(1, code::DATA, "", 1024 + 0x40) ^= 1;
    });
}

#[test]
fn a_record_in_use_that_the_bitmap_calls_free_is_found() {
    finds("a_record_in_use_that_the_bitmap_calls_free_is_found", "mft-bitmap", |volume, record| {
        let number = record("big");
        *volume.byte(0, code::BITMAP, "", number / 8) ^= 1 << (number % 8);
    });
}

#[test]
fn a_torn_record_is_found() {
    finds("a_torn_record_is_found", "file-record", |volume, record| {
        let at = volume.record_place(record("big"));
        volume.volume.0[at + 1022] ^= 0xff;
    });
}

#[test]
fn an_extension_record_of_nobody_is_found() {
    finds("an_extension_record_of_nobody_is_found", "file-record", |volume, record| {
        let base = record("many");
        let extension = extension_of(volume, base);
        volume.record(extension, |bytes| bytes[0x20] ^= 1);
    });
}

/// The first record that is an extension of `base`.
fn extension_of(volume: &Surgery, base: u64) -> u64 {
    let belongs = |number: &u64| volume.header(*number).is_some_and(|header| header.base.number() == base);
    (24..600).find(belongs).expect("the file has an extension record")
}

#[test]
fn sizes_that_contradict_each_other_are_found() {
    finds("sizes_that_contradict_each_other_are_found", "sizes", |volume, record| {
        volume.attribute(record("big"), code::DATA, "", |attribute| attribute[0x29] ^= 0x10);
    });
    finds("sizes_that_contradict_each_other_are_found", "runs", |volume, record| {
        volume.attribute(record("big"), code::DATA, "", |attribute| attribute[0x3c] = 1);
    });
    finds("sizes_that_contradict_each_other_are_found", "sizes", |volume, record| {
        volume.attribute(record("comp/text"), code::DATA, "", |attribute| attribute[0x41] ^= 0x10);
    });
}

#[test]
fn a_run_outside_the_volume_is_found() {
    finds("a_run_outside_the_volume_is_found", "runs", |volume, record| {
        volume.attribute(record("big"), code::DATA, "", |attribute| {
            let at = usize::from(u16::from_le_bytes([attribute[0x20], attribute[0x21]]));
            let length_bytes = usize::from(attribute[at] & 15);
            let offset_bytes = usize::from(attribute[at] >> 4);
            attribute[at + length_bytes + offset_bytes] = 0x7f;
        });
    });
}

#[test]
fn a_directory_that_lies_nowhere_is_found() {
    let test = "a_directory_that_lies_nowhere_is_found";
    let Some(volume) = sample(test) else { return };
    let tree = scan(&volume, &Silent).unwrap();
    let (dir, links) = (record_of(&tree, "dir"), record_of(&tree, "links"));
    let mut surgery = Surgery::on(volume);
    for (own, parent) in [(dir, links), (links, dir)] {
        surgery.value(own, code::FILE_NAME, "", |name| {
            name[..8].copy_from_slice(&(parent | 1 << 48).to_le_bytes());
        });
    }
    let report = check(&surgery.volume, &Silent).unwrap();
    assert!(report.has("directory-cycle"), "{:#?}", report.findings);
    assert!(matches!(scan(&surgery.volume, &Silent), Err(Error::Corrupt { .. })), "the scanner refuses it");
}

#[test]
fn a_file_without_a_parent_is_refused_by_the_scanner() {
    let test = "a_file_without_a_parent_is_refused_by_the_scanner";
    let Some(volume) = sample(test) else { return };
    let tree = scan(&volume, &Silent).unwrap();
    for parent in [3000u64, record_of(&tree, "other") | 1 << 48, record_of(&tree, "dir") | 9 << 48] {
        let mut surgery = Surgery::on(volume.clone());
        surgery.value(record_of(&tree, "big"), code::FILE_NAME, "", |name| {
            name[..8].copy_from_slice(&parent.to_le_bytes());
        });
        assert!(matches!(scan(&surgery.volume, &Silent), Err(Error::Corrupt { .. })), "{parent:#x}");
    }
}

#[test]
fn a_broken_secure_index_by_id_is_found() {
    finds("a_broken_secure_index_by_id_is_found", "sii", |volume, _| {
        secure_index(volume, "$SII", |entry| entry[0x10] ^= 1);
    });
}

#[test]
fn a_broken_secure_index_by_hash_is_found() {
    finds("a_broken_secure_index_by_hash_is_found", "sdh", |volume, _| {
        secure_index(volume, "$SDH", |entry| entry[0x10] ^= 1);
    });
}

/// Changes the first entry of an index of $Secure, which mkntfs keeps in the record.
fn secure_index(volume: &mut Surgery, name: &str, change: impl FnOnce(&mut [u8])) {
    volume.value(9, code::INDEX_ROOT, name, |root| {
        let first = entries(root, 0x10)[0].clone();
        change(&mut root[first]);
    });
}

#[test]
fn a_security_descriptor_that_differs_from_its_copy_or_hash_is_found() {
    let test = "a_security_descriptor_that_differs_from_its_copy_or_hash_is_found";
    let Some(report) = damaged(test, |volume, _| *volume.byte(9, code::DATA, "$SDS", 0x20) ^= 1) else {
        return;
    };
    assert!(report.has("sds-hash") && report.has("sds-mirror"), "{:#?}", report.findings);
    finds(test, "sds-mirror", |volume, _| *volume.byte(9, code::DATA, "$SDS", 0x40020) ^= 1);
}

#[test]
fn a_security_id_that_does_not_exist_is_found() {
    finds("a_security_id_that_does_not_exist_is_found", "security-id", |volume, _| {
        // mkntfs gives the long form of $STANDARD_INFORMATION to some of the volume's own files only.
        let files: Vec<u64> = (0..64).filter(|&number| volume.is_base(number)).collect();
        let with_id = files.into_iter().find(|&number| {
            let mut len = 0;
            volume.value(number, code::STANDARD_INFORMATION, "", |information| len = information.len());
            len >= 0x48
        });
        volume.value(with_id.unwrap(), code::STANDARD_INFORMATION, "", |information| {
            information[0x34..0x38].copy_from_slice(&0x4711u32.to_le_bytes());
        });
    });
}

#[test]
fn a_reparse_point_that_its_index_does_not_know_is_found() {
    finds("a_reparse_point_that_its_index_does_not_know_is_found", "reparse-index", |volume, record| {
        volume.value(record("point"), code::REPARSE_POINT, "", |value| value[0] ^= 1);
    });
}

#[test]
fn an_object_id_that_its_index_does_not_know_is_found() {
    finds("an_object_id_that_its_index_does_not_know_is_found", "object-id-index", |volume, record| {
        volume.value(record("identified"), code::OBJECT_ID, "", |value| value[0] ^= 1);
    });
}

#[test]
fn a_damaged_upcase_table_is_found() {
    finds("a_damaged_upcase_table_is_found", "upcase", |volume, _| {
        *volume.byte(10, code::DATA, "", u64::from(b'a') * 2) = b'B';
    });
}

#[test]
fn a_damaged_attribute_definition_table_is_found() {
    finds("a_damaged_attribute_definition_table_is_found", "attribute-definitions", |volume, _| {
        *volume.byte(4, code::DATA, "", 0x80) = 0x11;
    });
}

#[test]
fn a_bad_cluster_file_that_is_too_short_is_found() {
    finds("a_bad_cluster_file_that_is_too_short_is_found", "bad-clusters", |volume, _| {
        volume.record(8, |record| {
            let bad = attribute_range(record, code::DATA, "$Bad").unwrap();
            record[bad.start..bad.start + 4].copy_from_slice(&0x100u32.to_le_bytes());
        });
    });
}

#[test]
fn a_backup_boot_sector_that_differs_is_a_warning() {
    finds("a_backup_boot_sector_that_differs_is_a_warning", "boot-backup", |volume, _| {
        let last = volume.volume.0.len() - 512;
        volume.volume.0[last + 0x48] ^= 1;
    });
}
