//! Layers that go to a folder on a share and come back. With a real store.

use crate::rig::{Rig, on_both_databases};
use crate::workshop::{Workshop, can_make_disks};
use connectors::simulated::{Operation, PASSWORD, When};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

on_both_databases! {
    layers_go_out_and_come_back_under_other_names;
    a_folder_that_the_engine_cannot_work_in_is_copied;
    what_is_here_already_is_kept_and_another_version_of_its_name_is_refused;
    a_folder_that_is_broken_or_hostile_is_refused_with_the_reason;
    an_export_that_failed_is_gone_on_with_and_one_that_was_stopped_leaves_nothing;
    what_cannot_be_exported_or_imported_is_refused_by_field;
}

/// An OS layer, an app layer and a platform layer.
async fn three_layers(shop: &Workshop) -> [Value; 3] {
    let os = shop.os("Windows").await;
    let app = shop.layer("/app-layers", "Office", &os, "an application", json!({})).await;
    let types = json!({ "platform": { "purpose": "publishing", "hypervisor": "kvm" } });
    let platform = shop.layer("/platform-layers", "KVM", &os, "tools", types).await;
    [os, app, platform]
}

fn references(listed: &Value) -> Vec<&str> {
    listed["versions"].as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap()).collect()
}

/// Everything under other names.
fn other_names() -> Value {
    json!([
        { "kind": "os", "from": "Windows", "to": "Windows B" },
        { "kind": "app", "from": "Office", "to": "Office B" },
        { "kind": "platform", "from": "KVM", "to": "KVM B" },
    ])
}

/// Looks whether everything is here under its other name.
async fn assert_arrived(shop: &Workshop) {
    let os = shop.resolve("os:Windows B@1").await.ok().body;
    assert_eq!(os["state"], "deployable");
    for (kind, name) in [("app", "Office B"), ("platform", "KVM B")] {
        let found = shop.resolve(&format!("{kind}:{name}@1")).await.ok().body;
        assert_eq!(found["state"], "deployable", "{found:#}");
        let layer = shop.rig.get(&format!("/layers/{}", found["layer_id"].as_str().unwrap())).await.ok().body;
        assert_eq!(layer["layer"]["os_layer"]["id"], os["layer_id"], "{layer:#}");
        let path = format!("/versions/{}", found["version_id"].as_str().unwrap());
        let version = shop.rig.get(&path).await.ok().body;
        assert_eq!(version["provenance"]["os_version"], os["version_id"], "{version:#}");
        assert!(version["added_bytes"].as_i64().unwrap() > 0, "{version:#}");
        // The engine has it under that name as well.
        let report = shop.rig.get(&format!("{path}/report")).await.ok().body;
        assert!(report.to_string().contains(name), "{report:#}");
    }
    let platform = shop.resolve("platform:KVM B@1").await.ok().body;
    let path = format!("/layers/{}", platform["layer_id"].as_str().unwrap());
    assert_eq!(shop.rig.get(&path).await.ok().body["layer"]["platform"]["hypervisor"], "kvm");
}

async fn layers_go_out_and_come_back_under_other_names(rig: Rig) {
    if !can_make_disks("layers_go_out_and_come_back_under_other_names") {
        return;
    }
    let shop = Workshop::open(rig).await;
    let [_, app, _] = three_layers(&shop).await;
    let wanted = json!({ "versions": [app["version_id"], "KVM@1"], "folder": "layers", "with_os": true });
    let headers = [("idempotency-key", "once")];
    let started = shop.rig.ask_with(Method::POST, "/layer-exports", wanted.clone(), &headers).await.created();
    let again = shop.rig.ask_with(Method::POST, "/layer-exports", wanted.clone(), &headers).await.created();
    assert_eq!(started.body, again.body, "it is exported once");
    let task = shop.ended(&started.body).await;
    assert_eq!(task["state"], "done", "{task:#}");
    assert_eq!(task["location"].as_str().unwrap(), shop.share.join("layers").to_str().unwrap());
    assert!(task["description"].as_str().unwrap().starts_with("3 layer versions are in"), "{task:#}");

    let listed = shop.rig.get("/exported-layers?folder=layers").await.ok().body;
    assert_eq!(references(&listed), ["os:Windows@1", "platform:KVM@1", "app:Office@1"]);
    assert!(listed["versions"].as_array().unwrap().iter().all(|one| one["complete"] == true));
    assert_eq!(listed["versions"][2]["made_on"], "os:Windows@1");

    let wanted = json!({ "folder": "layers", "rename": other_names() });
    let importing = shop.done("/layer-imports", wanted).await;
    let versions = importing["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 3);
    assert!(versions.iter().all(|one| one["kept"] == false), "{importing:#}");
    assert_arrived(&shop).await;

    // What was imported under another name is still known as what it is.
    let again = json!({ "folder": "layers", "versions": ["app:office@1"], "rename": other_names() });
    let importing = shop.done("/layer-imports", again).await;
    assert_eq!(importing["versions"][0]["kept"], true);
    assert_eq!(importing["versions"].as_array().unwrap().len(), 1, "its OS layer is here");
}

async fn a_folder_that_the_engine_cannot_work_in_is_copied(rig: Rig) {
    if !can_make_disks("a_folder_that_the_engine_cannot_work_in_is_copied") {
        return;
    }
    rig.simulation.set_in_place(false);
    let shop = Workshop::open(rig).await;
    let [os, app, platform] = three_layers(&shop).await;
    let far = far(&shop).await;
    let export = |version: &Value| {
        json!({ "versions": [version["version_id"]], "folder": "layers",
        "configuration_id": far })
    };
    shop.done("/layer-exports", export(&os)).await;
    // The second finds the first there and adds to it.
    shop.done("/layer-exports", export(&app)).await;
    shop.done("/layer-exports", export(&platform)).await;
    let path = format!("/exported-layers?folder=layers&configuration_id={far}");
    let listed = shop.rig.get(&path).await.ok().body;
    assert_eq!(references(&listed), ["os:Windows@1", "platform:KVM@1", "app:Office@1"]);
    assert!(listed["versions"].as_array().unwrap().iter().all(|one| one["complete"] == true), "{listed:#}");
    let wanted = json!({ "folder": "layers", "configuration_id": far, "rename": other_names() });
    shop.done("/layer-imports", wanted).await;
    assert_arrived(&shop).await;
    let scratch = shop.rig.directory.path().join("lamina/scratch");
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "no copy is left");
}

/// The configuration of a place that is no folder of this machine.
async fn far(shop: &Workshop) -> String {
    let new = json!({ "connector": "simulated", "name": "Far", "secrets": { "password": PASSWORD } });
    let made = shop.rig.ask(Method::POST, "/connector-configurations", new).await.created();
    made.body["id"].as_str().unwrap().to_owned()
}

async fn what_is_here_already_is_kept_and_another_version_of_its_name_is_refused(rig: Rig) {
    if !can_make_disks("what_is_here_already_is_kept_and_another_version_of_its_name_is_refused") {
        return;
    }
    let shop = Workshop::open(rig).await;
    let os = shop.os("Windows").await;
    let app = shop.layer("/app-layers", "Office", &os, "one", json!({})).await;
    let wanted = json!({ "versions": ["Office"], "folder": "layers", "with_os": true });
    shop.done("/layer-exports", wanted).await;
    let importing = shop.done("/layer-imports", json!({ "folder": "layers" })).await;
    for version in importing["versions"].as_array().unwrap() {
        assert_eq!(version["kept"], true, "{importing:#}");
    }
    assert_eq!(importing["versions"][1]["version_id"], app["version_id"]);

    shop.delete(&app).await;
    let other = shop.layer("/app-layers", "Office", &os, "another", json!({})).await;
    let importing =
        shop.rig.ask(Method::POST, "/layer-imports", json!({ "folder": "layers" })).await.created();
    let task = shop.ended(&importing.body).await;
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("layout-differs")));
    let found = shop.resolve("app:Office@1").await.ok().body;
    assert_eq!((&found["version_id"], &found["state"]), (&other["version_id"], &json!("deployable")));

    // Under another name it comes, and belongs to the OS layer that is here.
    let rename = json!([{ "kind": "app", "from": "Office", "to": "Old Office" }]);
    let wanted = json!({ "folder": "layers", "versions": ["app:Office@1"], "rename": rename });
    shop.done("/layer-imports", wanted).await;
    let found = shop.resolve("app:Old Office@1").await.ok().body;
    let layer = shop.rig.get(&format!("/layers/{}", found["layer_id"].as_str().unwrap())).await.ok().body;
    assert_eq!(layer["layer"]["os_layer"]["id"], os["layer_id"], "{layer:#}");
}

/// Makes a layout with one OS version of this name, whose contents are missing.
pub(crate) fn hollow_layout(folder: &Path, os: &str) {
    use sha2::{Digest, Sha256};
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, content: Value| {
        let text = content.to_string();
        let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), &text).unwrap();
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": text.len() })
    };
    let record = json!({ "kind": "os", "layer": os, "version": "1", "sequence": 1, "created": 1, "engine": "a test",
        "size": 1, "files": 0, "directories": 0, "deletions": 0, "body": "0".repeat(64), "os_volume": 1 });
    let config = put("application/vnd.lamina.version.v1+json", record);
    let body = json!({ "mediaType": "application/vnd.lamina.disk.v1",
        "digest": format!("sha256:{}", "1".repeat(64)), "size": 5 });
    let (kind, artifact) =
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.lamina.layer-version.v1");
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "artifactType": artifact, "config": config,
        "layers": [body] });
    let mut entry = put(kind, manifest);
    entry["artifactType"] = json!(artifact);
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// The longest file of contents in a layout.
fn longest(layout: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

async fn a_folder_that_is_broken_or_hostile_is_refused_with_the_reason(rig: Rig) {
    if !can_make_disks("a_folder_that_is_broken_or_hostile_is_refused_with_the_reason") {
        return;
    }
    let mut shop = Workshop::open(rig).await;
    shop.os("Windows").await;
    let wanted = json!({ "versions": ["os:Windows@1"], "folder": "layers" });
    shop.done("/layer-exports", wanted.clone()).await;
    let layout = shop.share.join("layers");
    let rename = json!([{ "kind": "os", "from": "Windows", "to": "Copy" }]);
    let import = json!({ "folder": "layers", "rename": rename });

    // A pack with other bytes: found while it is read, and nothing of the version stays.
    let pack = longest(&layout);
    let good = fs::read(&pack).unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&pack, &bad).unwrap();
    // In a store that has none of its contents: of one that has them nothing is read.
    let store = shop.rig.config.directory.join("store");
    let away = store.with_extension("away");
    shop.rig.stop().await;
    fs::rename(&store, &away).unwrap();
    worker::run(&store, worker::Job::Init, &operation::Silent).unwrap();
    // A server works with its own store alone.
    fs::copy(away.join("lamina-server"), store.join("lamina-server")).unwrap();
    shop.rig.start_again().await;
    shop.rig.log_in().await;
    let importing = shop.rig.ask(Method::POST, "/layer-imports", import.clone()).await.created();
    let task = shop.ended(&importing.body).await;
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("layout-damaged")));
    shop.resolve("os:Copy").await.refused(404, "not-found");
    let versions = shop.rig.get("/layers?kind=os").await.ok().body;
    assert_eq!(versions["items"].as_array().unwrap().len(), 1, "its layer went with it: {versions:#}");

    shop.rig.stop().await;
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    shop.rig.start_again().await;
    shop.rig.log_in().await;

    // A pack that is missing: said at once.
    fs::remove_file(&pack).unwrap();
    let refused = shop.rig.ask(Method::POST, "/layer-imports", import.clone()).await;
    refused.refused(422, "invalid").field("versions", "layout-incomplete");
    let listed = shop.rig.get("/exported-layers?folder=layers").await.ok().body;
    assert_eq!(listed["versions"][0]["complete"], false);

    // Exporting again mends it.
    shop.done("/layer-exports", wanted).await;
    assert!(fs::read(&pack).unwrap() == good);

    // An index of nonsense, one that is too long, and no layout at all.
    let index = layout.join("index.json");
    for (text, code) in [
        (b"{\"schemaVersion\":2,\"manifests\":5}".to_vec(), "layout-damaged"),
        (vec![b'['; 5 << 20], "layout-too-long"),
    ] {
        fs::write(&index, text).unwrap();
        shop.rig.get("/exported-layers?folder=layers").await.refused(409, code);
        shop.rig.ask(Method::POST, "/layer-imports", import.clone()).await.refused(409, code);
    }
    fs::create_dir(shop.share.join("empty")).unwrap();
    shop.rig.get("/exported-layers?folder=empty").await.refused(409, "layout-not-a-layout");
    shop.rig.get("/exported-layers?folder=nothing").await.refused(404, "folder-missing");
    // A folder that leads out of the share.
    std::os::unix::fs::symlink(&layout, shop.share.join("link")).unwrap();
    shop.rig.get("/exported-layers?folder=link").await.refused(409, "disk-not-plain");
    shop.rig
        .get("/exported-layers?folder=../layers")
        .await
        .refused(422, "invalid")
        .field("folder", "disk-name");
}

async fn an_export_that_failed_is_gone_on_with_and_one_that_was_stopped_leaves_nothing(rig: Rig) {
    if !can_make_disks("an_export_that_failed_is_gone_on_with") {
        return;
    }
    rig.simulation.set_in_place(false);
    let shop = Workshop::open(rig).await;
    shop.os("Windows").await;
    let far = far(&shop).await;
    let platform = shop.rig.directory.path().join("platform");
    let wanted = json!({ "versions": ["Windows"], "folder": "layers", "configuration_id": far });

    shop.rig.simulation.fail(Operation::DeliverFiles, 1, When::After);
    let started = shop.rig.ask(Method::POST, "/layer-exports", wanted.clone()).await.created();
    let task = shop.ended(&started.body).await;
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("simulated-fault")));
    assert!(platform.join("layers/oci-layout").exists(), "what was written stays");
    let pack = longest(&platform.join("layers"));
    let before = pack.metadata().unwrap().modified().unwrap();
    let started = shop.rig.ask(Method::POST, "/layer-exports", wanted.clone()).await.created();
    let task = shop.ended(&started.body).await;
    assert_eq!(task["state"], "done", "{task:#}");
    assert!(task["description"].as_str().unwrap().contains("1 of them from before"), "{task:#}");
    assert_eq!(pack.metadata().unwrap().modified().unwrap(), before, "and is not written again");

    // Another folder; while it is being written a second export to it is refused, and then it is stopped.
    let gate = shop.rig.simulation.gate(Operation::DeliverFiles);
    let mut wanted = wanted;
    wanted["folder"] = json!("Stopped");
    let started = shop.rig.ask(Method::POST, "/layer-exports", wanted.clone()).await.created();
    gate.reached().await;
    wanted["folder"] = json!("stopped");
    shop.rig.ask(Method::POST, "/layer-exports", wanted.clone()).await.refused(409, "folder-busy");
    // As if a part had been copied.
    let folder = platform.join("Stopped");
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("blobs/sha256").join("a".repeat(64)), b"part").unwrap();
    let path = format!("/tasks/{}/stop", started.body["task_id"].as_str().unwrap());
    shop.rig.ask(Method::POST, &path, Value::Null).await.ok();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await; // until the runner has heard of it
    gate.open();
    let task = shop.ended(&started.body).await;
    assert_eq!(task["state"], "stopped", "{task:#}");
    assert!(!folder.exists(), "nothing is left");
    assert!(platform.join("layers/index.json").exists(), "what was there before stays");
}

async fn what_cannot_be_exported_or_imported_is_refused_by_field(rig: Rig) {
    let shop = Workshop::open(rig).await;
    let export = |versions: Value| json!({ "versions": versions, "folder": "layers" });
    let ask = async |path: &str, body: Value| shop.rig.ask(Method::POST, path, body).await;
    ask("/layer-exports", export(json!([]))).await.refused(422, "invalid").field("versions", "out-of-range");
    let many: Vec<String> = (0..201).map(|number| format!("app:A@{number}")).collect();
    ask("/layer-exports", export(json!(many)))
        .await
        .refused(422, "invalid")
        .field("versions", "out-of-range");
    let unknown = ask("/layer-exports", export(json!(["app:Nothing@1", "a@b@c"]))).await;
    unknown.refused(422, "invalid").field("versions[0]", "not-found");
    let hostile = json!({ "versions": ["A"], "folder": "../outside" });
    ask("/layer-exports", hostile).await.refused(422, "invalid").field("folder", "disk-name");
    let twice = json!({ "folder": "layers", "rename": [
        { "kind": "app", "from": "A", "to": "B" }, { "kind": "app", "from": "a", "to": "C" },
        { "kind": "os", "from": "W", "to": "a/b" } ] });
    ask("/layer-imports", twice)
        .await
        .refused(422, "invalid")
        .field("rename[1]", "layer-twice")
        .field("rename[2].to", "name-character");
}
