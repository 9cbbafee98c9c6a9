//! Layouts that are damaged, cut off, or made to do harm.

use crate::bench::exchange::*;
use crate::bench::*;
use layering::report::ExchangeState::AlreadyThere;
use layering::{Engine, Error};
use operation::{Explain, Silent};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A layout with one app version, and a store that has its OS layer.
struct Scene {
    lab: Lab,
    layout: PathBuf,
    there: Lab,
}

macro_rules! scene {
    () => {{
        let (lab, there) = (lab!(), lab!());
        let layout = lab.fresh("layout");
        let scene = Scene { lab, layout, there };
        scene.prepare();
        scene
    }};
}

impl Scene {
    fn prepare(&self) {
        self.lab.os("Windows@1", |_| {});
        self.lab.app(&on("Windows"), "App@1", |disk| {
            disk.file("\\App\\a.bin", noise(5_000, 1)).file("\\App\\b.bin", noise(9_000, 2));
        });
        let os = self.lab.fresh("os");
        self.lab.export_layers(&["os:Windows"], &os);
        self.there.import_layers(&os);
        self.lab.export_layers(&["App"], &self.layout);
    }

    fn file(&self, digest: &Value) -> PathBuf {
        self.layout.join("blobs/sha256").join(digits(digest))
    }

    fn manifest(&self) -> Value {
        manifests(&self.layout).remove(0)
    }

    fn pack(&self) -> PathBuf {
        self.file(&self.manifest()["layers"][1]["digest"])
    }

    /// Adds a blob and gives its descriptor's digest and size.
    fn put(&self, bytes: &[u8]) -> (Value, Value) {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        std::fs::write(self.layout.join("blobs/sha256").join(&digest), bytes).unwrap();
        (json!(format!("sha256:{digest}")), json!(bytes.len()))
    }

    fn replace(&self, descriptor: &mut Value, bytes: &[u8]) {
        (descriptor["digest"], descriptor["size"]) = self.put(bytes);
    }

    /// Makes the index name another manifest.
    fn set_manifest(&self, manifest: &Value) {
        let bytes = serde_json::to_vec(manifest).unwrap();
        edit_json(&self.layout.join("index.json"), |index| self.replace(&mut index["manifests"][0], &bytes));
    }

    fn edit_manifest(&self, edit: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest();
        edit(&mut manifest);
        self.set_manifest(&manifest);
    }

    fn edit_record(&self, edit: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest();
        let mut record = read_json(&self.file(&manifest["config"]["digest"]));
        edit(&mut record);
        self.replace(&mut manifest["config"], &serde_json::to_vec(&record).unwrap());
        self.set_manifest(&manifest);
    }

    fn replace_layer(&self, layer: usize, bytes: &[u8]) {
        self.edit_manifest(|manifest| self.replace(&mut manifest["layers"][layer], bytes));
    }

    fn import(&self) -> Result<layering::report::ImportLayersReport, Error> {
        self.there.try_import_layers(&self.layout)
    }

    /// Asserts that nothing is imported, for this reason, and that nothing is left of the attempt.
    #[track_caller]
    fn refused(&self, code: &str) -> String {
        let message = refused(self.import(), code);
        assert_eq!(self.there.list().len(), 1, "{message}");
        message
    }
}

/// The canonical bytes of an object behind the header that the store's files have.
fn object_file(canonical: &[u8], announced: u64) -> Vec<u8> {
    let compressed = zstd::bulk::compress(canonical, 3).unwrap();
    let mut file = [b"LMNAZOB\x01".as_slice(), &announced.to_le_bytes()].concat();
    let checksum = blake3::Hasher::new().update(&file).update(&compressed).finalize();
    file.extend_from_slice(checksum.as_bytes());
    file.extend_from_slice(&compressed);
    file
}

#[test]
fn any_flipped_bit_is_refused_or_does_no_harm() {
    let scene = scene!();
    let (layout, there) = (&scene.layout, &scene.there);
    let mut files: Vec<String> = files_of(layout).into_keys().collect();
    files.sort_by_key(|name| name.len());
    assert_eq!(files.len(), 6, "the marker, the index, a manifest, a record, a body, a pack: {files:?}");
    let import_without = |name: &str, bit: usize| {
        let path = layout.join(name);
        flip(&path, bit);
        let outcome = there.import_some(layout, &["app:App@1"]);
        flip(&path, bit);
        if let Err(error) = &outcome {
            assert!(error.code().starts_with("layout-"), "bit {bit} of {name}: {error}");
        }
        outcome
    };
    // What hangs on a digest: a bit of each byte, and of the content of packs now and then one.
    let mut refusals = 0;
    for name in &files[2..] {
        let len = std::fs::metadata(layout.join(name)).unwrap().len() as usize;
        for byte in (0..len).filter(|byte| *byte < 1000 || byte % 13 == 0) {
            import_without(name, byte * 8 + byte % 8).unwrap_err();
            refusals += 1;
        }
    }
    assert!(refusals > 2_000, "{refusals}");
    assert_eq!(there.list().len(), 1);
    // The two files that do not: every bit. What is taken for the version has the identity of the version.
    scene.import().unwrap();
    let identity = there.engine.show("App", &Silent).unwrap().summary.id;
    assert_eq!(identity, scene.lab.engine.show("App", &Silent).unwrap().summary.id);
    let (mut refusals, mut harmless) = (0, 0);
    for name in &files[..2] {
        let len = std::fs::metadata(layout.join(name)).unwrap().len() as usize;
        for bit in 0..len * 8 {
            match import_without(name, bit) {
                Ok(report) => {
                    assert_eq!(states(&report), [AlreadyThere], "bit {bit} of {name}");
                    assert_eq!(report.versions[0].version.id, identity, "bit {bit} of {name}");
                    harmless += 1;
                }
                Err(_) => refusals += 1,
            }
        }
    }
    // Harmless are words of the index that nobody relies on: its annotations, and white space.
    assert!(refusals > harmless, "{refusals} refused, {harmless} without harm");
    assert_eq!(there.list().len(), 2);
    there.engine.gc(false, &Silent).unwrap();
    there.assert_sound();
}

#[test]
fn a_file_that_is_cut_off_or_missing_is_named() {
    let scene = scene!();
    let manifest = scene.manifest();
    for (part, code) in [("config", "record"), ("body", "body"), ("pack", "pack")] {
        let digest = match part {
            "config" => &manifest["config"]["digest"],
            "body" => &manifest["layers"][0]["digest"],
            _ => &manifest["layers"][1]["digest"],
        };
        let path = scene.file(digest);
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let message = scene.refused("layout-incomplete");
        assert!(message.contains(digest.as_str().unwrap()) && message.contains(code), "{message}");
        for len in [0, 1, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            let message = scene.refused("layout-damaged");
            assert!(message.contains(&digits(digest)), "{message}");
        }
        std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        scene.refused("layout-damaged");
        std::fs::write(&path, &good).unwrap();
    }
    let listed = Engine::list_layout(&scene.layout, &Silent).unwrap();
    assert_eq!(listed.versions[0].absent, 0);
    std::fs::remove_file(scene.pack()).unwrap();
    assert_eq!(Engine::list_layout(&scene.layout, &Silent).unwrap().versions[0].absent, 1);
    // A pack of another version instead: what is missing is contents.
    scene.edit_manifest(|manifest| _ = manifest["layers"].as_array_mut().unwrap().pop());
    let message = scene.refused("layout-incomplete");
    assert!(message.contains("app:App@1") && message.contains("2 of its contents"), "{message}");
}

#[test]
fn nothing_is_opened_outside_of_the_layout() {
    let scene = scene!();
    let pack = scene.pack();
    let elsewhere = scene.lab.fresh("elsewhere");
    std::fs::rename(&pack, &elsewhere).unwrap();
    symlink(&elsewhere, &pack).unwrap();
    assert!(scene.refused("layout-io").contains("cannot open"));
    assert_eq!(Engine::list_layout(&scene.layout, &Silent).unwrap().versions[0].absent, 1);
    std::fs::remove_file(&pack).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &pack, rustix::fs::Mode::RWXU).unwrap();
    scene.refused("layout-io");
    std::fs::remove_file(&pack).unwrap();
    std::fs::create_dir(&pack).unwrap();
    scene.refused("layout-io");
    std::fs::remove_dir(&pack).unwrap();
    std::fs::rename(&elsewhere, &pack).unwrap();

    for name in ["index.json", "oci-layout", "blobs", "blobs/sha256"] {
        let path = scene.layout.join(name);
        std::fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        scene.refused("layout-io");
        refused(scene.lab.try_export_layers(&["App"], &scene.layout), "layout-io");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&elsewhere, &path).unwrap();
    }
    for digest in [
        "sha256:../../../../etc/passwd",
        "sha256:..",
        "sha256:",
        "sha512:00",
        &format!("sha256:{}", "AB".repeat(32)),
        &format!("sha256:{}/", "ab".repeat(31)),
        &format!("sha256:{}\u{0}a", "ab".repeat(31)),
    ] {
        let good = std::fs::read(scene.layout.join("index.json")).unwrap();
        scene.edit_manifest(|manifest| manifest["layers"][1]["digest"] = json!(digest));
        scene.refused("layout-damaged");
        std::fs::write(scene.layout.join("index.json"), &good).unwrap();
        edit_json(&scene.layout.join("index.json"), |index| index["manifests"][0]["digest"] = json!(digest));
        scene.refused("layout-damaged");
        std::fs::write(scene.layout.join("index.json"), &good).unwrap();
    }
    scene.import().unwrap();
}

#[test]
fn lengths_that_lie_are_refused_before_anything_is_read() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    for size in [json!(0), json!(1), json!(u64::MAX), json!(-1), json!(1e30), json!("1"), json!(1u64 << 40)] {
        for part in ["manifest", "config", "body", "pack"] {
            if part == "manifest" {
                edit_json(&scene.layout.join("index.json"), |index| {
                    index["manifests"][0]["size"] = size.clone()
                });
            } else {
                scene.edit_manifest(|manifest| match part {
                    "config" => manifest["config"]["size"] = size.clone(),
                    "body" => manifest["layers"][0]["size"] = size.clone(),
                    _ => manifest["layers"][1]["size"] = size.clone(),
                });
            }
            let error = scene.import().unwrap_err();
            assert!(["layout-damaged", "layout-too-long"].contains(&error.code()), "{part} {size}: {error}");
            std::fs::write(scene.layout.join("index.json"), &index).unwrap();
        }
    }
    std::fs::write(scene.layout.join("index.json"), vec![b' '; (4 << 20) + 1]).unwrap();
    scene.refused("layout-too-long");
    std::fs::write(scene.layout.join("oci-layout"), vec![b' '; 5000]).unwrap();
    scene.refused("layout-too-long");
}

#[test]
fn bombs_are_stopped_at_the_length_that_was_announced() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    let restore = || std::fs::write(scene.layout.join("index.json"), &index).unwrap();
    let zeros = vec![0; 300 << 20];
    // a body that is more than it says, and one that says that it is too much
    scene.replace_layer(0, &object_file(&zeros, 1000));
    scene.refused("layout-damaged");
    restore();
    scene.replace_layer(0, &object_file(&zeros, zeros.len() as u64));
    scene.refused("layout-too-long");
    restore();
    // a pack whose content goes on
    let pack = std::fs::read(scene.pack()).unwrap();
    let directory = 48 + 2 * 48 + 2 * 16;
    let bomb = [&pack[..directory], &zstd::bulk::compress(&zeros, 3).unwrap()].concat();
    scene.replace_layer(1, &bomb);
    assert!(scene.refused("layout-damaged").contains("longer than it says"));
    restore();
    // blobs that say that they are millions of gigabytes, nearly all of it zeros
    let counts = [0u64, 1, 2, 2, 8192].iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<u8>>();
    let mut huge = [b"LMNAPCK\x01".as_slice(), &counts].concat();
    for blob in [48..80, 96..128] {
        huge.extend_from_slice(&pack[blob]);
        huge.extend([1u64 << 60, 1].iter().flat_map(|field| field.to_le_bytes()));
    }
    huge.extend([0u64, 4096, 1 << 50, 4096].iter().flat_map(|field| field.to_le_bytes()));
    huge.extend(zstd::bulk::compress(&[7; 8192], 3).unwrap());
    scene.replace_layer(1, &huge);
    scene.refused("layout-too-much");
    restore();
    // a directory that says that it has more entries than memory
    for field in [24, 32] {
        let mut huge = pack.clone();
        huge[field..field + 8].copy_from_slice(&(1u64 << 56).to_le_bytes());
        scene.replace_layer(1, &huge);
        assert!(scene.refused("layout-damaged").contains("no pack"));
        restore();
    }
    // JSON as deep as it is long
    let deep = "[".repeat(1 << 20);
    scene.replace_config_raw(deep.as_bytes());
    scene.refused("layout-damaged");
    std::fs::write(scene.layout.join("index.json"), &deep).unwrap();
    scene.refused("layout-damaged");
    restore();
    scene.import().unwrap();
}

impl Scene {
    fn replace_config_raw(&self, bytes: &[u8]) {
        self.edit_manifest(|manifest| self.replace(&mut manifest["config"], bytes));
    }
}

#[test]
fn content_that_is_not_what_the_store_calls_it_is_refused() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    let restore = || std::fs::write(scene.layout.join("index.json"), &index).unwrap();
    let pack = std::fs::read(scene.pack()).unwrap();
    let directory = 48 + 2 * 48 + 2 * 16;
    let mut content = zstd::bulk::decompress(&pack[directory..], 1 << 20).unwrap();
    content[4000] ^= 1;
    let changed = [&pack[..directory], &zstd::bulk::compress(&content, 3).unwrap()].concat();
    scene.replace_layer(1, &changed);
    assert!(scene.refused("layout-damaged").contains("has the digest"));
    restore();
    // two blobs that change places
    let mut swapped = pack.clone();
    let (first, second) = (pack[48..80].to_vec(), pack[96..128].to_vec());
    swapped[48..80].copy_from_slice(&second);
    swapped[96..128].copy_from_slice(&first);
    scene.replace_layer(1, &swapped);
    scene.refused("layout-damaged");
    restore();
    // the body of another version
    scene.lab.app(&on("Windows"), "Other@1", |disk| {
        disk.file("\\other", noise(5_000, 9));
    });
    let other = scene.lab.fresh("other");
    scene.lab.export_layers(&["Other"], &other);
    let body = digits(&manifests(&other)[0]["layers"][0]["digest"]);
    scene.replace_layer(0, &std::fs::read(other.join("blobs/sha256").join(body)).unwrap());
    assert!(scene.refused("layout-damaged").contains("is not the body"));
    restore();
    scene.there.engine.gc(false, &Silent).unwrap();
    scene.there.assert_sound();
    scene.import().unwrap();
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    let edits: [fn(&mut Value); 14] = [
        |record| record["sequence"] = json!(0),
        |record| record["sequence"] = json!(u64::MAX),
        |record| record["kind"] = json!("os"),
        |record| record["kind"] = json!("image"),
        |record| _ = record.as_object_mut().unwrap().remove("os_layer"),
        |record| record["os_volume"] = json!(2),
        |record| record["platform"] = json!({"purpose": "publishing", "hypervisor": "kvm"}),
        |record| record["layer"] = json!("../../x"),
        |record| record["version"] = json!("a".repeat(101)),
        |record| record["layer"] = json!(""),
        |record| record["body"] = json!("00"),
        |record| record["captured"]["os"]["reference"] = json!("a:b:c"),
        |record| record["origin"] = json!({"reference": "x".repeat(1000), "id": "0".repeat(64)}),
        |record| *record = json!([]),
    ];
    for edit in edits {
        scene.edit_record(edit);
        scene.refused("layout-damaged");
        let listed = Engine::list_layout(&scene.layout, &Silent).unwrap();
        assert_eq!((listed.versions.len(), listed.unreadable.len()), (0, 1));
        std::fs::write(scene.layout.join("index.json"), &index).unwrap();
    }
    // Another record is another version, which is not what the store has under this name.
    scene.import().unwrap();
    scene.edit_record(|record| record["created"] = json!(1));
    refused(scene.import(), "layout-differs");
    // That it says it comes from the one that is there does not make it that.
    let id = scene.there.engine.show("App", &Silent).unwrap().summary.id;
    scene.edit_record(|record| {
        record["origin"] = json!({"reference": "app:App@1", "id": id});
        record["body"] = json!("0".repeat(64));
    });
    refused(scene.import(), "layout-differs");
}

#[test]
fn parts_in_the_wrong_order_and_unknown_parts_are_refused() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    let edits: [fn(&mut Value); 9] = [
        |manifest| manifest["layers"].as_array_mut().unwrap().reverse(),
        |manifest| manifest["layers"] = json!([]),
        |manifest| manifest["layers"][1]["mediaType"] = json!("application/vnd.lamina.pack.v2"),
        |manifest| manifest["layers"][0]["mediaType"] = json!("application/vnd.lamina.disk.v1"),
        |manifest| manifest["config"]["mediaType"] = json!("application/vnd.oci.empty.v1+json"),
        |manifest| manifest["schemaVersion"] = json!(1),
        |manifest| manifest["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json"),
        |manifest| manifest["artifactType"] = json!("application/vnd.lamina.image.v1"),
        |manifest| _ = manifest.as_object_mut().unwrap().remove("artifactType"),
    ];
    for edit in edits {
        scene.edit_manifest(edit);
        scene.refused("layout-damaged");
        std::fs::write(scene.layout.join("index.json"), &index).unwrap();
    }
    // A pack twice, and a version twice, are once.
    scene.edit_manifest(|manifest| {
        let pack = manifest["layers"][1].clone();
        manifest["layers"].as_array_mut().unwrap().push(pack);
    });
    edit_json(&scene.layout.join("index.json"), |index| {
        let entry = index["manifests"][0].clone();
        index["manifests"].as_array_mut().unwrap().push(entry);
    });
    assert_eq!(scene.import().unwrap().versions.len(), 1);
    scene.there.engine.remove("App@1").unwrap();
    // Two that have the same name are two.
    let first = read_json(&scene.layout.join("index.json"))["manifests"][0].clone();
    scene.edit_record(|record| record["created"] = json!(1));
    edit_json(&scene.layout.join("index.json"), |index| index["manifests"][1] = first);
    let message = scene.refused("layout-ambiguous");
    assert!(message.contains("app:App@1"), "{message}");
}

#[test]
fn what_a_later_program_wrote_is_told_apart_from_damage() {
    let scene = scene!();
    let index = std::fs::read(scene.layout.join("index.json")).unwrap();
    let later = json!("application/vnd.lamina.layer-version.v2");
    edit_json(&scene.layout.join("index.json"), |index| {
        index["manifests"][0]["artifactType"] = later.clone()
    });
    assert!(scene.refused("layout-newer").contains("later format"));
    std::fs::write(scene.layout.join("index.json"), &index).unwrap();
    scene.edit_manifest(|manifest| manifest["artifactType"] = later.clone());
    scene.refused("layout-newer");
    let listed = Engine::list_layout(&scene.layout, &Silent).unwrap();
    assert_eq!(listed.unreadable[0].code, "layout-newer");
    // What this program knows is imported beside it, if that is what is asked for.
    scene.lab.app(&on("Windows"), "Other@1", |_| {});
    scene.lab.export_layers(&["Other"], &scene.layout);
    assert_eq!(listed.versions.len(), 0);
    refused(scene.import(), "layout-newer");
    scene.there.import_some(&scene.layout, &["Other"]).unwrap();
    std::fs::write(scene.layout.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    refused(scene.import(), "layout-newer");
    refused(scene.lab.try_export_layers(&["Other"], &scene.layout), "layout-newer");
}

#[test]
fn an_export_does_not_build_on_what_is_damaged() {
    let scene = scene!();
    let good = std::fs::read(scene.pack()).unwrap();
    let pack = scene.pack();
    // Cut off: written again.
    std::fs::write(&pack, &good[..100]).unwrap();
    scene.lab.export_layers(&["App"], &scene.layout);
    assert_eq!(std::fs::read(&pack).unwrap(), good);
    // Damaged and named by nothing, as an interrupted export might leave it after a disk lost power: noticed.
    std::fs::write(scene.layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let mut bad = good.clone();
    let at = bad.len() - 10;
    bad[at] ^= 1;
    std::fs::write(&pack, &bad).unwrap();
    let report = scene.lab.export_layers(&["App"], &scene.layout);
    assert_eq!(report.verified, good.len() as u64);
    assert_eq!(std::fs::read(&pack).unwrap(), good);
    // Whole and named by nothing: used as it is.
    std::fs::write(scene.layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let before = files_of(&scene.layout);
    let report = scene.lab.export_layers(&["App"], &scene.layout);
    assert_eq!((report.verified, report.versions[0].content), (good.len() as u64, 0));
    let after = files_of(&scene.layout);
    assert!(
        after
            .iter()
            .filter(|(name, _)| *name != "index.json")
            .eq(before.iter().filter(|(name, _)| *name != "index.json"))
    );
    scene.import().unwrap();
}

#[test]
fn two_exports_to_one_layout_do_not_disturb_each_other() {
    let scene = scene!();
    let held = std::fs::File::options().write(true).open(scene.layout.join(".lamina.lock")).unwrap();
    held.lock().unwrap();
    refused(scene.lab.try_export_layers(&["App"], &scene.layout), "layout-busy");
    drop(held);
    let left = scene.layout.join(".lamina-1-0.part");
    std::fs::write(&left, "unfinished").unwrap();
    scene.lab.export_layers(&["App"], &scene.layout);
    assert!(!Path::exists(&left), "what an interrupted export left goes");
}
