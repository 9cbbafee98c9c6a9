//! `lamina plumbing conflicts`

use super::composite::ImageArgs;
use crate::printer::amount::{Count, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use layering::report::{ConflictRow, ConflictsReport, RowKind};
use std::collections::BTreeMap;
use std::io;
use worker::Job;

/// Tell which paths more than one layer claims, and who wins
///
/// Composes nothing. Also tells which files the OS version has changed since a layer was captured, and where its
/// version of a binary is higher than the layer's.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing conflicts --os Windows --layer app:.NET --layer app:Office
  lamina plumbing conflicts --os Windows --layer Office --platform Azure --json")]
pub(super) struct ConflictsArgs {
    #[command(flatten)]
    composite: ImageArgs,
}

impl ConflictsArgs {
    pub(super) fn job(self) -> Job {
        Job::Conflicts(self.composite.into())
    }
}

pub(super) fn human(report: &ConflictsReport, page: &mut Page<'_>) -> io::Result<()> {
    if report.rows.is_empty() {
        return page.line("No conflicts: no path is claimed by more than one layer.");
    }
    let mut groups: BTreeMap<(&str, &[String]), Vec<&ConflictRow>> = BTreeMap::new();
    for row in &report.rows {
        groups.entry((&row.winner, &row.losers)).or_default().push(row);
    }
    for ((winner, losers), rows) in &groups {
        let heading = match losers.is_empty() {
            true => format!("{} stands alone", Visible(winner)),
            false => format!("{} wins over {}", Visible(winner), Visible(losers.join(", "))),
        };
        page.line(Styled(STRONG, format_args!("{heading} ({})", Of(rows.len() as u64, "path"))))?;
        for row in rows {
            page.line(format_args!("    {}{}", Visible(&row.path), remarks(row)))?;
        }
        page.line("")?;
    }
    let changed = report.rows.iter().filter(|row| row.changed_by_os).count() as u64;
    let newer = report.rows.iter().filter(|row| row.os_is_newer.is_some()).count() as u64;
    let mut summary = Of(report.rows.len() as u64, "conflict").to_string();
    if changed > 0 {
        summary.push_str(&format!(", {} also changed by the OS since", Count(changed)));
    }
    if newer > 0 {
        summary.push_str(&format!(", {} where the OS has the higher version", Count(newer)));
    }
    page.line(summary)
}

/// What is worth knowing about a path beyond who wins, in brackets.
fn remarks(row: &ConflictRow) -> String {
    let mut remarks = Vec::new();
    match row.entry {
        RowKind::File => {}
        RowKind::Directory => remarks.push("a directory".to_owned()),
        RowKind::Link => remarks.push("a link".to_owned()),
        RowKind::Deletion => remarks.push("deleted".to_owned()),
    }
    match &row.os_is_newer {
        Some((os, winner)) => {
            remarks.push(format!("OS has version {}, layer {}", Visible(os), Visible(winner)));
        }
        None if row.changed_by_os => remarks.push("also changed by the OS since".to_owned()),
        None => {}
    }
    match remarks.is_empty() {
        true => String::new(),
        false => format!("  ({})", remarks.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_grouped_by_who_wins_over_whom() {
        let row = |path: &str, losers: &[&str], entry| ConflictRow {
            path: path.into(),
            winner: "app:B@1".into(),
            losers: losers.iter().map(|&loser| loser.to_owned()).collect(),
            entry,
            changed_by_os: false,
            os_is_newer: None,
        };
        let mut newer = row("\\b.dll", &["os:W@2"], RowKind::File);
        newer.changed_by_os = true;
        newer.os_is_newer = Some(("10.2".into(), "10.1".into()));
        let report = ConflictsReport {
            rows: vec![
                row("\\a.txt", &["app:A@1"], RowKind::File),
                newer,
                row("\\c.txt", &["app:A@1"], RowKind::Deletion),
            ],
            warnings: vec![],
        };
        let mut out = Vec::new();
        human(&report, &mut Page::new(&mut out)).unwrap();
        assert_eq!(
            String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap(),
            "\
app:B@1 wins over app:A@1 (2 paths)
    \\a.txt
    \\c.txt  (deleted)

app:B@1 wins over os:W@2 (1 path)
    \\b.dll  (OS has version 10.2, layer 10.1)

3 conflicts, 1 also changed by the OS since, 1 where the OS has the higher version
"
        );
    }
}
