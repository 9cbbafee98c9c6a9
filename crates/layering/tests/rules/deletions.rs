//! Composition 3: deletions.

use crate::bench::*;

#[test]
fn a_deletion_masks_what_lies_below() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\a.txt", "os").file("\\Docs\\b.txt", "os").file("\\Docs\\c.txt", "os");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.delete("\\A.TXT").delete("\\Docs\\b.txt");
    });
    assert_eq!(lab.rows("app:A"), ["deletion \\Docs\\b.txt", "deletion \\a.txt"]);
    let image = lab.compose(&on("Windows").with("A"));
    assert!(!image.has("\\a.txt") && !image.has("\\Docs\\b.txt") && image.has("\\Docs\\c.txt"));
    assert_eq!(image.report.warnings, []);
}

#[test]
fn a_higher_layer_may_create_a_deleted_path_again() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Games\\chess.exe", "os");
    });
    let os = on("Windows");
    lab.app(&os, "Tidy@1", |disk| {
        disk.delete("\\Games");
    });
    lab.app(&os, "Fun@1", |disk| {
        disk.file("\\Games\\chess.exe", "a better one");
    });
    assert_eq!(lab.compose(&os.clone().with("Tidy").with("Fun")).text("\\Games\\chess.exe"), "a better one");
    assert!(!lab.compose(&os.with("Fun").with("Tidy")).has("\\Games"));
}

#[test]
fn a_deletion_never_names_an_entry_that_its_author_could_not_see() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\Docs\\seen.txt", "1");
    });
    lab.app(&on("Windows@1"), "Tidy@1", |disk| {
        disk.delete("\\Docs");
    });
    lab.app(&on("Windows@1"), "Other@1", |disk| {
        disk.file("\\Docs\\of another layer.txt", "2");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\Docs\\of a later version.txt", "3");
    });
    let image = lab.compose(&on("Windows@2").with("Other").with("Tidy"));
    assert!(!image.has("\\Docs\\seen.txt"));
    assert!(image.has("\\Docs\\of another layer.txt") && image.has("\\Docs\\of a later version.txt"));
}

#[test]
fn a_deleted_directory_goes_when_it_ends_up_empty() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Docs\\deep\\a", "1").directory("\\Docs\\empty").file("\\Docs\\b", "2");
    });
    lab.app(&on("Windows"), "Tidy@1", |disk| {
        disk.delete("\\Docs");
    });
    let image = lab.compose(&on("Windows").with("Tidy"));
    assert!(!image.has("\\Docs"));
    assert_eq!(image.report.warnings, []);
}

#[test]
fn a_deleted_directory_that_is_not_empty_stays_and_is_reported() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\Docs\\deep\\a", "1");
    });
    lab.app(&on("Windows@1"), "Tidy@1", |disk| {
        disk.delete("\\Docs");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\Docs\\deep\\new", "2");
    });
    let image = lab.compose(&on("Windows@2").with("Tidy"));
    assert!(image.has("\\Docs\\deep\\new") && !image.has("\\Docs\\deep\\a"));
    assert_eq!(warned(&image.report.warnings, "deletion-directory-stays"), ["\\Docs", "\\Docs\\deep"]);
}

#[test]
fn a_deleted_directory_goes_when_higher_layers_empty_what_was_left_of_it() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\Docs\\a", "1");
    });
    lab.app(&on("Windows@1"), "Tidy@1", |disk| {
        disk.delete("\\Docs");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\Docs\\late", "2");
    });
    lab.app(&on("Windows@2"), "Later@1", |disk| {
        disk.delete("\\Docs\\late");
    });
    let image = lab.compose(&on("Windows@2").with("Tidy").with("Later"));
    assert!(!image.has("\\Docs"));
    assert_eq!(warned(&image.report.warnings, "deletion-directory-stays"), [""; 0]);
}

#[test]
fn deleting_a_prerequisites_file_masks_it_where_the_prerequisite_lies_below() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows");
    lab.app(&os, "Runtime@1", |disk| {
        disk.file("\\Runtime\\a.dll", "a").file("\\Runtime\\b.dll", "b");
    });
    lab.app(&os.clone().with("Runtime"), "App@1", |disk| {
        disk.delete("\\Runtime\\a.dll");
    });
    assert_eq!(lab.rows("app:App"), ["deletion \\Runtime\\a.dll"]);
    let image = lab.compose(&os.with("Runtime").with("App"));
    assert!(!image.has("\\Runtime\\a.dll") && image.has("\\Runtime\\b.dll"));
}

#[test]
fn where_the_prerequisite_lies_above_its_deleted_file_reappears_and_is_reported() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows");
    lab.app(&os, "Runtime@1", |disk| {
        disk.file("\\Runtime\\a.dll", "a").file("\\Runtime\\big.dll", noise(50_000, 1));
    });
    lab.app(&os.clone().with("Runtime"), "App@1", |disk| {
        disk.delete("\\Runtime\\a.dll").delete("\\Runtime\\big.dll");
    });
    let image = lab.compose(&os.with("App").with("Runtime"));
    assert!(image.has("\\Runtime\\a.dll"));
    assert_eq!(
        warned(&image.report.warnings, "deleted-file-reappears"),
        ["\\Runtime\\a.dll", "\\Runtime\\big.dll"]
    );
}

#[test]
fn a_deletion_of_a_file_that_is_a_directory_now_does_nothing_and_is_reported() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\thing", "a file");
    });
    let os = on("Windows");
    lab.app(&os, "Tidy@1", |disk| {
        disk.delete("\\thing");
    });
    lab.app(&os, "Swap@1", |disk| {
        disk.delete("\\thing").file("\\thing\\inside.txt", "x");
    });
    let image = lab.compose(&os.with("Swap").with("Tidy"));
    assert!(image.has("\\thing\\inside.txt"));
    assert_eq!(warned(&image.report.warnings, "deletion-kind-differs"), ["\\thing"]);
}

#[test]
fn a_deletion_of_what_the_os_no_longer_has_is_no_error() {
    let lab = lab!();
    let first = lab.os("Windows@1", |disk| {
        disk.file("\\Docs\\a", "1").file("\\b", "2");
    });
    lab.app(&on("Windows@1"), "Tidy@1", |disk| {
        disk.delete("\\Docs").delete("\\b");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.delete("\\Docs").delete("\\b");
    });
    let image = lab.compose(&on("Windows@2").with("Tidy"));
    assert_eq!(image.report.warnings, []);
    assert_eq!(image.report.removed, 0);
}
