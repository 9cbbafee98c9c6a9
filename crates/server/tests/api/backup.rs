//! Backups, made while the server runs, and restored into either database.

use crate::places::{configuration, simulated};
use crate::rig::{PASSWORD, Rig, fresh_database, on_both_databases};
use operation::Explain;
use reqwest::Method;
use serde_json::{Value, json};
use server::backup::{Counted, Passphrase, Snapshot, restore};
use server::db::Statement;
use server::{Config, Server};
use std::path::Path;
use zeroize::Zeroizing;

on_both_databases! {
    a_restored_server_knows_everything_and_opens_its_secrets_with_another_key;
    a_backup_holds_one_moment_of_a_server_that_goes_on;
    a_damaged_backup_or_a_wrong_passphrase_leaves_nothing;
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(&Zeroizing::new(text.to_owned())).unwrap()
}

const RIGHT: &str = "a passphrase for a backup";

async fn back_up(rig: &Rig, file: &Path) -> Counted {
    let config = &rig.config;
    let snapshot = Snapshot::take(&config.directory, config.database.as_deref(), None).await.unwrap();
    snapshot.write(file, &passphrase(RIGHT)).await.unwrap()
}

/// The databases to restore into: the embedded one, and a new one on the PostgreSQL server where there is one.
async fn targets() -> Vec<Option<String>> {
    match std::env::var("LAMINA_POSTGRES") {
        Ok(url) => vec![None, Some(fresh_database(&url).await)],
        Err(_) => vec![None],
    }
}

/// What everybody can see of the server, with what differs by nature left out.
async fn seen(rig: &Rig) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in
        ["/users", "/groups", "/layers", "/templates", "/connector-configurations", "/icons", "/me/tokens"]
    {
        seen.push(rig.get(&format!("{path}?limit=200")).await.ok().body);
    }
    seen
}

async fn a_restored_server_knows_everything_and_opens_its_secrets_with_another_key(mut rig: Rig) {
    rig.become_administrator().await;
    rig.user("Ann", &["manage-app-layers"]).await;
    let shop = crate::fixture::Shop::open(&rig, "backup").await;
    shop.make(&rig, "backup").await;
    let place = configuration(&rig, simulated("Secret place", connectors::simulated::PASSWORD)).await;
    let test = format!("{place}/test");
    assert_eq!(rig.ask(Method::POST, &test, json!({})).await.ok().body["passed"], true);
    let token = rig.ask(Method::POST, "/me/tokens", json!({ "name": "t", "days": 30 })).await.created().body;
    let before = seen(&rig).await;
    let file = rig.directory.path().join("backup");
    let counted = back_up(&rig, &file).await;
    // The fixture's configuration was never sealed: that keeps nothing else from being saved.
    assert_eq!(counted.unreadable_secrets, 1);
    rig.stop().await;

    for (number, database) in targets().await.into_iter().enumerate() {
        let directory = rig.directory.path().join(format!("restored {number}"));
        let restored =
            restore(&file, &passphrase(RIGHT), &directory, database.as_deref(), None, None).await.unwrap();
        assert_eq!((restored.counted, restored.tasks_under_way), (counted, 0));
        let again = restore(&file, &passphrase(RIGHT), &directory, database.as_deref(), None, None).await;
        assert_eq!(again.unwrap_err().code(), "restore-occupied");
        assert_ne!(
            std::fs::read(directory.join("secret.key")).unwrap(),
            std::fs::read(rig.config.directory.join("secret.key")).unwrap(),
            "it has a key of its own"
        );
        // A new store is not the one that the database speaks of.
        let config = Config { directory, database, store: None, ..rig.config.clone() };
        assert_eq!(Server::start(&config).await.unwrap_err().code(), "server-store-other");
        let store = Some(rig.directory.path().join("lamina/store"));
        let config = Config { store, ..config };
        let server = Server::start(&config).await.unwrap();
        assert_eq!(server.first_password, None);
        rig.config = config;
        rig.serve(server);
        rig.log_in().await;
        assert_eq!(seen(&rig).await, before);
        let tested = rig.ask(Method::POST, &test, json!({})).await.ok().body;
        assert_eq!(tested["passed"], true, "the saved secret is the right one: {tested}");
        let bearer = format!("Bearer {}", token["secret"].as_str().unwrap());
        let me =
            rig.ask_as(&rig.stranger(), Method::GET, "/me", Value::Null, &[("authorization", &bearer)]).await;
        assert_eq!(me.ok().body["name"], "admin");
        let ann = json!({ "name": "Ann", "password": PASSWORD });
        rig.ask_as(&rig.stranger(), Method::POST, "/session", ann, &[]).await.ok();
        let newest = rig.get("/audit?action=restore&object_kind=server").await.ok().body;
        assert_eq!(newest["items"][0]["actor"], "lamina restore", "{newest}");
        rig.stop().await;
    }
}

async fn a_backup_holds_one_moment_of_a_server_that_goes_on(rig: Rig) {
    rig.become_administrator().await;
    let config = &rig.config;
    let snapshot = Snapshot::take(&config.directory, config.database.as_deref(), None).await.unwrap();
    rig.user("Late", &[]).await;
    let file = rig.directory.path().join("backup");
    snapshot.write(&file, &passphrase(RIGHT)).await.unwrap();
    rig.user("Later", &[]).await;
    let directory = rig.directory.path().join("restored");
    restore(&file, &passphrase(RIGHT), &directory, None, None, None).await.unwrap();
    let url = format!("sqlite:{}", directory.join("lamina.db").display());
    let db = server::db::Db::open(&url).await.unwrap();
    let users = db.all(Statement::new("SELECT name FROM users")).await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].text("name").unwrap(), "admin");
}

async fn a_damaged_backup_or_a_wrong_passphrase_leaves_nothing(rig: Rig) {
    rig.become_administrator().await;
    let file = rig.directory.path().join("backup");
    back_up(&rig, &file).await;
    let whole = std::fs::read(&file).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let directory = rig.directory.path().join("restored");
    let attempt = |bytes: Vec<u8>, words: &'static str| {
        let (file, directory) = (file.clone(), directory.clone());
        async move {
            std::fs::write(&file, bytes).unwrap();
            let restored = restore(&file, &passphrase(words), &directory, None, None, None).await;
            assert!(!directory.join("lamina.db").exists());
            restored.map(drop).map_err(|error| error.code())
        }
    };
    assert_eq!(attempt(whole.clone(), "another passphrase").await, Err("backup-passphrase-wrong"));
    for position in (0..whole.len()).step_by(whole.len() / 12) {
        let mut changed = whole.clone();
        changed[position] ^= 0x10;
        let code = attempt(changed, RIGHT).await.unwrap_err();
        assert!(["backup-damaged", "backup-newer"].contains(&code), "{position}: {code}");
        let code = attempt(whole[..position].to_vec(), RIGHT).await.unwrap_err();
        assert_eq!(code, "backup-damaged", "cut off at {position}");
    }
    // What is well formed and was not written by who knows the passphrase.
    let text = zstd::decode_all(&whole[..]).unwrap();
    let forged = String::from_utf8(text).unwrap().replacen("\"admin\"", "\"forge\"", 1);
    let forged = zstd::encode_all(forged.as_bytes(), 3).unwrap();
    assert_eq!(attempt(forged, RIGHT).await, Err("backup-damaged"));
    // A few bytes that would become gigabytes.
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b'x'), 200 << 20), 3).unwrap();
    assert_eq!(attempt(bomb, RIGHT).await, Err("backup-damaged"));
    std::fs::write(&file, whole).unwrap();
    restore(&file, &passphrase(RIGHT), &directory, None, None, None).await.unwrap();
    assert!(directory.join("lamina.db").exists());
}
