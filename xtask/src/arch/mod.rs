//! `cargo xtask arch`: who depends on whom, where `unsafe` is written, how folders are named.
//!
//! Each rule gives findings as text that says what is wrong and where; none means that the rule holds.

mod arrows;
mod folders;
mod unsafety;

use crate::metadata::Workspace;
use anyhow::Result;

/// Every breach of the rules in the workspace.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = arrows::check(&workspace.packages);
    findings.extend(folders::check(&workspace.workspace_root)?);
    findings.extend(unsafety::check(&workspace.workspace_root)?);
    Ok(findings)
}

/// Folders that hold no source of ours.
fn is_foreign(name: &str) -> bool {
    name.starts_with('.') || matches!(name, "target" | "corpus" | "artifacts" | "bench-results")
}
