//! Carrying out tasks: taking them, holding them, and writing down how they end.

use super::saga::{Book, Run};
use super::{Env, Fence, LogLevel, Probe, TaskHandle, change_task, event};
use crate::db::{Db, DbError, Row, Statement};
use crate::domain::time::Clock;
use crate::domain::{TaskId, Time};
use async_trait::async_trait;
use operation::Failure;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use steno::{SagaCachedState, SagaCreateParams, SagaId, SagaNodeEvent, SagaResult, SecStore};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a lease holds, in seconds.
const LEASE: i64 = 60;
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// A lease that ends in less than this, in seconds, and could not be renewed is given up.
const MARGIN: i64 = 15;
/// How often progress and log are written down, and a wish to stop is looked for.
const TICK: Duration = Duration::from_millis(400);
/// How long what a task said last is tried to be written down, when it is left alone.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often tasks are looked for that other servers have made or lost.
const LOOK: Duration = Duration::from_secs(2);

/// How steps are tried again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries before what is left is handed to the clean-up.
    pub tries: u32,
    /// Wait after the first try; it doubles with each, up to 64 times this.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 4, pause: Duration::from_secs(1) }
    }
}

/// How a server carries out tasks.
#[derive(Debug, Clone)]
pub struct Conduct {
    /// Tasks that are carried out at the same time.
    pub at_once: usize,
    /// How steps are tried again.
    pub patience: Patience,
    /// What tests put beside the steps; nothing otherwise.
    pub probe: Option<Arc<dyn Probe>>,
}

impl Default for Conduct {
    fn default() -> Conduct {
        Conduct { at_once: 4, patience: Patience::default(), probe: None }
    }
}

/// Takes tasks from the queue and carries them out, several at a time.
#[derive(Debug)]
pub struct Runner<E: Env> {
    env: E,
    book: Arc<Book<E>>,
    db: Db,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    conduct: Conduct,
    holder: String,
    held: Mutex<BTreeSet<TaskId>>,
}

/// A task that was taken.
#[derive(Debug)]
struct Claimed {
    id: TaskId,
    generation: i64,
    dag: serde_json::Value,
    events: Vec<SagaNodeEvent>,
    committed: bool,
    stop_asked: bool,
}

/// What came of trying to take a task.
#[derive(Debug)]
enum Claim {
    Taken(Box<Claimed>),
    /// Another server was faster.
    Lost,
    /// There is none.
    Nothing,
}

impl<E: Env> Runner<E> {
    /// A runner that looks for new tasks when it is woken.
    pub fn new(
        env: E,
        book: Arc<Book<E>>,
        db: Db,
        clock: Arc<dyn Clock>,
        wake: Arc<Notify>,
        conduct: Conduct,
    ) -> Runner<E> {
        let holder = TaskId::new().to_string();
        Runner { env, book, db, clock, wake, conduct, holder, held: Mutex::default() }
    }

    /// Carries out tasks until `stop`; those under way are then left where they are, for the next server.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            while running.len() < self.conduct.at_once {
                match self.claim().await {
                    Ok(Some(claimed)) => {
                        let runner = Arc::clone(&self);
                        let abandoned = stop.child_token();
                        running.spawn(async move { runner.carry_out(claimed, abandoned).await });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "no task could be taken");
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
            }
        }
        while running.join_next().await.is_some() {}
        self.give_back().await;
    }

    /// Lets go of what this server holds, so that the next one need not wait for the leases' ends.
    async fn give_back(&self) {
        let statement = Statement::new("UPDATE tasks SET lease_until = 0, holder = NULL WHERE holder = $1")
            .bind(self.holder.as_str());
        if let Err(error) = self.db.execute(statement).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "leases of tasks could not be given back"
            );
        }
    }

    /// Takes the oldest task that nobody holds.
    async fn claim(&self) -> Result<Option<Claimed>, DbError> {
        loop {
            match self.try_claim().await? {
                Claim::Taken(claimed) => return Ok(Some(*claimed)),
                Claim::Lost => {}
                Claim::Nothing => return Ok(None),
            }
        }
    }

    async fn try_claim(&self) -> Result<Claim, DbError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let free = Statement::new(
            "SELECT id, generation, committed, stop_asked, saga FROM tasks \
             WHERE state IN ('queued', 'running') AND lease_until <= $1 ORDER BY created_at, id LIMIT 1",
        )
        .bind(now.millis());
        let Some(row) = tx.optional(free).await? else { return Ok(Claim::Nothing) };
        let text = row.text("id")?;
        let generation = row.integer("generation")? + 1;
        let take = change_task(
            now,
            "state = 'running', holder = $4, generation = $5, lease_until = $6, \
             started_at = COALESCE(started_at, $1) WHERE id = $2 AND generation = $3",
        )
        .bind(text.as_str())
        .bind(generation - 1)
        .bind(self.holder.as_str())
        .bind(generation)
        .bind(now.after_seconds(LEASE).millis());
        let id: TaskId = text.parse().map_err(|_| DbError::Foreign { column: "tasks.id" })?;
        tx.execute(event::started(id, now)).await?;
        if tx.execute(take).await? != 1 {
            return Ok(Claim::Lost);
        }
        let events = tx
            .all(Statement::new("SELECT event FROM saga_events WHERE task_id = $1").bind(text.as_str()))
            .await?
            .iter()
            .map(|row| row.json("event"))
            .collect::<Result<_, _>>()?;
        let claimed = Claimed {
            id,
            generation,
            dag: row.json("saga")?,
            events,
            committed: row.boolean("committed")?,
            stop_asked: row.boolean("stop_asked")?,
        };
        tx.commit().await?;
        Ok(Claim::Taken(Box::new(claimed)))
    }

    async fn carry_out(&self, claimed: Claimed, abandoned: CancellationToken) {
        let id = claimed.id;
        // A server that has lost a task to itself must not begin it again before it has let go, which is soon.
        if !self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            let soon = self.clock.now().after_seconds(LOOK.as_secs().cast_signed()).millis();
            let later = Statement::new("UPDATE tasks SET lease_until = $3 WHERE id = $1 AND generation = $2")
                .bind(id.to_string())
                .bind(claimed.generation)
                .bind(soon);
            _ = self.db.execute(later).await;
            return;
        }
        let fence = Fence::new(self.db.clone(), id, claimed.generation, abandoned);
        let task = Arc::new(TaskHandle::new(id, fence.clone(), self.db.clone(), Arc::clone(&self.clock)));
        if claimed.committed {
            task.commit();
        }
        if claimed.stop_asked {
            task.stop();
        }
        if !claimed.events.is_empty() {
            task.log(LogLevel::Info, "The task goes on where another server, or this one before, left it.");
        }
        let ended = {
            let saga = self.saga(claimed, &task);
            tokio::pin!(saga);
            let holding = self.hold(&task);
            tokio::pin!(holding);
            tokio::select! {
                result = &mut saga => Some(result),
                () = &mut holding => None,
            }
        };
        if let Some(result) = ended {
            task.close_log();
            task.write().await;
            self.end(&task, result).await;
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.wake.notify_one();
    }

    /// Runs the saga from where it is.
    async fn saga(&self, claimed: Claimed, task: &Arc<TaskHandle>) -> Result<SagaResult, Failure> {
        let store = FencedStore { fence: task.fence.clone() };
        let log = slog::Logger::root(slog::Discard, slog::o!());
        // One coordinator for each task: what it remembers of sagas that are over goes with it.
        let coordinator = steno::sec(log, Arc::new(store));
        let run = Arc::new(Run {
            env: self.env.clone(),
            task: Arc::clone(task),
            clock: Arc::clone(&self.clock),
            patience: self.conduct.patience,
            probe: self.conduct.probe.clone(),
        });
        let id = SagaId::from_u128(claimed.id.uuid().as_u128());
        let registry = Arc::clone(&self.book.registry);
        let impossible = |error: anyhow::Error| Failure {
            code: "task-unreadable".to_owned(),
            message: format!("The task cannot be gone on with: {error:#}"),
            hint: Some("Report this; a newer or older program may have begun the task.".to_owned()),
        };
        let result = coordinator
            .saga_resume(id, run, claimed.dag, registry, claimed.events)
            .await
            .map_err(impossible)?;
        coordinator.saga_start(id).await.map_err(impossible)?;
        Ok(result.await)
    }

    /// Holds the task until it is lost: renews its lease, writes down its progress, hears whether it is to stop.
    async fn hold(&self, task: &TaskHandle) {
        // Side by side: a database that takes long to answer must not keep a lease from being given up in time.
        tokio::select! {
            () = self.keep_lease(task) => {}
            () = self.keep_company(task) => {}
        }
        _ = tokio::time::timeout(LAST_WORDS, task.write()).await;
    }

    /// Renews the lease, and gives it up while it certainly still holds.
    async fn keep_lease(&self, task: &TaskHandle) {
        let mut until = self.clock.now().after_seconds(LEASE);
        let mut renew_at = Instant::now() + RENEW;
        loop {
            tokio::select! {
                () = task.fence.abandoned() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            if self.clock.now().after_seconds(MARGIN) >= until {
                tracing::warn!(task = %task.id, "the lease could not be renewed in time; the task is left alone");
                task.fence.abandon();
                return;
            }
            let next = self.clock.now().after_seconds(LEASE);
            if Instant::now() >= renew_at
                && tokio::time::timeout(RENEW, self.renew(task, next)).await.unwrap_or(false)
            {
                until = next;
                renew_at = Instant::now() + RENEW;
            }
        }
    }

    /// Writes down what the task says and sees what others want of it.
    async fn keep_company(&self, task: &TaskHandle) {
        loop {
            tokio::select! {
                () = task.fence.abandoned() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            task.write().await;
            let Ok(Some(row)) = self.look(task.id).await else { continue };
            if row.boolean("stop_asked").unwrap_or(false) {
                task.stop();
            }
            if row.integer("generation").is_ok_and(|generation| generation != task.fence.generation()) {
                task.fence.abandon();
            }
        }
    }

    async fn look(&self, id: TaskId) -> Result<Option<Row>, DbError> {
        let statement =
            Statement::new("SELECT stop_asked, generation FROM tasks WHERE id = $1").bind(id.to_string());
        self.db.optional(statement).await
    }

    async fn renew(&self, task: &TaskHandle, until: Time) -> bool {
        let statement = Statement::new("UPDATE tasks SET lease_until = $3 WHERE id = $1 AND generation = $2")
            .bind(task.id.to_string())
            .bind(task.fence.generation())
            .bind(until.millis());
        matches!(self.db.execute(statement).await, Ok(1))
    }

    /// Writes down how the task ended.
    async fn end(&self, task: &TaskHandle, result: Result<SagaResult, Failure>) {
        let failure = match result {
            Ok(SagaResult { kind: Ok(_), .. }) => None,
            Ok(SagaResult { kind: Err(error), .. }) => {
                Some(error.error_source.convert().unwrap_or_else(|error| Failure {
                    code: "internal".to_owned(),
                    message: error.to_string(),
                    hint: None,
                }))
            }
            Err(failure) => Some(failure),
        };
        let now = self.clock.now();
        let id = task.id.to_string();
        let state = match &failure {
            None => "done",
            Some(failure) if failure.code == "stopped" => "stopped",
            Some(_) => "failed",
        };
        let text = failure.as_ref().and_then(|failure| serde_json::to_string(failure).ok());
        let ended = change_task(
            now,
            "state = CASE WHEN $3 = 'done' AND next_action IS NOT NULL THEN 'action-required' \
             ELSE $3 END, next_action = CASE WHEN $3 = 'done' THEN next_action END, failure = $4, \
             progress = NULL, holder = NULL, lease_until = 0, ended_at = $1 WHERE id = $2",
        )
        .bind(id.clone())
        .bind(state)
        .bind(text);
        // The events were needed to go on; now the subtasks and the log tell what was done.
        let events = Statement::new("DELETE FROM saga_events WHERE task_id = $1").bind(id.as_str());
        let _ = task.fence.insist(&[ended, event::ended(task.id, now), events]).await;
        tracing::info!(task = %task.id, state, reason = failure.map(|failure| failure.message), "task ended");
    }
}

/// Ends the leases of all tasks, when it is certain that nobody who held one is alive.
pub(crate) async fn free_tasks(db: &Db) -> Result<(), DbError> {
    let statement = Statement::new(
        "UPDATE tasks SET lease_until = 0, holder = NULL WHERE holder IS NOT NULL AND state IN ('queued', 'running')",
    );
    let freed = db.execute(statement).await?;
    if freed > 0 {
        tracing::info!(freed, "tasks of a server that was killed are gone on with");
    }
    Ok(())
}

/// Where steno writes what a saga has done.
#[derive(Debug)]
struct FencedStore {
    fence: Fence,
}

#[async_trait]
impl SecStore for FencedStore {
    async fn saga_create(&self, _saga: SagaCreateParams) -> Result<(), anyhow::Error> {
        // Sagas are made by the change that asks for them, see `enqueue`.
        Ok(())
    }

    async fn record_event(&self, event: SagaNodeEvent) {
        let id = Uuid::from_u128(event.saga_id.as_u128()).hyphenated().to_string();
        let label = event.event_type.label();
        let written = serde_json::to_string(&event);
        let node = serde_json::to_value(event.node_id).ok().and_then(|node| node.as_i64());
        if let (Ok(text), Some(node)) = (written, node) {
            let statement = Statement::new(
                "INSERT INTO saga_events (task_id, node, label, event) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (task_id, node, label) DO NOTHING",
            )
            .bind(id)
            .bind(node)
            .bind(label)
            .bind(text);
            if self.fence.insist(&[statement]).await.is_some() {
                return;
            }
        }
        // steno goes on when this returns; a task that is no longer ours, or cannot be written down, must not.
        std::future::pending().await
    }

    async fn saga_update(&self, _id: SagaId, _state: SagaCachedState) {}
}
