//! What tasks do, saga by saga.
//!
//! Each file has one saga: its parameters, which are stored with the task, and its steps. Names of sagas, of steps and
//! of the fields of parameters are never changed: tasks that an older program has begun are gone on with.

mod changed;
mod collect_garbage;
mod create_version;
mod delete_version;
mod export_layers;
mod finalize_version;
mod import_layers;
mod import_os;
pub(super) mod leftover;
mod publish;
mod steps;
mod work;

pub(super) use collect_garbage::COLLECT_GARBAGE;
pub(super) use create_version::{CREATE_VERSION, CreateVersion};
pub(super) use delete_version::{DELETE_VERSION, DeleteVersion};
pub(super) use export_layers::{EXPORT_LAYERS, ExportLayersTask};
pub(super) use finalize_version::{FINALIZE_VERSION, FinalizeVersion};
pub(super) use import_layers::{IMPORT_LAYERS, ImportLayersTask, Incoming};
pub(super) use import_os::{IMPORT_OS, ImportOs};
pub(super) use publish::{PUBLISH, Publish, claim};
pub(super) use work::VersionInStore;

use super::App;
use crate::tasks::Book;

/// Every saga.
pub(super) fn book() -> Book<App> {
    Book::new([
        collect_garbage::saga(),
        create_version::saga(),
        delete_version::saga(),
        export_layers::saga(),
        finalize_version::saga(),
        import_layers::saga(),
        import_os::saga(),
        publish::saga(),
    ])
}
