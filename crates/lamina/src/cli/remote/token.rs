//! `lamina token`

use super::amounts::time;
use super::choices::{ROLES, one_of};
use super::trouble::Trouble;
use super::user::roles;
use super::{Context, Done, LimitArgs, Run, input, list};
use crate::printer::page::{Page, Visible};
use clap::{Args, Subcommand};
use client::types::{NewToken, Role, TokenView};
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Create(CreateArgs),
    Delete(DeleteArgs),
}

/// List your API tokens
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    limit: LimitArgs,
}

/// Make an API token for a program; it is shown once
///
/// Asks for your password: with a token alone no other is made, or one that leaks could outlive its end.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina token create 'nightly publishing' --role publish-layered-images --days 30
  lamina token create ci --days 7 --password-stdin < password")]
pub(in crate::cli) struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Days until it ends
    #[arg(long, value_name = "N", default_value_t = 90)]
    days: i32,
    /// Limit it to this role of yours; may be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    roles: Vec<Role>,
    /// Read your password from stdin
    #[arg(long)]
    password_stdin: bool,
}

/// Withdraw an API token
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The token's name or identifier
    #[arg(value_name = "TOKEN")]
    token: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => {
                let tokens = list!(context, args.limit.limit, list_tokens)?;
                context.show_list(&tokens, "You have no API token.", write)
            }
            Command::Create(args) => args.run(context).await,
            Command::Delete(args) => {
                let (tokens, _) = list!(context, u32::MAX, list_tokens)?;
                let token = find(tokens, &args.token).ok_or_else(|| {
                    Trouble::missing("token", &args.token).hint("`lamina token list` shows what there is.")
                })?;
                context.sure(&format!("Withdraw the token {}?", Visible(&token.name)))?;
                context.api.delete_token().id(token.id.to_string()).send().await?;
                context.done(format_args!("Withdrew the token {}.", Visible(&token.name)))
            }
        }
    }
}

/// Tokens as a table.
pub(super) fn write(tokens: &[TokenView], page: &mut Page<'_>) -> io::Result<()> {
    page.table(
        ["NAME", "LIMITED TO", "ENDS", "LAST USED"],
        &[],
        tokens.iter().map(|token| {
            [
                Visible(&token.name).to_string(),
                roles(&token.roles),
                time(&token.expires_at),
                token.used_at.as_ref().map_or_else(|| "-".to_owned(), time),
            ]
        }),
    )
}

/// The token of this name or identifier.
pub(super) fn find(tokens: Vec<TokenView>, wanted: &str) -> Option<TokenView> {
    let name = wanted.to_lowercase();
    tokens.into_iter().find(|token| *token.id == wanted || token.name.to_lowercase() == name)
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let password = match self.password_stdin {
            true => input::next_line("the password")?,
            false => input::secret("Password", "--password-stdin")?,
        };
        let session = context.session(&password).await?;
        let body = NewToken { name: self.name, days: self.days, roles: self.roles };
        let made = session.create_token().idempotency_key(client::once()).body(body).send().await;
        // The session has done what it was for; that it ends by itself is good enough if this fails.
        let _ = session.log_out().send().await;
        let made = made?.into_inner();
        context.show(&made, |page| {
            let token = &made.token;
            page.line(format_args!(
                "Made the token {}; it ends {}.",
                Visible(&token.name),
                time(&token.expires_at)
            ))?;
            match &made.secret {
                Some(secret) => page.line(format_args!("Shown only now: {}", Visible(secret))),
                None => Ok(()),
            }
        })
    }
}
