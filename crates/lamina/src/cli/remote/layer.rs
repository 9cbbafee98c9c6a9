//! What layers of every kind have in common: listing, showing, changing, where they are used.

use super::amounts::time;
use super::choices::{VERSION_STATES, one_of};
use super::trouble::Trouble;
use super::{Context, Done, list, tag};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use client::types::{self, LayerKind, LayerView, Usage};
use std::io;

/// List layers of this kind
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those that belong to this OS layer
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Only those whose latest version is in this state
    #[arg(long, value_name = "STATE", value_parser = one_of::<types::VersionState>(VERSION_STATES))]
    state: Option<types::VersionState>,
    #[command(flatten)]
    limit: super::LimitArgs,
}

/// Show a layer, its versions and what uses it
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name of the layer
    #[arg(value_name = "LAYER")]
    layer: String,
}

/// Change a layer's name, description or icon
#[derive(Args)]
pub(in crate::cli) struct EditArgs {
    /// Name of the layer
    #[arg(value_name = "LAYER")]
    layer: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it holds
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its icon
    #[arg(long, value_name = "ICON")]
    icon: Option<String>,
}

/// Show where a layer is used: in templates, on packaging disks, and of an OS layer by its layers
#[derive(Args)]
pub(in crate::cli) struct UsedByArgs {
    /// Name of the layer
    #[arg(value_name = "LAYER")]
    layer: String,
    #[command(flatten)]
    limit: super::LimitArgs,
}

impl ListArgs {
    pub(super) async fn run(self, kind: LayerKind, context: &Context) -> Done {
        let os = match &self.os {
            Some(os) => Some(context.layer(LayerKind::Os, os).await?.id.to_string()),
            None => None,
        };
        let layers = list!(
            context,
            self.limit.limit,
            list_layers,
            kind = Some(kind.to_string()),
            search = self.search.clone(),
            os_layer = os.clone(),
            state = self.state.map(|state| state.to_string()),
        )?;
        let none = format!("There is no {kind} layer.");
        context.show_list(&layers, &none, table)
    }
}

fn table(layers: &[LayerView], page: &mut Page<'_>) -> io::Result<()> {
    page.table(
        ["NAME", "LATEST", "STATE", "OS LAYER", "ABOUT"],
        &[],
        layers.iter().map(|layer| {
            let latest = layer.latest.as_ref();
            [
                Visible(&layer.name).to_string(),
                latest.map_or_else(|| "-".to_owned(), |latest| Visible(&latest.name).to_string()),
                latest.map_or_else(|| "-".to_owned(), |latest| latest.state.to_string()),
                layer.os_layer.as_ref().map_or_else(|| "-".to_owned(), |os| Visible(&os.name).to_string()),
                about(layer),
            ]
        }),
    )
}

/// What tells a layer from others of its kind.
fn about(layer: &LayerView) -> String {
    match (&layer.platform, layer.priority) {
        (Some(platform), _) => types_of(platform),
        (None, Some(priority)) => format!("priority {priority}"),
        (None, None) => layer.hypervisor.map(|hypervisor| hypervisor.to_string()).unwrap_or_default(),
    }
}

fn types_of(platform: &types::PlatformTypes) -> String {
    let mut text = format!("{} {}", platform.purpose, platform.hypervisor);
    let others =
        [platform.provisioning.map(|one| one.to_string()), platform.broker.map(|one| one.to_string())];
    for other in others.into_iter().flatten().filter(|other| other != "none") {
        text.push_str(&format!(", {other}"));
    }
    text
}

impl ShowArgs {
    pub(super) async fn run(self, kind: LayerKind, context: &Context) -> Done {
        let layer = context.layer(kind, &self.layer).await?;
        let id = layer.id.to_string();
        let details = context.api.get_layer().id(id.clone()).send().await?.into_inner();
        let (versions, _) = list!(context, 1000, list_versions(id = id.clone()))?;
        context.show(&details, |page| {
            let layer = &details.layer;
            page.line(Styled(STRONG, format_args!("{}:{}", layer.kind, Visible(&layer.name))))?;
            fields(layer, page)?;
            page.line("")?;
            super::version::table(&versions, page)?;
            if !details.users.items.is_empty() {
                page.line("")?;
                usage_table(&details.users.items, page)?;
            }
            Ok(())
        })
    }
}

fn fields(layer: &LayerView, page: &mut Page<'_>) -> io::Result<()> {
    if !layer.description.is_empty() {
        page.field("description", Visible(&layer.description))?;
    }
    if let Some(os) = &layer.os_layer {
        page.field("OS layer", Visible(&os.name))?;
    }
    if let Some(hypervisor) = layer.hypervisor {
        page.field("made on", hypervisor)?;
    }
    if let Some(platform) = &layer.platform {
        page.field("for", types_of(platform))?;
    }
    if let Some(priority) = layer.priority {
        page.field("priority", priority)?;
    }
    page.field("made", time(&layer.created_at))?;
    page.field("id", &*layer.id)
}

/// Where something is used.
pub(super) fn usage_table(users: &[Usage], page: &mut Page<'_>) -> io::Result<()> {
    page.table(
        ["USED BY", "NAME", "AS", "VERSION"],
        &[],
        users.iter().map(|user| {
            [
                user.kind.to_string(),
                Visible(&user.name).to_string(),
                user.used_as.to_string(),
                user.version.as_ref().map_or_else(|| "-".to_owned(), |version| Visible(version).to_string()),
            ]
        }),
    )
}

impl EditArgs {
    /// `priority` is of app layers.
    pub(super) async fn run(self, kind: LayerKind, priority: Option<i64>, context: &Context) -> Done {
        if self.name.is_none() && self.description.is_none() && self.icon.is_none() && priority.is_none() {
            return Err(nothing_to_change());
        }
        let layer = context.layer(kind, &self.layer).await?;
        let change = types::LayerChange {
            name: self.name,
            description: self.description,
            icon_id: context.icon_id(self.icon.as_deref()).await?.map(|id| id.to_string().into()),
            priority,
        };
        let request = context.api.update_layer().id(layer.id.to_string()).if_match(tag(layer.revision));
        let layer = request.body(change).send().await?.into_inner();
        context.show(&layer, |page| {
            page.line(format_args!("Changed {}:{}.", layer.kind, Visible(&layer.name)))?;
            fields(&layer, page)
        })
    }
}

/// An edit without anything to change.
pub(super) fn nothing_to_change() -> Trouble {
    Trouble::usage("nothing-to-change", "Nothing is to be changed.").hint("`--help` lists what can be.")
}

impl UsedByArgs {
    pub(super) async fn run(self, kind: LayerKind, context: &Context) -> Done {
        let layer = context.layer(kind, &self.layer).await?;
        let users = list!(context, self.limit.limit, layer_users(id = layer.id.to_string()))?;
        context.show_list(&users, "Nothing uses it.", usage_table)
    }
}
