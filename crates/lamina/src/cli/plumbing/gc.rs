//! `lamina plumbing gc`

use crate::printer::amount::{Count, ExactBytes, Of};
use crate::printer::page::{Page, STRONG, Styled};
use clap::Args;
use layering::report::GcReport;
use std::io;
use worker::Job;

/// Give back the space of what nothing uses
///
/// Safe beside captures, composes and exports that are running.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing gc --dry-run
  lamina plumbing gc")]
pub(super) struct GcArgs {
    /// Only tell what would be given back
    #[arg(long)]
    dry_run: bool,
}

impl GcArgs {
    pub(super) fn job(self) -> Job {
        Job::Gc { dry_run: self.dry_run }
    }
}

pub(super) fn human(report: &GcReport, page: &mut Page<'_>) -> io::Result<()> {
    let done = if report.dry_run { "Would give back" } else { "Gave back" };
    page.line(Styled(STRONG, format_args!("{done} {}", ExactBytes(report.bytes))))?;
    page.field("unused", format_args!("{}, {}", Of(report.objects, "object"), Of(report.blobs, "blob")))?;
    page.field(
        "packs",
        format_args!("{} removed, {} compacted", Count(report.packs_removed), Count(report.packs_compacted)),
    )
}
