//! Layer versions in a folder on a share, from which another server takes them.

use super::amounts::{bytes, time};
use super::choices::LAYER_KINDS;
use super::find::is_id;
use super::waiting::WaitArgs;
use super::{Context, Done};
use crate::printer::page::{Page, Visible};
use clap::Args;
use client::types::{ExportLayers, ExportedLayers, ImportLayers, Importing, LayerKind, RenameLayer};
use std::io;

/// Export versions to a folder on the file share, for another server
///
/// What the folder holds already is not written again: an export that failed goes on where it was.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina version export office app:Office --with-os --wait
  lamina version export all os:Windows app:Office@2025 app:Editor --connector NAS")]
pub(in crate::cli) struct ExportArgs {
    /// The folder; the one that it lies in has to exist
    #[arg(value_name = "FOLDER")]
    folder: String,
    /// A version: [os:|platform:|app:]NAME[@VERSION]
    #[arg(value_name = "REF", required = true)]
    versions: Vec<String>,
    /// With the OS versions that they were made on
    #[arg(long)]
    with_os: bool,
    /// Connector configuration of the share; the file share when absent
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// List the versions in a folder that another server has exported to
#[derive(Args)]
pub(in crate::cli) struct ExportedArgs {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: String,
    /// Connector configuration of the share; the file share when absent
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
}

/// Import versions from a folder that another server has exported to
///
/// An OS layer that they belong to comes with them if it is not here. A version that is here already is compared, and
/// refused if it is another one of the same name.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina version import office --wait
  lamina version import office app:Office@2025 --rename 'os:Windows=Windows 11 of the other site'")]
pub(in crate::cli) struct ImportArgs {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: String,
    /// A version, as `lamina version exported` lists it; all when absent
    #[arg(value_name = "REF")]
    versions: Vec<String>,
    /// Name that a layer of the folder gets here; may be repeated
    #[arg(long, value_name = "KIND:NAME=NEW", value_parser = rename)]
    rename: Vec<RenameLayer>,
    /// Connector configuration of the share; the file share when absent
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `KIND:NAME=NEW`. Names may hold `=`: the first one ends the old name.
fn rename(text: &str) -> Result<RenameLayer, String> {
    let (from, to) = text.split_once('=').ok_or("write KIND:NAME=NEW")?;
    let (kind, from) = from.split_once(':').ok_or("write KIND:NAME=NEW")?;
    let kind = kind.parse::<LayerKind>().map_err(|_| format!("KIND is one of {}", LAYER_KINDS.join(", ")))?;
    Ok(RenameLayer { kind, from: from.to_owned(), to: to.to_owned() })
}

impl ExportArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let configuration_id = context.configuration_id(self.connector.as_deref()).await?;
        let mut versions = Vec::new();
        for version in &self.versions {
            // The server understands references; what is wrong with one is then said of the argument that was typed.
            versions.push(match is_id(version) {
                true => version.clone(),
                false => context.version_id(version).await?.to_string(),
            });
        }
        let body =
            ExportLayers { configuration_id, folder: self.folder, versions, with_os: Some(self.with_os) };
        let request = context.api.export_layers().idempotency_key(client::once());
        let started = request.body(body).send().await?.into_inner();
        context.task_begun(&started, &started.task_id, &self.wait).await
    }
}

impl ExportedArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let mut request = context.api.list_exported_layers().folder(self.folder);
        if let Some(id) = context.configuration_id(self.connector.as_deref()).await? {
            request = request.configuration_id(id);
        }
        let found = request.send().await?.into_inner();
        context.show(&found, |page| exported(&found, page))
    }
}

fn exported(found: &ExportedLayers, page: &mut Page<'_>) -> io::Result<()> {
    match found.versions.is_empty() {
        true => page.line(format_args!("There is no layer version in {}.", Visible(&found.location)))?,
        false => page.table(
            ["VERSION", "ADDS", "FILES", "MADE", "MADE ON"],
            &[1, 2],
            found.versions.iter().map(|version| {
                [
                    Visible(&version.reference).to_string(),
                    bytes(Some(version.added_bytes)),
                    match version.complete {
                        true => bytes(Some(version.packed_bytes)),
                        false => "incomplete".to_owned(),
                    },
                    time(&version.created_at),
                    version.made_on.as_ref().map_or_else(|| "-".to_owned(), |on| Visible(on).to_string()),
                ]
            }),
        )?,
    }
    for unreadable in &found.unreadable {
        page.line(format_args!("unreadable: {}", Visible(&unreadable.message)))?;
    }
    match found.foreign {
        0 => Ok(()),
        other => page.line(format_args!("Other things in the folder: {other}")),
    }
}

impl ImportArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let configuration_id = context.configuration_id(self.connector.as_deref()).await?;
        let body = ImportLayers {
            configuration_id,
            folder: self.folder,
            rename: self.rename,
            versions: self.versions,
        };
        let request = context.api.import_layers().idempotency_key(client::once());
        let importing = request.body(body).send().await?.into_inner();
        if !context.json {
            for line in arriving(&importing) {
                crate::printer::write_stderr(&format!("{line}\n"));
            }
        }
        context.task_begun(&importing, &importing.task_id, &self.wait).await
    }
}

/// What comes, and what is here already.
fn arriving(importing: &Importing) -> impl Iterator<Item = String> {
    importing.versions.iter().map(|version| {
        let here = Visible(&version.reference);
        match version.kept {
            true => format!("{here} is here already"),
            false if version.from == version.reference => format!("{here} is imported"),
            false => format!("{here} is imported from {}", Visible(&version.from)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_layer_is_renamed_to_may_hold_anything() {
        let parsed = rename("app:Office=A=B:C").map(|one| (one.kind, one.from, one.to));
        assert_eq!(parsed, Ok((LayerKind::App, "Office".to_owned(), "A=B:C".to_owned())));
        assert!(rename("Office=B").is_err());
        assert!(rename("app:Office").is_err());
        assert_eq!(rename("disk:X=Y").map(|_| ()), Err("KIND is one of os, platform, app".to_owned()));
    }
}
