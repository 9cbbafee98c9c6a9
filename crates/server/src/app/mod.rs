//! What the server does, called by the API and, later, the console: who asks, may they, is it valid, what changes.
//!
//! One file per kind of object. Each action checks its permission, validates in [`domain`](crate::domain), changes the
//! database in one [`Change`] that leaves a row in the audit history, and gives back what the caller sees.

pub mod audit;
mod call;
mod change;
pub mod groups;
mod housekeeping;
pub mod list;
mod refusal;
mod role_grants;
pub mod sessions;
pub mod settings;
mod throttle;
pub mod tokens;
pub mod users;

pub use call::{Actor, Call, Proof};
pub(crate) use change::hex;
pub use change::{Begun, Change, Object};
pub use refusal::{Reason, Refusal};

use crate::db::{Db, Row};
use crate::domain::NotAnId;
use crate::domain::time::Clock;
use crate::identity::Passwords;
use std::str::FromStr;
use std::sync::Arc;

/// The application: everything that an action needs.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) passwords: Passwords,
}

impl App {
    /// The application on a database that is open.
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> App {
        App { db, clock, passwords: Passwords::new() }
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

/// An identifier in a row.
fn id<I: FromStr<Err = NotAnId>>(row: &Row, column: &str) -> Result<I, Refusal> {
    row.text(column)?.parse().map_err(Refusal::internal)
}

/// An identifier in a row that may be empty.
fn optional_id<I: FromStr<Err = NotAnId>>(row: &Row, column: &str) -> Result<Option<I>, Refusal> {
    row.optional_text(column)?.map(|text| text.parse().map_err(Refusal::internal)).transpose()
}
