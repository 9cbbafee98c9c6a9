//! Making a backup.

use super::passphrase::SALT;
use super::rewrap::Rewrap;
use super::tables::{TABLES, Table};
use super::{BackupError, Counted, End, FORMAT, Header, Passphrase, TableLine};
use crate::app::secret_key;
use crate::db::{Column, Db, Statement, Tx, Value, newest};
use crate::domain::time::{Clock, SystemClock};
use crate::identity::fill_random;
use crate::secrets::{Holder, MasterKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// What is sealed to tell a wrong passphrase.
pub(super) const CHECK: Holder<'static> = Holder { purpose: "backup", id: "check" };
/// Rows that are read at a time.
const PAGE: i64 = 2_000;

/// The database as it was at one moment, while servers go on to change it.
#[derive(Debug)]
pub struct Snapshot {
    db: Db,
    tx: Tx,
    key: MasterKey,
}

impl Snapshot {
    /// Takes the moment. `directory` is the server's, `database` the URL when it is not the embedded one.
    pub async fn take(
        directory: &Path,
        database: Option<&str>,
        credentials: Option<&Path>,
    ) -> Result<Snapshot, BackupError> {
        let embedded = directory.join("lamina.db");
        if database.is_none() && !embedded.exists() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(BackupError::File { path: embedded, source });
        }
        let url = database.map_or_else(|| format!("sqlite:{}", embedded.display()), str::to_owned);
        let db = Db::connect(&url).await?;
        let (found, known) = (db.version().await?, newest());
        if found > known {
            return Err(crate::db::DbError::Newer { found, known }.into());
        }
        if found < known {
            return Err(BackupError::Older { found, known });
        }
        let key = secret_key::open(&db, directory, credentials).await?;
        let tx = db.snapshot().await?;
        Ok(Snapshot { db, tx, key })
    }

    /// Writes the file. It has its name when it is complete and durable; one that was there is replaced.
    pub async fn write(mut self, path: &Path, passphrase: &Passphrase) -> Result<Counted, BackupError> {
        let failed = |source| BackupError::File { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A temporary file has the mode 600.
        let file = tempfile::Builder::new().prefix(".lamina-backup-").tempfile_in(folder).map_err(failed)?;
        let mut salt = [0; SALT];
        fill_random(&mut salt);
        let key = passphrase.key(&salt);
        let mut out = Out::new(file.as_file(), &key).map_err(failed)?;
        out.line(&Header {
            lamina_backup: FORMAT,
            tables: newest(),
            made: SystemClock.now(),
            salt: STANDARD.encode(salt),
            check: STANDARD.encode(key.seal(CHECK, b"Lamina")?),
        })
        .map_err(failed)?;
        let rewrap = Rewrap::new(&self.key, &key);
        let mut rows = 0;
        for table in TABLES {
            rows += write_table(&self.db, &mut self.tx, table, &rewrap, &mut out, &failed).await?;
        }
        out.end(rows).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let unreadable_secrets = rewrap.unreadable();
        drop(self.tx);
        self.db.close().await;
        Ok(Counted { rows, unreadable_secrets })
    }
}

async fn write_table(
    db: &Db,
    tx: &mut Tx,
    table: &Table,
    rewrap: &Rewrap<'_>,
    out: &mut Out<'_>,
    failed: &(dyn Fn(io::Error) -> BackupError + Sync),
) -> Result<u64, BackupError> {
    let columns = db.columns(table.name).await?;
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    out.line(&TableLine { table: table.name.to_owned(), columns: names.clone() }).map_err(failed)?;
    let sql = format!("SELECT * FROM {} ORDER BY {} LIMIT $1 OFFSET $2", table.name, table.order);
    let mut done = 0;
    loop {
        let page = tx.all(Statement::assembled(sql.clone()).bind(PAGE).bind(done)).await?;
        for row in &page {
            let mut values =
                columns.iter().map(|column| column.value(row)).collect::<Result<Vec<Value>, _>>()?;
            rewrap.row(table.name, &names, &mut values)?;
            let line: Vec<serde_json::Value> = values.into_iter().map(json).collect();
            out.line(&line).map_err(failed)?;
        }
        done += page.len() as i64;
        if (page.len() as i64) < PAGE {
            return Ok(done.unsigned_abs());
        }
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Text(Some(text)) => text.into(),
        Value::Integer(Some(number)) => number.into(),
        Value::Boolean(Some(truth)) => truth.into(),
        Value::Bytes(Some(bytes)) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
        Value::Text(None) | Value::Integer(None) | Value::Boolean(None) | Value::Bytes(None) => {
            serde_json::Value::Null
        }
    }
}

/// Writes lines and keeps their digest.
struct Out<'f> {
    stream: zstd::Encoder<'static, &'f std::fs::File>,
    digest: blake3::Hasher,
}

impl<'f> Out<'f> {
    fn new(file: &'f std::fs::File, key: &MasterKey) -> io::Result<Out<'f>> {
        Ok(Out { stream: zstd::Encoder::new(file, 3)?, digest: key.hasher() })
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.digest.update(&bytes);
        self.stream.write_all(&bytes)
    }

    fn end(mut self, rows: u64) -> io::Result<()> {
        let digest = self.digest.finalize().to_hex().to_string();
        self.line(&End { rows, digest })?;
        self.stream.finish().map(drop)
    }
}

impl Column {
    /// What a row has in this column.
    fn value(&self, row: &crate::db::Row) -> Result<Value, crate::db::DbError> {
        let name = self.name.as_str();
        Ok(match self.kind {
            crate::db::ColumnKind::Text => Value::Text(row.optional_text(name)?),
            crate::db::ColumnKind::Integer => Value::Integer(row.optional_integer(name)?),
            crate::db::ColumnKind::Boolean => Value::Boolean(row.optional_boolean(name)?),
            crate::db::ColumnKind::Bytes => Value::Bytes(row.optional_bytes(name)?),
        })
    }
}
