//! Logging in and out, one's own password, and sessions.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::role_grants::roles_of;
use super::throttle::Subject;
use super::users::end_sessions;
use super::{Actor, App, Call, Object, Proof, Reason, Refusal};
use crate::db::{Row, Statement};
use crate::domain::{Action, Invalid, Role, Roles, SessionId, Time, UserId};
use crate::identity::{Secret, check_strength};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// How somebody logs in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// Who one is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The user.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// What one may do, through one's own roles and those of one's groups; limited by the token, if one came with one.
    pub roles: BTreeSet<Role>,
    /// One has to set a password of one's own first.
    pub must_change_password: bool,
}

/// A password to be changed by its owner.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    pub current: String,
    /// The password from now on.
    pub new: String,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its identifier, which is no secret.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// The network address from which it was begun.
    pub address: String,
    /// When it was begun.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub seen_at: Time,
}

/// Which sessions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only those that were begun from this network address.
    pub address: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `created_at` or `seen_at`; with `-` in front the latest comes first, which is usual.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, secret_digest, address, created_at, seen_at FROM sessions",
    id: "id",
    sorts: &[
        Sort { name: "created_at", column: "created_at", number: true },
        Sort { name: "seen_at", column: "seen_at", number: true },
    ],
    newest_first: true,
};

/// How often a session's last use is written down, in seconds.
const SEEN_EVERY: i64 = 60;

impl App {
    /// Logs in and gives the session's secret, which only the caller ever has.
    pub async fn log_in(&self, address: &str, credentials: &Credentials) -> Result<(Secret, Me), Refusal> {
        let key = crate::domain::name::key(&credentials.name);
        let tried = self.begin_try(Subject::of_log_in(&key, address)).await?;
        let statement = Statement::new(
            "SELECT id, name, password_hash, must_change, disabled FROM users WHERE name_key = $1",
        )
        .bind(key);
        let row = self.db.optional(statement).await?;
        let hash = match &row {
            Some(row) if !row.boolean("disabled")? => Some(row.text("password_hash")?),
            _ => None,
        };
        let known = self.passwords.verify(&credentials.password, hash).await?;
        let Some(row) = row.as_ref().filter(|_| known) else {
            let user = row.map(|row| Ok::<_, Refusal>((row.text("id")?, row.text("name")?))).transpose()?;
            let user = user.as_ref().map(|(id, name)| (id.as_str(), name.as_str()));
            self.log_in_failed(&tried, address, user).await?;
            tracing::info!(address, "a log-in failed");
            // The same words for an unknown name, a wrong password and a disabled user: names are not to be found out.
            return Err(Refusal::new(
                Reason::Unauthenticated,
                "log-in-failed",
                "The name or the password is wrong.",
            )
            .hint("Check both; an administrator can give you a one-time password."));
        };
        self.try_succeeded(&tried).await?;
        let actor = self.actor(row, Proof::Session, None).await?;
        let secret = Secret::new("");
        let now = self.clock.now();
        let call = Call { actor, address: address.to_owned(), ..Call::of_server("") };
        let mut change = self.begin(&call).await?;
        let user = row.text("id")?;
        let statement = Statement::new(
            "INSERT INTO sessions (secret_digest, user_id, address, created_at, seen_at, id) \
             VALUES ($1, $2, $3, $4, $4, $5)",
        )
        .bind(secret.digest())
        .bind(user.as_str())
        .bind(address)
        .bind(now.millis())
        .bind(SessionId::new().to_string());
        change.execute(statement).await?;
        let object = Object { kind: "user", id: &user, name: &call.actor.name };
        change.audit(Action::LogIn, object, &serde_json::json!({})).await?;
        change.commit().await?;
        Ok((secret, me(&call.actor)?))
    }

    /// Who has the session with this secret.
    pub async fn by_session(&self, secret: &Secret) -> Result<Option<(Actor, String)>, Refusal> {
        let digest = secret.digest();
        let statement = Statement::new(
            "SELECT u.id, u.name, u.must_change, u.disabled, s.seen_at FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.secret_digest = $1",
        )
        .bind(digest.as_str());
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let seen = Time::from_millis(row.integer("seen_at")?);
        let timeout = self.settings().await?.session_timeout_minutes;
        if row.boolean("disabled")? || now >= seen.after_seconds(timeout * 60) {
            self.db
                .execute(Statement::new("DELETE FROM sessions WHERE secret_digest = $1").bind(digest))
                .await?;
            return Ok(None);
        }
        if now.seconds_since(seen) >= SEEN_EVERY {
            let statement = Statement::new("UPDATE sessions SET seen_at = $2 WHERE secret_digest = $1")
                .bind(digest.as_str())
                .bind(now.millis());
            self.db.execute(statement).await?;
        }
        Ok(Some((self.actor(&row, Proof::Session, None).await?, digest)))
    }

    /// Who is in `row` (`id`, `name`, `must_change`), with their roles, limited to `limit` where there is one.
    pub(super) async fn actor(
        &self,
        row: &Row,
        proof: Proof,
        limit: Option<&[Role]>,
    ) -> Result<Actor, Refusal> {
        let user: UserId = super::id(row, "id")?;
        let statement = Statement::new(
            "SELECT role FROM user_roles WHERE user_id = $1 UNION \
             SELECT r.role FROM group_roles r JOIN group_members m ON m.group_id = r.group_id WHERE m.user_id = $1",
        )
        .bind(user.to_string());
        let roles = Roles::from_iter(roles_of(&self.db.all(statement).await?)?);
        let roles = limit.map_or_else(|| roles.clone(), |limit| roles.limited_to(limit));
        let must_change_password = row.boolean("must_change")?;
        Ok(Actor { user: Some(user), name: row.text("name")?, roles, proof, must_change_password })
    }

    /// Who asks.
    pub fn me(&self, call: &Call) -> Result<Me, Refusal> {
        call.may(Action::Me)?;
        me(&call.actor)
    }

    /// Ends the session that asks.
    pub async fn log_out(&self, call: &Call) -> Result<(), Refusal> {
        call.may(Action::LogOut)?;
        let Some(session) = &call.session else {
            return Err(Refusal::new(
                Reason::Conflict,
                "no-session",
                "You came with an API token, which has no session to end.",
            )
            .hint("Withdraw the token if it is no longer needed."));
        };
        let mut change = self.begin(call).await?;
        change
            .execute(Statement::new("DELETE FROM sessions WHERE secret_digest = $1").bind(session.as_str()))
            .await?;
        let user = call.user()?.to_string();
        let object = Object { kind: "user", id: &user, name: &call.actor.name };
        change.audit(Action::LogOut, object, &serde_json::json!({})).await?;
        change.commit().await
    }

    /// Sets one's own password; every other session ends.
    pub async fn change_password(&self, call: &Call, wanted: &PasswordChange) -> Result<(), Refusal> {
        call.may(Action::ChangePassword)?;
        let user = call.user()?.to_string();
        if call.actor.proof != Proof::Session {
            return Err(Refusal::new(
                Reason::Forbidden,
                "session-required",
                "A password is changed in a session, not with an API token.",
            )
            .hint("Log in first."));
        }
        check_strength("new", &wanted.new, &call.actor.name)?;
        let tried = self.begin_try(Subject::of_password(call.user()?, &call.actor.name)).await?;
        let row = self
            .db
            .optional(Statement::new("SELECT password_hash FROM users WHERE id = $1").bind(user.as_str()))
            .await?;
        let hash = row.map(|row| row.text("password_hash")).transpose()?;
        if !self.passwords.verify(&wanted.current, hash).await? {
            return Err(Invalid::field("current", "password-wrong", "This is not your password.").into());
        }
        if wanted.current == wanted.new {
            return Err(Invalid::field("new", "password-same", "The new password is the old one.").into());
        }
        self.try_succeeded(&tried).await?;
        let hash = self.passwords.hash(&wanted.new).await?;
        let mut change = self.begin(call).await?;
        change
            .execute(
                Statement::new(
                    "UPDATE users SET password_hash = $2, must_change = $3, revision = revision + 1 WHERE id = $1",
                )
                .bind(user.as_str())
                .bind(hash)
                .bind(false),
            )
            .await?;
        match &call.session {
            Some(session) => {
                let others =
                    Statement::new("DELETE FROM sessions WHERE user_id = $1 AND secret_digest <> $2")
                        .bind(user.as_str())
                        .bind(session.as_str());
                change.execute(others).await?;
            }
            None => end_sessions(&mut change, call.user()?).await?,
        }
        let object = Object { kind: "user", id: &user, name: &call.actor.name };
        change.audit(Action::ChangePassword, object, &serde_json::json!({})).await?;
        change.commit().await
    }

    /// One's own sessions.
    pub async fn sessions(&self, call: &Call, filter: &SessionFilter) -> Result<Page<SessionView>, Refusal> {
        call.may(Action::ListSessions)?;
        self.sessions_of(call, call.user()?, filter).await
    }

    /// The sessions of a user.
    pub async fn user_sessions(
        &self,
        call: &Call,
        user: UserId,
        filter: &SessionFilter,
    ) -> Result<Page<SessionView>, Refusal> {
        call.may(Action::ListUserSessions)?;
        self.name_of(user).await?;
        self.sessions_of(call, user, filter).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        user: UserId,
        filter: &SessionFilter,
    ) -> Result<Page<SessionView>, Refusal> {
        let mut conditions = Conditions::new();
        conditions.add("user_id = ?", user.to_string());
        if let Some(address) = &filter.address {
            conditions.add("address = ?", address.as_str());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, |row| {
            Ok(SessionView {
                id: super::id(row, "id")?,
                current: call.session.as_deref() == Some(row.text("secret_digest")?.as_str()),
                address: row.text("address")?,
                created_at: Time::from_millis(row.integer("created_at")?),
                seen_at: Time::from_millis(row.integer("seen_at")?),
            })
        })
    }

    /// Ends one of one's sessions.
    pub async fn end_session(&self, call: &Call, id: SessionId) -> Result<(), Refusal> {
        call.may(Action::EndSession)?;
        call.refuse_limited_token(None)?;
        self.end_session_of(call, Action::EndSession, call.user()?, id).await
    }

    /// Ends a session of a user.
    pub async fn end_user_session(&self, call: &Call, user: UserId, id: SessionId) -> Result<(), Refusal> {
        call.may(Action::EndUserSession)?;
        self.end_session_of(call, Action::EndUserSession, user, id).await
    }

    async fn end_session_of(
        &self,
        call: &Call,
        action: Action,
        user: UserId,
        id: SessionId,
    ) -> Result<(), Refusal> {
        let name = self.name_of(user).await?;
        let mut change = self.begin(call).await?;
        let statement = Statement::new("SELECT address FROM sessions WHERE id = $1 AND user_id = $2")
            .bind(id.to_string())
            .bind(user.to_string());
        let row = change.optional(statement).await?.ok_or_else(|| Refusal::missing("session", id))?;
        change.execute(Statement::new("DELETE FROM sessions WHERE id = $1").bind(id.to_string())).await?;
        let user = user.to_string();
        let object = Object { kind: "user", id: &user, name: &name };
        let detail = serde_json::json!({ "session": id, "address": row.text("address")? });
        change.audit(action, object, &detail).await?;
        change.commit().await
    }
}

fn me(actor: &Actor) -> Result<Me, Refusal> {
    let id = actor.user.ok_or_else(|| Refusal::internal("the server has no user"))?;
    Ok(Me {
        id,
        name: actor.name.clone(),
        roles: actor.roles.iter().collect(),
        must_change_password: actor.must_change_password,
    })
}
