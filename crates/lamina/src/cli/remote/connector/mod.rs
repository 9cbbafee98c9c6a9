//! `lamina connector`

mod ask;
mod values;

use super::layer::nothing_to_change;
use super::{Context, Done, LimitArgs, Run, list, tag};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{ConfigurationChange, ConfigurationView, NewConfiguration};
use serde_json::Value;
use std::io;
use values::ValueArgs;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Kinds(KindsArgs),
    List(ListArgs),
    Show(ShowArgs),
    Create(Box<CreateArgs>),
    Edit(Box<EditArgs>),
    Check(ask::CheckArgs),
    Test(ask::TestArgs),
    Browse(ask::BrowseArgs),
    Delete(DeleteArgs),
}

/// List kinds of connectors, or show the fields of one
#[derive(Args)]
pub(in crate::cli) struct KindsArgs {
    /// The kind whose fields are shown
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// List connector configurations
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show a connector configuration; secrets are never shown
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    name: String,
}

/// Make a connector configuration
///
/// Secrets are never arguments: they are asked for, or read from stdin or from a file.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina connector create Share fileshare --set access=directory --set path=/srv/images
  lamina connector create NAS fileshare --set access=smb --set server=nas.example.com \\
      --set share=images --set user=lamina --ask password
  lamina connector create NAS fileshare --set access=smb --set server=nas.example.com \\
      --set share=images --set user=lamina --secret-file password=/run/secrets/nas")]
pub(in crate::cli) struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Its kind: see `lamina connector kinds`
    #[arg(value_name = "KIND")]
    kind: String,
    #[command(flatten)]
    values: ValueArgs,
}

/// Change a connector configuration
///
/// What is not named stays. When the place that a secret is sent to changes, the secret has to be given again.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina connector edit NAS --ask password
  lamina connector edit NAS --set folder=images/2026 --name 'NAS 2026'")]
pub(in crate::cli) struct EditArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    configuration: String,
    /// Its new name
    #[arg(long = "name", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    values: ValueArgs,
}

/// Delete a connector configuration that nothing uses
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The configuration
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Kinds(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Show(args) => show(context, &context.configuration(&args.name).await?),
            Command::Create(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Check(args) => args.run(context).await,
            Command::Test(args) => args.run(context).await,
            Command::Browse(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

impl KindsArgs {
    async fn run(self, context: &Context) -> Done {
        match self.kind {
            Some(kind) => {
                let connector = context.api.get_connector().id(kind).send().await?.into_inner();
                context.show(&connector, |page| {
                    page.line(Styled(STRONG, Visible(&connector.title)))?;
                    page.line(Visible(&connector.help))?;
                    page.line("")?;
                    values::field_table(&connector.fields, page)
                })
            }
            None => {
                let kinds = (context.api.list_connectors().send().await?.into_inner(), false);
                context.show_list(&kinds, "There is no kind of connector.", |kinds, page| {
                    page.table(
                        ["KIND", "TITLE", "ABOUT"],
                        &[],
                        kinds.iter().map(|kind| {
                            [
                                Visible(&kind.kind).to_string(),
                                Visible(&kind.title).to_string(),
                                Visible(&kind.help).to_string(),
                            ]
                        }),
                    )
                })
            }
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let (search, kind) = (self.search, self.kind);
        let found = list!(
            context,
            self.limit.limit,
            list_configurations,
            search = search.clone(),
            connector = kind.clone()
        )?;
        context.show_list(&found, "There is no connector configuration.", |found, page| {
            page.table(
                ["NAME", "KIND", "FIELDS"],
                &[],
                found.iter().map(|one| {
                    let fields: Vec<String> =
                        one.fields.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
                    [
                        Visible(&one.name).to_string(),
                        Visible(&one.connector).to_string(),
                        Visible(fields.join(" ")).to_string(),
                    ]
                }),
            )
        })
    }
}

/// A field's value as it is typed.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn write(configuration: &ConfigurationView, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, Visible(&configuration.name)))?;
    page.field("kind", Visible(&configuration.connector))?;
    for (name, value) in &configuration.fields {
        page.field(&Visible(name).to_string(), Visible(plain(value)))?;
    }
    for secret in &configuration.secrets {
        page.field(&Visible(secret).to_string(), "(set)")?;
    }
    page.field("id", &*configuration.id)
}

fn show(context: &Context, configuration: &ConfigurationView) -> Done {
    context.show(configuration, |page| write(configuration, page))
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let kind = context.api.get_connector().id(self.kind.clone()).send().await?.into_inner();
        let new = NewConfiguration {
            connector: self.kind,
            fields: self.values.fields(&kind)?.into_iter().collect(),
            name: self.name,
            secrets: self.values.secrets(&kind)?,
        };
        let request = context.api.create_configuration().idempotency_key(client::once());
        show(context, &request.body(new).send().await?.into_inner())
    }
}

impl EditArgs {
    async fn run(self, context: &Context) -> Done {
        if self.name.is_none() && self.values.is_empty() {
            return Err(nothing_to_change());
        }
        let before = context.configuration(&self.configuration).await?;
        let kind = context.api.get_connector().id(before.connector.clone()).send().await?.into_inner();
        let given = self.values.fields(&kind)?;
        let change = ConfigurationChange {
            // The API takes all fields or none.
            fields: (!given.is_empty()).then(|| values::merged(&before, given)),
            name: self.name,
            secrets: self.values.secrets(&kind)?,
        };
        let request =
            context.api.update_configuration().id(before.id.to_string()).if_match(tag(before.revision));
        show(context, &request.body(change).send().await?.into_inner())
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let found = context.configuration(&self.name).await?;
        context.sure(&format!("Delete the connector configuration {}?", Visible(&found.name)))?;
        context
            .api
            .delete_configuration()
            .id(found.id.to_string())
            .if_match(tag(found.revision))
            .send()
            .await?;
        context.done(format_args!("Deleted the connector configuration {}.", Visible(&found.name)))
    }
}
