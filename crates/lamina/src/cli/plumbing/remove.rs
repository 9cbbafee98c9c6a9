//! `lamina plumbing remove`

use super::version::reference;
use crate::printer::page::{Page, STRONG, Styled};
use clap::Args;
use layering::report::RemoveReport;
use std::io;
use worker::Job;

/// Remove a layer version or layered image
///
/// Refused, naming the users, while something needs it. A layer goes with its last version. Its space is given back
/// by `gc`.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing remove image:Desktop
  lamina plumbing remove app:Office@2021")]
pub(super) struct RemoveArgs {
    /// Layer version or image
    #[arg(value_name = "REF")]
    reference: String,
}

impl RemoveArgs {
    pub(super) fn job(self) -> Job {
        Job::Remove { reference: self.reference }
    }
}

pub(super) fn human(report: &RemoveReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Removed {}", reference(&report.removed))))?;
    page.line("  `lamina plumbing gc` gives back the space that nothing else needs.")
}
