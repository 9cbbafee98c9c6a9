//! Tasks as people see them: what is going on, how far it is, what to do next, and how to stop it.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::{App, Call, Change, Object, Reason, Refusal};
use crate::db::{Row, Statement};
use crate::domain::{Action, Invalid, Role, TaskId, Time, UserId};
use crate::tasks::{NewTask, ProgressView, change_task, enqueue};
use operation::Failure;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It waits until other tasks have ended.
    Queued,
    /// It is being carried out.
    Running,
    /// It has ended well, and a person has to do something now: see `next_action`.
    ActionRequired,
    /// It has ended well.
    Done,
    /// It has failed; what it had begun was undone.
    Failed,
    /// Somebody stopped it; what it had begun was undone.
    Stopped,
}

impl TaskState {
    const ALL: [TaskState; 6] = [
        TaskState::Queued,
        TaskState::Running,
        TaskState::ActionRequired,
        TaskState::Done,
        TaskState::Failed,
        TaskState::Stopped,
    ];

    fn as_str(self) -> &'static str {
        match self {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::ActionRequired => "action-required",
            TaskState::Done => "done",
            TaskState::Failed => "failed",
            TaskState::Stopped => "stopped",
        }
    }

    fn parse(text: &str) -> Option<TaskState> {
        TaskState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What a task is about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskObject {
    /// Its kind, such as `version`.
    pub kind: String,
    /// Its identifier.
    pub id: String,
    /// Its name when the task was made.
    pub name: String,
}

/// Why a task failed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskFailure {
    /// A stable code.
    pub code: String,
    /// What failed, on what and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Failure> for TaskFailure {
    fn from(failure: Failure) -> TaskFailure {
        TaskFailure { code: failure.code, message: failure.message, hint: failure.hint }
    }
}

/// Something to open or copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLink {
    /// What it is.
    pub title: String,
    /// Where it leads.
    pub url: String,
}

/// A step of a task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Subtask {
    /// What is done.
    pub title: String,
    /// `waiting`, `running`, `done`, `failed`, `undoing` or `undone`.
    pub state: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Its identifier.
    pub id: TaskId,
    /// Which kind of task, such as `publish`.
    pub kind: String,
    /// What it is called.
    pub title: String,
    /// Its state.
    pub state: TaskState,
    /// What it is about.
    pub object: TaskObject,
    /// What is going on, or what came of it.
    pub description: String,
    /// Where the result is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What there is to open or copy.
    pub links: Vec<TaskLink>,
    /// What a person does next, such as `finalize`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<TaskFailure>,
    /// How far the step that runs has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
    /// Somebody has asked to stop it.
    pub stop_asked: bool,
    /// Whether it is past the point of no return: it can no longer be stopped.
    pub committed: bool,
    /// Who asked for it, if it still is a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<UserId>,
    /// The name of who asked for it.
    pub owner: String,
    /// The network address it was asked from.
    pub address: String,
    /// When it was asked for.
    pub created_at: Time,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When anything of it changed last, its progress included.
    pub changed_at: Time,
    /// Its steps; empty in lists.
    pub subtasks: Vec<Subtask>,
}

/// A line of a task's log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number in the log, from 1.
    pub number: i64,
    /// When.
    pub at: Time,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// What.
    pub text: String,
}

/// Which tasks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TaskFilter {
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those that have not ended, or have.
    pub ended: Option<bool>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only one's own.
    pub mine: Option<bool>,
    /// Only those about the object with this identifier.
    pub object: Option<String>,
    /// Only those that have changed at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    pub changed_since: Option<Time>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `created_at` or `changed_at`; with `-` in front descending. The newest come first when not said.
    pub sort: Option<String>,
}

/// Which part of a log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// Only lines behind the one with this number.
    pub after: Option<i64>,
    /// Most lines to give, 1 to 1000; 200 when not said.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Which tasks to stop.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopTasks {
    /// These; all that one may stop and that have not ended, when absent.
    pub tasks: Option<Vec<TaskId>>,
}

/// How many tasks were asked to stop.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StoppedTasks {
    /// How many.
    pub asked: u64,
}

/// Most tasks that one call stops by name.
const MOST_STOPPED: usize = 1000;

const COLUMNS: &str = "SELECT id, kind, title, state, object_kind, object_id, object_name, description, location, \
                       links, next_action, failure, owner_id, owner_name, address, stop_asked, committed, progress, \
                       created_at, started_at, ended_at, changed_at FROM tasks";

const LISTING: Listing = Listing {
    select: COLUMNS,
    id: "id",
    sorts: &[
        Sort { name: "created_at", column: "created_at", number: true },
        Sort { name: "changed_at", column: "changed_at", number: true },
    ],
    newest_first: true,
};

fn view(row: &Row) -> Result<TaskView, Refusal> {
    let state = row.text("state")?;
    let json = |column: &str| -> Result<Option<serde_json::Value>, Refusal> {
        row.optional_text(column)?
            .map(|text| serde_json::from_str(&text).map_err(Refusal::internal))
            .transpose()
    };
    let of = |value: Option<serde_json::Value>| value.map(serde_json::from_value).transpose();
    Ok(TaskView {
        id: super::id(row, "id")?,
        kind: row.text("kind")?,
        title: row.text("title")?,
        state: TaskState::parse(&state)
            .ok_or_else(|| Refusal::internal(format!("a task in the unknown state {state}")))?,
        object: TaskObject {
            kind: row.text("object_kind")?,
            id: row.text("object_id")?,
            name: row.text("object_name")?,
        },
        description: row.text("description")?,
        location: row.optional_text("location")?,
        links: row.json("links")?,
        next_action: row.optional_text("next_action")?,
        failure: of(json("failure")?).map_err(Refusal::internal)?,
        progress: json("progress")?.map(serde_json::from_value).transpose().map_err(Refusal::internal)?,
        stop_asked: row.boolean("stop_asked")?,
        committed: row.boolean("committed")?,
        owner_id: super::optional_id(row, "owner_id")?,
        owner: row.text("owner_name")?,
        address: row.text("address")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        started_at: row.optional_integer("started_at")?.map(Time::from_millis),
        ended_at: row.optional_integer("ended_at")?.map(Time::from_millis),
        changed_at: Time::from_millis(row.integer("changed_at")?),
        subtasks: Vec::new(),
    })
}

fn one(id: TaskId) -> Statement<'static> {
    Statement::assembled(format!("{COLUMNS} WHERE id = $1")).bind(id.to_string())
}

/// What a task is to be, apart from who asks for it.
#[derive(Debug)]
pub(super) struct Wanted<'a, P> {
    /// Which saga.
    pub(super) saga: &'static str,
    /// What it is called.
    pub(super) title: &'static str,
    /// What is going on.
    pub(super) description: String,
    /// What it is about.
    pub(super) object: Object<'a>,
    /// What its steps need to know.
    pub(super) parameters: P,
}

impl App {
    /// Makes a task in a change; it is carried out when the change has been made.
    pub(super) async fn enqueue<P: Serialize>(
        &self,
        change: &mut Change<'_>,
        id: TaskId,
        wanted: Wanted<'_, P>,
    ) -> Result<(), Refusal> {
        let saga = self
            .book
            .saga(wanted.saga)
            .ok_or_else(|| Refusal::internal(format!("there is no saga {}", wanted.saga)))?;
        let call = change.call();
        let task = NewTask {
            id,
            title: wanted.title.to_owned(),
            description: wanted.description,
            object_kind: wanted.object.kind,
            object_id: wanted.object.id.to_owned(),
            object_name: wanted.object.name.to_owned(),
            owner: call.actor.user,
            owner_name: call.actor.name.clone(),
            address: call.address.clone(),
            parameters: serde_json::to_value(wanted.parameters).map_err(Refusal::internal)?,
        };
        let statements =
            enqueue(saga, task, change.now()).map_err(|failure| Refusal::internal(failure.message))?;
        for statement in statements {
            change.execute(statement).await?;
        }
        change.wake(Arc::clone(&self.wake));
        Ok(())
    }

    /// Lists tasks.
    pub async fn tasks(&self, call: &Call, filter: &TaskFilter) -> Result<Page<TaskView>, Refusal> {
        call.may(Action::ListTasks)?;
        let mut conditions = Conditions::new();
        if let Some(state) = filter.state {
            conditions.add("state = ?", state.as_str());
        }
        if let Some(ended) = filter.ended {
            conditions.add("(ended_at IS NOT NULL) = ?", ended);
        }
        if let Some(kind) = &filter.kind {
            conditions.add("kind = ?", kind.as_str());
        }
        if filter.mine == Some(true) {
            conditions.add("owner_id = ?", call.user()?.to_string());
        }
        if let Some(object) = &filter.object {
            conditions.add("object_id = ?", object.as_str());
        }
        if let Some(since) = filter.changed_since {
            conditions.add("changed_at >= ?", since.millis());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One task with its steps.
    pub async fn task(&self, call: &Call, id: TaskId) -> Result<TaskView, Refusal> {
        call.may(Action::GetTask)?;
        let row = self.db.optional(one(id)).await?.ok_or_else(|| Refusal::missing("task", id))?;
        let mut task = view(&row)?;
        let steps = Statement::new(
            "SELECT title, state, started_at, ended_at FROM subtasks WHERE task_id = $1 ORDER BY position",
        )
        .bind(id.to_string());
        for row in self.db.all(steps).await? {
            task.subtasks.push(Subtask {
                title: row.text("title")?,
                state: row.text("state")?,
                started_at: row.optional_integer("started_at")?.map(Time::from_millis),
                ended_at: row.optional_integer("ended_at")?.map(Time::from_millis),
            });
        }
        Ok(task)
    }

    /// A task without its steps, for who is told of it.
    pub(super) async fn task_for_message(&self, id: &str) -> Result<Option<TaskView>, Refusal> {
        let statement = Statement::assembled(format!("{COLUMNS} WHERE id = $1")).bind(id);
        self.db.optional(statement).await?.as_ref().map(view).transpose()
    }

    /// Lines of a task's log, oldest first.
    pub async fn task_log(
        &self,
        call: &Call,
        id: TaskId,
        filter: &LogFilter,
    ) -> Result<Vec<LogLine>, Refusal> {
        call.may(Action::ListTaskLog)?;
        let limit = filter.limit.unwrap_or(200);
        if !(1..=1000).contains(&limit) {
            return Err(Invalid::field("limit", "limit-range", "1 to 1000 lines are given at once.").into());
        }
        if self.db.optional(one(id)).await?.is_none() {
            return Err(Refusal::missing("task", id));
        }
        let lines = Statement::new(
            "SELECT number, at, level, text FROM task_log WHERE task_id = $1 AND number > $2 \
             ORDER BY number LIMIT $3",
        )
        .bind(id.to_string())
        .bind(filter.after.unwrap_or(0))
        .bind(i64::from(limit));
        self.db
            .all(lines)
            .await?
            .iter()
            .map(|row| {
                Ok(LogLine {
                    number: row.integer("number")?,
                    at: Time::from_millis(row.integer("at")?),
                    level: row.text("level")?,
                    text: row.text("text")?,
                })
            })
            .collect()
    }

    /// Asks a task to stop; what it has begun is undone. Its owner and administrators may.
    pub async fn stop_task(&self, call: &Call, id: TaskId) -> Result<TaskView, Refusal> {
        call.may(Action::StopTask)?;
        let mut change = self.begin(call).await?;
        let row = change.optional(one(id)).await?.ok_or_else(|| Refusal::missing("task", id))?;
        let mut task = view(&row)?;
        if !may_stop(call, &task) {
            return Err(Refusal::new(
                Reason::Forbidden,
                "task-of-another",
                format!("This task is {}'s.", task.owner),
            )
            .hint("Its owner or an administrator can stop it."));
        }
        if task.state == TaskState::ActionRequired {
            let (message, hint) = match task.next_action.as_deref() {
                Some("finalize") => (
                    format!("This task has ended; {} waits to be finalized.", task.object.name),
                    "To give the new version up, delete it: `lamina version delete`, or DELETE /versions/ID.",
                ),
                _ => (
                    "This task has ended; it waits for a person.".to_owned(),
                    "Do what its description says; nothing of it runs any more.",
                ),
            };
            return Err(Refusal::new(Reason::Conflict, "task-ended", message).hint(hint));
        }
        if task.ended_at.is_some() {
            return Err(Refusal::new(Reason::Conflict, "task-ended", "This task has ended already.")
                .hint("What it has made can be deleted."));
        }
        if task.committed {
            return Err(Refusal::new(
                Reason::Conflict,
                "task-committed",
                "This task is past its point of no return and goes to its end.",
            )
            .hint("Wait for it; what it makes can be deleted then."));
        }
        ask_to_stop(&mut change, id).await?;
        let text = id.to_string();
        let object = Object { kind: "task", id: &text, name: &task.title };
        let also = [(task.object.kind.as_str(), task.object.id.clone())];
        let detail = serde_json::json!({ "about": task.object });
        change.audit_touching(Action::StopTask, object, &also, &detail).await?;
        change.wake(Arc::clone(&self.wake));
        change.commit().await?;
        task.stop_asked = true;
        Ok(task)
    }

    /// Asks several tasks to stop; those that have ended, are past stopping or are somebody else's stay as they are.
    pub async fn stop_tasks(&self, call: &Call, wanted: &StopTasks) -> Result<StoppedTasks, Refusal> {
        call.may(Action::StopTasks)?;
        if wanted.tasks.as_ref().is_some_and(|tasks| tasks.len() > MOST_STOPPED) {
            let message = format!("At most {MOST_STOPPED} tasks are named at once.");
            return Err(Invalid::field("tasks", "too-many", message).into());
        }
        let mut change = self.begin(call).await?;
        let open = Statement::assembled(format!(
            "{COLUMNS} WHERE state IN ('queued', 'running') AND NOT committed AND NOT stop_asked"
        ));
        let mut asked = Vec::new();
        for row in change.all(open).await? {
            let task = view(&row)?;
            let named = wanted.tasks.as_ref().is_none_or(|tasks| tasks.contains(&task.id));
            if named && may_stop(call, &task) {
                ask_to_stop(&mut change, task.id).await?;
                asked.push(task.id.to_string());
            }
        }
        let object = Object { kind: "task", id: "", name: "Tasks" };
        let also: Vec<_> = asked.iter().map(|task| ("task", task.clone())).collect();
        change
            .audit_touching(Action::StopTasks, object, &also, &serde_json::json!({ "tasks": asked }))
            .await?;
        change.wake(Arc::clone(&self.wake));
        change.commit().await?;
        Ok(StoppedTasks { asked: asked.len() as u64 })
    }
}

fn may_stop(call: &Call, task: &TaskView) -> bool {
    let administrator = call.actor.roles.iter().any(|role| role == Role::Administrator);
    administrator || (task.owner_id.is_some() && task.owner_id == call.actor.user)
}

async fn ask_to_stop(change: &mut Change<'_>, id: TaskId) -> Result<(), Refusal> {
    let statement = change_task(change.now(), "stop_asked = TRUE WHERE id = $2").bind(id.to_string());
    change.execute(statement).await.map(drop)
}
