//! `lamina version`

use super::amounts::{self, bytes, time};
use super::choices::{VERSION_STATES, one_of};
use super::exchange::{ExportArgs, ExportedArgs, ImportArgs};
use super::layer::{nothing_to_change, usage_table};
use super::packaging::PackagingArgs;
use super::trouble::Trouble;
use super::waiting::WaitArgs;
use super::{Context, Done, LimitArgs, Run, list, tag};
use crate::cli::plumbing;
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{
    Finalize, LayerVersion, NewVersion, PackagingView, VersionChange, VersionState, VersionView,
};
use layering::report::{DiffReport, ShowReport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Create(Box<CreateArgs>),
    Finalize(FinalizeArgs),
    Show(ShowArgs),
    Contents(ContentsArgs),
    Edit(EditArgs),
    Diff(DiffArgs),
    UsedBy(UsedByArgs),
    Export(ExportArgs),
    Exported(ExportedArgs),
    Import(ImportArgs),
    Delete(DeleteArgs),
}

/// List the versions of a layer, the latest first
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// The layer: [os:|platform:|app:]NAME
    #[arg(value_name = "LAYER")]
    layer: String,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = one_of::<VersionState>(VERSION_STATES))]
    state: Option<VersionState>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Make a new version of a layer: its packaging disk
///
/// The disk holds the version that the new one starts from. Change it on a machine, then finalize.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina version create app:Office 2025 --disk office.vhdx --format vhdx --wait
  lamina version create 'os:Windows 11' 24H2 --from 23H2 --disk windows.vhdx --format vhdx")]
pub(in crate::cli) struct CreateArgs {
    /// The layer: [os:|platform:|app:]NAME
    #[arg(value_name = "LAYER")]
    layer: String,
    /// Name of the new version
    #[arg(value_name = "VERSION")]
    version: String,
    /// Version that it starts from; the latest deployable one when absent
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
    /// OS version on the disk, for app and platform layers; the latest when absent
    #[arg(long, value_name = "OS@VERSION")]
    os: Option<String>,
    /// What is new in it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Most bytes that it may add; the kind's default when absent
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    max_size: Option<i64>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    packaging: PackagingArgs,
}

/// Turn what changed on a packaging disk into the version
///
/// The packaging machine is shut down before. Without @VERSION the layer's latest version is meant.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina version finalize app:Office --wait --comment 'Office with the May updates'
  lamina version finalize app:Office@2025 --override 'the pending restart is of a driver we do not use'")]
pub(in crate::cli) struct FinalizeArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    /// Go on in spite of findings of the integrity check, for this reason; for administrators
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Show a version
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
}

/// Show what is recorded of a version in the store: installed programs, changes of the registry
#[derive(Args)]
pub(in crate::cli) struct ContentsArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
}

/// Change a version's name or description, or its limit while it is in packaging
#[derive(Args)]
pub(in crate::cli) struct EditArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What is new in it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Most bytes that it may add
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    max_size: Option<i64>,
}

/// Compare two versions
///
/// Lines begin with + (only the second has the path), - (only the first) or ~ (both have it, differently).
#[derive(Args)]
pub(in crate::cli) struct DiffArgs {
    /// First version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    from: String,
    /// Second version
    #[arg(value_name = "REF")]
    to: String,
}

/// Show where a version is used: in templates and on packaging disks
#[derive(Args)]
pub(in crate::cli) struct UsedByArgs {
    /// The version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF")]
    version: String,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Delete a version that nothing uses, and its layer when it has no other
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The version: [os:|platform:|app:]NAME@VERSION
    #[arg(value_name = "REF")]
    version: String,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Create(args) => args.run(context).await,
            Command::Finalize(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Contents(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Diff(args) => args.run(context).await,
            Command::UsedBy(args) => args.run(context).await,
            Command::Export(args) => args.run(context).await,
            Command::Exported(args) => args.run(context).await,
            Command::Import(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let layer = context.any_layer(&self.layer).await?;
        let state = self.state.map(|state| state.to_string());
        let versions = list!(
            context,
            self.limit.limit,
            list_versions(id = layer.id.to_string()),
            state = state.clone()
        )?;
        context.show_list(&versions, "There is no such version.", table)
    }
}

/// Versions below each other.
pub(super) fn table(versions: &[VersionView], page: &mut Page<'_>) -> io::Result<()> {
    page.table(
        ["VERSION", "STATE", "ADDS", "MADE", "DESCRIPTION"],
        &[2],
        versions.iter().map(|version| {
            [
                Visible(&version.name).to_string(),
                version.state.to_string(),
                bytes(version.added_bytes),
                time(&version.created_at),
                Visible(&version.description).to_string(),
            ]
        }),
    )
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let layer = context.any_layer(&self.layer).await?;
        let base_version_id = match &self.from {
            Some(from) if super::find::is_id(from) => Some(context.version_id(from).await?),
            Some(from) => Some(context.version_id(&format!("{}:{}@{from}", layer.kind, layer.name)).await?),
            None => None,
        };
        let new = NewVersion {
            base_version_id,
            description: self.description,
            max_bytes: self.max_size,
            packaging: self.packaging.wanted(self.os.as_deref(), context).await?,
            version: self.version,
        };
        let request = context.api.create_version().id(layer.id.to_string()).idempotency_key(client::once());
        let making = request.body(new).send().await?.into_inner();
        context.task_begun(&making, &making.task_id, &self.wait).await
    }
}

impl FinalizeArgs {
    async fn run(self, context: &Context) -> Done {
        let version = context.version_in_making(&self.version).await?;
        let body = Finalize { override_reason: self.override_reason };
        let request =
            context.api.finalize_version().id(version.id.to_string()).idempotency_key(client::once());
        let started = request.body(body).send().await?.into_inner();
        context.task_begun(&started, &started.task_id, &self.wait).await
    }
}

/// The full reference of a version.
fn reference(version: &VersionView) -> String {
    format!("{}:{}@{}", version.kind, Visible(&version.layer), Visible(&version.name))
}

fn show(context: &Context, version: &VersionView) -> Done {
    context.show(version, |page| {
        page.line(Styled(STRONG, reference(version)))?;
        if !version.description.is_empty() {
            page.field("description", Visible(&version.description))?;
        }
        page.field("state", version.state)?;
        page.field("adds", bytes(version.added_bytes))?;
        page.field("at most", bytes(Some(version.max_bytes)))?;
        page.field("made", time(&version.created_at))?;
        if let Some(digest) = &version.digest {
            page.field("digest", Visible(digest))?;
        }
        match &version.packaging {
            Some(packaging) => made_on(packaging, page)?,
            // It was captured: what was on its packaging disk is remembered.
            None => {
                let remembered = version.provenance.as_ref().and_then(|it| it.get("packaging"));
                if let Some(packaging) = remembered.and_then(|it| PackagingView::deserialize(it).ok()) {
                    made_on(&packaging, page)?;
                }
            }
        }
        page.field("id", &*version.id)
    })
}

/// What is or was on a packaging disk.
fn made_on(packaging: &PackagingView, page: &mut Page<'_>) -> io::Result<()> {
    let name = |one: &LayerVersion| format!("{}@{}", Visible(&one.layer), Visible(&one.version));
    page.field("OS version", name(&packaging.os))?;
    if let Some(base) = &packaging.base {
        page.field("made from", name(base))?;
    }
    for prerequisite in &packaging.prerequisites {
        page.field("with", name(prerequisite))?;
    }
    if let Some(platform) = &packaging.platform {
        page.field("platform", name(platform))?;
    }
    let (disk, format) = (Visible(&packaging.disk), packaging.format);
    let place = Visible(&packaging.configuration.name);
    page.field("disk", format_args!("{disk} ({format}) on {place}"))
}

impl ShowArgs {
    async fn run(self, context: &Context) -> Done {
        let version = match context.version(&self.version).await {
            // A layer whose only version is being made has no deployable one.
            Err(trouble) if trouble.failure.code == "no-deployable-version" => {
                context.version_in_making(&self.version).await?
            }
            found => found?,
        };
        show(context, &version)
    }
}

/// A report of the engine's, as the engine's own commands show it.
pub(super) fn report<R: DeserializeOwned>(value: &serde_json::Value) -> Result<R, Trouble> {
    R::deserialize(value)
        .map_err(|error| client::Problem::NotUnderstood(format!("a report of the engine: {error}")).into())
}

impl ContentsArgs {
    async fn run(self, context: &Context) -> Done {
        let id = context.version_id(&self.version).await?;
        let value = context.api.version_report().id(id.to_string()).send().await?.into_inner();
        let report: ShowReport = report(&value)?;
        context.show(&value, |page| plumbing::show::human(&report, page))
    }
}

impl EditArgs {
    async fn run(self, context: &Context) -> Done {
        if self.name.is_none() && self.description.is_none() && self.max_size.is_none() {
            return Err(nothing_to_change());
        }
        let version = context.version_in_making(&self.version).await?;
        let change =
            VersionChange { name: self.name, description: self.description, max_bytes: self.max_size };
        let request = context.api.update_version().id(version.id.to_string()).if_match(tag(version.revision));
        let version = request.body(change).send().await?.into_inner();
        show(context, &version)
    }
}

impl DiffArgs {
    async fn run(self, context: &Context) -> Done {
        let (from, to) = (context.version_id(&self.from).await?, context.version_id(&self.to).await?);
        let value = context.api.diff_versions().id(from.to_string()).to(to).send().await?.into_inner();
        let report: DiffReport = report(&value)?;
        context.show(&value, |page| plumbing::diff::human(&report, page))
    }
}

impl UsedByArgs {
    async fn run(self, context: &Context) -> Done {
        let id = context.version_id(&self.version).await?;
        let users = list!(context, self.limit.limit, version_users(id = id.to_string()))?;
        context.show_list(&users, "Nothing uses it.", usage_table)
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        if !self.version.contains('@') && !super::find::is_id(&self.version) {
            let message = format!("{} does not say which version to delete.", self.version);
            return Err(Trouble::usage("version-wanted", message).hint("Write NAME@VERSION."));
        }
        let version = context.version(&self.version).await?;
        context.sure(&format!("Delete {}?", reference(&version)))?;
        let request = context.api.delete_version().id(version.id.to_string()).if_match(tag(version.revision));
        let started = request.send().await?.into_inner();
        context.task_begun(&started, &started.task_id, &self.wait).await
    }
}
