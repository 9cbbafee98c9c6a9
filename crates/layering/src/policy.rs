//! Lists that decide what layers carry and how it is merged: the built-in ones with a store's own lines.

use crate::error::Rule;
use crate::never_captured::NeverCaptured;
use crate::path_list::PatternError;
use crate::recipes::{self, Recipes};
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

/// The built-in recipes with the lines of `recipes/NAME.txt` in a store's directory. A file there whose name is no
/// recipe's is refused: its lines would do nothing.
pub(crate) fn recipes(store: &Path) -> Result<Recipes> {
    let mut recipes = Recipes::built_in();
    for name in recipes::names() {
        with(store, &format!("recipes/{name}.txt"), |more| recipes.extend(name, more))?;
    }
    let directory = store.join("recipes");
    let failed = || Error::io(format!("reading {}", directory.display()));
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(recipes),
        Err(error) => return Err(failed()(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed())?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|end| end == "txt")
            && !recipes::names().any(|name| stem == Some(name))
        {
            return Err(Rule::NoRecipe { path: path.display().to_string() }.into());
        }
    }
    Ok(recipes)
}

fn with<T>(
    store: &Path,
    name: &str,
    read: impl FnOnce(&str) -> std::result::Result<T, PatternError>,
) -> Result<T> {
    let path = store.join(name);
    let more = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io(format!("reading {}", path.display()))(error)),
    };
    read(&more).map_err(|source| Error::Patterns { path, source })
}
