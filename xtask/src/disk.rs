//! Disks as files: made with sfdisk, mkfs.vfat, mtools, mkntfs and wimlib, none of which needs root or a mount.

use crate::command::{command, output};
use crate::sparse;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;

/// What partition tables count in, in bytes.
const SECTOR: u64 = 512;

/// One partition of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Where it begins, in bytes from the start of the disk.
    pub(crate) offset: u64,
    /// How long it is, in bytes.
    pub(crate) length: u64,
}

impl Partition {
    /// Where it begins, in sectors.
    pub(crate) fn first_sector(self) -> u64 {
        self.offset / SECTOR
    }
}

/// Makes `disk`, `bytes` long and almost all of it a hole: GPT with EFI system, Microsoft reserved and Windows
/// partitions; the last holds `tree`. Gives the Windows partition.
pub(crate) fn make(disk: &Path, bytes: u64, tree: &Path, work: &Path) -> Result<Partition> {
    File::create(disk)?.set_len(bytes)?;
    partition(
        disk,
        "label: gpt\n\
         start=2048, size=204800, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI system partition\"\n\
         size=32768, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name=\"Microsoft reserved partition\"\n\
         type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=\"Basic data partition\"\n",
    )?;
    let [system, _reserved, windows] = partitions(disk)?[..] else {
        bail!("{} does not have the three partitions that were asked for", disk.display());
    };

    let image = work.join("efi-system.img");
    File::create(&image)?.set_len(system.length)?;
    output(command("mkfs.vfat").args(["-F", "32", "-n", "SYSTEM"]).arg(&image))?;
    let remark = work.join("README.TXT");
    std::fs::write(&remark, "This disk was made by the project's own tasks. It has no boot loader.\r\n")?;
    output(command("mmd").arg("-i").arg(&image).args(["::/EFI", "::/EFI/Microsoft"]))?;
    output(command("mcopy").arg("-i").arg(&image).arg(&remark).arg("::/EFI/Microsoft/"))?;
    sparse::put_in(&image, disk, system.offset)?;

    let archive = work.join("os.wim");
    output(command("wimlib-imagex").args(["capture", "--compress=none"]).arg(tree).arg(&archive))
        .context("wimlib cannot read the Windows tree")?;
    let image = work.join("windows.img");
    format_ntfs(&image, windows, "Windows")?;
    output(command("wimlib-imagex").arg("apply").arg(&archive).arg("1").arg(&image))
        .context("wimlib cannot write the Windows volume")?;
    sparse::put_in(&image, disk, windows.offset)?;
    std::fs::remove_file(&archive)?;
    std::fs::remove_file(&image)?;
    Ok(windows)
}

/// Makes `image` an empty NTFS volume that fits `partition`.
pub(crate) fn format_ntfs(image: &Path, partition: Partition, label: &str) -> Result<()> {
    File::create(image)?.set_len(partition.length)?;
    let start = partition.first_sector().to_string();
    output(
        command("mkntfs")
            .args(["--force", "--quick", "--quiet", "--label", label])
            .args(["--partition-start", &start, "--heads", "255", "--sectors-per-track", "63"])
            .args(["--sector-size", "512", "--cluster-size", "4096"])
            .arg(image),
    )?;
    Ok(())
}

/// Writes a partition table in sfdisk's language.
fn partition(disk: &Path, script: &str) -> Result<()> {
    let mut child = command("sfdisk")
        .arg("--quiet")
        .arg(disk)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start sfdisk")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes())?;
    }
    if !child.wait()?.success() {
        bail!("sfdisk cannot write the partition table of {}", disk.display());
    }
    Ok(())
}

/// The partitions of a raw disk, in the order of its table.
pub(crate) fn partitions(disk: &Path) -> Result<Vec<Partition>> {
    #[derive(Deserialize)]
    struct Answer {
        partitiontable: Table,
    }
    #[derive(Deserialize)]
    struct Table {
        partitions: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        start: u64,
        size: u64,
    }
    let text = output(command("sfdisk").arg("--json").arg(disk))?;
    let answer: Answer = serde_json::from_str(&text).context("cannot read sfdisk's answer")?;
    let rows = answer.partitiontable.partitions.into_iter();
    Ok(rows.map(|row| Partition { offset: row.start * SECTOR, length: row.size * SECTOR }).collect())
}

/// Whether the boot sector of `partition` says NTFS.
pub(crate) fn is_ntfs(disk: &Path, partition: Partition) -> Result<bool> {
    let mut sector = [0u8; 11];
    let mut file = File::open(disk)?;
    file.seek(SeekFrom::Start(partition.offset))?;
    file.read_exact(&mut sector)?;
    Ok(&sector[3..11] == b"NTFS    ")
}
