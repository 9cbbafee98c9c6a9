//! A task under way, for whoever works on it: what it tells people, and whether it is still wanted.

use super::meter::{Meter, ProgressView};
use super::{Fence, change_task};
use crate::db::{Db, Statement};
use crate::domain::TaskId;
use crate::domain::time::Clock;
use operation::{Failure, Progress, Unit};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Most lines of a task's log. What comes after is only counted.
const MOST_LINES: usize = 10_000;
/// Longest line of a log, in characters.
const LONGEST_LINE: usize = 2000;

/// How much a line of a log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What goes on.
    Info,
    /// Something that people should know.
    Warning,
    /// Why the task failed.
    Error,
}

impl LogLevel {
    /// As it is stored and written.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Line {
    at: i64,
    level: LogLevel,
    text: String,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<Line>,
    taken: usize,
    left_out: u64,
}

/// A task under way. What is told here is written down by `write`, so that work never waits for it.
#[derive(Debug)]
pub struct TaskHandle {
    /// Which task.
    pub id: TaskId,
    /// Its lease.
    pub fence: Fence,
    db: Db,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// Cancelled when the task is to stop, or to be left alone.
    cancel: CancellationToken,
    committed: AtomicBool,
    meter: Mutex<Meter>,
    written: Mutex<Option<ProgressView>>,
    lines: Mutex<Lines>,
}

impl TaskHandle {
    pub(super) fn new(id: TaskId, fence: Fence, db: Db, clock: Arc<dyn Clock>) -> TaskHandle {
        let abandoned = fence.token().clone();
        TaskHandle {
            id,
            fence,
            db,
            clock,
            stop: CancellationToken::new(),
            cancel: abandoned.child_token(),
            committed: AtomicBool::new(false),
            meter: Mutex::default(),
            written: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// Whether a person asked to stop the task, and it can still be undone.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled() && !self.committed.load(Ordering::Relaxed)
    }

    /// A person has asked to stop the task.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        if !self.committed.load(Ordering::Relaxed) {
            self.cancel.cancel();
        }
    }

    /// For what waits: cancelled when the task is to stop while it can, or to be left alone.
    pub fn cancel_token(&self) -> CancellationToken {
        if self.committed.load(Ordering::Relaxed) {
            self.fence.token().child_token()
        } else {
            self.cancel.clone()
        }
    }

    /// From now on the task goes to its end, whatever a person asks.
    pub(super) fn commit(&self) {
        self.committed.store(true, Ordering::Relaxed);
    }

    /// Writes a line into the task's log.
    pub fn log(&self, level: LogLevel, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.taken >= MOST_LINES {
            lines.left_out += 1;
            return;
        }
        lines.taken += 1;
        let text: String = text.chars().take(LONGEST_LINE).collect();
        lines.waiting.push_back(Line { at: self.clock.now().millis(), level, text });
    }

    /// Writes a failure into the task's log.
    pub fn log_failure(&self, level: LogLevel, what: &str, failure: &Failure) {
        self.log(level, &format!("{what}: {} ({})", failure.message, failure.code));
    }

    /// No step is under way.
    pub(super) fn rest(&self) {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Writes progress and log into the database. What cannot be written now is kept for the next time.
    pub(super) async fn write(&self) {
        let progress = self.meter.lock().unwrap_or_else(PoisonError::into_inner).view();
        let known = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if progress != known {
            let text = progress.as_ref().and_then(|progress| serde_json::to_string(progress).ok());
            let statement = change_task(self.clock.now(), "progress = $4 WHERE id = $2 AND generation = $3")
                .bind(self.id.to_string())
                .bind(self.fence.generation())
                .bind(text);
            if self.db.execute(statement).await.is_ok() {
                *self.written.lock().unwrap_or_else(PoisonError::into_inner) = progress;
            }
        }
        loop {
            let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).waiting.pop_front();
            let Some(line) = line else { break };
            let statement = Statement::new(
                "INSERT INTO task_log (task_id, number, at, level, text) SELECT $1, \
                 (SELECT COALESCE(MAX(number), 0) + 1 FROM task_log WHERE task_id = $1), $3, $4, $5 \
                 WHERE EXISTS (SELECT 1 FROM tasks WHERE id = $1 AND generation = $2)",
            )
            .bind(self.id.to_string())
            .bind(self.fence.generation())
            .bind(line.at)
            .bind(line.level.as_str())
            .bind(line.text.as_str());
            if self.db.execute(statement).await.is_err() {
                self.lines.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_front(line);
                break;
            }
        }
    }

    /// Says what the log left out, at the end.
    pub(super) fn close_log(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.left_out > 0 {
            let text = format!("{} more lines were left out.", lines.left_out);
            lines.left_out = 0;
            lines.waiting.push_back(Line { at: self.clock.now().millis(), level: LogLevel::Info, text });
        }
    }
}

impl Progress for TaskHandle {
    fn step(&self, name: &str, total: Option<u64>, unit: Unit) {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).step(name, total, unit);
    }

    fn advance(&self, amount: u64) {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).advance(amount);
    }

    fn cancelled(&self) -> bool {
        self.fence.is_abandoned() || self.is_stopping()
    }
}
