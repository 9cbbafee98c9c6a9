//! Whether the database is whole: what only its kind can tell about itself.

use super::{Db, DbError, Statement};
use crate::domain::Time;

/// Most complaints of SQLite that are told.
const MOST: i64 = 5;

/// What a database says of itself.
#[derive(Debug)]
pub struct DbExamination {
    /// Product and version.
    pub product: String,
    /// The time by its own clock, where that is another machine's.
    pub now: Option<Time>,
    /// What is wrong with it.
    pub complaints: Vec<String>,
}

impl Db {
    /// Examines the database. Reads all of an SQLite file, which is some hundred MiB a second.
    pub async fn examine(&self) -> Result<DbExamination, DbError> {
        match self {
            Db::Sqlite { .. } => self.examine_sqlite().await,
            Db::Postgres(_) => self.examine_postgres().await,
        }
    }

    async fn examine_sqlite(&self) -> Result<DbExamination, DbError> {
        let version = self.optional(Statement::new("SELECT sqlite_version() AS version")).await?;
        let version = version.map(|row| row.text("version")).transpose()?.unwrap_or_default();
        let statement =
            Statement::new("SELECT quick_check AS said FROM pragma_quick_check LIMIT $1").bind(MOST);
        let mut complaints = Vec::new();
        for row in self.all(statement).await? {
            let said = row.text("said")?;
            if said != "ok" {
                complaints.push(format!("The database's file is damaged: {said}."));
            }
        }
        Ok(DbExamination { product: format!("SQLite {version}"), now: None, complaints })
    }

    async fn examine_postgres(&self) -> Result<DbExamination, DbError> {
        let statement = Statement::new(
            "SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, \
             current_setting('fsync') AS fsync, \
             CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now",
        );
        let row = self.optional(statement).await?;
        let Some(row) = row else { return Err(DbError::BadUrl) };
        let mut complaints = Vec::new();
        if row.text("encoding")? != "UTF8" {
            complaints.push(format!("The database's encoding is {} and not UTF8.", row.text("encoding")?));
        }
        if row.text("fsync")? != "on" {
            complaints.push(
                "PostgreSQL is set to lose acknowledged changes in a power cut (fsync = off).".to_owned(),
            );
        }
        Ok(DbExamination {
            product: format!("PostgreSQL {}", row.text("version")?),
            now: Some(Time::from_millis(row.integer("now")?)),
            complaints,
        })
    }
}
