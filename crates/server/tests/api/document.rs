//! The OpenAPI document.

use server::domain::Action;
use std::collections::BTreeSet;
use std::path::Path;

/// The names of the operations in the document.
pub(crate) fn operations() -> Vec<(String, String, String)> {
    let document = serde_json::to_value(server::api::document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(name) = operation["operationId"].as_str() {
                found.push((method.clone(), path.clone(), name.to_owned()));
            }
        }
    }
    found
}

#[test]
fn the_committed_document_is_the_one_of_the_program() {
    let document = server::api::document().to_pretty_json().unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/v1.json");
    if std::env::var_os("LAMINA_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document,
        "openapi/v1.json is not what the program says; `cargo xtask openapi` writes it, then read the difference"
    );
}

#[test]
fn every_operation_is_an_action_and_every_action_an_operation() {
    let operations: BTreeSet<String> = operations().into_iter().map(|(_, _, name)| name).collect();
    let mut actions: BTreeSet<String> = Action::ALL.iter().map(|action| action.name().to_owned()).collect();
    actions.insert("health".to_owned());
    assert_eq!(operations, actions);
}

#[test]
fn every_operation_says_what_it_does_and_what_a_refusal_looks_like() {
    let document = serde_json::to_value(server::api::document()).unwrap();
    for (method, path, name) in operations() {
        let operation = &document["paths"][&path][&method];
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        let schema = &operation["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/ErrorBody", "{name}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
        }
    }
}

#[test]
fn names_are_described_as_they_are_written() {
    let document = serde_json::to_value(server::api::document()).unwrap();
    for (schema, names) in [
        ("Purpose", layering::platform::Purpose::NAMES),
        ("Hypervisor", layering::platform::Hypervisor::NAMES),
        ("Provisioning", layering::platform::Provisioning::NAMES),
        ("Broker", layering::platform::Broker::NAMES),
    ] {
        assert_eq!(document["components"]["schemas"][schema]["enum"], serde_json::json!(names), "{schema}");
    }
}

/// The names of an operation's parameters.
fn parameters(operation: &serde_json::Value) -> BTreeSet<&str> {
    operation["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}

#[test]
fn every_list_is_read_by_page_filtered_and_sorted() {
    /// What the program itself brings; and lines in the one order that they have, `after` a number.
    const OTHERS: [&str; 2] = ["list_connectors", "list_task_log"];
    let document = serde_json::to_value(server::api::document()).unwrap();
    let mut lists = 0;
    for (method, path, name) in operations() {
        let operation = &document["paths"][&path][&method];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let of_page = schema["$ref"].as_str().is_some_and(|text| text.contains("/Page_"));
        if method != "get" || !(of_page || schema["type"] == "array") || OTHERS.contains(&name.as_str()) {
            continue;
        }
        lists += 1;
        assert!(of_page, "{name} gives everything at once");
        let mut parameters = parameters(operation);
        for paging in ["limit", "cursor", "sort"] {
            assert!(parameters.remove(paging), "{name} has no {paging}");
        }
        parameters.remove("id");
        assert!(!parameters.is_empty(), "{name} cannot be filtered");
    }
    assert!(lists > 10, "the lists are found");
}

#[test]
fn what_makes_something_can_be_asked_twice_and_what_changes_something_says_of_which_state() {
    /// They have no state that others could have changed: one's own password, and sessions and tokens.
    const OWN: [&str; 6] = [
        "change_password",
        "log_out",
        "delete_token",
        "delete_user_token",
        "end_session",
        "end_user_session",
    ];
    let document = serde_json::to_value(server::api::document()).unwrap();
    for (method, path, name) in operations() {
        let operation = &document["paths"][&path][&method];
        let parameters = parameters(operation);
        if method == "post" && operation["responses"].get("201").is_some() {
            assert!(parameters.contains("Idempotency-Key"), "{name} makes something, each time anew");
        }
        if matches!(method.as_str(), "put" | "patch" | "delete") && !OWN.contains(&name.as_str()) {
            assert!(parameters.contains("If-Match"), "{name} changes what somebody else may have changed");
        }
    }
}
