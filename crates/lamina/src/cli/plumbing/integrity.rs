//! `lamina plumbing integrity`

use crate::printer::amount::Of;
use crate::printer::page::{ERROR, HINT, Page, STRONG, Styled, Visible, VisibleLines, WARNING};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use layering::reference::LayerKind;
use layering::report::{Finding, ImageState, IntegrityReport, Severity};
use layering::request::{IntegrityRequest, StoredIntegrityRequest};
use std::io;
use std::path::PathBuf;
use worker::Job;

/// Look whether a disk is ready to become a layer version
///
/// Reads a packaging disk, or one that is to be imported, without starting it: whether its volume was shut down, which
/// restarts are pending, which installations and compilations are going on, whether the machine is joined to a domain,
/// and how far Sysprep has come. Each finding names where it was found and what to do. Nothing is changed, and for a disk
/// image no store is needed.
///
/// An OS version or layered image of the store is examined in the same way: what its machines would still have to finish.
///
/// Capture and import look for the same and refuse what blocks. What Windows keeps in memory only, a disk does not show.
#[derive(Args)]
#[command(after_long_help = "\
Exit status:
  0  nothing blocks; there may be warnings
  1  the disk cannot be read
  3  something blocks

Examples:
  lamina plumbing integrity --disk office.vhdx
  lamina plumbing integrity --disk win.vhdx --kind os --json | jq .findings
  lamina plumbing integrity --image 'os:Windows 11@24H2'")]
pub(super) struct IntegrityArgs {
    #[command(flatten)]
    of: DiskArgs,
    /// Number of the partition that is the OS volume, where the disk alone does not tell
    #[arg(long, value_name = "N", conflicts_with = "image")]
    volume: Option<u32>,
    /// Kind of the layer that the version would be of: a domain member blocks an OS layer and warns for others [default:
    /// app; os with --image]
    #[arg(long, value_parser = PossibleValuesParser::new(["app", "platform", "os"]).try_map(|kind| kind.parse::<LayerKind>()))]
    kind: Option<LayerKind>,
    /// Follow the image's reference to a backing file
    ///
    /// Refused otherwise: an image from elsewhere could name any file of this machine.
    #[arg(long, conflicts_with = "image")]
    allow_backing: bool,
}

/// What is examined: one of the two.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct DiskArgs {
    /// Disk image to examine
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// OS version or layered image of the store to examine
    #[arg(long, value_name = "REF")]
    image: Option<String>,
}

impl IntegrityArgs {
    pub(super) fn job(self) -> Job {
        if let Some(image) = self.of.image {
            let kind = self.kind.unwrap_or(LayerKind::Os);
            return Job::StoredIntegrity(StoredIntegrityRequest { image, kind });
        }
        Job::Integrity(IntegrityRequest {
            disk: self.of.disk.unwrap_or_default(),
            volume: self.volume,
            kind: self.kind.unwrap_or(LayerKind::App),
            allow_backing: self.allow_backing,
        })
    }
}

pub(super) fn human(report: &IntegrityReport, page: &mut Page<'_>) -> io::Result<()> {
    for finding in &report.findings {
        lines(finding, page)?;
    }
    let count =
        |severity| report.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let (blocks, warns) = (count(Severity::Blocks), count(Severity::Warns));
    let verdict = if report.blocked { "Not ready" } else { "Ready" };
    page.line(format_args!(
        "{}: {} for {} layer: {}, {}",
        Styled(STRONG, verdict),
        Visible(&report.disk),
        match report.kind {
            LayerKind::Os => "an OS",
            LayerKind::App => "an app",
            LayerKind::Platform => "a platform",
        },
        Of(blocks, "blocking finding"),
        Of(warns, "warning"),
    ))?;
    if let Some(volume) = report.volume {
        page.field("OS volume", format_args!("partition {volume}"))?;
    }
    let state = match report.image_state {
        ImageState::Generalized => "generalized",
        ImageState::Specialized => "specialized",
        ImageState::Unknown => "unknown",
    };
    page.field("image state", state)
}

fn lines(finding: &Finding, page: &mut Page<'_>) -> io::Result<()> {
    let (style, word) = match finding.severity {
        Severity::Blocks => (ERROR, "blocks"),
        Severity::Warns => (WARNING, "warning"),
    };
    page.line(format_args!(
        "{}: {}",
        Styled(style, format_args!("{word}[{}]", finding.code)),
        VisibleLines(&finding.message)
    ))?;
    for line in finding.evidence_lines() {
        page.line(format_args!("    {}", Visible(line)))?;
    }
    page.line(format_args!("{}: {}", Styled(HINT, "Hint"), VisibleLines(&finding.advice)))?;
    if finding.severity == Severity::Blocks && !finding.overridable {
        page.line("    This cannot be overridden.")?;
    }
    page.line("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use layering::report::Evidence;

    #[test]
    fn findings_come_with_their_evidence_and_what_to_do_and_the_verdict_last() {
        let report = IntegrityReport {
            disk: "a.vhdx".into(),
            volume: Some(3),
            kind: LayerKind::Os,
            image_state: ImageState::Specialized,
            blocked: true,
            findings: vec![Finding {
                code: "reboot-pending".into(),
                message: "A reboot is pending.".into(),
                severity: Severity::Blocks,
                overridable: true,
                evidence: vec![Evidence {
                    hive: Some("SOFTWARE".into()),
                    key: Some("Microsoft\\Updates".into()),
                    value: Some("UpdateExe\u{1b}".into()),
                    data: Some("1".into()),
                    ..Evidence::default()
                }],
                more: 2,
                advice: "Restart it.".into(),
            }],
        };
        let mut out = Vec::new();
        human(&report, &mut Page::new(&mut out)).unwrap();
        let text = String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap();
        assert_eq!(
            text,
            "\
blocks[reboot-pending]: A reboot is pending.
    SOFTWARE\\Microsoft\\Updates : UpdateExe\\u{1b} = 1
    and 2 more
Hint: Restart it.

Not ready: a.vhdx for an OS layer: 1 blocking finding, 0 warnings
  OS volume    partition 3
  image state  specialized
"
        );
    }
}
