//! Changing what people see of tasks.

use crate::db::Statement;
use crate::domain::Time;

/// The statement that changes what people see of tasks, for who asks what has changed since they looked. `rest` is
/// what else is set, and of which tasks; its parameters begin with `$2`.
pub(crate) fn change_task(now: Time, rest: &'static str) -> Statement<'static> {
    Statement::assembled(format!("UPDATE tasks SET changed_at = $1, {rest}")).bind(now.millis())
}
