//! Lists that decide what layers carry and how it is merged: the built-in ones with a store's own lines.

use crate::never_captured::NeverCaptured;
use crate::path_list::PatternError;
use crate::registry::{ListValues, NeverCapturedKeys};
use crate::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

/// The lists that are in force in a store.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Paths that no layer carries.
    pub(crate) never: NeverCaptured,
    /// What of the registry no layer carries.
    pub(crate) never_keys: NeverCapturedKeys,
    /// Values of the registry that are lists.
    pub(crate) lists: ListValues,
}

impl Policy {
    /// The built-in lists with what is in the files of the same names in a store's directory.
    pub(crate) fn load(store: &Path) -> Result<Policy> {
        Ok(Policy {
            never: with(store, "never-captured.txt", NeverCaptured::with)?,
            never_keys: with(store, "registry-never-captured.txt", NeverCapturedKeys::with)?,
            lists: lists(store)?,
        })
    }
}

/// Values of the registry that are lists: all that composing has to know.
pub(crate) fn lists(store: &Path) -> Result<ListValues> {
    with(store, "registry-lists.txt", ListValues::with)
}

fn with<T>(store: &Path, name: &str, read: fn(&str) -> std::result::Result<T, PatternError>) -> Result<T> {
    let path = store.join(name);
    let more = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io(format!("reading {}", path.display()))(error)),
    };
    read(&more).map_err(|source| Error::Patterns { path, source })
}
