//! The audit history.

use crate::fixture::Shop;
use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    every_change_leaves_who_did_what_and_why;
    what_is_for_administrators_is_not_shown_to_others;
    one_sees_what_one_may_read_and_ones_own;
    what_was_done_is_found_from_every_object;
}

async fn every_change_leaves_who_did_what_and_why(rig: Rig) {
    rig.become_administrator().await;
    let comment = [("x-lamina-comment", "for%20the%20f%C3%BCrst")];
    let made = rig.ask_with(Method::POST, "/users", json!({ "name": "Ann" }), &comment).await.created();
    let id = made.body["user"]["id"].as_str().unwrap();
    let password = made.body["one_time_password"].as_str().unwrap();
    let audit = rig.get(&format!("/audit?object_kind=user&object_id={id}")).await.ok();
    let entry = &audit.body["items"][0];
    assert_eq!(entry["action"], "create_user");
    assert_eq!(entry["actor"], "admin");
    assert_eq!(entry["address"], "127.0.0.1");
    assert_eq!(entry["comment"], "for the fürst");
    assert_eq!(entry["object_name"], "Ann");
    assert_eq!(entry["request_id"].as_str().unwrap(), made.headers["x-request-id"].to_str().unwrap());
    assert!(!audit.body.to_string().contains(password), "no secret in the history");

    rig.ask_with(Method::DELETE, &format!("/users/{id}"), Value::Null, &[("if-match", "*")]).await.ok();
    let audit = rig.get(&format!("/audit?object_id={id}&sort=at")).await.ok();
    let actions: Vec<&Value> = audit.body["items"].as_array().unwrap().iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["create_user", "delete_user"], "the history outlives the user");
    let all = rig.get("/audit").await.ok();
    assert_eq!(all.body["items"][0]["action"], "delete_user", "newest first");
    assert_eq!(all.body["items"].as_array().unwrap().last().unwrap()["actor"], "the server");
    for bad in ["%FF", "a%00b", "%0"] {
        let headers = [("x-lamina-comment", bad)];
        let answer = rig.ask_with(Method::POST, "/users", json!({ "name": "Bob" }), &headers).await;
        if bad != "%0" {
            answer.refused(422, "invalid");
        } else {
            answer.created();
        }
    }
}

async fn what_is_for_administrators_is_not_shown_to_others(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only"]).await;
    rig.ask_with(Method::PATCH, "/settings", json!({ "audit_retention_days": 60 }), &[("if-match", "*")])
        .await
        .ok();
    let seen = rig.ask_as(&ann, Method::GET, "/audit", Value::Null, &[]).await.ok();
    for entry in seen.body["items"].as_array().unwrap() {
        assert!(!["user", "group", "settings"].contains(&entry["object_kind"].as_str().unwrap()), "{entry}");
    }
}

async fn one_sees_what_one_may_read_and_ones_own(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only"]).await;
    let desk = Shop::open(&rig, "").await.make(&rig, "Desk").await;
    let hook = json!({ "url": "https://192.0.2.1/?key=hidden", "events": ["done"], "secret": "a secret of this test" });
    rig.ask_with(Method::PUT, "/webhook", hook, &[("if-match", "*")]).await.ok();
    rig.ask(Method::POST, "/me/tokens", json!({ "name": "admins", "days": 1 })).await.created();
    let token = json!({ "name": "anns", "days": 1 });
    rig.ask_as(&ann, Method::POST, "/me/tokens", token, &[]).await.created();
    let seen = async |path: &str| rig.ask_as(&ann, Method::GET, path, Value::Null, &[]).await.ok().body;
    let all = seen("/audit").await;
    let names: Vec<&str> =
        all["items"].as_array().unwrap().iter().map(|entry| entry["object_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["anns", "Desk"], "neither the webhook nor tokens and log-ins of others");
    assert_eq!(seen("/audit?object_kind=webhook").await["items"], json!([]));
    assert_eq!(seen(&format!("/audit?object_id={desk}")).await["items"][0]["action"], "create_template");
    let everything = rig.get("/audit").await.ok().body.to_string();
    assert!(everything.contains("admins") && everything.contains("192.0.2.1"), "administrators see all");
}

async fn what_was_done_is_found_from_every_object(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let desk = shop.make(&rig, "Desk").await;
    let comment = [("x-lamina-comment", "with%20the%20May%20updates")];
    let ask =
        async |path: &str, body: Value| rig.ask_with(Method::POST, path, body, &comment).await.created().body;
    let app = ask("/app-layers", shop.layer("Paint")).await;
    let new = json!({ "name": "Server", "version": "1", "configuration_id": shop.configuration, "disk": "os.vhdx" });
    let os = ask("/os-layers", new).await;
    let publishing = ask("/publish", json!({ "templates": [{ "template_id": desk }] })).await;
    let published = &publishing["tasks"][0];
    for (kind, id, action) in [
        ("layer", &app["layer_id"], "create_app_layer"),
        ("version", &app["version_id"], "create_app_layer"),
        ("layer", &os["layer_id"], "create_os_layer"),
        ("version", &os["version_id"], "create_os_layer"),
        ("image", &published["image_id"], "publish_templates"),
        ("template", &published["template_id"], "publish_templates"),
    ] {
        let id = id.as_str().unwrap();
        for query in [format!("object_id={id}"), format!("object_kind={kind}&object_id={id}")] {
            let found = rig.get(&format!("/audit?{query}")).await.ok().body;
            assert_eq!(found["items"][0]["action"], action, "{kind}: {found:#}");
            assert_eq!(found["items"][0]["comment"], "with the May updates");
        }
    }
    let all = rig.get("/audit").await.ok().body;
    let actions: Vec<&Value> = all["items"].as_array().unwrap()[..4].iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["publish_templates", "create_os_layer", "create_app_layer", "create_template"]);
}
