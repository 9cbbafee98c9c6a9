//! Everything that is there at one moment: in the database, on the platform, in the store and beside it.

use server::db::{Db, Statement};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use worker::{Job, Outcome};

/// Things by where they are.
pub(crate) type Snapshot = BTreeMap<String, String>;

/// Tables that tell of what was tried, or when somebody was here.
const HISTORY: [&str; 8] = [
    "audit",
    "audit_objects",
    "task_log",
    "subtasks",
    "sessions",
    "login_failures",
    "idempotency",
    "_sqlx_migrations",
];
/// Columns that count changes, also those that were taken back.
const COUNTERS: [&str; 2] = ["revision", "changed_at"];

/// Rows of the database. Of tasks only those that wait or work, as what they do.
pub(crate) async fn database(db: &Db) -> Snapshot {
    let mut found = Snapshot::new();
    for (table, columns) in tables(db).await {
        let text = |(name, bytes): &(String, bool)| match (bytes, db.kind()) {
            (true, "sqlite") => format!("hex(\"{name}\")"),
            _ => format!("CAST(\"{name}\" AS TEXT)"),
        };
        let all: Vec<String> = columns
            .iter()
            .filter(|(name, _)| !COUNTERS.contains(&name.as_str()))
            .map(|column| format!("'{}=' || COALESCE({}, '-')", column.0, text(column)))
            .collect();
        let (what, only) = match table.as_str() {
            "tasks" => (
                "'id=' || id || ' state=' || state || ' next_action=' || COALESCE(next_action, '-')"
                    .to_owned(),
                "WHERE state NOT IN ('done', 'failed', 'stopped')",
            ),
            _ => (all.join(" || ' ' || "), ""),
        };
        let rows = db.all(Statement::assembled(format!("SELECT {what} AS it FROM \"{table}\" {only}"))).await;
        for row in rows.unwrap() {
            found.insert(format!("{table}: {}", row.text("it").unwrap()), String::new());
        }
    }
    found
}

async fn tables(db: &Db) -> BTreeMap<String, Vec<(String, bool)>> {
    let sql = match db.kind() {
        "sqlite" => {
            "SELECT m.name AS tab, c.name AS col, c.type AS kind FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'"
        }
        _ => {
            "SELECT CAST(table_name AS TEXT) AS tab, CAST(column_name AS TEXT) AS col, CAST(data_type AS TEXT) AS kind \
             FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let mut tables: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for row in db.all(Statement::new(sql)).await.unwrap() {
        let table = row.text("tab").unwrap();
        if !HISTORY.contains(&table.as_str()) {
            let column = (row.text("col").unwrap(), row.text("kind").unwrap() == "BLOB");
            tables.entry(table).or_default().push(column);
        }
    }
    assert!(tables.len() > 10, "the tables are found: {tables:?}");
    tables
}

/// Files and folders below a folder; a file that was written anew is another one.
pub(crate) fn files(of: &str, folder: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let facts = std::fs::symlink_metadata(&path).unwrap();
            let name = format!("{of}: {}", path.strip_prefix(folder).unwrap().display());
            if facts.is_dir() {
                found.insert(name, "folder".to_owned());
                open.push(path);
            } else {
                found.insert(name, format!("{} bytes, file {}", facts.len(), facts.ino()));
            }
        }
    }
    found
}

/// What the store names.
pub(crate) fn references(store: &Path) -> Snapshot {
    let Outcome::List(list) = worker::run(store, Job::List, &operation::Silent).unwrap() else { panic!() };
    let of = |entry: layering::report::Summary| {
        let version = entry.version.map(|version| format!("@{version}")).unwrap_or_default();
        (format!("store: {}:{}{version}", entry.kind.as_str(), entry.name), entry.id)
    };
    list.entries.into_iter().map(of).collect()
}

/// Panics with what is only in one of two.
#[track_caller]
pub(crate) fn assert_same(before: &Snapshot, after: &Snapshot, what: &str) {
    let lacks = |one: &Snapshot, other: &Snapshot| -> Vec<String> {
        let differs = |(name, value): &(&String, &String)| other.get(*name) != Some(*value);
        one.iter().filter(differs).map(|(name, value)| format!("  {name} {value}\n")).collect()
    };
    let (gone, new) = (lacks(before, after).concat(), lacks(after, before).concat());
    assert!(gone.is_empty() && new.is_empty(), "{what}\nis gone:\n{gone}is new:\n{new}");
}
