//! What a start makes, and what it takes from others.

use crate::rig::{PASSWORD, Rig, on_both_databases};
use operation::Explain;
use reqwest::Method;
use serde_json::{Value, json};
use server::{Config, Server, reset_password};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

on_both_databases! {
    a_start_that_cannot_listen_keeps_the_first_password_for_the_next_one;
    who_has_the_servers_directory_gets_in_again;
    contents_of_disks_are_the_servers_alone_whatever_the_directory_was;
}

async fn a_start_that_cannot_listen_keeps_the_first_password_for_the_next_one(rig: Rig) {
    let database = match rig.config.database {
        None => None,
        Some(_) => Some(crate::rig::fresh_database(&std::env::var("LAMINA_POSTGRES").unwrap()).await),
    };
    let fresh = Config { directory: rig.directory.path().join("another"), database, ..rig.config.clone() };
    let taken = Config { listen: rig.address, ..fresh.clone() };
    assert_eq!(Server::start(&taken).await.unwrap_err().code(), "server-listen");
    let server = Server::start(&fresh).await.unwrap();
    assert!(server.first_password.is_some(), "nobody has seen one before");
}

async fn who_has_the_servers_directory_gets_in_again(mut rig: Rig) {
    rig.become_administrator().await;
    rig.user("Ann", &["administrator"]).await;
    let token = rig.ask(Method::POST, "/me/tokens", json!({ "name": "ci", "days": 1 })).await.created().body;
    let me = rig.get("/me").await.ok().body["id"].as_str().unwrap().to_owned();
    let ann = rig.user("Bob", &["administrator"]).await;
    let path = format!("/users/{me}");
    rig.ask_as(&ann, Method::PATCH, &path, json!({ "disabled": true }), &[("if-match", "*")]).await.ok();

    let (directory, database) = (rig.config.directory.clone(), rig.config.database.clone());
    let reset = async |name: &str| {
        reset_password(&directory, database.as_deref(), name).await.map_err(|error| error.code())
    };
    if database.is_none() {
        assert_eq!(reset("admin").await, Err("server-directory-in-use"));
        let elsewhere = rig.directory.path().join("elsewhere");
        let error = reset_password(&elsewhere, None, "admin").await.unwrap_err();
        assert_eq!(error.code(), "server-missing");
        assert!(!elsewhere.exists(), "nothing was made");
    }
    rig.stop().await;
    assert_eq!(reset("nobody").await, Err("reset-refused"));
    let password = reset("ADMIN").await.unwrap();
    rig.start_again().await;

    let bearer = format!("Bearer {}", token["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    rig.ask_as(&rig.stranger(), Method::GET, "/me", Value::Null, &headers)
        .await
        .refused(401, "not-logged-in");
    let credentials = json!({ "name": "admin", "password": PASSWORD });
    rig.ask(Method::POST, "/session", credentials).await.refused(401, "log-in-failed");
    let session = rig.ask(Method::POST, "/session", json!({ "name": "admin", "password": password })).await;
    assert_eq!(session.ok().body["must_change_password"], true);
    let change = json!({ "current": password, "new": PASSWORD });
    rig.ask(Method::PUT, "/me/password", change).await.ok();
    let audit = rig.get("/audit?action=reset_password").await.ok().body;
    let entry = &audit["items"][0];
    assert_eq!(entry["actor"], "lamina reset-password", "{entry}");
    assert_eq!(entry["object_name"], "admin");
    assert_eq!(entry["detail"], json!({ "enabled": true, "withdrawn_tokens": 1 }));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn contents_of_disks_are_the_servers_alone_whatever_the_directory_was(mut rig: Rig) {
    rig.stop().await;
    let directory = rig.config.directory.clone();
    for part in [directory.join("store"), directory.join("scratch"), directory.clone()] {
        std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    rig.start_again().await;
    assert_eq!(mode(&directory), 0o755, "it may hold something else");
    for part in ["store", "scratch"] {
        assert_eq!(mode(&directory.join(part)), 0o700, "{part}");
    }
}
