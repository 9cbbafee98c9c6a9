//! The key of the server's secrets, and the database's word on which one it is.

use crate::db::{Db, DbError, Row, Statement};
use crate::secrets::{self, KeyError, MasterKey};
use std::path::Path;

/// The name under which the database keeps what tells the key from others.
pub(crate) const NAME: &str = "secret-key";

/// The key that the database was used with; at the first start a new one. A key that is another or missing is refused
/// now: later each secret would be unreadable by itself, and new ones would be sealed under a key that others lack.
pub async fn open(db: &Db, directory: &Path, credentials: Option<&Path>) -> Result<MasterKey, KeyError> {
    let known = fingerprint(db.optional(stored()).await?)?;
    let (path, key) = match secrets::find(directory, credentials)? {
        (path, Some(key)) => (path, key),
        (path, None) if known.is_some() => return Err(KeyError::Missing { path }),
        (_, None) => secrets::make(directory)?,
    };
    let mut tx = db.begin_change().await?;
    // Another server may have begun to use the database meanwhile.
    match fingerprint(tx.optional(stored()).await?)? {
        Some(known) if known == key.fingerprint() => Ok(key),
        Some(_) => Err(KeyError::Wrong { path }),
        None => {
            let statement = Statement::new("INSERT INTO settings (name, value, revision) VALUES ($1, $2, 1)")
                .bind(NAME)
                .bind(key.fingerprint());
            tx.execute(statement).await?;
            tx.commit().await?;
            Ok(key)
        }
    }
}

fn stored() -> Statement<'static> {
    Statement::new("SELECT value FROM settings WHERE name = $1").bind(NAME)
}

fn fingerprint(row: Option<Row>) -> Result<Option<String>, DbError> {
    row.map(|row| row.text("value")).transpose()
}
