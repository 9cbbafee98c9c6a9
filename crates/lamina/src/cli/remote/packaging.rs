//! The packaging disk of a version: what is on it and where it goes.

use super::choices::{FORMATS, one_of};
use super::trouble::Trouble;
use super::waiting::WaitArgs;
use super::{Context, amounts};
use clap::Args;
use client::types::{DiskFormat, LayerKind, NewPackaging};

#[derive(Args)]
#[command(next_help_heading = "Packaging disk")]
pub(in crate::cli) struct PackagingArgs {
    /// The disk's file name on the connector's place
    #[arg(long, value_name = "FILE")]
    disk: String,
    /// The disk's format
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<DiskFormat>(FORMATS))]
    format: DiskFormat,
    /// Connector configuration that the disk goes to; the file share when absent
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// App version that has to be installed first; may be repeated
    #[arg(long, value_name = "APP")]
    requires: Vec<String>,
    /// Packaging platform version, when the machine runs elsewhere than on the OS layer's hypervisor
    #[arg(long, value_name = "PLATFORM")]
    packaging_platform: Option<String>,
}

/// What is said of a new layer that is made on a packaging disk, whatever its kind.
#[derive(Args)]
pub(in crate::cli) struct NewLayerArgs {
    /// What the layer holds
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// What is in this version
    #[arg(long, value_name = "TEXT")]
    pub(super) version_description: Option<String>,
    /// Most bytes that the version may add; 10 GiB when absent
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    pub(super) max_size: Option<i64>,
    /// Icon of the layer
    #[arg(long, value_name = "ICON")]
    pub(super) icon: Option<String>,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    #[command(flatten)]
    pub(super) packaging: PackagingArgs,
}

impl PackagingArgs {
    /// The packaging disk that is wanted, on this OS version or the latest deployable one.
    pub(super) async fn wanted(&self, os: Option<&str>, context: &Context) -> Result<NewPackaging, Trouble> {
        let os_version_id = match os {
            Some(os) => Some(context.version_id_of(LayerKind::Os, os).await?),
            None => None,
        };
        let platform = match &self.packaging_platform {
            Some(platform) => Some(context.pick(LayerKind::Platform, platform).await?),
            None => None,
        };
        Ok(NewPackaging {
            configuration_id: context.configuration_id(self.connector.as_deref()).await?,
            disk: self.disk.clone(),
            format: self.format,
            os_version_id,
            platform,
            prerequisites: context.picks(LayerKind::App, &self.requires).await?,
        })
    }
}

/// The parts of an OS reference: the layer, and the reference if it names a version.
pub(super) fn os_layer(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('@') {
        Some((layer, _)) => (layer, Some(reference)),
        None => (reference, None),
    }
}
