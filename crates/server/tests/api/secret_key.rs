//! The key of the server's secrets.

use crate::places::{configuration, simulated};
use crate::rig::{Rig, on_both_databases};
use connectors::simulated::PASSWORD;
use operation::Explain;
use reqwest::Method;
use serde_json::json;
use server::db::Statement;
use server::{Config, Server};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

on_both_databases! {
    a_server_with_another_key_or_none_does_not_start;
    another_server_on_the_database_takes_the_key_as_a_credential;
    a_secret_that_was_copied_to_another_row_does_not_open;
}

async fn code(config: &Config) -> &'static str {
    Server::start(config).await.map(|_| ()).unwrap_err().code()
}

fn replace(path: &Path, contents: &[u8]) {
    std::fs::write(path, contents).unwrap();
}

async fn a_server_with_another_key_or_none_does_not_start(mut rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let file = rig.config.directory.join("secret.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read(&file).unwrap();
    rig.stop().await;

    replace(&file, b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_eq!(code(&rig.config).await, "secret-key-wrong");
    replace(&file, b"not a key");
    assert_eq!(code(&rig.config).await, "secret-key-malformed");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(&rig.config).await, "secret-key-missing");
    assert!(!file.exists(), "no other one is made");
    replace(&file, &key);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(code(&rig.config).await, "secret-key-exposed");

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    rig.start_again().await;
    rig.log_in().await;
    rig.ask(Method::POST, &format!("{path}/check-credentials"), json!({})).await.ok();
}

async fn another_server_on_the_database_takes_the_key_as_a_credential(mut rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("Platform", PASSWORD)).await;
    let file = rig.config.directory.join("secret.key");
    let credentials = rig.directory.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    rig.stop().await;
    std::fs::rename(&file, credentials.join("lamina-key")).unwrap();
    assert_eq!(code(&rig.config).await, "secret-key-missing");
    rig.config.credentials = Some(credentials);
    rig.start_again().await;
    rig.log_in().await;
    rig.ask(Method::POST, &format!("{path}/check-credentials"), json!({})).await.ok();
    assert!(!file.exists());
}

async fn a_secret_that_was_copied_to_another_row_does_not_open(rig: Rig) {
    rig.become_administrator().await;
    let path = configuration(&rig, simulated("One", PASSWORD)).await;
    configuration(&rig, simulated("Two", "another")).await;
    let copy = "UPDATE connector_configurations SET secrets = \
                (SELECT secrets FROM connector_configurations WHERE name = 'Two') WHERE name = 'One'";
    rig.app.db().execute(Statement::new(copy)).await.unwrap();
    let check = rig.ask(Method::POST, &format!("{path}/check-credentials"), json!({})).await;
    check.refused(409, "secret-damaged");
    rig.get("/connector-configurations").await.ok();
    rig.ask_with(Method::DELETE, &path, json!(null), &[("if-match", "*")]).await.ok();
}
