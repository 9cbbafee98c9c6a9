//! `lamina plumbing check`

use crate::printer::Printer;
use crate::printer::amount::{Bytes, Of};
use crate::printer::page::{ERROR, Page, STRONG, Styled, Visible, VisibleLines};
use clap::Args;
use layering::report::CheckReport;
use operation::Failure;
use serde::Serialize;
use std::io;
use worker::Job;

/// Check the store
///
/// Verifies that every record can be read and that everything it refers to is there. Ends with status 1 when something
/// is wrong, naming the layer versions and images that are affected; nothing is changed.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing check
  lamina plumbing check --read-data --json | jq .problems")]
pub(super) struct CheckArgs {
    /// Read all contents too and compare them with their digests
    #[arg(long)]
    read_data: bool,
}

impl CheckArgs {
    pub(super) fn job(self) -> Job {
        Job::Check { read_data: self.read_data }
    }
}

/// A report that is a failure as well.
#[derive(Serialize)]
struct Damaged<'a> {
    #[serde(flatten)]
    report: &'a CheckReport,
    error: &'a Failure,
}

/// Prints what the check found; problems are what the command fails with.
pub(super) fn print(printer: Printer, report: &CheckReport) -> Result<(), Failure> {
    if report.clean {
        return printer.result(report, |page| human(report, page));
    }
    let failure = Failure {
        code: "store-damaged".to_owned(),
        message: format!("the check found {}", Of(report.problems.len() as u64, "problem")),
        hint: Some(
            "Make the affected layer versions and images again, or restore the store from a backup."
                .to_owned(),
        ),
    };
    printer.result(&Damaged { report, error: &failure }, |page| human(report, page))?;
    Err(failure)
}

fn human(report: &CheckReport, page: &mut Page<'_>) -> io::Result<()> {
    for problem in &report.problems {
        page.line(format_args!(
            "{}: {}",
            Styled(ERROR, format_args!("problem[{}]", problem.code)),
            VisibleLines(&problem.message)
        ))?;
        if !problem.affects.is_empty() {
            page.line(format_args!("    affects {}", Visible(problem.affects.join(", "))))?;
        }
    }
    let verdict = if report.clean { "Clean" } else { "Not clean" };
    page.line(format_args!(
        "{}: {} and {} checked, {} read and verified",
        Styled(STRONG, verdict),
        Of(report.objects, "object"),
        Of(report.blobs, "blob"),
        Bytes(report.verified)
    ))
}
