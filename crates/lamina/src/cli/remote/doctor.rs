//! `lamina doctor`

use super::trouble::Trouble;
use super::{CommonArgs, Context, Done, Run, run_in};
use crate::cli::BLOCKED;
use crate::printer::page::{ERROR, STRONG, Styled, Visible, VisibleLines, WARNING};
use clap::Args;
use client::types::FindingState;
use std::process::ExitCode;

/// Examine the deployment: database, clocks, store, engine, disks, file share, certificate, tasks, virtualisation.
///
/// Says what to do about each finding, and ends with status 3 when something is a problem. The server looks at itself;
/// this takes some seconds.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina doctor
  lamina doctor --json | jq '.findings[] | select(.state != \"ok\")'")]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    common: CommonArgs,
}

impl DoctorArgs {
    pub(super) fn run(self) -> ExitCode {
        run_in(&self.common, Examine)
    }
}

struct Examine;

impl Run for Examine {
    async fn run(self, context: &Context) -> Done {
        let examination = context.api.examine_server().send().await?.into_inner();
        context.show(&examination, |page| {
            for finding in &examination.findings {
                let state = match finding.state {
                    FindingState::Ok => Styled(STRONG, "ok     "),
                    FindingState::Warning => Styled(WARNING, "warning"),
                    FindingState::Problem => Styled(ERROR, "problem"),
                };
                page.line(format_args!(
                    "{state}  {:14}  {}",
                    finding.check.to_string(),
                    Visible(&finding.message)
                ))?;
                if let Some(hint) = &finding.hint {
                    page.line(format_args!("{:25}{}", "", VisibleLines(hint)))?;
                }
            }
            Ok(())
        })?;
        if examination.healthy {
            return Ok(());
        }
        let mut trouble = Trouble::new(BLOCKED, "deployment-unhealthy", "The deployment has problems.");
        trouble.shown = true;
        Err(trouble)
    }
}
