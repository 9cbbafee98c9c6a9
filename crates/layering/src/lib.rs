//! Capture, compose and compare layers: plan first, then execute.
//!
//! [`Engine`] is the way in: requests in, reports out. Inside, what is pure is apart from what touches disks:
//! [`difference`] turns two trees into a [`manifest`], [`plan`] folds manifests over a tree; capturing, composing and
//! importing carry that out on disks that are maps over the store's blobs.
//!
//! Registry hives are not carried as files: `registry` turns them into changes and back (`hives` says which files are
//! hives, and what is the OS layer's alone). `recipes` says what becomes of the software of platforms that an image is not
//! for.
//!
//! Deliberately missing: HTTP, SQL and platforms are others' business.

mod binary_version;
mod capture;
mod catalog;
mod changed_blocks;
mod compose;
mod contents;
pub mod difference;
mod drivers;
mod engine;
mod error;
mod exchange;
mod execute;
#[doc(hidden)]
pub mod fuzzing;
mod hives;
mod import;
mod integrity;
pub mod manifest;
mod marker;
pub mod never_captured;
mod object_ids;
mod os_volume;
mod output;
pub mod path_list;
mod placement;
pub mod plan;
pub mod platform;
mod policy;
mod profiles;
mod query;
mod reagent;
mod recipes;
mod record;
pub mod reference;
pub mod registry;
pub mod report;
pub mod request;
mod streams;
mod successor;

pub use capture::Changes;
pub use engine::Engine;
pub use error::{Error, Result, Rule};
pub use exchange::error::LayoutError;

/// Revision of the engine: part of what a composed image's content depends on.
pub const ENGINE: &str = record::ENGINE;
