//! `lamina icon`

use super::trouble::Trouble;
use super::{Context, Done, LimitArgs, Run, amounts::time, input, list, tag};
use crate::printer::page::Visible;
use clap::{Args, Subcommand};
use client::types::{IconChange, IconView};
use std::path::PathBuf;

/// Most bytes of a picture. The server takes less, and says so.
const LONGEST: u64 = 16 << 20;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Upload(UploadArgs),
    Rename(RenameArgs),
    Save(SaveArgs),
    Delete(DeleteArgs),
}

/// List icons
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Upload an icon: a PNG or JPEG file of at most 1 MiB
#[derive(Args)]
pub(in crate::cli) struct UploadArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// The file; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Give an icon another name
#[derive(Args)]
pub(in crate::cli) struct RenameArgs {
    /// The icon
    #[arg(value_name = "ICON")]
    icon: String,
    /// Its new name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Save the picture of an icon: PNG, or SVG of those that the program has
#[derive(Args)]
pub(in crate::cli) struct SaveArgs {
    /// The icon
    #[arg(value_name = "ICON")]
    icon: String,
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Delete an icon that nothing uses
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The icon
    #[arg(value_name = "ICON")]
    icon: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Upload(args) => args.run(context).await,
            Command::Rename(args) => args.run(context).await,
            Command::Save(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let icons = list!(context, self.limit.limit, list_icons, search = self.search.clone())?;
        context.show_list(&icons, "There is no such icon.", |icons, page| {
            page.table(
                ["NAME", "TYPE", "FROM"],
                &[],
                icons.iter().map(|icon| {
                    let from = if icon.built_in { "the program".to_owned() } else { time(&icon.created_at) };
                    [Visible(&icon.name).to_string(), Visible(&icon.media_type).to_string(), from]
                }),
            )
        })
    }
}

/// The type that a picture says it has, in its first bytes (PNG 1.2, 3.1; JPEG: ITU-T T.81, B.1.1.3).
fn media_type(picture: &[u8]) -> Option<&'static str> {
    match picture {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ => None,
    }
}

fn show(context: &Context, icon: &IconView, what: &str) -> Done {
    context.show(icon, |page| page.line(format_args!("{what} the icon {}.", Visible(&icon.name))))
}

impl UploadArgs {
    async fn run(self, context: &Context) -> Done {
        let picture = input::file(&self.file, LONGEST)?;
        let media_type = media_type(&picture).ok_or_else(|| {
            Trouble::here("icon-type", format!("{} is neither PNG nor JPEG.", self.file.display()))
                .hint("Upload a PNG or JPEG file.")
        })?;
        show(context, &context.api.upload_icon(&self.name, media_type, picture).await?, "Uploaded")
    }
}

impl RenameArgs {
    async fn run(self, context: &Context) -> Done {
        let icon = context.icon(&self.icon).await?;
        let request = context.api.update_icon().id(icon.id.to_string()).if_match(tag(icon.revision));
        show(context, &request.body(IconChange { name: self.name }).send().await?.into_inner(), "Renamed")
    }
}

impl SaveArgs {
    async fn run(self, context: &Context) -> Done {
        let icon = context.icon(&self.icon).await?;
        let picture = context.api.icon_picture(&icon.id).await?;
        std::fs::write(&self.file, picture).map_err(|error| {
            Trouble::here("file-unwritable", format!("Cannot write {}: {error}.", self.file.display()))
        })?;
        show(context, &icon, "Saved")
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let icon = context.icon(&self.icon).await?;
        context.sure(&format!("Delete the icon {}?", Visible(&icon.name)))?;
        context.api.delete_icon().id(icon.id.to_string()).if_match(tag(icon.revision)).send().await?;
        context.done(format_args!("Deleted the icon {}.", Visible(&icon.name)))
    }
}
