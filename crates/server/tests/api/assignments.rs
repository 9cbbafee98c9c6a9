//! Assignments: many templates changed from the side of one version.

use crate::fixture::{self, Shop};
use crate::rig::{Answer, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    a_new_version_goes_where_an_older_one_is_used;
    only_chosen_templates_move_and_all_or_none;
    a_version_is_added_to_templates_and_taken_out;
    what_cannot_be_assigned_names_the_template;
}

async fn post(rig: &Rig, version: &str, verb: &str, body: Value) -> Answer {
    rig.ask(Method::POST, &format!("/versions/{version}/assignments{verb}"), body).await
}

/// Which templates have which version of a layer.
async fn assigned(rig: &Rig, layer: &str, query: &str) -> Vec<String> {
    let page = rig.get(&format!("/layers/{layer}/assignments?{query}")).await.ok();
    let items = page.body["items"].as_array().unwrap();
    let show = |item: &Value| {
        format!("{} {}", item["template"].as_str().unwrap(), item["version"].as_str().unwrap())
    };
    items.iter().map(show).collect()
}

async fn a_new_version_goes_where_an_older_one_is_used(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let desk = shop.make(&rig, "Desk").await;
    shop.make(&rig, "Kiosk").await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "deployable", None).await;
    let office_3 = fixture::version(&rig, &shop.office, 3, "deployable", None).await;
    let mut newest = shop.template("Newest");
    newest["apps"] = json!([{ "version_id": office_3 }]);
    rig.ask(Method::POST, "/templates", newest).await.created();
    let priority = json!({ "apps": [{ "version_id": shop.office_1, "priority": 3 }] });
    rig.ask_with(Method::PATCH, &format!("/templates/{desk}"), priority, &[("if-match", "*")]).await.ok();

    assert_eq!(assigned(&rig, &shop.office, "").await, ["Desk 1", "Kiosk 1", "Newest 3"]);
    assert_eq!(assigned(&rig, &shop.office, &format!("version={office_3}")).await, ["Newest 3"]);
    assert_eq!(assigned(&rig, &shop.office, "search=desk&sort=-template").await, ["Desk 1"]);
    assert_eq!(assigned(&rig, &shop.os, "limit=1").await, ["Desk 2"]);
    assert_eq!(assigned(&rig, &shop.platform, "").await.len(), 3);

    let dry = post(&rig, &office_2, "/update", json!({ "dry_run": true })).await.ok();
    assert_eq!(dry.body["dry_run"], true);
    assert_eq!(dry.body["templates"].as_array().unwrap().len(), 2);
    assert_eq!(assigned(&rig, &shop.office, "").await, ["Desk 1", "Kiosk 1", "Newest 3"], "nothing was done");

    let done = post(&rig, &office_2, "/update", json!({})).await.ok();
    let first = &done.body["templates"][0];
    assert_eq!(
        (&first["template"], &first["before"], &first["after"]),
        (&json!("Desk"), &json!("1"), &json!("2"))
    );
    assert_eq!(first["revision"], 3);
    assert_eq!(assigned(&rig, &shop.office, "").await, ["Desk 2", "Kiosk 2", "Newest 3"]);
    let template = rig.get(&format!("/templates/{desk}")).await.ok();
    assert_eq!(template.body["apps"][0]["priority"], 3, "its priority there stays");
    let audit = rig.get(&format!("/audit?object_id={desk}")).await.ok();
    assert_eq!(audit.body["items"][0]["action"], "update_assignments");
    let audit = rig.get(&format!("/audit?object_id={office_2}")).await.ok();
    assert_eq!(audit.body["items"][0]["object_name"], "app:Office@2");

    let nothing = post(&rig, &office_2, "/update", json!({})).await.ok();
    assert_eq!(nothing.body["templates"], json!([]), "all are there already");
    let os_3 = fixture::version(&rig, &shop.os, 3, "deployable", None).await;
    assert_eq!(
        post(&rig, &os_3, "/update", json!({})).await.ok().body["templates"].as_array().unwrap().len(),
        3
    );
    assert_eq!(assigned(&rig, &shop.os, "").await, ["Desk 3", "Kiosk 3", "Newest 3"]);
}

async fn only_chosen_templates_move_and_all_or_none(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let desk = shop.make(&rig, "Desk").await;
    let kiosk = shop.make(&rig, "Kiosk").await;
    let platform_2 = fixture::version(&rig, &shop.platform, 2, "deployable", None).await;
    post(&rig, &platform_2, "/update", json!({ "templates": [kiosk] })).await.ok();
    assert_eq!(assigned(&rig, &shop.platform, "").await, ["Desk 1", "Kiosk 2"]);

    let refused = post(&rig, &platform_2, "/update", json!({ "templates": [desk, kiosk] }))
        .await
        .refused(422, "invalid")
        .field("templates", "no-older-version");
    assert!(refused.body["message"].as_str().unwrap().contains("Kiosk"), "{:#}", refused.body);
    assert_eq!(assigned(&rig, &shop.platform, "").await, ["Desk 1", "Kiosk 2"], "none was changed");
    for templates in [json!([]), json!(vec![fixture::no_template(); 1])] {
        post(&rig, &platform_2, "/update", json!({ "templates": templates })).await.refused(422, "invalid");
    }
    let many: Vec<String> = (0..1001).map(|_| fixture::no_template()).collect();
    post(&rig, &platform_2, "/update", json!({ "templates": many }))
        .await
        .refused(422, "invalid")
        .field("templates", "out-of-range");
    let packaging = fixture::version(&rig, &shop.platform, 3, "packaging", None).await;
    post(&rig, &packaging, "/update", json!({})).await.refused(409, "version-not-deployable");
    post(&rig, &fixture::no_template(), "/update", json!({})).await.refused(404, "not-found");
}

async fn a_version_is_added_to_templates_and_taken_out(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let bare = json!({ "name": "Bare", "os": { "layer_id": shop.os }, "disk": { "format": "raw" } });
    let bare = rig.ask(Method::POST, "/templates", bare).await.created().body["id"].clone();
    let one = json!({ "templates": [bare] });

    let added = post(&rig, &shop.office_1, "", one.clone()).await.ok();
    assert_eq!(
        (&added.body["templates"][0]["before"], &added.body["templates"][0]["after"]),
        (&Value::Null, &json!("1"))
    );
    post(&rig, &shop.platform_1, "", one.clone()).await.ok();
    let path = format!("/templates/{}", bare.as_str().unwrap());
    let template = rig.get(&path).await.ok();
    assert_eq!(template.body["apps"][0]["layer"], "Office");
    assert_eq!(template.body["platform"]["layer"], "Azure");
    assert_eq!(template.body["revision"], 3, "each change is a revision");

    for version in [&shop.office_1, &shop.platform_1] {
        let removed = post(&rig, version, "/remove", one.clone()).await.ok();
        assert_eq!(removed.body["templates"][0]["after"], Value::Null);
    }
    let template = rig.get(&path).await.ok();
    assert_eq!((&template.body["apps"], &template.body["platform"]), (&json!([]), &Value::Null));
    let revisions = rig.get(&format!("{path}/revisions")).await.ok();
    assert_eq!(revisions.body["items"].as_array().unwrap().len(), 5);
}

async fn what_cannot_be_assigned_names_the_template(rig: Rig) {
    rig.become_administrator().await;
    let shop = Shop::open(&rig, "").await;
    let other = Shop::open(&rig, "Other ").await;
    let desk = shop.make(&rig, "Desk").await;
    let office_2 = fixture::version(&rig, &shop.office, 2, "deployable", None).await;
    let tools = fixture::platform(&rig, "Tools", &shop.os, "packaging").await;
    let tools_1 = fixture::version(&rig, &tools, 1, "deployable", None).await;
    let kvm = fixture::platform(&rig, "KVM", &shop.os, "publishing").await;
    let kvm_1 = fixture::version(&rig, &kvm, 1, "deployable", None).await;
    for (version, verb, code) in [
        (&office_2, "", "already-assigned"),
        (&other.office_1, "", "layer-of-other-os"),
        (&other.os_1, "", "os-assigned"),
        (&tools_1, "", "platform-not-publishing"),
        (&kvm_1, "", "platform-assigned"),
        (&office_2, "/remove", "not-assigned"),
        (&kvm_1, "/remove", "not-assigned"),
        (&shop.os_2, "/remove", "os-required"),
    ] {
        let refused = post(&rig, version, verb, json!({ "templates": [desk] }))
            .await
            .refused(422, "invalid")
            .field("templates", code);
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.starts_with("The template Desk "), "{message}");
    }
    assert_eq!(rig.get(&format!("/templates/{desk}")).await.ok().body["revision"], 1);
}
