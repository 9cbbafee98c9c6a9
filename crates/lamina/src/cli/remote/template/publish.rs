//! `lamina template publish` and `conflicts`

use super::super::version::report;
use super::super::waiting::WaitArgs;
use super::super::{Context, Done};
use crate::cli::plumbing;
use clap::Args;
use client::types::{PublishTemplate, PublishTemplates};
use layering::report::ConflictsReport;

/// Publish layered images: one task for each template
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina template publish Desktop --wait --comment 'May updates'
  lamina template publish Desktop Kiosk")]
pub(in crate::cli) struct PublishArgs {
    /// The templates
    #[arg(value_name = "TEMPLATE", required = true)]
    templates: Vec<String>,
    /// Name of the image's file this time, when there is one template; it has to be free
    #[arg(long, value_name = "FILE")]
    disk: Option<String>,
    /// Publish although a layer brings files of which the OS version has newer ones, for this reason
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Show what several layers of a template claim together: files and registry values
#[derive(Args)]
pub(in crate::cli) struct ConflictsArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
}

impl PublishArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        if self.disk.is_some() && self.templates.len() > 1 {
            let message = "Several images cannot have one file name.";
            return Err(super::super::Trouble::usage("one-disk-name", message)
                .hint("Publish one template, or leave out --disk."));
        }
        let templates = context
            .template_ids(&self.templates)
            .await?
            .into_iter()
            .map(|template_id| PublishTemplate { disk: self.disk.clone(), template_id })
            .collect();
        let body = PublishTemplates { override_reason: self.override_reason, templates };
        let request = context.api.publish_templates().idempotency_key(client::once());
        let begun = request.body(body).send().await?.into_inner();
        let tasks: Vec<String> = begun.tasks.iter().map(|task| task.task_id.to_string()).collect();
        context.tasks_begun(&begun, &tasks, &self.wait).await
    }
}

impl ConflictsArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let value = context.api.template_conflicts().id(template.id.to_string()).send().await?.into_inner();
        let report: ConflictsReport = report(&value)?;
        context.show(&value, |page| plumbing::conflicts::human(&report, page))
    }
}
