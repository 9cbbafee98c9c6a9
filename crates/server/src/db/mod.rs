//! The database: SQLite or PostgreSQL behind one set of statements.
//!
//! Statements are written once, with `$1` parameters, in the subset of SQL that both understand; rows come back as
//! [`Row`], whatever gave them. Columns hold text, whole numbers, truth values and bytes and nothing else: identifiers
//! are text, times are milliseconds since 1970, structures are JSON in text. So no statement depends on a type that
//! only one of the two has.
//!
//! **Changes are made one at a time.** [`Db::begin_change`] gives the only transaction that changes what
//! administrators see: on SQLite the write lock, on PostgreSQL an advisory lock makes others wait. Rules that look at
//! many rows ("is this version used by any template?") then hold without thinking about isolation levels. Reads never
//! wait for it. What machines write many times a second (progress, logs of tasks, leases) goes through [`Db::execute`]
//! and takes no such lock.
//!
//! Deliberately missing: SQL about any particular object. It lives with the object in `app`'s stores.

mod columns;
mod error;
mod examination;
mod migrate;
mod row;
mod statement;

pub use columns::{Column, ColumnKind};
pub use error::DbError;
pub use examination::DbExamination;
pub(crate) use migrate::newest;
pub use row::Row;
pub use statement::{Statement, Value};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// Number of the PostgreSQL advisory lock under which changes are made: "lamina" in ASCII.
const CHANGE_LOCK: i64 = 0x6c61_6d69_6e61;

/// How long a statement waits for another process that writes the same SQLite file.
const BUSY: Duration = Duration::from_secs(20);

/// How long a caller waits for a free connection, or for a PostgreSQL server that is away for a moment.
const ACQUIRE: Duration = Duration::from_secs(15);

/// Readers of one server. More only compete for the processor: an answer takes well under a millisecond.
const READERS: u32 = 8;

/// A database that is open and has the tables of this program.
#[derive(Debug, Clone)]
pub enum Db {
    /// A file of its own, beside the store.
    Sqlite {
        /// One connection: SQLite has one writer at a time, and waiting here is fair where its own waiting is not.
        writer: SqlitePool,
        /// Connections that only read.
        readers: SqlitePool,
    },
    /// A database on a PostgreSQL server, which several servers of ours may share.
    Postgres(PgPool),
}

/// A transaction. Dropped without [`commit`](Tx::commit) it has never been.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Db {
    /// Opens the database that `url` names, `sqlite:PATH` or `postgres://…`, and brings its tables up to date.
    ///
    /// A missing SQLite file is made, readable by its owner only. A database that a newer program has changed is refused.
    pub async fn open(url: &str) -> Result<Db, DbError> {
        let db = Db::connect(url).await?;
        db.migrate_to(newest()).await?;
        Ok(db)
    }

    /// Opens the database as it is, or makes an empty one.
    pub async fn connect(url: &str) -> Result<Db, DbError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Db::open_sqlite(Path::new(path)).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Db::open_postgres(url).await
        } else {
            Err(DbError::UnknownKind)
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Db, DbError> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a change that was acknowledged survives a power cut. (NORMAL in WAL mode may lose the last ones.)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(options.read_only(true));
        Ok(Db::Sqlite { writer, readers })
    }

    async fn open_postgres(url: &str) -> Result<Db, DbError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| DbError::BadUrl)?;
        let pool = PgPoolOptions::new()
            .max_connections(READERS * 2)
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await?;
        Ok(Db::Postgres(pool))
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self {
            Db::Sqlite { .. } => "sqlite",
            Db::Postgres(_) => "postgres",
        }
    }

    /// Begins a change; others wait until it is committed or dropped. See the module on what belongs in one.
    pub async fn begin_change(&self) -> Result<Tx, DbError> {
        match self {
            Db::Sqlite { writer, .. } => {
                // IMMEDIATE: the lock is taken now, not at the first write, when what was read may be old.
                Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?))
            }
            Db::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CHANGE_LOCK).execute(&mut *tx).await?;
                Ok(Tx::Postgres(tx))
            }
        }
    }

    /// Begins a transaction that others need not wait for, except on SQLite, which has one writer.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        match self {
            Db::Sqlite { .. } => self.begin_change().await,
            Db::Postgres(pool) => Ok(Tx::Postgres(pool.begin().await?)),
        }
    }

    /// Begins a transaction that only reads, and sees everything as it was at this moment.
    pub async fn snapshot(&self) -> Result<Tx, DbError> {
        let mut tx = match self {
            Db::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
            Db::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Tx::Postgres(pool.begin_with(begin).await?)
            }
        };
        // The moment is that of the first read.
        tx.optional(Statement::new("SELECT name FROM settings LIMIT 1")).await?;
        Ok(tx)
    }

    /// Runs one statement by itself and gives the number of rows that it changed.
    pub async fn execute(&self, statement: Statement<'_>) -> Result<u64, DbError> {
        match self {
            Db::Sqlite { writer, .. } => {
                Ok(statement.bound().sqlite().execute(writer).await?.rows_affected())
            }
            Db::Postgres(pool) => Ok(statement.bound().postgres().execute(pool).await?.rows_affected()),
        }
    }

    /// Reads all rows of a statement. The statement bounds their number itself.
    pub async fn all(&self, statement: Statement<'_>) -> Result<Vec<Row>, DbError> {
        match self {
            Db::Sqlite { readers, .. } => Ok(statement
                .bound()
                .sqlite()
                .fetch_all(readers)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect()),
            Db::Postgres(pool) => Ok(statement
                .bound()
                .postgres()
                .fetch_all(pool)
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect()),
        }
    }

    /// Reads the first row of a statement, if it has one.
    pub async fn optional(&self, statement: Statement<'_>) -> Result<Option<Row>, DbError> {
        match self {
            Db::Sqlite { readers, .. } => {
                Ok(statement.bound().sqlite().fetch_optional(readers).await?.map(Row::Sqlite))
            }
            Db::Postgres(pool) => {
                Ok(statement.bound().postgres().fetch_optional(pool).await?.map(Row::Postgres))
            }
        }
    }

    /// Ends all connections, after what is under way. SQLite's journal is folded into the file.
    pub async fn close(&self) {
        match self {
            Db::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Runs one statement and gives the number of rows that it changed.
    pub async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, DbError> {
        match self {
            Tx::Sqlite(tx) => Ok(statement.bound().sqlite().execute(&mut **tx).await?.rows_affected()),
            Tx::Postgres(tx) => Ok(statement.bound().postgres().execute(&mut **tx).await?.rows_affected()),
        }
    }

    /// Reads all rows of a statement, seeing what this transaction has changed.
    pub async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<Row>, DbError> {
        match self {
            Tx::Sqlite(tx) => {
                let rows = statement.bound().sqlite().fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Tx::Postgres(tx) => {
                let rows = statement.bound().postgres().fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Reads the first row of a statement, if it has one.
    pub async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<Row>, DbError> {
        match self {
            Tx::Sqlite(tx) => {
                Ok(statement.bound().sqlite().fetch_optional(&mut **tx).await?.map(Row::Sqlite))
            }
            Tx::Postgres(tx) => {
                Ok(statement.bound().postgres().fetch_optional(&mut **tx).await?.map(Row::Postgres))
            }
        }
    }

    /// Makes what was changed last, durably.
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Tx::Sqlite(tx) => Ok(tx.commit().await?),
            Tx::Postgres(tx) => Ok(tx.commit().await?),
        }
    }
}

/// Makes an SQLite file that only its owner can read: it holds password hashes. One that exists stays as it is.
fn create_private(path: &Path) -> Result<(), DbError> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(source) => Err(DbError::File { path: path.to_owned(), source }),
    }
}
