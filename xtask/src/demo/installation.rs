//! Putting an application's files on a packaging disk with a program that is not Lamina.
//!
//! The Windows volume is taken out of the raw disk into a file of its own, changed there and put back: ntfs-3g mounts
//! whole volumes only, and a loop device would need root. The first choice is the ntfs-3g driver through FUSE. Where
//! it cannot mount, wimlib reads the volume into a WIM, adds the files to that, and applies the whole to the volume
//! formatted anew, with the serial number it had.

use super::applications::Application;
use super::registry;
use super::verification::Oracle;
use crate::command::{command, output};
use crate::disk::{self, Partition};
use crate::mount::Mount;
use crate::steps::byte_bar;
use crate::{report, sparse};
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How an application was installed.
pub(crate) struct Installed {
    /// The program that wrote the files.
    pub(crate) means: &'static str,
    /// Whether the registry was written to, or why not.
    pub(crate) registry: std::result::Result<(), &'static str>,
}

/// Installs `application` on the Windows partition of the raw `disk`.
pub(crate) fn install(
    application: &Application,
    disk: &Path,
    windows: Partition,
    oracle: &Oracle,
    work: &Path,
) -> Result<Installed> {
    let volume = work.join("volume.img");
    sparse::take_out(disk, windows.offset, windows.length, &volume)?;
    let installed = match Mount::new(&volume, &work.join("mount")) {
        Ok(mount) => {
            copy_files(application, mount.folder())?;
            let registry = registry::install(application, mount.folder(), oracle, work)?;
            mount.unmount()?;
            Installed { means: "the ntfs-3g driver", registry }
        }
        Err(reason) => {
            report::note(&format!(
                "the ntfs-3g driver cannot mount here ({reason:#}); wimlib-imagex does it instead"
            ));
            let registry = apply_with_wimlib(application, &volume, windows, oracle, work)?;
            Installed { means: "wimlib-imagex, as the ntfs-3g driver cannot mount here", registry }
        }
    };
    sparse::put_in(&volume, disk, windows.offset)?;
    std::fs::remove_file(&volume)?;
    Ok(installed)
}

fn copy_files(application: &Application, root: &Path) -> Result<()> {
    let bar = byte_bar(application.bytes(), application.name);
    for (place, content) in &application.files {
        let target = resolve(root, place)?;
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(&content.source, &target)
            .with_context(|| format!("cannot write {}", target.display()))?;
        bar.inc(content.bytes);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Where `place` is below `root`, in the spelling that the volume has: the driver's names are case-sensitive, those of
/// Windows are not.
pub(super) fn resolve(root: &Path, place: &str) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for name in place.split('/') {
        let exact = path.join(name);
        if !exact.exists() && path.is_dir() {
            let same = std::fs::read_dir(&path)?
                .filter_map(|entry| Some(entry.ok()?.file_name()))
                .find(|known| known.to_string_lossy().to_lowercase() == name.to_lowercase());
            if let Some(known) = same {
                path.push(known);
                continue;
            }
        }
        path = exact;
    }
    Ok(path)
}

fn apply_with_wimlib(
    application: &Application,
    volume: &Path,
    windows: Partition,
    oracle: &Oracle,
    work: &Path,
) -> Result<std::result::Result<(), &'static str>> {
    let tree = work.join("tree");
    for (place, content) in &application.files {
        let target = tree.join(place);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::hard_link(&content.source, &target)
            .or_else(|_| std::fs::copy(&content.source, &target).map(drop))?;
    }
    let archive = work.join("volume.wim");
    let wimlib = || {
        let mut command = command("wimlib-imagex");
        command.env("WIMLIB_IMAGEX_IGNORE_CASE", "1");
        command
    };
    output(wimlib().args(["capture", "--compress=none"]).arg(volume).arg(&archive))?;
    let config = tree.join("Windows/System32/config");
    std::fs::create_dir_all(&config)?;
    for hive in registry::HIVES {
        let place = format!("/{hive}");
        // A disk without hives is not one to fail over.
        let extract = wimlib()
            .arg("extract")
            .arg(&archive)
            .args(["1", &place, "--no-acls", "--dest-dir"])
            .arg(&config)
            .output();
        extract.context("cannot start wimlib-imagex")?;
    }
    let done = registry::install(application, &tree, oracle, work)?;
    output(
        wimlib()
            .arg("update")
            .arg(&archive)
            .args(["1", "--command"])
            .arg(format!("add '{}' '/'", tree.display())),
    )?;
    let serial = serial_number(volume)?;
    disk::format_ntfs(volume, windows, "Windows")?;
    set_serial_number(volume, windows.length, serial)?;
    output(wimlib().arg("apply").arg(&archive).arg("1").arg(volume))?;
    std::fs::remove_dir_all(&tree)?;
    std::fs::remove_file(&archive)?;
    Ok(done)
}

/// The volume serial number stands at byte 0x48 of the boot sector, of which the last sector of the partition is a copy.
const SERIAL_NUMBER_AT: u64 = 0x48;

fn serial_number(volume: &Path) -> Result<[u8; 8]> {
    let mut serial = [0; 8];
    let mut file = File::open(volume)?;
    file.seek(SeekFrom::Start(SERIAL_NUMBER_AT))?;
    file.read_exact(&mut serial)?;
    Ok(serial)
}

fn set_serial_number(volume: &Path, length: u64, serial: [u8; 8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(volume)?;
    for boot_sector in [0, length - 512] {
        file.seek(SeekFrom::Start(boot_sector + SERIAL_NUMBER_AT))?;
        file.write_all(&serial)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_the_spelling_that_the_volume_has() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("windows/SYSTEM32")).unwrap();
        std::fs::write(root.path().join("windows/SYSTEM32/VcRuntime140.dll"), "").unwrap();
        let found = resolve(root.path(), "Windows/System32/vcruntime140.dll").unwrap();
        assert_eq!(found, root.path().join("windows/SYSTEM32/VcRuntime140.dll"));
        let new = resolve(root.path(), "Windows/System32/New Folder/a.dll").unwrap();
        assert_eq!(new, root.path().join("windows/SYSTEM32/New Folder/a.dll"));
    }
}
