//! Mounting NTFS volumes with the ntfs-3g driver, as a plain user where FUSE lets one.

use crate::command::{command, find, output};
use crate::report;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a mount may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A volume mounted by ntfs-3g, which runs as our child so that its end means that everything is written.
#[derive(Debug)]
pub(crate) struct Mount {
    driver: Child,
    folder: PathBuf,
}

impl Mount {
    /// Mounts the volume in `volume`, a file of its own, at `folder`.
    pub(crate) fn new(volume: &Path, folder: &Path) -> Result<Mount> {
        std::fs::create_dir_all(folder)?;
        let mut driver = command("ntfs-3g")
            .args(["-o", "no_detach,big_writes,windows_names"])
            .arg(volume)
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ntfs-3g")?;
        let started = Instant::now();
        while !is_mounted(folder)? {
            if let Some(status) = driver.try_wait()? {
                let mut said = String::new();
                if let Some(stderr) = driver.stderr.as_mut() {
                    stderr.read_to_string(&mut said)?;
                }
                bail!("ntfs-3g ended with {status}: {}", said.trim().replace('\n', "; "));
            }
            if started.elapsed() > PATIENCE {
                driver.kill()?;
                bail!("ntfs-3g did not mount within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Mount { driver, folder: folder.to_owned() })
    }

    /// Where the volume's root is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Unmounts and waits until everything is in the file.
    pub(crate) fn unmount(mut self) -> Result<()> {
        ask_to_unmount(&self.folder)?;
        let status = self.driver.wait()?;
        if !status.success() {
            bail!("ntfs-3g ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Only after a failure is the mount still there; the failure is what gets reported.
        if matches!(is_mounted(&self.folder), Ok(true))
            && let Err(error) = ask_to_unmount(&self.folder)
        {
            report::note(&format!("{} is still mounted: {error:#}", self.folder.display()));
        }
    }
}

fn ask_to_unmount(folder: &Path) -> Result<()> {
    let program = if find("fusermount3").is_some() { "fusermount3" } else { "fusermount" };
    output(command(program).arg("-u").arg(folder))?;
    Ok(())
}

fn is_mounted(folder: &Path) -> Result<bool> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    // The kernel writes a blank in a path as \040.
    let written = folder.to_string_lossy().replace(' ', "\\040");
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(written.as_str())))
}
