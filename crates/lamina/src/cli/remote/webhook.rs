//! `lamina webhook`

use super::amounts::time;
use super::choices::{TASK_EVENTS, one_of};
use super::trouble::Trouble;
use super::{Context, Done, Run, input, tag};
use crate::printer::page::{Page, Visible};
use clap::{Args, Subcommand};
use client::types::{TaskEvent, WebhookChange, WebhookView};
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Show(ShowArgs),
    Set(SetArgs),
    Test(TestArgs),
    Delete(DeleteArgs),
}

/// Show the webhook, and how telling goes
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {}

/// Set the webhook: where the server posts what happens to tasks
///
/// What is posted is signed with the secret: X-Lamina-Signature is t=SECONDS,v1=HEX, the HMAC-SHA256 of SECONDS.BODY.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina webhook set https://chat.example.com/hooks/lamina --event failed --secret-stdin < secret
  lamina webhook set http://192.168.1.20:9000/lamina --allow-private --event done --event failed")]
pub(in crate::cli) struct SetArgs {
    /// Where to
    #[arg(value_name = "URL")]
    url: String,
    /// What is told; may be repeated
    #[arg(long = "event", value_name = "EVENT", required = true, value_parser = one_of::<TaskEvent>(TASK_EVENTS))]
    events: Vec<TaskEvent>,
    /// It may lead to private networks and to the server's own machine
    #[arg(long)]
    allow_private: bool,
    /// Read the secret from stdin; without this a webhook that is there keeps its own, and a new one is asked for
    #[arg(long)]
    secret_stdin: bool,
}

/// Post something to the webhook now
#[derive(Args)]
pub(in crate::cli) struct TestArgs {}

/// Take the webhook away, with what was still to be told
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Show(ShowArgs {}) => {
                let webhook = context.api.get_webhook().send().await?.into_inner();
                context.show(&webhook, |page| write(&webhook, page))
            }
            Command::Set(args) => args.run(context).await,
            Command::Test(TestArgs {}) => test(context).await,
            Command::Delete(DeleteArgs {}) => {
                let webhook = context.api.get_webhook().send().await?.into_inner();
                context.sure(&format!("Take away the webhook to {}?", Visible(&webhook.url)))?;
                context.api.delete_webhook().if_match(tag(webhook.revision)).send().await?;
                context.done(format_args!("Took away the webhook to {}.", Visible(&webhook.url)))
            }
        }
    }
}

fn write(webhook: &WebhookView, page: &mut Page<'_>) -> io::Result<()> {
    let events: Vec<String> = webhook.events.iter().map(ToString::to_string).collect();
    page.field("posts to", Visible(&webhook.url))?;
    page.field("events", events.join(", "))?;
    page.field("private", if webhook.allow_private { "allowed" } else { "refused" })?;
    page.field("last told", webhook.told_at.as_ref().map_or_else(|| "-".to_owned(), time))?;
    page.field("waiting", webhook.waiting)?;
    page.field("given up", webhook.given_up)?;
    match (&webhook.failure, &webhook.failed_at) {
        (Some(failure), Some(at)) => page.field("failed", format_args!("{}: {}", time(at), Visible(failure))),
        _ => Ok(()),
    }
}

impl SetArgs {
    async fn run(self, context: &Context) -> Done {
        let before = match context.api.get_webhook().send().await {
            Ok(webhook) => Some(webhook.into_inner()),
            Err(error) => match Trouble::from(error) {
                trouble if trouble.failure.code == "webhook-missing" => None,
                trouble => return Err(trouble),
            },
        };
        let secret = match (self.secret_stdin, &before) {
            (true, _) => Some(input::next_line("the secret")?),
            (false, Some(_)) => None,
            (false, None) => Some(input::new_secret("Secret", "--secret-stdin")?),
        };
        let body = WebhookChange {
            allow_private: Some(self.allow_private),
            events: self.events,
            secret,
            url: self.url,
        };
        // Of a first one nothing was looked at that another person could have changed.
        let known = before.map_or_else(|| "*".to_owned(), |webhook| tag(webhook.revision));
        let webhook = context.api.set_webhook().if_match(known).body(body).send().await?.into_inner();
        context.show(&webhook, |page| write(&webhook, page))
    }
}

async fn test(context: &Context) -> Done {
    let came = context.api.test_webhook().send().await?.into_inner();
    context.show(&came, |page| match came.told {
        true => page.line("It was taken."),
        false => Ok(()),
    })?;
    match came.failure {
        Some(failure) if !came.told => {
            let mut trouble = Trouble::here("webhook-not-taken", failure)
                .hint("`lamina webhook show` says where it leads to.");
            trouble.shown = true;
            Err(trouble)
        }
        _ => Ok(()),
    }
}
