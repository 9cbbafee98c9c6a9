//! `lamina plumbing conflicts`

use super::composite::ImageArgs;
use super::registry::rows;
use crate::printer::amount::{Count, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use layering::report::{ConflictRow, ConflictSubject, ConflictsReport, DiffKind, RegistryConflict, RowKind};
use std::collections::BTreeMap;
use std::io;
use worker::Job;

/// Tell which paths and registry values more than one layer claims, and who wins
///
/// Composes nothing. Also tells which files and registry values the OS version has changed since a layer was captured,
/// and where its version of a binary is higher than the layer's. Lists in the registry, such as Path, are merged: they
/// are no conflict.
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

pub(in crate::cli) fn human(report: &ConflictsReport, page: &mut Page<'_>) -> io::Result<()> {
    if report.rows.is_empty() && report.registry.is_empty() {
        return page.line("No conflicts: no path and no registry value is claimed by more than one layer.");
    }
    if !report.rows.is_empty() {
        files(report, page)?;
    }
    if !report.rows.is_empty() && !report.registry.is_empty() {
        page.line("")?;
    }
    match report.registry.is_empty() {
        true => Ok(()),
        false => registry(&report.registry, page),
    }
}

fn files(report: &ConflictsReport, page: &mut Page<'_>) -> io::Result<()> {
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

/// Each contested key or value with what the winner and the losers make of it below.
fn registry(conflicts: &[RegistryConflict], page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Registry ({})", Of(conflicts.len() as u64, "conflict"))))?;
    for row in conflicts {
        let mut place = rows::place(&row.hive, &row.key, row.value.as_deref());
        if row.subject == ConflictSubject::Security {
            place.push_str("  (security)");
        }
        if row.changed_by_os {
            place.push_str("  (also changed by the OS since)");
        }
        page.line(format_args!("    {place}"))?;
        let winner = match (&row.winner_value, row.change) {
            (Some(value), _) => rows::content(value),
            (None, DiffKind::Removed) => "removes it".to_owned(),
            (None, DiffKind::Added | DiffKind::Changed) => "has its way".to_owned(),
        };
        page.line(format_args!("        {}: {winner}", Visible(&row.winner)))?;
        for loser in &row.losers {
            let lost = match (&loser.value, row.subject, row.change) {
                (Some(value), _, _) => rows::content(value),
                (None, ConflictSubject::Value, _) => "removes it".to_owned(),
                (None, ConflictSubject::Key, DiffKind::Removed) => "needs it".to_owned(),
                (None, ConflictSubject::Key, _) => "removes it".to_owned(),
                (None, ConflictSubject::Security, _) => "another one".to_owned(),
            };
            page.line(format_args!("        {} loses: {lost}", Visible(&loser.reference)))?;
        }
    }
    let changed = conflicts.iter().filter(|row| row.changed_by_os).count() as u64;
    let mut summary = format!("{} in the registry", Of(conflicts.len() as u64, "conflict"));
    if changed > 0 {
        summary.push_str(&format!(", {} also changed by the OS since", Count(changed)));
    }
    page.line("")?;
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
    use layering::report::{RegistryData, RegistryLoser};

    #[test]
    fn of_the_registry_everybody_s_value_is_shown() {
        let data = |data: &str| Some(RegistryData { kind: "REG_SZ".into(), data: data.into(), size: 4 });
        let loser = |reference: &str, value| RegistryLoser { reference: reference.into(), value };
        let row = RegistryConflict {
            hive: "SOFTWARE".into(),
            key: "Vendor".into(),
            subject: ConflictSubject::Value,
            value: Some("Setting".into()),
            winner: "app:B@1".into(),
            change: DiffKind::Changed,
            winner_value: data("b"),
            losers: vec![loser("app:A@1", data("a")), loser("app:Z@1", None)],
            changed_by_os: true,
        };
        let key = RegistryConflict {
            subject: ConflictSubject::Key,
            value: None,
            change: DiffKind::Removed,
            winner_value: None,
            losers: vec![loser("app:A@1", None)],
            changed_by_os: false,
            ..row.clone()
        };
        let report = ConflictsReport { rows: vec![], registry: vec![row, key], warnings: vec![] };
        let mut out = Vec::new();
        human(&report, &mut Page::new(&mut out)).unwrap();
        assert_eq!(
            String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap(),
            "\
Registry (2 conflicts)
    SOFTWARE\\Vendor : Setting  (also changed by the OS since)
        app:B@1: \"b\"
        app:A@1 loses: \"a\"
        app:Z@1 loses: removes it
    SOFTWARE\\Vendor
        app:B@1: removes it
        app:A@1 loses: needs it

2 conflicts in the registry, 1 also changed by the OS since
"
        );
    }

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
            registry: vec![],
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
