//! Python readers as second opinions: a virtual environment with pinned versions and hashes.

use crate::command::{command, output};
use crate::report;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The pinned requirements, with the hash of every file that pip may install.
const REQUIREMENTS: &str = include_str!("../../python/oracles.txt");

/// Gives the Python that has the readers, making its environment in `target` when it is absent or out of date.
pub(crate) fn prepare(target: &Path) -> Result<PathBuf> {
    let folder = target.join("oracles");
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    // The record is written last, so an interrupted installation is made again.
    if python.exists() && std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    report::note(&format!("installing the Python readers into {}", folder.display()));
    std::fs::create_dir_all(target)?;
    output(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("cannot make the Python environment")?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    output(
        command(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            // the list is whole; python-registry names packages that only its examples use
            .args(["--no-deps", "--require-hashes", "--only-binary=:all:", "-r"])
            .arg(&requirements),
    )
    .context("cannot install the pinned Python readers")?;
    std::fs::write(&installed, REQUIREMENTS)?;
    Ok(python)
}
