//! The database's tables.

use server::db::{Db, Statement};
use std::path::Path;

/// What both databases agree on, with the names that PostgreSQL has for the types.
fn common(sql: &str) -> String {
    sql.replace("TEXT COLLATE \"C\"", "TEXT").replace("BYTEA", "BLOB")
}

#[test]
fn both_databases_have_the_same_migrations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let list = |kind: &str| {
        let mut found: Vec<(String, String)> = std::fs::read_dir(folder.join(kind))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, common(&std::fs::read_to_string(entry.path()).unwrap()))
            })
            .collect();
        found.sort();
        found
    };
    let (sqlite, postgres) = (list("sqlite"), list("postgres"));
    assert_eq!(sqlite.len(), postgres.len());
    for (one, other) in sqlite.iter().zip(&postgres) {
        assert_eq!(one.0, other.0);
        assert_eq!(one.1, other.1, "{}", one.0);
        // Text that PostgreSQL does not compare byte by byte would sort pages in another order.
        let sql = std::fs::read_to_string(folder.join("postgres").join(&other.0)).unwrap();
        assert!(
            !sql.replace("TEXT COLLATE \"C\"", "").contains("TEXT"),
            "{}: every text is COLLATE \"C\"",
            other.0
        );
    }
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("lamina.db").display());
    let db = Db::open(&url).await.unwrap();
    let version = db.version().await.unwrap();
    let newer = Statement::new(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES ($1, 'from the future', TRUE, $2, 0)",
    )
    .bind(version + 5)
    .bind(vec![0_u8; 48]);
    db.execute(newer).await.unwrap();
    db.close().await;
    let error = Db::open(&url).await.unwrap_err();
    assert_eq!(operation::Explain::code(&error), "database-newer");
    let text = error.to_string();
    assert!(text.contains(&(version + 5).to_string()) && text.contains(&version.to_string()), "{text}");
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lamina.db");
    let db = Db::open(&format!("sqlite:{}", path.display())).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let row = db.optional(Statement::new("PRAGMA synchronous")).await.unwrap().unwrap();
    assert_eq!(row.integer("synchronous").unwrap(), 2, "FULL: what was acknowledged survives a power cut");
}
