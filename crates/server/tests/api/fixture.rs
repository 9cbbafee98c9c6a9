//! What tasks and connectors leave in the database, put there directly.

use crate::rig::Rig;
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;
use server::domain::{ConfigurationId, ImageId, LayerId, TaskId, TemplateId, VersionId, icon};
use std::sync::atomic::{AtomicI64, Ordering};

/// A time after every one that was given before.
fn later() -> i64 {
    static TIME: AtomicI64 = AtomicI64::new(1_795_000_000_000);
    TIME.fetch_add(1000, Ordering::Relaxed)
}

async fn execute(rig: &Rig, statement: Statement<'_>) {
    assert_eq!(rig.app.db().execute(statement).await.unwrap(), 1);
}

struct NewLayer<'a> {
    kind: &'a str,
    name: &'a str,
    os: Option<&'a str>,
    icon: String,
    priority: i64,
    platform: Option<Value>,
}

async fn layer(rig: &Rig, new: NewLayer<'_>) -> String {
    let id = LayerId::new().to_string();
    let statement = Statement::new(
        "INSERT INTO layers (id, kind, name, name_key, description, os_layer_id, icon_id, priority, \
         platform, hypervisor, store_name, store_key, created_at, revision) \
         VALUES ($1, $2, $3, $4, '', $5, $6, $7, $8, $9, $3, $4, $10, 1)",
    )
    .bind(id.as_str())
    .bind(new.kind)
    .bind(new.name)
    .bind(server::domain::name::key(new.name))
    .bind(new.os)
    .bind(new.icon)
    .bind(new.priority)
    .bind(new.platform.map(|platform| platform.to_string()))
    .bind((new.kind == "os").then_some("kvm"))
    .bind(later());
    execute(rig, statement).await;
    id
}

/// An OS layer.
pub(crate) async fn os(rig: &Rig, name: &str) -> String {
    let icon = icon::OS.to_string();
    layer(rig, NewLayer { kind: "os", name, os: None, icon, priority: 0, platform: None }).await
}

/// A platform layer of a purpose.
pub(crate) async fn platform(rig: &Rig, name: &str, os: &str, purpose: &str) -> String {
    let types =
        json!({ "purpose": purpose, "hypervisor": "azure", "provisioning": "none", "broker": "none" });
    let icon = icon::PLATFORM.to_string();
    let new = NewLayer { kind: "platform", name, os: Some(os), icon, priority: 0, platform: Some(types) };
    layer(rig, new).await
}

/// An app layer.
pub(crate) async fn app(rig: &Rig, name: &str, os: &str, priority: i64) -> String {
    let icon = icon::APP.to_string();
    layer(rig, NewLayer { kind: "app", name, os: Some(os), icon, priority, platform: None }).await
}

/// A version in a state, with a provenance if it has one.
pub(crate) async fn version(
    rig: &Rig,
    layer: &str,
    sequence: i64,
    state: &str,
    provenance: Option<Value>,
) -> String {
    let id = VersionId::new().to_string();
    let statement = Statement::new(
        "INSERT INTO versions (id, layer_id, sequence, name, name_key, description, state, store_version, \
         max_bytes, provenance, created_at, revision) VALUES ($1, $2, $3, $4, $4, '', $5, $4, $6, $7, $8, 1)",
    )
    .bind(id.as_str())
    .bind(layer)
    .bind(sequence)
    .bind(sequence.to_string())
    .bind(state)
    .bind(10_i64 << 30)
    .bind(provenance.map(|provenance| provenance.to_string()))
    .bind(later());
    execute(rig, statement).await;
    id
}

/// A connector configuration.
pub(crate) async fn configuration(rig: &Rig, name: &str) -> String {
    let id = ConfigurationId::new().to_string();
    let statement = Statement::new(
        "INSERT INTO connector_configurations (id, connector, name, name_key, fields, secrets, \
         secret_names, created_at, revision) VALUES ($1, 'fileshare', $2, $3, '{}', $4, '[]', $5, 1)",
    )
    .bind(id.as_str())
    .bind(name)
    .bind(server::domain::name::key(name))
    .bind(Vec::new())
    .bind(later());
    execute(rig, statement).await;
    id
}

/// What the packaging disk of a version contains.
pub(crate) struct Packaging<'a> {
    pub(crate) version: &'a str,
    pub(crate) os: &'a str,
    pub(crate) base: Option<&'a str>,
    pub(crate) platform: Option<&'a str>,
    pub(crate) prerequisites: &'a [&'a str],
    pub(crate) configuration: &'a str,
}

/// Puts a version into packaging.
pub(crate) async fn packaging(rig: &Rig, new: Packaging<'_>) {
    let statement = Statement::new(
        "INSERT INTO packagings (version_id, os_version_id, base_version_id, platform_version_id, \
         configuration_id, disk_name, disk_format) VALUES ($1, $2, $3, $4, $5, $1, 'vhdx')",
    )
    .bind(new.version)
    .bind(new.os)
    .bind(new.base)
    .bind(new.platform)
    .bind(new.configuration);
    execute(rig, statement).await;
    for (position, prerequisite) in (0_i64..).zip(new.prerequisites) {
        let statement = Statement::new(
            "INSERT INTO packaging_prerequisites (version_id, position, prerequisite_id) VALUES ($1, $2, $3)",
        )
        .bind(new.version)
        .bind(position)
        .bind(*prerequisite);
        execute(rig, statement).await;
    }
}

/// A task that waits in the queue and that nobody takes.
pub(crate) async fn task(rig: &Rig, owner: &str) -> String {
    let id = TaskId::new().to_string();
    let statement = Statement::new(
        "INSERT INTO tasks (id, kind, title, state, object_kind, object_id, object_name, description, links, \
         owner_id, owner_name, address, saga, stop_asked, committed, generation, lease_until, created_at, \
         changed_at) SELECT $1, 'publish', 'Publishing Layered Image', 'queued', 'template', 'x', 'Desk', '', \
         '[]', id, name, '-', '{}', FALSE, FALSE, 0, $3, $4, $4 FROM users WHERE name = $2",
    )
    .bind(id.as_str())
    .bind(owner)
    .bind(i64::MAX)
    .bind(later());
    execute(rig, statement).await;
    id
}

/// A published image.
pub(crate) async fn image(rig: &Rig, name: &str, template: &str) -> String {
    image_of(rig, name, template, json!({ "disk": "sha256:0" })).await
}

/// A published image that was made of this.
pub(crate) async fn image_of(rig: &Rig, name: &str, template: &str, provenance: Value) -> String {
    let id = ImageId::new().to_string();
    let statement = Statement::new(
        "INSERT INTO images (id, name, name_key, template_id, template_name, template_revision, \
         configuration_id, connector, task_id, published_by, delivered, provenance, created_at, revision) \
         VALUES ($1, $2, $3, $4, 'Desk', 1, $5, 'fileshare', $6, 'admin', $7, $8, $9, 1)",
    )
    .bind(id.as_str())
    .bind(name)
    .bind(server::domain::name::key(name))
    .bind(template)
    .bind(ConfigurationId::new().to_string())
    .bind(TaskId::new().to_string())
    .bind(json!({ "location": "desks/Desk.vhd" }).to_string())
    .bind(provenance.to_string())
    .bind(later());
    execute(rig, statement).await;
    id
}

/// An OS layer with two versions, a publishing platform, two apps with a version each, and where to publish.
pub(crate) struct Shop {
    pub(crate) os: String,
    pub(crate) os_1: String,
    pub(crate) os_2: String,
    pub(crate) platform: String,
    pub(crate) platform_1: String,
    pub(crate) office: String,
    pub(crate) office_1: String,
    pub(crate) editor: String,
    pub(crate) editor_1: String,
    pub(crate) configuration: String,
}

impl Shop {
    /// Puts it there. `name` is part of every name.
    pub(crate) async fn open(rig: &Rig, name: &str) -> Shop {
        let os = os(rig, &format!("{name}Windows")).await;
        let os_1 = version(rig, &os, 1, "deployable", None).await;
        let os_2 = version(rig, &os, 2, "deployable", None).await;
        let platform = platform(rig, &format!("{name}Azure"), &os, "publishing").await;
        let made_on = json!({ "os_version": os_2 });
        let platform_1 = version(rig, &platform, 1, "deployable", Some(made_on)).await;
        let office = app(rig, &format!("{name}Office"), &os, 20).await;
        let office_1 = version(rig, &office, 1, "deployable", None).await;
        let editor = app(rig, &format!("{name}Editor"), &os, 10).await;
        let editor_1 = version(rig, &editor, 1, "deployable", None).await;
        let configuration = configuration(rig, &format!("{name}Share")).await;
        Shop { os, os_1, os_2, platform, platform_1, office, office_1, editor, editor_1, configuration }
    }

    /// What makes an app layer.
    pub(crate) fn layer(&self, name: &str) -> Value {
        json!({ "name": name, "os_layer_id": self.os, "version": "1", "packaging": self.packaging(name) })
    }

    /// A packaging disk.
    pub(crate) fn packaging(&self, name: &str) -> Value {
        json!({ "configuration_id": self.configuration, "disk": format!("{name}.vhd"), "format": "vhd" })
    }

    /// What makes a template of everything there, with OS version 2.
    pub(crate) fn template(&self, name: &str) -> Value {
        json!({
            "name": name,
            "os": { "version_id": self.os_2 },
            "platform": { "version_id": self.platform_1 },
            "apps": [{ "version_id": self.office_1 }, { "version_id": self.editor_1 }],
            "configuration_id": self.configuration,
            "disk": { "format": "vhd" },
        })
    }

    /// A template of everything there; gives its identifier.
    pub(crate) async fn make(&self, rig: &Rig, name: &str) -> String {
        let made = rig.ask(Method::POST, "/templates", self.template(name)).await.created();
        made.body["id"].as_str().unwrap().to_owned()
    }
}

/// An identifier of a template that there is not.
pub(crate) fn no_template() -> String {
    TemplateId::new().to_string()
}
