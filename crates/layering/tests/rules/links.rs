//! Composition 4: hard links.

use crate::bench::*;

#[test]
fn a_group_of_hard_links_is_one_file() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let bytes = noise(150_000, 1);
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\WinSxS\\lib.dll", &bytes).link("\\WinSxS\\lib.dll", "\\System32\\lib.dll");
        disk.link("\\WinSxS\\lib.dll", "\\SysWOW64\\other name.dll");
    });
    assert!(report.stored < 200_000, "the content is stored once, not {} bytes", report.stored);
    let image = lab.compose(&on("Windows").with("A"));
    let names = ["\\SysWOW64\\other name.dll", "\\System32\\lib.dll", "\\WinSxS\\lib.dll"];
    assert_eq!(image.group("\\System32\\lib.dll"), names);
    assert_eq!(image.bytes("\\System32\\lib.dll"), bytes);
}

#[test]
fn when_the_content_of_a_group_changed_all_captured_names_follow() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a\\lib.dll", "old").link("\\a\\lib.dll", "\\b\\lib.dll").link("\\a\\lib.dll", "\\c.dll");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\b\\lib.dll", noise(30_000, 2));
    });
    assert_eq!(lab.rows("app:A"), ["file \\a\\lib.dll", "file \\b\\lib.dll", "file \\c.dll"]);
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\c.dll"), ["\\a\\lib.dll", "\\b\\lib.dll", "\\c.dll"]);
    assert_eq!(image.bytes("\\a\\lib.dll"), noise(30_000, 2));
    assert_eq!(image.report.warnings, []);
}

#[test]
fn names_that_only_the_target_has_keep_their_content_and_are_reported() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\lib.dll", "old").link("\\lib.dll", "\\copy.dll");
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\lib.dll", "new");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.link("\\lib.dll", "\\late\\name.dll").link("\\lib.dll", "\\another.dll");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.group("\\lib.dll"), ["\\copy.dll", "\\lib.dll"]);
    assert_eq!(image.text("\\lib.dll"), "new");
    assert_eq!(image.group("\\late\\name.dll"), ["\\another.dll", "\\late\\name.dll"]);
    assert_eq!(image.text("\\late\\name.dll"), "old");
    assert_eq!(warned(&image.report.warnings, "hard-link-separated"), ["\\another.dll", "\\late\\name.dll"]);
}

#[test]
fn a_name_added_to_a_lower_layers_file_is_a_link_and_not_a_copy() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\WinSxS\\lib.dll", noise(500_000, 3));
    });
    let os = on("Windows");
    let report = lab.app(&os, "A@1", |disk| {
        disk.link("\\WinSxS\\lib.dll", "\\App\\lib.dll");
    });
    assert!(report.version.size < 10_000 && report.stored < 10_000, "{report:?}");
    assert_eq!(lab.rows("app:A"), ["directory \\App", "link \\App\\lib.dll"]);
    let image = lab.compose(&os.clone().with("A"));
    assert_eq!(image.group("\\App\\lib.dll"), ["\\App\\lib.dll", "\\WinSxS\\lib.dll"]);
    // A link, so a later content of the file is seen under both names.
    lab.os_version(&os, "Windows@2", |disk| {
        disk.file("\\WinSxS\\lib.dll", "patched");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.text("\\App\\lib.dll"), "patched");
    assert_eq!(image.group("\\App\\lib.dll").len(), 2);
}

#[test]
fn a_link_whose_file_is_gone_becomes_a_file_of_its_own_and_is_reported() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\WinSxS\\lib.dll", noise(100_000, 3));
    });
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.link("\\WinSxS\\lib.dll", "\\App\\lib.dll");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.delete("\\WinSxS\\lib.dll");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.bytes("\\App\\lib.dll"), noise(100_000, 3));
    assert_eq!(image.group("\\App\\lib.dll"), ["\\App\\lib.dll"]);
    assert_eq!(warned(&image.report.warnings, "link-target-missing"), ["\\WinSxS\\lib.dll"]);
}

#[test]
fn a_name_taken_away_from_a_group_leaves_the_others_linked() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a", noise(9_000, 1)).link("\\a", "\\b").link("\\a", "\\c");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\b");
    });
    assert_eq!(lab.rows("app:A"), ["deletion \\b"]);
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a"), ["\\a", "\\c"]);
}

#[test]
fn a_file_whose_own_name_a_higher_layer_takes_lives_on_under_a_name_that_a_lower_layer_added() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\lib.dll", noise(90_000, 1)).file("\\other.dll", noise(90_000, 2));
    });
    let os = on("Windows");
    lab.app(&os, "Linker@1", |disk| {
        disk.link("\\lib.dll", "\\App\\lib.dll").link("\\other.dll", "\\App\\other.dll");
    });
    lab.app(&os, "Taker@1", |disk| {
        disk.delete("\\lib.dll").delete("\\other.dll").file("\\other.dll", noise(50_000, 3));
        for number in 0..5 {
            disk.file(&format!("\\new {number}\\x"), noise(5_000, number));
        }
    });
    let image = lab.compose(&os.with("Linker").with("Taker"));
    assert!(!image.has("\\lib.dll"));
    assert_eq!(image.bytes("\\App\\lib.dll"), noise(90_000, 1));
    assert_eq!(image.bytes("\\App\\other.dll"), noise(90_000, 2));
    assert_eq!(image.bytes("\\other.dll"), noise(50_000, 3));
    assert_eq!(image.group("\\App\\lib.dll"), ["\\App\\lib.dll"]);
}

#[test]
fn a_group_that_was_split_is_two_files() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a", "shared").link("\\a", "\\b");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\b").file("\\b", "alone");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a"), ["\\a"]);
    assert_eq!(image.group("\\b"), ["\\b"]);
    assert_eq!((image.text("\\a"), image.text("\\b")), ("shared".to_owned(), "alone".to_owned()));
}

#[test]
fn a_group_that_was_split_into_files_that_look_the_same_is_two_files() {
    let lab = lab!();
    let alike = || NewFile { times: Some(volume::Times::default()), ..NewFile::new(noise(9_000, 1)) };
    lab.os("Windows@1", |disk| {
        disk.file_with("\\a", alike()).link("\\a", "\\b").link("\\a", "\\c").link("\\a", "\\d");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\c").delete("\\d").file_with("\\c", alike()).link("\\c", "\\d");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a"), ["\\a", "\\b"]);
    assert_eq!(image.group("\\c"), ["\\c", "\\d"]);
}

#[test]
fn two_files_of_the_os_that_were_made_one_are_one() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a", noise(9_000, 1)).file("\\b", noise(9_000, 1));
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\b").link("\\a", "\\b");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a"), ["\\a", "\\b"]);
}

#[test]
fn two_equal_files_of_the_os_that_were_made_one_without_any_other_change_are_one() {
    let lab = lab!();
    let alike = || NewFile { times: Some(volume::Times::default()), ..NewFile::new(noise(9_000, 1)) };
    lab.os("Windows@1", |disk| {
        disk.file_with("\\a", alike()).file_with("\\b", alike());
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\b").link("\\a", "\\b");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a"), ["\\a", "\\b"]);
}
