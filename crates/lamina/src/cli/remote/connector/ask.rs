//! Asking a connector: whether its credentials are accepted, whether everything works, what there is to choose from.

use super::super::{Context, Done};
use crate::printer::amount::Bytes;
use crate::printer::page::{HINT, Page, Styled, Visible, VisibleLines};
use clap::Args;
use client::types::{ConnectorBrowse, ConnectorValues, TestReport, TrialOutcome};
use std::io;

/// See whether the platform of a configuration accepts its credentials
#[derive(Args)]
pub(in crate::cli) struct CheckArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    name: String,
}

/// Try everything that a configuration's connector needs
#[derive(Args)]
pub(in crate::cli) struct TestArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    name: String,
}

/// List what can be chosen on the platform of a configuration
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina connector browse NAS
  lamina connector browse NAS --folder os --prefix windows")]
pub(in crate::cli) struct BrowseArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    name: String,
    /// What to list: disks, or the name of a field
    #[arg(value_name = "WHAT", default_value = "disks")]
    what: String,
    /// The folder to list
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Only names that begin with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    limit: super::super::LimitArgs,
}

impl CheckArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let configuration = context.configuration(&self.name).await?;
        let request = context.api.check_configuration().id(configuration.id.to_string());
        request.body(no_values()).send().await?;
        context.done("The credentials are accepted.")
    }
}

/// The saved values, none other.
fn no_values() -> ConnectorValues {
    ConnectorValues { fields: None, secrets: Default::default() }
}

impl TestArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let configuration = context.configuration(&self.name).await?;
        let request = context.api.test_configuration().id(configuration.id.to_string());
        let report = request.body(no_values()).send().await?.into_inner();
        context.show(&report, |page| write(&report, page))?;
        match report.passed {
            true => Ok(()),
            false => {
                let failed =
                    report.trials.iter().filter(|trial| trial.outcome == TrialOutcome::Failed).count();
                let message = format!("{failed} of {} trials failed.", report.trials.len());
                let mut trouble = super::super::Trouble::here("connector-test-failed", message);
                trouble.shown = true;
                Err(trouble)
            }
        }
    }
}

fn write(report: &TestReport, page: &mut Page<'_>) -> io::Result<()> {
    for trial in &report.trials {
        page.line(format_args!("{:7}  {}", trial.outcome.to_string(), Visible(&trial.tried)))?;
        if !trial.detail.is_empty() {
            page.line(format_args!("         {}", VisibleLines(&trial.detail)))?;
        }
        if let Some(hint) = &trial.hint {
            page.line(format_args!("         {}: {}", Styled(HINT, "Hint"), Visible(hint)))?;
        }
    }
    Ok(())
}

impl BrowseArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        /// Entries that are asked for at once.
        const AT_ONCE: i32 = 200;
        let id = context.configuration(&self.name).await?.id.to_string();
        let mut entries = Vec::new();
        let mut cursor = None;
        loop {
            let body = ConnectorBrowse {
                cursor: cursor.take(),
                folder: self.folder.clone(),
                limit: Some(AT_ONCE),
                prefix: self.prefix.clone(),
                values: None,
                what: self.what.clone(),
            };
            let listing =
                context.api.browse_configuration().id(id.clone()).body(body).send().await?.into_inner();
            entries.extend(listing.entries);
            cursor = listing.next;
            if cursor.is_none() || entries.len() >= self.limit.limit as usize {
                break;
            }
        }
        let more = cursor.is_some() || entries.len() > self.limit.limit as usize;
        entries.truncate(self.limit.limit as usize);
        context.show_list(&(entries, more), "There is nothing.", |entries, page| {
            page.table(
                ["NAME", "KIND", "SIZE"],
                &[2],
                entries.iter().map(|entry| {
                    let bytes = entry.bytes.and_then(|bytes| u64::try_from(bytes).ok());
                    [
                        Visible(&entry.value).to_string(),
                        entry.kind.to_string(),
                        bytes.map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes).to_string()),
                    ]
                }),
            )
        })
    }
}
