//! Sessions and tokens: who ends them, and what ends them.

use crate::rig::{PASSWORD, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    a_password_that_is_reset_takes_the_tokens_with_it;
    a_token_that_is_limited_withdraws_itself_and_nothing_else;
    one_ends_ones_own_sessions;
    administrators_see_and_end_what_others_come_in_with;
}

/// A client with a token of `owner`'s.
struct Program {
    id: String,
    bearer: String,
}

impl Program {
    async fn new(rig: &Rig, owner: &reqwest::Client, name: &str, roles: &[&str]) -> Program {
        let new = json!({ "name": name, "days": 1, "roles": roles });
        let made = rig.ask_as(owner, Method::POST, "/me/tokens", new, &[]).await.created().body;
        let id = made["token"]["id"].as_str().unwrap().to_owned();
        Program { id, bearer: format!("Bearer {}", made["secret"].as_str().unwrap()) }
    }

    async fn ask(&self, rig: &Rig, method: Method, path: &str) -> crate::rig::Answer {
        let headers = [("authorization", self.bearer.as_str())];
        rig.ask_as(&rig.stranger(), method, path, Value::Null, &headers).await
    }
}

async fn id_of(rig: &Rig, client: &reqwest::Client) -> String {
    let me = rig.ask_as(client, Method::GET, "/me", Value::Null, &[]).await.ok();
    me.body["id"].as_str().unwrap().to_owned()
}

async fn a_password_that_is_reset_takes_the_tokens_with_it(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only"]).await;
    let program = Program::new(&rig, &ann, "ci", &[]).await;
    program.ask(&rig, Method::GET, "/layers").await.ok();
    let path = format!("/users/{}/one-time-password", id_of(&rig, &ann).await);
    let reset = rig.ask(Method::POST, &path, Value::Null).await.ok().body;
    assert_eq!(reset["withdrawn_tokens"], 1);
    program.ask(&rig, Method::GET, "/me").await.refused(401, "not-logged-in");
    rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
    let audit = rig.get("/audit?action=reset_password").await.ok().body;
    assert_eq!(audit["items"][0]["detail"]["withdrawn_tokens"], 1);
}

async fn a_token_that_is_limited_withdraws_itself_and_nothing_else(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only", "manage-app-layers"]).await;
    let limited = Program::new(&rig, &ann, "limited", &["read-only"]).await;
    let other = Program::new(&rig, &ann, "other", &[]).await;
    let path = |program: &Program| format!("/me/tokens/{}", program.id);
    limited.ask(&rig, Method::DELETE, &path(&other)).await.refused(403, "token-limited");
    let sessions = rig.ask_as(&ann, Method::GET, "/me/sessions", Value::Null, &[]).await.ok().body;
    let session = format!("/me/sessions/{}", sessions["items"][0]["id"].as_str().unwrap());
    limited.ask(&rig, Method::DELETE, &session).await.refused(403, "token-limited");
    other.ask(&rig, Method::GET, "/me").await.ok();
    limited.ask(&rig, Method::DELETE, &path(&limited)).await.ok();
    limited.ask(&rig, Method::GET, "/me").await.refused(401, "not-logged-in");
    // One without limits may do what its user may.
    let second = Program::new(&rig, &ann, "second", &[]).await;
    other.ask(&rig, Method::DELETE, &path(&second)).await.ok();
    other.ask(&rig, Method::DELETE, &session).await.ok();
}

async fn one_ends_ones_own_sessions(rig: Rig) {
    rig.become_administrator().await;
    let here = rig.user("Ann", &[]).await;
    let there = rig.stranger();
    let credentials = json!({ "name": "Ann", "password": PASSWORD });
    rig.ask_as(&there, Method::POST, "/session", credentials, &[]).await.ok();
    let sessions = rig.ask_as(&here, Method::GET, "/me/sessions", Value::Null, &[]).await.ok().body;
    let sessions = sessions["items"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/me/sessions/{}", other["id"].as_str().unwrap());
    rig.ask(Method::DELETE, &path, Value::Null).await.refused(404, "not-found");
    rig.ask_as(&here, Method::DELETE, &path, Value::Null, &[]).await.ok();
    rig.ask_as(&there, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
    rig.ask_as(&here, Method::DELETE, &path, Value::Null, &[]).await.refused(404, "not-found");
    rig.ask_as(&here, Method::GET, "/me", Value::Null, &[]).await.ok();
}

async fn administrators_see_and_end_what_others_come_in_with(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &["read-only"]).await;
    let bob = rig.user("Bob", &[]).await;
    let program = Program::new(&rig, &ann, "ci", &[]).await;
    let (of_ann, of_bob) = (id_of(&rig, &ann).await, id_of(&rig, &bob).await);

    let tokens = rig.get(&format!("/users/{of_ann}/tokens")).await.ok().body;
    assert_eq!(tokens["items"][0]["name"], "ci");
    let sessions = rig.get(&format!("/users/{of_ann}/sessions")).await.ok().body;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["items"][0]["current"], false);
    let nobody = "/users/0190c5f0-0000-7000-8000-000000000000";
    rig.get(&format!("{nobody}/tokens")).await.refused(404, "not-found");
    rig.get(&format!("{nobody}/sessions")).await.refused(404, "not-found");

    let token = |user: &str| format!("/users/{user}/tokens/{}", program.id);
    let id = sessions["items"][0]["id"].as_str().unwrap();
    let session = |user: &str| format!("/users/{user}/sessions/{id}");
    for path in [token(&of_bob), session(&of_bob)] {
        rig.ask(Method::DELETE, &path, Value::Null).await.refused(404, "not-found");
    }
    for path in [token(&of_ann), session(&of_ann)] {
        rig.ask_as(&ann, Method::DELETE, &path, Value::Null, &[]).await.refused(403, "forbidden");
        rig.ask(Method::DELETE, &path, Value::Null).await.ok();
    }
    program.ask(&rig, Method::GET, "/me").await.refused(401, "not-logged-in");
    rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.refused(401, "not-logged-in");
    let audit = rig.get(&format!("/audit?object_kind=user&object_id={of_ann}&limit=1")).await.ok().body;
    assert_eq!(audit["items"][0]["action"], "end_user_session", "{audit}");
}
