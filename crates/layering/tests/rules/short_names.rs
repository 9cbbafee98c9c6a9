//! Composition 4: short names and their collisions.

use crate::bench::*;

#[test]
fn short_names_survive() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.directory_with("\\Program Files (x86)", Some("PROGRA~2"), 0x10, 0);
        disk.file_with("\\Program Files (x86)\\A long name.html", NewFile::new("x").short("ALONGN~1.HTM"));
        disk.file_with("\\Program Files (x86)\\no short name.html", NewFile::new("x"));
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.short("\\Program Files (x86)").as_deref(), Some("PROGRA~2"));
    assert_eq!(image.short("\\Program Files (x86)\\A long name.html").as_deref(), Some("ALONGN~1.HTM"));
    assert_eq!(image.short("\\Program Files (x86)\\no short name.html"), None);
}

#[test]
fn on_a_collision_the_higher_layer_keeps_its_short_name_and_the_other_gets_the_next_free_one() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file_with("\\Longname of the OS.txt", NewFile::new("os").short("LONGNA~1.TXT"));
    });
    let os = on("Windows");
    for (name, long) in [("A@1", "\\Longname of A.txt"), ("B@1", "\\Longname of B.txt")] {
        // Without the file of the OS in the way, an installer gets the first number.
        lab.app(&os, name, |disk| {
            disk.short_name("\\Longname of the OS.txt", None);
            disk.file_with(long, NewFile::new(name).short("LONGNA~1.TXT"));
            disk.short_name("\\Longname of the OS.txt", Some("LONGNA~9.TXT"));
        });
    }
    let os_2 = lab.disk();
    os_2.edit(|disk| {
        disk.file_with("\\Longname of the OS.txt", NewFile::new("os").short("LONGNA~1.TXT"));
    });
    let image = lab.compose(&os.with("A").with("B"));
    assert_eq!(image.short("\\Longname of B.txt").as_deref(), Some("LONGNA~1.TXT"));
    assert_eq!(image.short("\\Longname of A.txt").as_deref(), Some("LONGNA~2.TXT"));
    let reported = warned(&image.report.warnings, "short-name-changed");
    assert!(
        reported.iter().any(|text| text.contains("Longname of A.txt") && text.contains("LONGNA~2.TXT")),
        "{reported:?}"
    );
}

#[test]
fn entries_can_pass_their_short_names_on_to_each_other() {
    let lab = lab!();
    let directory = |disk: &mut Edit, name: &str, short| {
        disk.directory_with(name, Some(short), 0x10, 0);
    };
    lab.os("Windows@1", |disk| {
        directory(disk, "\\Longname one", "LONGNA~1");
        directory(disk, "\\Longname two", "LONGNA~2");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.short_name("\\Longname one", None).short_name("\\Longname two", Some("LONGNA~1"));
        disk.short_name("\\Longname one", Some("LONGNA~2"));
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.short("\\Longname one").as_deref(), Some("LONGNA~2"));
    assert_eq!(image.short("\\Longname two").as_deref(), Some("LONGNA~1"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
}

#[test]
fn the_os_gives_way_with_its_short_name_too() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.directory_with("\\Program Data of A", Some("PROGRA~1"), 0x10, 0);
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.directory_with("\\Program Data of the OS", Some("PROGRA~1"), 0x10, 0);
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.short("\\Program Data of A").as_deref(), Some("PROGRA~1"));
    assert_eq!(image.short("\\Program Data of the OS").as_deref(), Some("PROGRA~2"));
    assert_eq!(warned(&image.report.warnings, "short-name-changed").len(), 1);
}

#[test]
fn a_short_name_gives_way_to_a_long_one() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "A@1", |disk| {
        disk.file("\\progra~1", "somebody calls a file so");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.directory_with("\\Program Files", Some("PROGRA~1"), 0x10, 0).file("\\Program Files\\x", "x");
    });
    let image = lab.compose(&on("Windows@2").with("A"));
    assert_eq!(image.text("\\progra~1"), "somebody calls a file so");
    assert_eq!(image.short("\\Program Files").as_deref(), Some("PROGRA~2"));
}

#[test]
fn a_short_name_that_was_changed_or_taken_away_is_a_change_of_the_file() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file_with("\\A long name.txt", NewFile::new("1").short("ALONGN~1.TXT"));
        disk.file_with("\\Another long name.txt", NewFile::new("2").short("ANOTHE~1.TXT"));
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.short_name("\\A long name.txt", Some("OTHER.TXT")).short_name("\\Another long name.txt", None);
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.short("\\A long name.txt").as_deref(), Some("OTHER.TXT"));
    assert_eq!(image.short("\\Another long name.txt"), None);
}

#[test]
fn a_file_with_a_short_name_and_several_links_keeps_both() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file_with("\\z\\A long name.txt", NewFile::new(noise(9_000, 1)).short("ALONGN~1.TXT"));
        disk.link("\\z\\A long name.txt", "\\a\\alias.txt");
    });
    let image = lab.compose(&on("Windows").with("A"));
    assert_eq!(image.group("\\a\\alias.txt"), ["\\a\\alias.txt", "\\z\\A long name.txt"]);
    assert_eq!(image.short("\\z\\A long name.txt").as_deref(), Some("ALONGN~1.TXT"));
}
