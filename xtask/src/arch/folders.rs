//! Folder names that say nothing about what is inside.

use super::is_foreign;
use anyhow::{Context, Result};
use std::path::Path;

const FORBIDDEN: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "managers", "base", "misc", "shared"];

/// Folders of the repository with a forbidden name.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    visit(root, root, &mut findings)?;
    findings.sort();
    Ok(findings)
}

fn visit(root: &Path, folder: &Path, findings: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() || is_foreign(&name) {
            continue;
        }
        let path = entry.path();
        if FORBIDDEN.contains(&name.to_lowercase().as_str()) {
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            findings.push(format!("folder {shown}: the name `{name}` does not say what is inside"));
        }
        visit(root, &path, findings)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_named_common_is_found_at_any_depth_and_build_output_is_not_looked_at() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["crates/disk/tests/common", "target/debug/util", "crates/disk/src/format"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let findings = check(root.path()).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("folder crates/disk/tests/common:"), "{findings:?}");
    }
}
