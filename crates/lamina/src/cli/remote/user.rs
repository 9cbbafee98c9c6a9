//! `lamina user`

use super::choices::{ROLES, one_of};
use super::layer::nothing_to_change;
use super::trouble::Trouble;
use super::{Context, Done, LimitArgs, Run, access, amounts::time, input, list, tag};
use crate::printer::amount::Of;
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{NewUser, PasswordChange, Role, UserChange, UserView};
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Show(NameArgs),
    Create(CreateArgs),
    Edit(EditArgs),
    ResetPassword(ResetPasswordArgs),
    ChangePassword(ChangePasswordArgs),
    Sessions(access::SessionsArgs),
    EndSession(access::EndSessionArgs),
    Tokens(access::TokensArgs),
    WithdrawToken(access::WithdrawTokenArgs),
    Delete(DeleteArgs),
}

/// List users
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show a user
#[derive(Args)]
pub(in crate::cli) struct NameArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
}

/// Make a user; without --password-stdin the server makes a one-time password and shows it once
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina user create ada --full-name 'Ada Lovelace' --role manage-app-layers
  lamina user edit ada --add-role publish-layered-images")]
pub(in crate::cli) struct CreateArgs {
    /// The name to log in with
    #[arg(value_name = "USER")]
    user: String,
    /// The person's name
    #[arg(long, value_name = "NAME")]
    full_name: Option<String>,
    /// What the user may do; may be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    roles: Vec<Role>,
    /// Read the user's password from stdin
    #[arg(long)]
    password_stdin: bool,
}

/// Change a user
#[derive(Args)]
pub(in crate::cli) struct EditArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    /// The new name to log in with
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The person's name
    #[arg(long, value_name = "NAME")]
    full_name: Option<String>,
    /// Grant this role; may be repeated
    #[arg(long, value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    add_role: Vec<Role>,
    /// Take this role away; may be repeated
    #[arg(long, value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    remove_role: Vec<Role>,
    /// Lock the user out
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let the user in again
    #[arg(long)]
    enable: bool,
}

/// Give a user a one-time password, which is shown once
///
/// The user's sessions end, and its API tokens are withdrawn.
#[derive(Args)]
pub(in crate::cli) struct ResetPasswordArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
}

/// Change your own password; your other sessions end
#[derive(Args)]
pub(in crate::cli) struct ChangePasswordArgs {
    /// Read the present password from the first line of stdin and the new one from the second
    #[arg(long)]
    password_stdin: bool,
}

/// Delete a user
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Show(args) => show(context, &context.user(&args.user).await?),
            Command::Create(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::ResetPassword(args) => args.run(context).await,
            Command::ChangePassword(args) => args.run(context).await,
            Command::Sessions(args) => args.run(context).await,
            Command::EndSession(args) => args.run(context).await,
            Command::Tokens(args) => args.run(context).await,
            Command::WithdrawToken(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

/// Roles in one cell.
pub(super) fn roles(roles: &[Role]) -> String {
    match roles {
        [] => "-".to_owned(),
        roles => roles.iter().map(Role::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Roles after some were granted and taken away; nothing when none was.
pub(super) fn changed_roles(before: &[Role], added: &[Role], removed: &[Role]) -> Option<Vec<Role>> {
    if added.is_empty() && removed.is_empty() {
        return None;
    }
    let mut roles: Vec<Role> = before.iter().chain(added).copied().collect();
    roles.retain(|role| !removed.contains(role));
    roles.sort_unstable();
    roles.dedup();
    Some(roles)
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let users = list!(context, self.limit.limit, list_users, search = self.search.clone())?;
        context.show_list(&users, "There is no such user.", |users, page| {
            page.table(
                ["USER", "NAME", "ROLES", "STATE"],
                &[],
                users.iter().map(|user| {
                    [
                        Visible(&user.name).to_string(),
                        Visible(&user.full_name).to_string(),
                        roles(&user.roles),
                        state(user).to_owned(),
                    ]
                }),
            )
        })
    }
}

fn state(user: &UserView) -> &'static str {
    match (user.disabled, user.must_change_password) {
        (true, _) => "disabled",
        (false, true) => "one-time password",
        (false, false) => "active",
    }
}

fn write(user: &UserView, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, Visible(&user.name)))?;
    if !user.full_name.is_empty() {
        page.field("name", Visible(&user.full_name))?;
    }
    page.field("roles", roles(&user.roles))?;
    page.field("state", state(user))?;
    page.field("made", time(&user.created_at))?;
    page.field("id", &*user.id)
}

fn show(context: &Context, user: &UserView) -> Done {
    context.show(user, |page| write(user, page))
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let password = match self.password_stdin {
            true => Some(input::next_line("the password")?),
            false => None,
        };
        let new = NewUser { full_name: self.full_name, name: self.user, password, roles: self.roles };
        let request = context.api.create_user().idempotency_key(client::once());
        let made = request.body(new).send().await?.into_inner();
        context.show(&made, |page| {
            write(&made.user, page)?;
            match &made.one_time_password {
                Some(password) => page.line(format_args!("\nOne-time password, shown only now: {password}")),
                None => Ok(()),
            }
        })
    }
}

impl EditArgs {
    async fn run(self, context: &Context) -> Done {
        let user = context.user(&self.user).await?;
        let change = UserChange {
            disabled: (self.disable || self.enable).then_some(self.disable),
            full_name: self.full_name,
            name: self.name,
            roles: changed_roles(&user.roles, &self.add_role, &self.remove_role),
        };
        let UserChange { disabled: None, full_name: None, name: None, roles: None } = change else {
            let request = context.api.update_user().id(user.id.to_string()).if_match(tag(user.revision));
            return show(context, &request.body(change).send().await?.into_inner());
        };
        Err(nothing_to_change())
    }
}

impl ResetPasswordArgs {
    async fn run(self, context: &Context) -> Done {
        let user = context.user(&self.user).await?;
        let name = Visible(&user.name);
        context.sure(&format!("Give {name} a one-time password, and end their sessions and tokens?"))?;
        let made = context.api.reset_password().id(user.id.to_string()).send().await?.into_inner();
        context.show(&made, |page| {
            page.line(format_args!("One-time password, shown only now: {}", made.one_time_password))?;
            match made.withdrawn_tokens {
                0 => Ok(()),
                tokens => page.line(format_args!("Withdrew {}.", Of(tokens.unsigned_abs(), "API token"))),
            }
        })
    }
}

impl ChangePasswordArgs {
    async fn run(self, context: &Context) -> Done {
        let (current, new) = match self.password_stdin {
            true => (input::next_line("the password")?, input::next_line("the new password")?),
            false => (
                input::secret("Password", "--password-stdin")?,
                input::new_secret("New password", "--password-stdin")?,
            ),
        };
        let session = context.session(&current).await?;
        session.change_password().body(PasswordChange { current, new }).send().await?;
        // The session has done what it was for; that it ends by itself is good enough if this fails.
        let _ = session.log_out().send().await;
        context.done("Changed your password.")
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let user = context.user(&self.user).await?;
        context.sure(&format!("Delete the user {}?", Visible(&user.name)))?;
        context.api.delete_user().id(user.id.to_string()).if_match(tag(user.revision)).send().await?;
        context.done(format_args!("Deleted the user {}.", Visible(&user.name)))
    }
}

/// Members of a group after some were added and removed; nothing when none was.
pub(super) async fn changed_members(
    before: &[client::types::UserId],
    added: &[String],
    removed: &[String],
    context: &Context,
) -> Result<Option<Vec<client::types::UserId>>, Trouble> {
    if added.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    let mut members = before.to_vec();
    for name in added {
        let user = context.user(name).await?.id;
        if !members.contains(&user) {
            members.push(user);
        }
    }
    for name in removed {
        let user = context.user(name).await?.id;
        members.retain(|member| *member != user);
    }
    Ok(Some(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_granted_and_taken_away_one_by_one() {
        let before = [Role::ManageAppLayers, Role::ReadOnly];
        assert_eq!(changed_roles(&before, &[], &[]), None);
        let after = changed_roles(&before, &[Role::Administrator, Role::ReadOnly], &[Role::ManageAppLayers]);
        assert_eq!(after.unwrap(), [Role::Administrator, Role::ReadOnly]);
        assert_eq!(changed_roles(&before, &[], &before), Some(Vec::new()));
    }
}
