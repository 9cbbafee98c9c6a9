//! What is old goes, what is not stays.

use crate::rig::{PASSWORD, Rig, on_both_databases};
use reqwest::Method;
use serde_json::json;
use server::db::Statement;

on_both_databases! {
    what_is_past_its_time_is_removed_and_nothing_else;
    tasks_that_ended_long_ago_go_and_those_that_wait_for_a_person_stay;
}

const DAY: i64 = 24 * 60 * 60 * 1000;

async fn count(rig: &Rig, sql: &'static str) -> i64 {
    rig.app.db().optional(Statement::new(sql)).await.unwrap().unwrap().integer("n").unwrap()
}

async fn make_older(rig: &Rig, sql: &'static str, milliseconds: i64) {
    assert!(rig.app.db().execute(Statement::new(sql).bind(milliseconds)).await.unwrap() > 0, "{sql}");
}

async fn what_is_past_its_time_is_removed_and_nothing_else(rig: Rig) {
    rig.become_administrator().await;
    rig.user("Ann", &[]).await;
    let wrong = json!({ "name": "Ann", "password": "wrong" });
    rig.ask_as(&rig.stranger(), Method::POST, "/session", wrong, &[]).await.refused(401, "log-in-failed");
    for name in ["old", "new"] {
        let token = json!({ "name": name, "days": 1 });
        rig.ask_with(Method::POST, "/me/tokens", token, &[("idempotency-key", name)]).await.created();
    }
    let rows = "SELECT COUNT(*) AS n FROM audit";
    let before = count(&rig, rows).await;

    rig.app.keep_house().await.unwrap();
    assert_eq!(count(&rig, rows).await, before, "nothing is old yet");

    make_older(&rig, "UPDATE audit SET at = at - $1 WHERE action = 'create_token'", 731 * DAY).await;
    make_older(&rig, "UPDATE audit SET at = at - $1 WHERE action = 'create_user'", 729 * DAY).await;
    make_older(&rig, "UPDATE idempotency SET created_at = created_at - $1 WHERE key = 'old'", 8 * DAY).await;
    make_older(&rig, "UPDATE tokens SET expires_at = expires_at - $1 WHERE name = 'old'", 32 * DAY).await;
    make_older(&rig, "UPDATE login_failures SET last_at = last_at - $1", 2 * DAY).await;
    let ann = "UPDATE sessions SET seen_at = seen_at - $1 \
               WHERE user_id = (SELECT id FROM users WHERE name = 'Ann')";
    make_older(&rig, ann, DAY).await;

    rig.app.keep_house().await.unwrap();
    assert_eq!(count(&rig, rows).await, before - 2);
    let objects = "SELECT COUNT(DISTINCT audit_id) AS n FROM audit_objects";
    assert_eq!(count(&rig, objects).await, before - 2, "with what they were about");
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM audit WHERE action = 'create_user'").await, 2);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM idempotency").await, 1);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM tokens WHERE name = 'new'").await, 1);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM tokens").await, 1);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM sessions").await, 1, "the administrator's own");
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM login_failures").await, 0);
    let again = json!({ "name": "Ann", "password": PASSWORD });
    rig.ask_as(&rig.stranger(), Method::POST, "/session", again, &[]).await.ok();
}

async fn tasks_that_ended_long_ago_go_and_those_that_wait_for_a_person_stay(rig: Rig) {
    rig.become_administrator().await;
    let retention = json!({ "task_retention_days": 10 });
    rig.ask_with(Method::PATCH, "/settings", retention, &[("if-match", "*")]).await.ok();
    rig.ask_with(Method::PATCH, "/settings", json!({ "task_retention_days": 0 }), &[("if-match", "*")])
        .await
        .refused(422, "invalid")
        .field("task_retention_days", "out-of-range");
    let now = "SELECT MAX(at) AS n FROM audit";
    let now = count(&rig, now).await;
    for (id, state, ended) in [
        ("done", "done", Some(11)),
        ("failed", "failed", Some(11)),
        ("stopped", "stopped", Some(11)),
        ("young", "done", Some(9)),
        ("waiting", "action-required", Some(400)),
        ("queued", "queued", None),
    ] {
        let task = Statement::new(
            "INSERT INTO tasks (id, kind, title, state, object_kind, object_id, object_name, description, links, \
             owner_name, address, saga, stop_asked, committed, generation, lease_until, created_at, ended_at, \
             changed_at) VALUES ($1, 'test', 'Test', $2, 'version', 'x', 'x', '', '[]', 'Ann', '-', '{}', FALSE, \
             FALSE, 1, $4, 0, $3, 0)",
        )
        .bind(id)
        .bind(state)
        .bind(ended.map(|days| now - days * DAY))
        .bind(now + DAY); // Held by a server that is not this one: nothing carries it out.
        rig.app.db().execute(task).await.unwrap();
        let line = Statement::new(
            "INSERT INTO task_log (task_id, number, at, level, text) VALUES ($1, 1, 0, 'info', 'x')",
        );
        rig.app.db().execute(line.bind(id)).await.unwrap();
    }
    rig.app.keep_house().await.unwrap();
    let left = "SELECT COUNT(*) AS n FROM tasks WHERE id IN ('young', 'waiting', 'queued')";
    assert_eq!(count(&rig, left).await, 3);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM tasks").await, 3);
    assert_eq!(count(&rig, "SELECT COUNT(*) AS n FROM task_log").await, 3, "logs go with their tasks");
}
