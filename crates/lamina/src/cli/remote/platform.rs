//! `lamina platform`

use super::choices::{BROKERS, HYPERVISORS, PROVISIONING, PURPOSES, one_of};
use super::layer::{EditArgs, ListArgs, ShowArgs, UsedByArgs};
use super::packaging::{NewLayerArgs, os_layer};
use super::{Context, Done, Run};
use clap::{Args, Subcommand};
use client::types::{Broker, Hypervisor, LayerKind, NewPlatformLayer, PlatformTypes, Provisioning, Purpose};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Create(Box<CreateArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Edit(EditArgs),
    UsedBy(UsedByArgs),
}

/// Make a new platform layer: the packaging disk of its first version
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina platform create Azure 1 --os 'Windows 11' --purpose publishing --hypervisor azure \\
      --broker azure-rdsh --disk azure.vhd --format vhd --wait
  lamina platform create 'On KVM' 1 --os 'Windows 11' --purpose packaging --hypervisor kvm \\
      --disk kvm.qcow2 --format qcow2")]
pub(in crate::cli) struct CreateArgs {
    /// Name of the platform layer
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of its first version
    #[arg(value_name = "VERSION")]
    version: String,
    /// OS layer that it belongs to, with a version if not the latest is to be on the disk
    #[arg(long, value_name = "OS[@VERSION]")]
    os: String,
    /// What it is for: packaging disks on another hypervisor, or images
    #[arg(long, value_name = "PURPOSE", value_parser = one_of::<Purpose>(PURPOSES))]
    purpose: Purpose,
    /// What machines run on
    #[arg(long, value_name = "HYPERVISOR", value_parser = one_of::<Hypervisor>(HYPERVISORS))]
    hypervisor: Hypervisor,
    /// What makes many machines of one image
    #[arg(long, value_name = "SERVICE", value_parser = one_of::<Provisioning>(PROVISIONING))]
    provisioning: Option<Provisioning>,
    /// What brings users to machines
    #[arg(long, value_name = "BROKER", value_parser = one_of::<Broker>(BROKERS))]
    broker: Option<Broker>,
    #[command(flatten)]
    layer: NewLayerArgs,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Create(args) => args.run(context).await,
            Command::List(args) => args.run(LayerKind::Platform, context).await,
            Command::Show(args) => args.run(LayerKind::Platform, context).await,
            Command::Edit(args) => args.run(LayerKind::Platform, None, context).await,
            Command::UsedBy(args) => args.run(LayerKind::Platform, context).await,
        }
    }
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let (layer, version) = os_layer(&self.os);
        let new = NewPlatformLayer {
            description: self.layer.description,
            icon_id: context.icon_id(self.layer.icon.as_deref()).await?,
            max_bytes: self.layer.max_size,
            name: self.name,
            os_layer_id: context.layer(LayerKind::Os, layer).await?.id,
            packaging: self.layer.packaging.wanted(version, context).await?,
            platform: PlatformTypes {
                broker: self.broker,
                hypervisor: self.hypervisor,
                provisioning: self.provisioning,
                purpose: self.purpose,
            },
            version: self.version,
            version_description: self.layer.version_description,
        };
        let request = context.api.create_platform_layer().idempotency_key(client::once());
        let making = request.body(new).send().await?.into_inner();
        context.task_begun(&making, &making.task_id, &self.layer.wait).await
    }
}
