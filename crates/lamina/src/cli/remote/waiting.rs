//! Watching tasks until they end.

use super::amounts::time;
use super::trouble::{TASK_FAILED, Trouble};
use super::{Context, Done};
use crate::printer::page::{HINT, Page, STRONG, Styled, Visible, VisibleLines};
use crate::printer::write_stderr;
use crate::progress::Reporter;
use clap::Args;
use client::types::{LogLine, TaskState, TaskView};
use operation::{Failure, Progress, Unit};
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How often a task is looked at in its first seconds, and later.
const OFTEN: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(1);
/// For how long it is looked at often.
const FIRST: Duration = Duration::from_secs(5);
/// For how long a server may be away while a task is watched: it goes on with the task when it comes back.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether to wait for the task that a command begins.
#[derive(Args)]
pub(in crate::cli) struct WaitArgs {
    /// Wait until the task ends, show its progress, then its log
    #[arg(long, short)]
    wait: bool,
}

/// Several tasks that were waited for.
#[derive(Serialize)]
struct Tasks<'a> {
    tasks: &'a [TaskView],
}

impl Context {
    /// Ends a command that has begun a task: says which it is, or waits for it. `begun` is the API's answer.
    pub(super) async fn task_begun(&self, begun: &impl Serialize, task: &str, wait: &WaitArgs) -> Done {
        if !wait.wait {
            return self.show(begun, |page| begun_line(task, page));
        }
        let task = self.watch(task).await?;
        self.show(&task, |page| outcome(&task, page))?;
        self.ended_well(&task)
    }

    /// Ends a command that has begun several tasks.
    pub(super) async fn tasks_begun(
        &self,
        begun: &impl Serialize,
        tasks: &[String],
        wait: &WaitArgs,
    ) -> Done {
        if !wait.wait {
            return self.show(begun, |page| tasks.iter().try_for_each(|task| begun_line(task, page)));
        }
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(self.watch(task).await?);
        }
        self.show(&Tasks { tasks: &ended }, |page| ended.iter().try_for_each(|task| outcome(task, page)))?;
        ended.iter().try_for_each(|task| self.ended_well(task))
    }

    /// The trouble that a task that failed is.
    pub(super) fn ended_well(&self, task: &TaskView) -> Done {
        let failure = match (task.state, &task.failure) {
            (TaskState::Done | TaskState::ActionRequired, _) => return Ok(()),
            (_, Some(failure)) => Failure {
                code: failure.code.clone(),
                message: failure.message.clone(),
                hint: failure.hint.clone(),
            },
            (_, None) => Failure {
                code: "task-stopped".to_owned(),
                message: format!("The task was stopped: {}", task.title),
                hint: None,
            },
        };
        Err(Trouble {
            status: TASK_FAILED,
            failure: Box::new(failure),
            fields: Vec::new(),
            request_id: None,
            shown: true,
        })
    }

    /// Shows the progress of a task until it has ended, then its log; or until the person has seen enough.
    pub(super) async fn watch(&self, id: &str) -> Result<TaskView, Trouble> {
        tokio::select! {
            ended = self.watch_to_the_end(id) => ended,
            _ = tokio::signal::ctrl_c() => Err(Trouble::interrupted(id)),
        }
    }

    async fn watch_to_the_end(&self, id: &str) -> Result<TaskView, Trouble> {
        let task = self.until_ended(id).await?;
        if !self.json {
            for line in self.log_of(id).await? {
                write_stderr(&format!("{}\n", log_line(&line)));
            }
        }
        Ok(task)
    }

    async fn until_ended(&self, id: &str) -> Result<TaskView, Trouble> {
        let reporter = Reporter::start(Arc::new(AtomicBool::new(false)), false);
        let began = Instant::now();
        let mut seen = Instant::now();
        let mut shown = None;
        loop {
            match self.task(id).await {
                Ok(task) if task.ended_at.is_some() => return Ok(task),
                Ok(task) => {
                    seen = Instant::now();
                    report(&reporter, &task, &mut shown);
                }
                Err(trouble) if trouble.is_passing() && seen.elapsed() < PATIENCE => {}
                Err(trouble) => return Err(trouble),
            }
            tokio::time::sleep(if began.elapsed() < FIRST { OFTEN } else { SELDOM }).await;
        }
    }

    /// A task as it is now.
    pub(super) async fn task(&self, id: &str) -> Result<TaskView, Trouble> {
        Ok(self.api.get_task().id(id).send().await?.into_inner())
    }

    /// All of a task's log.
    pub(super) async fn log_of(&self, id: &str) -> Result<Vec<LogLine>, Trouble> {
        /// Lines that are asked for at once.
        const AT_ONCE: u32 = 1000;
        let mut lines: Vec<LogLine> = Vec::new();
        loop {
            let after = lines.last().map_or(0, |line| line.number);
            let more = self.api.list_task_log().id(id).after(after).limit(AT_ONCE).send().await?.into_inner();
            let last = more.len() < AT_ONCE as usize;
            lines.extend(more);
            if last {
                return Ok(lines);
            }
        }
    }
}

/// Tells the reporter how far the task has come since `shown`.
fn report(reporter: &Reporter, task: &TaskView, shown: &mut Option<(String, i64)>) {
    let Some(progress) = &task.progress else { return };
    let before = match shown {
        Some((step, done)) if *step == progress.step => *done,
        _ => {
            let unit = if progress.unit == "bytes" { Unit::Bytes } else { Unit::Items };
            let total = progress.total.and_then(|total| u64::try_from(total).ok());
            reporter.step(&Visible(&progress.step).to_string(), total, unit);
            0
        }
    };
    let done = progress.done;
    reporter.advance(u64::try_from(done.saturating_sub(before)).unwrap_or(0));
    *shown = Some((progress.step.clone(), done));
}

fn begun_line(task: &str, page: &mut Page<'_>) -> io::Result<()> {
    page.line(format_args!("Task {task} has begun."))?;
    page.line(format_args!("{}: watch it with `lamina task wait {task}`.", Styled(HINT, "Hint")))
}

/// A line of a task's log.
pub(super) fn log_line(line: &LogLine) -> String {
    format!("{}  {:7}  {}", time(&line.at), Visible(&line.level).to_string(), Visible(&line.text))
}

/// What came of a task: where its result is, and what to do next.
pub(super) fn outcome(task: &TaskView, page: &mut Page<'_>) -> io::Result<()> {
    page.line(format_args!("{}  {}", Styled(STRONG, Visible(&task.title)), task.state))?;
    page.line(VisibleLines(&task.description))?;
    if let Some(location) = &task.location {
        page.field("location", Visible(location))?;
    }
    for link in &task.links {
        page.field("link", format_args!("{} ({})", Visible(&link.url), Visible(&link.title)))?;
    }
    if task.next_action.as_deref() == Some("finalize") {
        let next = format!("lamina version finalize {}", quoted(&task.object.name));
        page.line(format_args!("{}: when that is done, `{next}`.", Styled(HINT, "Hint")))?;
    }
    Ok(())
}

/// A name as it is typed at a shell.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '@' | ':' | '.' | '_' | '-' | '+'));
    match plain && !name.is_empty() {
        true => name.to_owned(),
        false => format!("'{}'", Visible(name).to_string().replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_can_be_typed() {
        assert_eq!(quoted("app:Office@2"), "app:Office@2");
        assert_eq!(quoted("app:Visual Studio@2"), "'app:Visual Studio@2'");
        assert_eq!(quoted("app:Bob's@1"), "'app:Bob'\\''s@1'");
        assert_eq!(quoted("app:$(rm)@1"), "'app:$(rm)@1'");
    }
}
