//! `lamina user sessions`, `end-session`, `tokens` and `withdraw-token`: what users come in with.

use super::amounts::time;
use super::token;
use super::trouble::Trouble;
use super::{Context, Done, LimitArgs, list};
use crate::printer::page::Visible;
use clap::Args;

/// List your own sessions, or as an administrator those of a user
#[derive(Args)]
pub(in crate::cli) struct SessionsArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// End a session of your own, or as an administrator one of a user
#[derive(Args)]
pub(in crate::cli) struct EndSessionArgs {
    /// The user whose session it is
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The session's identifier
    #[arg(value_name = "SESSION")]
    session: String,
}

/// List the API tokens of a user
#[derive(Args)]
pub(in crate::cli) struct TokensArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Withdraw an API token of a user
#[derive(Args)]
pub(in crate::cli) struct WithdrawTokenArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    /// The token's name or identifier
    #[arg(value_name = "TOKEN")]
    token: String,
}

impl SessionsArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let (sessions, none) = match &self.user {
            Some(user) => {
                let id = context.user(user).await?.id.to_string();
                let sessions = list!(context, self.limit.limit, list_user_sessions(id = id.as_str()))?;
                (sessions, "The user has no session.")
            }
            None => {
                let sessions = list!(context, self.limit.limit, list_sessions)?;
                (sessions, "You have no session; what you use here is a token.")
            }
        };
        context.show_list(&sessions, none, |sessions, page| {
            page.table(
                ["BEGUN", "LAST USED", "FROM", "SESSION"],
                &[],
                sessions.iter().map(|session| {
                    [
                        time(&session.created_at),
                        time(&session.seen_at),
                        Visible(&session.address).to_string(),
                        session.id.to_string(),
                    ]
                }),
            )
        })
    }
}

impl EndSessionArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        match &self.user {
            Some(user) => {
                let user = context.user(user).await?;
                context.sure(&format!("End this session of {}?", Visible(&user.name)))?;
                let request = context.api.end_user_session().id(user.id.to_string());
                request.session(self.session).send().await?;
            }
            None => {
                context.sure("End this session?")?;
                context.api.end_session().id(self.session).send().await?;
            }
        }
        context.done("Ended the session.")
    }
}

impl TokensArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let id = context.user(&self.user).await?.id.to_string();
        let tokens = list!(context, self.limit.limit, list_user_tokens(id = id.as_str()))?;
        context.show_list(&tokens, "The user has no API token.", token::write)
    }
}

impl WithdrawTokenArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let user = context.user(&self.user).await?;
        let id = user.id.to_string();
        let (tokens, _) = list!(context, u32::MAX, list_user_tokens(id = id.as_str()))?;
        let token = token::find(tokens, &self.token).ok_or_else(|| {
            Trouble::missing("token", &self.token)
                .hint(format!("`lamina user tokens {}` shows what there is.", Visible(&user.name)))
        })?;
        let named = format!("the token {} of {}", Visible(&token.name), Visible(&user.name));
        context.sure(&format!("Withdraw {named}?"))?;
        context.api.delete_user_token().id(id).token(token.id.to_string()).send().await?;
        context.done(format_args!("Withdrew {named}."))
    }
}
