//! The store and its engine, the file share, and the tasks.

use super::{Check, Finding};
use crate::app::engine::blocking;
use crate::app::{App, Refusal};
use crate::db::Statement;
use operation::{Failure, Silent};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use worker::{Job, Outcome};

/// Most versions that are named.
const NAMED: usize = 5;
/// Seconds after which a task whose lease nobody took is not just between two servers.
const ABANDONED: i64 = 300;
/// Failed tries after which a task that still runs is one to look at.
const AGAIN: i64 = 10;

impl App {
    /// Whether the engine starts, and the store holds what the database says.
    pub(super) async fn examine_store(&self) -> Vec<Finding> {
        match self.stored().await {
            Ok((references, said)) => vec![confinement(&said), self.compare_with_store(&references).await],
            Err(Failure { message, hint, .. }) => {
                let hint = hint.unwrap_or_else(|| "See the server's log.".to_owned());
                vec![Finding::problem(Check::Store, message, hint)]
            }
        }
    }

    /// Everything that the store names, in lower case, and what the engine said meanwhile.
    pub(crate) async fn stored(&self) -> Result<(HashSet<String>, String), Failure> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let (engine, hearing) = (Arc::clone(&self.engine), Arc::clone(&said));
        let listed = blocking(move || {
            let hear = |line: &str| {
                hearing.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
            };
            engine.run(&Job::List, &Silent, &hear)
        })
        .await?;
        let Outcome::List(report) = listed else {
            return Err(Refusal::internal("the engine gave another report").failure);
        };
        let mut references = HashSet::new();
        for entry in &report.entries {
            let version = entry.version.as_ref().map(|version| format!("@{version}"));
            let name = format!("{}:{}{}", entry.kind.as_str(), entry.name, version.unwrap_or_default());
            references.insert(name.to_lowercase());
        }
        let said = said.lock().unwrap_or_else(PoisonError::into_inner).join(" ");
        Ok((references, said))
    }

    /// How many versions can be used, and which of them are not among these references of the store.
    pub(crate) async fn not_stored(
        &self,
        references: &HashSet<String>,
    ) -> Result<(usize, Vec<String>), Refusal> {
        let statement = Statement::new(
            "SELECT l.kind, l.name, l.store_name, v.name AS version, v.store_version FROM versions v \
             JOIN layers l ON l.id = v.layer_id WHERE v.state = 'deployable' ORDER BY l.name_key, v.sequence",
        );
        let rows = self.db.all(statement).await?;
        let mut missing = Vec::new();
        for row in &rows {
            let (kind, stored) = (row.text("kind")?, row.text("store_name")?);
            if !references.contains(&format!("{kind}:{stored}@{}", row.text("store_version")?).to_lowercase())
            {
                missing.push(format!("{kind}:{}@{}", row.text("name")?, row.text("version")?));
            }
        }
        Ok((rows.len(), missing))
    }

    /// Whether every version that can be used is in the store.
    async fn compare_with_store(&self, references: &HashSet<String>) -> Finding {
        let (deployable, mut missing) = match self.not_stored(references).await {
            Ok(found) => found,
            Err(refusal) => return Finding::refused(Check::Store, &refusal),
        };
        if missing.is_empty() {
            let message = format!("The store can be read and holds all {deployable} versions.");
            return Finding::ok(Check::Store, message);
        }
        let (count, more) = (missing.len(), missing.len().saturating_sub(NAMED));
        missing.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Finding::problem(
            Check::Store,
            format!("{count} versions are not in the store: {}{more}.", missing.join(", ")),
            "Restore the store's directory from the same backup as the database, or import the layers again.",
        )
    }

    /// Whether the file share is set and can be used.
    pub(super) async fn examine_file_share(&self) -> Finding {
        let settings = match self.settings().await {
            Ok(settings) => settings,
            Err(refusal) => return Finding::refused(Check::FileShare, &refusal),
        };
        let Some(id) = settings.file_share else {
            return Finding::warning(
                Check::FileShare,
                "No file share is set: packaging disks and exported layers have no place.",
                "Make a connector configuration of the connector fileshare, and set it as the file share.",
            );
        };
        match self.try_file_share(id).await {
            Ok(_) => Finding::ok(Check::FileShare, "The file share can be read and written."),
            Err(refusal) => {
                let mut finding = Finding::refused(Check::FileShare, &refusal);
                if let Some(first) = refusal.fields.first() {
                    finding.message.clone_from(&first.message);
                }
                finding
            }
        }
    }

    /// Whether tasks go on, and whether what they left behind is cleared up.
    pub(super) async fn examine_tasks(&self) -> Vec<Finding> {
        match self.look_at_tasks().await {
            Ok(findings) => findings,
            Err(refusal) => vec![Finding::refused(Check::Tasks, &refusal)],
        }
    }

    async fn look_at_tasks(&self) -> Result<Vec<Finding>, Refusal> {
        let count = |row: Option<crate::db::Row>| -> Result<i64, Refusal> {
            Ok(row.map(|row| row.integer("number")).transpose()?.unwrap_or(0))
        };
        let abandoned = Statement::new(
            "SELECT COUNT(*) AS number FROM tasks WHERE state = 'running' AND lease_until < $1",
        )
        .bind(self.now().before_seconds(ABANDONED).millis());
        let abandoned = count(self.db.optional(abandoned).await?)?;
        let leftovers = Statement::new("SELECT COUNT(*) AS number FROM leftovers WHERE tries > 1");
        let leftovers = count(self.db.optional(leftovers).await?)?;
        let again = Statement::new(
            "SELECT title FROM tasks t WHERE state = 'running' AND $1 <= \
             (SELECT COUNT(*) FROM task_log g WHERE g.task_id = t.id AND g.level = 'warning') \
             ORDER BY created_at LIMIT $2",
        )
        .bind(AGAIN)
        .bind(NAMED as i64);
        let again = self.db.all(again).await?;
        let again: Vec<String> =
            again.iter().map(|row| row.text("title")).collect::<Result<_, _>>().map_err(Refusal::from)?;
        let mut findings = Vec::new();
        if !again.is_empty() {
            findings.push(Finding::problem(
                Check::Tasks,
                format!("These tasks try the same again and again: {}.", again.join(", ")),
                "Their logs say what fails. They go on when that is mended; meanwhile others may wait for a turn.",
            ));
        }
        if abandoned > 0 {
            findings.push(Finding::problem(
                Check::Tasks,
                format!("{abandoned} tasks are under way and no server carries them out."),
                "See the log of each server; a server that is started takes them up within a minute.",
            ));
        }
        if leftovers > 0 {
            findings.push(Finding::warning(
                Check::Tasks,
                format!("{leftovers} things that tasks left behind could not be removed yet."),
                "They are tried again each hour. See in the log why; a platform may not be reachable.",
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::ok(Check::Tasks, "No task is abandoned, and nothing is left behind."));
        }
        Ok(findings)
    }
}

/// What the engine's process said of its confinement.
fn confinement(said: &str) -> Finding {
    if said.contains("not at all") || said.contains("as far as this kernel can") {
        let hint = "Disks are hostile input; run a kernel with Landlock and seccomp (Linux 6.7 or later has all of it).";
        Finding::warning(Check::Engine, said, hint)
    } else if said.is_empty() {
        Finding::ok(Check::Engine, "The engine answers.")
    } else {
        Finding::ok(Check::Engine, said)
    }
}
