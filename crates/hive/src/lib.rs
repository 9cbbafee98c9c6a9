//! Windows registry hives: read, verified, logs replayed; changed as a tree and written compactly; compared and merged.
//!
//! ```text
//! file + logs ─► Hive ─► Key, Value            reading single keys where they are
//!                  └───► Tree ─► write()       loading all, changing, writing anew
//!                          │
//!      Tree + Tree ─► Delta::between ─► Delta ─► Tree::apply    what changed, carried to another hive
//! ```
//!
//! A hive is kept in memory as a whole; a [`Tree`] borrows from it what was not changed. Every byte is taken for
//! hostile: what breaks a rule of the format is an error that says where, and only what carries no information is
//! mended ([`Repair`]).
//!
//! Deliberately missing: the transactional registry's own logs (`*.blf`, `*.regtrans-ms`), recovering deleted keys, and
//! changing a file in place.

mod apply;
mod base_block;
mod bytes;
mod delta;
mod diff;
mod error;
mod file;
mod key;
mod layout;
mod list;
mod load;
mod marvin32;
mod name;
mod record;
mod recovery;
mod reg_file;
mod sequence;
mod text;
mod tree;
mod write;

pub use apply::{Lists, NoLists, Notice};
pub use delta::{Counts, Delta, KeyChange, KeyRole, ValueChange};
pub use error::{Error, Result};
pub use file::Hive;
pub use key::Key;
pub use list::{ListKind, MergedList, merge_lists};
pub use load::Repair;
pub use name::{Name, Upcase};
pub use record::{Data, Properties, Value, key_flags, value_kind};
pub use recovery::Recovery;
pub use reg_file::{RegFile, RegFileCounts};
pub use text::{multi_string, string};
pub use tree::{KeyId, KeyNode, SecurityId, Tree};
