//! A real Windows file tree: the drive that wine's own set-up makes.
//!
//! What is missing compared with an installed Windows is said in the tree itself: there is no boot loader, and
//! `\Windows\System32\config` holds wine's registry, which is text, under names that say so, instead of hives.

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

/// wine's registry files and what they are called on the volume.
const REGISTRY: [(&str, &str); 3] = [
    ("system.reg", "wine-machine-registry.txt"),
    ("user.reg", "wine-user-registry.txt"),
    ("userdef.reg", "wine-default-user-registry.txt"),
];

/// Makes the tree under `work` and gives its root, the future `C:\`.
pub(crate) fn make(work: &Path) -> Result<PathBuf> {
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
    let config = root.join("Windows/System32/config");
    std::fs::create_dir_all(&config)?;
    for (from, to) in REGISTRY {
        if prefix.join(from).exists() {
            std::fs::copy(prefix.join(from), config.join(to))?;
        }
    }
    std::fs::write(
        config.join("README.txt"),
        "Made by Lamina's demo from wine's drive: these are wine's text registries, not Windows hives.\r\n",
    )?;
    Ok(root)
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
