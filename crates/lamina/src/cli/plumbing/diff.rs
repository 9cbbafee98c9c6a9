//! `lamina plumbing diff`

use super::registry;
use super::version::reference;
use crate::printer::page::{Page, Visible};
use clap::Args;
use layering::report::{DiffKind, DiffReport};
use std::io;
use worker::Job;

/// Compare two layer versions or layered images
///
/// Lists every path that only one side has, or that both have differently, with the properties that differ. An app or
/// platform layer version holds changes and an OS version or image a whole volume: only like compares with like.
/// Registry hives that both sides have are compared key by key.
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

pub(in crate::cli) fn human(report: &DiffReport, page: &mut Page<'_>) -> io::Result<()> {
    let (from, to) = (reference(&report.from), reference(&report.to));
    if report.rows.is_empty() && report.registry.is_empty() {
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
    registry::diff::lines(&report.registry, page)?;
    let changes: Vec<DiffKind> = report.rows.iter().map(|row| row.change).collect();
    page.line(format_args!("From {from} to {to}: {}", registry::diff::counts(&changes)))?;
    match report.registry.is_empty() {
        true => Ok(()),
        false => {
            let changes: Vec<DiffKind> = report.registry.iter().map(|row| row.change).collect();
            page.line(format_args!("In the registry: {}", registry::diff::counts(&changes)))
        }
    }
}
