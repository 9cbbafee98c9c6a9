//! `lamina plumbing diff`

use super::version::reference;
use crate::printer::amount::Count;
use crate::printer::page::{Page, Visible};
use clap::Args;
use layering::report::{DiffKind, DiffReport};
use std::io;
use worker::Job;

/// Compare two layer versions or layered images
///
/// Lists every path that only one side has, or that both have differently, with the properties that differ. An app or
/// platform layer version holds changes and an OS version or image a whole volume: only like compares with like.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing diff app:Office@2021 app:Office@2024
  lamina plumbing diff image:Desktop image:Kiosk --json | jq '.rows | length'

Lines begin with + (only the second side has the path), - (only the first) or
~ (both have it, differently).")]
pub(super) struct DiffArgs {
    /// First side
    #[arg(value_name = "REF")]
    from: String,
    /// Second side
    #[arg(value_name = "REF")]
    to: String,
}

impl DiffArgs {
    pub(super) fn job(self) -> Job {
        Job::Diff { from: self.from, to: self.to }
    }
}

pub(super) fn human(report: &DiffReport, page: &mut Page<'_>) -> io::Result<()> {
    let (from, to) = (reference(&report.from), reference(&report.to));
    if report.rows.is_empty() {
        return page.line(format_args!("{from} and {to} are equal."));
    }
    for row in &report.rows {
        let path = Visible(&row.path);
        match row.change {
            DiffKind::Added => page.line(format_args!("+ {path}"))?,
            DiffKind::Removed => page.line(format_args!("- {path}"))?,
            DiffKind::Changed => {
                page.line(format_args!("~ {path}  ({})", Visible(row.properties.join(", "))))?;
            }
        }
    }
    let count = |change| Count(report.rows.iter().filter(|row| row.change == change).count() as u64);
    page.line(format_args!(
        "From {from} to {to}: {} added, {} removed, {} changed",
        count(DiffKind::Added),
        count(DiffKind::Removed),
        count(DiffKind::Changed)
    ))
}
