//! Who may come in, and what becomes of users, groups, sessions and tokens.

use crate::rig::{PASSWORD, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    the_first_start_makes_an_administrator_who_sets_a_password_of_its_own_first;
    what_was_done_outlives_a_restart;
    a_user_is_made_changed_and_removed;
    a_change_of_what_somebody_else_has_changed_is_refused;
    a_creating_call_is_done_once_for_each_key;
    nobody_can_take_away_the_last_administrator;
    roles_of_a_group_are_those_of_its_members;
    a_token_has_at_most_what_its_user_has_and_ends;
    a_password_that_is_set_ends_the_other_sessions;
    guessing_a_password_has_to_wait_whoever_guesses;
    a_disabled_user_is_out_at_once;
}

async fn the_first_start_makes_an_administrator_who_sets_a_password_of_its_own_first(rig: Rig) {
    let first = rig.first_password.clone().unwrap();
    rig.get("/me").await.refused(401, "not-logged-in");
    let me = rig.ask(Method::POST, "/session", json!({ "name": "ADMIN", "password": first })).await.ok();
    assert_eq!(me.body["name"], "admin");
    assert_eq!(me.body["must_change_password"], true);
    rig.get("/users").await.refused(403, "password-must-change");
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    let put = |body: Value| rig.ask(Method::PUT, "/me/password", body);
    put(change(&first, &first)).await.refused(422, "invalid").field("new", "password-same");
    put(change("something else", PASSWORD)).await.refused(422, "invalid").field("current", "password-wrong");
    put(change(&first, "short")).await.refused(422, "invalid").field("new", "password-short");
    put(change(&first, PASSWORD)).await.ok();
    assert_eq!(rig.get("/me").await.ok().body["must_change_password"], false);
    assert_eq!(rig.get("/users").await.ok().body["items"][0]["name"], "admin");
}

async fn what_was_done_outlives_a_restart(mut rig: Rig) {
    rig.become_administrator().await;
    rig.ask(Method::POST, "/users", json!({ "name": "Ann", "password": PASSWORD })).await.created();
    rig.restart().await;
    rig.ask(Method::POST, "/session", json!({ "name": "admin", "password": PASSWORD })).await.ok();
    let users = rig.get("/users?search=AN").await.ok();
    assert_eq!(users.body["items"][0]["name"], "Ann");
}

async fn a_user_is_made_changed_and_removed(rig: Rig) {
    rig.become_administrator().await;
    let made = rig
        .ask(
            Method::POST,
            "/users",
            json!({ "name": " Ann ", "full_name": "Ann Lee", "roles": ["read-only"] }),
        )
        .await
        .created();
    let one_time = made.body["one_time_password"].as_str().unwrap().to_owned();
    let path = format!("/users/{}", made.body["user"]["id"].as_str().unwrap());
    assert_eq!(made.headers["location"].to_str().unwrap(), format!("/api/v1{path}"));
    assert_eq!(made.body["user"]["name"], "Ann");

    let ann = rig.stranger();
    rig.ask_as(&ann, Method::POST, "/session", json!({ "name": "ann", "password": one_time }), &[])
        .await
        .ok();
    rig.ask_as(&ann, Method::GET, "/users", Value::Null, &[]).await.refused(403, "password-must-change");
    let change = json!({ "current": one_time, "new": PASSWORD });
    rig.ask_as(&ann, Method::PUT, "/me/password", change, &[]).await.ok();
    let refused = rig.ask_as(&ann, Method::GET, "/users", Value::Null, &[]).await.refused(403, "forbidden");
    assert!(refused.body["hint"].as_str().unwrap().contains("administrator"), "{:#}", refused.body);

    let seen = rig.get(&path).await.ok();
    let tag = seen.etag.unwrap();
    let wanted = json!({ "name": "Anne", "roles": ["manage-app-layers", "read-only"] });
    let changed = rig.ask_with(Method::PATCH, &path, wanted, &[("if-match", &tag)]).await.ok();
    assert_eq!(changed.body["roles"], json!(["manage-app-layers", "read-only"]));
    assert_eq!(changed.body["full_name"], "Ann Lee", "what is absent stays");
    rig.ask(Method::POST, "/users", json!({ "name": "ANNE" }))
        .await
        .refused(422, "invalid")
        .field("name", "name-taken");

    rig.ask(Method::DELETE, &path, Value::Null).await.refused(428, "if-match-required");
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "*")]).await.ok();
    rig.get(&path).await.refused(404, "not-found");
    rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
}

async fn a_change_of_what_somebody_else_has_changed_is_refused(rig: Rig) {
    rig.become_administrator().await;
    let made = rig.ask(Method::POST, "/users", json!({ "name": "Ann" })).await.created();
    let path = format!("/users/{}", made.body["user"]["id"].as_str().unwrap());
    let tag = made.etag.unwrap();
    let first = json!({ "full_name": "Ann Lee" });
    rig.ask_with(Method::PATCH, &path, first, &[("if-match", &tag)]).await.ok();
    let second = json!({ "full_name": "Ann Li" });
    rig.ask_with(Method::PATCH, &path, second, &[("if-match", &tag)]).await.refused(412, "changed-meanwhile");
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", &tag)])
        .await
        .refused(412, "changed-meanwhile");
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "W/\"x\"")])
        .await
        .refused(412, "changed-meanwhile");
    assert_eq!(rig.get(&path).await.ok().body["full_name"], "Ann Lee");
}

async fn a_creating_call_is_done_once_for_each_key(rig: Rig) {
    rig.become_administrator().await;
    let new = json!({ "name": "Ann" });
    let key = [("idempotency-key", "a1")];
    let first = rig.ask_with(Method::POST, "/users", new.clone(), &key).await.created();
    let again = rig.ask_with(Method::POST, "/users", new, &key).await.created();
    assert_eq!(first.body["user"], again.body["user"]);
    assert!(first.body["one_time_password"].is_string());
    assert!(again.body["one_time_password"].is_null(), "a secret is not kept to be shown again");
    let other = json!({ "name": "Bob" });
    rig.ask_with(Method::POST, "/users", other, &key).await.refused(409, "idempotency-key-reused");

    // Sent at the same time, as an impatient program does.
    let new = json!({ "name": "Carl", "password": PASSWORD });
    let key = [("idempotency-key", "c1")];
    let asked = (0..8).map(|_| rig.ask_with(Method::POST, "/users", new.clone(), &key));
    let answers = futures_util::future::join_all(asked).await;
    let mut ids: Vec<String> =
        answers.into_iter().map(|answer| answer.created().body["user"]["id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

async fn nobody_can_take_away_the_last_administrator(rig: Rig) {
    rig.become_administrator().await;
    let me = rig.get("/me").await.ok();
    let path = format!("/users/{}", me.body["id"].as_str().unwrap());
    let any = [("if-match", "*")];
    rig.ask_with(Method::DELETE, &path, Value::Null, &any).await.refused(409, "last-administrator");
    let roles = json!({ "roles": ["read-only"] });
    rig.ask_with(Method::PATCH, &path, roles.clone(), &any).await.refused(409, "last-administrator");
    let disabled = json!({ "disabled": true });
    rig.ask_with(Method::PATCH, &path, disabled, &any).await.refused(409, "last-administrator");
    rig.get("/users").await.ok();

    // Through a group will do, as long as somebody is in it.
    let group = json!({ "name": "Staff", "roles": ["administrator"], "members": [me.body["id"]] });
    let group = rig.ask(Method::POST, "/groups", group).await.created();
    rig.ask_with(Method::PATCH, &path, roles, &any).await.ok();
    let group = format!("/groups/{}", group.body["id"].as_str().unwrap());
    rig.ask_with(Method::PATCH, &group, json!({ "members": [] }), &any)
        .await
        .refused(409, "last-administrator");
    rig.ask_with(Method::DELETE, &group, Value::Null, &any).await.refused(409, "last-administrator");
}

async fn roles_of_a_group_are_those_of_its_members(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only"]).await;
    let id = rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.ok().body["id"].clone();
    let unknown = json!({ "name": "Staff", "members": ["0190c5f0-0000-7000-8000-000000000000"] });
    rig.ask(Method::POST, "/groups", unknown).await.refused(422, "invalid").field("members", "user-unknown");
    let group = json!({ "name": "Staff", "roles": ["administrator"], "members": [id] });
    let group = rig.ask(Method::POST, "/groups", group).await.created();
    let me = rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.ok();
    assert_eq!(me.body["roles"], json!(["administrator", "read-only"]));
    rig.ask_as(&ann, Method::GET, "/users", Value::Null, &[]).await.ok();

    let path = format!("/groups/{}", group.body["id"].as_str().unwrap());
    rig.ask_with(Method::PATCH, &path, json!({ "members": [] }), &[("if-match", "*")]).await.ok();
    rig.ask_as(&ann, Method::GET, "/users", Value::Null, &[]).await.refused(403, "forbidden");
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "*")]).await.ok();
    rig.get(&path).await.refused(404, "not-found");
}

async fn a_token_has_at_most_what_its_user_has_and_ends(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only", "manage-app-layers"]).await;
    let make = |body: Value| rig.ask_as(&ann, Method::POST, "/me/tokens", body, &[]);
    make(json!({ "name": "x", "days": 0 })).await.refused(422, "invalid").field("days", "days-range");
    make(json!({ "name": "x", "days": 1, "roles": ["administrator"] }))
        .await
        .refused(422, "invalid")
        .field("roles", "role-not-yours");
    let made = make(json!({ "name": "ci", "days": 30, "roles": ["read-only"] })).await.created();
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let program = rig.stranger();
    let me = rig.ask_as(&program, Method::GET, "/me", Value::Null, &headers).await.ok();
    assert_eq!(me.body["roles"], json!(["read-only"]));
    let more = json!({ "name": "more", "days": 300 });
    rig.ask_as(&program, Method::POST, "/me/tokens", more, &headers).await.refused(403, "session-required");
    rig.ask_as(&program, Method::DELETE, "/session", Value::Null, &headers).await.refused(409, "no-session");

    let listed = rig.ask_as(&ann, Method::GET, "/me/tokens", Value::Null, &[]).await.ok();
    assert!(!listed.body.to_string().contains(&secret), "a secret is shown once");
    assert!(listed.body["items"][0]["used_at"].is_string());
    let path = format!("/me/tokens/{}", made.body["token"]["id"].as_str().unwrap());
    rig.ask(Method::DELETE, &path, Value::Null).await.refused(404, "not-found");
    rig.ask_as(&ann, Method::DELETE, &path, Value::Null, &[]).await.ok();
    rig.ask_as(&program, Method::GET, "/me", Value::Null, &headers).await.refused(401, "not-logged-in");
    for wrong in ["Bearer x", "Basic YTpi", "lamina_x"] {
        let headers = [("authorization", wrong)];
        rig.ask_as(&program, Method::GET, "/me", Value::Null, &headers).await.refused(401, "not-logged-in");
    }
}

async fn a_password_that_is_set_ends_the_other_sessions(rig: Rig) {
    rig.become_administrator().await;
    let first = rig.user("Ann", &["read-only"]).await;
    let second = rig.stranger();
    let credentials = json!({ "name": "Ann", "password": PASSWORD });
    rig.ask_as(&second, Method::POST, "/session", credentials.clone(), &[]).await.ok();
    let sessions = rig.ask_as(&first, Method::GET, "/me/sessions", Value::Null, &[]).await.ok();
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 2);
    let change = json!({ "current": PASSWORD, "new": "another horse battery" });
    rig.ask_as(&first, Method::PUT, "/me/password", change, &[]).await.ok();
    rig.ask_as(&first, Method::GET, "/me", Value::Null, &[]).await.ok();
    rig.ask_as(&second, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
    rig.ask_as(&second, Method::POST, "/session", credentials, &[]).await.refused(401, "log-in-failed");
    rig.ask_as(&first, Method::DELETE, "/session", Value::Null, &[]).await.ok();
    rig.ask_as(&first, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
}

async fn guessing_a_password_has_to_wait_whoever_guesses(rig: Rig) {
    rig.become_administrator().await;
    let guess =
        |name: &str| rig.ask(Method::POST, "/session", json!({ "name": name, "password": "a guess" }));
    let known = guess("admin").await.refused(401, "log-in-failed");
    let unknown = guess("nobody").await.refused(401, "log-in-failed");
    assert_eq!(known.body["message"], unknown.body["message"], "names are not to be found out");
    for _ in 0..4 {
        guess("admin").await;
    }
    let waits = guess("admin").await.refused(429, "too-many-log-ins");
    let seconds: u64 = waits.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=4).contains(&seconds), "{seconds}");
}

async fn a_disabled_user_is_out_at_once(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["administrator"]).await;
    let id = rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.ok().body["id"].clone();
    let path = format!("/users/{}", id.as_str().unwrap());
    rig.ask_with(Method::PATCH, &path, json!({ "disabled": true }), &[("if-match", "*")]).await.ok();
    rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
    let credentials = json!({ "name": "Ann", "password": PASSWORD });
    rig.ask_as(&ann, Method::POST, "/session", credentials, &[]).await.refused(401, "log-in-failed");
}
