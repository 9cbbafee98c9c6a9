//! API tokens: for programs, made by a user for itself, limited to some of its roles, with an end.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::{Actor, App, Begun, Call, Object, Proof, Reason, Refusal};
use crate::db::{Row, Statement};
use crate::domain::name::Name;
use crate::domain::{Action, Invalid, Role, Time, TokenId, UserId};
use crate::identity::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// What every token begins with.
const PREFIX: &str = "lamina_";
/// Longest life of a token, in days.
const LONGEST_DAYS: u32 = 366;
/// How often a token's last use is written down, in seconds.
const USED_EVERY: i64 = 60;
/// Tokens of one user.
const MOST: i64 = 100;

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its identifier.
    pub id: TokenId,
    /// Its name, unique among the user's tokens.
    pub name: String,
    /// The roles that it is limited to; empty: all that its user has.
    pub roles: BTreeSet<Role>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Time>,
}

/// Which tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TokenFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name`, `created_at` or `expires_at`; with `-` in front descending.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, name, name_key, roles, created_at, expires_at, used_at FROM tokens",
    id: "id",
    sorts: &[
        Sort { name: "name", column: "name_key", number: false },
        Sort { name: "created_at", column: "created_at", number: true },
        Sort { name: "expires_at", column: "expires_at", number: true },
    ],
    newest_first: false,
};

/// A token to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, unique among one's tokens.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Limit it to these roles; empty: all that one has, now and later.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Days until it ends, 1 to 366.
    #[schema(minimum = 1, maximum = 366)]
    pub days: u32,
}

/// A token that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token.
    pub token: TokenView,
    /// Its secret, shown only now; absent when the same request is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

fn view(row: &Row) -> Result<TokenView, Refusal> {
    Ok(TokenView {
        id: super::id(row, "id")?,
        name: row.text("name")?,
        roles: row.json("roles")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        expires_at: Time::from_millis(row.integer("expires_at")?),
        used_at: row.optional_integer("used_at")?.map(Time::from_millis),
    })
}

impl App {
    /// One's own tokens, by name.
    pub async fn tokens(&self, call: &Call, filter: &TokenFilter) -> Result<Page<TokenView>, Refusal> {
        call.may(Action::ListTokens)?;
        self.tokens_of(call.user()?, filter).await
    }

    /// The tokens of a user, by name.
    pub async fn user_tokens(
        &self,
        call: &Call,
        user: UserId,
        filter: &TokenFilter,
    ) -> Result<Page<TokenView>, Refusal> {
        call.may(Action::ListUserTokens)?;
        self.name_of(user).await?;
        self.tokens_of(user, filter).await
    }

    async fn tokens_of(&self, user: UserId, filter: &TokenFilter) -> Result<Page<TokenView>, Refusal> {
        let mut conditions = Conditions::new();
        conditions.add("user_id = ?", user.to_string());
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// Makes a token for who asks.
    pub async fn create_token(&self, call: &Call, new: &NewToken) -> Result<CreatedToken, Refusal> {
        call.may(Action::CreateToken)?;
        let user = call.user()?.to_string();
        if matches!(call.actor.proof, Proof::Token { .. }) {
            // Else a token that leaks could outlive its end.
            return Err(Refusal::new(
                Reason::Forbidden,
                "session-required",
                "A token is made in a session, not with another token.",
            )
            .hint("Log in first."));
        }
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        if !(1..=LONGEST_DAYS).contains(&new.days) {
            invalid.add("days", "days-range", format!("A token lives 1 to {LONGEST_DAYS} days."));
        }
        let limit: Vec<Role> = new.roles.iter().copied().collect();
        let usable: BTreeSet<Role> = call.actor.roles.limited_to(&limit).iter().collect();
        for role in new.roles.difference(&usable) {
            invalid.add(
                "roles",
                "role-not-yours",
                format!("You do not have the role {} yourself.", role.as_str()),
            );
        }
        let Some(name) = name else { return Err(invalid.into()) };
        invalid.finish()?;

        let mut change = match self.begin_creating(call, Action::CreateToken, new).await? {
            Begun::Before(created) => return Ok(created),
            Begun::Now(change) => change,
        };
        let taken = Statement::new("SELECT id FROM tokens WHERE user_id = $1 AND name_key = $2")
            .bind(user.as_str())
            .bind(name.key());
        if change.optional(taken).await?.is_some() {
            return Err(Invalid::field("name", "name-taken", "You have a token of this name already.").into());
        }
        let count = change
            .optional(
                Statement::new("SELECT COUNT(*) AS n FROM tokens WHERE user_id = $1").bind(user.as_str()),
            )
            .await?;
        if count.map(|row| row.integer("n")).transpose()?.unwrap_or(0) >= MOST {
            return Err(Refusal::new(
                Reason::Conflict,
                "too-many-tokens",
                format!("You have {MOST} tokens."),
            )
            .hint("Withdraw those that are no longer needed."));
        }
        let secret = Secret::new(PREFIX);
        let token = TokenView {
            id: TokenId::new(),
            name: name.as_str().to_owned(),
            roles: new.roles.clone(),
            created_at: change.now(),
            expires_at: change.now().after_seconds(i64::from(new.days) * 24 * 60 * 60),
            used_at: None,
        };
        let statement = Statement::new(
            "INSERT INTO tokens (id, user_id, name, name_key, secret_digest, roles, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(token.id.to_string())
        .bind(user)
        .bind(token.name.as_str())
        .bind(name.key())
        .bind(secret.digest())
        .bind(serde_json::to_string(&token.roles).map_err(Refusal::internal)?)
        .bind(token.created_at.millis())
        .bind(token.expires_at.millis());
        change.execute(statement).await?;
        let id = token.id.to_string();
        let object = Object { kind: "token", id: &id, name: &token.name };
        change.audit(Action::CreateToken, object, &serde_json::json!({ "token": token })).await?;
        change.remember(&CreatedToken { token: token.clone(), secret: None }).await?;
        change.commit().await?;
        Ok(CreatedToken { token, secret: Some(secret.reveal().to_owned()) })
    }

    /// Withdraws one of one's tokens: it is of no use from now on.
    pub async fn delete_token(&self, call: &Call, id: TokenId) -> Result<(), Refusal> {
        call.may(Action::DeleteToken)?;
        call.refuse_limited_token(Some(id))?;
        self.delete_token_of(call, Action::DeleteToken, call.user()?, id).await
    }

    /// Withdraws a token of a user.
    pub async fn delete_user_token(&self, call: &Call, user: UserId, id: TokenId) -> Result<(), Refusal> {
        call.may(Action::DeleteUserToken)?;
        self.delete_token_of(call, Action::DeleteUserToken, user, id).await
    }

    async fn delete_token_of(
        &self,
        call: &Call,
        action: Action,
        user: UserId,
        id: TokenId,
    ) -> Result<(), Refusal> {
        let owner = self.name_of(user).await?;
        let mut change = self.begin(call).await?;
        let statement = Statement::new("SELECT name FROM tokens WHERE id = $1 AND user_id = $2")
            .bind(id.to_string())
            .bind(user.to_string());
        let row = change.optional(statement).await?.ok_or_else(|| Refusal::missing("token", id))?;
        change.execute(Statement::new("DELETE FROM tokens WHERE id = $1").bind(id.to_string())).await?;
        let (text, name) = (id.to_string(), row.text("name")?);
        let object = Object { kind: "token", id: &text, name: &name };
        let detail = serde_json::json!({ "user_id": user, "user": owner });
        change.audit(action, object, &detail).await?;
        change.commit().await
    }

    /// Who has the token with this secret.
    pub async fn by_token(&self, secret: &Secret) -> Result<Option<Actor>, Refusal> {
        let statement = Statement::new(
            "SELECT u.id, u.name, u.must_change, u.disabled, t.id AS token_id, t.roles, t.expires_at, t.used_at \
             FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.secret_digest = $1",
        )
        .bind(secret.digest());
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        if row.boolean("disabled")? || now >= Time::from_millis(row.integer("expires_at")?) {
            return Ok(None);
        }
        let used = row.optional_integer("used_at")?.map(Time::from_millis);
        if used.is_none_or(|used| now.seconds_since(used) >= USED_EVERY) {
            let statement = Statement::new("UPDATE tokens SET used_at = $2 WHERE id = $1")
                .bind(row.text("token_id")?)
                .bind(now.millis());
            self.db.execute(statement).await?;
        }
        let limit: Vec<Role> = row.json("roles")?;
        let limit = (!limit.is_empty()).then_some(limit.as_slice());
        let proof = Proof::Token { id: super::id(&row, "token_id")?, limited: limit.is_some() };
        Ok(Some(self.actor(&row, proof, limit).await?))
    }
}
