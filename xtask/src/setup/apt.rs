//! Installing with apt-get: through sudo where we are not root, with fresh package lists.

use crate::command::{command, find, run};
use crate::report;
use anyhow::{Context, Result, bail};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Lists older than this may name package files that the mirror no longer has.
const LISTS_ARE_OLD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether this machine installs with apt.
pub(crate) fn available() -> bool {
    find("apt-get").is_some()
}

/// The command that installs `names`, to be typed by a person.
pub(crate) fn typed(names: &[&str]) -> String {
    let sudo = if is_root() { "" } else { "sudo " };
    let update = if lists_are_fresh() { String::new() } else { format!("{sudo}apt-get update && ") };
    format!("{update}{sudo}apt-get install -y --no-install-recommends {}", names.join(" "))
}

/// Installs `names`.
pub(crate) fn install(names: &[&str]) -> Result<()> {
    if !is_root() && find("sudo").is_none() {
        bail!("you are not root and there is no sudo; as root, run:\n  {}", typed(names));
    }
    if !lists_are_fresh() {
        report::note("updating the package lists");
        run(privileged().arg("update")).context("the package lists could not be updated")?;
    }
    run(privileged().args(["install", "-y", "--no-install-recommends"]).args(names))
        .with_context(|| format!("the installation failed; the command was\n  {}", typed(names)))
}

fn privileged() -> Command {
    let mut command = command(if is_root() { "env" } else { "sudo" });
    if !is_root() {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether there are package lists and they were fetched lately. Their modification time is the mirror's, so the time
/// of the last change of the inode (the rename at the end of a download) is what counts.
fn lists_are_fresh() -> bool {
    let newest = std::fs::read_dir(Path::new("/var/lib/apt/lists"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        .filter_map(|entry| u64::try_from(entry.metadata().ok()?.ctime()).ok())
        .max();
    let Some(newest) = newest else { return false };
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(newest))
        .is_ok_and(|age| age < LISTS_ARE_OLD_AFTER)
}
