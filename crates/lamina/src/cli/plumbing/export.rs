//! `lamina plumbing export`

use super::format;
use crate::printer::amount::{Bytes, ExactBytes};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use disk::format::Format;
use layering::report::ExportReport;
use layering::request::ExportRequest;
use std::io;
use std::path::PathBuf;
use worker::Job;

/// Export a layered image to a file
///
/// Writes the image in the format that a platform wants. Zeros are never written; on a file system with reflinks that
/// also holds the store, raw and fixed VHD files share their contents with it. `vhd` is the fixed VHD that Azure
/// takes: a whole number of MiB and a footer.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing export --image image:Desktop --format vhd --out desktop.vhd
  lamina plumbing export --image Desktop --format qcow2 --out d.qcow2 --json")]
pub(super) struct ExportArgs {
    /// Image to export
    #[arg(long, value_name = "REF")]
    image: String,
    /// Format of the file
    #[arg(long, value_parser = format::parser())]
    format: Format,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl ExportArgs {
    pub(super) fn job(self) -> Job {
        Job::Export(ExportRequest { image: self.image, format: self.format, out: self.out })
    }
}

pub(super) fn human(report: &ExportReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Wrote {}", Visible(&report.file))))?;
    page.field("format", Visible(&report.format))?;
    page.field("disk", ExactBytes(report.disk_len))?;
    page.field(
        "file",
        format_args!("{} written, {} shared with the store", Bytes(report.written), Bytes(report.reflinked)),
    )
}
