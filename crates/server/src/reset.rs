//! A one-time password where nobody can log in to give one, for who may read the server's directory or its database.

use crate::app::Refusal;
use crate::app::users::reset_without_a_server;
use crate::db::{Db, DbError, newest};
use crate::identity::Passwords;
use crate::serve::{ServeError, lock};
use operation::Explain;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a password is not reset.
#[derive(Debug, Error)]
pub enum ResetError {
    /// There is no embedded database in the directory.
    #[error("there is no server's database {}", path.display())]
    NoServer {
        /// The file that a server would have.
        path: PathBuf,
    },
    /// The directory is in use, or cannot be used.
    #[error(transparent)]
    Directory(ServeError),
    /// The database has tables of an older program.
    #[error("the database has tables of version {found}, and this program those of version {known}")]
    Older {
        /// Version of the tables.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// It was refused.
    #[error("{}", .0.failure.message)]
    Refused(Refusal),
}

impl Explain for ResetError {
    fn code(&self) -> &'static str {
        match self {
            ResetError::NoServer { .. } => "server-missing",
            ResetError::Directory(error) => error.code(),
            ResetError::Older { .. } => "database-older",
            ResetError::Database(error) => error.code(),
            ResetError::Refused(_) => "reset-refused",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ResetError::NoServer { .. } => {
                Some("Name the server's directory with --dir, or its database with --database.".to_owned())
            }
            ResetError::Directory(ServeError::InUse { .. }) => {
                Some("Stop that server first, or let an administrator reset the password there.".to_owned())
            }
            ResetError::Directory(error) => error.hint(),
            ResetError::Older { .. } => {
                Some("Start the server of this version once; it brings the tables up to date.".to_owned())
            }
            ResetError::Database(error) => error.hint(),
            ResetError::Refused(refusal) => refusal.failure.hint.clone(),
        }
    }
}

/// Gives the user of this name a one-time password, ends its sessions, withdraws its API tokens and lets it in again if
/// it was disabled. `directory` is the server's, `database` the URL when it is not the embedded one, with which no server
/// may work meanwhile.
pub async fn reset_password(
    directory: &Path,
    database: Option<&str>,
    name: &str,
) -> Result<String, ResetError> {
    let embedded = directory.join("lamina.db");
    if database.is_none() && !embedded.exists() {
        return Err(ResetError::NoServer { path: embedded });
    }
    let _alone = database.is_none().then(|| lock(directory)).transpose().map_err(ResetError::Directory)?;
    let url = database.map_or_else(|| format!("sqlite:{}", embedded.display()), str::to_owned);
    let db = Db::connect(&url).await?;
    let (found, known) = (db.version().await?, newest());
    if found > known {
        return Err(DbError::Newer { found, known }.into());
    }
    if found < known {
        return Err(ResetError::Older { found, known });
    }
    let done = reset_without_a_server(&db, &Passwords::new(), name).await.map_err(ResetError::Refused);
    db.close().await;
    done
}
