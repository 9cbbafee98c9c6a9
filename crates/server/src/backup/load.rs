//! Restoring a backup.

use super::dump::CHECK;
use super::passphrase::SALT;
use super::rewrap::Rewrap;
use super::tables::TABLES;
use super::{BackupError, Counted, End, FORMAT, Header, LONGEST_LINE, Passphrase, TableLine};
use crate::db::{Column, ColumnKind, Db, Statement, Tx, Value, newest};
use crate::domain::Time;
use crate::domain::time::{Clock, SystemClock};
use crate::secrets::{self, MasterKey, SecretError};
use crate::store_mark;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use uuid::Uuid;

/// What was restored.
#[derive(Debug, Clone, Copy)]
pub struct Restored {
    /// How much.
    pub counted: Counted,
    /// When the backup was made.
    pub made: Time,
    /// Tasks that were under way then: they are undone, or brought to their end behind their point of no return.
    pub tasks_under_way: u64,
}

/// Brings the database back as it was when the backup was made, into `directory`, where there is none yet, or into the
/// empty database at the URL `database`. Secrets are sealed under the key that is there, else under a new one.
///
/// A `store` that was restored beside it is marked as the one of this database.
///
/// All or nothing: a backup that turns out to be damaged leaves no database.
pub async fn restore(
    backup: &Path,
    passphrase: &Passphrase,
    directory: &Path,
    database: Option<&str>,
    credentials: Option<&Path>,
    store: Option<&Path>,
) -> Result<Restored, BackupError> {
    let mut lines = Lines::open(backup)?;
    let header: Header = lines.line()?;
    if header.lamina_backup > FORMAT || header.tables > newest() {
        return Err(BackupError::Newer { path: backup.to_owned() });
    }
    let salt: [u8; SALT] = decode(&header.salt).ok_or_else(|| lines.malformed("its salt is unreadable"))?;
    let key = passphrase.key(&salt);
    let check = STANDARD.decode(&header.check).map_err(|_| lines.malformed("its check is unreadable"))?;
    match key.open(CHECK, &check) {
        Ok(_) => {}
        Err(SecretError::WrongKey) => return Err(BackupError::WrongPassphrase),
        Err(error) => return Err(lines.malformed(&error.to_string())),
    }
    lines.keep_digest(&key);

    std::fs::create_dir_all(directory)
        .map_err(|source| BackupError::File { path: directory.to_owned(), source })?;
    let own = match secrets::find(directory, credentials)? {
        (_, Some(key)) => key,
        (_, None) => secrets::make(directory)?.1,
    };
    let embedded = directory.join("lamina.db");
    // The file takes its name when everything is in it.
    let unnamed = directory.join("lamina.db.restoring");
    if database.is_none() {
        if embedded.exists() {
            return Err(BackupError::Occupied { place: embedded.display().to_string() });
        }
        for left in ["", "-wal", "-shm"] {
            remove(&directory.join(format!("lamina.db.restoring{left}")))?;
        }
    }
    let url = database.map_or_else(|| format!("sqlite:{}", unnamed.display()), str::to_owned);
    let db = Db::connect(&url).await?;
    db.migrate_to(header.tables).await?;
    let mut tx = db.begin_change().await?;
    if database.is_some() && tx.optional(Statement::new("SELECT id FROM users LIMIT 1")).await?.is_some() {
        return Err(BackupError::Occupied { place: "the database".to_owned() });
    }
    let rewrap = Rewrap::new(&key, &own);
    let rows = load(&db, &mut tx, &mut lines, &rewrap).await?;
    let tasks_under_way = settle(&mut tx).await?;
    tx.commit().await?;
    db.migrate_to(newest()).await?;
    let objects = "INSERT INTO audit_objects (audit_id, object_kind, object_id) \
                   SELECT id, object_kind, object_id FROM audit WHERE action = 'restore' AND NOT EXISTS \
                   (SELECT 1 FROM audit_objects o WHERE o.audit_id = audit.id)";
    db.execute(Statement::new(objects)).await?;
    if let Some(store) = store {
        store_mark::mark(&db, store).await?;
    }
    db.close().await;
    if database.is_none() {
        let failed = |source| BackupError::File { path: embedded.clone(), source };
        std::fs::rename(&unnamed, &embedded).map_err(failed)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(Restored {
        counted: Counted { rows, unreadable_secrets: rewrap.unreadable() },
        made: header.made,
        tasks_under_way,
    })
}

/// Inserts every row, and believes none of them before the end is seen.
async fn load(db: &Db, tx: &mut Tx, lines: &mut Lines, rewrap: &Rewrap<'_>) -> Result<u64, BackupError> {
    // What the migrations put there belongs to another database.
    for table in TABLES.iter().rev() {
        if db.columns(table.name).await?.is_empty() {
            continue; // it came with a later version of the tables than the backup has
        }
        tx.execute(Statement::assembled(format!("DELETE FROM {}", table.name))).await?;
    }
    let mut rows = 0;
    let mut current: Option<(String, Vec<Column>, String)> = None;
    loop {
        match lines.next()? {
            Line::Table(next) => {
                let known = TABLES.iter().find(|table| table.name == next.table);
                let table =
                    known.ok_or_else(|| lines.malformed(&format!("it has a table {}", next.table)))?;
                let there = db.columns(table.name).await?;
                let mut columns = Vec::new();
                for name in &next.columns {
                    let column = there.iter().find(|column| column.name == *name).cloned();
                    columns.push(column.ok_or_else(|| lines.malformed(&format!("it has a column {name}")))?);
                }
                let parameters: Vec<String> =
                    (1..=columns.len()).map(|number| format!("${number}")).collect();
                let sql = format!(
                    "INSERT INTO {} ({}) VALUES ({})",
                    table.name,
                    next.columns.join(", "),
                    parameters.join(", ")
                );
                current = Some((table.name.to_owned(), columns, sql));
            }
            Line::Row(values) => {
                let (table, columns, sql) =
                    current.as_ref().ok_or_else(|| lines.malformed("a row has no table"))?;
                let mut row = row(values, columns).ok_or_else(|| {
                    lines.malformed(&format!("a row of the table {table} does not fit its columns"))
                })?;
                let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
                rewrap.row(table, &names, &mut row)?;
                tx.execute(Statement::assembled(sql.clone()).bind_all(row)).await?;
                rows += 1;
            }
            Line::End(end) => {
                if end.rows != rows {
                    return Err(lines.malformed("rows are missing"));
                }
                return Ok(rows);
            }
        }
    }
}

/// What was true at that moment and is not now: no server holds a task, and none goes on towards what may be long done.
async fn settle(tx: &mut Tx) -> Result<u64, BackupError> {
    let statement = "UPDATE tasks SET holder = NULL, lease_until = 0, \
                     stop_asked = (stop_asked OR NOT committed) WHERE state IN ('queued', 'running')";
    let tasks = tx.execute(Statement::new(statement)).await?;
    let statement = Statement::new(
        "INSERT INTO audit (id, at, actor_id, actor_name, address, request_id, action, object_kind, object_id, \
         object_name, comment, detail) VALUES ($1, $2, NULL, 'lamina restore', '-', NULL, 'restore', 'server', \
         'server', 'Server', '', '{}')",
    );
    let now = SystemClock.now();
    tx.execute(statement.bind(Uuid::now_v7().to_string()).bind(now.millis())).await?;
    Ok(tasks)
}

fn row(values: Vec<serde_json::Value>, columns: &[Column]) -> Option<Vec<Value>> {
    if values.len() != columns.len() {
        return None;
    }
    values.into_iter().zip(columns).map(|(value, column)| cell(value, column.kind)).collect()
}

fn cell(value: serde_json::Value, kind: ColumnKind) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match (kind, value) {
        (ColumnKind::Text, Json::Null) => Value::Text(None),
        (ColumnKind::Text, Json::String(text)) => Value::Text(Some(text)),
        (ColumnKind::Integer, Json::Null) => Value::Integer(None),
        (ColumnKind::Integer, Json::Number(number)) => Value::Integer(Some(number.as_i64()?)),
        (ColumnKind::Boolean, Json::Null) => Value::Boolean(None),
        (ColumnKind::Boolean, Json::Bool(truth)) => Value::Boolean(Some(truth)),
        (ColumnKind::Bytes, Json::Null) => Value::Bytes(None),
        (ColumnKind::Bytes, Json::Object(map)) => {
            Value::Bytes(Some(STANDARD.decode(map.get("base64")?.as_str()?).ok()?))
        }
        _ => return None,
    })
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// One line behind the first.
enum Line {
    Table(TableLine),
    Row(Vec<serde_json::Value>),
    End(End),
}

/// Reads lines, as long as they may be, and keeps their digest.
struct Lines {
    path: std::path::PathBuf,
    stream: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    digest: Option<blake3::Hasher>,
    line: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines, BackupError> {
        let failed = |source| BackupError::File { path: path.to_owned(), source };
        let mut stream = zstd::Decoder::new(File::open(path).map_err(failed)?).map_err(failed)?;
        // 8 MiB: what the encoder's level needs, and no more memory than that for a hostile file.
        stream.window_log_max(23).map_err(failed)?;
        Ok(Lines { path: path.to_owned(), stream: BufReader::new(stream), digest: None, line: Vec::new() })
    }

    fn malformed(&self, why: &str) -> BackupError {
        BackupError::Malformed { path: self.path.clone(), why: why.to_owned() }
    }

    fn read(&mut self) -> Result<(), BackupError> {
        self.line.clear();
        let read = (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        match read {
            // What is no zstd stream, or one that was cut off, is told by the decoder.
            Err(error) => Err(self.malformed(&error.to_string())),
            Ok(_) if self.line.last() != Some(&b'\n') => Err(self.malformed("it ends in the middle")),
            Ok(_) => Ok(()),
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, BackupError> {
        serde_json::from_slice(&self.line).map_err(|error| self.malformed(&error.to_string()))
    }

    /// The first line.
    fn line<T: DeserializeOwned>(&mut self) -> Result<T, BackupError> {
        self.read()?;
        self.parse()
    }

    /// From now on the digest is kept; the first line, which was read without the key, is part of it.
    fn keep_digest(&mut self, key: &MasterKey) {
        let mut digest = key.hasher();
        digest.update(&self.line);
        self.digest = Some(digest);
    }

    fn next(&mut self) -> Result<Line, BackupError> {
        self.read()?;
        let digest = self.digest.as_mut().expect("the key is known behind the first line");
        let before = digest.finalize().to_hex().to_string();
        digest.update(&self.line);
        if self.line.first() == Some(&b'[') {
            return self.parse().map(Line::Row);
        }
        if self.line.starts_with(b"{\"table\"") {
            return self.parse().map(Line::Table);
        }
        let end: End = self.parse()?;
        if end.digest != before {
            return Err(self.malformed("its contents are not those that were written"));
        }
        let mut more = [0];
        match self.stream.read(&mut more) {
            Ok(0) => Ok(Line::End(end)),
            Ok(_) => Err(self.malformed("something follows its end")),
            Err(error) => Err(self.malformed(&error.to_string())),
        }
    }
}
