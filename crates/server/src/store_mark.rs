//! Which store belongs to which database: both carry one identifier.
//!
//! A server that is started with another directory, or before the volume with the store is mounted, would otherwise make
//! versions where no other server finds them, and lose sight of those that there are.

use crate::app::App;
use crate::db::{Db, DbError, Statement};
use crate::domain::TaskId;
use operation::{Explain, Failure};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file in the store's directory.
const FILE: &str = "lamina-server";
/// The row among the settings.
const ROW: &str = "store";
/// Longest file that is read, bytes.
const LONGEST: u64 = 64;

/// Why a server does not work with a store.
#[derive(Debug, Error)]
pub enum StoreMarkError {
    /// It belongs to another database.
    #[error("the store {} is not the one of this database", path.display())]
    Other {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store's file cannot be read or written.
    #[error("the file {} cannot be read or written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store cannot be listed.
    #[error("the store {} cannot be read: {message}", path.display())]
    Unreadable {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl Explain for StoreMarkError {
    fn code(&self) -> &'static str {
        match self {
            StoreMarkError::Other { .. } => "server-store-other",
            StoreMarkError::File { .. } | StoreMarkError::Unreadable { .. } => "server-store",
            StoreMarkError::Database(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            StoreMarkError::Other { path } => Some(format!(
                "See that the volume with the store is mounted, and that every server of this database has the same \
                 --store. If no other server works with this store, remove {}.",
                path.join(FILE).display()
            )),
            StoreMarkError::File { .. } | StoreMarkError::Unreadable { .. } => {
                Some("See that the server's user may read and write the store.".to_owned())
            }
            StoreMarkError::Database(error) => error.hint(),
        }
    }
}

/// Sees that the store is the one of the database, and marks both where neither is.
pub(crate) async fn settle(app: &App, store: &Path) -> Result<(), StoreMarkError> {
    let other = || StoreMarkError::Other { path: store.to_owned() };
    match (of_database(app.db()).await?, of_store(store)?) {
        (Some(database), Some(mark)) if database == mark => Ok(()),
        // The mark in the store comes first: one that a killed server left in an empty store is taken over.
        (None, None) => {
            write(store, &TaskId::new().to_string())?;
            take(app.db(), store).await
        }
        (None, Some(_)) if contents(app, store).await?.is_empty() => take(app.db(), store).await,
        // A store that came back without its mark has what the database speaks of.
        (Some(database), None) => {
            let stored = contents(app, store).await?;
            let (versions, missing) =
                app.not_stored(&stored).await.map_err(|refusal| unreadable(store, refusal.failure))?;
            if versions > 0 && missing.is_empty() { write(store, &database) } else { Err(other()) }
        }
        _ => Err(other()),
    }
}

/// Writes the store's mark into the database. Of two servers that begin at once with a store each, one is refused.
async fn take(db: &Db, store: &Path) -> Result<(), StoreMarkError> {
    let mark = of_store(store)?;
    let statement = Statement::new(
        "INSERT INTO settings (name, value, revision) VALUES ($1, $2, 1) ON CONFLICT (name) DO NOTHING",
    );
    db.execute(statement.bind(ROW).bind(mark.clone())).await?;
    match of_database(db).await? == mark {
        true => Ok(()),
        false => Err(StoreMarkError::Other { path: store.to_owned() }),
    }
}

async fn contents(app: &App, store: &Path) -> Result<HashSet<String>, StoreMarkError> {
    let (references, _) = app.stored().await.map_err(|failure| unreadable(store, failure))?;
    Ok(references)
}

fn unreadable(store: &Path, failure: Failure) -> StoreMarkError {
    StoreMarkError::Unreadable { path: store.to_owned(), message: failure.message }
}

/// Marks a store as that of a database, when both are restored.
pub(crate) async fn mark(db: &Db, store: &Path) -> Result<(), StoreMarkError> {
    match of_database(db).await? {
        Some(database) => write(store, &database),
        None => Ok(()),
    }
}

async fn of_database(db: &Db) -> Result<Option<String>, DbError> {
    let row = db.optional(Statement::new("SELECT value FROM settings WHERE name = $1").bind(ROW)).await?;
    row.map(|row| row.text("value")).transpose()
}

fn of_store(store: &Path) -> Result<Option<String>, StoreMarkError> {
    let path = store.join(FILE);
    let read = || -> io::Result<String> {
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(File::open(&path)?, LONGEST), &mut text)?;
        Ok(text.trim_end().to_owned())
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreMarkError::File { path: path.clone(), source }),
    }
}

/// The whole file or none, on the disk when this returns.
fn write(store: &Path, mark: &str) -> Result<(), StoreMarkError> {
    let (path, unnamed) = (store.join(FILE), store.join(format!("{FILE}.new")));
    let write = || -> io::Result<()> {
        let mut file = File::create(&unnamed)?;
        writeln!(file, "{mark}")?;
        file.sync_all()?;
        std::fs::rename(&unnamed, &path)?;
        File::open(store)?.sync_all()
    };
    write().map_err(|source| StoreMarkError::File { path: path.clone(), source })
}
