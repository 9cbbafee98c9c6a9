//! `lamina plumbing show`

use super::version::reference;
use crate::printer::amount::{Count, ExactBytes, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use jiff::Timestamp;
use layering::reference::ObjectKind;
use layering::report::{AppliedAction, AppliedRow, DiffKind, HiveChanges, Program, ShowReport};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::io;
use worker::Job;

/// Show everything recorded about a layer version or layered image
///
/// Also shows installed programs, from the keys in which installers list them for removal: all of an OS version or image,
/// and those that an app or platform layer version adds, changes or removes; and how much a layer version changes in each
/// registry hive.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing show app:Office
  lamina plumbing show image:Desktop --json | jq '.programs[].name'")]
pub(super) struct ShowArgs {
    /// Layer version or image
    #[arg(value_name = "REF")]
    reference: String,
}

impl ShowArgs {
    pub(super) fn job(self) -> Job {
        Job::Show { reference: self.reference }
    }
}

pub(in crate::cli) fn human(report: &ShowReport, page: &mut Page<'_>) -> io::Result<()> {
    let summary = &report.summary;
    page.line(Styled(STRONG, reference(summary)))?;
    match summary.kind {
        ObjectKind::Image => page.field("disk", ExactBytes(summary.size))?,
        ObjectKind::Os | ObjectKind::Platform | ObjectKind::App => {
            page.field("adds", ExactBytes(summary.size))?
        }
    }
    if let Some(os) = &summary.os_layer {
        page.field("OS layer", Visible(os.as_str()))?;
    }
    page.field("position", Count(summary.sequence))?;
    page.field("made", date(report.created))?;
    page.field("engine", Visible(&report.engine))?;
    page.field("id", Visible(&summary.id))?;
    details(report, page)?;
    changes(&report.registry, page)?;
    programs(&report.programs, page)
}

fn details(report: &ShowReport, page: &mut Page<'_>) -> io::Result<()> {
    match &report.details {
        Value::Object(members) => {
            let shown = |name: &str| SHOWN.contains(&name);
            let more: Map<String, Value> = members
                .iter()
                .filter(|(name, _)| !shown(name) && *name != APPLIED)
                .map(|(name, more)| (name.clone(), more.clone()))
                .collect();
            more_lines(page, &Value::Object(more))?;
            members.get(APPLIED).map_or(Ok(()), |rows| applied(page, rows))
        }
        Value::Null => Ok(()),
        other => more_lines(page, other),
    }
}

fn changes(hives: &[HiveChanges], page: &mut Page<'_>) -> io::Result<()> {
    if hives.is_empty() {
        return Ok(());
    }
    page.line("")?;
    let rows = hives.iter().map(|hive| {
        let counts =
            |added, changed, removed| format!("+{} ~{} -{}", Count(added), Count(changed), Count(removed));
        [
            Visible(&hive.hive).to_string(),
            counts(hive.keys_added, hive.keys_changed, hive.keys_removed),
            counts(hive.values_added, hive.values_changed, hive.values_removed),
        ]
    });
    page.table(["HIVE", "KEYS", "VALUES"], &[], rows)
}

fn programs(programs: &[Program], page: &mut Page<'_>) -> io::Result<()> {
    if programs.is_empty() {
        return Ok(());
    }
    page.line("")?;
    let rows = programs.iter().map(|program| {
        let text =
            |text: &Option<String>| text.as_ref().map(|text| Visible(text).to_string()).unwrap_or_default();
        let change = match program.change {
            None => "",
            Some(DiffKind::Added) => "+ ",
            Some(DiffKind::Removed) => "- ",
            Some(DiffKind::Changed) => "~ ",
        };
        let version = match &program.version_before {
            Some(before) => format!("{} -> {}", Visible(before), text(&program.version)),
            None => text(&program.version),
        };
        let view = match (program.hive.as_str(), program.wow64) {
            ("SOFTWARE", false) => String::new(),
            ("SOFTWARE", true) => "32-bit".to_owned(),
            (user, _) => format!("in {}", Visible(user)),
        };
        [format!("{change}{}", Visible(&program.name)), version, text(&program.publisher), view]
    });
    page.table(["PROGRAM", "VERSION", "PUBLISHER", "LISTED"], &[], rows)?;
    page.line(Of(programs.len() as u64, "program"))
}

/// Members of the details that say once more what the lines above them say.
const SHOWN: [&str; 10] =
    ["kind", "layer", "name", "version", "sequence", "created", "engine", "size", "disk_len", "os_layer"];

/// Member of the details that lists what recipes did.
const APPLIED: &str = "applied";

/// What recipes did, one line each.
fn applied(page: &mut Page<'_>, rows: &Value) -> io::Result<()> {
    let rows: Vec<AppliedRow> = Vec::deserialize(rows).map_err(io::Error::other)?;
    page.line("")?;
    page.line("  recipes applied:")?;
    rows.iter().try_for_each(|row| {
        let action = match row.action {
            AppliedAction::Disabled => "disabled",
            AppliedAction::DemandStart => "starts on demand",
            AppliedAction::BootStart => "starts at boot",
            AppliedAction::Removed => "removed",
        };
        page.line(format_args!("    {}: {} {action}", Visible(&row.recipe), Visible(&row.target)))
    })
}

fn more_lines(page: &mut Page<'_>, more: &Value) -> io::Result<()> {
    if simple(more) {
        return Ok(());
    }
    page.line("")?;
    lines(more, 0).into_iter().try_for_each(|line| page.line(format_args!("  {line}")))
}

/// The time in UTC, or the bare number where it is beyond every calendar.
fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Most levels of nesting that are laid out; what is deeper is shown as it is.
const DEEPEST: usize = 8;

/// A value as lines `name: value`, elements of lists behind dashes, what is nested indented.
fn lines(value: &Value, depth: usize) -> Vec<String> {
    match value {
        nested if simple(nested) || depth >= DEEPEST => vec![scalar("", nested)],
        Value::Object(members) => {
            members.iter().flat_map(|(name, member)| named(name, member, depth)).collect()
        }
        Value::Array(elements) => elements
            .iter()
            .flat_map(|element| {
                let lines = lines(element, depth + 1).into_iter().enumerate();
                lines.map(|(index, line)| format!("{} {line}", if index == 0 { "-" } else { " " }))
            })
            .collect(),
        other => vec![scalar("", other)],
    }
}

fn named(name: &str, member: &Value, depth: usize) -> Vec<String> {
    let label = Visible(name.replace('_', " "));
    if simple(member) || depth >= DEEPEST {
        return vec![format!("{label}: {}", scalar(name, member))];
    }
    let nested = lines(member, depth + 1).into_iter().map(|line| format!("  {line}"));
    std::iter::once(format!("{label}:")).chain(nested).collect()
}

/// Whether the value fits on the line of its name.
fn simple(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => true,
    }
}

fn scalar(name: &str, value: &Value) -> String {
    let bytes =
        ["size", "len", "bytes"].iter().any(|unit| name == *unit || name.ends_with(&format!("_{unit}")));
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(number) if bytes => ExactBytes(number).to_string(),
            Some(number) => Count(number).to_string(),
            None => number.to_string(),
        },
        Value::String(text) => Visible(text).to_string(),
        nested => Visible(nested.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layering::reference::EntityName;
    use layering::report::Summary;
    use serde_json::json;

    fn program(name: &str, version: Option<&str>, wow64: bool, change: Option<DiffKind>) -> Program {
        Program {
            name: name.into(),
            version: version.map(str::to_owned),
            publisher: Some("Maker".into()),
            installed: None,
            hive: "SOFTWARE".into(),
            key: "key".into(),
            wow64,
            change,
            version_before: None,
        }
    }

    #[test]
    fn whatever_is_recorded_is_laid_out_for_reading() {
        let report = ShowReport {
            summary: Summary {
                kind: ObjectKind::App,
                name: EntityName::new("Office").unwrap(),
                version: Some(EntityName::new("2024").unwrap()),
                sequence: 2,
                os_layer: Some(EntityName::new("Windows 11").unwrap()),
                size: 1536,
                id: "abc".into(),
            },
            created: 1_762_000_000,
            engine: "1".into(),
            details: json!({
                "kind": "app",
                "trust_metadata": false,
                "max_size": 10_u64 << 30,
                "prerequisites": [],
                "packaged_on": {"os": "os:Windows 11@24H2", "records": 153_732},
                "overrides": [{"code": "x", "reason": "a\u{1b}b"}],
            }),
            registry: vec![HiveChanges {
                hive: "SOFTWARE".into(),
                keys_added: 1_200,
                keys_changed: 0,
                keys_removed: 1,
                values_added: 3,
                values_changed: 2,
                values_removed: 0,
            }],
            programs: vec![
                program("Office\u{1b}", Some("2024"), false, Some(DiffKind::Added)),
                Program {
                    version_before: Some("1.0".into()),
                    ..program("Runtime", Some("1.1"), true, Some(DiffKind::Changed))
                },
            ],
            warnings: vec![],
        };
        let mut out = Vec::new();
        human(&report, &mut Page::new(&mut out)).unwrap();
        assert_eq!(
            String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap(),
            "\
app:Office@2024
  adds         1.5 KiB (1,536 bytes)
  OS layer     Windows 11
  position     2
  made         2025-11-01 12:26:40 UTC
  engine       1
  id           abc

  max size: 10 GiB (10,737,418,240 bytes)
  overrides:
    - code: x
      reason: a\\u{1b}b
  packaged on:
    os: os:Windows 11@24H2
    records: 153,732
  prerequisites: none
  trust metadata: no

HIVE      KEYS          VALUES
SOFTWARE  +1,200 ~0 -1  +3 ~2 -0

PROGRAM         VERSION     PUBLISHER  LISTED
+ Office\\u{1b}  2024        Maker
~ Runtime       1.0 -> 1.1  Maker      32-bit
2 programs
"
        );
    }

    #[test]
    fn what_recipes_did_is_one_line_each() {
        let rows = json!([
            {"recipe": "vsphere", "action": "disabled", "target": "SYSTEM\\ControlSet001\\Services\\VMTools"},
            {"recipe": "azure", "action": "removed", "target": "\\WindowsAzure"},
        ]);
        let mut out = Vec::new();
        applied(&mut Page::new(&mut out), &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "
  recipes applied:
    vsphere: SYSTEM\\ControlSet001\\Services\\VMTools disabled
    azure: \\WindowsAzure removed
"
        );
    }

    #[test]
    fn a_time_beyond_every_calendar_is_still_shown() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(u64::MAX), "18446744073709551615");
    }
}
