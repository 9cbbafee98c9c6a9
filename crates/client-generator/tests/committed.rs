//! What is committed is what the generator makes of what is committed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::path::{Path, PathBuf};

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[track_caller]
fn assert_committed(path: &str, made: &str) {
    if std::env::var_os("LAMINA_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(workspace(path), made).unwrap();
    }
    let committed = std::fs::read_to_string(workspace(path)).unwrap_or_default();
    assert!(
        committed == made,
        "{path} is not what comes of openapi/v1.json; `cargo xtask openapi` writes it, then read the difference"
    );
}

#[test]
fn the_document_for_clients_and_the_client_come_of_the_servers_document() {
    let document = std::fs::read_to_string(workspace("openapi/v1.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let derived = client_generator::derive(&document);
    assert_committed("openapi/v1-client.json", &(serde_json::to_string_pretty(&derived).unwrap() + "\n"));
    assert_committed("crates/client/src/generated.rs", &client_generator::client(&derived).unwrap());
}
