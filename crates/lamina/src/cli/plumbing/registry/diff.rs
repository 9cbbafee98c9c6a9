//! `lamina plumbing registry diff`

use super::super::version::reference;
use super::{ScopeArgs, rows};
use crate::printer::amount::Count;
use crate::printer::page::Page;
use clap::Args;
use layering::report::{DiffKind, RegistryDiffReport, RegistryRow};
use layering::request::RegistryDiffRequest;
use std::io;
use worker::Job;

/// Compare the registries of two layer versions or layered images
///
/// Lists every key and value that only one side has, or that both have differently. Of two app or platform layer versions
/// compares what they change. Hives that only one side has are left out: `diff` lists their files.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing registry diff --from app:Office@2021 --to app:Office@2024
  lamina plumbing registry diff --from os:Windows --to image:Desktop --hive SYSTEM \\
      --key 'CurrentControlSet\\Services'

Lines begin with + (only the second side has it), - (only the first) or
~ (both have it, differently).")]
pub(in super::super) struct DiffArgs {
    /// First side
    #[arg(long, value_name = "REF")]
    from: String,
    /// Second side
    #[arg(long, value_name = "REF")]
    to: String,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl DiffArgs {
    pub(super) fn job(self) -> Job {
        Job::RegistryDiff(RegistryDiffRequest { from: self.from, to: self.to, scope: self.scope.into() })
    }
}

/// One line for each row.
pub(in super::super) fn lines(rows: &[RegistryRow], page: &mut Page<'_>) -> io::Result<()> {
    for row in rows {
        let sign = match row.change {
            DiffKind::Added => '+',
            DiffKind::Removed => '-',
            DiffKind::Changed => '~',
        };
        page.line(format_args!("{sign} {}", rows::row(row)))?;
    }
    Ok(())
}

/// How many rows were added, removed and changed.
pub(in super::super) fn counts(changes: &[DiffKind]) -> String {
    let count = |change| Count(changes.iter().filter(|other| **other == change).count() as u64);
    format!(
        "{} added, {} removed, {} changed",
        count(DiffKind::Added),
        count(DiffKind::Removed),
        count(DiffKind::Changed)
    )
}

pub(in super::super) fn human(report: &RegistryDiffReport, page: &mut Page<'_>) -> io::Result<()> {
    let (from, to) = (reference(&report.from), reference(&report.to));
    if report.rows.is_empty() {
        return page.line(format_args!("The registries of {from} and {to} are equal there."));
    }
    lines(&report.rows, page)?;
    let changes: Vec<DiffKind> = report.rows.iter().map(|row| row.change).collect();
    page.line(format_args!("From {from} to {to}: {}", counts(&changes)))
}
