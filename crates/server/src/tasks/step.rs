//! The steps of which sagas are made.

use super::saga::Sagas;
use super::{Env, TaskHandle};
use async_trait::async_trait;
use operation::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use steno::ActionContext;

/// Where a step stands towards the point of no return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before it: can be undone, and is when a later step fails or a person stops the task.
    Undoable,
    /// It is the point of no return: when it has succeeded nothing is undone any more.
    Commit,
    /// Behind it: only tried again.
    Final,
}

/// One step of a saga.
///
/// It may run again although it has succeeded (the server died before that was written down), and its undoing may run
/// although it never began: both must do no harm then.
#[async_trait]
pub trait Step<E: Env>: Send + Sync + 'static {
    /// Its name, unique in the saga and never changed: sagas that are under way are found again by it.
    fn name(&self) -> &'static str;

    /// What it does, for people, such as `Copy the disk to the share`.
    fn title(&self) -> &'static str;

    /// Where it stands.
    fn stage(&self) -> Stage {
        Stage::Undoable
    }

    /// Does it. The result is kept for later steps, see [`At::output`].
    async fn run(&self, at: &At<'_, E>) -> Result<Value, Failure>;

    /// Undoes it, whether it was done, begun or neither.
    async fn undo(&self, at: &At<'_, E>) -> Result<(), Failure> {
        let _ = at;
        Ok(())
    }

    /// Hands what could not be undone, or done after the point of no return, to the clean-up that tries again later.
    /// `false`: there is nothing to hand over, the step has to be tried until it succeeds.
    async fn leave_over(&self, at: &At<'_, E>, failure: &Failure) -> Result<bool, Failure> {
        let _ = (at, failure);
        Ok(false)
    }
}

/// What a step works with.
pub struct At<'c, E: Env> {
    context: &'c ActionContext<Sagas<E>>,
    /// What the steps of all sagas need.
    pub env: &'c E,
    /// The task.
    pub task: &'c Arc<TaskHandle>,
}

impl<E: Env> fmt::Debug for At<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("At").field("task", &self.task.id).finish_non_exhaustive()
    }
}

impl<'c, E: Env> At<'c, E> {
    pub(super) fn new(context: &'c ActionContext<Sagas<E>>) -> At<'c, E> {
        let run = context.user_data();
        At { context, env: &run.env, task: &run.task }
    }

    /// What the task was made with.
    pub fn parameters<T: DeserializeOwned + Serialize + fmt::Debug + Send + Sync + 'static>(
        &self,
    ) -> Result<T, Failure> {
        self.context.saga_params().map_err(|error| unreadable("parameters", &error))
    }

    /// What an earlier step gave.
    pub fn output<T: DeserializeOwned + Serialize + fmt::Debug + Send + Sync + 'static>(
        &self,
        step: &'static str,
    ) -> Result<T, Failure> {
        self.context.lookup(step).map_err(|error| unreadable(step, &error))
    }
}

fn unreadable(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure {
        code: "task-unreadable".to_owned(),
        message: format!("What the task has written down of {what} cannot be read: {error}"),
        hint: Some("Report this; a newer or older program may have begun the task.".to_owned()),
    }
}

/// The failure of a task that a person stopped.
pub fn stopped() -> Failure {
    Failure { code: "stopped".to_owned(), message: "The task was stopped.".to_owned(), hint: None }
}
