//! `lamina os`

use super::choices::{HYPERVISORS, one_of};
use super::layer::{EditArgs, ListArgs, ShowArgs, UsedByArgs};
use super::waiting::WaitArgs;
use super::{Context, Done, Run, amounts};
use clap::{Args, Subcommand};
use client::types::{Hypervisor, LayerKind, NewOsLayer};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Import(Box<ImportArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Edit(EditArgs),
    UsedBy(UsedByArgs),
}

/// Import the disk of an operating system as the first version of a new OS layer
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina os import 'Windows 11' 23H2 --disk windows11.vhdx --wait
  lamina os import 'Windows 11' 23H2 --connector NAS --disk os/windows11.vhdx --hypervisor hyperv")]
pub(in crate::cli) struct ImportArgs {
    /// Name of the OS layer
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of its first version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The disk: its name on the connector's place
    #[arg(long, value_name = "FILE")]
    disk: String,
    /// Connector configuration that the disk comes from; the file share when absent
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// What the layer holds
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What is in this version
    #[arg(long, value_name = "TEXT")]
    version_description: Option<String>,
    /// What the disk was made on
    #[arg(long, value_name = "HYPERVISOR", value_parser = one_of::<Hypervisor>(HYPERVISORS))]
    hypervisor: Option<Hypervisor>,
    /// Number of the partition with the operating system, when several could be it
    #[arg(long, value_name = "N")]
    volume: Option<i32>,
    /// Most bytes that the version may have; 100 GiB when absent
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    max_size: Option<i64>,
    /// Icon of the layer
    #[arg(long, value_name = "ICON")]
    icon: Option<String>,
    /// Import although the disk has findings, for this reason; for administrators
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Import(args) => args.run(context).await,
            Command::List(args) => args.run(LayerKind::Os, context).await,
            Command::Show(args) => args.run(LayerKind::Os, context).await,
            Command::Edit(args) => args.run(LayerKind::Os, None, context).await,
            Command::UsedBy(args) => args.run(LayerKind::Os, context).await,
        }
    }
}

impl ImportArgs {
    async fn run(self, context: &Context) -> Done {
        let new = NewOsLayer {
            configuration_id: context.configuration_id(self.connector.as_deref()).await?,
            description: self.description,
            disk: self.disk,
            hypervisor: self.hypervisor,
            icon_id: context.icon_id(self.icon.as_deref()).await?,
            max_bytes: self.max_size,
            name: self.name,
            override_reason: self.override_reason,
            version: self.version,
            version_description: self.version_description,
            volume: self.volume,
        };
        let request = context.api.create_os_layer().idempotency_key(client::once());
        let making = request.body(new).send().await?.into_inner();
        context.task_begun(&making, &making.task_id, &self.wait).await
    }
}
