//! The webhook: where what happens to tasks is told.
//!
//! An administrator sets it. What it was set to is here; the telling is in `telling`.

mod telling;

use super::{App, Call, Object, Reason, Refusal};
use crate::db::{Row, Statement};
use crate::domain::{Action, Invalid, Time};
use crate::secrets::{Holder, SecretText};
use connectors::{Reach, Unreachable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// What the secret is sealed for.
const PURPOSE: &str = "webhook";
/// The identifier of the one that there is.
const ID: &str = "server";
/// Longest address, in characters.
const LONGEST_URL: usize = 2000;
/// How long a secret is, in characters.
const SECRET: std::ops::RangeInclusive<usize> = 16..=256;

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEvent {
    /// Somebody has asked for it.
    Created,
    /// It is being carried out.
    Started,
    /// It waits for a person.
    ActionRequired,
    /// It is done.
    Done,
    /// It has failed.
    Failed,
    /// Somebody has stopped it.
    Stopped,
}

impl TaskEvent {
    fn parse(text: &str) -> Option<TaskEvent> {
        Some(match text {
            "created" => TaskEvent::Created,
            "started" => TaskEvent::Started,
            "action-required" => TaskEvent::ActionRequired,
            "done" => TaskEvent::Done,
            "failed" => TaskEvent::Failed,
            "stopped" => TaskEvent::Stopped,
            _ => return None,
        })
    }
}

/// The webhook. Its secret is never shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    /// Where events are posted to.
    pub url: String,
    /// Which are.
    pub events: BTreeSet<TaskEvent>,
    /// Whether it may lead to private networks and to the server's own machine.
    pub allow_private: bool,
    /// When an event was told last.
    pub told_at: Option<Time>,
    /// When an event could not be told last.
    pub failed_at: Option<Time>,
    /// Why it could not.
    pub failure: Option<String>,
    /// Events that are still to be told.
    pub waiting: i64,
    /// Events that could not be told within a day and never will be.
    pub given_up: i64,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// What the webhook is to be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    /// Where events are posted to: `https://…`, or `http://…`.
    #[schema(max_length = 2000)]
    pub url: String,
    /// Which are.
    pub events: BTreeSet<TaskEvent>,
    /// Whether it may lead to private networks and to the server's own machine.
    #[serde(default)]
    pub allow_private: bool,
    /// By which what is told is signed, 16 to 256 characters; absent it stays.
    #[schema(value_type = Option<String>, write_only, format = Password, min_length = 16, max_length = 256)]
    pub secret: Option<SecretText>,
}

/// What came of telling something as a test.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookTest {
    /// Whether it was taken.
    pub told: bool,
    /// Why it was not.
    pub failure: Option<String>,
}

/// The webhook with its secret.
#[derive(Debug)]
struct Webhook {
    url: reqwest::Url,
    events: BTreeSet<TaskEvent>,
    reach: Reach,
    secret: Zeroizing<Vec<u8>>,
}

fn stored() -> Statement<'static> {
    Statement::new(
        "SELECT id, url, events, allow_private, secret, told_at, failed_at, failure, given_up, revision, \
         (SELECT COUNT(*) FROM task_events) AS waiting FROM webhooks WHERE id = $1",
    )
    .bind(ID)
}

fn view(row: &Row) -> Result<WebhookView, Refusal> {
    let time = |column: &str| -> Result<Option<Time>, Refusal> {
        Ok(row.optional_integer(column)?.map(Time::from_millis))
    };
    Ok(WebhookView {
        url: row.text("url")?,
        events: row.json("events")?,
        allow_private: row.boolean("allow_private")?,
        told_at: time("told_at")?,
        failed_at: time("failed_at")?,
        failure: row.optional_text("failure")?,
        waiting: row.integer("waiting")?,
        given_up: row.integer("given_up")?,
        revision: row.integer("revision")?,
    })
}

fn missing() -> Refusal {
    Refusal::new(Reason::Missing, "webhook-missing", "There is no webhook.").hint("Set one first.")
}

pub(crate) fn holder() -> Holder<'static> {
    Holder { purpose: PURPOSE, id: ID }
}

/// The name or address in a URL, without the brackets of IPv6.
fn host(url: &reqwest::Url) -> &str {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Checks an address that was sent.
fn check_url(text: &str) -> Result<reqwest::Url, Invalid> {
    let complaint = |code: &str, message: &str| Err(Invalid::field("url", code, message));
    if text.chars().count() > LONGEST_URL {
        return complaint("url-too-long", "An address has at most 2000 characters.");
    }
    let Ok(url) = reqwest::Url::parse(text) else {
        return complaint("url-invalid", "This is no address such as https://example.com/lamina.");
    };
    if !matches!(url.scheme(), "http" | "https") || host(&url).is_empty() {
        return complaint("url-invalid", "An address begins with https:// or http:// and has a host.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return complaint("url-credentials", "An address has no user or password; what is told is signed.");
    }
    if url.fragment().is_some() {
        return complaint("url-invalid", "An address has no part behind #.");
    }
    Ok(url)
}

impl App {
    /// Where a webhook may lead.
    fn reach(&self, allow_private: bool) -> Reach {
        Reach { private: allow_private, loopback: allow_private, link_local: self.kinds.link_local() }
    }

    /// The webhook, for an administrator.
    pub async fn show_webhook(&self, call: &Call) -> Result<WebhookView, Refusal> {
        call.may(Action::GetWebhook)?;
        view(&self.db.optional(stored()).await?.ok_or_else(missing)?)
    }

    /// Sets the webhook.
    pub async fn set_webhook(
        &self,
        call: &Call,
        revision: Option<i64>,
        wanted: &WebhookChange,
    ) -> Result<WebhookView, Refusal> {
        call.may(Action::SetWebhook)?;
        let mut invalid = Invalid::new();
        let url = invalid.take(check_url(&wanted.url));
        if wanted.events.is_empty() {
            invalid.add("events", "events-missing", "Choose at least one kind of event.");
        }
        let length = wanted.secret.as_ref().map(|secret| secret.reveal().chars().count());
        if length.is_some_and(|length| !SECRET.contains(&length)) {
            invalid.add("secret", "secret-length", "A secret has 16 to 256 characters.");
        }
        let Some(url) = url else { return Err(invalid.into()) };
        invalid.finish()?;
        let port = url.port_or_known_default().unwrap_or(443);
        // A name that is not resolved now may be later; then it is looked at again.
        if let Err(forbidden @ Unreachable::Forbidden { .. }) =
            self.reach(wanted.allow_private).addresses(host(&url), port).await
        {
            let hint = if wanted.allow_private { "" } else { " Allow private addresses if that is meant." };
            let message = format!("{forbidden}.{hint}");
            return Err(Invalid::field("url", "url-forbidden", message).into());
        }

        let mut change = self.begin(call).await?;
        let before = change.optional(stored()).await?;
        let known = before.as_ref().map(|row| row.integer("revision")).transpose()?;
        if revision.is_some() && revision != known {
            return Err(Refusal::stale("webhook"));
        }
        let secret = match (&wanted.secret, &before) {
            (Some(secret), _) => self.key.seal(holder(), secret.reveal().as_bytes())?,
            (None, Some(row)) => row.bytes("secret")?,
            (None, None) => {
                let message = "A secret is required: by it who is told knows that it is this server.";
                return Err(Invalid::field("secret", "secret-missing", message).into());
            }
        };
        let statement = Statement::new(
            "INSERT INTO webhooks (id, url, events, allow_private, secret, given_up, created_at, revision) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT (id) DO UPDATE SET url = excluded.url, \
             events = excluded.events, allow_private = excluded.allow_private, secret = excluded.secret, \
             failed_at = NULL, failure = NULL, revision = excluded.revision",
        )
        .bind(ID)
        .bind(url.as_str())
        .bind(serde_json::to_string(&wanted.events).map_err(Refusal::internal)?)
        .bind(wanted.allow_private)
        .bind(secret)
        .bind(change.now().millis())
        .bind(known.unwrap_or(0) + 1);
        change.execute(statement).await?;
        let after = view(&change.optional(stored()).await?.ok_or_else(missing)?)?;
        let object = Object { kind: "webhook", id: ID, name: url.as_str() };
        let detail = serde_json::json!({ "after": after, "secret_changed": wanted.secret.is_some() });
        change.audit(Action::SetWebhook, object, &detail).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Takes the webhook away, with what was still to be told.
    pub async fn delete_webhook(&self, call: &Call, revision: Option<i64>) -> Result<(), Refusal> {
        call.may(Action::DeleteWebhook)?;
        let mut change = self.begin(call).await?;
        let before = view(&change.optional(stored()).await?.ok_or_else(missing)?)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(Refusal::stale("webhook"));
        }
        change.execute(Statement::new("DELETE FROM webhooks WHERE id = $1").bind(ID)).await?;
        change.execute(Statement::new("DELETE FROM task_events")).await?;
        let object = Object { kind: "webhook", id: ID, name: &before.url };
        change.audit(Action::DeleteWebhook, object, &serde_json::json!({ "before": before })).await?;
        change.commit().await
    }

    /// Posts something to the webhook now.
    pub async fn test_webhook(&self, call: &Call) -> Result<WebhookTest, Refusal> {
        call.may(Action::TestWebhook)?;
        let webhook = self.webhook().await?.ok_or_else(missing)?;
        let failure = self.tell_test(&webhook).await.err();
        Ok(WebhookTest { told: failure.is_none(), failure })
    }

    /// The webhook with its secret, for the server itself.
    async fn webhook(&self) -> Result<Option<Webhook>, Refusal> {
        let Some(row) = self.db.optional(stored()).await? else { return Ok(None) };
        Ok(Some(Webhook {
            url: row.text("url")?.parse().map_err(Refusal::internal)?,
            events: row.json("events")?,
            reach: self.reach(row.boolean("allow_private")?),
            secret: self.key.open(holder(), &row.bytes("secret")?)?,
        }))
    }
}
