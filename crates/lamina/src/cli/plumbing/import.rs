//! `lamina plumbing import`

use crate::cli::size;
use clap::Args;
use layering::request::ImportRequest;
use std::path::PathBuf;
use worker::Job;

/// Import a disk as a version of an OS layer
///
/// Reads an operating system disk in any supported format (raw, VHD, VHDX, QCOW2, VMDK) and stores it as a layer
/// version that is deployable at once. The layer is created with its first version. Only allocated clusters are
/// stored; paging and hibernation contents, shadow copies and free clusters become zero. Shut the machine down
/// completely before (shutdown /s /t 0, powercfg /h off).
///
/// What Windows has not finished on the disk, and a machine that is joined to a domain, is refused, as
/// `lamina plumbing integrity --kind os` shows it, unless there is a reason to override that.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing import --disk win.vhdx --name 'Windows 11' --version 24H2
  A disk with two Windows volumes, of which the third partition is meant:
    lamina plumbing import --disk dual.qcow2 --name 'Windows 11' \\
        --version 24H2-2 --volume 3 --max-size 200GiB")]
pub(super) struct ImportArgs {
    /// Disk image to import
    #[arg(long, value_name = "FILE")]
    disk: PathBuf,
    /// Name of the OS layer
    #[arg(long)]
    name: String,
    /// Version, new in the layer
    #[arg(long)]
    version: String,
    /// Number of the partition that is the OS volume, where the disk alone does not tell
    #[arg(long, value_name = "N")]
    volume: Option<u32>,
    /// Most bytes that the version may hold [default: 100GiB]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_size: Option<u64>,
    /// Follow the image's reference to a backing file
    ///
    /// Refused otherwise: an image from elsewhere could name any file of this machine.
    #[arg(long)]
    allow_backing: bool,
    /// Reason for importing in spite of findings that block; recorded in the version
    ///
    /// The findings are those of `lamina plumbing integrity --kind os`. A volume that was not shut down or is hibernated
    /// stays refused.
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
}

impl ImportArgs {
    pub(super) fn job(self) -> Job {
        Job::Import(ImportRequest {
            disk: self.disk,
            name: self.name,
            version: self.version,
            volume: self.volume,
            max_size: self.max_size,
            allow_backing: self.allow_backing,
            override_reason: self.override_reason,
        })
    }
}
