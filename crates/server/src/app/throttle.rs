//! Failed log-ins make the next one wait, longer each time, by name and by address.

use super::{App, Reason, Refusal};
use crate::db::Statement;
use crate::domain::Time;

/// Failures that cost nothing: people mistype.
const FREE: i64 = 5;
/// Longest wait, in seconds.
const LONGEST: i64 = 15 * 60;
/// After so many seconds without a failure everything is forgotten.
pub(super) const FORGET: i64 = 24 * 60 * 60;

/// Seconds to wait after so many failures: 1, 2, 4 … up to a quarter of an hour.
fn wait(failures: i64) -> i64 {
    match failures - FREE {
        over if over < 0 => 0,
        over if over >= 10 => LONGEST,
        over => (1 << over).min(LONGEST),
    }
}

impl App {
    /// Refuses while one of the subjects (a name, an address) has to wait.
    pub(super) async fn refuse_hurried(&self, subjects: &[String]) -> Result<(), Refusal> {
        let now = self.clock.now();
        for subject in subjects {
            let statement = Statement::new("SELECT failures, last_at FROM login_failures WHERE subject = $1")
                .bind(subject.as_str());
            let Some(row) = self.db.optional(statement).await? else { continue };
            let until =
                Time::from_millis(row.integer("last_at")?).after_seconds(wait(row.integer("failures")?));
            if now < until {
                let retry_after = u64::try_from(until.seconds_since(now)).unwrap_or(0) + 1;
                return Err(Refusal::new(
                    Reason::TooMany { retry_after },
                    "too-many-log-ins",
                    format!("Too many log-ins failed; the next is possible in {retry_after} seconds."),
                )
                .hint("An administrator can give you a one-time password."));
            }
        }
        Ok(())
    }

    /// Counts a failed log-in.
    pub(super) async fn log_in_failed(&self, subjects: &[String]) -> Result<(), Refusal> {
        let now = self.clock.now();
        for subject in subjects {
            let statement = Statement::new(
                "INSERT INTO login_failures (subject, failures, last_at) VALUES ($1, 1, $2) \
                 ON CONFLICT (subject) DO UPDATE SET last_at = excluded.last_at, \
                 failures = CASE WHEN login_failures.last_at < $3 THEN 1 ELSE login_failures.failures + 1 END",
            )
            .bind(subject.as_str())
            .bind(now.millis())
            .bind(now.before_seconds(FORGET).millis());
            self.db.execute(statement).await?;
        }
        Ok(())
    }

    /// Forgets the failures of a name that has logged in.
    pub(super) async fn log_in_succeeded(&self, subject: &str) -> Result<(), Refusal> {
        let statement = Statement::new("DELETE FROM login_failures WHERE subject = $1").bind(subject);
        self.db.execute(statement).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyping_costs_nothing_and_guessing_takes_years() {
        assert_eq!((0..5).map(wait).sum::<i64>(), 0);
        assert_eq!([5, 6, 7, 14, 15, 1000].map(wait), [1, 2, 4, 512, 900, 900]);
    }
}
