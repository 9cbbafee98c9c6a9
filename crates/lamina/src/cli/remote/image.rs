//! `lamina image`

use super::amounts::time;
use super::template::revision::field_changes;
use super::{Context, Done, LimitArgs, Run, list, tag};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{ImageComparison, ImageLayer};
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Delete(DeleteArgs),
}

/// List published images, the latest first
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those of this template
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show a published image: where it went and what it was made of
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The image; of several with this name the last one
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// Compare two published images by what they were made of
///
/// Layers are the same when their contents are. Lines begin with + (only the second has the layer), - (only the first)
/// or ~ (both have it, differently).
#[derive(Args)]
pub(in crate::cli) struct DiffArgs {
    /// First image; of several with this name the last one
    #[arg(value_name = "IMAGE")]
    from: String,
    /// Second image
    #[arg(value_name = "IMAGE")]
    to: String,
}

/// Delete the record of an image; what was published stays where it is
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The image; of several with this name the last one
    #[arg(value_name = "IMAGE")]
    image: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Diff(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let template = match &self.template {
            Some(template) => Some(context.template(template).await?.id.to_string()),
            None => None,
        };
        let images = list!(
            context,
            self.limit.limit,
            list_images,
            search = self.search.clone(),
            template = template.clone(),
            sort = Some("-created_at")
        )?;
        context.show_list(&images, "No image was published.", |images, page| {
            page.table(
                ["IMAGE", "TEMPLATE", "REVISION", "PUBLISHED", "BY", "ID"],
                &[2],
                images.iter().map(|image| {
                    [
                        Visible(&image.name).to_string(),
                        Visible(&image.template).to_string(),
                        image.template_revision.to_string(),
                        time(&image.created_at),
                        Visible(&image.published_by).to_string(),
                        image.id.to_string(),
                    ]
                }),
            )
        })
    }
}

impl ShowArgs {
    async fn run(self, context: &Context) -> Done {
        let details = context.image(&self.image).await?;
        let shown = |value: &serde_json::Value| {
            serde_json::to_string_pretty(value)
                .map(|text| crate::printer::page::VisibleLines(text).to_string())
        };
        let (delivered, provenance) = (shown(&details.image.delivered), shown(&details.provenance));
        context.show(&details, |page| {
            let image = &details.image;
            page.line(Styled(STRONG, Visible(&image.name)))?;
            let template = Visible(&image.template);
            page.field("template", format_args!("{template}, revision {}", image.template_revision))?;
            page.field("connector", Visible(&image.connector))?;
            page.field("published", time(&image.created_at))?;
            page.field("by", Visible(&image.published_by))?;
            page.field("task", &*image.task_id)?;
            page.field("id", &*image.id)?;
            page.line(format_args!("\nDelivered:\n{}", delivered?))?;
            page.line(format_args!("\nMade of:\n{}", provenance?))
        })
    }
}

impl DiffArgs {
    async fn run(self, context: &Context) -> Done {
        let (from, to) = (context.image(&self.from).await?.image, context.image(&self.to).await?.image);
        let request = context.api.diff_images().id(from.id.to_string()).to(to.id.to_string());
        let comparison = request.send().await?.into_inner();
        context.show(&comparison, |page| differences(&comparison, page))
    }
}

fn differences(comparison: &ImageComparison, page: &mut Page<'_>) -> io::Result<()> {
    let ImageComparison { fields, layers_added, layers_changed, layers_removed } = comparison;
    if fields.is_empty() && layers_added.is_empty() && layers_changed.is_empty() && layers_removed.is_empty()
    {
        return page.line("Both are made of the same.");
    }
    field_changes(fields, page)?;
    let layer = |layer: &ImageLayer| {
        let priority = layer.priority.map(|priority| format!(" (priority {priority})")).unwrap_or_default();
        format!("{}{priority}", Visible(&layer.reference))
    };
    for change in layers_changed {
        page.line(format_args!("~ {} -> {}", layer(&change.before), layer(&change.after)))?;
    }
    for removed in layers_removed {
        page.line(format_args!("- {}", layer(removed)))?;
    }
    for added in layers_added {
        page.line(format_args!("+ {}", layer(added)))?;
    }
    Ok(())
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let image = context.image(&self.image).await?.image;
        context.sure(&format!("Delete the record of the image {}?", Visible(&image.name)))?;
        context.api.delete_image().id(image.id.to_string()).if_match(tag(image.revision)).send().await?;
        context.done(format_args!("Deleted the record of the image {}.", Visible(&image.name)))
    }
}
