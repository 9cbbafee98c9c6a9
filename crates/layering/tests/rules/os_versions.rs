//! New versions of an OS layer, with and without a packaging platform layer.

use crate::bench::*;
use layering::reference::LayerKind;

#[test]
fn without_a_platform_a_new_os_version_is_the_returned_disk_and_shares_unchanged_blocks() {
    let lab = lab!();
    let big = noise(4 << 20, 1);
    lab.os("Windows@1", |disk| {
        disk.file("\\Windows\\big.bin", &big).file("\\Windows\\old.txt", "old");
    });
    let report = lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file("\\Windows\\patch.dll", noise(100_000, 2)).delete("\\Windows\\old.txt");
    });
    assert!(report.stored < 1 << 20, "{} bytes stored for a patch of 100,000", report.stored);
    assert_eq!(report.version.sequence, 2);
    let image = lab.compose(&on("Windows@2"));
    assert_eq!(image.bytes("\\Windows\\big.bin"), big);
    assert_eq!(image.bytes("\\Windows\\patch.dll"), noise(100_000, 2));
    assert!(!image.has("\\Windows\\old.txt"));
    lab.assert_sound();
}

#[test]
fn without_a_platform_other_partitions_of_the_returned_disk_are_part_of_the_new_os_version() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows@1"));
    disk.write(disk.partition(1).start + 8192, b"a new boot loader");
    lab.capture(&on("Windows@1"), LayerKind::Os, "Windows@2", &disk);
    let image = lab.compose(&on("Windows@2"));
    assert_eq!(image.disk.bytes_of(1), disk.bytes_of(1));
}

#[test]
fn never_captured_files_and_the_mark_are_removed_from_a_new_os_version() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file("\\pagefile.sys", noise(300_000, 1))
            .file("\\Windows\\Temp\\a\\b\\c.tmp", "temporary")
            .file("\\Windows\\Prefetch\\CMD.pf", "x")
            .file("\\Windows\\Logs\\kept.log", "kept");
    });
    let image = lab.compose(&on("Windows@2"));
    for gone in [
        "\\pagefile.sys",
        "\\Windows\\Temp\\a",
        "\\Windows\\Prefetch\\CMD.pf",
        "\\Lamina Packaging Disk.json",
    ] {
        assert!(!image.has(gone), "{gone}");
    }
    assert!(image.has("\\Windows\\Temp") && image.has("\\Windows\\Prefetch"));
    assert_eq!(image.text("\\Windows\\Logs\\kept.log"), "kept");
}

#[test]
fn with_a_platform_only_the_change_is_applied_to_the_old_os_version() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Windows\\a.dll", "1")
            .file("\\Windows\\gone.dll", "1")
            .file("\\Windows\\driver.sys", "inbox");
    });
    let os = on("Windows@1");
    lab.packaging_platform(&os, "Hypervisor@1", |disk| {
        disk.file("\\Tools\\agent.exe", "agent").file("\\Windows\\driver.sys", "of the hypervisor");
    });
    let spec = os.platform("Hypervisor@1");
    let report = lab.os_version(&spec, "Windows@2", |disk| {
        disk.file("\\Windows\\a.dll", "2").delete("\\Windows\\gone.dll").file("\\Windows\\new.dll", "2");
    });
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let image = lab.compose(&on("Windows@2"));
    assert_eq!(image.text("\\Windows\\a.dll"), "2");
    assert_eq!(image.text("\\Windows\\new.dll"), "2");
    assert_eq!(image.text("\\Windows\\driver.sys"), "inbox");
    assert!(!image.has("\\Windows\\gone.dll") && !image.has("\\Tools"));
    assert!(!image.has("\\Lamina Packaging Disk.json"));
}

#[test]
fn a_file_that_both_the_platform_and_the_new_os_version_touched_is_reported() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Windows\\driver.sys", "inbox").file("\\Windows\\other.sys", "inbox");
    });
    let os = on("Windows@1");
    lab.packaging_platform(&os, "Hypervisor@1", |disk| {
        disk.file("\\Windows\\driver.sys", "of the hypervisor")
            .file("\\Windows\\gone.sys", "x")
            .delete("\\Windows\\other.sys");
    });
    let report = lab.os_version(&os.platform("Hypervisor@1"), "Windows@2", |disk| {
        disk.file("\\WINDOWS\\DRIVER.SYS", "patched")
            .delete("\\Windows\\gone.sys")
            .file("\\Windows\\other.sys", "patched");
    });
    assert_eq!(
        warned(&report.warnings, "platform-file-changed"),
        ["\\Windows\\driver.sys", "\\Windows\\gone.sys", "\\Windows\\other.sys"]
    );
    assert_eq!(lab.compose(&on("Windows@2")).text("\\Windows\\driver.sys"), "patched");
}

#[test]
fn layers_work_with_every_version_of_their_os_layer() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "App@1", |disk| {
        disk.file("\\App\\a.exe", noise(50_000, 3));
    });
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file("\\Windows\\patch.dll", "2");
    });
    for os in ["Windows@1", "Windows@2", "Windows"] {
        let image = lab.compose(&on(os).with("App@1"));
        assert_eq!(image.bytes("\\App\\a.exe"), noise(50_000, 3));
        assert_eq!(image.has("\\Windows\\patch.dll"), os != "Windows@1");
    }
}

#[test]
fn what_composing_discarded_does_not_come_back_in_a_new_os_version() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.usn_journal();
    });
    // Half of its blocks are zeros, like those of the clusters that the journal had: the disk looks unchanged there.
    let mut bytes = noise(26 << 20, 1);
    for block in bytes.chunks_mut(4096).step_by(2) {
        block.fill(0);
    }
    lab.os_version(&on("Windows@1"), "Windows@2", |disk| {
        disk.file("\\Windows\\everywhere.bin", &bytes);
    });
    assert!(lab.compose(&on("Windows@2")).bytes("\\Windows\\everywhere.bin") == bytes);
}
