//! How a new or listed layer version is written: what `import` and `capture` print, and references.

use crate::printer::amount::{ExactBytes, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use layering::report::{Summary, VersionReport};
use std::io;

/// The reference of what `summary` describes, complete: it can be pasted into another command.
pub(super) fn reference(summary: &Summary) -> String {
    let kind = summary.kind.as_str();
    match &summary.version {
        Some(version) => Visible(format!("{kind}:{}@{version}", summary.name)).to_string(),
        None => Visible(format!("{kind}:{}", summary.name)).to_string(),
    }
}

/// What `done` (`Imported`, `Captured`) made.
pub(super) fn human(done: &str, report: &VersionReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("{done} {}", reference(&report.version))))?;
    page.field("adds", ExactBytes(report.version.size))?;
    let mut contents = format!("{}, {}", Of(report.files, "file"), Of(report.directories, "directory"));
    if report.deletions > 0 {
        contents.push_str(&format!(", {}", Of(report.deletions, "deletion")));
    }
    page.field("contents", contents)?;
    page.field("read", format_args!("{} from the disk", ExactBytes(report.read)))?;
    page.field("stored", format_args!("{} that the store did not have", ExactBytes(report.stored)))?;
    if let Some(os) = &report.version.os_layer {
        page.field("OS layer", Visible(os.as_str()))?;
    }
    page.field("id", Visible(&report.version.id))
}
