//! The Lamina server: the product's rules, its database and its API.
//!
//! ```text
//!   api ──► app ──► domain
//!            └────► db, identity, secrets, tls
//! ```
//!
//! `domain` holds the words and rules and does nothing; `app` does what is asked, in one transaction each; `api` is the
//! only part that knows HTTP. SQL is in `app`, beside the object it is about, and nowhere else.

pub mod api;
pub mod app;
pub mod backup;
mod connections;
pub mod db;
pub mod domain;
pub mod identity;
mod reset;
pub mod secrets;
mod serve;
mod store_mark;
pub mod tasks;
mod tls;

pub use connections::Connections;
pub use connectors::{LinkLocal, Registry};
pub use reset::{ResetError, reset_password};
pub use serve::{Config, EngineProcess, ServeError, Server, make_private};
pub use store_mark::StoreMarkError;
pub use tls::{Authority, Tls, TlsError};
