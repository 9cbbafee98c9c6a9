//! `lamina settings`

use super::layer::nothing_to_change;
use super::{Context, Done, Run};
use crate::printer::page::Visible;
use clap::{Args, Subcommand};
use client::types::{Settings, SettingsChange};
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Show(ShowArgs),
    Set(SetArgs),
}

/// Show the settings of the server
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {}

/// Change settings of the server
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina settings set --file-share NAS
  lamina settings set --audit-retention-days 365 --session-timeout-minutes 30")]
pub(in crate::cli) struct SetArgs {
    /// Connector configuration of the file share, which is tried before it is saved
    #[arg(long, value_name = "NAME", conflicts_with = "no_file_share")]
    file_share: Option<String>,
    /// Without a file share
    #[arg(long)]
    no_file_share: bool,
    /// Days for which the audit history is kept
    #[arg(long, value_name = "N")]
    audit_retention_days: Option<i64>,
    /// Days for which ended tasks are kept, with their logs
    #[arg(long, value_name = "N")]
    task_retention_days: Option<i64>,
    /// Minutes after which an unused session ends
    #[arg(long, value_name = "N")]
    session_timeout_minutes: Option<i64>,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Show(ShowArgs {}) => {
                show(context, &context.api.get_settings().send().await?.into_inner()).await
            }
            Command::Set(args) => args.run(context).await,
        }
    }
}

async fn show(context: &Context, settings: &Settings) -> Done {
    let share = match &settings.file_share {
        Some(id) if !context.json => Some(context.configuration(id).await?.name),
        _ => None,
    };
    context.show(settings, |page| {
        page.line(format_args!("file share               {}", Visible(share.as_deref().unwrap_or("-"))))?;
        page.line(format_args!("audit retention days     {}", settings.audit_retention_days))?;
        page.line(format_args!("task retention days      {}", settings.task_retention_days))?;
        page.line(format_args!("session timeout minutes  {}", settings.session_timeout_minutes))?;
        page.line(format_args!("store location           {}", Visible(&settings.store_location)))
    })
}

impl SetArgs {
    async fn run(self, context: &Context) -> Done {
        let file_share = match context.configuration_id(self.file_share.as_deref()).await? {
            Some(id) => Some(json!(id)),
            None => self.no_file_share.then_some(Value::Null),
        };
        let change = SettingsChange {
            audit_retention_days: self.audit_retention_days,
            file_share,
            session_timeout_minutes: self.session_timeout_minutes,
            task_retention_days: self.task_retention_days,
        };
        let SettingsChange {
            audit_retention_days: None,
            file_share: None,
            session_timeout_minutes: None,
            task_retention_days: None,
        } = change
        else {
            // Each setting stands for itself: what another person set meanwhile stays.
            let request = context.api.update_settings().if_match("*");
            return show(context, &request.body(change).send().await?.into_inner()).await;
        };
        Err(nothing_to_change())
    }
}
