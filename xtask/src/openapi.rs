//! `cargo xtask openapi`: writes the OpenAPI documents of the API and its client into the repository.
//!
//! The document is what the program says of itself, the client's document and code are made from it; the tests that
//! compare them with what is committed write them when they are told to.

use crate::command::run as run_command;
use crate::metadata::{Workspace, cargo};
use crate::report;
use anyhow::Result;

/// Test programs and their tests that write, in this order: the second reads what the first wrote.
const WRITERS: [(&str, &str); 2] = [("api", "the_committed"), ("committed", "the_document_for_clients")];

/// The `openapi` task.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    for (test, name) in WRITERS {
        run_command(
            crate::command::command(cargo())
                // A choice of packages would compile what they share anew, with other features.
                .args(["test", "-q", "--workspace", "--test", test, name])
                .env("LAMINA_UPDATE_SNAPSHOTS", "1")
                .current_dir(&workspace.workspace_root),
        )?;
    }
    report::line("openapi/, the generated client and the matrix of permissions are up to date");
    Ok(())
}
