//! A row that was read, whichever database gave it.

use super::DbError;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// One row. Columns are asked for by name; a name or type that the row does not have is an error in this program.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $optional:ident, $type:ty) => {
        $(#[$doc])*
        pub fn $name(&self, column: &str) -> Result<$type, DbError> {
            Ok(match self {
                Row::Sqlite(row) => row.try_get(column)?,
                Row::Postgres(row) => row.try_get(column)?,
            })
        }

        /// The same of a column that may be empty.
        pub fn $optional(&self, column: &str) -> Result<Option<$type>, DbError> {
            Ok(match self {
                Row::Sqlite(row) => row.try_get(column)?,
                Row::Postgres(row) => row.try_get(column)?,
            })
        }
    };
}

impl Row {
    reader!(
        /// Text.
        text, optional_text, String
    );
    reader!(
        /// A whole number.
        integer, optional_integer, i64
    );
    reader!(
        /// A truth value.
        boolean, optional_boolean, bool
    );
    reader!(
        /// Bytes.
        bytes, optional_bytes, Vec<u8>
    );

    /// A structure that was stored as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, DbError> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|source| DbError::Content { column: column.to_owned(), source })
    }
}
