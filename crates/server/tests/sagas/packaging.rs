//! What people do with layers: made quickly, as the ground for what a test is about.

use crate::world::{World, id};
use reqwest::Method;
use serde_json::{Value, json};

impl World {
    /// A packaging disk.
    pub(crate) fn packaging(&self, disk: &str) -> Value {
        json!({ "configuration_id": self.configuration, "disk": disk, "format": "raw" })
    }

    /// Asks for an OS layer.
    pub(crate) async fn import(&self, name: &str, disk: &str) -> Value {
        let new =
            json!({ "name": name, "version": "1", "disk": disk, "configuration_id": self.configuration });
        self.ask(Method::POST, "/os-layers", new).await
    }

    /// An OS layer `Windows` with the version 1.
    pub(crate) async fn os(&self) -> Value {
        self.put_os_disk("windows.raw");
        let made = self.import("Windows", "windows.raw").await;
        self.ends(&id(&made, "task_id"), "done").await;
        made
    }

    /// Asks for an app layer.
    pub(crate) async fn app(&self, name: &str, os: &Value, packaging: Value) -> Value {
        let new =
            json!({ "name": name, "os_layer_id": os["layer_id"], "version": "1", "packaging": packaging });
        self.ask(Method::POST, "/app-layers", new).await
    }

    /// Asks for a platform layer.
    pub(crate) async fn platform(&self, name: &str, os: &Value, purpose: &str, packaging: Value) -> Value {
        let platform = json!({ "purpose": purpose, "hypervisor": "kvm" });
        let new = json!({ "name": name, "os_layer_id": os["layer_id"], "version": "1", "platform": platform,
            "packaging": packaging });
        self.ask(Method::POST, "/platform-layers", new).await
    }

    /// Asks for a new version.
    pub(crate) async fn version(&self, layer: &Value, version: &str, packaging: Value) -> Value {
        let path = format!("/layers/{}/versions", id(layer, "layer_id"));
        self.ask(Method::POST, &path, json!({ "version": version, "packaging": packaging })).await
    }

    /// Asks to finalize; gives the task.
    pub(crate) async fn finalize(&self, made: &Value) -> String {
        let path = format!("/versions/{}/finalize", id(made, "version_id"));
        id(&self.ask(Method::POST, &path, json!({})).await, "task_id")
    }

    /// Waits for the packaging disk that was asked for, and installs on it the file `NAME.txt` that says so.
    pub(crate) async fn installed(&self, made: &Value, disk: &str, name: &str) {
        self.ends(&id(made, "task_id"), "action-required").await;
        self.install(disk, |volume| {
            volume.file(&format!("\\{name}.txt"), format!("installed {name}"));
        });
    }

    /// Installs and finalizes.
    pub(crate) async fn captured(&self, made: &Value, disk: &str, name: &str) {
        self.installed(made, disk, name).await;
        self.ends(&self.finalize(made).await, "done").await;
    }

    /// A version's state, or `gone`.
    pub(crate) async fn state(&self, made: &Value) -> String {
        let (status, _, body) =
            self.send(Method::GET, &format!("/versions/{}", id(made, "version_id")), Value::Null).await;
        if status == 404 { "gone".to_owned() } else { id(&body, "state") }
    }
}
