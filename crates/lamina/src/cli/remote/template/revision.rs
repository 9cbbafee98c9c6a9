//! Revisions of templates: list, show, compare, restore.

use super::super::amounts::time;
use super::super::{Context, Done, LimitArgs, list, tag};
use super::{Content, show};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use client::types::{AppVersion, Comparison, FieldChange};
use serde_json::Value;
use std::io;

/// List the revisions of a template, the latest first
#[derive(Args)]
pub(in crate::cli) struct RevisionsArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show a revision of a template
#[derive(Args)]
pub(in crate::cli) struct RevisionArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The revision's number
    #[arg(value_name = "N")]
    revision: i64,
}

/// Compare two revisions of a template
#[derive(Args)]
pub(in crate::cli) struct CompareArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The earlier revision
    #[arg(value_name = "FROM")]
    from: i64,
    /// The later revision; the present one when absent
    #[arg(value_name = "TO")]
    to: Option<i64>,
}

/// Compare two templates as they are now
///
/// Lines begin with + (only the second has the app), - (only the first) or ~ (both have it, differently).
#[derive(Args)]
pub(in crate::cli) struct DiffArgs {
    /// First template
    #[arg(value_name = "TEMPLATE")]
    from: String,
    /// Second template
    #[arg(value_name = "TEMPLATE")]
    to: String,
}

/// Make a template what it was in an earlier revision; that is a new revision
#[derive(Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The earlier revision's number
    #[arg(value_name = "N")]
    revision: i64,
}

impl RevisionsArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let revisions = list!(context, self.limit.limit, list_revisions(id = template.id.to_string()))?;
        context.show_list(&revisions, "There is no revision.", |revisions, page| {
            page.table(
                ["REVISION", "MADE", "BY", "COMMENT"],
                &[0],
                revisions.iter().map(|revision| {
                    [
                        revision.revision.to_string(),
                        time(&revision.created_at),
                        Visible(&revision.author).to_string(),
                        Visible(&revision.comment).to_string(),
                    ]
                }),
            )
        })
    }
}

impl RevisionArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let request = context.api.get_revision().id(template.id.to_string()).number(self.revision);
        let revision = request.send().await?.into_inner();
        context.show(&revision, |page| {
            let (about, content) = (&revision.revision, &revision.content);
            let name = Visible(&content.name);
            page.line(Styled(STRONG, format_args!("{name}, revision {}", about.revision)))?;
            Content {
                description: &content.description,
                os: &content.os,
                apps: &content.apps,
                platform: content.platform.as_ref(),
                connector: content.configuration.as_ref().map(|one| one.name.as_str()),
                disk: &content.disk,
            }
            .write(page)?;
            page.field("made", time(&about.created_at))?;
            page.field("by", Visible(&about.author))?;
            page.field("comment", Visible(&about.comment))
        })
    }
}

impl CompareArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let request = context.api.compare_revisions().id(template.id.to_string()).from(self.from);
        let comparison = request.to(self.to.unwrap_or(template.revision)).send().await?.into_inner();
        context.show(&comparison, |page| differences(&comparison, page))
    }
}

impl DiffArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let (from, to) = (context.template(&self.from).await?, context.template(&self.to).await?);
        let request = context.api.diff_templates().id(from.id.to_string()).to(to.id.to_string());
        let comparison = request.send().await?.into_inner();
        context.show(&comparison, |page| differences(&comparison, page))
    }
}

fn differences(comparison: &Comparison, page: &mut Page<'_>) -> io::Result<()> {
    let Comparison { apps_added, apps_changed, apps_removed, fields } = comparison;
    if apps_added.is_empty() && apps_changed.is_empty() && apps_removed.is_empty() && fields.is_empty() {
        return page.line("Both are the same.");
    }
    field_changes(fields, page)?;
    let app = |app: &AppVersion| {
        let priority = app.priority.map(|priority| format!(" (priority {priority})")).unwrap_or_default();
        format!("app {}@{}{priority}", Visible(&app.layer), Visible(&app.version))
    };
    for change in apps_changed {
        page.line(format_args!("~ {} -> {}", app(&change.before), app(&change.after)))?;
    }
    for removed in apps_removed {
        page.line(format_args!("- {}", app(removed)))?;
    }
    for added in apps_added {
        page.line(format_args!("+ {}", app(added)))?;
    }
    Ok(())
}

/// Fields that differ, below each other.
pub(in crate::cli::remote) fn field_changes(fields: &[FieldChange], page: &mut Page<'_>) -> io::Result<()> {
    for field in fields {
        page.line(format_args!(
            "~ {}: {} -> {}",
            Visible(&field.field),
            value(&field.before),
            value(&field.after)
        ))?;
    }
    Ok(())
}

/// A value of a field: text as it is, objects by their names, everything else as JSON.
fn value(value: &Value) -> String {
    match (value, value["layer"].as_str(), value["version"].as_str(), value["name"].as_str()) {
        (Value::Null, ..) => "-".to_owned(),
        (Value::String(text), ..) => Visible(text).to_string(),
        (_, Some(layer), Some(version), _) => format!("{}@{}", Visible(layer), Visible(version)),
        (_, _, _, Some(name)) if value["id"].is_string() => Visible(name).to_string(),
        (other, ..) => Visible(other.to_string()).to_string(),
    }
}

impl RestoreArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let request = context.api.restore_revision().id(template.id.to_string()).number(self.revision);
        show(context, &request.if_match(tag(template.revision)).send().await?.into_inner())
    }
}
