//! Guessing passwords is slow: after some failures the next try has to wait, longer each time.
//!
//! Counted are the failures of a name from an address, which make a guesser wait and nobody else; those from an address,
//! whatever names were tried; and those of a name from everywhere, of which there have to be many, and which make its
//! owner wait for a short time only: strangers could keep somebody out otherwise. A try counts before the password is
//! looked at, so that many at once are not all the first, and no longer when it was right.

use super::{App, Call, Change, Object, Reason, Refusal};
use crate::db::{Row, Statement};
use crate::domain::{Time, UserId};
use std::net::IpAddr;

/// After so many seconds the failures of a subject are forgotten and counted anew.
pub(super) const FORGET: i64 = 24 * 60 * 60;
/// Failures of an address that one success makes up for: people mistype before they type right.
const MADE_UP: i64 = 5;
/// Longest part of a name that is told from others, in characters. Names of users are not longer.
const LONGEST_NAME: usize = 100;

/// Whose failures are counted.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    kind: Kind,
    /// What it is found by.
    text: String,
    /// The name as it is compared, where it is about one.
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name from an address, or the password of somebody who is logged in.
    Own,
    /// An address.
    Address,
    /// A name.
    Name,
}

impl Kind {
    /// Failures that cost nothing.
    fn free(self) -> i64 {
        match self {
            Kind::Own => 5,
            Kind::Address => 20,
            Kind::Name => 500,
        }
    }

    /// Longest wait, in seconds.
    fn longest(self) -> i64 {
        match self {
            Kind::Own | Kind::Address => 15 * 60,
            Kind::Name => 60,
        }
    }

    /// Seconds to wait after so many failures: 1, 2, 4 … up to the longest.
    fn wait(self, failures: i64) -> i64 {
        match failures - self.free() {
            over if over < 0 => 0,
            over if over >= 10 => self.longest(),
            over => (1 << over).min(self.longest()),
        }
    }
}

impl Subject {
    /// Those of a log-in.
    pub(super) fn of_log_in(name_key: &str, address: &str) -> [Subject; 3] {
        let (name, network) = (shortened(name_key), network(address));
        let own = format!("own {network} {name}");
        // Always in this order: whoever counts the same ones waits, and never for each other.
        [
            Subject { kind: Kind::Own, text: own, name: Some(name.clone()) },
            Subject { kind: Kind::Address, text: format!("address {network}"), name: None },
            Subject { kind: Kind::Name, text: format!("name {name}"), name: Some(name) },
        ]
    }

    /// That of somebody who is logged in and types the own password.
    pub(super) fn of_password(user: UserId, name: &str) -> [Subject; 1] {
        let name = shortened(&crate::domain::name::key(name));
        [Subject { kind: Kind::Own, text: format!("password {user}"), name: Some(name) }]
    }

    /// The failures in its row that still count, and since when; refused while it has to wait.
    fn counted(&self, row: &Row, now: Time) -> Result<(i64, Time), Refusal> {
        let begun = Time::from_millis(row.integer("begun_at")?);
        if now >= begun.after_seconds(FORGET) {
            return Ok((0, now));
        }
        let failures = row.integer("failures")?;
        let until = Time::from_millis(row.integer("last_at")?).after_seconds(self.kind.wait(failures));
        if now < until {
            return Err(too_many(self.kind, until.seconds_since(now)));
        }
        Ok((failures, begun))
    }
}

fn shortened(name_key: &str) -> String {
    name_key.chars().take(LONGEST_NAME).collect()
}

/// What one caller has of the addresses: of IPv6 at least a network of 64 bits.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let network = std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("{network}/64")
        }
        _ => address.to_owned(),
    }
}

/// A try that was counted.
#[derive(Debug)]
pub(super) struct Try<const N: usize> {
    subjects: [Subject; N],
    /// Failures of each, this one among them, if it becomes one.
    failures: [i64; N],
}

impl App {
    /// Counts a try as if it had failed; refused while one of the subjects has to wait.
    pub(super) async fn begin_try<const N: usize>(&self, subjects: [Subject; N]) -> Result<Try<N>, Refusal> {
        let now = self.clock.now();
        // Most tries of a flood end here, where nobody waits for anybody.
        for subject in &subjects {
            let statement =
                Statement::new("SELECT failures, begun_at, last_at FROM login_failures WHERE subject = $1")
                    .bind(subject.text.as_str());
            if let Some(row) = self.db.optional(statement).await? {
                subject.counted(&row, now)?;
            }
        }
        let mut tx = self.db.begin().await?;
        let mut failures = [0; N];
        for (subject, failed) in subjects.iter().zip(&mut failures) {
            // Whoever else counts the same subject waits from here on.
            let statement = Statement::new(
                "INSERT INTO login_failures (subject, name_key, failures, begun_at, last_at) \
                 VALUES ($1, $2, 0, $3, $3) \
                 ON CONFLICT (subject) DO UPDATE SET name_key = excluded.name_key \
                 RETURNING failures, begun_at, last_at",
            )
            .bind(subject.text.as_str())
            .bind(subject.name.as_deref())
            .bind(now.millis());
            let row = tx.optional(statement).await?;
            let row = row.ok_or_else(|| Refusal::internal("a row that was written is not there"))?;
            let (before, begun) = subject.counted(&row, now)?;
            *failed = before + 1;
            let statement = Statement::new(
                "UPDATE login_failures SET failures = $2, begun_at = $3, last_at = $4 WHERE subject = $1",
            )
            .bind(subject.text.as_str())
            .bind(*failed)
            .bind(begun.millis())
            .bind(now.millis());
            tx.execute(statement).await?;
        }
        tx.commit().await?;
        Ok(Try { subjects, failures })
    }

    /// Takes back what was counted: the password was right.
    pub(super) async fn try_succeeded<const N: usize>(&self, tried: &Try<N>) -> Result<(), Refusal> {
        for subject in &tried.subjects {
            let statement = match subject.kind {
                Kind::Own => Statement::new("DELETE FROM login_failures WHERE subject = $1"),
                Kind::Address | Kind::Name => Statement::new(
                    "UPDATE login_failures SET failures = CASE WHEN failures > $2 THEN failures - $2 ELSE 0 END \
                     WHERE subject = $1",
                ),
            };
            let statement = statement.bind(subject.text.as_str());
            let statement = match subject.kind {
                Kind::Own => statement,
                Kind::Address | Kind::Name => statement.bind(MADE_UP + 1),
            };
            self.db.execute(statement).await?;
        }
        Ok(())
    }

    /// Writes a log-in that failed into the audit history when the next has to wait for the first time: guessing is seen
    /// there, and cannot fill it. `user` is who has the name; a name that nobody has is not repeated, it may be a
    /// password in the wrong field.
    pub(super) async fn log_in_failed(
        &self,
        tried: &Try<3>,
        address: &str,
        user: Option<(&str, &str)>,
    ) -> Result<(), Refusal> {
        for (subject, failures) in tried.subjects.iter().zip(tried.failures) {
            if failures != subject.kind.free() {
                continue;
            }
            let (object, of) = match (subject.kind, user) {
                (Kind::Address, _) => (Object { kind: "address", id: address, name: address }, "address"),
                (Kind::Own, Some((id, name))) => (Object { kind: "user", id, name }, "name and address"),
                (Kind::Name, Some((id, name))) => (Object { kind: "user", id, name }, "name"),
                (Kind::Own | Kind::Name, None) => continue,
            };
            let mut call = Call { address: address.to_owned(), ..Call::of_server("") };
            "nobody".clone_into(&mut call.actor.name);
            let mut change = self.begin(&call).await?;
            let detail = serde_json::json!({ "failures": failures, "of": of });
            change.audit_failed_log_in(object, &detail).await?;
            change.commit().await?;
        }
        Ok(())
    }
}

/// Forgets the failures of a name from everywhere: its owner gets a password that nobody has guessed at.
pub(super) async fn forget_failures(change: &mut Change<'_>, name: &str) -> Result<(), Refusal> {
    let name = shortened(&crate::domain::name::key(name));
    change.execute(Statement::new("DELETE FROM login_failures WHERE name_key = $1").bind(name)).await?;
    Ok(())
}

fn too_many(kind: Kind, seconds: i64) -> Refusal {
    let retry_after = u64::try_from(seconds).unwrap_or(0) + 1;
    let refusal = Refusal::new(
        Reason::TooMany { retry_after },
        "too-many-log-ins",
        format!("Too many log-ins failed; the next is possible in {retry_after} seconds."),
    );
    match kind {
        Kind::Own | Kind::Name => refusal.hint("An administrator can give you a one-time password."),
        Kind::Address => refusal.hint("They came from your network address, with whatever names; wait."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyping_costs_nothing_and_guessing_takes_years() {
        assert_eq!((0..5).map(|failures| Kind::Own.wait(failures)).sum::<i64>(), 0);
        assert_eq!(
            [5, 6, 7, 14, 15, 1000].map(|failures| Kind::Own.wait(failures)),
            [1, 2, 4, 512, 900, 900]
        );
    }

    #[test]
    fn whoever_guesses_elsewhere_keeps_the_owner_out_for_a_minute_at_most() {
        assert_eq!(
            [499, 500, 505, 506, 100_000].map(|failures| Kind::Name.wait(failures)),
            [0, 1, 32, 60, 60]
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
