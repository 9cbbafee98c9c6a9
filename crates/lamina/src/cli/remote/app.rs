//! `lamina app`

use super::layer::{EditArgs, ListArgs, ShowArgs, UsedByArgs};
use super::packaging::{NewLayerArgs, os_layer};
use super::{Context, Done, Run};
use clap::{Args, Subcommand};
use client::types::{LayerKind, NewAppLayer};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Create(Box<CreateArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Edit(AppEditArgs),
    UsedBy(UsedByArgs),
}

/// Make a new app layer: the packaging disk of its first version
///
/// The task ends with an action that is required of you: boot a machine from the packaging disk, install the app, shut
/// it down, then `lamina version finalize`.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina app create Office 2024 --os 'Windows 11' --disk office.vhdx --format vhdx --wait
  lamina app create Plugin 1 --os 'Windows 11@23H2' --requires Office --disk plugin.vhdx --format vhdx")]
pub(in crate::cli) struct CreateArgs {
    /// Name of the app layer
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of its first version
    #[arg(value_name = "VERSION")]
    version: String,
    /// OS layer that it belongs to, with a version if not the latest is to be on the disk
    #[arg(long, value_name = "OS[@VERSION]")]
    os: String,
    #[command(flatten)]
    layer: NewLayerArgs,
}

/// Change an app layer's name, description, icon or priority
#[derive(Args)]
pub(in crate::cli) struct AppEditArgs {
    #[command(flatten)]
    layer: EditArgs,
    /// Its priority: of two apps with the same file the higher one wins
    #[arg(long, value_name = "N")]
    priority: Option<i64>,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Create(args) => args.run(context).await,
            Command::List(args) => args.run(LayerKind::App, context).await,
            Command::Show(args) => args.run(LayerKind::App, context).await,
            Command::Edit(args) => args.layer.run(LayerKind::App, args.priority, context).await,
            Command::UsedBy(args) => args.run(LayerKind::App, context).await,
        }
    }
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let (layer, version) = os_layer(&self.os);
        let new = NewAppLayer {
            description: self.layer.description,
            icon_id: context.icon_id(self.layer.icon.as_deref()).await?,
            max_bytes: self.layer.max_size,
            name: self.name,
            os_layer_id: context.layer(LayerKind::Os, layer).await?.id,
            packaging: self.layer.packaging.wanted(version, context).await?,
            version: self.version,
            version_description: self.layer.version_description,
        };
        let request = context.api.create_app_layer().idempotency_key(client::once());
        let making = request.body(new).send().await?.into_inner();
        context.task_begun(&making, &making.task_id, &self.layer.wait).await
    }
}
