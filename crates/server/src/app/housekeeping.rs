//! Removing what nobody will ask for again: old audit history and tasks, and what has ended.

use super::{App, Refusal, throttle};
use crate::db::Statement;
use crate::domain::Time;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// Days for which a creating call can be repeated under its key.
const REPEATABLE_DAYS: i64 = 7;
/// Days for which a token that has ended is still listed, so that people see why something no longer works.
const ENDED_TOKEN_DAYS: i64 = 30;
/// Rows that one statement removes; in between others can write.
const AT_ONCE: i64 = 1000;

impl App {
    /// Removes what is older than the settings keep it, and what has ended.
    ///
    /// Several servers may do so at once: whichever comes first removes a row.
    pub async fn keep_house(&self) -> Result<(), Refusal> {
        self.clear_leftovers().await?;
        let settings = self.settings().await?;
        let now = self.clock.now();
        let before_days = |days: i64| now.before_seconds(days * DAY);
        let old: [(&str, &'static str, Time); 6] = [
            (
                "audit history",
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 LIMIT $2)",
                before_days(settings.audit_retention_days),
            ),
            (
                // Those that wait for a person are kept; so are their subtasks and logs, which go with them.
                "tasks",
                "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE ended_at < $1 \
                 AND state IN ('done', 'failed', 'stopped') LIMIT $2)",
                before_days(settings.task_retention_days),
            ),
            (
                "answers to creating calls",
                "DELETE FROM idempotency WHERE (user_id, key) IN \
                 (SELECT user_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)",
                before_days(REPEATABLE_DAYS),
            ),
            (
                "sessions",
                "DELETE FROM sessions WHERE secret_digest IN \
                 (SELECT secret_digest FROM sessions WHERE seen_at < $1 LIMIT $2)",
                now.before_seconds(settings.session_timeout_minutes * 60),
            ),
            (
                "API tokens",
                "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires_at < $1 LIMIT $2)",
                before_days(ENDED_TOKEN_DAYS),
            ),
            (
                "failed log-ins",
                "DELETE FROM login_failures WHERE subject IN \
                 (SELECT subject FROM login_failures WHERE last_at < $1 LIMIT $2)",
                now.before_seconds(throttle::FORGET),
            ),
        ];
        for (what, sql, before) in old {
            self.remove_old(what, sql, before).await?;
        }
        Ok(())
    }

    async fn remove_old(&self, what: &str, sql: &'static str, before: Time) -> Result<(), Refusal> {
        let mut removed = 0;
        loop {
            let statement = Statement::new(sql).bind(before.millis()).bind(AT_ONCE);
            let rows = self.db.execute(statement).await?;
            removed += rows;
            if rows == 0 {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(what, removed, "removed what was old");
        }
        Ok(())
    }
}
