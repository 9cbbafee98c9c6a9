//! What of the database is in a backup.

/// A table, in whose order rows can be inserted and read again.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// A unique order, in which what a row refers to in its own table comes before it.
    pub(super) order: &'static str,
}

const fn table(name: &'static str, order: &'static str) -> Table {
    Table { name, order }
}

/// What is backed up; what others refer to comes before them.
pub(super) const TABLES: &[Table] = &[
    table("users", "id"),
    table("user_roles", "user_id, role"),
    table("groups", "id"),
    table("group_roles", "group_id, role"),
    table("group_members", "group_id, user_id"),
    table("tokens", "id"),
    table("settings", "name"),
    table("audit", "id"),
    table("audit_objects", "audit_id, object_kind, object_id"),
    table("icons", "id"),
    table("connector_configurations", "id"),
    table("layers", "os_layer_id IS NOT NULL, id"),
    table("versions", "id"),
    table("packagings", "version_id"),
    table("packaging_prerequisites", "version_id, position"),
    table("templates", "id"),
    table("template_apps", "template_id, layer_id"),
    table("template_revisions", "template_id, revision"),
    table("images", "id"),
    table("tasks", "id"),
    table("subtasks", "task_id, position"),
    table("saga_events", "task_id, node, label"),
    table("task_log", "task_id, number"),
    table("leftovers", "id"),
    table("webhooks", "id"),
];

/// What is left out, and does not matter after a restore.
#[cfg(test)]
const LEFT_OUT: &[&str] = &[
    "sessions",
    "login_failures",
    "idempotency",
    "task_events", // whoever is told by the webhook was told them, or is told how the tasks end
    "_sqlx_migrations",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Db, Statement};
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_table_is_backed_up_or_deliberately_not() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("lamina.db").display());
        let db = Db::open(&url).await.unwrap();
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let rows = db.all(Statement::new(sql)).await.unwrap();
        let there: BTreeSet<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
        let known = TABLES.iter().map(|table| table.name).chain(LEFT_OUT.iter().copied());
        assert_eq!(there, known.map(str::to_owned).collect(), "a new table belongs into one of the lists");
    }
}
