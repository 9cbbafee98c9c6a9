//! `lamina audit`

use super::amounts::time;
use super::{CommonArgs, Context, Done, Run, list, run_in};
use crate::printer::page::Visible;
use clap::Args;
use std::process::ExitCode;

/// Times are RFC 3339, such as 2026-11-21T08:00:00Z.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina audit --action publish_templates --since 2026-11-01T00:00:00Z
  lamina audit --object-kind template --json | jq '.items[].comment'")]
pub(in crate::cli) struct AuditArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    which: WhichArgs,
}

/// Which entries.
#[derive(Args)]
struct WhichArgs {
    /// Only of this operation, such as create_app_layer
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only about objects of this kind, such as template
    #[arg(long, value_name = "KIND")]
    object_kind: Option<String>,
    /// Only about the object with this identifier
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only what this user did
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only at this time or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Most entries to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl AuditArgs {
    pub(super) fn run(self) -> ExitCode {
        run_in(&self.common, self.which)
    }
}

impl Run for WhichArgs {
    async fn run(self, context: &Context) -> Done {
        let actor = match &self.user {
            Some(user) => Some(context.user(user).await?.id.to_string()),
            None => None,
        };
        let entries = list!(
            context,
            self.limit,
            list_audit,
            action = self.action.clone(),
            object_kind = self.object_kind.clone(),
            object_id = self.object.clone(),
            actor_id = actor.clone(),
            since = self.since.clone(),
            until = self.until.clone(),
        )?;
        context.show_list(&entries, "There is no such entry.", |entries, page| {
            page.table(
                ["WHEN", "WHO", "WHAT", "OF", "COMMENT"],
                &[],
                entries.iter().map(|entry| {
                    [
                        time(&entry.at),
                        Visible(&entry.actor).to_string(),
                        Visible(&entry.action).to_string(),
                        format!("{} {}", Visible(&entry.object_kind), Visible(&entry.object_name)),
                        Visible(&entry.comment).to_string(),
                    ]
                }),
            )
        })
    }
}
