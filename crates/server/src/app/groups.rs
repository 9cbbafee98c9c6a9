//! Groups: users that have roles together.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::role_grants::GROUP_ROLES;
use super::users::keep_an_administrator;
use super::{App, Begun, Call, Change, Object, Refusal};
use crate::db::{Row, Statement};
use crate::domain::name::Name;
use crate::domain::text::check_description;
use crate::domain::{Action, GroupId, Invalid, Role, Time, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its identifier.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The roles that its members have.
    pub roles: BTreeSet<Role>,
    /// Its members.
    pub members: BTreeSet<UserId>,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// A group to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The roles that its members have.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Its members.
    #[serde(default)]
    pub members: BTreeSet<UserId>,
}

/// What to change of a group; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The roles that its members have, all of them.
    pub roles: Option<BTreeSet<Role>>,
    /// Its members, all of them.
    pub members: Option<BTreeSet<UserId>>,
}

/// Which groups.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GroupFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name` or `created_at`; with `-` in front descending.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, name, name_key, description, created_at, revision FROM groups",
    id: "id",
    sorts: &[
        Sort { name: "name", column: "name_key", number: false },
        Sort { name: "created_at", column: "created_at", number: true },
    ],
    newest_first: false,
};

fn view(row: &Row) -> Result<GroupView, Refusal> {
    Ok(GroupView {
        id: super::id(row, "id")?,
        name: row.text("name")?,
        description: row.text("description")?,
        roles: BTreeSet::new(),
        members: BTreeSet::new(),
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

fn one(id: GroupId) -> Statement<'static> {
    Statement::new("SELECT id, name, description, created_at, revision FROM groups WHERE id = $1")
        .bind(id.to_string())
}

fn members_statement(id: GroupId) -> Statement<'static> {
    Statement::new("SELECT user_id FROM group_members WHERE group_id = $1").bind(id.to_string())
}

fn members_of(rows: &[Row]) -> Result<BTreeSet<UserId>, Refusal> {
    rows.iter().map(|row| super::id(row, "user_id")).collect()
}

impl App {
    /// Lists groups.
    pub async fn groups(&self, call: &Call, filter: &GroupFilter) -> Result<Page<GroupView>, Refusal> {
        call.may(Action::ListGroups)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        let mut groups = asked.answer(self.db.all(statement).await?, view)?;
        for group in &mut groups.items {
            group.roles = GROUP_ROLES.of(&self.db, group.id).await?;
            group.members = members_of(&self.db.all(members_statement(group.id)).await?)?;
        }
        Ok(groups)
    }

    /// One group.
    pub async fn group(&self, call: &Call, id: GroupId) -> Result<GroupView, Refusal> {
        call.may(Action::GetGroup)?;
        let row = self.db.optional(one(id)).await?.ok_or_else(|| Refusal::missing("group", id))?;
        let mut group = view(&row)?;
        group.roles = GROUP_ROLES.of(&self.db, id).await?;
        group.members = members_of(&self.db.all(members_statement(id)).await?)?;
        Ok(group)
    }

    /// Makes a group.
    pub async fn create_group(&self, call: &Call, new: &NewGroup) -> Result<GroupView, Refusal> {
        call.may(Action::CreateGroup)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        let description = invalid.take(check_description("description", &new.description));
        let (Some(name), Some(description)) = (name, description) else {
            return Err(invalid.into());
        };
        let mut change = match self.begin_creating(call, Action::CreateGroup, new).await? {
            Begun::Before(group) => return Ok(group),
            Begun::Now(change) => change,
        };
        refuse_taken(&mut change, &name).await?;
        let group = GroupView {
            id: GroupId::new(),
            name: name.as_str().to_owned(),
            description,
            roles: new.roles.clone(),
            members: new.members.clone(),
            created_at: change.now(),
            revision: 1,
        };
        change
            .execute(
                Statement::new(
                    "INSERT INTO groups (id, name, name_key, description, created_at, revision) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(group.id.to_string())
                .bind(group.name.as_str())
                .bind(name.key())
                .bind(group.description.as_str())
                .bind(group.created_at.millis())
                .bind(group.revision),
            )
            .await?;
        GROUP_ROLES.set(&mut change, group.id, &group.roles).await?;
        set_members(&mut change, group.id, &group.members).await?;
        let id = group.id.to_string();
        let object = Object { kind: "group", id: &id, name: &group.name };
        change.audit(Action::CreateGroup, object, &serde_json::json!({ "after": group })).await?;
        change.remember(&group).await?;
        change.commit().await?;
        Ok(group)
    }

    /// Changes a group.
    pub async fn update_group(
        &self,
        call: &Call,
        id: GroupId,
        revision: Option<i64>,
        wanted: &GroupChange,
    ) -> Result<GroupView, Refusal> {
        call.may(Action::UpdateGroup)?;
        let mut invalid = Invalid::new();
        let name = wanted.name.as_deref().and_then(|name| invalid.take(Name::check("name", name)));
        let description = wanted
            .description
            .as_deref()
            .and_then(|text| invalid.take(check_description("description", text)));
        invalid.finish()?;
        let mut change = self.begin(call).await?;
        let before = look(&mut change, id, revision).await?;
        let mut after = before.clone();
        after.revision += 1;
        if let Some(name) = &name {
            if name.key() != crate::domain::name::key(&before.name) {
                refuse_taken(&mut change, name).await?;
            }
            name.as_str().clone_into(&mut after.name);
        }
        if let Some(description) = description {
            after.description = description;
        }
        if let Some(roles) = &wanted.roles {
            after.roles.clone_from(roles);
            GROUP_ROLES.set(&mut change, id, roles).await?;
        }
        if let Some(members) = &wanted.members {
            after.members.clone_from(members);
            set_members(&mut change, id, members).await?;
        }
        change
            .execute(
                Statement::new(
                    "UPDATE groups SET name = $2, name_key = $3, description = $4, revision = $5 WHERE id = $1",
                )
                .bind(id.to_string())
                .bind(after.name.as_str())
                .bind(crate::domain::name::key(&after.name))
                .bind(after.description.as_str())
                .bind(after.revision),
            )
            .await?;
        keep_an_administrator(&mut change).await?;
        let text = id.to_string();
        let object = Object { kind: "group", id: &text, name: &after.name };
        let detail = serde_json::json!({ "before": before, "after": after });
        change.audit(Action::UpdateGroup, object, &detail).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Removes a group; its members stay.
    pub async fn delete_group(&self, call: &Call, id: GroupId, revision: Option<i64>) -> Result<(), Refusal> {
        call.may(Action::DeleteGroup)?;
        let mut change = self.begin(call).await?;
        let group = look(&mut change, id, revision).await?;
        change.execute(Statement::new("DELETE FROM groups WHERE id = $1").bind(id.to_string())).await?;
        keep_an_administrator(&mut change).await?;
        let text = id.to_string();
        let object = Object { kind: "group", id: &text, name: &group.name };
        change.audit(Action::DeleteGroup, object, &serde_json::json!({ "before": group })).await?;
        change.commit().await
    }
}

async fn look(change: &mut Change<'_>, id: GroupId, revision: Option<i64>) -> Result<GroupView, Refusal> {
    let row = change.optional(one(id)).await?.ok_or_else(|| Refusal::missing("group", id))?;
    let mut group = view(&row)?;
    group.roles = GROUP_ROLES.seen_by(change, id).await?;
    group.members = members_of(&change.all(members_statement(id)).await?)?;
    if revision.is_some_and(|revision| revision != group.revision) {
        return Err(Refusal::stale("group"));
    }
    Ok(group)
}

async fn refuse_taken(change: &mut Change<'_>, name: &Name) -> Result<(), Refusal> {
    let statement = Statement::new("SELECT id FROM groups WHERE name_key = $1").bind(name.key());
    match change.optional(statement).await? {
        None => Ok(()),
        Some(_) => Err(Invalid::field(
            "name",
            "name-taken",
            format!("There is a group {} already; names compare without case.", name.as_str()),
        )
        .into()),
    }
}

async fn set_members(
    change: &mut Change<'_>,
    id: GroupId,
    members: &BTreeSet<UserId>,
) -> Result<(), Refusal> {
    change
        .execute(Statement::new("DELETE FROM group_members WHERE group_id = $1").bind(id.to_string()))
        .await?;
    for member in members {
        let known = Statement::new("SELECT id FROM users WHERE id = $1").bind(member.to_string());
        if change.optional(known).await?.is_none() {
            let message = format!("There is no user {member}.");
            return Err(Invalid::field("members", "user-unknown", message).into());
        }
        let statement = Statement::new("INSERT INTO group_members (group_id, user_id) VALUES ($1, $2)")
            .bind(id.to_string())
            .bind(member.to_string());
        change.execute(statement).await?;
    }
    Ok(())
}
