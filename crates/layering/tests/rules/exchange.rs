//! Layers that go from one store to another in an OCI image layout.

use crate::bench::exchange::*;
use crate::bench::*;
use layering::Engine;
use layering::report::ExchangeState::{AlreadyThere, Done};
use layering::request::LayerRename;
use operation::Silent;
use std::process::Command;

/// An OS layer, two apps and a publishing platform layer.
fn installed(lab: &Lab) {
    lab.os("Windows@1", |disk| {
        disk.file("\\Windows\\notepad.exe", noise(300_000, 1));
    });
    lab.app(&on("Windows"), "Office@1", |disk| {
        disk.file("\\Office\\word.exe", noise(200_000, 2)).file("\\shared.txt", "office");
    });
    lab.app(&on("Windows").with("Office"), "Viewer@1", |disk| {
        disk.file("\\Viewer\\view.exe", noise(100_000, 3)).file("\\shared.txt", "viewer");
    });
    lab.platform(&on("Windows"), "Azure@1", |disk| {
        disk.file("\\agent.exe", noise(50_000, 4));
    });
}

#[test]
fn layers_that_went_through_a_layout_compose_to_the_same_disk() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let layout = here.fresh("layout");
    let report = here.export_layers(&["Viewer", "Office", "platform:Azure", "os:Windows"], &layout);
    let names: Vec<_> = report.versions.iter().map(|version| version.version.name.to_string()).collect();
    assert_eq!(names, ["Windows", "Azure", "Office", "Viewer"], "the OS layer comes first");
    let spec = on("Windows").with("Office").with("Viewer").platform("Azure");
    let request = here.compose_request(&spec, "desk");
    let first = here.engine.compose(&request, &Silent).unwrap();

    let report = there.import_layers(&layout);
    assert_eq!(states(&report), [Done; 4]);
    assert!(report.versions.iter().all(|version| version.warnings.is_empty()), "{report:#?}");
    assert_eq!(ids(&there.engine), ids(&here.engine)[..4], "records are the same, byte for byte");
    there.assert_sound();
    let second = there.engine.compose(&request, &Silent).unwrap();
    assert_eq!(second.digest, first.digest);
    let image = there.export("desk", second);
    assert_eq!(image.text("\\shared.txt"), "viewer");
    assert_eq!(image.bytes("\\Windows\\notepad.exe"), noise(300_000, 1));

    // Once more is no work, in either direction.
    let again = there.import_layers(&layout);
    assert_eq!(states(&again), [AlreadyThere; 4]);
    let files = files_of(&layout);
    let again = here.export_layers(&["Viewer", "Office", "platform:Azure", "os:Windows"], &layout);
    assert!(again.versions.iter().all(|version| version.state == AlreadyThere && version.written == 0));
    assert_eq!(files_of(&layout), files);
    // And back from the other store the same files come out.
    let copy = there.fresh("layout");
    there.export_layers(&["Viewer", "Office", "platform:Azure", "os:Windows"], &copy);
    assert_eq!(manifests(&copy).len(), 4);
    let records = |layout| manifests(layout).iter().map(|one| one["config"].clone()).collect::<Vec<_>>();
    assert_eq!(records(&copy), records(&layout));
}

#[test]
fn a_second_version_adds_only_what_is_new_and_zeros_are_nowhere() {
    let lab = lab!();
    let zeros = 8 << 20;
    lab.os("Windows@1", |disk| {
        disk.file("\\big.bin", [noise(9 << 20, 1), vec![0; zeros]].concat());
    });
    lab.app(&on("Windows"), "App@1", |disk| {
        disk.file("\\app.bin", [noise(3 << 20, 2), vec![0; zeros], noise(4096, 3)].concat());
    });
    lab.app(&on("Windows").base("App"), "App@2", |disk| {
        disk.file("\\more.bin", noise(1 << 20, 4));
    });
    let layout = lab.fresh("layout");
    let first = lab.export_layers(&["App@1", "os:Windows"], &layout);
    let written: u64 = first.versions.iter().map(|version| version.written).sum();
    assert!((12 << 20..14 << 20).contains(&written), "{written} bytes for 12 MiB that are not zeros");
    let before = files_of(&layout);
    let second = &lab.export_layers(&["App@2"], &layout).versions[0];
    assert!(second.packs == 2 && second.written < (1 << 20) + 50_000, "{second:?}");
    let after = files_of(&layout);
    let kept = before.iter().filter(|(name, _)| *name != "index.json");
    assert!(kept.clone().all(|(name, file)| after.get(name) == Some(file)), "nothing was written again");

    // The new version alone, into a store that has the old one, reads the packs that it needs.
    let there = lab!();
    there.import_some(&layout, &["App@1"]).unwrap();
    let report = there.import_some(&layout, &["App@2"]).unwrap();
    assert_eq!(states(&report), [Done]);
    assert!(report.versions[0].read < (1 << 20) + 50_000, "{report:?}");
    let image = there.compose_as(&lab, &on("Windows").with("App"));
    assert_eq!(image.bytes("\\app.bin"), [noise(3 << 20, 2), vec![0; zeros], noise(4096, 3)].concat());
    assert_eq!(image.bytes("\\more.bin"), noise(1 << 20, 4));
}

#[test]
fn a_file_that_is_larger_than_a_pack_goes_in_parts() {
    let (here, there) = (lab!(), lab!());
    let disk = here.disk_of(&[Part::Esp, Part::Ntfs(192)]);
    here.import("Windows@1", &disk);
    let content = [noise(40 << 20, 5), vec![0; 3 << 20], noise(30 << 20, 6), vec![7; 100]].concat();
    here.app(&on("Windows"), "Large@1", |disk| {
        disk.file("\\large.bin", content.clone()).file("\\small.bin", noise(70_000, 7));
    });
    let layout = here.fresh("layout");
    let report = here.export_layers(&["os:Windows", "Large"], &layout);
    assert_eq!(report.versions[1].packs, 4, "three parts, and one for the rest");
    there.import_layers(&layout);
    let image = there.compose_as(&here, &on("Windows").with("Large"));
    assert!(image.bytes("\\large.bin") == content);
    there.assert_sound();

    // A part that got lost is written again, and only that one.
    let packs = |layout| -> Vec<String> {
        let layers = manifests(layout).last().unwrap()["layers"].as_array().unwrap().clone();
        layers[1..].iter().map(|layer| digits(&layer["digest"])).collect()
    };
    let before = files_of(&layout);
    let lost = layout.join("blobs/sha256").join(&packs(&layout)[2]);
    std::fs::remove_file(&lost).unwrap();
    let report = here.export_layers(&["Large"], &layout);
    assert!(report.versions[0].state == Done && lost.exists());
    let rewritten = files_of(&layout).into_iter().filter(|(name, file)| before.get(name) != Some(file));
    let rewritten: Vec<String> = rewritten.map(|(name, _)| name).collect();
    assert!(rewritten.len() <= 3, "more than the part, the manifest and the index: {rewritten:?}");
    let third = lab!();
    third.import_layers(&layout);
}

#[test]
fn what_else_is_in_a_layout_stays() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let layout = lab.fresh("layout");
    lab.export_layers(&["os:Windows"], &layout);
    std::fs::write(layout.join("README"), "ours").unwrap();
    let foreign = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7, "x-unknown": [1, {"a": null}],
        "digest": format!("sha256:{}", "ab".repeat(32)), "annotations": {"org.opencontainers.image.ref.name": "other"},
    });
    edit_json(&layout.join("index.json"), |index| {
        index["manifests"].as_array_mut().unwrap().insert(0, foreign.clone());
        index["annotations"] = serde_json::json!({"org.example": "kept"});
    });
    lab.app(&on("Windows"), "App@1", |disk| {
        disk.file("\\a", "1");
    });
    lab.export_layers(&["App"], &layout);
    let index = read_json(&layout.join("index.json"));
    assert_eq!(index["manifests"][0], foreign);
    assert_eq!(index["annotations"]["org.example"], "kept");
    assert_eq!(std::fs::read_to_string(layout.join("README")).unwrap(), "ours");
    let listed = Engine::list_layout(&layout, &Silent).unwrap();
    assert_eq!((listed.versions.len(), listed.foreign, listed.unreadable.len()), (2, 1, 0));
    let app = &listed.versions[1];
    assert_eq!((app.version.os_layer.as_ref().unwrap().as_str(), app.absent), ("Windows", 0));
    assert_eq!(app.made_on.as_deref(), Some("os:Windows@1"));

    let occupied = lab.fresh("occupied");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(occupied.join("thesis.doc"), "precious").unwrap();
    refused(lab.try_export_layers(&["App"], &occupied), "layout-not-a-layout");
    assert_eq!(std::fs::read_dir(&occupied).unwrap().count(), 1);
}

#[test]
fn a_layer_brings_its_os_layer_or_is_refused_naming_it() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let (alone, both) = (here.fresh("alone"), here.fresh("both"));
    here.export_layers(&["Office"], &alone);
    let message = refused(there.try_import_layers(&alone), "layout-no-os-layer");
    assert!(message.contains("app:Office@1") && message.contains("Windows"), "{message}");
    assert!(there.list().is_empty());
    let mut request = export_request(&["Office"], &both);
    request.with_os = true;
    assert_eq!(here.engine.export_layers(&request, &Silent).unwrap().versions.len(), 2);
    let report = there.import_some(&both, &["Office"]).unwrap();
    assert_eq!(references(&report), ["os:Windows@1", "app:Office@1"]);

    // An OS layer of the same name that is another system is said.
    let other = lab!();
    other.os("Windows@1", |disk| {
        disk.file("\\other.txt", "another system");
    });
    let report = other.import_some(&alone, &["Office"]).unwrap();
    assert_eq!(codes(&report.versions[0].warnings), ["import-os-version-unknown"]);
    refused(other.try_import_layers(&both), "layout-differs");
}

#[test]
fn layers_can_get_other_names_and_are_known_again() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let layout = here.fresh("layout");
    here.export_layers(&["os:Windows", "Office"], &layout);
    there.os("Windows@1", |_| {});
    let mut request = import_request(&layout, &[]);
    let message = refused(there.engine.import_layers(&request, &Silent), "layout-differs");
    let id = |lab: &Lab| lab.engine.show("os:Windows@1", &Silent).unwrap().summary.id;
    assert!(message.contains(&id(&here)) && message.contains(&id(&there)), "both are named: {message}");

    let kind = layering::reference::LayerKind::Os;
    request.rename = vec![LayerRename { kind, from: "windows".into(), to: "Windows of Berlin".into() }];
    let report = there.engine.import_layers(&request, &Silent).unwrap();
    assert_eq!(references(&report), ["os:Windows of Berlin@1", "app:Office@1"]);
    assert!(report.versions.iter().all(|version| version.warnings.is_empty()), "{report:#?}");
    let spec = on("Windows of Berlin").with("Office");
    let image = there.compose_as(&here, &spec);
    assert_eq!(image.text("\\shared.txt"), "office");
    assert!(codes(&image.report.warnings).is_empty(), "{:?}", image.report.warnings);
    assert_eq!(states(&there.engine.import_layers(&request, &Silent).unwrap()), [AlreadyThere; 2]);
    there.assert_sound();
    let office = there.engine.show("Office", &Silent).unwrap();
    assert_eq!(office.summary.os_layer.unwrap().as_str(), "Windows of Berlin");
    request.rename.push(request.rename[0].clone());
    refused(there.engine.import_layers(&request, &Silent), "layer-twice");
}

#[test]
fn a_version_keeps_its_position_or_gets_the_next_one() {
    let (here, there) = (lab!(), lab!());
    let versions = ["App@1", "App@2", "App@3"];
    for lab in [&here, &there] {
        lab.os("Windows@1", |_| {});
    }
    for version in versions {
        here.app(&on("Windows"), version, |disk| {
            disk.file("\\v.txt", version);
        });
    }
    let (os, layout) = (here.fresh("os"), here.fresh("layout"));
    here.export_layers(&["os:Windows"], &os);
    here.export_layers(&versions, &layout);
    let sequence = |report: &layering::report::ImportLayersReport| report.versions[0].version.sequence;
    assert_eq!(sequence(&there.import_some(&layout, &["App@3"]).unwrap()), 3);
    assert_eq!(sequence(&there.import_some(&layout, &["App@1"]).unwrap()), 1, "it is older");
    there.app(&on("Windows"), "App@own", |_| {});
    let taken = there.engine.show("App@own", &Silent).unwrap().summary.sequence;
    assert_eq!(taken, 4);
    here.app(&on("Windows"), "App@4", |_| {});
    here.export_layers(&["App@4"], &layout);
    let report = there.import_some(&layout, &["App"]).unwrap();
    assert_eq!((references(&report), sequence(&report)), (vec!["app:App@4".to_owned()], 5));
    assert_eq!(states(&there.import_some(&layout, &["App@4"]).unwrap()), [AlreadyThere]);
    // From there it comes back as what it is.
    let back = there.fresh("back");
    there.export_layers(&["App@4"], &back);
    assert_eq!(states(&here.import_some(&back, &["App@4"]).unwrap()), [AlreadyThere]);

    // A layer stays with its OS layer.
    let third = lab!();
    third.os("Eleven@1", |_| {});
    third.app(&on("Eleven"), "App@0", |_| {});
    third.os("Windows@1", |_| {});
    let message = refused(third.import_some(&layout, &["App@1"]), "other-os-layer");
    assert!(message.contains("Eleven"), "{message}");
}

#[test]
fn versions_are_asked_for_by_reference() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let layout = here.fresh("layout");
    refused(here.try_export_layers(&["Nobody"], &layout), "not-found");
    here.engine.compose(&here.compose_request(&on("Windows"), "desk"), &Silent).unwrap();
    refused(here.try_export_layers(&["image:desk"], &layout), "reference-kind");
    assert!(!layout.exists(), "what is refused leaves nothing");
    here.export_layers(&["os:Windows"], &layout);
    refused(there.import_some(&layout, &["Office"]), "layout-not-held");
    refused(there.import_some(&layout, &["image:Windows"]), "layout-not-held");
    refused(there.import_some(&layout, &["a:b:c"]), "reference-invalid");
    refused(there.import_some(&here.fresh("nothing"), &[]), "layout-missing");
    refused(there.import_some(&here.store(), &[]), "layout-not-a-layout");
    let request =
        layering::request::ImportLayersRequest { max_size: Some(100_000), ..import_request(&layout, &[]) };
    let message = refused(there.engine.import_layers(&request, &Silent), "layout-too-much");
    assert!(message.contains("100000"), "{message}");
    assert!(there.list().is_empty());
}

#[test]
fn skopeo_reads_and_copies_the_layout() {
    let lab = lab!();
    if Command::new("skopeo").arg("--version").output().is_err() {
        println!("SKIPPED skopeo_reads_and_copies_the_layout: skopeo is not installed");
        return;
    }
    installed(&lab);
    let (layout, copy) = (lab.fresh("layout"), lab.fresh("copy"));
    lab.export_layers(&["os:Windows", "Office"], &layout);
    let index = read_json(&layout.join("index.json"));
    for (entry, manifest) in index["manifests"].as_array().unwrap().iter().zip(manifests(&layout)) {
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        let run = |arguments: &[String]| {
            let output = Command::new("skopeo").args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let source = format!("oci:{}:{name}", layout.display());
        let raw = run(&["inspect".into(), "--raw".into(), source.clone()]);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&raw).unwrap(), manifest);
        // Copying verifies the digest of every blob.
        let policy = "--insecure-policy".into();
        run(&[policy, "copy".into(), "-q".into(), source, format!("oci:{}:{name}", copy.display())]);
    }
    // What it wrote says less in its index, and is imported all the same.
    let there = lab!();
    assert_eq!(states(&there.import_layers(&copy)), [Done, Done]);
    there.assert_sound();
}

#[test]
fn a_reader_of_a_few_lines_of_python_finds_every_digest_right() {
    let test = "a_reader_of_a_few_lines_of_python_finds_every_digest_right";
    let lab = lab!();
    if Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED {test}: python3 is not installed");
        return;
    }
    installed(&lab);
    let layout = lab.fresh("layout");
    lab.export_layers(&["os:Windows", "Office", "Viewer", "platform:Azure"], &layout);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules/bench/walk_layout.py");
    let walk = || Command::new("python3").arg(script).arg(&layout).output().unwrap();
    let output = walk();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        found["titles"],
        serde_json::json!(["os:Windows@1", "platform:Azure@1", "app:Office@1", "app:Viewer@1"])
    );
    assert_eq!(found["unnamed"], serde_json::json!([]), "nothing lies there that no manifest names");
    let blobs: u64 = found["blobs"].as_u64().unwrap();
    assert!(blobs > 30, "the packs have {blobs} blobs");
    // And it would have noticed.
    let (name, _) =
        files_of(&layout).into_iter().find(|(name, file)| name.len() > 60 && file.len > 90_000).unwrap();
    flip(&layout.join(name), 80_000 * 8);
    assert!(!walk().status.success());
}
