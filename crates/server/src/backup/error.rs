//! Why a backup cannot be made or restored.

use crate::db::DbError;
use crate::secrets::{KeyError, SecretError};
use crate::store_mark::StoreMarkError;
use operation::Explain;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a backup cannot be made or restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("the backup {} cannot be read or written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no backup, or a part of it was changed or is missing.
    #[error("{} is damaged or no backup of Lamina: {why}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file was made by a newer program.
    #[error("the backup {} was made by a newer Lamina", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
    },
    /// The passphrase is another one than the backup was made with.
    #[error("the passphrase is not the one that the backup was made with")]
    WrongPassphrase,
    /// The passphrase is too easy to guess.
    #[error("a passphrase has at least {shortest} characters")]
    ShortPassphrase {
        /// Least number of characters.
        shortest: usize,
    },
    /// The database has tables of an older program.
    #[error("the database has tables of version {found}, and this program those of version {known}")]
    Older {
        /// Version of the tables.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// There is something where it would be restored to.
    #[error("there is something already at {place}")]
    Occupied {
        /// Where.
        place: String,
    },
    /// A secret cannot be opened with the server's key.
    #[error("a secret cannot be sealed anew: {0}")]
    Secret(#[from] SecretError),
    /// The store that was restored cannot be marked.
    #[error(transparent)]
    StoreMark(#[from] StoreMarkError),
    /// The server's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Explain for BackupError {
    fn code(&self) -> &'static str {
        match self {
            BackupError::File { .. } => "backup-file",
            BackupError::Malformed { .. } => "backup-damaged",
            BackupError::Newer { .. } => "backup-newer",
            BackupError::WrongPassphrase => "backup-passphrase-wrong",
            BackupError::ShortPassphrase { .. } => "backup-passphrase-short",
            BackupError::Older { .. } => "backup-database-older",
            BackupError::Occupied { .. } => "restore-occupied",
            BackupError::Secret(error) => error.code(),
            BackupError::StoreMark(error) => error.code(),
            BackupError::Key(error) => error.code(),
            BackupError::Database(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            BackupError::File { .. } => "Check the path, its owner, and the room on the disk.",
            BackupError::Malformed { .. } => "Restore another backup; nothing of this one was taken.",
            BackupError::Newer { .. } => "Restore it with the program that made it, or a newer one.",
            BackupError::WrongPassphrase => "Nothing was changed; try the passphrase of that time.",
            BackupError::ShortPassphrase { .. } => {
                "It protects the passwords of your platforms against who finds the backup."
            }
            BackupError::Older { .. } => {
                "Start the server of this version once; it brings the tables up to date."
            }
            BackupError::Occupied { .. } => {
                "Restore into an empty directory and an empty database, and then let the server use those."
            }
            BackupError::Secret(error) => return error.hint(),
            BackupError::StoreMark(error) => return error.hint(),
            BackupError::Key(error) => return error.hint(),
            BackupError::Database(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
