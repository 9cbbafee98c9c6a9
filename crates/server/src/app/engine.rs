//! The engine as the server reaches it: one job at a time, in a process of its own.

use crate::tasks::{LogLevel, TaskHandle};
use operation::{Failure, Progress};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use worker::process::Worker;
use worker::{Job, Outcome};

/// Carries out engine jobs on the server's store. Blocks.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Carries out one job; what it says meanwhile goes to `log`.
    fn run(&self, job: &Job, progress: &dyn Progress, log: &dyn Fn(&str)) -> Result<Outcome, Failure>;
}

/// Each job in a process of its own, which may crash without harm to the server.
#[derive(Debug)]
pub struct ProcessEngine {
    worker: Worker,
    store: PathBuf,
}

impl ProcessEngine {
    /// Jobs on the store in this directory, by processes of `worker`.
    pub fn new(worker: Worker, store: PathBuf) -> ProcessEngine {
        ProcessEngine { worker, store }
    }
}

impl Engine for ProcessEngine {
    fn run(&self, job: &Job, progress: &dyn Progress, log: &dyn Fn(&str)) -> Result<Outcome, Failure> {
        self.worker.run(&self.store, job, progress, log)
    }
}

/// Jobs in the server's own process: the same answers, without the protection.
#[derive(Debug)]
pub struct OwnProcessEngine {
    store: PathBuf,
}

impl OwnProcessEngine {
    /// Jobs on the store in this directory.
    pub fn new(store: PathBuf) -> OwnProcessEngine {
        OwnProcessEngine { store }
    }
}

impl Engine for OwnProcessEngine {
    fn run(&self, job: &Job, progress: &dyn Progress, _log: &dyn Fn(&str)) -> Result<Outcome, Failure> {
        worker::run(&self.store, job.clone(), progress)
    }
}

/// Carries out a job for a task: its progress is the task's, and it ends when the task is to stop.
pub(super) async fn for_task(
    engine: &Arc<dyn Engine>,
    task: &Arc<TaskHandle>,
    job: Job,
) -> Result<Outcome, Failure> {
    let (engine, task) = (Arc::clone(engine), Arc::clone(task));
    blocking(move || engine.run(&job, &*task, &|line| task.log(LogLevel::Info, line))).await
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Failure {
            code: "internal".to_owned(),
            message: format!("The server made an error of its own: {error}"),
            hint: Some("Report this with the server's log.".to_owned()),
        })
    })
}

/// Makes the store where there is none yet.
pub fn prepare_store(engine: &dyn Engine, store: &Path) -> Result<(), Failure> {
    let empty = std::fs::read_dir(store).is_ok_and(|mut entries| entries.next().is_none());
    if store.exists() && !empty {
        return Ok(());
    }
    engine.run(&Job::Init, &operation::Silent, &|_| {}).map(drop)
}
