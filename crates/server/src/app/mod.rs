//! What the server does, called by the API and, later, the console: who asks, may they, is it valid, what changes.
//!
//! One file per kind of object. Each action checks its permission, validates in [`domain`](crate::domain), changes the
//! database in one [`Change`] that leaves a row in the audit history, and gives back what the caller sees.

pub mod audit;
mod call;
mod change;
pub mod engine;
pub mod groups;
mod housekeeping;
pub mod list;
mod refusal;
mod role_grants;
mod sagas;
pub mod sessions;
pub mod settings;
pub mod tasks;
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
use crate::tasks::{Book, Patience, Runner};
use engine::Engine;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::Notify;

/// The application: everything that an action needs.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) passwords: Passwords,
    pub(crate) engine: Arc<dyn Engine>,
    /// Where tasks keep files while they work.
    pub(crate) scratch: PathBuf,
    pub(crate) book: Arc<Book<App>>,
    pub(crate) wake: Arc<Notify>,
}

impl App {
    /// The application on a database that is open.
    pub fn new(db: Db, clock: Arc<dyn Clock>, engine: Arc<dyn Engine>, scratch: PathBuf) -> App {
        let book = Arc::new(sagas::book());
        App { db, clock, passwords: Passwords::new(), engine, scratch, book, wake: Arc::new(Notify::new()) }
    }

    /// What carries out this application's tasks.
    pub(crate) fn runner(&self, most: usize) -> Arc<Runner<App>> {
        let (book, wake) = (Arc::clone(&self.book), Arc::clone(&self.wake));
        let (db, clock) = (self.db.clone(), Arc::clone(&self.clock));
        Arc::new(Runner::new(self.clone(), book, db, clock, wake, Patience::default(), most))
    }

    /// The connector of a configuration.
    pub(crate) async fn connect(
        &self,
        _id: crate::domain::ConfigurationId,
    ) -> Result<Arc<dyn ::connectors::Connector>, Refusal> {
        Err(Refusal::internal("merge"))
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
