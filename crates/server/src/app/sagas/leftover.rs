//! What a task could not clean up; tried again until it is gone.

use super::work;
use crate::app::{App, Refusal};
use crate::db::Statement;
use crate::domain::{ConfigurationId, TaskId, Time};
use connectors::{DiskName, DiskStamp, OperationKey, Removal, Shipment};
use operation::Failure;
use serde::{Deserialize, Serialize};

/// Seconds until the second try; it doubles with each, up to a day.
const FIRST_WAIT: i64 = 60;
/// Longest wait between two tries, in seconds.
const LONGEST_WAIT: i64 = 24 * 60 * 60;
/// How many are tried at once.
const AT_ONCE: i64 = 100;

/// Something that is to be removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(in crate::app) enum Leftover {
    /// The local copy of a disk.
    Fetched {
        /// From where it came.
        configuration: ConfigurationId,
        /// The task's key.
        key: OperationKey,
    },
    /// A version or image in the store.
    Stored {
        /// Its reference.
        reference: String,
    },
    /// A disk that was being delivered, and is not to be.
    Delivery {
        /// To where.
        configuration: ConfigurationId,
        /// The task's key.
        key: OperationKey,
        /// What.
        shipment: Shipment,
    },
    /// What a platform keeps of a delivery so that it could be repeated.
    Trace {
        /// Where.
        configuration: ConfigurationId,
        /// The task's key.
        key: OperationKey,
    },
    /// A packaging disk and the machine that runs on it.
    PackagingDisk {
        /// Where.
        configuration: ConfigurationId,
        /// Its name there.
        disk: DiskName,
        /// Which file that was. Another one that has the name by now is somebody else's.
        stamp: DiskStamp,
    },
    /// A folder of layers that a stopped export has made.
    Layers {
        /// Where.
        configuration: ConfigurationId,
        /// The task's key.
        key: OperationKey,
        /// Its name there.
        folder: DiskName,
        /// What identifies it among tasks.
        object: String,
    },
}

impl Leftover {
    /// The statement that hands it to the clean-up.
    pub(super) fn statement(
        &self,
        task: TaskId,
        failure: &Failure,
        now: Time,
    ) -> Result<Statement<'static>, Failure> {
        Ok(Statement::new(
            "INSERT INTO leftovers (id, task_id, what, failure, tries, next_at, created_at) \
             VALUES ($1, $2, $3, $4, 0, $5, $6)",
        )
        .bind(TaskId::new().to_string())
        .bind(task.to_string())
        .bind(text(self)?)
        .bind(text(failure)?)
        .bind(now.after_seconds(FIRST_WAIT).millis())
        .bind(now.millis()))
    }

    /// Where it is, and the task's key if something of it may be here.
    fn place(&self) -> Option<(ConfigurationId, Option<&OperationKey>)> {
        match self {
            Leftover::Stored { .. } => None,
            Leftover::PackagingDisk { configuration, .. } => Some((*configuration, None)),
            Leftover::Fetched { configuration, key }
            | Leftover::Delivery { configuration, key, .. }
            | Leftover::Trace { configuration, key }
            | Leftover::Layers { configuration, key, .. } => Some((*configuration, Some(key))),
        }
    }

    /// Whether nobody knows any more how to reach the place. What is on the server's own disk is removed then.
    async fn is_out_of_reach(&self, app: &App) -> Result<bool, Failure> {
        let Some((configuration, key)) = self.place() else { return Ok(false) };
        let known = Statement::new("SELECT id FROM connector_configurations WHERE id = $1")
            .bind(configuration.to_string());
        if app.db.optional(known).await.map_err(work::database)?.is_some() {
            return Ok(false);
        }
        if let Some(key) = key {
            work::remove_folder(&app.scratch.join(key.as_str())).await?;
        }
        Ok(true)
    }

    /// As it is stored.
    pub(super) fn text(&self) -> Result<String, Failure> {
        text(self)
    }

    /// Removes it; fine when it is gone already.
    pub(super) async fn clear(&self, app: &App) -> Result<(), Failure> {
        match self {
            Leftover::Fetched { configuration, key } => {
                let connector = work::connector(app, *configuration).await?;
                let folder = app.scratch.join(key.as_str());
                work::in_time(connector.release(key, &folder)).await?;
                work::remove_folder(&folder).await
            }
            Leftover::Stored { reference } => work::remove_stored(app, reference).await,
            Leftover::Delivery { configuration, key, shipment } => {
                let connector = work::connector(app, *configuration).await?;
                let removal = work::in_time(connector.withdraw(key, shipment)).await?;
                work::remove_folder(&app.scratch.join(key.as_str())).await?;
                gone(removal)
            }
            Leftover::Trace { configuration, key } => {
                let connector = work::connector(app, *configuration).await?;
                work::in_time(connector.conclude(key)).await?;
                work::remove_folder(&app.scratch.join(key.as_str())).await
            }
            Leftover::PackagingDisk { configuration, disk, stamp } => {
                if !work::delete_packaging_disk(app, *configuration, disk, stamp).await? {
                    tracing::info!(
                        disk = disk.as_str(),
                        "another file has the packaging disk's name; it stays"
                    );
                }
                Ok(())
            }
            Leftover::Layers { configuration, key, folder, object } => {
                // What a later export has put there is not taken away.
                let later = Statement::new(
                    "SELECT id FROM tasks WHERE object_kind = 'layer-folder' AND object_id = $1 AND id > $2 LIMIT 1",
                )
                .bind(object.as_str())
                .bind(key.as_str());
                match app.db.optional(later).await.map_err(work::database)? {
                    Some(_) => Ok(()),
                    None => super::export_layers::take_away(app, *configuration, folder, key).await,
                }
            }
        }
    }
}

fn text(what: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(what).map_err(|error| Failure {
        code: "internal".to_owned(),
        message: format!("What is left over cannot be written down: {error}"),
        hint: None,
    })
}

/// What stays on the platform stays a leftover.
pub(super) fn gone(removal: Removal) -> Result<(), Failure> {
    match removal {
        Removal::Removed | Removal::WasGone | Removal::NotManaged => Ok(()),
        Removal::Left(why) => Err(Failure {
            code: "left-behind".to_owned(),
            message: format!("Something stays on the platform: {why}"),
            hint: Some("Remove it there by hand if it is not wanted.".to_owned()),
        }),
    }
}

impl App {
    /// Tries again to remove what tasks have left over.
    pub(in crate::app) async fn clear_leftovers(&self) -> Result<(), Refusal> {
        let now = self.clock.now();
        let due = Statement::new(
            "SELECT id, what, tries FROM leftovers WHERE next_at <= $1 ORDER BY next_at LIMIT $2",
        )
        .bind(now.millis())
        .bind(AT_ONCE);
        for row in self.db.all(due).await? {
            let (id, what, tries) = (row.text("id")?, row.json::<Leftover>("what")?, row.integer("tries")?);
            let wait = FIRST_WAIT.saturating_mul(1 << tries.clamp(0, 20)).min(LONGEST_WAIT);
            // Another server may be at it, or a task has taken the name for something new.
            let mine = Statement::new(
                "UPDATE leftovers SET tries = tries + 1, next_at = $3 WHERE id = $1 AND tries = $2",
            )
            .bind(id.as_str())
            .bind(tries)
            .bind(now.after_seconds(wait).millis());
            if self.db.execute(mine).await? == 0 {
                continue;
            }
            let cleared = match what.is_out_of_reach(self).await {
                Ok(false) => what.clear(self).await.map(|()| "what a task had left over is gone"),
                Ok(true) => {
                    Ok("the connector configuration was deleted; what a task had left over there stays")
                }
                Err(failure) => Err(failure),
            };
            match cleared {
                Ok(outcome) => {
                    tracing::info!(?what, outcome);
                    self.db.execute(Statement::new("DELETE FROM leftovers WHERE id = $1").bind(id)).await?;
                }
                Err(failure) => {
                    tracing::warn!(?what, reason = failure.message, "what a task has left over stays");
                    let statement = Statement::new("UPDATE leftovers SET failure = $2 WHERE id = $1")
                        .bind(id)
                        .bind(serde_json::to_string(&failure).map_err(Refusal::internal)?);
                    self.db.execute(statement).await?;
                }
            }
        }
        Ok(())
    }
}
