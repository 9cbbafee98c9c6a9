//! `lamina plumbing init`

use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use layering::report::InitReport;
use std::io;
use worker::Job;

/// Make a new, empty store
///
/// The directory is created; if it exists it must be empty.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing init --store ~/layers")]
pub(super) struct InitArgs {}

impl InitArgs {
    pub(super) fn job(self) -> Job {
        Job::Init
    }
}

pub(super) fn human(report: &InitReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Made an empty store in {}", Visible(&report.store))))?;
    page.field("format", report.format)
}
