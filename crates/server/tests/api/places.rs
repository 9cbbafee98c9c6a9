//! Connectors and their configurations: what a wizard asks, and secrets that go in and never come out.

use crate::rig::{Answer, Rig, on_both_databases};
use connectors::simulated::{Operation, PASSWORD, When};
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;

on_both_databases! {
    forms_are_drawn_from_what_a_connector_says_of_itself;
    a_configuration_is_tried_made_changed_and_removed;
    values_are_checked_and_named_as_they_were_sent;
    a_secret_goes_in_and_never_comes_out;
    a_saved_secret_is_not_sent_to_another_place;
    what_a_connector_cannot_do_says_why;
    a_connector_that_does_not_answer_holds_nobody_up;
    names_are_listed_page_by_page;
    a_configuration_that_is_used_stays;
    the_file_share_is_tried_before_it_is_saved;
    what_layers_are_made_through_is_led_elsewhere_by_an_administrator_alone;
    a_path_on_the_servers_machine_is_an_administrators_to_name;
}

const ANY: [(&str, &str); 1] = [("if-match", "*")];

/// Makes a configuration and gives its path.
pub(crate) async fn configuration(rig: &Rig, new: Value) -> String {
    let made = rig.ask(Method::POST, "/connector-configurations", new).await.created();
    format!("/connector-configurations/{}", made.body["id"].as_str().unwrap())
}

pub(crate) fn simulated(name: &str, password: &str) -> Value {
    json!({ "connector": "simulated", "name": name, "secrets": { "password": password } })
}

fn smb(name: &str) -> Value {
    let fields = json!({ "access": "smb", "server": "nas.invalid", "share": "disks", "user": "lamina" });
    json!({ "connector": "fileshare", "name": name, "fields": fields, "secrets": { "password": "old secret" } })
}

async fn forms_are_drawn_from_what_a_connector_says_of_itself(rig: Rig) {
    rig.become_administrator().await;
    let reader = rig.user("reader", &["read-only"]).await;
    let all = rig.ask_as(&reader, Method::GET, "/connectors", Value::Null, &[]).await.ok();
    let kinds: Vec<&Value> = all.body.as_array().unwrap().iter().map(|kind| &kind["kind"]).collect();
    assert_eq!(kinds, ["fileshare", "simulated"]);
    let share = rig.get("/connectors/fileshare").await.ok();
    assert_eq!(share.body, all.body[0]);
    assert!(share.body["capabilities"]["formats"]["publish"].is_array(), "{:#}", share.body);
    let fields = share.body["fields"].as_array().unwrap();
    let password = fields.iter().find(|field| field["name"] == "password").unwrap();
    assert_eq!(password["type"], "secret");
    assert_eq!(password["only_when"], json!({ "field": "access", "is": "smb" }));
    rig.get("/connectors/teleporter").await.refused(404, "not-found");
}

async fn a_configuration_is_tried_made_changed_and_removed(rig: Rig) {
    rig.become_administrator().await;
    let folder = rig.directory.path().join("share");
    let fields = json!({ "path": folder });
    let test = async |path: &str, values: Value| rig.ask(Method::POST, path, values).await.ok().body;
    let report = test("/connectors/fileshare/test", json!({ "fields": fields })).await;
    assert_eq!(report["passed"], false, "there is no such folder: {report:#}");
    assert!(report["trials"][0]["hint"].is_string(), "{report:#}");
    std::fs::create_dir(&folder).unwrap();
    let report = test("/connectors/fileshare/test", json!({ "fields": fields })).await;
    assert_eq!(report["passed"], true, "{report:#}");
    let check = rig.ask(Method::POST, "/connectors/fileshare/check-credentials", json!({ "fields": fields }));
    assert_eq!(check.await.status.as_u16(), 204);

    let new =
        json!({ "connector": "fileshare", "name": " Share ", "fields": { "path": folder, "server": "" } });
    let made = rig.ask(Method::POST, "/connector-configurations", new).await.created();
    assert_eq!(made.body["name"], "Share");
    assert_eq!(made.body["fields"], fields, "empty is absent");
    assert_eq!(made.body["secrets"], json!([]));
    let path = format!("/connector-configurations/{}", made.body["id"].as_str().unwrap());
    assert_eq!(rig.get(&path).await.ok().body, made.body);
    assert_eq!(test(&format!("{path}/test"), json!({})).await["passed"], true);
    let other = json!({ "fields": { "path": "/does/not/exist" } });
    assert_eq!(test(&format!("{path}/test"), other).await["passed"], false, "what is sent goes before");

    configuration(&rig, simulated("Platform", PASSWORD)).await;
    let named = rig.get("/connector-configurations?search=SHA").await.ok();
    assert_eq!(named.body["items"], json!([made.body]));
    let listed = rig.get("/connector-configurations?connector=simulated").await.ok();
    assert_eq!(listed.body["items"][0]["name"], "Platform");

    let tag = made.etag.unwrap();
    let rename = json!({ "name": "PLATFORM" });
    rig.ask_with(Method::PATCH, &path, rename, &ANY)
        .await
        .refused(422, "invalid")
        .field("name", "name-taken");
    let changed =
        rig.ask_with(Method::PATCH, &path, json!({ "name": "share" }), &[("if-match", &tag)]).await.ok();
    assert_eq!(changed.body["fields"], fields, "what is absent stays");
    let again = json!({ "name": "x" });
    rig.ask_with(Method::PATCH, &path, again, &[("if-match", &tag)]).await.refused(412, "changed-meanwhile");
    let publisher = rig.user("manager", &["manage-image-templates"]).await;
    rig.ask_as(&publisher, Method::DELETE, &path, Value::Null, &ANY).await.refused(403, "forbidden");
    rig.ask_with(Method::DELETE, &path, Value::Null, &ANY).await.ok();
    rig.get(&path).await.refused(404, "not-found");
}

async fn values_are_checked_and_named_as_they_were_sent(rig: Rig) {
    rig.become_administrator().await;
    let post = |new: Value| rig.ask(Method::POST, "/connector-configurations", new);
    post(json!({ "connector": "teleporter", "name": "a/b" }))
        .await
        .refused(422, "invalid")
        .field("name", "name-character")
        .field("connector", "connector-unknown");
    let mut new = smb("Share");
    new["fields"]["server"] = json!("\\\\nas");
    new["fields"]["password"] = json!("in the clear");
    new["fields"]["colour"] = json!("red");
    new["secrets"] = json!({ "user": "lamina", "pin": "1" });
    post(new)
        .await
        .refused(422, "invalid")
        .field("fields.server", "field-pattern")
        .field("fields.password", "field-secrecy")
        .field("fields.colour", "field-unknown")
        .field("secrets.user", "field-secrecy")
        .field("secrets.pin", "field-unknown")
        .field("secrets.password", "field-required");
    let relative = json!({ "connector": "fileshare", "name": "Share", "fields": { "path": "../etc" } });
    post(relative).await.refused(422, "invalid").field("fields.path", "field-path");
    // Many complaints are not an answer of many megabytes.
    let mut many = smb("Share");
    for number in 0..5000 {
        many["fields"][format!("x{number}")] = json!(1);
    }
    let refused = post(many).await.refused(422, "invalid");
    assert_eq!(refused.body["fields"].as_array().unwrap().len(), 50);
    assert_eq!(rig.get("/connector-configurations").await.ok().body["items"], json!([]));
}

async fn a_secret_goes_in_and_never_comes_out(rig: Rig) {
    rig.become_administrator().await;
    let secret = "correct horse staple";
    let mut new = smb("Share");
    new["secrets"]["password"] = json!(secret);
    let key = [("idempotency-key", "k")];
    let made = rig.ask_with(Method::POST, "/connector-configurations", new.clone(), &key).await.created();
    assert_eq!(made.body["secrets"], json!(["password"]));
    let again = rig.ask_with(Method::POST, "/connector-configurations", new.clone(), &key).await.created();
    assert_eq!(again.body, made.body);
    let path = format!("/connector-configurations/{}", made.body["id"].as_str().unwrap());
    let patch = async |body: Value| rig.ask_with(Method::PATCH, &path, body, &ANY).await.ok().body;
    let other = "another battery staple";
    let changed = patch(json!({ "secrets": { "password": other } })).await;
    assert_eq!(changed["secrets"], json!(["password"]));
    let audit = rig.get("/audit?object_kind=connector-configuration").await.ok();
    assert_eq!(
        audit.body["items"][0]["detail"]["new_secrets"],
        json!(["password"]),
        "that it changed is said"
    );

    let rows =
        rig.app.db().all(Statement::new("SELECT secrets FROM connector_configurations")).await.unwrap();
    let stored = rows[0].bytes("secrets").unwrap();
    let audit = rig.app.db().all(Statement::new("SELECT detail FROM audit")).await.unwrap();
    let kept = rig.app.db().all(Statement::new("SELECT request, answer FROM idempotency")).await.unwrap();
    for secret in [secret, other] {
        assert!(
            !stored.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "sealed in the database"
        );
        assert!(audit.iter().all(|row| !row.text("detail").unwrap().contains(secret)));
        assert!(kept.iter().all(|row| !row.text("answer").unwrap().contains(secret)));
        assert!(!changed.to_string().contains(secret) && !made.body.to_string().contains(secret));
    }
    // Taken away where it is no longer used, and refused where it is.
    rig.ask_with(Method::PATCH, &path, json!({ "secrets": { "password": null } }), &ANY)
        .await
        .refused(422, "invalid")
        .field("secrets.password", "field-required");
    let folder = patch(json!({ "fields": { "path": rig.directory.path() } })).await;
    assert_eq!(folder["secrets"], json!([]), "a folder has no password");
}

async fn a_saved_secret_is_not_sent_to_another_place(rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let manager = rig.user("manager", &["manage-app-layers"]).await;
    let ask = async |method: Method, path: String, body: Value| {
        rig.ask_as(&manager, method, &path, body, &ANY).await
    };
    let elsewhere = json!({ "fields": { "place": "elsewhere" } });
    for action in ["check-credentials", "test"] {
        ask(Method::POST, format!("{path}/{action}"), elsewhere.clone())
            .await
            .refused(422, "invalid")
            .field("secrets.password", "field-secret-again");
    }
    let browse = json!({ "what": "disks", "values": elsewhere });
    ask(Method::POST, format!("{path}/browse"), browse)
        .await
        .refused(422, "invalid")
        .field("secrets.password", "field-secret-again");
    ask(Method::PATCH, path.clone(), elsewhere.clone())
        .await
        .refused(422, "invalid")
        .field("secrets.password", "field-secret-again");
    assert_eq!(rig.simulation.calls(Operation::CheckCredentials), 0, "nobody was asked");
    let mut with = elsewhere;
    with["secrets"] = json!({ "password": PASSWORD });
    ask(Method::POST, format!("{path}/check-credentials"), with.clone()).await.ok();
    ask(Method::PATCH, path.clone(), with).await.ok();
    ask(Method::POST, format!("{path}/check-credentials"), json!({})).await.ok();

    // A share on the same server may be another one.
    let path = configuration(&rig, smb("Share")).await;
    let mut fields = smb("Share")["fields"].clone();
    fields["port"] = json!(445);
    fields["share"] = json!("images");
    ask(Method::PATCH, path.clone(), json!({ "fields": fields })).await.ok();
    fields["server"] = json!("evil.invalid");
    ask(Method::PATCH, path, json!({ "fields": fields }))
        .await
        .refused(422, "invalid")
        .field("secrets.password", "field-secret-again");
}

async fn what_a_connector_cannot_do_says_why(rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", "wrong")).await;
    let check = format!("{path}/check-credentials");
    let refused =
        rig.ask(Method::POST, &check, json!({})).await.refused(409, "connector-credentials-refused");
    assert!(refused.body["hint"].as_str().unwrap().contains("password"), "{:#}", refused.body);
    let right = json!({ "secrets": { "password": PASSWORD } });
    rig.ask(Method::POST, &check, right.clone()).await.ok();
    rig.ask(Method::POST, &check, json!({})).await.refused(409, "connector-credentials-refused");
    rig.simulation.fail(Operation::CheckCredentials, 1, When::Before);
    rig.ask(Method::POST, &check, right.clone()).await.refused(409, "simulated-fault");
    let report = rig.ask(Method::POST, &format!("{path}/test"), json!({})).await.ok();
    assert_eq!(report.body["passed"], false);
    let missing = json!({ "fields": { "path": "/does/not/exist" } });
    rig.ask(Method::POST, "/connectors/fileshare/check-credentials", missing)
        .await
        .refused(409, "share-not-found");
    rig.ask(Method::POST, "/connectors/teleporter/test", json!({})).await.refused(404, "not-found");
}

async fn a_connector_that_does_not_answer_holds_nobody_up(rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let check = format!("{path}/check-credentials");
    let gates: Vec<_> = (0..16).map(|_| rig.simulation.gate(Operation::CheckCredentials)).collect();
    let ask = || async { rig.ask(Method::POST, &check, json!({})).await };
    let waiting = futures_util::future::join_all((0..16).map(|_| ask()));
    let seventeenth = async {
        for gate in &gates {
            gate.reached().await;
        }
        let busy = ask().await.refused(429, "connectors-busy");
        assert!(busy.headers.contains_key("retry-after"));
        rig.get(&path).await.ok();
        gates.iter().for_each(connectors::simulated::Gate::open);
    };
    let (answers, ()) = futures_util::future::join(waiting, seventeenth).await;
    answers.into_iter().for_each(|answer| assert_eq!(answer.status.as_u16(), 204));
    ask().await.ok();
}

async fn names_are_listed_page_by_page(rig: Rig) {
    rig.become_administrator().await;
    let folder = rig.directory.path().join("share");
    std::fs::create_dir_all(folder.join("old")).unwrap();
    for name in ["b.vhdx", "a.vhdx", "old/c.vhdx", ".hidden"] {
        std::fs::write(folder.join(name), [0; 512]).unwrap();
    }
    let new = json!({ "connector": "fileshare", "name": "Share", "fields": { "path": folder } });
    let path = format!("{}/browse", configuration(&rig, new).await);
    let browse = async |body: Value| rig.ask(Method::POST, &path, body).await.ok().body;
    let first = browse(json!({ "what": "disks", "limit": 2 })).await;
    let titles = |page: &Value| -> Vec<String> {
        let entries = page["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles(&first), ["a.vhdx", "b.vhdx"]);
    assert_eq!(first["entries"][0]["bytes"], 512);
    let rest = browse(json!({ "what": "disks", "limit": 2, "cursor": first["next"] })).await;
    assert_eq!((titles(&rest), &rest["next"]), (vec!["old".to_owned()], &Value::Null));
    assert_eq!(rest["entries"][0]["kind"], "folder");
    let inside = browse(json!({ "what": "disks", "folder": "old" })).await;
    assert_eq!(inside["entries"][0]["value"], "old/c.vhdx");
    assert_eq!(titles(&browse(json!({ "what": "disks", "prefix": "B" })).await), ["b.vhdx"]);
    let unsaved = json!({ "what": "disks", "values": { "fields": { "path": folder } } });
    let listed = rig.ask(Method::POST, "/connectors/fileshare/browse", unsaved).await.ok();
    assert_eq!(titles(&listed.body).len(), 3);

    let refused = async |body: Value| rig.ask(Method::POST, &path, body).await.refused(422, "invalid");
    refused(json!({ "what": "passwords" })).await.field("what", "browse-unknown");
    refused(json!({ "what": "disks", "limit": 0 })).await.field("limit", "limit-range");
    for folder in ["..", "../..", "/etc", "old/../.."] {
        refused(json!({ "what": "disks", "folder": folder })).await.field("folder", "folder-name");
    }
}

async fn a_configuration_that_is_used_stays(rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let id = path.rsplit('/').next().unwrap();
    for sql in [
        "INSERT INTO layers (id, kind, name, name_key, description, icon_id, priority, store_name, store_key, \
         created_at, revision) SELECT 'l', 'os', 'Windows', 'windows', '', MIN(id), 0, 'w', 'w', 0, 1 FROM icons",
        "INSERT INTO versions (id, layer_id, sequence, name, name_key, description, state, store_version, \
         max_bytes, created_at, revision) VALUES ('v', 'l', 1, '1.0', '1.0', '', 'packaging', '1', 1, 0, 1)",
    ] {
        rig.app.db().execute(Statement::new(sql)).await.unwrap();
    }
    let packaging = Statement::new(
        "INSERT INTO packagings (version_id, os_version_id, configuration_id, disk_name, disk_format) \
         VALUES ('v', 'v', $1, 'd', 'vhdx')",
    );
    rig.app.db().execute(packaging.bind(id)).await.unwrap();
    let template = Statement::new(
        "INSERT INTO templates (id, name, name_key, description, icon_id, os_version_id, configuration_id, disk, \
         created_at, changed_at, revision) SELECT 't', 'Gold', 'gold', '', MIN(id), 'v', $1, '{}', 0, 0, 1 FROM icons",
    );
    rig.app.db().execute(template.bind(id)).await.unwrap();
    let delete = || async { rig.ask_with(Method::DELETE, &path, Value::Null, &ANY).await };
    let refused = delete().await.refused(409, "in-use");
    let message = refused.body["message"].as_str().unwrap();
    assert_eq!(
        message,
        "The connector configuration Platform is used by the image template Gold, the packaging disk of \
         os:Windows@1.0."
    );
    rig.app.db().execute(Statement::new("DELETE FROM templates")).await.unwrap();
    delete().await.refused(409, "in-use");
    rig.app.db().execute(Statement::new("DELETE FROM packagings")).await.unwrap();
    delete().await.ok();
}

async fn the_file_share_is_tried_before_it_is_saved(rig: Rig) {
    rig.become_administrator().await;
    let folder = rig.directory.path().join("share");
    let new = json!({ "connector": "fileshare", "name": "Share", "fields": { "path": folder } });
    let share = configuration(&rig, new).await;
    let platform = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let set = |value: Value| rig.ask_with(Method::PATCH, "/settings", json!({ "file_share": value }), &ANY);
    set(json!(id(&platform))).await.refused(422, "invalid").field("file_share", "not-a-file-share");
    set(json!("0190c5f0-0000-7000-8000-000000000000"))
        .await
        .refused(422, "invalid")
        .field("file_share", "configuration-unknown");
    let refused = set(json!(id(&share))).await.refused(422, "invalid").field("file_share", "file-share-test");
    assert!(refused.body["message"].as_str().unwrap().contains("share"), "{:#}", refused.body);
    assert_eq!(rig.get("/settings").await.ok().body["file_share"], Value::Null);

    std::fs::create_dir(&folder).unwrap();
    assert_eq!(set(json!(id(&share))).await.ok().body["file_share"], id(&share));
    let elsewhere = json!({ "fields": { "path": rig.directory.path().join("nowhere") } });
    let refused = rig.ask_with(Method::PATCH, &share, elsewhere, &ANY).await.refused(422, "invalid");
    refused.field("fields", "file-share-test");
    rig.ask_with(Method::PATCH, &share, json!({ "name": "The share" }), &ANY).await.ok();
    let other = json!({ "audit_retention_days": 60 });
    let kept = rig.ask_with(Method::PATCH, "/settings", other, &ANY).await.ok();
    assert_eq!(kept.body["file_share"], id(&share), "what is absent stays");
    let refused = rig.ask_with(Method::DELETE, &share, Value::Null, &ANY).await.refused(409, "in-use");
    assert!(refused.body["message"].as_str().unwrap().contains("file_share"), "{:#}", refused.body);
    assert_eq!(set(Value::Null).await.ok().body["file_share"], Value::Null);
    rig.ask_with(Method::DELETE, &share, Value::Null, &ANY).await.ok();
}

async fn what_layers_are_made_through_is_led_elsewhere_by_an_administrator_alone(rig: Rig) {
    rig.become_administrator().await;
    let maker = rig.user("maker", &["manage-image-templates"]).await;
    let folder = rig.directory.path().join("share");
    std::fs::create_dir(&folder).unwrap();
    let new = json!({ "connector": "fileshare", "name": "Share", "fields": { "path": folder } });
    let share = configuration(&rig, new).await;
    let change = |fields: Value| rig.ask_as(&maker, Method::PATCH, &share, fields, &[("if-match", "*")]);
    let elsewhere = json!({ "secrets": { "password": "secret" }, "fields": { "access": "smb",
        "server": "files.example.com", "share": "images", "user": "lamina" } });
    let back = json!({ "secrets": { "password": null }, "fields": { "path": folder } });
    change(elsewhere.clone()).await.ok();
    rig.ask_with(Method::PATCH, &share, back, &ANY).await.ok();

    let id = share.rsplit('/').next().unwrap();
    rig.ask_with(Method::PATCH, "/settings", json!({ "file_share": id }), &ANY).await.ok();
    let refused = change(elsewhere).await.refused(403, "configuration-used");
    assert!(refused.body["message"].as_str().unwrap().contains("file_share"), "{:#}", refused.body);
    change(json!({ "name": "The share" })).await.ok();
}

async fn a_path_on_the_servers_machine_is_an_administrators_to_name(rig: Rig) {
    rig.become_administrator().await;
    let maker = rig.user("maker", &["manage-app-layers"]).await;
    let directory = rig.directory.path().to_str().unwrap();
    let values = json!({ "access": "directory", "path": directory });
    let new = json!({ "connector": "fileshare", "name": "Share", "fields": values });
    let refused = |answer: Answer| answer.refused(422, "invalid").field("fields.path", "field-administrator");
    refused(rig.ask_as(&maker, Method::POST, "/connector-configurations", new.clone(), &[]).await);
    for question in ["check-credentials", "test"] {
        let path = format!("/connectors/fileshare/{question}");
        refused(rig.ask_as(&maker, Method::POST, &path, json!({ "fields": values }), &[]).await);
    }
    let share = configuration(&rig, new).await;
    // Who makes layers uses it, and changes what is no path.
    rig.ask_as(&maker, Method::POST, &format!("{share}/test"), json!({}), &[]).await.ok();
    let renamed = json!({ "name": "Shared", "fields": values });
    rig.ask_as(&maker, Method::PATCH, &share, renamed, &[("if-match", "*")]).await.ok();
    let elsewhere = json!({ "fields": { "access": "directory", "path": "/etc" } });
    refused(rig.ask_as(&maker, Method::PATCH, &share, elsewhere.clone(), &[("if-match", "*")]).await);
    let mut browse = json!({ "what": "disks" });
    browse["values"] = elsewhere;
    refused(rig.ask_as(&maker, Method::POST, &format!("{share}/browse"), browse, &[]).await);
}
