//! The database in a file, and back: a backup that either kind of database can be restored from.
//!
//! A file is a zstd stream (RFC 8878) of lines of JSON:
//!
//! ```text
//!   {"lamina_backup":1,"tables":6,"made":"…","salt":"…","check":"…"}     what it is, and how its key is derived
//!   {"table":"users","columns":["id",…]}                                 then a line for each row:
//!   ["0190…","admin",…]                                                  text, numbers, truth values, {"base64":"…"}
//!   {"rows":4711,"digest":"…"}                                           the end
//! ```
//!
//! Secrets are sealed in it as in the database, but under a key that a passphrase gives (argon2id): the file is of no
//! use to who lacks the passphrase, and needs no key of the server's. The digest is keyed with it as well, so that a
//! file that was cut off or changed is refused as a whole. Names, settings and password hashes can be read in the file
//! without the passphrase; it is made for its owner alone.
//!
//! Sessions, failed log-ins and answers to repeated calls are left out: nobody misses them, and some are bound to the
//! server's key.

mod dump;
mod error;
mod load;
mod passphrase;
mod rewrap;
mod tables;

pub use dump::Snapshot;
pub use error::BackupError;
pub use load::{Restored, restore};
pub use passphrase::Passphrase;

use crate::domain::Time;
use serde::{Deserialize, Serialize};

/// The form of the file.
const FORMAT: u32 = 1;
/// Longest line, in bytes. Uploaded icons are the largest things that are stored.
const LONGEST_LINE: u64 = 64 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    lamina_backup: u32,
    /// Version of the tables.
    tables: i64,
    made: Time,
    /// In base64.
    salt: String,
    /// Something known, sealed: tells a wrong passphrase. In base64.
    check: String,
}

/// What precedes the rows of a table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableLine {
    table: String,
    columns: Vec<String>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: u64,
    /// Keyed BLAKE3 of everything before this line, in hexadecimal digits.
    digest: String,
}

/// What a backup or a restore went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Rows of all tables.
    pub rows: u64,
    /// Secrets that cannot be opened. They stay as they are: everything else is worth keeping, and a connector that uses
    /// one says that it has to be entered again.
    pub unreadable_secrets: u64,
}
