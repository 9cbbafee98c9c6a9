//! What happens to tasks, written down for who is told of it (`app::webhook`) in the change in which it happens. Nothing
//! is written while nobody is to be told.

use crate::db::Statement;
use crate::domain::{TaskId, Time};

const INSERT: &str = "INSERT INTO task_events (task_id, position, event, at, tries, next_at) ";
const IF_WANTED: &str = "AND EXISTS (SELECT 1 FROM webhooks) ON CONFLICT (task_id, position) DO NOTHING";

/// The task was made.
pub(super) fn created(task: TaskId, now: Time) -> Statement<'static> {
    event(task, now, "1, 'created'", "1 = 1")
}

/// The task begins; to be written before that is, so that it is told of the first time only.
pub(super) fn started(task: TaskId, now: Time) -> Statement<'static> {
    event(task, now, "2, 'started'", "started_at IS NULL")
}

/// The task has ended, in the state that it has then.
pub(super) fn ended(task: TaskId, now: Time) -> Statement<'static> {
    event(task, now, "3, state", "ended_at IS NOT NULL")
}

fn event(task: TaskId, now: Time, what: &str, condition: &str) -> Statement<'static> {
    let sql =
        format!("{INSERT} SELECT id, {what}, $2, 0, $2 FROM tasks WHERE id = $1 AND {condition} {IF_WANTED}");
    Statement::assembled(sql).bind(task.to_string()).bind(now.millis())
}
