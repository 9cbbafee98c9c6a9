//! Requests that nobody should send.

use crate::document::operations;
use crate::rig::{Answer, PASSWORD, Rig, on_both_databases};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    a_body_that_is_not_as_it_should_be_is_refused_with_its_reason;
    a_page_of_another_site_gets_nowhere;
    what_is_not_there_is_said_to_be_not_there;
    answers_tell_browsers_to_be_careful;
    whoever_asks_for_the_headers_alone_gets_them;
    a_text_with_the_character_of_number_zero_is_refused_wherever_it_stands;
}

async fn whoever_asks_for_the_headers_alone_gets_them(rig: Rig) {
    rig.become_administrator().await;
    let mut asked = 0;
    for (method, path, operation) in operations() {
        if method != "get" {
            continue;
        }
        asked += 1;
        let path = path.replace("{id}", "0190c5f0-0000-7000-8000-000000000000").replace("{number}", "1");
        let head = rig.ask(Method::HEAD, &path, Value::Null).await;
        assert_eq!(head.body, Value::Null, "{operation}");
        let get = rig.get(&path).await;
        assert_eq!(head.status, get.status, "{operation}: {:#}", get.body);
        assert!(head.status.as_u16() < 500, "{operation}: {}", head.status);
        let strangers = rig.ask_as(&rig.stranger(), Method::HEAD, &path, Value::Null, &[]).await.status;
        assert_eq!(strangers == 401, operation != "health", "{operation} as a stranger: {strangers}");
    }
    assert!(asked > 30, "the operations are found");
}

async fn a_text_with_the_character_of_number_zero_is_refused_wherever_it_stands(rig: Rig) {
    let nul = |answer: Answer, field: &str| drop(answer.refused(422, "invalid").field(field, "text-nul"));
    let log_in = async |name: &str, password: &str| {
        let credentials = json!({ "name": name, "password": password });
        rig.ask_as(&rig.stranger(), Method::POST, "/session", credentials, &[]).await
    };
    nul(log_in("ad\u{0}min", "x").await, "name");
    nul(log_in("admin", "\u{0}").await, "password");

    rig.become_administrator().await;
    for (path, field) in [
        ("/layers?search=a%00b", "search"),
        ("/audit?action=%00", "action"),
        ("/audit?object_kind=%00", "object_kind"),
        ("/audit?object_id=%00", "object_id"),
        ("/tasks?object=%00", "object"),
        ("/tasks?kind=%00", "kind"),
        ("/connector-configurations?connector=%00", "connector"),
        ("/users?search=%00", "search"),
        ("/icons?search=%00", "search"),
        ("/me/sessions?address=%00", "address"),
        ("/resolve?reference=app%3A%00", "reference"),
        ("/users?se%00arch=x", "se?arch"),
        ("/users/%00", "id"),
        ("/connectors/file%00share", "id"),
        ("/templates/%00/revisions/1", "id"),
    ] {
        nul(rig.get(path).await, field);
    }
    for cursor in
        [json!({ "s": "name", "t": "\u{0}", "i": "x" }), json!({ "s": "name", "t": "x", "i": "\u{0}" })]
    {
        let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
        let answer = rig.get(&format!("/users?sort=name&cursor={cursor}")).await;
        answer.refused(422, "invalid").field("cursor", "cursor-unreadable");
    }
    let file =
        json!({ "name": "x", "apps": [{ "layer": "Office" }, { "layer": "Edi\u{0}tor", "version": "1" }] });
    nul(rig.ask(Method::POST, "/templates/import", file).await, "apps[1].layer");
    let fields = json!({ "connector": "fileshare", "name": "x", "fields": { "pa\u{0}th": "/" } });
    nul(rig.ask(Method::POST, "/connector-configurations", fields).await, "fields.pa?th");
    let icon = rig.upload("/icons?name=a%00b", "image/png", crate::icons::png()).await;
    nul(icon, "name");
    let new = json!({ "name": "Ann" });
    let comment = [("x-lamina-comment", "a%00b")];
    let answer = rig.ask_with(Method::POST, "/users", new.clone(), &comment).await;
    answer.refused(422, "invalid").field("X-Lamina-Comment", "comment-control-character");
    // This is no such character, but a backslash and some letters.
    let backslash = json!({ "name": "Ann", "full_name": "\\u0000" });
    rig.ask_with(Method::POST, "/users", backslash, &[("idempotency-key", "%00")]).await.created();
}

async fn a_body_that_is_not_as_it_should_be_is_refused_with_its_reason(rig: Rig) {
    rig.become_administrator().await;
    let post = |body: Value| rig.ask(Method::POST, "/users", body);
    let unknown = post(json!({ "name": "Ann", "colour": "red" })).await.refused(422, "body-data");
    assert!(unknown.body["message"].as_str().unwrap().contains("colour"), "{:#}", unknown.body);
    post(json!({ "name": 7 })).await.refused(422, "body-data");
    post(json!([])).await.refused(422, "body-data");
    post(json!({ "name": "Ann", "roles": ["root"] })).await.refused(422, "body-data");
    post(json!({ "name": "a/b", "full_name": "x\u{1}" }))
        .await
        .refused(422, "invalid")
        .field("name", "name-character")
        .field("full_name", "full-name");

    let raw = async |body: Vec<u8>, kind: &'static str| {
        let request = rig.client.post(rig.url("/users")).header("content-type", kind).body(body);
        Answer::of(request.send().await.unwrap()).await
    };
    raw(b"{".to_vec(), "application/json").await.refused(400, "body-syntax");
    raw(b"{\"name\":\"\xff\"}".to_vec(), "application/json").await.refused(400, "body-syntax");
    raw(b"name=Ann".to_vec(), "application/x-www-form-urlencoded").await.refused(415, "body-type");
    raw(vec![b' '; 2 * 1024 * 1024], "application/json").await.refused(413, "body-unreadable");
    let deep = "[".repeat(100_000).into_bytes();
    raw(deep, "application/json").await.refused(422, "body-data");
    assert_eq!(rig.get("/users").await.ok().body["items"].as_array().unwrap().len(), 1, "nothing was made");
}

async fn a_page_of_another_site_gets_nowhere(rig: Rig) {
    rig.become_administrator().await;
    let new = json!({ "name": "Ann" });
    for headers in [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
    ] {
        rig.ask_with(Method::POST, "/users", new.clone(), &headers).await.refused(403, "cross-site-request");
    }
    let stranger = rig.stranger();
    let credentials = json!({ "name": "admin", "password": PASSWORD });
    let evil = [("origin", "https://evil.example")];
    rig.ask_as(&stranger, Method::POST, "/session", credentials, &evil)
        .await
        .refused(403, "cross-site-request");
    let own = format!("http://{}", rig.address);
    rig.ask_with(Method::POST, "/users", new, &[("origin", &own)]).await.created();
}

async fn what_is_not_there_is_said_to_be_not_there(rig: Rig) {
    rig.become_administrator().await;
    rig.get("/nothing").await.refused(404, "no-such-path");
    rig.get("/users/../../etc/passwd").await.refused(404, "no-such-path");
    rig.get("/users/%2e%2e%2fsettings").await.refused(404, "not-found");
    rig.get("/users/1").await.refused(404, "not-found");
    rig.get("/users/0190C5F0-0000-7000-8000-000000000000").await.refused(404, "not-found");
    rig.ask(Method::PUT, "/users", json!({})).await.refused(405, "no-such-method");
}

async fn answers_tell_browsers_to_be_careful(rig: Rig) {
    let health = rig.get("/health").await.ok();
    assert_eq!(health.body["database"], rig.app.db().kind());
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(health.headers[name], value, "{name}");
    }
    let password = rig.first_password.clone().unwrap();
    let session =
        rig.ask(Method::POST, "/session", json!({ "name": "admin", "password": password })).await.ok();
    let cookie = session.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
}
