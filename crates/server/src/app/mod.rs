//! What the server does, called by the API and, later, the console: who asks, may they, is it valid, what changes.
//!
//! One file per kind of object. Each action checks its permission, validates in [`domain`](crate::domain), changes the
//! database in one [`Change`] that leaves a row in the audit history, and gives back what the caller sees.

pub mod assignments;
pub mod audit;
mod call;
mod change;
mod configuration_values;
pub mod configurations;
pub mod connectors;
pub mod doctor;
pub mod engine;
pub mod groups;
mod housekeeping;
pub mod icons;
pub mod images;
mod in_use;
pub mod layers;
mod layouts;
pub mod list;
pub mod making;
pub mod picks;
mod questions;
mod refusal;
pub mod resolve;
mod role_grants;
mod rows;
mod sagas;
pub mod secret_key;
pub mod sessions;
pub mod settings;
pub mod tasks;
pub mod templates;
mod throttle;
pub mod tokens;
pub mod usage;
pub mod users;
pub mod versions;
pub mod webhook;

pub use call::{Actor, Call, Proof};
pub(crate) use change::hex;
pub use change::{Begun, Change, Object};
pub use refusal::{Reason, Refusal};

use crate::db::{Db, Row};
use crate::domain::time::Clock;
use crate::domain::{NotAnId, Time};
use crate::identity::Passwords;
use crate::secrets::MasterKey;
use crate::tasks::{Book, Conduct, Runner};
use ::connectors::Registry;
use engine::Engine;
use serde::{Deserialize, Deserializer};
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
    pub(crate) key: Arc<MasterKey>,
    pub(crate) kinds: Registry,
    pub(crate) engine: Arc<dyn Engine>,
    /// Where tasks keep files while they work.
    pub(crate) scratch: PathBuf,
    pub(crate) deployment: Arc<doctor::Deployment>,
    pub(crate) book: Arc<Book<App>>,
    pub(crate) wake: Arc<Notify>,
    questions: questions::Questions,
    pictures: icons::Pictures,
    places: connectors::Places,
}

impl App {
    /// The application on a database that is open, with the key of its secrets and the kinds of connectors that it
    /// offers. Everything else is kept in `directory`.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        key: MasterKey,
        kinds: Registry,
        engine: Arc<dyn Engine>,
        directory: PathBuf,
    ) -> App {
        App {
            db,
            clock,
            passwords: Passwords::new(),
            key: Arc::new(key),
            kinds,
            engine,
            scratch: directory.join("scratch"),
            deployment: Arc::new(doctor::Deployment::new(directory)),
            book: Arc::new(sagas::book()),
            wake: Arc::new(Notify::new()),
            questions: questions::Questions::new(),
            pictures: icons::Pictures::new(),
            places: connectors::Places::new(),
        }
    }

    /// What carries out this application's tasks.
    pub(crate) fn runner(&self, conduct: Conduct) -> Arc<Runner<App>> {
        let (book, wake) = (Arc::clone(&self.book), Arc::clone(&self.wake));
        let (db, clock) = (self.db.clone(), Arc::clone(&self.clock));
        Arc::new(Runner::new(self.clone(), book, db, clock, wake, conduct))
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The key of the server's secrets.
    pub(crate) fn secret_key(&self) -> &MasterKey {
        &self.key
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

/// A field of a change that may be set to nothing: absent it stays, `null` clears it.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A word in a row that the program wrote there, such as a state.
fn word<T>(row: &Row, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Refusal> {
    let text = row.text(column)?;
    read(&text).ok_or_else(|| Refusal::internal(format!("the column {column} holds {text:?}")))
}

/// An identifier in a row.
fn id<I: FromStr<Err = NotAnId>>(row: &Row, column: &str) -> Result<I, Refusal> {
    row.text(column)?.parse().map_err(Refusal::internal)
}

/// An identifier in a row that may be empty.
fn optional_id<I: FromStr<Err = NotAnId>>(row: &Row, column: &str) -> Result<Option<I>, Refusal> {
    row.optional_text(column)?.map(|text| text.parse().map_err(Refusal::internal)).transpose()
}
