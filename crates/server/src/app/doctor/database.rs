//! The database, and the clocks.

use super::{Check, Finding};
use crate::app::{App, Refusal};
use crate::db::{Statement, newest};
use crate::domain::Time;

/// Milliseconds between two clocks that nothing notices.
const SLIGHTLY: i64 = 2_000;
/// Milliseconds between two clocks after which leases are given too early or too late.
const BADLY: i64 = 20_000;

impl App {
    /// Whether the database answers and is whole, and whether the clocks agree.
    pub(super) async fn examine_database(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let examined = match self.db.examine().await {
            Ok(examined) => examined,
            Err(error) => {
                let refusal = Refusal::from(error);
                return vec![Finding::refused(Check::Database, &refusal)];
            }
        };
        for complaint in &examined.complaints {
            let hint = "Restore a backup; see whether the disk that the database is on is failing.";
            findings.push(Finding::problem(Check::Database, complaint, hint));
        }
        if findings.is_empty() {
            let message = format!("{} answers, with tables of version {}.", examined.product, newest());
            findings.push(Finding::ok(Check::Database, message));
        }
        let now = self.now();
        let last = self.last_written().await;
        findings.push(clock(now, examined.now, last));
        findings
    }

    /// When something was last written, by the clock of whichever server wrote it.
    async fn last_written(&self) -> Option<Time> {
        let newest = ["SELECT MAX(at) AS at FROM audit", "SELECT MAX(changed_at) AS at FROM tasks"];
        let mut last = None;
        for sql in newest {
            let row = self.db.optional(Statement::new(sql)).await.ok().flatten()?;
            last = last.max(row.optional_integer("at").ok().flatten().map(Time::from_millis));
        }
        last
    }
}

/// Whether the server's clock agrees with the database's, and has not gone back.
fn clock(now: Time, database: Option<Time>, last: Option<Time>) -> Finding {
    let hint = "Let all machines take their time from the same time servers (NTP).";
    let apart = database.map_or(0, |database| (database.millis() - now.millis()).abs());
    if apart > SLIGHTLY {
        let message =
            format!("The clocks of the server and of its database are {} seconds apart.", apart / 1000);
        return if apart > BADLY {
            Finding::problem(Check::Clock, message, hint)
        } else {
            Finding::warning(Check::Clock, message, hint)
        };
    }
    match last {
        Some(last) if last.millis() - now.millis() > SLIGHTLY => {
            let message = format!("Something was written at {last}, and the server's clock says {now}.");
            Finding::problem(Check::Clock, message, hint)
        }
        _ => Finding::ok(Check::Clock, format!("The server's clock says {now}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FindingState;
    use super::*;

    #[test]
    fn clocks_that_differ_or_go_back_are_noticed() {
        let now = Time::from_millis(1_800_000_000_000);
        let state = |database: i64, last: i64| {
            clock(now, Some(now.after_seconds(database)), Some(now.after_seconds(last))).state
        };
        assert_eq!(state(0, 0), FindingState::Ok);
        assert_eq!(state(1, -100), FindingState::Ok);
        assert_eq!(state(-5, 0), FindingState::Warning);
        assert_eq!(state(60, 0), FindingState::Problem);
        assert_eq!(state(0, 60), FindingState::Problem);
        assert_eq!(clock(now, None, None).state, FindingState::Ok);
    }
}
