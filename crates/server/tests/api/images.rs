//! Published images: their records.

use crate::fixture::{self, Shop};
use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    images_are_found_and_their_records_removed;
    images_are_compared_by_what_they_were_made_of;
}

async fn images_are_found_and_their_records_removed(rig: Rig) {
    rig.become_administrator().await;
    let template = Shop::open(&rig, "").await.make(&rig, "Desk").await;
    let first = fixture::image(&rig, "Desk 1", &template).await;
    let second = fixture::image(&rig, "Desk 2", &template).await;
    let other = fixture::image(&rig, "Kiosk", &fixture::no_template()).await;
    let ids = async |query: &str| {
        let page = rig.get(&format!("/images?{query}")).await.ok();
        page.body["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [json!(other), json!(second), json!(first)], "the newest first");
    assert_eq!(ids("sort=name&limit=1").await, [json!(first)]);
    assert_eq!(ids("search=KIOSK").await, [json!(other)]);
    assert_eq!(ids(&format!("template={template}")).await, [json!(second), json!(first)]);

    let path = format!("/images/{first}");
    let image = rig.get(&path).await.ok();
    assert_eq!(image.body["provenance"], json!({ "disk": "sha256:0" }));
    assert_eq!(image.body["image"]["delivered"]["location"], "desks/Desk.vhd");

    // The record outlives its template, and goes when somebody removes it.
    let any = [("if-match", "*")];
    rig.ask_with(Method::DELETE, &format!("/templates/{template}"), Value::Null, &any).await.ok();
    rig.get(&path).await.ok();
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "\"7\"")])
        .await
        .refused(412, "changed-meanwhile");
    rig.ask_with(Method::DELETE, &path, Value::Null, &any).await.ok();
    rig.get(&path).await.refused(404, "not-found");
    let audit = rig.get(&format!("/audit?object_kind=image&object_id={first}")).await.ok();
    assert_eq!(audit.body["items"][0]["object_name"], "Desk 1");
    assert_eq!(audit.body["items"][0]["detail"]["before"]["provenance"]["disk"], "sha256:0");
}

async fn images_are_compared_by_what_they_were_made_of(rig: Rig) {
    rig.become_administrator().await;
    let template = Shop::open(&rig, "").await.make(&rig, "Desk").await;
    let layer = |reference: &str, digest: &str| json!({ "reference": reference, "digest": digest });
    let made_of = |office: Value, format: &str| json!({ "layers": [layer("os:Windows@1", "sha256:1"), office], "format": format });
    let first = made_of(layer("app:Office@1", "sha256:2"), "vhd");
    let first = fixture::image_of(&rig, "Desk 1", &template, first).await;
    let second = made_of(layer("app:Office@2", "sha256:3"), "vhdx");
    let second = fixture::image_of(&rig, "Desk 2", &template, second).await;
    let same = rig.get(&format!("/images/{first}/diff?to={first}")).await.ok().body;
    assert_eq!(same["fields"], json!([]));
    assert_eq!(same["layers_changed"], json!([]));
    let found = rig.get(&format!("/images/{first}/diff?to={second}")).await.ok().body;
    assert_eq!(found["layers_added"], json!([]));
    let changed = &found["layers_changed"][0];
    assert_eq!(
        [&changed["before"]["reference"], &changed["after"]["reference"]],
        ["app:Office@1", "app:Office@2"]
    );
    let format = json!({ "field": "format", "before": "vhd", "after": "vhdx" });
    assert!(found["fields"].as_array().unwrap().contains(&format), "{found:#}");
    let nothing = fixture::no_template();
    rig.get(&format!("/images/{first}/diff?to={nothing}")).await.refused(404, "not-found");
}
