//! The examination of a deployment.

use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;

on_both_databases! {
    an_examination_finds_what_is_wrong_and_says_what_to_do;
}

fn states<'r>(report: &'r Value, check: &str) -> Vec<&'r str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|f| f["check"] == check).map(|f| f["state"].as_str().unwrap()).collect()
}

async fn an_examination_finds_what_is_wrong_and_says_what_to_do(rig: Rig) {
    rig.become_administrator().await;
    let report = rig.get("/doctor").await.ok().body;
    for check in [
        "database",
        "clock",
        "store",
        "engine",
        "disk-space",
        "file-share",
        "certificate",
        "tasks",
        "tools",
        "virtualisation",
    ] {
        assert!(!states(&report, check).is_empty(), "{check} is examined: {report:#}");
    }
    for check in ["clock", "store", "engine", "certificate", "tasks"] {
        assert_eq!(states(&report, check), ["ok"], "{report:#}");
    }
    assert_eq!(states(&report, "file-share"), ["warning"]);
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["hint"].is_string(), finding["state"] != "ok", "{finding}");
    }

    // What the database names and the store does not have.
    let os = crate::fixture::os(&rig, "Windows").await;
    crate::fixture::version(&rig, &os, 1, "deployable", None).await;
    // Something was written in the future: the clock went back.
    let future = Statement::new("UPDATE audit SET at = at + 3600000 WHERE action = 'change_password'");
    rig.app.db().execute(future).await.unwrap();
    let report = rig.get("/doctor").await.ok().body;
    assert_eq!(report["healthy"], json!(false));
    assert_eq!(states(&report, "store"), ["problem"]);
    assert_eq!(states(&report, "clock"), ["problem"]);
    let store = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == "store").unwrap();
    assert!(store["message"].as_str().unwrap().contains("os:Windows@1"), "{store}");

    // A task that fails for ever at what cannot be undone.
    let task = Statement::new(
        "INSERT INTO tasks (id, kind, title, state, object_kind, object_id, object_name, description, links, \
         owner_name, address, saga, stop_asked, committed, generation, lease_until, created_at, changed_at) \
         VALUES ('t', 'delete-version', 'Delete Version', 'running', 'version', 'v', 'v', '', '[]', 'Ann', '-', '{}', \
         FALSE, TRUE, 1, 9000000000000, 0, 0)",
    );
    rig.app.db().execute(task).await.unwrap();
    for number in 0..10_i64 {
        let line = Statement::new(
            "INSERT INTO task_log (task_id, number, at, level, text) VALUES ('t', $1, 0, 'warning', '')",
        );
        rig.app.db().execute(line.bind(number)).await.unwrap();
    }
    assert_eq!(states(&rig.get("/doctor").await.ok().body, "tasks"), ["problem"]);

    let reader = rig.user("Reader", &["read-only"]).await;
    rig.ask_as(&reader, Method::GET, "/doctor", Value::Null, &[]).await.refused(403, "forbidden");
}
