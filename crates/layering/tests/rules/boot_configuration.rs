//! What is on other partitions is the OS version's. Windows writes to the one that it starts from at each start; only
//! what a person should know of that is said.

use crate::bench::*;
use hive::{Data, Name, Properties, Tree, Upcase, value_kind};
use layering::reference::LayerKind;
use std::borrow::Cow;
use std::io::{Cursor, Write};

const MANAGER: &str = "Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements";

/// A boot configuration in which the boot manager has these elements.
fn configuration(elements: &[&str]) -> Vec<u8> {
    let upcase = Upcase::unicode();
    let mut tree = Tree::new(&upcase, 3, Name::from("NewStoreRoot"), vec![1; 20]);
    for element in elements {
        let mut key = tree.root();
        for name in MANAGER.split('\\').chain([*element]) {
            let properties =
                Properties { last_written: 7, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
            let security = tree.security_id(vec![2; 20]);
            key = tree.make_subkey(key, Name::from(name), properties, Some(security)).0;
        }
        tree.set_value(key, Name::from("Element"), Data::new(value_kind::BINARY, vec![1]));
    }
    tree.write().unwrap()
}

/// A FAT volume with these files, as long as the lab's system partition.
fn fat(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; 2 << 20]);
    fatfs::format_volume(&mut bytes, fatfs::FormatVolumeOptions::new()).unwrap();
    let volume = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new()).unwrap();
    for (path, content) in files {
        let mut directory = volume.root_dir();
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for parent in parents.split('/').filter(|name| !name.is_empty()) {
            directory = directory.create_dir(parent).unwrap();
        }
        directory.create_file(name).unwrap().write_all(content).unwrap();
    }
    drop(volume);
    bytes.into_inner()
}

const BCD: &str = "EFI/Microsoft/Boot/BCD";

/// What a capture says of a packaging machine that left this system partition.
fn said(lab: &Lab, name: &str, partition: Vec<u8>) -> Vec<(String, Vec<String>)> {
    let packaging = lab.package(&on("Windows"));
    packaging.write(packaging.partition(1).start, &partition);
    packaging.edit(|disk| {
        disk.file("\\a", "1");
    });
    let report = lab.capture(&on("Windows"), LayerKind::App, name, &packaging);
    report.warnings.into_iter().map(|warning| (warning.code, warning.paths)).collect()
}

#[test]
fn what_windows_notes_at_each_start_is_no_remark_and_a_changed_boot_configuration_is_one() {
    let lab = lab!();
    let disk = lab.disk();
    let before = configuration(&["24000001", "25000004"]);
    let start = |files: &[(&str, Vec<u8>)]| {
        let mut all = vec![(BCD, before.clone()), ("EFI/Microsoft/Boot/BCD.LOG", vec![])];
        all.retain(|(path, _)| files.iter().all(|(other, _)| other != path));
        all.extend(files.iter().cloned());
        fat(&all)
    };
    disk.write(disk.partition(1).start, &start(&[]));
    lab.import("Windows@1", &disk);

    let noted =
        [("EFI/Microsoft/Boot/BCD.LOG", vec![9; 999]), ("EFI/Microsoft/Boot/BOOTSTAT.DAT", vec![9; 70_000])];
    assert_eq!(said(&lab, "Quiet@1", start(&noted)), []);

    let after = configuration(&["24000001", "25000004", "250000f4"]);
    let element =
        format!("partition 1 (EFI system partition): \\EFI\\Microsoft\\Boot\\BCD {MANAGER}\\250000f4");
    assert_eq!(
        said(&lab, "Hypervisor@1", start(&[(BCD, after)])),
        [("boot-configuration-changed".to_owned(), vec![element])]
    );

    let path = "partition 1 (EFI system partition): \\EFI\\vendor\\shim.efi".to_owned();
    assert_eq!(
        said(&lab, "Loader@1", start(&[("EFI/vendor/shim.efi", vec![1; 5000])])),
        [("other-partition-changed".to_owned(), vec![path])]
    );

    let path = "partition 1 (EFI system partition): \\EFI\\Microsoft\\Boot\\BCD".to_owned();
    assert_eq!(
        said(&lab, "Broken@1", start(&[(BCD, vec![7; 8192])])),
        [("other-partition-changed".to_owned(), vec![path])]
    );
    // nothing of it is in an image
    let image = lab.compose(&on("Windows").with("Hypervisor").with("Loader").with("Broken"));
    assert_eq!(image.disk.bytes_of(1), disk.bytes_of(1));
}

#[test]
fn a_partition_that_cannot_be_read_is_named_as_a_whole() {
    let lab = lab!();
    let disk = lab.disk();
    lab.import("Windows@1", &disk);
    let mut broken = fat(&[(BCD, configuration(&["24000001"]))]);
    broken[512..6144].fill(0xff);
    assert_eq!(
        said(&lab, "A@1", broken),
        [("other-partition-changed".to_owned(), vec!["partition 1 (EFI system partition)".to_owned()])]
    );
}
