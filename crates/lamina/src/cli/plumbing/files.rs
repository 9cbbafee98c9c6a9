//! `lamina plumbing files`

use super::registry::rows;
use super::version::reference;
use crate::printer::amount::{Bytes, Of};
use crate::printer::page::{Page, Visible};
use clap::Args;
use layering::report::{DiffKind, FilesReport, RowKind};
use std::io;
use worker::Job;

/// List the files of a layer version or layered image
///
/// Deletions are listed too: entries that the version takes away from what lies below it. Of an app or platform layer
/// version also lists the registry keys and values that it changes, of an OS version or image the hives with how much is
/// in them.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing files app:Office
  lamina plumbing files os:Windows@24H2 '\\Windows\\System32\\drivers'")]
pub(super) struct FilesArgs {
    /// Layer version or image
    #[arg(value_name = "REF")]
    reference: String,
    /// Only what lies at or below this path of the OS volume
    #[arg(value_name = "PATH")]
    path: Option<String>,
}

impl FilesArgs {
    pub(super) fn job(self) -> Job {
        Job::Files { reference: self.reference, path: self.path }
    }
}

/// What a row is, in one word.
pub(super) fn word(kind: RowKind) -> &'static str {
    match kind {
        RowKind::File => "file",
        RowKind::Directory => "directory",
        RowKind::Link => "link",
        RowKind::Deletion => "deletion",
    }
}

pub(super) fn human(report: &FilesReport, page: &mut Page<'_>) -> io::Result<()> {
    for row in &report.rows {
        let size = row.size.map_or_else(|| "-".to_owned(), |size| Bytes(size).to_string());
        page.line(format_args!("{:<9}  {size:>10}  {}", word(row.entry), Visible(&row.path)))?;
    }
    for row in &report.registry {
        let what = if row.value.is_some() { "value" } else { "key" };
        let change = match row.change {
            DiffKind::Added => "added",
            DiffKind::Removed => "removed",
            DiffKind::Changed => "changed",
        };
        page.line(format_args!("{what:<9}  {change:>10}  {}", rows::row(row)))?;
    }
    for hive in &report.hives {
        let contents = match &hive.problem {
            None => format!("{}, {}", Of(hive.keys, "key"), Of(hive.values, "value")),
            Some(problem) => format!("cannot be read: {}", Visible(problem)),
        };
        page.line(format_args!("{:<9}  {:>10}  {}  ({contents})", "hive", "-", Visible(&hive.hive)))?;
    }
    let count = |kind| report.rows.iter().filter(|row| row.entry == kind).count() as u64;
    let changed =
        |value: bool| report.registry.iter().filter(|row| row.value.is_some() == value).count() as u64;
    let parts: Vec<String> = [
        (RowKind::File, "file"),
        (RowKind::Directory, "directory"),
        (RowKind::Link, "added link"),
        (RowKind::Deletion, "deletion"),
    ]
    .into_iter()
    .map(|(kind, noun)| Of(count(kind), noun))
    .chain([Of(changed(false), "registry key"), Of(changed(true), "registry value")])
    .chain([Of(report.hives.len() as u64, "registry hive")])
    .filter(|Of(number, _)| *number > 0)
    .map(|part| part.to_string())
    .collect();
    match parts.is_empty() {
        true => page.line(format_args!("{} has nothing there.", reference(&report.of))),
        false => page.line(format_args!("{}: {}", reference(&report.of), parts.join(", "))),
    }
}
