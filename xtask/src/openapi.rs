//! `cargo xtask openapi`: writes the OpenAPI document of the API into the repository.
//!
//! The document is what the program says of itself; the test that compares both writes it when it is told to.

use crate::command::run as run_command;
use crate::metadata::{Workspace, cargo};
use crate::report;
use anyhow::Result;

/// The `openapi` task.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    run_command(
        crate::command::command(cargo())
            .args(["test", "-q", "-p", "server", "--test", "api", "the_committed"])
            .env("LAMINA_UPDATE_SNAPSHOTS", "1")
            .current_dir(&workspace.workspace_root),
    )?;
    report::line("openapi/v1.json and the matrix of permissions are up to date");
    Ok(())
}
