//! Published images: their records.

use crate::fixture::{self, Shop};
use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    images_are_found_and_their_records_removed;
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
