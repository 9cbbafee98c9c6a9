//! What stays the OS version's, what state the result is in, and that equal inputs give equal disks.

use crate::bench::snapshot::names_in_extend;
use crate::bench::*;
use operation::Silent;

#[test]
fn disk_and_partition_guids_and_the_volume_serial_stay_the_os_versions() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a", noise(90_000, 1));
    });
    let mut request = lab.compose_request(&on("Windows").with("A"), "desk");
    request.size = Some(64 * MIB);
    let report = lab.engine.compose(&request, &Silent).unwrap();
    let image = lab.export("desk", report);
    let (before, after) = (disk.table(), image.disk.table());
    assert_eq!(after.scheme, before.scheme);
    let guids = |table: &::disk::partition::PartitionTable| -> Vec<_> {
        table.partitions.iter().map(|partition| (partition.number, partition.guid, partition.kind)).collect()
    };
    assert_eq!(guids(&after), guids(&before));
    let serial = |disk: &Disk| ntfs_volume::facts(&disk.volume(2)).unwrap().serial;
    assert_eq!(serial(&image.disk), serial(&disk));
}

#[test]
fn the_signature_of_an_mbr_disk_stays_the_os_versions() {
    let lab = lab!();
    let disk = Disk::with_mbr(lab.fresh("mbr.raw"), 0x1234_5678);
    lab.import("Windows@1", &disk);
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a", "a");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.disk.table(), disk.table());
    assert_eq!(image.disk.read(0, 512), disk.read(0, 512));
}

#[test]
fn the_result_has_no_change_journal() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |disk| {
        disk.usn_journal();
    });
    let holds = |disk: &Disk| {
        let names = names_in_extend(&disk.volume(2));
        assert!(names.contains(&"$Reparse".to_owned()), "{names:?}");
        names.contains(&"$UsnJrnl".to_owned())
    };
    assert!(holds(&disk));
    let image = lab.compose(&on("Windows"));
    assert!(!holds(&lab.package(&on("Windows"))));
    assert!(!holds(&image.disk));
}

#[test]
fn the_result_has_a_clean_log_and_is_not_dirty() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a", noise(90_000, 1));
    });
    let image = lab.compose(&on("Windows").with("A"));
    // Every image of the bench was judged so already; here it is said aloud.
    ntfs_volume::gate::check_state(&image.disk.volume(2)).unwrap();
    ntfs_volume::edit::NtfsEditor::mount(MemoryOf(image.disk.bytes_of(2))).unwrap();
}

/// A volume in memory.
struct MemoryOf(Vec<u8>);

impl ::disk::BlockDevice for MemoryOf {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        let start = offset as usize;
        buf.copy_from_slice(&self.0[start..start + buf.len()]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> std::io::Result<()> {
        let start = offset as usize;
        self.0[start..start + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn discard(&mut self, offset: u64, len: u64) -> std::io::Result<()> {
        self.write_at(offset, &vec![0; len as usize])
    }

    fn splice(&mut self, _: u64, _: u64, _: ::disk::SourceRange) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

type Change = fn(&mut Edit);

#[test]
fn the_same_inputs_give_the_same_digest_in_another_store() {
    let (one, two) = (lab!(), lab!());
    let disk = one.disk();
    disk.edit(|volume| {
        volume
            .file("\\os.txt", "os")
            .file("\\gone", noise(50_000, 7))
            .file("\\linked", "x")
            .link("\\linked", "\\b\\l");
    });
    // Disks travel, stores do not: the second store sees the same files.
    one.import("Windows@1", &disk);
    two.import("Windows@1", &disk);
    let layers: [(&str, Change); 2] = [
        ("A@1", |disk| {
            for number in 0..40 {
                disk.file(&format!("\\A\\{number}\\x"), noise(number * 900, number as u64));
            }
            disk.delete("\\gone");
        }),
        ("B@1", |disk| {
            disk.file("\\A\\5\\x", "b").file("\\linked", noise(9_000, 3)).directory("\\empty");
        }),
    ];
    for (name, change) in layers {
        // The packaging disks of two stores differ in nothing but the mark, which names the versions' records.
        let packaging = [one.package(&on("Windows")), two.package(&on("Windows"))];
        let at = tick();
        for (lab, disk) in [&one, &two].into_iter().zip(&packaging) {
            disk.edit(change);
            disk.edit(|disk| same_times(disk, at));
            lab.capture(&on("Windows"), layering::reference::LayerKind::App, name, disk);
        }
    }
    let spec = on("Windows").with("A").with("B");
    let digests = [
        one.compose(&spec).report.digest,
        two.compose(&spec).report.digest,
        two.compose(&spec).report.digest,
    ];
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[1], digests[2]);
}

/// The bench's clock goes on between two stores; the times of what was made are set equal.
fn same_times(disk: &mut Edit, at: u64) {
    let paths: Vec<_> = disk.paths();
    for path in paths {
        disk.metadata_at(&path, |metadata| {
            metadata.times = volume::Times { created: at, modified: at, changed: at, accessed: at };
        });
    }
}

#[test]
fn different_inputs_give_different_digests() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\os2", "x");
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\a", "1");
    });
    lab.app(&on("Windows@1"), "A@2", |disk| {
        disk.file("\\a", "2");
    });
    lab.app(&on("Windows@1"), "B@1", |disk| {
        disk.file("\\a", "3").file("\\b", "3");
    });
    let specs = [
        on("Windows@1"),
        on("Windows@2"),
        on("Windows@1").with("A@1"),
        on("Windows@1").with("A@2"),
        on("Windows@2").with("A@1"),
        on("Windows@1").with("A@1").with("B@1"),
        on("Windows@1").with("B@1").with("A@1"),
    ];
    let mut digests: Vec<String> = specs.iter().map(|spec| lab.compose(spec).report.digest).collect();
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}

#[test]
fn an_image_records_every_version_and_the_engines_revision() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let a = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a", "1");
    });
    let p = lab.platform(&on("Windows"), "P@1", |disk| {
        disk.file("\\p", "1");
    });
    let image = lab.compose(&on("Windows").with("A").platform("P"));
    let shown = lab.engine.show(&format!("image:{}", image.report.image.name), &Silent).unwrap();
    assert_eq!(shown.engine, layering::ENGINE);
    assert_eq!(shown.details["digest"], image.report.digest);
    assert_eq!(shown.details["layers"][0]["reference"], "app:A@1");
    assert_eq!(shown.details["os"]["reference"], "os:Windows@1");
    let text = shown.details.to_string();
    assert!(text.contains(&a.version.id) && text.contains(&p.version.id), "{text}");
}
