//! Python programs that tests use, each set in a virtual environment of its own with pinned versions and hashes.

use crate::command::{command, output};
use crate::report;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The pinned readers, with the hash of every file that pip may install.
const READERS: &str = include_str!("../../python/oracles.txt");
/// The same for what walks the API.
const WALKER: &str = include_str!("../../python/walker.txt");

/// Gives the Python that has the readers which are second opinions on disks and hives.
pub(crate) fn prepare(target: &Path) -> Result<PathBuf> {
    environment(target, "oracles", READERS)
}

/// Gives the Python that has Schemathesis.
pub(crate) fn prepare_walker(target: &Path) -> Result<PathBuf> {
    environment(target, "walker", WALKER)
}

/// Gives the Python with these requirements, making its environment in `target` when it is absent or out of date.
fn environment(target: &Path, name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = target.join(name);
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    // The record is written last, so an interrupted installation is made again.
    if python.exists() && std::fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(python);
    }
    report::note(&format!("installing Python packages into {}", folder.display()));
    std::fs::create_dir_all(target)?;
    output(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("cannot make the Python environment")?;
    let listed = folder.join("requirements.txt");
    std::fs::write(&listed, requirements)?;
    output(
        command(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            // the list is whole; python-registry names packages that only its examples use
            .args(["--no-deps", "--require-hashes", "--only-binary=:all:", "-r"])
            .arg(&listed),
    )
    .context("cannot install the pinned Python packages")?;
    std::fs::write(&installed, requirements)?;
    Ok(python)
}
