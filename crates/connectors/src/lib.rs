//! Connectors: the places where operating-system disks come from, where packaging disks wait for a person, and where
//! images are published.
//!
//! A [`Kind`] is a sort of place and says which fields describe one ([`Description`]); a [`Connector`] is one such
//! place with its credentials. What each operation promises is written at the trait; the module `conformance` (feature
//! `testing`) checks it, and every connector passes it. docs/connectors.md is the guide for administrators and for
//! writers of new kinds.
//!
//! Deliberately missing: layers, tasks, users and requests. A connector moves disks and reports; the server decides.

mod connector;
mod description;
mod error;
mod field;
mod key;
mod kind;
mod name;
mod reach;
mod watch;

pub mod fileshare;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod simulated;

pub use connector::{
    Browse, Connector, Delivered, DiskStamp, Entry, EntryKind, Fetched, FileIdentity, Folder, FolderFile,
    Found, Listing, Location, MachineState, Outcome, Placement, Removal, Shipment, Trial, Usage,
};
pub use description::{Capabilities, Description, Limits, Purpose};
pub use error::{Error, Result};
pub use field::{Choice, Condition, Field, FieldError, FieldType, Secrets, Values};
pub use key::OperationKey;
pub use kind::{Kind, Registry};
pub use name::{DiskName, NameRefused};
pub use reach::{LinkLocal, Reach, Unreachable};
pub use watch::Watch;
