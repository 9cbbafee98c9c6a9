//! A packaging disk that is not ready: its version goes back to packaging, and is finalized when it is.

use crate::snapshot::assert_same;
use crate::trial::on;
use crate::world::{BOTH, World, id};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;

/// What Windows has there while an installation waits for a restart.
const PENDING: &str = "\\Windows\\WinSxS\\pending.xml";

pub(crate) fn trials() -> Vec<Trial> {
    [
        on(&BOTH, "a_disk_that_is_not_ready_goes_back_to_packaging", goes_back),
        on(&BOTH, "an_administrator_takes_a_disk_that_is_not_ready", is_overridden),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn goes_back(world: World) {
    let os = world.os().await;
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.installed(&made, "office.raw", "office").await;
    world.install("office.raw", |volume| {
        volume.directory("\\Windows\\System32\\config").file(PENDING, "<pending/>");
    });
    let before = world.snapshot().await;
    let failed = world.ends(&world.finalize(&made).await, "failed").await;
    assert_eq!(failed["failure"]["code"], "integrity-blocks", "{failed:#}");
    let message = id(&failed["failure"], "message");
    assert!(message.contains("A post-installation reboot is pending"), "{message}");
    assert_eq!(world.state(&made).await, "packaging");
    assert_same(&before, &world.snapshot().await, "a disk that is not ready");
    // Who has looked while it was finalized is told that it waits for a person again.
    let changed = world.get(&format!("/tasks?changed_since={}", id(&failed, "started_at"))).await;
    let waits = changed["items"].as_array().unwrap().iter().find(|task| task["state"] == "action-required");
    let waits = waits.unwrap_or_else(|| panic!("{changed:#}"));
    assert_eq!((&waits["id"], &waits["next_action"]), (&made["task_id"], &json!("finalize")));
    assert!(id(waits, "changed_at") >= id(&failed, "started_at"), "{waits:#}");
    world.install("office.raw", |volume| {
        volume.delete(PENDING);
    });
    world.ends(&world.finalize(&made).await, "done").await;
    assert_eq!(world.files("app:Office@1"), ["\\office.txt"]);
    world.assert_tidy("finalizing").await;
}

async fn is_overridden(world: World) {
    let os = world.os().await;
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.installed(&made, "office.raw", "office").await;
    world.install("office.raw", |volume| {
        volume.directory("\\Windows\\System32\\config").file(PENDING, "<pending/>");
    });
    let path = format!("/versions/{}/finalize", id(&made, "version_id"));
    let begun = world.ask(Method::POST, &path, json!({ "override_reason": "It never goes away." })).await;
    world.ends(&id(&begun, "task_id"), "done").await;
    assert_eq!(world.state(&made).await, "deployable");
}
