//! `lamina plumbing capture`

use super::composite::PackagingArgs;
use crate::cli::size;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use layering::platform::{Broker, Hypervisor, PlatformTypes, Provisioning, Purpose};
use layering::reference::LayerKind;
use layering::report::VersionSpec;
use layering::request::CaptureRequest;
use std::path::PathBuf;
use worker::Job;

/// Capture what changed on a packaging disk as a layer version
///
/// Compares a returned packaging disk with the composite that it was written from and stores the difference. Name
/// the same layers as when the disk was written. Prerequisites and the packaging platform layer are never in the
/// result; what the base version holds stays in it, changed by what happened on the disk.
///
/// What Windows has not finished on the disk (a pending restart, an installation that is going on) is refused, as
/// `lamina plumbing integrity` shows it, unless there is a reason to override that.
///
/// Paging files, logs, temporary files and the like are never captured; the file never-captured.txt in the store's
/// directory adds paths to that list.
///
/// A platform layer says what it is for: publishing applies the clean-up recipes of all hypervisors, provisioning
/// services and brokers that its platform layer did not select.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing capture --os 'os:Windows 11' --layer app:.NET \\
      --disk office.vhdx --kind app --name Office --version 2024
  A new version of the OS layer, patched on its packaging disk:
    lamina plumbing capture --os 'os:Windows 11@24H2' --disk patched.vhdx \\
        --kind os --name 'Windows 11' --version 24H2-november
  The software of session hosts on Azure:
    lamina plumbing capture --os 'os:Windows 11' --disk azure.vhdx --kind platform \\
        --purpose publishing --hypervisor azure --broker azure-rdsh \\
        --name Azure --version 1")]
pub(super) struct CaptureArgs {
    #[command(flatten)]
    composite: PackagingArgs,
    /// Kind of the layer
    #[arg(long, value_parser = PossibleValuesParser::new(["app", "platform", "os"]).try_map(|kind| kind.parse::<LayerKind>()))]
    kind: LayerKind,
    /// Returned packaging disk
    #[arg(long, value_name = "FILE")]
    disk: PathBuf,
    /// Name of the layer, which is created with its first version
    #[arg(long)]
    name: String,
    /// Version, new in the layer
    #[arg(long)]
    version: String,
    /// Most bytes that the version may add [default: 10GiB; 100GiB for an OS layer]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_size: Option<u64>,
    /// Take files with equal records as unchanged, without comparing their contents
    ///
    /// Faster. A change that left size, times and place on the disk as they were is missed, except in registry hives,
    /// which are always compared. That this was trusted is recorded in the version.
    #[arg(long)]
    trust_metadata: bool,
    /// Follow the image's reference to a backing file
    ///
    /// Refused otherwise: an image from elsewhere could name any file of this machine.
    #[arg(long)]
    allow_backing: bool,
    /// Reason for capturing in spite of findings that block; recorded in the version
    ///
    /// The findings are those of `lamina plumbing integrity`. The version records them with the reason. A volume that was
    /// not shut down or is hibernated stays refused.
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What a platform layer is for.
#[derive(Args)]
#[command(next_help_heading = "Platform layers (--kind platform)")]
struct PlatformArgs {
    /// What the platform layer is for: packaging disks on another hypervisor, or images
    #[arg(long, requires = "hypervisor", required_if_eq("kind", "platform"), value_parser = purpose())]
    purpose: Option<Purpose>,
    /// Hypervisor whose tools it holds
    #[arg(long, requires = "purpose", required_if_eq("kind", "platform"), value_parser = hypervisor())]
    hypervisor: Option<Hypervisor>,
    /// Provisioning service; for publishing only [default: none]
    #[arg(long, requires = "purpose", value_parser = provisioning())]
    provisioning: Option<Provisioning>,
    /// Connection broker; for publishing only [default: none]
    #[arg(long, requires = "purpose", value_parser = broker())]
    broker: Option<Broker>,
}

fn purpose() -> impl TypedValueParser<Value = Purpose> {
    PossibleValuesParser::new(Purpose::NAMES).try_map(|name| name.parse::<Purpose>())
}

fn hypervisor() -> impl TypedValueParser<Value = Hypervisor> {
    PossibleValuesParser::new(Hypervisor::NAMES).try_map(|name| name.parse::<Hypervisor>())
}

fn provisioning() -> impl TypedValueParser<Value = Provisioning> {
    PossibleValuesParser::new(Provisioning::NAMES).try_map(|name| name.parse::<Provisioning>())
}

fn broker() -> impl TypedValueParser<Value = Broker> {
    PossibleValuesParser::new(Broker::NAMES).try_map(|name| name.parse::<Broker>())
}

impl PlatformArgs {
    fn types(self) -> Option<PlatformTypes> {
        Some(PlatformTypes {
            purpose: self.purpose?,
            hypervisor: self.hypervisor?,
            provisioning: self.provisioning.unwrap_or(Provisioning::None),
            broker: self.broker.unwrap_or(Broker::None),
        })
    }
}

impl CaptureArgs {
    pub(super) fn job(self) -> Job {
        Job::Capture(CaptureRequest {
            composite: self.composite.into(),
            disk: self.disk,
            version: VersionSpec {
                kind: self.kind,
                name: self.name,
                version: self.version,
                max_size: self.max_size,
                platform: self.platform.types(),
            },
            changed: None,
            trust_metadata: self.trust_metadata,
            allow_backing: self.allow_backing,
            override_reason: self.override_reason,
        })
    }
}
