//! Composition 1 to 3: which layer wins.

use crate::bench::*;
use layering::report::RowKind;

#[test]
fn the_platform_always_wins_and_the_os_always_loses() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\all.txt", "os").file("\\app.txt", "os").file("\\os.txt", "os");
    });
    let os = on("Windows");
    // The platform layer is older than the app layers: nothing but its kind puts it on top.
    lab.platform(&os, "Azure@1", |disk| {
        disk.file("\\all.txt", "platform");
    });
    lab.app(&os, "App@1", |disk| {
        disk.file("\\all.txt", "app").file("\\app.txt", "app");
    });
    let image = lab.compose(&os.with("App").platform("Azure"));
    assert_eq!(image.text("\\all.txt"), "platform");
    assert_eq!(image.text("\\app.txt"), "app");
    assert_eq!(image.text("\\os.txt"), "os");
}

#[test]
fn of_app_layers_the_later_in_priority_order_wins_per_file() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\shared.ini", "os");
    });
    let os = on("Windows");
    for (name, own) in [("A@1", "\\a.txt"), ("B@1", "\\b.txt")] {
        lab.app(&os, name, |disk| {
            disk.file("\\shared.ini", name).file(own, name);
        });
    }
    for (spec, winner) in [(os.clone().with("A").with("B"), "B@1"), (os.with("B").with("A"), "A@1")] {
        let image = lab.compose(&spec);
        assert_eq!(image.text("\\shared.ini"), winner);
        assert!(image.has("\\a.txt") && image.has("\\b.txt"));
        let conflicts = lab.conflicts(&spec);
        assert_eq!(conflicts.rows.len(), 1, "{:?}", conflicts.rows);
        let row = &conflicts.rows[0];
        let loser = if winner == "A@1" { "app:B@1" } else { "app:A@1" };
        assert_eq!((row.path.as_str(), row.winner.as_str()), ("\\shared.ini", &*format!("app:{winner}")));
        assert_eq!(row.losers, [loser, "os:Windows@1"]);
        assert_eq!(row.entry, RowKind::File);
    }
}

#[test]
fn directories_are_united() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Program Files\\os.txt", "os");
    });
    let os = on("Windows");
    lab.app(&os, "A@1", |disk| {
        disk.file("\\Program Files\\a.txt", "a").file("\\Program Files\\Shared\\a.dll", "a");
    });
    lab.app(&os, "B@1", |disk| {
        disk.file("\\PROGRAM FILES\\b.txt", "b").file("\\program files\\SHARED\\b.dll", "b");
    });
    let image = lab.compose(&os.with("A").with("B"));
    let below: Vec<String> = image
        .paths()
        .into_iter()
        .filter(|path| path.to_uppercase().starts_with("\\PROGRAM FILES\\"))
        .collect();
    assert_eq!(
        below,
        [
            "\\Program Files\\Shared",
            "\\Program Files\\Shared\\a.dll",
            "\\Program Files\\Shared\\b.dll",
            "\\Program Files\\a.txt",
            "\\Program Files\\b.txt",
            "\\Program Files\\os.txt"
        ]
    );
}

#[test]
fn an_empty_directory_that_a_layer_made_is_made() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.directory("\\Data\\Incoming");
    });
    assert!(lab.compose(&on("Windows").with("A")).has("\\Data\\Incoming"));
}

#[test]
fn paths_are_case_insensitive_and_case_preserving() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Straße\\ÄRGER.txt", "os").file("\\keep\\Name.TXT", "os");
    });
    let os = on("Windows");
    lab.app(&os, "A@1", |disk| {
        disk.file("\\STRAßE\\ärger.TXT", "a").delete("\\keep\\Name.TXT").file("\\keep\\nAME.txt", "a");
    });
    let image = lab.compose(&os.with("A"));
    assert_eq!(image.text("\\Straße\\ärger.txt"), "a");
    // Written over: the name stays as it was. Deleted and made again: the new name counts.
    assert!(image.paths().contains(&"\\Straße\\ÄRGER.txt".to_owned()), "{:?}", image.paths());
    assert!(image.paths().contains(&"\\keep\\nAME.txt".to_owned()), "{:?}", image.paths());
    let files = image.entries.keys().filter(|path| path.len() == 2 && path[0].to_string() == "keep").count();
    assert_eq!(files, 1);
}

#[test]
fn a_file_that_is_renamed_in_case_only_takes_its_new_name_along() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\readme.txt", noise(20_000, 1)).file("\\docs\\inner.txt", "inner");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.rename("\\readme.txt", "\\README.TXT");
    });
    assert_eq!(lab.rows("app:A"), ["file \\README.TXT"]);
    let image = lab.compose(&on("Windows").with("A"));
    assert!(image.paths().contains(&"\\README.TXT".to_owned()), "{:?}", image.paths());
    assert!(!image.paths().contains(&"\\readme.txt".to_owned()), "{:?}", image.paths());
}

#[test]
fn a_directory_whose_name_changed_in_case_only_takes_its_new_name_along() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.directory_with("\\common files", Some("COMMON~1"), 0x10, 0);
        disk.file("\\common files\\of the os.txt", "os");
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.rename("\\common files", "\\Common Files");
        disk.short_name("\\Common Files", Some("COMMON~7"));
    });
    assert_eq!(lab.rows("app:A"), ["directory \\Common Files"]);
    lab.app(&on("Windows"), "B@1", |disk| {
        disk.file("\\common files\\of B.txt", "b");
    });
    // What only adds to a directory says nothing about its name.
    let image = lab.compose(&on("Windows").with("A").with("B"));
    let paths: Vec<String> =
        image.paths().into_iter().filter(|path| path.to_lowercase().starts_with("\\common")).collect();
    assert_eq!(paths, ["\\Common Files", "\\Common Files\\of B.txt", "\\Common Files\\of the os.txt"]);
    assert_eq!(image.short("\\Common Files").as_deref(), Some("COMMON~7"));
    assert_eq!(codes(&image.report.warnings), [""; 0]);
}

#[test]
fn a_renamed_directory_is_deletions_and_creations_that_share_their_contents() {
    let lab = lab!();
    let contents: Vec<Vec<u8>> = (0..6).map(|seed| noise(700_000 + seed as usize * 4096, seed)).collect();
    lab.os("Windows@1", |disk| {
        for (number, bytes) in contents.iter().enumerate() {
            disk.file(&format!("\\Old name\\sub\\{number}.bin"), bytes);
        }
    });
    let report = lab.app(&on("Windows"), "A@1", |disk| {
        disk.rename("\\Old name", "\\New name");
    });
    assert!(report.stored < 64 << 10, "{} bytes stored for a rename", report.stored);
    assert!(report.version.size < 64 << 10, "{} bytes counted for a rename", report.version.size);
    let rows = lab.rows("app:A");
    assert!(rows.contains(&"deletion \\Old name\\sub\\3.bin".to_owned()), "{rows:?}");
    assert!(rows.contains(&"file \\New name\\sub\\3.bin".to_owned()), "{rows:?}");
    let image = lab.compose(&on("Windows").with("A"));
    assert!(!image.has("\\Old name"));
    for (number, bytes) in contents.iter().enumerate() {
        assert_eq!(image.bytes(&format!("\\New name\\sub\\{number}.bin")), bytes);
    }
    lab.assert_sound();
}

#[test]
fn a_file_over_a_directory_wins_and_the_lost_subtree_is_listed() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows");
    lab.app(&os, "A@1", |disk| {
        disk.file("\\Data\\deep\\x.txt", "x").file("\\Data\\y.txt", "y");
    });
    lab.app(&os, "B@1", |disk| {
        disk.file("\\data", "now a file");
    });
    let spec = os.with("A").with("B");
    let image = lab.compose(&spec);
    assert_eq!(image.text("\\Data"), "now a file");
    assert!(!image.has("\\Data\\y.txt"));
    let lost = ["\\Data\\deep", "\\Data\\deep\\x.txt", "\\Data\\y.txt"];
    let listed = warned(&image.report.warnings, "subtree-lost");
    assert_eq!(
        listed.iter().map(|path| path.to_lowercase()).collect::<Vec<_>>(),
        lost.map(str::to_lowercase)
    );
    assert_eq!(warned(&image.report.warnings, "kind-changed").len(), 1);
}

#[test]
fn a_directory_over_a_file_wins_and_is_reported() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows");
    lab.app(&os, "A@1", |disk| {
        disk.file("\\data", "a file");
    });
    lab.app(&os, "B@1", |disk| {
        disk.file("\\Data\\x.txt", "x");
    });
    let image = lab.compose(&os.with("A").with("B"));
    assert_eq!(image.text("\\Data\\x.txt"), "x");
    assert_eq!(warned(&image.report.warnings, "kind-changed").len(), 1);
}

#[test]
fn an_app_that_turns_a_file_of_the_os_into_a_directory_and_back_is_composed_so() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\one", "a file").file("\\two\\in.txt", "in");
    });
    let os = on("Windows");
    lab.app(&os, "A@1", |disk| {
        disk.delete("\\one").file("\\one\\below.txt", "below").delete("\\two").file("\\two", "a file");
    });
    let image = lab.compose(&os.clone().with("A"));
    assert_eq!(image.text("\\one\\below.txt"), "below");
    assert_eq!(image.text("\\two"), "a file");
    assert_eq!(image.report.warnings, [], "the author saw both, nothing is lost unseen");
    lab.app(&os.clone().base("A"), "A@2", |disk| {
        disk.delete("\\one").file("\\one", "a file again").delete("\\two").file("\\two\\in.txt", "in again");
    });
    let image = lab.compose(&os.with("A"));
    assert_eq!(image.report.warnings, []);
    assert_eq!(image.text("\\one"), "a file again");
    assert_eq!(image.text("\\two\\in.txt"), "in again");
}

#[test]
fn what_is_never_captured_is_neither_added_nor_deleted() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\pagefile.sys", noise(100_000, 1))
            .file("\\Windows\\Temp\\os.tmp", "os")
            .file("\\Windows\\System32\\winevt\\Logs\\System.evtx", "events");
    });
    let os = on("Windows");
    let report = lab.app(&os, "A@1", |disk| {
        disk.delete("\\pagefile.sys")
            .delete("\\Windows\\Temp\\os.tmp")
            .file("\\Windows\\Temp\\setup\\log.txt", "x")
            .file("\\Windows\\System32\\winevt\\Logs\\App.evtx", "x")
            .file("\\$Recycle.Bin\\S-1-5-21\\$R1.txt", "x")
            .file("\\System Volume Information\\restore.dat", "x")
            .file("\\Users\\ann\\AppData\\Local\\Temp\\y", "x")
            .file("\\WindowsAzure\\agent.log", "x")
            .file("\\Packages\\Plugins\\p", "x")
            .file("\\swapfile.sys", "x");
    });
    let rows = lab.rows("app:A");
    let below_users = |row: &String| row.starts_with("directory \\Users");
    assert!(rows.iter().all(below_users), "{rows:?}");
    assert_eq!(report.deletions, 0);
    let image = lab.compose(&os.with("A"));
    assert!(image.has("\\pagefile.sys") && image.has("\\Windows\\Temp\\os.tmp"));
    assert!(!image.has("\\WindowsAzure") && !image.has("\\$Recycle.Bin"));
}

#[test]
fn an_administrator_can_extend_the_list_of_what_is_never_captured() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    std::fs::write(lab.store().join("never-captured.txt"), "# ours\n\\Scratch\n\\Scratch\\**\n\\*.bak\n")
        .unwrap();
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\Scratch\\a\\b", "x").file("\\note.BAK", "x").file("\\note.txt", "kept");
    });
    assert_eq!(lab.rows("app:A"), ["file \\note.txt"]);
    std::fs::write(lab.store().join("never-captured.txt"), "no path\n").unwrap();
    let disk = lab.package(&on("Windows"));
    let result = lab.try_capture(&on("Windows"), layering::reference::LayerKind::App, "B@1", &disk);
    assert!(refused(result, "list-malformed").contains("line 1"));
}
