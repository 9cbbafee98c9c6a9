//! `lamina group`

use super::choices::{ROLES, one_of};
use super::layer::nothing_to_change;
use super::user::{changed_members, changed_roles, roles};
use super::{Context, Done, LimitArgs, Run, amounts::time, list, tag};
use crate::printer::page::{STRONG, Styled, Visible};
use clap::{Args, Subcommand};
use client::types::{GroupChange, GroupView, NewGroup, Role};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Create(CreateArgs),
    Edit(EditArgs),
    Delete(DeleteArgs),
}

/// List groups
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// Show a group and its members
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

/// Make a group: its members have its roles beside their own
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina group create packagers --role manage-app-layers --member ada --member grace")]
pub(in crate::cli) struct CreateArgs {
    /// Its name
    #[arg(value_name = "GROUP")]
    group: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What its members may do; may be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    roles: Vec<Role>,
    /// A member; may be repeated
    #[arg(long = "member", value_name = "USER")]
    members: Vec<String>,
}

/// Change a group, its roles or its members
#[derive(Args)]
pub(in crate::cli) struct EditArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Grant this role; may be repeated
    #[arg(long, value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    add_role: Vec<Role>,
    /// Take this role away; may be repeated
    #[arg(long, value_name = "ROLE", value_parser = one_of::<Role>(ROLES))]
    remove_role: Vec<Role>,
    /// Add this member; may be repeated
    #[arg(long, value_name = "USER")]
    add_member: Vec<String>,
    /// Remove this member; may be repeated
    #[arg(long, value_name = "USER")]
    remove_member: Vec<String>,
}

/// Delete a group; its members stay
#[derive(Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Show(args) => show(context, &context.group(&args.group).await?).await,
            Command::Create(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Delete(args) => args.run(context).await,
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let groups = list!(context, self.limit.limit, list_groups, search = self.search.clone())?;
        context.show_list(&groups, "There is no such group.", |groups, page| {
            page.table(
                ["GROUP", "MEMBERS", "ROLES", "DESCRIPTION"],
                &[1],
                groups.iter().map(|group| {
                    [
                        Visible(&group.name).to_string(),
                        group.members.len().to_string(),
                        roles(&group.roles),
                        Visible(&group.description).to_string(),
                    ]
                }),
            )
        })
    }
}

async fn show(context: &Context, group: &GroupView) -> Done {
    // One list of users tells the names of all members.
    let users = match context.json || group.members.is_empty() {
        true => Vec::new(),
        false => list!(context, u32::MAX, list_users)?.0,
    };
    context.show(group, |page| {
        page.line(Styled(STRONG, Visible(&group.name)))?;
        if !group.description.is_empty() {
            page.field("description", Visible(&group.description))?;
        }
        page.field("roles", roles(&group.roles))?;
        for member in &group.members {
            let user = users.iter().find(|user| user.id == *member);
            page.field("member", Visible(user.map_or(member.as_str(), |user| user.name.as_str())))?;
        }
        page.field("made", time(&group.created_at))?;
        page.field("id", &*group.id)
    })
}

impl CreateArgs {
    async fn run(self, context: &Context) -> Done {
        let members = changed_members(&[], &self.members, &[], context).await?.unwrap_or_default();
        let new = NewGroup { description: self.description, members, name: self.group, roles: self.roles };
        let request = context.api.create_group().idempotency_key(client::once());
        show(context, &request.body(new).send().await?.into_inner()).await
    }
}

impl EditArgs {
    async fn run(self, context: &Context) -> Done {
        let group = context.group(&self.group).await?;
        let change = GroupChange {
            description: self.description,
            members: changed_members(&group.members, &self.add_member, &self.remove_member, context).await?,
            name: self.name,
            roles: changed_roles(&group.roles, &self.add_role, &self.remove_role),
        };
        let GroupChange { description: None, members: None, name: None, roles: None } = change else {
            let request = context.api.update_group().id(group.id.to_string()).if_match(tag(group.revision));
            return show(context, &request.body(change).send().await?.into_inner()).await;
        };
        Err(nothing_to_change())
    }
}

impl DeleteArgs {
    async fn run(self, context: &Context) -> Done {
        let group = context.group(&self.group).await?;
        context.sure(&format!("Delete the group {}?", Visible(&group.name)))?;
        context.api.delete_group().id(group.id.to_string()).if_match(tag(group.revision)).send().await?;
        context.done(format_args!("Deleted the group {}.", Visible(&group.name)))
    }
}
