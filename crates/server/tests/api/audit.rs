//! The audit history.

use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    every_change_leaves_who_did_what_and_why;
    what_is_for_administrators_is_not_shown_to_others;
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
