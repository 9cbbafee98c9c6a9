//! Every saga: what has to be there for it, how it is started, and what is there when it is done.

use crate::bench::disk::Disk;
use crate::snapshot::Snapshot;
use crate::world::{World, id};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};

/// A saga on ground of its own.
#[async_trait]
pub(crate) trait Case: Send + Sync {
    /// What is tried.
    fn name(&self) -> &'static str;

    /// Its steps, as `SAGA.STEP`.
    fn steps(&self) -> &'static [&'static str];

    /// How many of them can be undone; the last of these is the point of no return.
    fn undoable(&self) -> usize;

    /// Makes the ground, once.
    async fn ground(&self, world: &World) -> Value;

    /// Makes what one run needs and uses up.
    async fn prepare(&self, world: &World, ground: &Value, number: u32) -> Value;

    /// Asks for the task; gives its identifier.
    async fn start(&self, world: &World, subject: &Value) -> String;

    /// In which state its task ends.
    fn ends(&self) -> &'static str {
        "done"
    }

    /// Whether anything is there afterwards that was not before.
    fn adds(&self) -> bool {
        true
    }

    /// Whether a run that fails leaves this on purpose, of what a snapshot names.
    fn leaves(&self, _name: &str) -> bool {
        false
    }

    /// Sees that it is done.
    async fn check(&self, world: &World, subject: &Value);
}

impl dyn Case + '_ {
    /// Everything that is there, but for what a run that fails leaves on purpose.
    pub(crate) async fn snapshot(&self, world: &World) -> Snapshot {
        world.snapshot().await.into_iter().filter(|(name, _)| !self.leaves(name)).collect()
    }
}

/// All of them.
pub(crate) const CASES: [&dyn Case; 13] = [
    &ImportOs,
    &Create(What::App),
    &Create(What::AppOnOthers),
    &Create(What::Platform),
    &Create(What::OsVersion),
    &Finalize(What::App),
    &Finalize(What::OsVersion),
    &Delete(What::App),
    &Delete(What::AppOnOthers),
    &Publish,
    &CollectGarbage,
    &ExportLayers,
    &ImportLayers,
];

/// A layer version of some sort.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// The first of an app.
    App,
    /// The second of an app, with a prerequisite and a packaging platform. Of one to be deleted: in packaging.
    AppOnOthers,
    /// The first of a platform layer.
    Platform,
    /// The second of the operating system.
    OsVersion,
}

struct ImportOs;

#[async_trait]
impl Case for ImportOs {
    fn name(&self) -> &'static str {
        "import_os"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["import-os.reserve", "import-os.fetch", "import-os.import", "import-os.record", "import-os.release"]
    }

    fn undoable(&self) -> usize {
        4
    }

    async fn ground(&self, world: &World) -> Value {
        world.put_os_disk("windows.raw");
        Value::Null
    }

    async fn prepare(&self, _world: &World, _ground: &Value, number: u32) -> Value {
        json!({ "name": format!("Windows {number}") })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        id(&world.import(&id(subject, "name"), "windows.raw").await, "task_id")
    }

    async fn check(&self, world: &World, subject: &Value) {
        let reference = format!("/resolve?reference=os:{}@1", id(subject, "name")).replace(' ', "%20");
        let found = world.get(&reference).await;
        assert_eq!(found["state"], "deployable", "{found:#}");
        assert!(world.place.join("windows.raw").exists(), "what was imported stays where it is");
    }
}

const CREATE: &[&str] = &[
    "create-version.reserve",
    "create-version.write",
    "create-version.deliver",
    "create-version.record",
    "create-version.conclude",
];

struct Create(What);

impl What {
    /// What has to be there.
    async fn ground(self, world: &World) -> Value {
        let os = world.os().await;
        let What::AppOnOthers = self else { return json!({ "os": os }) };
        let base = world.app("Base", &os, world.packaging("base.raw")).await;
        world.captured(&base, "base.raw", "base").await;
        let tools = world.platform("Tools", &os, "packaging", world.packaging("tools.raw")).await;
        world.captured(&tools, "tools.raw", "tools").await;
        let office = world.app("Office", &os, world.packaging("office.raw")).await;
        world.captured(&office, "office.raw", "office").await;
        json!({ "os": os, "base": base, "tools": tools, "office": office })
    }

    /// Asks for it, with the packaging disk `NAME.raw`.
    async fn make(self, world: &World, ground: &Value, name: &str) -> Value {
        let (os, mut packaging) = (&ground["os"], world.packaging(&format!("{name}.raw")));
        match self {
            What::App => world.app(name, os, packaging).await,
            What::Platform => world.platform(name, os, "publishing", packaging).await,
            What::OsVersion => world.version(os, name, packaging).await,
            What::AppOnOthers => {
                packaging["prerequisites"] = json!([{ "version_id": ground["base"]["version_id"] }]);
                packaging["platform"] = json!({ "version_id": ground["tools"]["version_id"] });
                world.version(&ground["office"], name, packaging).await
            }
        }
    }

    /// Makes room for another one: there is one version of a layer in packaging at a time.
    async fn make_way(self, world: &World, ground: &Value) {
        let layer = match self {
            What::OsVersion => &ground["os"],
            What::AppOnOthers => &ground["office"],
            What::App | What::Platform => return,
        };
        let versions = world.get(&format!("/layers/{}/versions", id(layer, "layer_id"))).await;
        for version in versions["items"].as_array().unwrap() {
            if version["state"] == "packaging" {
                let path = format!("/versions/{}", id(version, "id"));
                let task = world.ask(Method::DELETE, &path, Value::Null).await;
                world.ends(&id(&task, "task_id"), "done").await;
            }
        }
    }
}

#[async_trait]
impl Case for Create {
    fn name(&self) -> &'static str {
        match self.0 {
            What::App => "create_app",
            What::AppOnOthers => "create_version_on_others",
            What::Platform => "create_platform",
            What::OsVersion => "create_os_version",
        }
    }

    fn steps(&self) -> &'static [&'static str] {
        CREATE
    }

    fn undoable(&self) -> usize {
        4
    }

    async fn ground(&self, world: &World) -> Value {
        self.0.ground(world).await
    }

    async fn prepare(&self, world: &World, ground: &Value, number: u32) -> Value {
        self.0.make_way(world, ground).await;
        json!({ "ground": ground, "name": format!("made{number}") })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        id(&self.0.make(world, &subject["ground"], &id(subject, "name")).await, "task_id")
    }

    fn ends(&self) -> &'static str {
        "action-required"
    }

    async fn check(&self, world: &World, subject: &Value) {
        let disk = Disk { path: world.place.join(format!("{}.raw", id(subject, "name"))) };
        disk.edit(|volume| assert!(volume.is_file(&crate::bench::edit::path("\\os.txt"))));
        // Those that were made before in the same test wait as well.
        let name = id(subject, "name");
        let waiting = world.get("/tasks?state=action-required").await;
        let tasks = waiting["items"].as_array().unwrap().iter();
        let own: Vec<_> = tasks.filter(|task| id(&task["object"], "name").contains(&name)).collect();
        assert_eq!(own.len(), 1, "{waiting:#}");
        assert_eq!(own[0]["next_action"], "finalize", "{waiting:#}");
        assert!(own[0]["location"].is_string(), "{waiting:#}");
        let states =
            world.rows("SELECT DISTINCT state AS it FROM versions WHERE state <> 'deployable'").await;
        assert_eq!(states, ["packaging"]);
    }
}

struct Finalize(What);

#[async_trait]
impl Case for Finalize {
    fn name(&self) -> &'static str {
        match self.0 {
            What::OsVersion => "finalize_os_version",
            _ => "finalize_app",
        }
    }

    fn steps(&self) -> &'static [&'static str] {
        &[
            "finalize-version.machine-off",
            "finalize-version.fetch",
            "finalize-version.capture",
            "finalize-version.record",
            "finalize-version.release",
            "finalize-version.delete-disk",
        ]
    }

    fn undoable(&self) -> usize {
        3
    }

    async fn ground(&self, world: &World) -> Value {
        self.0.ground(world).await
    }

    async fn prepare(&self, world: &World, ground: &Value, number: u32) -> Value {
        let name = format!("made{number}");
        let made = self.0.make(world, ground, &name).await;
        world.installed(&made, &format!("{name}.raw"), &name).await;
        json!({ "made": made, "name": name })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        world.finalize(&subject["made"]).await
    }

    async fn check(&self, world: &World, subject: &Value) {
        let (made, name) = (&subject["made"], id(subject, "name"));
        assert_eq!(world.state(made).await, "deployable");
        assert!(!world.place.join(format!("{name}.raw")).exists(), "the packaging disk is gone");
        let version = id(made, "version_id");
        let remembered = world.get(&format!("/versions/{version}")).await;
        let disk = &remembered["provenance"]["packaging"]["disk"];
        assert_eq!(*disk, format!("{name}.raw"), "what it was made on: {remembered:#}");
        let report = world.get(&format!("/versions/{version}/report")).await.to_string();
        assert!(report.contains("\"id\""), "the store knows it: {report}");
        assert_eq!(world.rows("SELECT disk_name AS it FROM packagings").await, [""; 0]);
        assert_eq!(world.get("/tasks?state=action-required").await["items"], json!([]));
    }
}

struct Delete(What);

#[async_trait]
impl Case for Delete {
    fn name(&self) -> &'static str {
        match self.0 {
            What::AppOnOthers => "delete_version_in_packaging",
            _ => "delete_version",
        }
    }

    fn steps(&self) -> &'static [&'static str] {
        &[
            "delete-version.begin",
            "delete-version.remove",
            "delete-version.delete-disk",
            "delete-version.forget",
        ]
    }

    fn undoable(&self) -> usize {
        1
    }

    async fn ground(&self, world: &World) -> Value {
        self.0.ground(world).await
    }

    async fn prepare(&self, world: &World, ground: &Value, number: u32) -> Value {
        let name = format!("made{number}");
        let disk = format!("{name}.raw");
        let made = self.0.make(world, ground, &name).await;
        match self.0 {
            What::AppOnOthers => world.installed(&made, &disk, &name).await,
            _ => world.captured(&made, &disk, &name).await,
        }
        json!({ "made": made, "disk": disk })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        let path = format!("/versions/{}", id(&subject["made"], "version_id"));
        id(&world.ask(Method::DELETE, &path, Value::Null).await, "task_id")
    }

    fn adds(&self) -> bool {
        false
    }

    async fn check(&self, world: &World, subject: &Value) {
        assert_eq!(world.state(&subject["made"]).await, "gone");
        assert!(!world.place.join(id(subject, "disk")).exists(), "its packaging disk is gone");
        assert_eq!(world.get("/tasks?state=action-required").await["items"], json!([]));
        let stored = crate::snapshot::references(&world.config.directory.join("store"));
        assert!(stored.keys().all(|reference| !reference.contains("made")), "{stored:?}");
    }
}

/// A template of an OS, an app and a platform.
pub(crate) async fn publishable(world: &World) -> Value {
    let os = world.os().await;
    let tools = world.platform("Tools", &os, "publishing", world.packaging("tools.raw")).await;
    world.captured(&tools, "tools.raw", "tools").await;
    let app = world.app("Office", &os, world.packaging("office.raw")).await;
    world.captured(&app, "office.raw", "office").await;
    let template = json!({
        "name": "Desk",
        "os": { "version_id": os["version_id"] },
        "platform": { "version_id": tools["version_id"] },
        "apps": [{ "version_id": app["version_id"] }],
        "configuration_id": world.configuration,
        "disk": { "format": "raw", "bytes": 18 << 20 },
    });
    world.ask(Method::POST, "/templates", template).await
}

struct Publish;

#[async_trait]
impl Case for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn steps(&self) -> &'static [&'static str] {
        &[
            "publish.name",
            "publish.compose",
            "publish.export",
            "publish.deliver",
            "publish.record",
            "publish.conclude",
            "publish.remove",
        ]
    }

    fn undoable(&self) -> usize {
        5
    }

    async fn ground(&self, world: &World) -> Value {
        publishable(world).await
    }

    async fn prepare(&self, _world: &World, ground: &Value, number: u32) -> Value {
        json!({ "template_id": ground["id"], "disk": format!("image{number}.img") })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        let begun = world.ask(Method::POST, "/publish", json!({ "templates": [subject] })).await;
        id(&begun["tasks"][0], "task_id")
    }

    async fn check(&self, world: &World, subject: &Value) {
        let name = id(subject, "disk");
        let disk = Disk { path: world.place.join(&name) };
        disk.edit(|volume| {
            for file in ["\\os.txt", "\\tools.txt", "\\office.txt"] {
                assert!(volume.is_file(&crate::bench::edit::path(file)), "{file}");
            }
        });
        let images = world.rows("SELECT delivered AS it FROM images").await;
        assert_eq!(images.iter().filter(|delivered| delivered.contains(&name)).count(), 1, "{images:?}");
        let stored = crate::snapshot::references(&world.config.directory.join("store"));
        assert!(stored.keys().all(|reference| !reference.contains("image:")), "{stored:?}");
    }
}

struct CollectGarbage;

#[async_trait]
impl Case for CollectGarbage {
    fn name(&self) -> &'static str {
        "collect_garbage"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["collect-garbage.collect"]
    }

    fn undoable(&self) -> usize {
        1
    }

    async fn ground(&self, world: &World) -> Value {
        world.os().await
    }

    async fn prepare(&self, _world: &World, _ground: &Value, _number: u32) -> Value {
        Value::Null
    }

    async fn start(&self, world: &World, _subject: &Value) -> String {
        id(&world.ask(Method::POST, "/store/collect-garbage", Value::Null).await, "task_id")
    }

    fn adds(&self) -> bool {
        false
    }

    async fn check(&self, world: &World, _subject: &Value) {
        let store = world.config.directory.join("store");
        let worker::Outcome::Check(report) =
            worker::run(&store, worker::Job::Check { read_data: true }, &operation::Silent).unwrap()
        else {
            panic!()
        };
        assert!(report.problems.is_empty(), "{report:?}");
        assert_eq!(crate::snapshot::references(&store).len(), 1);
    }
}

/// Asks for layers to be exported, with their OS layers.
async fn exported(world: &World, versions: Value, folder: &str) -> Value {
    let wanted = json!({ "versions": versions, "folder": folder, "with_os": true,
        "configuration_id": world.configuration });
    world.ask(Method::POST, "/layer-exports", wanted).await
}

/// An OS layer and an app layer.
async fn two_layers(world: &World) -> Value {
    let os = world.os().await;
    let app = world.app("Office", &os, world.packaging("office.raw")).await;
    world.captured(&app, "office.raw", "office").await;
    app
}

/// What a folder on the platform holds: references, and whether each is complete.
async fn held(world: &World, folder: &str) -> Vec<(String, bool)> {
    let path = format!("/exported-layers?folder={folder}&configuration_id={}", world.configuration);
    let found = world.get(&path).await;
    assert_eq!(found["unreadable"], json!([]), "{found:#}");
    let versions = found["versions"].as_array().unwrap().iter();
    versions.map(|version| (id(version, "reference"), version["complete"] == true)).collect()
}

struct ExportLayers;

#[async_trait]
impl Case for ExportLayers {
    fn name(&self) -> &'static str {
        "export_layers"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["export-layers.look", "export-layers.write", "export-layers.tell", "export-layers.release"]
    }

    fn undoable(&self) -> usize {
        3
    }

    async fn ground(&self, world: &World) -> Value {
        two_layers(world).await
    }

    async fn prepare(&self, _world: &World, ground: &Value, number: u32) -> Value {
        json!({ "app": ground["version_id"], "folder": format!("shelf{number}") })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        let begun = exported(world, json!([subject["app"]]), &id(subject, "folder")).await;
        id(&begun, "task_id")
    }

    /// What was written is there for the next try.
    fn leaves(&self, name: &str) -> bool {
        name.starts_with("platform: shelf")
    }

    async fn check(&self, world: &World, subject: &Value) {
        let expected = [("os:Windows@1".to_owned(), true), ("app:Office@1".to_owned(), true)];
        assert_eq!(held(world, &id(subject, "folder")).await, expected);
    }
}

struct ImportLayers;

#[async_trait]
impl Case for ImportLayers {
    fn name(&self) -> &'static str {
        "import_layers"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["import-layers.reserve", "import-layers.import", "import-layers.record", "import-layers.release"]
    }

    fn undoable(&self) -> usize {
        3
    }

    async fn ground(&self, world: &World) -> Value {
        let app = two_layers(world).await;
        let begun = exported(world, json!([app["version_id"]]), "shelf").await;
        world.ends(&id(&begun, "task_id"), "done").await;
        Value::Null
    }

    async fn prepare(&self, _world: &World, _ground: &Value, number: u32) -> Value {
        json!({ "os": format!("Windows {number}"), "app": format!("Office {number}") })
    }

    async fn start(&self, world: &World, subject: &Value) -> String {
        let rename = json!([
            { "kind": "os", "from": "Windows", "to": subject["os"] },
            { "kind": "app", "from": "Office", "to": subject["app"] },
        ]);
        let wanted = json!({ "folder": "shelf", "rename": rename, "configuration_id": world.configuration });
        id(&world.ask(Method::POST, "/layer-imports", wanted).await, "task_id")
    }

    async fn check(&self, world: &World, subject: &Value) {
        for (kind, file) in [("os", "\\os.txt"), ("app", "\\office.txt")] {
            let reference = format!("{kind}:{}@1", id(subject, kind));
            let path = format!("/resolve?reference={reference}").replace(' ', "%20");
            let found = world.get(&path).await;
            assert_eq!(found["state"], "deployable", "{found:#}");
            assert!(world.files(&reference).iter().any(|name| name == file), "{reference} has {file}");
        }
        assert_eq!(held(world, "shelf").await.len(), 2, "what was imported stays where it is");
    }
}
