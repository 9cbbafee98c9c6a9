//! A real Windows file tree: the drive that wine's own set-up makes.
//!
//! Compared with an installed Windows there is no boot loader. The hives hold wine's registry.

use super::wine_registry::{self, Written};
use crate::command::{command, output};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Spellings of an installed Windows for folders that wine writes in lower case.
const SPELLINGS: [(&str, &str); 7] = [
    ("users", "Users"),
    ("windows", "Windows"),
    ("Windows/system32", "Windows/System32"),
    ("Windows/syswow64", "Windows/SysWOW64"),
    ("Windows/winsxs", "Windows/WinSxS"),
    ("Windows/temp", "Windows/Temp"),
    ("Windows/inf", "Windows/INF"),
];

/// Makes the tree under `work` and gives its root, the future `C:\`, and the hives in it.
pub(crate) fn make(work: &Path) -> Result<(PathBuf, Vec<Written>)> {
    let prefix = work.join("wine");
    // A home of its own: wine links the user's folders to it, and the caller's documents have no place in a demo.
    let home = work.join("home");
    std::fs::create_dir_all(&home)?;
    let wine = |program: &str| {
        let mut command = command(program);
        command
            .env("WINEPREFIX", &prefix)
            .env("HOME", &home)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    };
    output(wine("wineboot").arg("--init")).context("wine could not set up its drive")?;
    output(wine("wineserver").arg("--wait")).context("wine did not come to rest")?;

    let root = prefix.join("drive_c");
    for (wine, windows) in SPELLINGS {
        if root.join(wine).is_dir() {
            std::fs::rename(root.join(wine), root.join(windows))?;
        }
    }
    links_become_folders(&root)?;
    let hives = wine_registry::convert(&prefix, &root)?;
    Ok((root, hives))
}

/// wine's symbolic links point into the home folder of this machine; on the volume they are plain empty folders.
fn links_become_folders(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            std::fs::remove_file(entry.path())?;
            std::fs::create_dir(entry.path())?;
        } else if entry.file_type()?.is_dir() {
            links_become_folders(&entry.path())?;
        }
    }
    Ok(())
}
