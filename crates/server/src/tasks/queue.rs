//! Making tasks: rows of the change that asks for them, so that neither exists without the other.

use super::saga::Saga;
use super::{Env, event};
use crate::db::Statement;
use crate::domain::{TaskId, Time, UserId};
use operation::Failure;
use serde_json::Value;

/// A task to be made.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its identifier.
    pub id: TaskId,
    /// What it is called.
    pub title: String,
    /// What is going on, as sentences for people.
    pub description: String,
    /// Kind of the object that it is about, such as `version`.
    pub object_kind: &'static str,
    /// Identifier of the object.
    pub object_id: String,
    /// Name of the object at this time.
    pub object_name: String,
    /// Who asked for it.
    pub owner: Option<UserId>,
    /// Their name.
    pub owner_name: String,
    /// The network address they asked from.
    pub address: String,
    /// What its steps need to know.
    pub parameters: Value,
}

/// The statements that make a task which carries out `saga`.
pub fn enqueue<E: Env>(saga: &Saga<E>, task: NewTask, now: Time) -> Result<Vec<Statement<'static>>, Failure> {
    let id = task.id.to_string();
    let row = Statement::new(
        "INSERT INTO tasks (id, kind, title, state, object_kind, object_id, object_name, description, links, \
         owner_id, owner_name, address, saga, stop_asked, committed, generation, lease_until, created_at, \
         changed_at) VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, '[]', $8, $9, $10, $11, FALSE, FALSE, 0, 0, \
         $12, $12)",
    )
    .bind(id.as_str())
    .bind(saga.name)
    .bind(task.title)
    .bind(task.object_kind)
    .bind(task.object_id)
    .bind(task.object_name)
    .bind(task.description)
    .bind(task.owner.map(|owner| owner.to_string()))
    .bind(task.owner_name)
    .bind(task.address)
    .bind(saga.dag(task.parameters)?.to_string())
    .bind(now.millis());
    let mut statements = vec![row];
    for (position, step) in (0_i64..).zip(&saga.steps) {
        statements.push(
            Statement::new(
                "INSERT INTO subtasks (task_id, position, title, state) VALUES ($1, $2, $3, 'waiting')",
            )
            .bind(id.as_str())
            .bind(position)
            .bind(step.title()),
        );
    }
    statements.push(event::created(task.id, now));
    Ok(statements)
}
