//! `lamina plumbing packaging-disk`

use super::composite::PackagingArgs;
use super::format;
use crate::printer::amount::{Bytes, ExactBytes};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use disk::format::Format;
use layering::report::PackagingDiskReport;
use layering::request::PackagingDiskRequest;
use std::io;
use std::path::PathBuf;
use worker::Job;

/// Write a packaging disk
///
/// Composes the bootable disk on which a layer version is installed: the OS version, the prerequisite app versions,
/// the base version if a new version is made from an older one, and the packaging platform layer. Boot a packaging
/// machine from it, install, shut it down, and capture the returned disk with the same layers.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  A disk for a first version of an app layer that needs .NET installed:
    lamina plumbing packaging-disk --os 'os:Windows 11' --layer app:.NET \\
        --format vhdx --out office.vhdx
  A disk for the next version of it:
    lamina plumbing packaging-disk --os 'os:Windows 11' --base app:Office@2024 \\
        --format qcow2 --out office.qcow2")]
pub(super) struct PackagingDiskArgs {
    #[command(flatten)]
    composite: PackagingArgs,
    /// Format of the file
    #[arg(long, value_parser = format::parser())]
    format: Format,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl PackagingDiskArgs {
    pub(super) fn job(self) -> Job {
        Job::PackagingDisk(PackagingDiskRequest {
            composite: self.composite.into(),
            format: self.format,
            out: self.out,
        })
    }
}

pub(super) fn human(report: &PackagingDiskReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Wrote the packaging disk {}", Visible(&report.file))))?;
    page.field("format", Visible(&report.format))?;
    page.field("disk", ExactBytes(report.disk_len))?;
    page.field(
        "file",
        format_args!("{} written, {} shared with the store", Bytes(report.written), Bytes(report.reflinked)),
    )?;
    page.field("composite", Visible(&report.composite))
}
