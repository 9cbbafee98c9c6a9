//! What the steps of several sagas do in the same way.

use super::changed;
use super::leftover::Leftover;
use crate::app::tasks::TaskLink;
use crate::app::{App, Refusal, engine};
use crate::db::{DbError, Statement, Tx};
use crate::domain::layer::LayerKind;
use crate::domain::{ConfigurationId, LayerId, VersionId};
use crate::tasks::{At, LogLevel, change_task, stopped};
use connectors::{Connector, Delivered, DiskName, DiskStamp, OperationKey, Placement, Shipment, Watch};
use layering::report::{Summary, Warning};
use operation::{Explain, Failure, Silent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use worker::{Job, Outcome};

/// A version with the names that it has in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct VersionInStore {
    /// Its layer.
    pub(in crate::app) layer: LayerId,
    /// The version.
    pub(in crate::app) version: VersionId,
    /// The layer's kind.
    pub(in crate::app) kind: LayerKind,
    /// The layer's name in the store.
    pub(in crate::app) store_name: String,
    /// The version's name in the store.
    pub(in crate::app) store_version: String,
}

impl VersionInStore {
    /// The reference in the store.
    pub(in crate::app) fn reference(&self) -> String {
        format!("{}:{}@{}", self.kind, self.store_name, self.store_version)
    }
}

/// A disk that was made readable here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FetchedDisk {
    pub(super) path: PathBuf,
    pub(super) in_place: bool,
    pub(super) stamp: DiskStamp,
    /// The only ranges, bytes, that may have changed since it was delivered, where the platform knows.
    #[serde(default)]
    pub(super) changed: Option<Vec<Range<u64>>>,
}

/// Carries out an engine job for the task.
pub(super) async fn engine(at: &At<'_, App>, job: Job) -> Result<Outcome, Failure> {
    engine::for_task(&at.env.engine, at.task, job).await
}

/// The engine gave something else than the job is for.
pub(super) fn other_outcome() -> Failure {
    Failure {
        code: "internal".to_owned(),
        message: "The engine answered something else than it was asked.".to_owned(),
        hint: Some("Report this with the task's log.".to_owned()),
    }
}

/// A refusal as the failure of a task.
pub(super) fn refused(refusal: Refusal) -> Failure {
    refusal.failure
}

/// A failure of the database.
pub(super) fn database(error: DbError) -> Failure {
    Failure::new(&error)
}

/// A failure of a connector.
pub(super) fn connector_failed(error: connectors::Error) -> Failure {
    Failure::new(&error as &dyn Explain)
}

/// Longest time for what a connector does without moving a disk. A platform that hangs fails the step and not the server.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What a connector gives, if it does so in time.
pub(super) async fn in_time<T>(call: impl Future<Output = connectors::Result<T>>) -> Result<T, Failure> {
    let answer = tokio::time::timeout(LONGEST, call).await.map_err(|_| Failure {
        code: "connector-slow".to_owned(),
        message: format!("The platform did not answer within {} minutes.", LONGEST.as_secs() / 60),
        hint: Some("See whether it is overloaded or stuck, then try again.".to_owned()),
    })?;
    answer.map_err(connector_failed)
}

/// The same, for steps that can be stopped: whoever stops the task does not wait for the platform.
pub(super) async fn asked<T>(
    at: &At<'_, App>,
    call: impl Future<Output = connectors::Result<T>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = at.task.cancel_token().cancelled_owned() => Err(connector_failed(connectors::Error::Cancelled)),
        answer = in_time(call) => answer,
    }
}

/// The connector of a configuration.
pub(super) async fn connector(app: &App, id: ConfigurationId) -> Result<Arc<dyn Connector>, Failure> {
    app.connect(id).await.map_err(refused)
}

/// The name under which connectors know the task's work.
pub(super) fn key(at: &At<'_, App>) -> Result<OperationKey, Failure> {
    at.task.id.to_string().parse().map_err(|error| Failure {
        code: "internal".to_owned(),
        message: format!("{error}"),
        hint: None,
    })
}

/// What connectors report to, and by what they are stopped.
pub(super) fn watch(at: &At<'_, App>) -> Watch {
    Watch::new(Arc::clone(at.task) as Arc<_>, at.task.cancel_token())
}

/// The folder of the task on the server's own disk.
pub(super) async fn scratch(at: &At<'_, App>) -> Result<PathBuf, Failure> {
    let folder = at.env.scratch.join(at.task.id.to_string());
    tokio::fs::create_dir_all(&folder).await.map_err(|error| Failure {
        code: "scratch-io".to_owned(),
        message: format!("The folder {} cannot be made: {error}", folder.display()),
        hint: Some("Check that the disk of the server's directory has room.".to_owned()),
    })?;
    Ok(folder)
}

/// Removes the folder of the task.
pub(super) async fn clear_scratch(at: &At<'_, App>) -> Result<(), Failure> {
    remove_folder(&at.env.scratch.join(at.task.id.to_string())).await
}

/// Removes a folder; fine when there is none.
pub(super) async fn remove_folder(folder: &Path) -> Result<(), Failure> {
    match tokio::fs::remove_dir_all(folder).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure {
            code: "scratch-io".to_owned(),
            message: format!("The folder {} cannot be removed: {error}", folder.display()),
            hint: None,
        }),
    }
}

/// Where an image is to be written before it is delivered.
pub(super) async fn place(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    shipment: &Shipment,
) -> Result<PathBuf, Failure> {
    let connector = connector(at.env, configuration).await?;
    match asked(at, connector.placement(&key(at)?, shipment)).await? {
        Placement::Here(path) => Ok(path),
        Placement::Scratch => {
            let path = scratch(at).await?.join(shipment.name.file_name());
            // What an earlier run has written is not complete, and the engine writes no file that exists.
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure {
                    code: "scratch-io".to_owned(),
                    message: format!("The file {} cannot be removed: {error}", path.display()),
                    hint: None,
                }),
                _ => Ok(path),
            }
        }
    }
}

/// Brings an image to the platform.
pub(super) async fn deliver(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    shipment: &Shipment,
    file: &Path,
) -> Result<Delivered, Failure> {
    let connector = connector(at.env, configuration).await?;
    connector.deliver(&key(at)?, shipment, file, &watch(at)).await.map_err(connector_failed)
}

/// Undoes [`place`] and [`deliver`].
pub(super) async fn withdraw(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    shipment: &Shipment,
) -> Result<(), Failure> {
    let connector = connector(at.env, configuration).await?;
    let removal = in_time(connector.withdraw(&key(at)?, shipment)).await?;
    clear_scratch(at).await?;
    super::leftover::gone(removal)
}

/// Removes what is kept of a delivery so that it could be undone.
pub(super) async fn conclude(at: &At<'_, App>, configuration: ConfigurationId) -> Result<(), Failure> {
    let connector = connector(at.env, configuration).await?;
    in_time(connector.conclude(&key(at)?)).await?;
    clear_scratch(at).await
}

/// What has the name of a packaging disk now.
pub(super) async fn packaging_disk(
    app: &App,
    configuration: ConfigurationId,
    disk: &DiskName,
) -> Result<Option<DiskStamp>, Failure> {
    let connector = connector(app, configuration).await?;
    Ok(in_time(connector.locate(disk)).await?.map(|found| found.stamp))
}

/// Deletes a packaging disk and the machine that runs on it, if what has its name is what was `seen`: a file of
/// somebody else is not ours to delete, nor is what was written since. Gives whether nothing has stayed.
pub(super) async fn delete_packaging_disk(
    app: &App,
    configuration: ConfigurationId,
    disk: &DiskName,
    seen: &DiskStamp,
) -> Result<bool, Failure> {
    if packaging_disk(app, configuration, disk).await?.is_some_and(|there| there != *seen) {
        return Ok(false);
    }
    delete_packaging_machine(app, configuration, disk).await?;
    let connector = connector(app, configuration).await?;
    super::leftover::gone(in_time(connector.delete_disk(disk, seen)).await?)?;
    Ok(true)
}

/// Deletes the machine that runs on a packaging disk.
pub(super) async fn delete_packaging_machine(
    app: &App,
    configuration: ConfigurationId,
    disk: &DiskName,
) -> Result<(), Failure> {
    let connector = connector(app, configuration).await?;
    super::leftover::gone(in_time(connector.delete_machine(disk)).await?)
}

/// Hands a packaging disk to the clean-up, as long as one can tell which it is.
pub(super) async fn leave_packaging_disk(
    at: &At<'_, App>,
    what: (ConfigurationId, DiskName),
    seen: Option<DiskStamp>,
    failure: &Failure,
) -> Result<bool, Failure> {
    let (configuration, disk) = what;
    match seen {
        Some(stamp) => leave(at, Leftover::PackagingDisk { configuration, disk, stamp }, failure).await,
        None => {
            let text = format!(
                "The packaging disk {disk} stays, if it is there: the platform could not be asked which file that is. \
                 Remove it by hand."
            );
            at.task.log(LogLevel::Warning, &text);
            Ok(true)
        }
    }
}

/// Makes a disk readable here.
pub(super) async fn fetch(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    disk: &DiskName,
) -> Result<FetchedDisk, Failure> {
    let connector = connector(at.env, configuration).await?;
    let folder = scratch(at).await?;
    let fetched = connector.fetch(&key(at)?, disk, &folder, &watch(at)).await.map_err(connector_failed)?;
    let changed = fetched.changed.as_deref().map(changed::at_most);
    Ok(FetchedDisk { path: fetched.path, in_place: fetched.in_place, stamp: fetched.stamp, changed })
}

/// Removes what [`fetch`] has put here.
pub(super) async fn release(at: &At<'_, App>, configuration: ConfigurationId) -> Result<(), Failure> {
    let connector = connector(at.env, configuration).await?;
    let folder = scratch(at).await?;
    in_time(connector.release(&key(at)?, &folder)).await?;
    clear_scratch(at).await
}

/// Refuses when a disk that was read where it is has been written meanwhile.
pub(super) async fn refuse_changed(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    disk: &DiskName,
    fetched: &FetchedDisk,
) -> Result<(), Failure> {
    if !fetched.in_place {
        return Ok(());
    }
    let connector = connector(at.env, configuration).await?;
    let found = asked(at, connector.locate(disk)).await?;
    if found.is_some_and(|found| found.stamp == fetched.stamp) {
        return Ok(());
    }
    Err(Failure {
        code: "disk-changed".to_owned(),
        message: format!("The disk {disk} was written while it was read."),
        hint: Some("Shut the machine that uses it down, then try again.".to_owned()),
    })
}

/// What the store has under a reference.
pub(super) async fn stored(at: &At<'_, App>, reference: &str) -> Result<Option<Summary>, Failure> {
    let (engine, silent) = (Arc::clone(&at.env.engine), Silent);
    let outcome = engine::blocking(move || engine.run(&Job::List, &silent, &|_| {})).await?;
    let Outcome::List(list) = outcome else { return Err(other_outcome()) };
    let written = |entry: &Summary| match &entry.version {
        Some(version) => format!("{}:{}@{version}", entry.kind.as_str(), entry.name),
        None => format!("{}:{}", entry.kind.as_str(), entry.name),
    };
    Ok(list.entries.into_iter().find(|entry| written(entry) == reference))
}

/// Refuses when the store has something under a name that the task is about to use. What an earlier task has left over
/// there is removed now: later that would be what this task makes.
pub(super) async fn refuse_stored(at: &At<'_, App>, reference: &str) -> Result<(), Failure> {
    let left = Leftover::Stored { reference: reference.to_owned() }.text()?;
    let left = Statement::new("SELECT id FROM leftovers WHERE what = $1").bind(left);
    if at.env.db.optional(left).await.map_err(database)?.is_some() {
        clear_stored(at, reference).await?;
    }
    match stored(at, reference).await? {
        None => Ok(()),
        Some(_) => Err(Failure {
            code: "store-name-taken".to_owned(),
            message: format!("The store has {reference} already, which this server did not make."),
            hint: Some("Remove it with `lamina plumbing remove`, or choose another name.".to_owned()),
        }),
    }
}

/// Removes what the store has under a reference; fine when there is nothing.
pub(super) async fn remove_stored(app: &App, reference: &str) -> Result<(), Failure> {
    let engine = Arc::clone(&app.engine);
    let job = Job::Remove { reference: reference.to_owned() };
    match engine::blocking(move || engine.run(&job, &Silent, &|_| {})).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == "not-found" => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Removes what the store has under the task's own reference, and lets no clean-up do so later.
pub(super) async fn clear_stored(at: &At<'_, App>, reference: &str) -> Result<(), Failure> {
    remove_stored(at.env, reference).await?;
    let left = Leftover::Stored { reference: reference.to_owned() }.text()?;
    change(at, &[Statement::new("DELETE FROM leftovers WHERE what = $1").bind(left)]).await
}

/// Writes the engine's remarks into the log.
pub(super) fn log_warnings(at: &At<'_, App>, warnings: &[Warning]) {
    for warning in warnings {
        at.task.log(LogLevel::Warning, &format!("{} ({})", warning.message, warning.code));
        for path in warning.paths.iter().take(100) {
            at.task.log(LogLevel::Warning, &format!("    {path}"));
        }
    }
}

/// Says what is going on.
pub(super) async fn describe(at: &At<'_, App>, text: &str) -> Result<(), Failure> {
    change(at, &[described(at, text)]).await
}

/// Changes rows in one transaction, which only the holder of the task can.
pub(super) async fn change(at: &At<'_, App>, statements: &[Statement<'_>]) -> Result<(), Failure> {
    let mut tx = at.task.fence.change().await?;
    for statement in statements {
        execute(&mut tx, statement.clone()).await?;
    }
    tx.commit().await.map_err(database)
}

/// Changes rows and passes the point of no return, both or neither; neither when somebody was told that the task stops.
pub(super) async fn commit(at: &At<'_, App>, statements: &[Statement<'_>]) -> Result<(), Failure> {
    let mut tx = at.task.fence.change().await?;
    let committed =
        change_task(at.env.clock.now(), "committed = TRUE WHERE id = $2 AND (committed OR NOT stop_asked)")
            .bind(at.task.id.to_string());
    if execute(&mut tx, committed).await? == 0 {
        return Err(stopped());
    }
    for statement in statements {
        execute(&mut tx, statement.clone()).await?;
    }
    tx.commit().await.map_err(database)
}

/// Runs a statement of a step's own transaction.
pub(super) async fn execute(tx: &mut Tx, statement: Statement<'_>) -> Result<u64, Failure> {
    tx.execute(statement).await.map_err(database)
}

/// Sets the state of a version.
pub(super) fn set_state(version: VersionId, state: &'static str) -> Statement<'static> {
    Statement::new("UPDATE versions SET state = $2, revision = revision + 1 WHERE id = $1")
        .bind(version.to_string())
        .bind(state)
}

/// The statements that put a version into packaging again: its first task waits again for a person.
pub(super) fn packaging_again(at: &At<'_, App>, version: VersionId) -> [Statement<'static>; 2] {
    [
        set_state(version, "packaging"),
        change_task(
            at.env.clock.now(),
            "state = 'action-required', next_action = 'finalize' WHERE kind = $3 \
             AND object_kind = 'version' AND object_id = $2 AND state = 'done'",
        )
        .bind(version.to_string())
        .bind(super::CREATE_VERSION),
    ]
}

/// The statements that remove a version, and its layer when it has no other.
pub(super) fn remove_version(version: &VersionInStore) -> [Statement<'static>; 2] {
    [
        Statement::new("DELETE FROM versions WHERE id = $1").bind(version.version.to_string()),
        Statement::new(
            "DELETE FROM layers WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM versions WHERE layer_id = $1)",
        )
        .bind(version.layer.to_string()),
    ]
}

/// Hands something to the clean-up.
pub(super) async fn leave(at: &At<'_, App>, what: Leftover, failure: &Failure) -> Result<bool, Failure> {
    let statement = what.statement(at.task.id, failure, at.env.clock.now())?;
    change(at, &[statement]).await?;
    Ok(true)
}

/// What the connector said, as what the task says.
pub(super) fn tell(at: &At<'_, App>, delivered: &Delivered, next: Option<&str>) -> Statement<'static> {
    let link = delivered.location.link.as_ref();
    let links: Vec<TaskLink> =
        link.map(|url| TaskLink { title: "Open".to_owned(), url: url.clone() }).into_iter().collect();
    change_task(
        at.env.clock.now(),
        "description = $3, location = $4, links = $5, next_action = $6 WHERE id = $2",
    )
    .bind(at.task.id.to_string())
    .bind(delivered.description.as_str())
    .bind(delivered.location.text.as_str())
    .bind(serde_json::json!(links).to_string())
    .bind(next)
}

/// The statement that makes a version with these contents deployable.
pub(super) fn deployable(version: VersionId, contents: &Summary, provenance: &Value) -> Statement<'static> {
    Statement::new(
        "UPDATE versions SET state = 'deployable', added_bytes = $2, digest = $3, provenance = $4, \
         revision = revision + 1 WHERE id = $1",
    )
    .bind(version.to_string())
    .bind(i64::try_from(contents.size).unwrap_or(i64::MAX))
    .bind(contents.id.as_str())
    .bind(provenance.to_string())
}

/// The statement that says what the task has come to.
pub(super) fn described(at: &At<'_, App>, text: impl Into<String>) -> Statement<'static> {
    change_task(at.env.clock.now(), "description = $3 WHERE id = $2")
        .bind(at.task.id.to_string())
        .bind(text.into())
}
