//! Sagas as steno runs them.

use super::step::{At, Stage, Step, stopped};
use super::{Env, LogLevel, Moment, Patience, Probe, TaskHandle, change_task};
use crate::db::Statement;
use crate::domain::time::Clock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use operation::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use steno::{
    Action, ActionContext, ActionError, ActionName, ActionRegistry, ActionResult, DagBuilder, Node, SagaDag,
    SagaName, SagaType, UndoResult,
};

/// The type parameters of steno.
#[derive(Debug)]
pub(super) struct Sagas<E>(PhantomData<fn() -> E>);

impl<E: Env> SagaType for Sagas<E> {
    type ExecContextType = Run<E>;
}

/// What the steps of one task share.
#[derive(Debug)]
pub(super) struct Run<E: Env> {
    pub(super) env: E,
    pub(super) task: Arc<TaskHandle>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Patience,
    pub(super) probe: Option<Arc<dyn Probe>>,
}

/// One kind of saga.
pub struct Saga<E: Env> {
    /// Its name, never changed: sagas under way are found again by it.
    pub name: &'static str,
    /// Its steps, in order.
    pub steps: Vec<Arc<dyn Step<E>>>,
}

impl<E: Env> fmt::Debug for Saga<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<&str> = self.steps.iter().map(|step| step.name()).collect();
        f.debug_struct("Saga").field("name", &self.name).field("steps", &steps).finish()
    }
}

/// Every kind of saga that the program knows.
#[derive(Debug)]
pub struct Book<E: Env> {
    sagas: BTreeMap<&'static str, Saga<E>>,
    pub(super) registry: Arc<ActionRegistry<Sagas<E>>>,
}

impl<E: Env> Book<E> {
    /// The book of these sagas.
    pub fn new(sagas: impl IntoIterator<Item = Saga<E>>) -> Book<E> {
        let sagas: BTreeMap<_, _> = sagas.into_iter().map(|saga| (saga.name, saga)).collect();
        let mut registry = ActionRegistry::new();
        for saga in sagas.values() {
            for action in saga.actions() {
                registry.register(action);
            }
        }
        Book { sagas, registry: Arc::new(registry) }
    }

    /// The saga with this name.
    pub fn saga(&self, name: &str) -> Option<&Saga<E>> {
        self.sagas.get(name)
    }

    /// Every saga.
    pub fn sagas(&self) -> impl Iterator<Item = &Saga<E>> {
        self.sagas.values()
    }
}

impl<E: Env> Saga<E> {
    fn actions(&self) -> impl Iterator<Item = Arc<dyn Action<Sagas<E>>>> {
        self.steps.iter().enumerate().map(|(position, step)| {
            let name = format!("{}.{}", self.name, step.name());
            Arc::new(StepAction { name, position, step: Arc::clone(step) }) as Arc<dyn Action<Sagas<E>>>
        })
    }

    /// What steno needs to run the saga with these parameters, to be stored.
    pub(super) fn dag(&self, parameters: Value) -> Result<Value, Failure> {
        let mut builder = DagBuilder::new(SagaName::new(self.name));
        for (step, action) in self.steps.iter().zip(self.actions()) {
            builder.append(Node::action(step.name(), step.title(), &*action));
        }
        let internal = |error: &dyn fmt::Display| Failure {
            code: "internal".to_owned(),
            message: format!("The saga {} cannot be made: {error}", self.name),
            hint: None,
        };
        let dag = builder.build().map_err(|error| internal(&error))?;
        serde_json::to_value(SagaDag::new(dag, parameters)).map_err(|error| internal(&error))
    }
}

/// A step as steno's action: around what the step does stand what people see of it, stopping and patience.
struct StepAction<E: Env> {
    name: String,
    position: usize,
    step: Arc<dyn Step<E>>,
}

impl<E: Env> fmt::Debug for StepAction<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepAction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<E: Env> Action<Sagas<E>> for StepAction<E> {
    fn do_it(&self, context: ActionContext<Sagas<E>>) -> BoxFuture<'_, ActionResult> {
        async move {
            let at = At::new(&context);
            self.show(&context, "running").await;
            let outcome = self.attempt(&at, context.user_data()).await;
            at.task.rest();
            if at.task.fence.is_abandoned() {
                // Whoever has the task now decides what became of this step; nothing is said here any more.
                return std::future::pending().await;
            }
            match outcome {
                Ok(output) => {
                    if self.step.stage() == Stage::Commit {
                        at.task.commit();
                    }
                    self.show(&context, "done").await;
                    Ok(Arc::new(output))
                }
                Err(failure) => {
                    at.task.log_failure(LogLevel::Error, self.step.title(), &failure);
                    self.undo(&at, context.user_data()).await;
                    if at.task.fence.is_abandoned() {
                        return std::future::pending().await;
                    }
                    self.show(&context, "failed").await;
                    Err(ActionError::action_failed(failure))
                }
            }
        }
        .boxed()
    }

    fn undo_it(&self, context: ActionContext<Sagas<E>>) -> BoxFuture<'_, UndoResult> {
        async move {
            let at = At::new(&context);
            self.show(&context, "undoing").await;
            self.undo(&at, context.user_data()).await;
            at.task.rest();
            if at.task.fence.is_abandoned() {
                return std::future::pending().await;
            }
            self.show(&context, "undone").await;
            Ok(())
        }
        .boxed()
    }

    fn name(&self) -> ActionName {
        ActionName::new(&self.name)
    }
}

/// Whether a failure is about the database being away, which says nothing about the step.
fn is_passing(failure: &Failure) -> bool {
    failure.code == "database-unavailable"
}

impl<E: Env> StepAction<E> {
    /// Runs the step as its stage asks: once, or until it succeeds or what is left is handed over.
    async fn attempt(&self, at: &At<'_, E>, run: &Run<E>) -> Result<Value, Failure> {
        let patience = &run.patience;
        let mut tries = 0;
        loop {
            if self.step.stage() != Stage::Final && at.task.is_stopping() {
                return Err(stopped());
            }
            let failure = match guarded(self.run(at, run)).await {
                Ok(output) => return Ok(output),
                Err(failure) => failure,
            };
            if at.task.fence.is_abandoned() {
                return Err(failure);
            }
            if self.step.stage() != Stage::Final && at.task.is_stopping() {
                return Err(stopped());
            }
            tries += 1;
            if is_passing(&failure) {
                self.wait(at, patience, tries).await;
                continue;
            }
            if self.step.stage() != Stage::Final {
                return Err(failure);
            }
            at.task.log_failure(LogLevel::Warning, self.step.title(), &failure);
            if tries >= patience.tries
                && matches!(guarded(self.step.leave_over(at, &failure)).await, Ok(true))
            {
                at.task.log(LogLevel::Warning, "This is tried again later, by the clean-up.");
                return Ok(Value::Null);
            }
            self.wait(at, patience, tries).await;
        }
    }

    /// Undoes the step, until it succeeds, what is left is handed over, or the task is no longer ours.
    async fn undo(&self, at: &At<'_, E>, run: &Run<E>) {
        let patience = &run.patience;
        let mut tries = 0;
        while let Err(failure) = guarded(self.undo_once(at, run)).await {
            if at.task.fence.is_abandoned() {
                return;
            }
            tries += 1;
            let what = format!("Undoing \"{}\"", self.step.title());
            at.task.log_failure(LogLevel::Warning, &what, &failure);
            if tries >= patience.tries
                && !is_passing(&failure)
                && matches!(guarded(self.step.leave_over(at, &failure)).await, Ok(true))
            {
                at.task.log(LogLevel::Warning, "This is tried again later, by the clean-up.");
                return;
            }
            self.wait(at, patience, tries).await;
        }
    }

    /// Runs the step; with a probe beside it, as that wants.
    async fn run(&self, at: &At<'_, E>, run: &Run<E>) -> Result<Value, Failure> {
        let Some(probe) = &run.probe else { return self.step.run(at).await };
        let mut output = Value::Null;
        for _ in 0..probe.times(&self.name) {
            probe.at(&self.name, Moment::BeforeRun).await?;
            output = self.step.run(at).await?;
            probe.at(&self.name, Moment::AfterRun).await?;
        }
        Ok(output)
    }

    /// Undoes the step once; with a probe beside it, as that wants.
    async fn undo_once(&self, at: &At<'_, E>, run: &Run<E>) -> Result<(), Failure> {
        let Some(probe) = &run.probe else { return self.step.undo(at).await };
        for _ in 0..probe.times(&self.name) {
            probe.at(&self.name, Moment::BeforeUndo).await?;
            self.step.undo(at).await?;
            probe.at(&self.name, Moment::AfterUndo).await?;
        }
        Ok(())
    }

    async fn wait(&self, at: &At<'_, E>, patience: &Patience, tries: u32) {
        tokio::select! {
            () = at.task.fence.abandoned() => {}
            () = tokio::time::sleep(patience.pause(tries)) => {}
        }
    }

    /// Writes down what people see of the step.
    async fn show(&self, context: &ActionContext<Sagas<E>>, state: &'static str) {
        let run = context.user_data();
        let at = run.clock.now();
        let now = at.millis();
        let begins = matches!(state, "running" | "undoing");
        let position = i64::try_from(self.position).unwrap_or(i64::MAX);
        let statement = if begins {
            Statement::new(
                "UPDATE subtasks SET state = $3, started_at = COALESCE(started_at, $4), ended_at = NULL \
                 WHERE task_id = $1 AND position = $2",
            )
        } else {
            Statement::new(
                "UPDATE subtasks SET state = $3, ended_at = $4 WHERE task_id = $1 AND position = $2",
            )
        };
        let subtask = statement.bind(run.task.id.to_string()).bind(position).bind(state).bind(now);
        let commits = state == "done" && self.step.stage() == Stage::Commit;
        let changed = change_task(at, "committed = committed OR $3 WHERE id = $2")
            .bind(run.task.id.to_string())
            .bind(commits);
        let statements = [subtask, changed];
        // When the lease is gone the caller sees so itself.
        let _ = run.task.fence.insist(&statements).await;
    }
}

/// A panic in a step is a failure of the step.
async fn guarded<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(|_| {
        Err(Failure {
            code: "internal".to_owned(),
            message: "The server made an error of its own in this step; its log tells more.".to_owned(),
            hint: Some("Report this with the task's log.".to_owned()),
        })
    })
}

impl Patience {
    /// How long to wait after so many tries: longer each time.
    fn pause(&self, tries: u32) -> Duration {
        self.pause.saturating_mul(1 << tries.saturating_sub(1).min(6))
    }
}
