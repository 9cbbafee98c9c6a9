//! The tables, and how they come to be.
//!
//! One file per step and database; a step that was released is never changed. A test checks that both folders have the
//! same steps and lead to the same tables.

use super::{Db, DbError, Statement};
use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use std::borrow::Cow;

/// Every step: version, what it is for, for SQLite, for PostgreSQL.
const STEPS: &[(i64, &str, &str, &str)] = &[(
    1,
    "identity, settings and audit",
    include_str!("../../migrations/sqlite/0001_identity.sql"),
    include_str!("../../migrations/postgres/0001_identity.sql"),
)];

/// The newest version of the tables that this program knows.
fn newest() -> i64 {
    STEPS.iter().map(|step| step.0).max().unwrap_or(0)
}

impl Db {
    /// Brings the tables up to date. Several servers may do so at once: the others wait.
    pub(super) async fn migrate(&self) -> Result<(), DbError> {
        let steps = |pick: fn(&(i64, &str, &'static str, &'static str)) -> &'static str| {
            Migrator::with_migrations(
                STEPS
                    .iter()
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
            Err(MigrateError::VersionMissing(found)) if found > newest() => {
                Err(DbError::Newer { found: self.version().await?.max(found), known: newest() })
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
