//! `cargo xtask openapi`: writes the OpenAPI documents of the API and its client into the repository.
//!
//! The document is what the program says of itself, the client's document and code are made from it; the tests that
//! compare them with what is committed write them when they are told to.

use crate::command::run as run_command;
use crate::metadata::{Workspace, cargo};
use crate::report;
use anyhow::Result;

/// Packages and their tests that write, in this order: the second reads what the first wrote.
const WRITERS: [(&str, &str, &str); 2] =
    [("server", "api", "the_committed"), ("client-generator", "committed", "the_document_for_clients")];

/// The `openapi` task.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    for (package, test, name) in WRITERS {
        run_command(
            crate::command::command(cargo())
                .args(["test", "-q", "-p", package, "--test", test, name])
                .env("LAMINA_UPDATE_SNAPSHOTS", "1")
                .current_dir(&workspace.workspace_root),
        )?;
    }
    report::line("openapi/, the generated client and the matrix of permissions are up to date");
    Ok(())
}
