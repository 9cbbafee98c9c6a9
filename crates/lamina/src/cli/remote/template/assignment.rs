//! Assignments: which templates have which version of a layer, changed from the layer's side.

use super::super::{Context, Done, LimitArgs, list};
use crate::printer::page::Visible;
use clap::Args;
use client::types::{AssignedTemplates, AssignmentUpdate, TemplateChoice};

/// Add a version to templates that do not have its layer
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina template assign app:Teams Desktop Kiosk
  lamina template update-assignments app:Office --dry-run
  lamina template update-assignments app:Office@2025 Desktop")]
pub(in crate::cli) struct AssignArgs {
    /// The version: [platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    /// The templates
    #[arg(value_name = "TEMPLATE", required = true)]
    templates: Vec<String>,
}

/// Take a version out of templates
#[derive(Args)]
pub(in crate::cli) struct UnassignArgs {
    /// The version: [platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    /// The templates
    #[arg(value_name = "TEMPLATE", required = true)]
    templates: Vec<String>,
}

/// Move templates that have an older version of a layer to this one
#[derive(Args)]
pub(in crate::cli) struct UpdateArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    /// The templates; all that have an older version when none is named
    #[arg(value_name = "TEMPLATE")]
    templates: Vec<String>,
    /// Only say which would be moved
    #[arg(long)]
    dry_run: bool,
}

/// List the templates that have a layer, with its version in each
#[derive(Args)]
pub(in crate::cli) struct AssignmentsArgs {
    /// The layer: [os:|platform:|app:]NAME
    #[arg(value_name = "LAYER")]
    layer: String,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Shows which templates were changed, and how.
fn show(context: &Context, assigned: &AssignedTemplates) -> Done {
    context.show(assigned, |page| {
        if assigned.templates.is_empty() {
            return page.line("No template has an older version.");
        }
        page.table(
            ["TEMPLATE", "BEFORE", "NOW", "REVISION"],
            &[3],
            assigned.templates.iter().map(|one| {
                let version = |version: &Option<String>| match version {
                    Some(version) => Visible(version).to_string(),
                    None => "-".to_owned(),
                };
                [
                    Visible(&one.template).to_string(),
                    version(&one.before),
                    version(&one.after),
                    one.revision.to_string(),
                ]
            }),
        )
    })?;
    if assigned.dry_run {
        context.printer.remark("Nothing was changed: this was a dry run.");
    }
    Ok(())
}

impl AssignArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let id = context.version_id(&self.version).await?;
        let body = TemplateChoice { templates: context.template_ids(&self.templates).await? };
        show(context, &context.api.add_assignments().id(id.to_string()).body(body).send().await?.into_inner())
    }
}

impl UnassignArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let id = context.version_id(&self.version).await?;
        let body = TemplateChoice { templates: context.template_ids(&self.templates).await? };
        show(
            context,
            &context.api.remove_assignments().id(id.to_string()).body(body).send().await?.into_inner(),
        )
    }
}

impl UpdateArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let id = context.version_id(&self.version).await?;
        let templates = match self.templates.is_empty() {
            true => None,
            false => Some(context.template_ids(&self.templates).await?),
        };
        let body = AssignmentUpdate { dry_run: Some(self.dry_run), templates };
        show(
            context,
            &context.api.update_assignments().id(id.to_string()).body(body).send().await?.into_inner(),
        )
    }
}

impl AssignmentsArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let layer = context.any_layer(&self.layer).await?;
        let assignments = list!(context, self.limit.limit, list_assignments(id = layer.id.to_string()))?;
        context.show_list(&assignments, "No template has this layer.", |assignments, page| {
            page.table(
                ["TEMPLATE", "VERSION"],
                &[],
                assignments
                    .iter()
                    .map(|one| [Visible(&one.template).to_string(), Visible(&one.version).to_string()]),
            )
        })
    }
}
