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
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => true,
                sqlx::Error::Database(inner) => inner.code().is_some_and(|code| is_passing_code(&code)),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether the code of a database's error is about its state and not about what it was asked.
fn is_passing_code(code: &str) -> bool {
    // SQLSTATE has five characters (PostgreSQL, appendix A): connections (08), a conflict with another transaction (40),
    // lack of room, memory or connections (53), the server shuts down or starts (57P).
    if code.len() == 5 {
        return ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class));
    }
    // SQLite's extended codes have the primary one in their low byte: busy, locked, full (sqlite.org/rescode.html).
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 13))
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
            DbError::Sql(_) if self.is_passing() => "database-unavailable",
            DbError::Sql(_) => "database-refused",
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
            DbError::Sql(_) if self.is_passing() => {
                "Check that the database runs and that its disk is not full, then try again."
            }
            DbError::Sql(_) => "See that the server's user may use all tables; if so, report this.",
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_from_a_statement_that_is_wrong() {
        for code in ["57P01", "08006", "40001", "40P01", "53100", "53300", "5", "261", "517", "13"] {
            assert!(is_passing_code(code), "{code}");
        }
        // 42501 has 5 in its low byte; 1: no such table; 8: the file is read-only.
        for code in ["42501", "42P01", "22003", "57014", "1", "8", "11", ""] {
            assert!(!is_passing_code(code), "{code}");
        }
        let wrong = DbError::from(sqlx::Error::ColumnNotFound("none".to_owned()));
        assert_eq!((wrong.code(), wrong.is_passing()), ("database-refused", false));
        let away = DbError::from(sqlx::Error::PoolTimedOut);
        assert_eq!((away.code(), away.is_passing()), ("database-unavailable", true));
    }
}
