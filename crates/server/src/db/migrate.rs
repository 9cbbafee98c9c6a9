//! The tables, and how they come to be.
//!
//! One file per step and database; a step that was released is never changed. A test checks that both folders have the
//! same steps and lead to the same tables.

use super::{Db, DbError, Statement};
use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use std::borrow::Cow;

macro_rules! step {
    ($version:literal, $what:literal, $file:literal) => {
        (
            $version,
            $what,
            include_str!(concat!("../../migrations/sqlite/", $file)),
            include_str!(concat!("../../migrations/postgres/", $file)),
        )
    };
}

/// Every step: version, what it is for, for SQLite, for PostgreSQL.
const STEPS: &[(i64, &str, &str, &str)] = &[
    step!(1, "identity, settings and audit", "0001_identity.sql"),
    step!(2, "icons and connector configurations", "0002_places.sql"),
    step!(3, "layers and versions", "0003_layers.sql"),
    step!(4, "templates and images", "0004_templates.sql"),
    step!(5, "tasks", "0005_tasks.sql"),
    step!(6, "retention of tasks", "0006_retention.sql"),
    step!(7, "the webhook", "0007_webhook.sql"),
    step!(8, "identifiers of sessions, failed log-ins by name and address", "0008_sessions.sql"),
    step!(9, "what the audit history is about, and claims of tasks", "0009_objects_and_claims.sql"),
];

/// The newest version of the tables that this program knows.
pub(crate) fn newest() -> i64 {
    STEPS.iter().map(|step| step.0).max().unwrap_or(0)
}

impl Db {
    /// Brings the tables to a version. Several servers may do so at once: the others wait.
    pub(crate) async fn migrate_to(&self, version: i64) -> Result<(), DbError> {
        let steps = |pick: fn(&(i64, &str, &'static str, &'static str)) -> &'static str| {
            Migrator::with_migrations(
                STEPS
                    .iter()
                    .filter(|step| step.0 <= version)
                    .map(|step| {
                        let sql = SqlStr::from_static(pick(step));
                        Migration::new(step.0, Cow::Borrowed(step.1), MigrationType::Simple, sql, false)
                    })
                    .collect(),
            )
        };
        let done = match self {
            Db::Sqlite { writer, .. } => steps(|step| step.2).run(writer).await,
            Db::Postgres(pool) => steps(|step| step.3).run(pool).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(found)) if found > version => {
                Err(DbError::Newer { found: self.version().await?.max(found), known: version })
            }
            Err(MigrateError::Execute(error)) => Err(error.into()),
            Err(other) => Err(DbError::Migrate(Box::new(other))),
        }
    }

    /// Version of the tables: the newest step that was carried out.
    pub async fn version(&self) -> Result<i64, DbError> {
        let row =
            self.optional(Statement::new("SELECT MAX(version) AS version FROM _sqlx_migrations")).await?;
        match row {
            Some(row) => Ok(row.optional_integer("version")?.unwrap_or(0)),
            None => Ok(0),
        }
    }
}
