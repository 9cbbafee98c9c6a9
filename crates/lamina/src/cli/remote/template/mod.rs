//! `lamina template`

mod assignment;
mod content;
mod publish;
pub(super) mod revision;

use super::amounts::time;
use super::{Context, Done, LimitArgs, Run, input, list, tag};
use crate::printer::amount::Bytes;
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{
    AppVersion, CloneTemplate, DiskSettings, LayerKind, LayerVersion, TemplateFile, TemplateView,
};
use std::io;
use std::path::PathBuf;

/// Longest template file, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Create(Box<content::CreateArgs>),
    Edit(Box<content::EditArgs>),
    Clone(CloneArgs),
    Delete(DeleteArgs),
    Publish(publish::PublishArgs),
    Conflicts(publish::ConflictsArgs),
    Revisions(revision::RevisionsArgs),
    Revision(revision::RevisionArgs),
    Compare(revision::CompareArgs),
    Diff(revision::DiffArgs),
    Restore(revision::RestoreArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Assign(assignment::AssignArgs),
    Unassign(assignment::UnassignArgs),
    UpdateAssignments(assignment::UpdateArgs),
    Assignments(assignment::AssignmentsArgs),
}

/// List image templates
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those with this OS layer
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Only those with this layer: [os:|platform:|app:]NAME
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// Only those that publish to this connector configuration
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show an image template
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
}

/// Make a template like another
#[derive(Args)]
pub(in crate::cli) struct CloneArgs {
    /// The other template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// Name of the new one
    #[arg(value_name = "NAME")]
    name: String,
    /// What the new one is for; as the other when absent
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Delete a template and its revisions; what was published stays
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
}

/// Write a template as a file, which can be imported on another server
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina template export Desktop > desktop.json
  lamina template import desktop.json")]
pub(in crate::cli) struct ExportArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
}

/// Make a template from a file
#[derive(Args)]
pub(in crate::cli) struct ImportArgs {
    /// The file; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the template, instead of the one in the file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Show(args) => show(context, &context.template(&args.template).await?),
            Command::Create(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Clone(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
            Command::Publish(args) => args.run(context).await,
            Command::Conflicts(args) => args.run(context).await,
            Command::Revisions(args) => args.run(context).await,
            Command::Revision(args) => args.run(context).await,
            Command::Compare(args) => args.run(context).await,
            Command::Diff(args) => args.run(context).await,
            Command::Restore(args) => args.run(context).await,
            Command::Export(args) => args.run(context).await,
            Command::Import(args) => args.run(context).await,
            Command::Assign(args) => args.run(context).await,
            Command::Unassign(args) => args.run(context).await,
            Command::UpdateAssignments(args) => args.run(context).await,
            Command::Assignments(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let os = match &self.os {
            Some(os) => Some(context.layer(LayerKind::Os, os).await?.id.to_string()),
            None => None,
        };
        let layer = match &self.layer {
            Some(layer) => Some(context.any_layer(layer).await?.id.to_string()),
            None => None,
        };
        let configuration =
            context.configuration_id(self.connector.as_deref()).await?.map(|id| id.to_string());
        let templates = list!(
            context,
            self.limit.limit,
            list_templates,
            search = self.search.clone(),
            os_layer = os.clone(),
            layer = layer.clone(),
            configuration = configuration.clone(),
        )?;
        context.show_list(&templates, "There is no such template.", |templates, page| {
            page.table(
                ["NAME", "OS", "APPS", "PLATFORM", "CONNECTOR", "REVISION"],
                &[2, 5],
                templates.iter().map(|template| {
                    [
                        Visible(&template.name).to_string(),
                        version(&template.os),
                        template.apps.len().to_string(),
                        template.platform.as_ref().map_or_else(|| "-".to_owned(), version),
                        template
                            .configuration
                            .as_ref()
                            .map_or_else(|| "-".to_owned(), |one| Visible(&one.name).to_string()),
                        template.revision.to_string(),
                    ]
                }),
            )
        })
    }
}

/// A layer version as `NAME@VERSION`.
fn version(version: &LayerVersion) -> String {
    format!("{}@{}", Visible(&version.layer), Visible(&version.version))
}

/// What a template, or a revision of it, holds.
struct Content<'a> {
    description: &'a str,
    os: &'a LayerVersion,
    apps: &'a [AppVersion],
    platform: Option<&'a LayerVersion>,
    connector: Option<&'a str>,
    disk: &'a DiskSettings,
}

impl Content<'_> {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        if !self.description.is_empty() {
            page.field("description", Visible(self.description))?;
        }
        page.field("OS", version(self.os))?;
        for app in self.apps {
            let priority = app.priority.unwrap_or(app.layer_priority);
            let name = format!("{}@{}", Visible(&app.layer), Visible(&app.version));
            page.field("app", format_args!("{name} (priority {priority})"))?;
        }
        page.field("platform", self.platform.map_or_else(|| "-".to_owned(), version))?;
        page.field("connector", Visible(self.connector.unwrap_or("-")))?;
        let bytes = self.disk.bytes.and_then(|bytes| u64::try_from(bytes).ok());
        match bytes {
            Some(bytes) => page.field("disk", format_args!("{}, {}", self.disk.format, Bytes(bytes)))?,
            None => page.field("disk", self.disk.format)?,
        }
        if let Some(name) = &self.disk.name {
            page.field("disk name", Visible(name))?;
        }
        Ok(())
    }
}

/// Shows a template and what stands in its way.
fn show(context: &Context, template: &TemplateView) -> Done {
    context.show(template, |page| {
        page.line(Styled(STRONG, Visible(&template.name)))?;
        Content {
            description: &template.description,
            os: &template.os,
            apps: &template.apps,
            platform: template.platform.as_ref(),
            connector: template.configuration.as_ref().map(|one| one.name.as_str()),
            disk: &template.disk,
        }
        .write(page)?;
        page.field("revision", template.revision)?;
        page.field("changed", time(&template.changed_at))?;
        page.field("id", &*template.id)
    })?;
    for warning in &template.warnings {
        let label =
            Styled(crate::printer::page::WARNING, format_args!("warning[{}]", Visible(&warning.code)));
        context.printer.remark(format_args!("{label}: {}", Visible(&warning.message)));
    }
    Ok(())
}

impl CloneArgs {
    async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let body = CloneTemplate { name: self.name, description: self.description };
        let request =
            context.api.clone_template().id(template.id.to_string()).idempotency_key(client::once());
        show(context, &request.body(body).send().await?.into_inner())
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        context.sure(&format!("Delete the template {} and its revisions?", Visible(&template.name)))?;
        context
            .api
            .delete_template()
            .id(template.id.to_string())
            .if_match(tag(template.revision))
            .send()
            .await?;
        context.done(format_args!("Deleted the template {}.", Visible(&template.name)))
    }
}

impl ExportArgs {
    async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let file = context.api.export_template().id(template.id.to_string()).send().await?.into_inner();
        // A file is JSON whether `--json` is given or not; for people it has lines.
        let text = serde_json::to_string_pretty(&file)
            .map_err(|error| super::Trouble::here("output-failed", error.to_string()))?;
        context.show(&file, |page| page.line(text))
    }
}

impl ImportArgs {
    async fn run(self, context: &Context) -> Done {
        let bytes = input::file(&self.file, LONGEST_FILE)?;
        let mut file: TemplateFile = serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("{} is no template file: {error}.", self.file.display());
            super::Trouble::here("template-file", message).hint("`lamina template export` writes such files.")
        })?;
        file.name = self.name.unwrap_or(file.name);
        let request = context.api.import_template().idempotency_key(client::once());
        show(context, &request.body(file).send().await?.into_inner())
    }
}
