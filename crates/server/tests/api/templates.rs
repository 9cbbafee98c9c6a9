//! Image templates: made, changed, compared, restored, taken to another server.

use crate::fixture::{self, Shop};
use crate::rig::{Answer, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;

on_both_databases! {
    a_disk_that_is_published_already_is_refused_at_once;
    an_override_of_publishing_has_a_reason_that_is_kept;
    templates_are_compared_with_each_other;
    a_template_pins_what_it_is_made_of;
    what_does_not_belong_together_is_refused_field_by_field;
    a_template_is_changed_and_every_state_of_it_kept;
    a_revision_is_restored_unless_something_is_gone;
    two_revisions_are_compared;
    templates_are_found_by_what_they_have;
    a_template_is_made_like_another;
    a_template_goes_into_a_file_and_comes_back;
    warnings_tell_what_publishing_would_meet;
    a_template_is_made_once_for_each_key;
}

const ANY: [(&str, &str); 1] = [("if-match", "*")];

async fn patch(rig: &Rig, id: &str, body: Value) -> Answer {
    rig.ask_with(Method::PATCH, &format!("/templates/{id}"), body, &ANY).await
}

async fn get(rig: &Rig, id: &str) -> Value {
    rig.get(&format!("/templates/{id}")).await.ok().body
}

fn apps(body: &Value) -> Vec<String> {
    let app =
        |app: &Value| format!("{}@{}", app["layer"].as_str().unwrap(), app["version"].as_str().unwrap());
    body["apps"].as_array().unwrap().iter().map(app).collect()
}

async fn a_template_pins_what_it_is_made_of(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let new = json!({
        "name": " Desk ", "os": { "layer_id": shop.os }, "platform": { "layer_id": shop.platform },
        "apps": [{ "layer_id": shop.office, "priority": 5 }, { "layer_id": shop.editor }],
        "disk": { "format": "vhdx", "bytes": 137_438_953_472_i64, "recovery": "move" },
    });
    let made = rig.ask(Method::POST, "/templates", new).await.created();
    assert_eq!(made.body["name"], "Desk");
    assert_eq!(made.body["os"]["version"], "2");
    assert_eq!(apps(&made.body), ["Office@1", "Editor@1"], "the lowest priority of this template first");
    assert_eq!(made.body["apps"][0]["layer_priority"], 20);
    let disk = json!({
        "format": "vhdx", "bytes": 137_438_953_472_i64, "name": null, "recovery": "move",
        "generalisation": "none",
    });
    assert_eq!(made.body["disk"], disk);
    assert_eq!(made.headers["location"], format!("/api/v1/templates/{}", made.body["id"].as_str().unwrap()));

    // A new version changes no template, a new name shows.
    fixture::version(&rig, &shop.office, 2, "deployable", None).await;
    rig.ask_with(Method::PATCH, &format!("/layers/{}", shop.office), json!({ "name": "Suite" }), &ANY)
        .await
        .ok();
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(apps(&get(&rig, id).await), ["Suite@1", "Editor@1"]);
}

async fn what_does_not_belong_together_is_refused_field_by_field(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let other = Shop::open(&rig, "Other ").await;
    let packaging = fixture::version(&rig, &shop.editor, 2, "packaging", None).await;
    let tools = fixture::platform(&rig, "Tools", &shop.os, "packaging").await;
    fixture::version(&rig, &tools, 1, "deployable", None).await;
    let empty = fixture::app(&rig, "Empty", &shop.os, 40).await;
    let with = |field: &str, value: Value| {
        let mut new = shop.template("Desk");
        new[field] = value;
        new
    };
    let post = async |new: Value| rig.ask(Method::POST, "/templates", new).await.refused(422, "invalid");

    let version = |id: &str| json!({ "version_id": id });
    let answer = post(with("apps", json!([version(&shop.office_1), version(&other.office_1)])))
        .await
        .field("apps[1]", "layer-of-other-os");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("app:Other Office@1") && message.contains("Other Windows"), "{message}");
    post(with("platform", version(&other.platform_1))).await.field("platform", "layer-of-other-os");
    post(with("os", version(&other.os_1)))
        .await
        .field("platform", "layer-of-other-os")
        .field("apps[0]", "layer-of-other-os")
        .field("apps[1]", "layer-of-other-os");
    post(with("os", version(&shop.office_1))).await.field("os", "version-wrong-kind");
    post(with(
        "apps",
        json!([version(&shop.os_1), version(&packaging), version(&shop.os), { "layer_id": empty }]),
    ))
    .await
    .field("apps[0]", "version-wrong-kind")
    .field("apps[1]", "version-not-deployable")
    .field("apps[2]", "version-unknown")
    .field("apps[3]", "no-deployable-version");
    post(with("apps", json!([version(&shop.office_1), { "layer_id": shop.office }])))
        .await
        .field("apps[1]", "layer-twice");
    post(with("apps", json!([{ "version_id": shop.office_1, "priority": 0 }, {}])))
        .await
        .field("apps[0].priority", "out-of-range")
        .field("apps[1]", "pick-one");
    post(with("apps", Value::Array(vec![json!({}); 201]))).await.field("apps", "too-many");
    post(with("os", json!({ "version_id": shop.os_1, "layer_id": shop.os }))).await.field("os", "pick-one");
    post(with("os", json!({ "layer_id": shop.os_1 }))).await.field("os", "layer-unknown");
    post(with("platform", json!({ "layer_id": tools }))).await.field("platform", "platform-not-publishing");
    post(with("configuration_id", json!(shop.os))).await.field("configuration_id", "configuration-unknown");
    post(with("icon_id", json!(shop.os))).await.field("icon_id", "icon-unknown");
    post(with("disk", json!({ "format": "vhd", "bytes": 1000, "name": "../x" })))
        .await
        .field("disk.bytes", "out-of-range")
        .field("disk.name", "disk-name");
    let vdi = with("disk", json!({ "format": "vdi" }));
    let refused = rig.ask(Method::POST, "/templates", vdi).await.refused(422, "body-data");
    assert!(refused.body["message"].as_str().unwrap().contains("qcow2"), "{:#}", refused.body);
    assert_eq!(rig.get("/templates").await.ok().body["items"], json!([]), "nothing was made");

    shop.make(&rig, "Desk").await;
    post(with("name", json!("DESK"))).await.field("name", "name-taken");
}

async fn a_template_is_changed_and_every_state_of_it_kept(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    let comment = [("if-match", "\"1\""), ("x-lamina-comment", "without%20apps")];
    let path = format!("/templates/{id}");
    let changed = rig.ask_with(Method::PATCH, &path, json!({ "apps": [] }), &comment).await.ok();
    assert_eq!(changed.etag.as_deref(), Some("\"2\""));
    assert_eq!(changed.body["apps"], json!([]));
    assert_eq!(changed.body["platform"]["version"], "1", "what is absent stays");
    rig.ask_with(Method::PATCH, &path, json!({}), &comment).await.refused(412, "changed-meanwhile");
    let cleared = patch(&rig, &id, json!({ "platform": null, "configuration_id": null })).await.ok();
    assert_eq!((&cleared.body["platform"], &cleared.body["configuration"]), (&Value::Null, &Value::Null));

    let revisions = rig.get(&format!("{path}/revisions")).await.ok().body["items"].clone();
    let numbers: Vec<&Value> = revisions.as_array().unwrap().iter().map(|item| &item["revision"]).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(
        (&revisions[1]["author"], &revisions[1]["comment"]),
        (&json!("admin"), &json!("without apps"))
    );
    let page = rig.get(&format!("{path}/revisions?limit=2")).await.ok();
    let next = page.body["next"].as_str().unwrap();
    let rest = rig.get(&format!("{path}/revisions?limit=2&cursor={next}")).await.ok();
    assert_eq!(rest.body["items"][0]["revision"], 1);
    let first = rig.get(&format!("{path}/revisions/1")).await.ok();
    assert_eq!(apps(&first.body["content"]), ["Editor@1", "Office@1"]);
    for number in ["0", "4", "x", "99999999999999999999"] {
        rig.get(&format!("{path}/revisions/{number}")).await.refused(404, "not-found");
    }

    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "\"2\"")])
        .await
        .refused(412, "changed-meanwhile");
    rig.ask_with(Method::DELETE, &path, Value::Null, &ANY).await.ok();
    rig.get(&path).await.refused(404, "not-found");
    rig.get(&format!("{path}/revisions/1")).await.refused(404, "not-found");
    let audit = rig.get(&format!("/audit?object_id={id}&sort=at")).await.ok();
    let actions: Vec<&Value> = audit.body["items"].as_array().unwrap().iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["create_template", "update_template", "update_template", "delete_template"]);
}

async fn a_revision_is_restored_unless_something_is_gone(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    patch(&rig, &id, json!({ "name": "Kiosk", "apps": [], "configuration_id": null })).await.ok();
    let restore = async |number: i64, etag: &str| {
        let path = format!("/templates/{id}/revisions/{number}/restore");
        rig.ask_with(Method::POST, &path, Value::Null, &[("if-match", etag)]).await
    };
    restore(1, "\"1\"").await.refused(412, "changed-meanwhile");
    let restored = restore(1, "\"2\"").await.ok();
    assert_eq!((&restored.body["name"], &restored.body["revision"]), (&json!("Desk"), &json!(3)));
    assert_eq!(apps(&restored.body), ["Editor@1", "Office@1"]);
    restore(9, "*").await.refused(404, "not-found");

    // The name was taken, a version and a configuration deleted meanwhile.
    restore(2, "*").await.ok();
    let other = json!({ "name": "Desk", "os": { "layer_id": shop.os }, "disk": { "format": "raw" } });
    rig.ask(Method::POST, "/templates", other).await.created();
    restore(1, "*").await.refused(422, "invalid").field("name", "name-taken");
    for sql in ["DELETE FROM versions WHERE id = $1", "DELETE FROM connector_configurations WHERE id = $1"] {
        let gone = if sql.contains("versions") { &shop.office_1 } else { &shop.configuration };
        rig.app.db().execute(Statement::new(sql).bind(gone.as_str())).await.unwrap();
    }
    let refused = restore(1, "*")
        .await
        .refused(422, "invalid")
        .field("apps[1]", "version-unknown")
        .field("configuration_id", "configuration-unknown");
    let text = refused.body["fields"].to_string();
    assert!(
        text.contains("app:Office@1 is no longer there") && text.contains("Share is no longer"),
        "{text}"
    );
    let old = rig.get(&format!("/templates/{id}/revisions/1")).await.ok();
    assert_eq!(apps(&old.body["content"]), ["Editor@1", "Office@1"], "it can still be read");
}

async fn two_revisions_are_compared(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "deployable", None).await;
    let change = json!({
        "description": "For all.", "os": { "version_id": shop.os_1 }, "apps": [{ "version_id": office_2 }],
        "disk": { "format": "qcow2" },
    });
    patch(&rig, &id, change).await.ok();
    let compare = async |query: &str| rig.get(&format!("/templates/{id}/compare?{query}")).await;
    let found = compare("from=1&to=2").await.ok().body;
    let fields: Vec<&Value> =
        found["fields"].as_array().unwrap().iter().map(|change| &change["field"]).collect();
    assert_eq!(fields, ["description", "os", "disk.format"]);
    assert_eq!(
        (&found["fields"][2]["before"], &found["fields"][2]["after"]),
        (&json!("vhd"), &json!("qcow2"))
    );
    assert_eq!(found["apps_removed"][0]["layer"], "Editor");
    assert_eq!(found["apps_added"], json!([]));
    assert_eq!(found["apps_changed"][0]["before"]["version"], "1");
    assert_eq!(found["apps_changed"][0]["after"]["version"], "2");
    let same = compare("from=2&to=2").await.ok().body;
    assert!(same.as_object().unwrap().values().all(|list| list == &json!([])), "{same:#}");
    compare("from=1&to=3").await.refused(404, "not-found");
    compare("from=1").await.refused(422, "query");
}

async fn templates_are_found_by_what_they_have(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let other = Shop::open(&rig, "Other ").await;
    let desk = shop.make(&rig, "Desk").await;
    shop.make(&rig, "Kiosk").await;
    other.make(&rig, "Phone desk").await;
    patch(&rig, &desk, json!({ "apps": [{ "version_id": shop.editor_1 }] })).await.ok();
    let names = async |query: &str| {
        let page = rig.get(&format!("/templates?{query}")).await.ok();
        let items = page.body["items"].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (query, expected) in [
        (String::new(), &["Desk", "Kiosk", "Phone desk"][..]),
        ("search=DESK".to_owned(), &["Desk", "Phone desk"]),
        ("sort=-changed_at&limit=1".to_owned(), &["Desk"]),
        ("sort=-created_at&limit=1".to_owned(), &["Phone desk"]),
        (format!("os_layer={}", shop.os), &["Desk", "Kiosk"]),
        (format!("layer={}", shop.office), &["Kiosk"]),
        (format!("layer={}", shop.editor), &["Desk", "Kiosk"]),
        (format!("layer={}", shop.platform), &["Desk", "Kiosk"]),
        (format!("layer={}", shop.os), &["Desk", "Kiosk"]),
        (format!("version={}", shop.os_2), &["Desk", "Kiosk"]),
        (format!("version={}", shop.os_1), &[]),
        (format!("version={}", other.office_1), &["Phone desk"]),
        (format!("version={}&search=kiosk", shop.platform_1), &["Kiosk"]),
        (format!("configuration={}", other.configuration), &["Phone desk"]),
    ] {
        assert_eq!(names(&query).await, expected, "{query}");
    }
    let listed = rig.get("/templates?search=kiosk").await.ok();
    assert_eq!(apps(&listed.body["items"][0]), ["Editor@1", "Office@1"], "a row has its apps");
}

async fn a_template_is_made_like_another(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    let clone = async |body: Value| rig.ask(Method::POST, &format!("/templates/{id}/clone"), body).await;
    clone(json!({ "name": "desk" })).await.refused(422, "invalid").field("name", "name-taken");
    clone(json!({ "name": "" })).await.refused(422, "invalid").field("name", "name-missing");
    let made = clone(json!({ "name": "Kiosk", "description": "For guests." })).await.created();
    assert_eq!((&made.body["name"], &made.body["revision"]), (&json!("Kiosk"), &json!(1)));
    let (mut one, mut other) = (get(&rig, &id).await, made.body);
    for template in [&mut one, &mut other] {
        for field in ["id", "name", "description", "created_at", "changed_at"] {
            template.as_object_mut().unwrap().remove(field);
        }
    }
    assert_eq!(one, other);
}

async fn a_template_goes_into_a_file_and_comes_back(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    let mut file = rig.get(&format!("/templates/{id}/export")).await.ok().body;
    assert_eq!(file["template_format"], 1);
    assert_eq!((&file["os"], &file["platform"]), (&json!("os:Windows@2"), &json!("platform:Azure@1")));
    assert_eq!(
        file["apps"],
        json!([{ "app": "app:Editor@1", "priority": null }, { "app": "app:Office@1", "priority": null }])
    );
    assert_eq!((&file["configuration"], &file["icon"]), (&json!("Share"), &json!("Image template")));
    assert!(!file.to_string().contains(&shop.os), "no identifier of this server");

    let import = async |file: &Value| rig.ask(Method::POST, "/templates/import", file.clone()).await;
    import(&file).await.refused(422, "invalid").field("name", "name-taken");
    file["name"] = json!("Again");
    file["apps"][0] = json!({ "app": "EDITOR", "priority": 7 });
    let made = import(&file).await.created();
    assert_eq!(apps(&made.body), ["Editor@1", "Office@1"]);
    assert_eq!(made.body["apps"][0]["priority"], 7);
    assert_eq!(made.body["configuration"]["id"], json!(shop.configuration));

    file["name"] = json!("Elsewhere");
    file["icon"] = json!("Nothing");
    file["configuration"] = json!("Nowhere");
    file["os"] = json!("os:Windows@9");
    file["platform"] = json!("app:Office");
    file["apps"] = json!([{ "app": "Nothing" }, { "app": "a:b:c" }, { "app": "app:Office" }]);
    import(&file)
        .await
        .refused(422, "invalid")
        .field("icon", "icon-unknown")
        .field("configuration", "configuration-unknown")
        .field("os", "not-found")
        .field("platform", "version-wrong-kind")
        .field("apps[0].app", "not-found")
        .field("apps[1].app", "reference-invalid");
    file["template_format"] = json!(2);
    let newer = import(&file).await.refused(422, "body-data");
    assert!(newer.body["message"].as_str().unwrap().contains("newer Lamina"), "{:#}", newer.body);
}

async fn warnings_tell_what_publishing_would_meet(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let id = shop.make(&rig, "Desk").await;
    let codes = |body: &Value| {
        let warnings = body["warnings"].as_array().unwrap().iter();
        warnings.map(|warning| warning["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&get(&rig, &id).await), [""; 0]);
    let older = patch(&rig, &id, json!({ "os": { "version_id": shop.os_1 } })).await.ok();
    assert_eq!(codes(&older.body), ["os-version-differs"]);
    let message = older.body["warnings"][0]["message"].as_str().unwrap();
    assert!(message.contains("Azure@1 was made on version 2"), "{message}");
    assert_eq!(codes(&rig.get("/templates").await.ok().body["items"][0]), ["os-version-differs"]);
    let gone = Statement::new("DELETE FROM versions WHERE id = $1").bind(shop.os_2.as_str());
    rig.app.db().execute(gone).await.unwrap();
    let message = get(&rig, &id).await["warnings"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("no longer there"), "{message}");
    let bare = patch(&rig, &id, json!({ "platform": null, "configuration_id": null })).await.ok();
    assert_eq!(codes(&bare.body), ["platform-missing", "configuration-missing"]);
}

async fn a_template_is_made_once_for_each_key(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let key = [("idempotency-key", "k")];
    let new = shop.template("Desk");
    let first = rig.ask_with(Method::POST, "/templates", new.clone(), &key).await.created();
    let again = rig.ask_with(Method::POST, "/templates", new, &key).await.created();
    assert_eq!(first.body, again.body);
    let path = format!("/templates/{}/clone", first.body["id"].as_str().unwrap());
    rig.ask_with(Method::POST, &path, json!({ "name": "Kiosk" }), &key)
        .await
        .refused(409, "idempotency-key-reused");
    assert_eq!(rig.get("/templates").await.ok().body["items"].as_array().unwrap().len(), 1);
}

async fn templates_are_compared_with_each_other(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let desk = shop.make(&rig, "Desk").await;
    let mut kiosk = shop.template("Kiosk");
    kiosk["apps"] = json!([{ "version_id": shop.office_1, "priority": 3 }]);
    let kiosk = rig.ask(Method::POST, "/templates", kiosk).await.created().body;
    let path = format!("/templates/{desk}/diff?to={}", kiosk["id"].as_str().unwrap());
    let found = rig.get(&path).await.ok().body;
    assert_eq!(found["fields"], json!([{ "field": "name", "before": "Desk", "after": "Kiosk" }]));
    assert_eq!(found["apps_removed"][0]["layer"], "Editor");
    assert_eq!(found["apps_changed"][0]["after"]["priority"], 3);
    let nothing = crate::fixture::no_template();
    rig.get(&format!("/templates/{desk}/diff?to={nothing}")).await.refused(404, "not-found");
}

async fn an_override_of_publishing_has_a_reason_that_is_kept(rig: Rig) {
    rig.become_administrator().await;
    let desk = Shop::open(&rig, "").await.make(&rig, "Desk").await;
    let publish = |reason: &str| json!({ "templates": [{ "template_id": desk }], "override_reason": reason });
    for reason in ["", "  ", &"x".repeat(5000)] {
        let refused = rig.ask(Method::POST, "/publish", publish(reason)).await;
        refused.refused(422, "invalid").field("override_reason", "override-reason");
    }
    rig.ask(Method::POST, "/publish", publish(" tested by hand ")).await.created();
    let audit = rig.get("/audit?action=publish_templates").await.ok().body;
    assert_eq!(audit["items"][0]["detail"]["override_reason"], "tested by hand");
}

async fn a_disk_that_is_published_already_is_refused_at_once(mut rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let (desk, kiosk) = (shop.make(&rig, "Desk").await, shop.make(&rig, "Kiosk").await);
    let one = |template: &str, disk: &str| json!({ "template_id": template, "disk": disk });
    let both = json!({ "templates": [one(&desk, "it.vhd"), one(&kiosk, "IT.vhd")] });
    let refused = rig.ask(Method::POST, "/publish", both).await.refused(422, "invalid");
    refused.field("templates[1].disk", "disk-name-taken");
    assert_eq!(rig.get("/tasks").await.ok().body["items"], json!([]), "either all of them or none");

    // A task that is under way, and that nobody carries out.
    let task = fixture::task(&rig, "admin").await;
    let claim = format!("{}/it.vhd", shop.configuration);
    let claims = Statement::new("UPDATE tasks SET claims = $2 WHERE id = $1").bind(task.as_str()).bind(claim);
    rig.app.db().execute(claims).await.unwrap();
    let again = json!({ "templates": [one(&desk, "It.vhd")] });
    let refused = rig.ask(Method::POST, "/publish", again.clone()).await.refused(422, "invalid");
    let refused = refused.field("templates[0].disk", "disk-name-taken");
    assert!(refused.body["message"].as_str().unwrap().contains(&task), "{:#}", refused.body);
    rig.ask(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await.ok();
    let ended = Statement::new("UPDATE tasks SET ended_at = 1, state = 'stopped' WHERE id = $1").bind(task);
    rig.app.db().execute(ended).await.unwrap();
    rig.ask(Method::POST, "/publish", again).await.created();
    rig.stop().await;
}
