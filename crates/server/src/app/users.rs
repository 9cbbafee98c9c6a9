//! Users: who can log in, and which roles they have.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::role_grants::USER_ROLES;
use super::throttle::forget_failures;
use super::{App, Begun, Call, Change, Object, Reason, Refusal};
use crate::db::{Db, Row, Statement};
use crate::domain::name::Name;
use crate::domain::text::check_full_name;
use crate::domain::time::{Clock, SystemClock};
use crate::domain::{Action, Invalid, Role, Time, UserId};
use crate::identity::{Passwords, check_strength, one_time_password};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// A user as administrators see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// Its identifier.
    pub id: UserId,
    /// The name to log in with.
    pub name: String,
    /// The person's name.
    pub full_name: String,
    /// Roles granted to the user itself; those of its groups come on top.
    pub roles: BTreeSet<Role>,
    /// Whether it cannot log in.
    pub disabled: bool,
    /// Whether its password is a one-time password.
    pub must_change_password: bool,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// A user to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name to log in with.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// The person's name.
    #[serde(default)]
    pub full_name: String,
    /// The password; without one the server makes a one-time password and shows it once.
    pub password: Option<String>,
    /// Roles.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
}

/// A user that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedUser {
    /// The user.
    pub user: UserView,
    /// The one-time password that the server made, shown only now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_password: Option<String>,
}

/// What to change of a user; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The name to log in with.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// The person's name.
    pub full_name: Option<String>,
    /// Roles, all of them.
    pub roles: Option<BTreeSet<Role>>,
    /// Whether it cannot log in. A user who is disabled loses all sessions.
    pub disabled: Option<bool>,
}

/// A one-time password, shown only now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OneTimePassword {
    /// The password. It has to be changed at the next log-in.
    pub one_time_password: String,
    /// How many API tokens of the user were withdrawn with the old password.
    pub withdrawn_tokens: u64,
}

/// Which users.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UserFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those who are disabled, or are not.
    pub disabled: Option<bool>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name` or `created_at`; with `-` in front descending.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, name, name_key, full_name, must_change, disabled, created_at, revision FROM users",
    id: "id",
    sorts: &[
        Sort { name: "name", column: "name_key", number: false },
        Sort { name: "created_at", column: "created_at", number: true },
    ],
    newest_first: false,
};

fn view(row: &Row, roles: BTreeSet<Role>) -> Result<UserView, Refusal> {
    Ok(UserView {
        id: super::id(row, "id")?,
        name: row.text("name")?,
        full_name: row.text("full_name")?,
        roles,
        disabled: row.boolean("disabled")?,
        must_change_password: row.boolean("must_change")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

fn one(id: UserId) -> Statement<'static> {
    Statement::new(
        "SELECT id, name, full_name, must_change, disabled, created_at, revision FROM users WHERE id = $1",
    )
    .bind(id.to_string())
}

impl App {
    /// Lists users.
    pub async fn users(&self, call: &Call, filter: &UserFilter) -> Result<Page<UserView>, Refusal> {
        call.may(Action::ListUsers)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        if let Some(disabled) = filter.disabled {
            conditions.add("disabled = ?", disabled);
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        let mut users = asked.answer(self.db.all(statement).await?, |row| view(row, BTreeSet::new()))?;
        for user in &mut users.items {
            user.roles = USER_ROLES.of(&self.db, user.id).await?;
        }
        Ok(users)
    }

    /// One user.
    pub async fn user(&self, call: &Call, id: UserId) -> Result<UserView, Refusal> {
        call.may(Action::GetUser)?;
        let row = self.db.optional(one(id)).await?.ok_or_else(|| Refusal::missing("user", id))?;
        view(&row, USER_ROLES.of(&self.db, id).await?)
    }

    /// Makes a user.
    pub async fn create_user(&self, call: &Call, new: &NewUser) -> Result<CreatedUser, Refusal> {
        call.may(Action::CreateUser)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        let full_name = invalid.take(check_full_name("full_name", &new.full_name));
        if let Some(password) = &new.password {
            invalid.take(check_strength("password", password, &new.name));
        }
        let (Some(name), Some(full_name)) = (name, full_name) else {
            return Err(invalid.into());
        };
        invalid.finish()?;

        let made = new.password.is_none().then(one_time_password);
        let password = made.as_deref().or(new.password.as_deref()).unwrap_or_default();
        // Hashed before the change begins: others wait for it.
        let hash = self.passwords.hash(password).await?;
        let mut change = match self.begin_creating(call, Action::CreateUser, new).await? {
            Begun::Before(created) => return Ok(created),
            Begun::Now(change) => change,
        };
        let user = insert(&mut change, &name, &full_name, hash, made.is_some(), &new.roles).await?;
        change
            .audit(
                Action::CreateUser,
                Object { kind: "user", id: &user.id.to_string(), name: &user.name },
                &serde_json::json!({ "roles": user.roles }),
            )
            .await?;
        // The password is not kept for a repeated call: it is shown once.
        change.remember(&CreatedUser { user: user.clone(), one_time_password: None }).await?;
        change.commit().await?;
        Ok(CreatedUser { user, one_time_password: made })
    }

    /// Changes a user.
    pub async fn update_user(
        &self,
        call: &Call,
        id: UserId,
        revision: Option<i64>,
        wanted: &UserChange,
    ) -> Result<UserView, Refusal> {
        call.may(Action::UpdateUser)?;
        let mut invalid = Invalid::new();
        let name = wanted.name.as_deref().and_then(|name| invalid.take(Name::check("name", name)));
        let full_name =
            wanted.full_name.as_deref().and_then(|name| invalid.take(check_full_name("full_name", name)));
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
        if let Some(full_name) = full_name {
            after.full_name = full_name;
        }
        if let Some(disabled) = wanted.disabled {
            after.disabled = disabled;
        }
        if let Some(roles) = &wanted.roles {
            after.roles.clone_from(roles);
            USER_ROLES.set(&mut change, id, roles).await?;
        }
        change
            .execute(
                Statement::new(
                    "UPDATE users SET name = $2, name_key = $3, full_name = $4, disabled = $5, revision = $6 \
                     WHERE id = $1",
                )
                .bind(id.to_string())
                .bind(after.name.as_str())
                .bind(crate::domain::name::key(&after.name))
                .bind(after.full_name.as_str())
                .bind(after.disabled)
                .bind(after.revision),
            )
            .await?;
        if after.disabled {
            end_sessions(&mut change, id).await?;
        }
        keep_an_administrator(&mut change).await?;
        change
            .audit(
                Action::UpdateUser,
                Object { kind: "user", id: &id.to_string(), name: &after.name },
                &serde_json::json!({ "before": before, "after": after }),
            )
            .await?;
        change.commit().await?;
        Ok(after)
    }

    /// Removes a user, with its sessions and tokens. What it did stays in the audit history.
    pub async fn delete_user(&self, call: &Call, id: UserId, revision: Option<i64>) -> Result<(), Refusal> {
        call.may(Action::DeleteUser)?;
        let mut change = self.begin(call).await?;
        let user = look(&mut change, id, revision).await?;
        change.execute(Statement::new("DELETE FROM users WHERE id = $1").bind(id.to_string())).await?;
        keep_an_administrator(&mut change).await?;
        change
            .audit(
                Action::DeleteUser,
                Object { kind: "user", id: &id.to_string(), name: &user.name },
                &serde_json::json!({ "before": user }),
            )
            .await?;
        change.commit().await
    }

    /// Gives a user a one-time password, ends its sessions and withdraws its API tokens.
    pub async fn reset_password(&self, call: &Call, id: UserId) -> Result<OneTimePassword, Refusal> {
        call.may(Action::ResetPassword)?;
        let password = one_time_password();
        let hash = self.passwords.hash(&password).await?;
        let mut change = self.begin(call).await?;
        let user = look(&mut change, id, None).await?;
        let withdrawn_tokens = give_password(&mut change, &user, hash, user.disabled).await?;
        change.commit().await?;
        Ok(OneTimePassword { one_time_password: password, withdrawn_tokens })
    }

    /// The name of a user.
    pub(super) async fn name_of(&self, id: UserId) -> Result<String, Refusal> {
        let row = self.db.optional(one(id)).await?.ok_or_else(|| Refusal::missing("user", id))?;
        Ok(row.text("name")?)
    }

    /// Makes the first administrator where there is no user at all; gives its one-time password then.
    pub async fn first_administrator(&self) -> Result<Option<String>, Refusal> {
        let password = one_time_password();
        let hash = self.passwords.hash(&password).await?;
        let call = Call::of_server("first start");
        let mut change = self.begin(&call).await?;
        if change.optional(Statement::new("SELECT id FROM users LIMIT 1")).await?.is_some() {
            return Ok(None);
        }
        let name = Name::check("name", "admin")?;
        let roles = BTreeSet::from([Role::Administrator]);
        let user = insert(&mut change, &name, "Administrator", hash, true, &roles).await?;
        change
            .audit(
                Action::CreateUser,
                Object { kind: "user", id: &user.id.to_string(), name: &user.name },
                &serde_json::json!({ "roles": user.roles }),
            )
            .await?;
        change.commit().await?;
        Ok(Some(password))
    }
}

/// Gives the user of this name a one-time password and lets it in, where no server works with the database that could
/// be asked to.
pub(crate) async fn reset_without_a_server(
    db: &Db,
    passwords: &Passwords,
    name: &str,
) -> Result<String, Refusal> {
    let password = one_time_password();
    let hash = passwords.hash(&password).await?;
    let mut call = Call::of_server("");
    "lamina reset-password".clone_into(&mut call.actor.name);
    let mut change = Change::begin(db, SystemClock.now(), &call).await?;
    let statement =
        Statement::new("SELECT id FROM users WHERE name_key = $1").bind(crate::domain::name::key(name));
    let row = change.optional(statement).await?.ok_or_else(|| Refusal::missing("user", name))?;
    let user = look(&mut change, super::id(&row, "id")?, None).await?;
    give_password(&mut change, &user, hash, false).await?;
    change.commit().await?;
    Ok(password)
}

/// Gives a user a one-time password, ends its sessions and withdraws its API tokens: who had the old password may have
/// made some. Gives the number of those.
async fn give_password(
    change: &mut Change<'_>,
    user: &UserView,
    hash: String,
    disabled: bool,
) -> Result<u64, Refusal> {
    let id = user.id.to_string();
    let statement = Statement::new(
        "UPDATE users SET password_hash = $2, must_change = $3, disabled = $4, revision = revision + 1 \
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(hash)
    .bind(true)
    .bind(disabled);
    change.execute(statement).await?;
    end_sessions(change, user.id).await?;
    forget_failures(change, &user.name).await?;
    let tokens = Statement::new("DELETE FROM tokens WHERE user_id = $1").bind(id.as_str());
    let withdrawn = change.execute(tokens).await?;
    let detail = serde_json::json!({ "enabled": user.disabled && !disabled, "withdrawn_tokens": withdrawn });
    change.audit(Action::ResetPassword, Object { kind: "user", id: &id, name: &user.name }, &detail).await?;
    Ok(withdrawn)
}

async fn insert(
    change: &mut Change<'_>,
    name: &Name,
    full_name: &str,
    hash: String,
    must_change: bool,
    roles: &BTreeSet<Role>,
) -> Result<UserView, Refusal> {
    refuse_taken(change, name).await?;
    let user = UserView {
        id: UserId::new(),
        name: name.as_str().to_owned(),
        full_name: full_name.to_owned(),
        roles: roles.clone(),
        disabled: false,
        must_change_password: must_change,
        created_at: change.now(),
        revision: 1,
    };
    change
        .execute(
            Statement::new(
                "INSERT INTO users (id, name, name_key, full_name, password_hash, must_change, disabled, \
                 created_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(user.id.to_string())
            .bind(user.name.as_str())
            .bind(name.key())
            .bind(user.full_name.as_str())
            .bind(hash)
            .bind(must_change)
            .bind(false)
            .bind(user.created_at.millis())
            .bind(user.revision),
        )
        .await?;
    USER_ROLES.set(change, user.id, roles).await?;
    Ok(user)
}

async fn refuse_taken(change: &mut Change<'_>, name: &Name) -> Result<(), Refusal> {
    let statement = Statement::new("SELECT id FROM users WHERE name_key = $1").bind(name.key());
    match change.optional(statement).await? {
        None => Ok(()),
        Some(_) => Err(Invalid::field(
            "name",
            "name-taken",
            format!("There is a user {} already; names compare without case.", name.as_str()),
        )
        .into()),
    }
}

/// The user inside a change, refused when it is not the one that the caller looked at.
async fn look(change: &mut Change<'_>, id: UserId, revision: Option<i64>) -> Result<UserView, Refusal> {
    let row = change.optional(one(id)).await?.ok_or_else(|| Refusal::missing("user", id))?;
    let roles = USER_ROLES.seen_by(change, id).await?;
    let user = view(&row, roles)?;
    if revision.is_some_and(|revision| revision != user.revision) {
        return Err(Refusal::stale("user"));
    }
    Ok(user)
}

pub(super) async fn end_sessions(change: &mut Change<'_>, id: UserId) -> Result<(), Refusal> {
    change.execute(Statement::new("DELETE FROM sessions WHERE user_id = $1").bind(id.to_string())).await?;
    Ok(())
}

/// Refuses a change after which nobody could administer the server.
pub(super) async fn keep_an_administrator(change: &mut Change<'_>) -> Result<(), Refusal> {
    let statement = Statement::new(
        "SELECT id FROM users WHERE NOT disabled AND (\
           id IN (SELECT user_id FROM user_roles WHERE role = $1) OR \
           id IN (SELECT m.user_id FROM group_members m JOIN group_roles r ON r.group_id = m.group_id \
                  WHERE r.role = $1)) LIMIT 1",
    )
    .bind(Role::Administrator.as_str());
    match change.optional(statement).await? {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            Reason::Conflict,
            "last-administrator",
            "After this nobody could administer the server.",
        )
        .hint("Make another user an administrator first.")),
    }
}
