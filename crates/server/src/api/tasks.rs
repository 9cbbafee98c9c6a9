//! Tasks.

use super::extract::{At, Body, Caller, Filter};
use crate::app::list::Page;
use crate::app::tasks::{LogFilter, LogLine, StopTasks, StoppedTasks, TaskFilter, TaskView};
use crate::app::{App, Refusal};
use crate::domain::TaskId;
use axum::Json;
use axum::extract::State;

/// List tasks.
#[utoipa::path(get, path = "/tasks", operation_id = "list_tasks", tag = "tasks", params(TaskFilter),
    responses((status = 200, body = Page<TaskView>)))]
pub(super) async fn list_tasks(
    State(app): State<App>,
    Caller(call): Caller,
    Filter(filter): Filter<TaskFilter>,
) -> Result<Json<Page<TaskView>>, Refusal> {
    app.tasks(&call, &filter).await.map(Json)
}

/// See a task with its steps.
#[utoipa::path(get, path = "/tasks/{id}", operation_id = "get_task", tag = "tasks",
    params(("id" = String, Path, description = "The task.")), responses((status = 200, body = TaskView)))]
pub(super) async fn get_task(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TaskId>,
) -> Result<Json<TaskView>, Refusal> {
    app.task(&call, id).await.map(Json)
}

/// Read a task's log.
#[utoipa::path(get, path = "/tasks/{id}/log", operation_id = "list_task_log", tag = "tasks",
    params(("id" = String, Path, description = "The task."), LogFilter),
    responses((status = 200, body = Vec<LogLine>)))]
pub(super) async fn list_task_log(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TaskId>,
    Filter(filter): Filter<LogFilter>,
) -> Result<Json<Vec<LogLine>>, Refusal> {
    app.task_log(&call, id, &filter).await.map(Json)
}

/// Ask a task to stop.
///
/// What it has begun is undone. Past its point of no return it cannot be stopped.
#[utoipa::path(post, path = "/tasks/{id}/stop", operation_id = "stop_task", tag = "tasks",
    params(("id" = String, Path, description = "The task.")), responses((status = 200, body = TaskView)))]
pub(super) async fn stop_task(
    State(app): State<App>,
    Caller(call): Caller,
    At(id): At<TaskId>,
) -> Result<Json<TaskView>, Refusal> {
    app.stop_task(&call, id).await.map(Json)
}

/// Ask several tasks to stop.
#[utoipa::path(post, path = "/tasks/stop", operation_id = "stop_tasks", tag = "tasks", request_body = StopTasks,
    responses((status = 200, body = StoppedTasks)))]
pub(super) async fn stop_tasks(
    State(app): State<App>,
    Caller(call): Caller,
    Body(wanted): Body<StopTasks>,
) -> Result<Json<StoppedTasks>, Refusal> {
    app.stop_tasks(&call, &wanted).await.map(Json)
}
