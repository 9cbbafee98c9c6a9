//! Layers and versions: what one sees of them, what one can change, and where they are used.

use crate::fixture::{self, Packaging, Shop};
use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use server::app::{Call, usage};
use server::db::Statement;

on_both_databases! {
    a_version_in_packaging_is_given_up_by_deleting_it_and_not_looked_into;
    a_version_tells_what_is_on_its_packaging_disk;
    layers_are_listed_with_their_latest_version;
    a_layer_is_changed_within_the_rules_of_its_kind;
    a_layer_is_changed_by_those_who_manage_its_kind;
    a_version_is_found_and_changed;
    a_limit_is_changed_only_in_packaging;
    a_reference_names_one_thing_or_is_refused;
    what_uses_a_version_keeps_it_from_being_deleted;
}

const ANY: [(&str, &str); 1] = [("if-match", "*")];

fn names(body: &Value) -> Vec<&str> {
    body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

async fn layers_are_listed_with_their_latest_version(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    let empty = fixture::os(&rig, "Empty").await;

    let all = rig.get("/layers").await.ok();
    assert_eq!(names(&all.body), ["Azure", "Editor", "Empty", "Office", "Windows"]);
    let office = &all.body["items"][3];
    assert_eq!(office["latest"]["name"], "2");
    assert_eq!(office["latest"]["state"], "packaging");
    assert_eq!(office["os_layer"], json!({ "id": shop.os, "name": "Windows" }));
    assert_eq!((&office["priority"], &office["platform"]), (&json!(20), &Value::Null));
    let azure = &all.body["items"][0];
    assert_eq!((&azure["priority"], &azure["platform"]["purpose"]), (&Value::Null, &json!("publishing")));
    assert_eq!(all.body["items"][2]["latest"], Value::Null);
    assert_eq!(all.body["items"][4]["hypervisor"], "kvm");

    let of_os = format!("os_layer={}", shop.os);
    for (query, expected) in [
        ("kind=app", &["Editor", "Office"][..]),
        ("kind=app&sort=-priority", &["Office", "Editor"]),
        ("kind=app&sort=-created_at", &["Editor", "Office"]),
        ("search=WIND", &["Windows"]),
        ("state=packaging", &["Office"]),
        (&of_os, &["Azure", "Editor", "Office"]),
        ("search=e&limit=200&kind=os", &["Empty"]),
    ] {
        assert_eq!(names(&rig.get(&format!("/layers?{query}")).await.ok().body), expected, "{query}");
    }
    // Pages that one walks through hold every layer once.
    let mut walked = Vec::new();
    let mut path = "/layers?limit=2&sort=-name".to_owned();
    loop {
        let page = rig.get(&path).await.ok();
        walked.extend(names(&page.body).into_iter().map(str::to_owned));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/layers?limit=2&sort=-name&cursor={next}");
    }
    assert_eq!(walked, ["Windows", "Office", "Empty", "Editor", "Azure"]);
    rig.get("/layers?kind=disk").await.refused(422, "query");
    rig.get("/layers?sort=store_name").await.refused(422, "invalid").field("sort", "sort-unknown");

    let details = rig.get(&format!("/layers/{}", shop.os)).await.ok();
    assert_eq!(details.etag.as_deref(), Some("\"1\""));
    assert_eq!(details.body["versions"], 2);
    assert_eq!(names(&details.body["users"]), ["Azure", "Editor", "Office"]);
    assert_eq!(rig.get(&format!("/layers/{empty}")).await.ok().body["versions"], 0);
}

async fn a_layer_is_changed_within_the_rules_of_its_kind(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let change = async |id: &str, body: Value, etag: &str| {
        rig.ask_with(Method::PATCH, &format!("/layers/{id}"), body, &[("if-match", etag)]).await
    };
    let office = &shop.office;
    change(office, json!({ "name": "EDITOR" }), "*")
        .await
        .refused(422, "invalid")
        .field("name", "name-taken");
    change(office, json!({ "name": "a/b", "priority": 0, "description": "\u{1}", "icon_id": office }), "*")
        .await
        .refused(422, "invalid")
        .field("name", "name-character")
        .field("priority", "out-of-range")
        .field("description", "description-control-character")
        .field("icon_id", "icon-unknown");
    change(&shop.os, json!({ "priority": 5 }), "*")
        .await
        .refused(422, "invalid")
        .field("priority", "priority-of-app-layers");

    // The same name in another spelling, and that of a layer of another kind, are free.
    let changed = change(office, json!({ "name": "OFFICE", "priority": 5 }), "\"1\"").await.ok();
    assert_eq!((&changed.body["name"], &changed.body["priority"]), (&json!("OFFICE"), &json!(5)));
    assert_eq!(changed.etag.as_deref(), Some("\"2\""));
    change(office, json!({ "name": "Windows" }), "\"1\"").await.refused(412, "changed-meanwhile");
    change(office, json!({ "name": "Windows" }), "\"2\"").await.ok();
    let seen = rig.get(&format!("/layers/{office}")).await.ok();
    assert_eq!(seen.body["layer"]["name"], "Windows");
    assert_eq!(seen.body["layer"]["priority"], 5, "what is absent stays");
    change(&fixture::no_template(), json!({}), "*").await.refused(404, "not-found");

    let store = Statement::new("SELECT store_name FROM layers WHERE id = $1").bind(office.as_str());
    let row = rig.app.db().optional(store).await.unwrap().unwrap();
    assert_eq!(row.text("store_name").unwrap(), "Office", "the store knows it by its first name");
}

async fn a_layer_is_changed_by_those_who_manage_its_kind(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let objects = [
        ("manage-os-layers", &shop.os, &shop.os_1),
        ("manage-platform-layers", &shop.platform, &shop.platform_1),
        ("manage-app-layers", &shop.office, &shop.office_1),
    ];
    for (role, _, _) in objects {
        let client = rig.user(role, &[role]).await;
        for (needed, layer, version) in objects {
            for path in [format!("/layers/{layer}"), format!("/versions/{version}")] {
                let body = json!({ "description": role });
                let answer = rig.ask_as(&client, Method::PATCH, &path, body, &ANY).await;
                if role == needed {
                    answer.ok();
                } else {
                    let refused = answer.refused(403, "forbidden");
                    let hint = refused.body["hint"].as_str().unwrap();
                    assert!(hint.contains(needed) && !hint.contains(role), "{hint}");
                }
            }
        }
    }
}

async fn a_version_is_found_and_changed(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    for sequence in 2..=11 {
        fixture::version(&rig, &shop.office, sequence, "deployable", None).await;
    }
    fixture::version(&rig, &shop.office, 12, "failed", None).await;
    let path = format!("/layers/{}/versions", shop.office);
    let listed = rig.get(&format!("{path}?limit=4")).await.ok();
    assert_eq!(names(&listed.body), ["12", "11", "10", "9"], "by number, never by text");
    let by_name = rig.get(&format!("{path}?sort=name&limit=3")).await.ok();
    assert_eq!(names(&by_name.body), ["1", "10", "11"]);
    assert_eq!(names(&rig.get(&format!("{path}?state=failed")).await.ok().body), ["12"]);
    assert_eq!(names(&rig.get(&format!("{path}?search=11")).await.ok().body), ["11"]);
    rig.get(&format!("/layers/{}/versions", shop.office_1)).await.refused(404, "not-found");

    let version = format!("/versions/{}", shop.office_1);
    let seen = rig.get(&version).await.ok();
    assert_eq!((&seen.body["layer"], &seen.body["kind"]), (&json!("Office"), &json!("app")));
    let patch = async |body: Value| rig.ask_with(Method::PATCH, &version, body, &ANY).await;
    patch(json!({ "name": "12" })).await.refused(422, "invalid").field("name", "name-taken");
    let changed = patch(json!({ "name": "2024 SP1", "description": "With fixes." })).await.ok();
    assert_eq!((&changed.body["name"], &changed.body["revision"]), (&json!("2024 SP1"), &json!(2)));
    // Another layer's versions have names of their own.
    let other = format!("/versions/{}", shop.editor_1);
    rig.ask_with(Method::PATCH, &other, json!({ "name": "2024 SP1" }), &ANY).await.ok();
}

async fn a_limit_is_changed_only_in_packaging(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let packaging = fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    let patch = async |id: &str, bytes: i64| {
        let body = json!({ "max_bytes": bytes });
        rig.ask_with(Method::PATCH, &format!("/versions/{id}"), body, &ANY).await
    };
    let changed = patch(&packaging, 20 << 30).await.ok();
    assert_eq!(changed.body["max_bytes"], 20_i64 << 30);
    for bytes in [0, -1, i64::MAX, (1 << 20) - 1] {
        patch(&packaging, bytes).await.refused(422, "invalid").field("max_bytes", "out-of-range");
    }
    patch(&shop.office_1, 20 << 30).await.refused(409, "version-not-in-packaging");
}

async fn a_reference_names_one_thing_or_is_refused(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let both = fixture::app(&rig, "Windows", &shop.os, 30).await;
    fixture::version(&rig, &both, 1, "failed", None).await;
    fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    fixture::image(&rig, "Desk", &fixture::no_template()).await;
    let newer = fixture::image(&rig, "desk", &fixture::no_template()).await;
    fixture::image(&rig, "Office", &fixture::no_template()).await;
    let resolve = async |text: &str| rig.get(&format!("/resolve?reference={text}")).await;

    let found = resolve("editor").await.ok();
    assert_eq!(found.body["reference"], "app:Editor@1");
    assert_eq!(
        (&found.body["layer_id"], &found.body["version_id"]),
        (&json!(shop.editor), &json!(shop.editor_1))
    );
    assert_eq!(resolve("os:windows").await.ok().body["version_id"], json!(shop.os_2), "the latest");
    assert_eq!(resolve("os:Windows@1").await.ok().body["version_id"], json!(shop.os_1));
    assert_eq!(
        resolve("app:Office").await.ok().body["version_id"],
        json!(shop.office_1),
        "the deployable one"
    );
    assert_eq!(resolve("app:Office@2").await.ok().body["state"], "packaging", "what is named is found");
    assert_eq!(resolve("Office@1").await.ok().body["kind"], "app", "images have no versions");
    assert_eq!(resolve("Desk").await.ok().body["image_id"], json!(newer));

    for (text, says) in [("Windows", "app:Windows or os:Windows"), ("Office", "app:Office or image:Office")] {
        let refused = resolve(text).await.refused(422, "invalid").field("reference", "reference-ambiguous");
        assert!(refused.body["message"].as_str().unwrap().contains(says), "{:#}", refused.body);
    }
    resolve("app:Windows").await.refused(409, "no-deployable-version");
    let layer = resolve("app:Windows&layer=true").await.ok().body;
    assert_eq!((&layer["reference"], &layer["version_id"]), (&json!("app:Windows"), &json!(null)), "{layer}");
    assert!(layer["layer_id"].is_string(), "{layer}");
    assert_eq!(resolve("os:Windows@1&layer=true").await.ok().body["version_id"], json!(shop.os_1));
    resolve("app:Nothing").await.refused(404, "not-found");
    resolve("app:Office@9").await.refused(404, "not-found");
    resolve("image:Editor").await.refused(404, "not-found");
    resolve("disk:Office").await.refused(422, "invalid").field("reference", "reference-invalid");
    resolve("").await.refused(422, "invalid").field("reference", "name-invalid");
    rig.get("/resolve").await.refused(422, "query");
}

async fn what_uses_a_version_keeps_it_from_being_deleted(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let template = shop.make(&rig, "Desk").await;
    let configuration = &shop.configuration;
    let tools = fixture::platform(&rig, "Tools", &shop.os, "packaging").await;
    let tools_1 = fixture::version(&rig, &tools, 1, "deployable", None).await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    let packaging = Packaging {
        version: &office_2,
        os: &shop.os_1,
        base: Some(&shop.office_1),
        platform: Some(&tools_1),
        prerequisites: &[&shop.editor_1],
        configuration,
    };
    fixture::packaging(&rig, packaging).await;
    let users = async |path: String| {
        let page = rig.get(&format!("{path}/users")).await.ok();
        let items = page.body["items"].as_array().unwrap();
        let user = |item: &Value| {
            format!("{} {}", item["name"].as_str().unwrap(), item["used_as"].as_str().unwrap())
        };
        items.iter().map(user).collect::<Vec<_>>()
    };
    for (version, expected) in [
        (&shop.os_1, &["Office@2 os"][..]),
        (&shop.os_2, &["Desk os"]),
        (&shop.platform_1, &["Desk platform"]),
        (&tools_1, &["Office@2 platform"]),
        (&shop.office_1, &["Desk app", "Office@2 base"]),
        (&shop.editor_1, &["Desk app", "Office@2 prerequisite"]),
        (&office_2, &[]),
    ] {
        assert_eq!(users(format!("/versions/{version}")).await, expected);
    }
    assert_eq!(
        users(format!("/layers/{}", shop.os)).await,
        ["Azure os", "Desk os", "Editor os", "Office os", "Office@2 os", "Tools os"]
    );
    let page = rig.get(&format!("/layers/{}/users?limit=2", shop.office)).await.ok();
    assert_eq!(page.body["items"][0]["id"], json!(template));
    assert_eq!(page.body["items"][1]["id"], json!(office_2));
    assert_eq!(page.body["next"], Value::Null);
    rig.get(&format!("/versions/{}/users", shop.office)).await.refused(404, "not-found");

    let call = Call::of_server("a test");
    let refusal = async |version: &str| {
        let mut change = rig.app.begin(&call).await.unwrap();
        usage::refuse_in_use(&mut change, version.parse().unwrap()).await
    };
    let refused = refusal(&shop.office_1).await.unwrap_err();
    assert_eq!(refused.failure.code, "version-in-use");
    let message = refused.failure.message;
    assert!(message.contains("app:Office@1"), "{message}");
    assert!(
        message.contains("the template Desk; Office@2, which is in packaging (as its base)"),
        "{message}"
    );
    refusal(&office_2).await.unwrap();
    let mut change = rig.app.begin(&call).await.unwrap();
    let refused = usage::refuse_layer_in_use(&mut change, shop.os.parse().unwrap()).await.unwrap_err();
    assert_eq!(refused.failure.code, "layer-in-use");
    drop(change);

    // Of many users the first are named.
    for number in 0..12 {
        shop.make(&rig, &format!("Many {number:02}")).await;
    }
    let message = refusal(&shop.platform_1).await.unwrap_err().failure.message;
    assert!(message.contains("Many 08; others"), "{message}");
}

async fn a_version_tells_what_is_on_its_packaging_disk(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let tools = fixture::platform(&rig, "Tools", &shop.os, "packaging").await;
    let tools_1 = fixture::version(&rig, &tools, 1, "deployable", None).await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    let packaging = fixture::Packaging {
        version: &office_2,
        os: &shop.os_1,
        base: Some(&shop.office_1),
        platform: Some(&tools_1),
        prerequisites: &[&shop.editor_1],
        configuration: &shop.configuration,
    };
    fixture::packaging(&rig, packaging).await;
    let named = |layer_id: &str, layer: &str, version_id: &str| json!({ "layer_id": layer_id, "layer": layer, "version_id": version_id, "version": "1" });
    let expected = json!({
        "os": named(&shop.os, "Windows", &shop.os_1),
        "base": named(&shop.office, "Office", &shop.office_1),
        "prerequisites": [named(&shop.editor, "Editor", &shop.editor_1)],
        "platform": named(&tools, "Tools", &tools_1),
        "configuration": { "id": shop.configuration, "name": "Share" },
        "disk": office_2,
        "format": "vhdx",
    });
    assert_eq!(rig.get(&format!("/versions/{office_2}")).await.ok().body["packaging"], expected);
    let listed = rig.get(&format!("/layers/{}/versions", shop.office)).await.ok().body;
    assert_eq!(listed["items"][0]["packaging"], expected);
    assert!(listed["items"][1].get("packaging").is_none(), "{listed:#}");

    // Names are those of now.
    let name = json!({ "name": "Windows 11" });
    let path = format!("/layers/{}", shop.os);
    rig.ask_with(Method::PATCH, &path, name, &[("if-match", "*")]).await.ok();
    let version = rig.get(&format!("/versions/{office_2}")).await.ok().body;
    assert_eq!(version["packaging"]["os"]["layer"], "Windows 11");
}

async fn a_version_in_packaging_is_given_up_by_deleting_it_and_not_looked_into(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "packaging", None).await;
    for path in [
        format!("/versions/{office_2}/report"),
        format!("/versions/{office_2}/diff?to={}", shop.office_1),
        format!("/versions/{}/diff?to={office_2}", shop.office_1),
    ] {
        let refused = rig.get(&path).await.refused(409, "version-not-captured");
        assert_eq!(refused.body["message"], "app:Office@2 is in packaging: nothing is captured yet.");
    }
    let task = fixture::task(&rig, "admin").await;
    let waits = Statement::new(
        "UPDATE tasks SET state = 'action-required', next_action = 'finalize', ended_at = 1 WHERE id = $1",
    );
    rig.app.db().execute(waits.bind(task.as_str())).await.unwrap();
    let refused = rig.ask(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await;
    let refused = refused.refused(409, "task-ended");
    assert!(refused.body["hint"].as_str().unwrap().contains("lamina version delete"), "{:#}", refused.body);
    let since = "/tasks?changed_since=2026-01-01T00:00:00Z";
    assert_eq!(rig.get(since).await.ok().body["items"][0]["id"], json!(task));
    assert_eq!(rig.get("/tasks?changed_since=2126-01-01T00:00:00Z").await.ok().body["items"], json!([]));
    rig.get("/tasks?changed_since=1795000000000").await.refused(422, "query");
}
