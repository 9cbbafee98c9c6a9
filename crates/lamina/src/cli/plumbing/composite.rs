//! The layers that a command is about.

use clap::Args;
use layering::report::CompositeSpec;

/// What a packaging disk contains, lowest first: OS, prerequisites, base, packaging platform.
#[derive(Args)]
pub(super) struct PackagingArgs {
    /// OS layer version of the packaging disk
    #[arg(long, value_name = "REF")]
    os: String,
    /// Prerequisite app layer version; repeat in priority order, lowest first
    #[arg(long = "layer", value_name = "REF")]
    layers: Vec<String>,
    /// Layer version that the new version starts from
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Packaging platform layer version
    #[arg(long, value_name = "REF")]
    platform: Option<String>,
}

impl From<PackagingArgs> for CompositeSpec {
    fn from(args: PackagingArgs) -> CompositeSpec {
        CompositeSpec { os: args.os, layers: args.layers, base: args.base, platform: args.platform }
    }
}

/// What a layered image contains: OS, apps by priority, publishing platform.
#[derive(Args)]
pub(super) struct ImageArgs {
    /// OS layer version
    #[arg(long, value_name = "REF")]
    os: String,
    /// App layer version; repeat in priority order, lowest first
    #[arg(long = "layer", value_name = "REF")]
    layers: Vec<String>,
    /// Publishing platform layer version
    #[arg(long, value_name = "REF")]
    platform: Option<String>,
}

impl From<ImageArgs> for CompositeSpec {
    fn from(args: ImageArgs) -> CompositeSpec {
        CompositeSpec { os: args.os, layers: args.layers, base: None, platform: args.platform }
    }
}
