//! What can go wrong with the database.

use operation::Explain;
use std::path::PathBuf;
use thiserror::Error;

/// A failure of the database or of what is in it.
#[derive(Debug, Error)]
pub enum DbError {
    /// The URL names neither SQLite nor PostgreSQL.
    #[error("the database's URL is of no kind that this program knows")]
    UnknownKind,
    /// The URL cannot be read. It is not repeated: it may hold a password.
    #[error("the database's URL cannot be read")]
    BadUrl,
    /// The file cannot be made or opened.
    #[error("the database file {} cannot be opened", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database was changed by a newer program.
    #[error(
        "the database was brought to version {found} by a newer Lamina; this one knows versions up to {known}"
    )]
    Newer {
        /// Version of the tables.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// The tables could not be brought up to date.
    #[error("the database's tables cannot be brought up to date")]
    Migrate(#[source] Box<sqlx::migrate::MigrateError>),
    /// What is stored in a column is not what this program wrote.
    #[error("the database column {column} holds something unreadable")]
    Content {
        /// Which.
        column: String,
        /// Why.
        source: serde_json::Error,
    },
    /// What is stored in a column was not written by this program.
    #[error("the database column {column} holds something that this program did not write")]
    Foreign {
        /// Which.
        column: &'static str,
    },
    /// Something with this name or key exists, or is still referred to.
    #[error("a rule of the database was broken: {constraint}")]
    Constraint {
        /// Name of the rule, or what the database says of it.
        constraint: String,
    },
    /// The database cannot be reached, or refused.
    #[error("the database does not answer as it should")]
    Sql(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> DbError {
        if let sqlx::Error::Database(inner) = &error
            && (inner.is_unique_violation() || inner.is_foreign_key_violation() || inner.is_check_violation())
        {
            let constraint = inner.constraint().map_or_else(|| inner.message().to_owned(), str::to_owned);
            return DbError::Constraint { constraint };
        }
        DbError::Sql(error)
    }
}

impl DbError {
    /// Whether trying again later may help: the database is away, busy or restarting.
    pub fn is_passing(&self) -> bool {
        match self {
            DbError::Sql(error) => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => true,
                // 57P0x: the server is shutting down or starting; 40001, 40P01: a conflict; 5, 6: SQLite is busy.
                sqlx::Error::Database(inner) => inner.code().is_some_and(|code| {
                    code.starts_with("57P")
                        || code.starts_with("08")
                        || matches!(code.as_ref(), "40001" | "40P01" | "53300" | "5" | "6" | "261" | "517")
                }),
                _ => false,
            },
            _ => false,
        }
    }
}

impl Explain for DbError {
    fn code(&self) -> &'static str {
        match self {
            DbError::UnknownKind | DbError::BadUrl => "database-url",
            DbError::File { .. } => "database-file",
            DbError::Newer { .. } => "database-newer",
            DbError::Migrate(_) => "database-migration",
            DbError::Content { .. } | DbError::Foreign { .. } => "database-content",
            DbError::Constraint { .. } => "database-constraint",
            DbError::Sql(_) => "database-unavailable",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            DbError::UnknownKind | DbError::BadUrl => {
                "Give sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE."
            }
            DbError::File { .. } => {
                "Check that the directory exists and that the server's user may write there."
            }
            DbError::Newer { .. } => "Start the newer program, or restore a backup that this version made.",
            DbError::Migrate(_) => {
                "Nothing was changed. Restore a backup, or report this with the text above."
            }
            DbError::Content { .. } | DbError::Foreign { .. } => {
                "Restore a backup; `lamina doctor` tells what else is affected."
            }
            DbError::Constraint { .. } => return None,
            DbError::Sql(_) => "Check that the database runs and that its disk is not full, then try again.",
        };
        Some(hint.to_owned())
    }
}
