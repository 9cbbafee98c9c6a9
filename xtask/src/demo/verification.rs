//! Second opinions on the published image, none of them by Lamina or by the library it writes with: qemu-img, sfdisk,
//! sleuthkit, 7z and dissect.ntfs.

use super::applications::Application;
use super::windows_partition;
use crate::command::{command, output};
use crate::disk::{self, Partition};
use crate::sparse;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The footer behind the disk in a fixed VHD, in bytes.
const VHD_FOOTER: u64 = 512;

/// Reads NTFS with dissect; the script has its own description.
const NTFS_ORACLE: &str = include_str!("../../python/ntfs_oracle.py");

/// Reads hives with dissect; the script has its own description.
const HIVE_ORACLE: &str = include_str!("../../python/hive_oracle.py");

/// The Python readers.
#[derive(Debug)]
pub(crate) struct Oracle {
    python: PathBuf,
}

impl Oracle {
    /// Readers of this Python.
    pub(crate) fn new(python: &Path) -> Oracle {
        Oracle { python: python.to_owned() }
    }

    /// Whether the volume has something at `path`.
    pub(crate) fn has(&self, disk: &Path, partition: Partition, path: &str) -> Result<bool> {
        Ok(output(self.call("has", disk, partition).arg(path))?.trim() == "yes")
    }

    /// Takes a file out of the volume.
    pub(crate) fn extract(&self, disk: &Path, partition: Partition, path: &str, to: &Path) -> Result<()> {
        let file = std::fs::File::create(to)?;
        let run = self.call("extract", disk, partition).arg(path).stdout(file).output()?;
        if !run.status.success() {
            bail!("dissect.ntfs cannot read {path}:\n{}", String::from_utf8_lossy(&run.stderr));
        }
        Ok(())
    }

    /// What a reader of hives says of one.
    pub(crate) fn hive(&self, verb: &str, hive: &Path, more: &[&str]) -> Result<String> {
        output(command(&self.python).args(["-c", HIVE_ORACLE, verb]).arg(hive).args(more))
    }

    /// SHA-256 of each of `paths`, `absent` where there is no such file.
    fn hashes<'a>(
        &self,
        disk: &Path,
        partition: Partition,
        paths: impl Iterator<Item = &'a String>,
    ) -> Result<BTreeMap<String, String>> {
        let mut list = tempfile::tempfile()?;
        for path in paths {
            writeln!(list, "{path}")?;
        }
        std::io::Seek::rewind(&mut list)?;
        let child = self
            .call("hashes", disk, partition)
            .stdin(list)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the Python reader")?;
        let answer = child.wait_with_output()?;
        if !answer.status.success() {
            bail!("dissect.ntfs cannot read the volume:\n{}", String::from_utf8_lossy(&answer.stderr));
        }
        Ok(String::from_utf8_lossy(&answer.stdout)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(hash, path)| (path.to_owned(), hash.to_owned()))
            .collect())
    }

    fn call(&self, verb: &str, disk: &Path, partition: Partition) -> std::process::Command {
        let mut command = command(&self.python);
        command.args(["-c", NTFS_ORACLE, verb]).arg(disk);
        command.args([partition.offset.to_string(), partition.length.to_string()]);
        command
    }
}

/// The QCOW2 is sound, and it holds the same disk as the VHD.
pub(crate) fn images_agree(vhd: &Path, qcow2: &Path) -> Result<String> {
    let size = vhd.metadata()?.len();
    if size % (1 << 20) != VHD_FOOTER {
        bail!("{} is {size} bytes, not whole MiB and a footer of {VHD_FOOTER} bytes", vhd.display());
    }
    output(command("qemu-img").args(["check", "-q", "-f", "qcow2"]).arg(qcow2))?;
    // The footer's cylinder count cannot express every size; its size field can.
    let vpc = format!(
        "driver=vpc,force_size_calc=current_size,file.filename={}",
        vhd.display().to_string().replace(',', ",,")
    );
    let qcow2 = format!("driver=qcow2,file.filename={}", qcow2.display().to_string().replace(',', ",,"));
    let said = output(command("qemu-img").args(["compare", "--image-opts", &vpc, &qcow2]))?;
    Ok(said.trim().to_owned())
}

/// The disk inside the fixed VHD, as a raw file: what the readers are given.
pub(crate) fn raw_disk(vhd: &Path, work: &Path) -> Result<PathBuf> {
    let raw = work.join("published.raw");
    sparse::take_out(vhd, 0, vhd.metadata()?.len() - VHD_FOOTER, &raw)?;
    Ok(raw)
}

/// The partition table holds by sfdisk's rules, backup included; gives the Windows partition.
pub(crate) fn partition_table(oracle: &Oracle, raw: &Path) -> Result<(Partition, String)> {
    let mut verify = command("sfdisk");
    let run = verify.arg("--verify").arg(raw).output().context("cannot start sfdisk")?;
    let said = String::from_utf8_lossy(&run.stdout);
    // It ends well with a damaged backup, too, and says so here.
    let complaints = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() || !complaints.trim().is_empty() {
        bail!("sfdisk --verify: {} ({})\n{said}", complaints.trim(), run.status);
    }
    let windows = windows_partition(oracle, raw)?;
    let verdict = said.lines().find(|line| line.contains("errors")).unwrap_or("verified");
    Ok((windows, verdict.trim().to_owned()))
}

/// Every file of the applications has the content that its wheel recorded; where both brought one, the second's.
pub(crate) fn contents(
    oracle: &Oracle,
    raw: &Path,
    windows: Partition,
    applications: &[Application; 2],
) -> Result<String> {
    let [first, second] = applications;
    let mut expected: BTreeMap<&String, (&str, &str)> = BTreeMap::new();
    for application in [first, second] {
        for (place, content) in &application.files {
            expected.insert(place, (content.sha256.as_str(), application.name));
        }
    }
    let found = oracle.hashes(raw, windows, expected.keys().copied())?;
    let mut wrong = Vec::new();
    for (place, (sha256, owner)) in &expected {
        match found.get(*place).map(String::as_str) {
            Some(hash) if hash == *sha256 => {}
            Some("absent") | None => wrong.push(format!("{place}: absent ({owner})")),
            Some(hash) => wrong.push(format!("{place}: is {hash}, {owner} has {sha256}")),
        }
    }
    if !wrong.is_empty() {
        bail!(
            "{} of {} files are wrong:\n{}",
            wrong.len(),
            expected.len(),
            wrong[..wrong.len().min(20)].join("\n")
        );
    }
    Ok(format!(
        "{} files are as their wheels record them; the {} conflicts went to {}",
        expected.len(),
        conflicts(applications).len(),
        second.name
    ))
}

/// The places that both applications fill with different contents.
pub(crate) fn conflicts([first, second]: &[Application; 2]) -> BTreeSet<&String> {
    first
        .files
        .iter()
        .filter(|(place, content)| {
            second.files.get(*place).is_some_and(|other| other.sha256 != content.sha256)
        })
        .map(|(place, _)| place)
        .collect()
}

/// Sleuthkit lists every file of the applications.
pub(crate) fn sleuthkit(raw: &Path, windows: Partition, applications: &[Application; 2]) -> Result<String> {
    let listing = output(
        command("fls")
            .args(["-i", "raw", "-r", "-p", "-u", "-F", "-o", &windows.first_sector().to_string()])
            .arg(raw),
    )?;
    let listed: BTreeSet<String> =
        listing.lines().filter_map(|line| Some(line.split_once(":\t")?.1.to_lowercase())).collect();
    all_listed("sleuthkit", &listed, applications)
}

/// 7z reads every file of the volume and lists every file of the applications.
pub(crate) fn seven_zip(
    raw: &Path,
    windows: Partition,
    applications: &[Application; 2],
    work: &Path,
) -> Result<String> {
    let volume = work.join("published-volume.img");
    sparse::take_out(raw, windows.offset, windows.length, &volume)?;
    output(command("7z").args(["t", "-tntfs", "-bso0", "-bsp0"]).arg(&volume))?;
    let listing = output(command("7z").args(["l", "-tntfs", "-slt", "-ba"]).arg(&volume))?;
    std::fs::remove_file(&volume)?;
    let listed: BTreeSet<String> =
        listing.lines().filter_map(|line| Some(line.strip_prefix("Path = ")?.to_lowercase())).collect();
    all_listed("7z", &listed, applications)
}

fn all_listed(reader: &str, listed: &BTreeSet<String>, applications: &[Application; 2]) -> Result<String> {
    for application in applications {
        for place in application.files.keys() {
            if !listed.contains(&place.to_lowercase()) {
                bail!(
                    "{reader} does not list {place} of {} among {} entries",
                    application.name,
                    listed.len()
                );
            }
        }
    }
    Ok(format!("{} entries listed, every application file among them", listed.len()))
}

/// The Windows partition begins with an NTFS boot sector at the place the table says.
pub(crate) fn is_ntfs(raw: &Path, windows: Partition) -> Result<()> {
    if !disk::is_ntfs(raw, windows)? {
        bail!("the Windows partition at byte {} has no NTFS boot sector", windows.offset);
    }
    Ok(())
}
