//! Telling what happens to tasks: what is due is posted, and tried again for a day.
//!
//! An event may be told twice, when the server dies right behind it: `X-Lamina-Delivery` is then the same. Events of one
//! task are told in order; those of different tasks are not.

use super::{ID, TaskEvent, Webhook, host};
use crate::app::{App, Refusal, hex};
use crate::db::{Row, Statement};
use crate::domain::Time;
use futures_util::future::try_join_all;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

/// Longest time for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Seconds for which a server that tells an event keeps the others from it.
const TURN: i64 = 60;
/// Seconds until the second try; it doubles with each.
const FIRST_WAIT: i64 = 10;
/// Longest wait between two tries, in seconds.
const LONGEST_WAIT: i64 = 60 * 60;
/// Seconds after which an event is not told any more.
const GIVE_UP: i64 = 24 * 60 * 60;
/// Events that are looked for at once.
const AT_ONCE: i64 = 100;
/// Events that are told at once.
const IN_PARALLEL: usize = 4;

/// An event that is due.
#[derive(Debug)]
struct Due {
    task: String,
    position: i64,
    event: String,
    at: Time,
    tries: i64,
    next_at: i64,
}

impl Due {
    fn of(row: &Row) -> Result<Due, Refusal> {
        Ok(Due {
            task: row.text("task_id")?,
            position: row.integer("position")?,
            event: row.text("event")?,
            at: Time::from_millis(row.integer("at")?),
            tries: row.integer("tries")?,
            next_at: row.integer("next_at")?,
        })
    }

    fn is_of<'s>(&self, statement: Statement<'s>) -> Statement<'s> {
        statement.bind(self.task.clone()).bind(self.position)
    }
}

impl App {
    /// Tells what is due.
    pub(crate) async fn tell_events(&self) -> Result<(), Refusal> {
        loop {
            let due = Statement::new(
                "SELECT e.task_id, e.position, e.event, e.at, e.tries, e.next_at FROM task_events e \
                 WHERE e.next_at <= $1 AND NOT EXISTS (SELECT 1 FROM task_events f \
                 WHERE f.task_id = e.task_id AND f.position < e.position) ORDER BY e.next_at LIMIT $2",
            )
            .bind(self.clock.now().millis())
            .bind(AT_ONCE);
            let due = self.db.all(due).await?;
            if due.is_empty() {
                return Ok(());
            }
            let Some(webhook) = self.webhook().await? else { return Ok(()) };
            let due: Vec<Due> = due.iter().map(Due::of).collect::<Result<_, _>>()?;
            for some in due.chunks(IN_PARALLEL) {
                try_join_all(some.iter().map(|due| self.tell(&webhook, due))).await?;
            }
        }
    }

    /// Tells an event, or sees to it that it is told later.
    async fn tell(&self, webhook: &Webhook, due: &Due) -> Result<(), Refusal> {
        let now = self.clock.now();
        let take =
            "UPDATE task_events SET next_at = $3 WHERE task_id = $1 AND position = $2 AND next_at = $4";
        let take = due.is_of(Statement::new(take)).bind(now.after_seconds(TURN).millis()).bind(due.next_at);
        if self.db.execute(take).await? != 1 {
            return Ok(()); // another server tells it
        }
        let wanted = TaskEvent::parse(&due.event).is_some_and(|event| webhook.events.contains(&event));
        let message = if wanted { self.message(due).await? } else { None };
        let Some(message) = message else { return self.over(due).await };
        let delivery = format!("{}-{}", due.task, due.position);
        let Err(failure) = post(webhook, &due.event, &delivery, &message, now).await else {
            self.over(due).await?;
            let told = Statement::new("UPDATE webhooks SET told_at = $2 WHERE id = $1");
            self.db.execute(told.bind(ID).bind(self.clock.now().millis())).await?;
            return Ok(());
        };
        tracing::warn!(
            task = due.task,
            event = due.event,
            failure,
            "an event could not be told to the webhook"
        );
        let late = due.at.after_seconds(GIVE_UP) <= now;
        let failed = Statement::new(
            "UPDATE webhooks SET failed_at = $2, failure = $3, given_up = given_up + $4 WHERE id = $1",
        )
        .bind(ID)
        .bind(now.millis())
        .bind(failure)
        .bind(i64::from(late));
        self.db.execute(failed).await?;
        if late {
            return self.over(due).await;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << due.tries.clamp(0, 20)).min(LONGEST_WAIT);
        let again =
            "UPDATE task_events SET tries = tries + 1, next_at = $3 WHERE task_id = $1 AND position = $2";
        let again = due.is_of(Statement::new(again)).bind(now.after_seconds(wait).millis());
        self.db.execute(again).await?;
        Ok(())
    }

    async fn over(&self, due: &Due) -> Result<(), Refusal> {
        let statement = Statement::new("DELETE FROM task_events WHERE task_id = $1 AND position = $2");
        self.db.execute(due.is_of(statement)).await?;
        Ok(())
    }

    /// What is told of an event; nothing when the task is gone.
    async fn message(&self, due: &Due) -> Result<Option<Value>, Refusal> {
        let Some(task) = self.task_for_message(&due.task).await? else { return Ok(None) };
        Ok(Some(json!({ "event": due.event, "at": due.at, "task": {
            "id": task.id, "kind": task.kind, "title": task.title, "state": task.state, "object": task.object,
            "description": task.description, "location": task.location, "next_action": task.next_action,
            "failure": task.failure, "owner": task.owner, "created_at": task.created_at,
            "started_at": task.started_at, "ended_at": task.ended_at,
        } })))
    }

    /// Posts something that is no event.
    pub(super) async fn tell_test(&self, webhook: &Webhook) -> Result<(), String> {
        let now = self.clock.now();
        post(webhook, "test", &format!("test-{}", now.millis()), &json!({ "event": "test", "at": now }), now)
            .await
    }
}

/// Posts a message to an address that may be reached, and to no other one that it is sent on to.
async fn post(
    webhook: &Webhook,
    event: &str,
    delivery: &str,
    message: &Value,
    now: Time,
) -> Result<(), String> {
    let url = &webhook.url;
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = webhook.reach.addresses(host(url), port).await.map_err(|error| error.to_string())?;
    let client = Client::builder()
        .resolve_to_addrs(host(url), &addresses)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(ANSWER)
        .user_agent(concat!("lamina/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the connection cannot be prepared: {error}"))?;
    let body = message.to_string();
    let request = client
        .post(url.clone())
        .header("content-type", "application/json")
        .header("x-lamina-event", event)
        .header("x-lamina-delivery", delivery)
        .header("x-lamina-signature", signature(&webhook.secret, now.millis() / 1000, &body))
        .body(body);
    let answer = request.send().await.map_err(|error| explained(&error))?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else if status.is_redirection() {
        Err(format!("it answered {status}; nothing is sent on to another address"))
    } else {
        Err(format!("it answered {status}"))
    }
}

/// When it was signed, in seconds since 1970, and the HMAC-SHA256 of `SECONDS.BODY` in hexadecimal.
fn signature(secret: &[u8], seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()))
}

/// An error of the connection with its innermost reason, without the address, which may hold what is secret.
fn explained(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() { "it did not answer in time" } else { "it cannot be reached" };
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    format!("{what}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_2104() {
        // As `printf '12.{}' | openssl dgst -sha256 -hmac key-of-a-receiver` has it.
        assert_eq!(
            signature(b"key-of-a-receiver", 12, "{}"),
            "t=12,v1=5490e89e8d0df9d48e464d15a378eb2d91341e03ac7a464efeb86bb5a3062c60"
        );
    }
}
