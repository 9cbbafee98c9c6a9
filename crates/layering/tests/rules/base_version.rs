//! "What a packaging disk contains" and "What the new version is".

use crate::bench::*;
use layering::reference::LayerKind;
use operation::Silent;

#[test]
fn a_packaging_disk_contains_os_then_prerequisites_then_base_then_platform() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        for name in ["os", "first", "second", "base", "platform"] {
            disk.file(&format!("\\{name}"), "from the OS");
        }
    });
    let write = |names: &'static [&'static str], who: &'static str| {
        move |disk: &mut Edit| {
            for name in names {
                disk.file(&format!("\\{name}"), who);
            }
        }
    };
    let os = on("Windows@1");
    lab.app(&os, "First@1", write(&["first", "second", "base", "platform"], "from the first"));
    lab.app(&os, "Second@1", write(&["second", "base", "platform"], "from the second"));
    lab.app(&os, "App@1", write(&["base", "platform"], "from the base"));
    lab.packaging_platform(&os, "Tools@1", write(&["platform"], "from the platform"));
    let spec = os.with("First@1").with("Second@1").base("app:App@1").platform("Tools@1");
    let found = Snapshot::of(&lab.package(&spec));
    for (name, from) in [("os", "OS"), ("first", "first"), ("second", "second"), ("base", "base")] {
        assert_eq!(found.text(&format!("\\{name}")), format!("from the {from}"));
    }
    assert_eq!(found.text("\\platform"), "from the platform");
}

#[test]
fn prerequisites_and_the_packaging_platform_are_never_in_the_result() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\os.txt", "os");
    });
    let os = on("Windows@1");
    lab.app(&os, "Runtime@1", |disk| {
        disk.file("\\Runtime\\run.dll", noise(9_000, 1));
    });
    lab.packaging_platform(&os, "Tools@1", |disk| {
        disk.file("\\Tools\\agent.exe", noise(9_000, 2));
    });
    let spec = os.clone().with("Runtime@1").platform("Tools@1");
    let report = lab.app(&spec, "App@1", |disk| {
        disk.file("\\App\\app.exe", "app");
    });
    assert_eq!(lab.rows("app:App@1"), ["directory \\App", "file \\App\\app.exe"]);
    assert_eq!(report.deletions, 0);
    let image = lab.compose(&os.with("App@1"));
    assert!(image.has("\\App\\app.exe") && !image.has("\\Runtime") && !image.has("\\Tools"));
}

#[test]
fn a_prerequisites_file_that_the_app_changed_is_the_apps() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    lab.app(&os, "Runtime@1", |disk| {
        disk.file("\\Runtime\\run.ini", "plain").file("\\Runtime\\other.ini", "plain");
    });
    lab.app(&os.clone().with("Runtime@1"), "App@1", |disk| {
        disk.file("\\Runtime\\run.ini", "tuned");
    });
    assert_eq!(lab.rows("app:App@1"), ["file \\Runtime\\run.ini"]);
    let image = lab.compose(&os.with("App@1"));
    assert_eq!(image.text("\\Runtime\\run.ini"), "tuned");
    assert!(!image.has("\\Runtime\\other.ini"));
}

#[test]
fn untouched_content_of_the_base_stays_even_where_the_chosen_os_version_has_the_same_file() {
    let lab = lab!();
    let first = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows@1"), "App@1", |disk| {
        disk.file("\\Shared\\lib.dll", noise(9_000, 5)).file("\\App\\a.txt", "1");
    });
    lab.os_after(&first, "Windows@2", |disk| {
        disk.file("\\Shared\\lib.dll", noise(9_000, 5));
    });
    lab.app(&on("Windows@2").base("App@1"), "App@2", |disk| {
        disk.file("\\App\\b.txt", "2");
    });
    assert_eq!(
        lab.rows("app:App@2"),
        [
            "directory \\App",
            "file \\App\\a.txt",
            "file \\App\\b.txt",
            "directory \\Shared",
            "file \\Shared\\lib.dll"
        ]
    );
    let image = lab.compose(&on("Windows@1").with("App@2"));
    assert_eq!(image.bytes("\\Shared\\lib.dll"), noise(9_000, 5));
}

#[test]
fn what_the_base_added_and_was_deleted_leaves_the_layer() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    lab.app(&os, "App@1", |disk| {
        disk.file("\\App\\old.dll", "old").file("\\App\\new.dll", "new").file("\\Gone\\deep\\x", "x");
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.delete("\\App\\old.dll").delete("\\Gone");
    });
    assert_eq!(lab.rows("app:App@2"), ["directory \\App", "file \\App\\new.dll"]);
}

#[test]
fn what_the_base_replaced_and_was_deleted_becomes_a_deletion() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\settings.ini", "of the OS");
    });
    let os = on("Windows@1");
    lab.app(&os, "App@1", |disk| {
        disk.file("\\settings.ini", "of the app");
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.delete("\\settings.ini");
    });
    assert_eq!(lab.rows("app:App@2"), ["deletion \\settings.ini"]);
    assert!(!lab.compose(&os.with("App@2")).has("\\settings.ini"));
}

#[test]
fn what_the_base_deleted_and_came_back_leaves_its_deletion_list() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\Games\\chess.exe", "chess").file("\\Games\\cards.exe", "cards");
    });
    let os = on("Windows@1");
    lab.app(&os, "Tidy@1", |disk| {
        disk.delete("\\Games");
    });
    assert_eq!(
        lab.rows("app:Tidy@1"),
        ["deletion \\Games", "deletion \\Games\\cards.exe", "deletion \\Games\\chess.exe"]
    );
    lab.app(&os.clone().base("Tidy@1"), "Tidy@2", |disk| {
        disk.file("\\Games\\chess.exe", "chess again");
    });
    let rows = lab.rows("app:Tidy@2");
    assert!(rows.contains(&"file \\Games\\chess.exe".to_owned()), "{rows:?}");
    assert!(rows.contains(&"deletion \\Games\\cards.exe".to_owned()), "{rows:?}");
    assert!(!rows.contains(&"deletion \\Games\\chess.exe".to_owned()), "{rows:?}");
    assert!(!rows.contains(&"deletion \\Games".to_owned()), "{rows:?}");
    let image = lab.compose(&os.with("Tidy@2"));
    assert_eq!(image.text("\\games\\CHESS.EXE"), "chess again");
    assert!(!image.has("\\Games\\cards.exe"));
}

#[test]
fn what_the_base_replaced_by_something_of_another_kind_stays_deleted_when_that_is_deleted() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\was a directory\\inside", "x").file("\\was a file", "x");
    });
    let os = on("Windows@1");
    lab.app(&os, "App@1", |disk| {
        disk.delete("\\was a directory").file("\\was a directory", "now a file");
        disk.delete("\\was a file").file("\\was a file\\inside", "now a directory");
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.delete("\\was a directory").delete("\\was a file");
    });
    assert_eq!(
        lab.rows("app:App@2"),
        ["deletion \\was a directory", "deletion \\was a directory\\inside", "deletion \\was a file"]
    );
    let image = lab.compose(&os.with("App@2"));
    assert!(!image.has("\\was a directory") && !image.has("\\was a file"));
    assert_eq!(image.report.warnings, []);
}

#[test]
fn the_new_version_stands_alone_after_its_base_is_removed() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    let (kept, moved) = (noise(200_000, 1), noise(150_000, 2));
    lab.app(&os, "App@1", |disk| {
        disk.file("\\App\\kept.bin", &kept)
            .file("\\App\\moved.bin", &moved)
            .file("\\App\\lost.bin", noise(90_000, 3));
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.rename("\\App\\moved.bin", "\\App\\elsewhere.bin").delete("\\App\\lost.bin");
    });
    lab.engine.remove("app:App@1").unwrap();
    lab.engine.gc(false, &Silent).unwrap();
    lab.assert_sound();
    let image = lab.compose(&os.with("App@2"));
    assert_eq!(image.bytes("\\App\\kept.bin"), kept);
    assert_eq!(image.bytes("\\App\\elsewhere.bin"), moved);
    assert!(!image.has("\\App\\moved.bin") && !image.has("\\App\\lost.bin"));
}

#[test]
fn prerequisites_are_chosen_again_for_every_version() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    for (name, file) in [("Java@1", "\\java.exe"), ("Dotnet@1", "\\dotnet.exe")] {
        lab.app(&os, name, |disk| {
            disk.file(file, "runtime");
        });
    }
    lab.app(&os.clone().with("Java@1"), "App@1", |disk| {
        disk.file("\\app.jar", "1");
    });
    let disk = lab.package(&os.clone().with("Dotnet@1").base("app:App@1"));
    let found = Snapshot::of(&disk);
    assert!(found.has("\\dotnet.exe") && found.has("\\app.jar") && !found.has("\\java.exe"));
    disk.edit(|disk| {
        disk.file("\\app.dll", "2");
    });
    lab.capture(&os.with("Dotnet@1").base("App@1"), LayerKind::App, "App@2", &disk);
    assert_eq!(lab.rows("app:App@2"), ["file \\app.dll", "file \\app.jar"]);
}

#[test]
fn a_link_of_the_base_stays_the_old_file_when_the_name_it_was_made_from_becomes_another_file() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\lib.dll", "of the OS");
    });
    let os = on("Windows@1");
    lab.app(&os, "App@1", |disk| {
        disk.link("\\lib.dll", "\\App\\lib.dll");
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.delete("\\lib.dll").file("\\lib.dll", "of the app");
    });
    let image = lab.compose(&os.with("App@2"));
    assert_eq!(image.text("\\App\\lib.dll"), "of the OS");
    assert_eq!(image.text("\\lib.dll"), "of the app");
    assert_eq!(image.group("\\lib.dll"), ["\\lib.dll"]);
}

#[test]
fn a_hard_link_made_in_the_new_version_to_a_file_of_the_base_is_one_file() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let os = on("Windows@1");
    lab.app(&os, "App@1", |disk| {
        disk.file("\\App\\lib.dll", noise(70_000, 4));
    });
    lab.app(&os.clone().base("App@1"), "App@2", |disk| {
        disk.link("\\App\\lib.dll", "\\App\\alias.dll");
    });
    assert_eq!(lab.rows("app:App@2"), ["directory \\App", "file \\App\\alias.dll", "file \\App\\lib.dll"]);
    let image = lab.compose(&os.with("App@2"));
    assert_eq!(image.group("\\App\\lib.dll"), ["\\App\\alias.dll", "\\App\\lib.dll"]);
}
