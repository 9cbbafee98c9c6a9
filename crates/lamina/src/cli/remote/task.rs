//! `lamina task`

use super::amounts::time;
use super::choices::{TASK_STATES, one_of};
use super::waiting::{log_line, outcome};
use super::{Context, Done, Items, Run, list};
use crate::printer::page::{Page, Visible};
use clap::{Args, Subcommand};
use client::types::{StopTasks, TaskState, TaskView};
use std::io;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Wait(WaitArgs),
    Log(LogArgs),
    Stop(StopArgs),
    StopAll(StopAllArgs),
}

/// List tasks, the newest first
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = one_of::<TaskState>(TASK_STATES))]
    state: Option<TaskState>,
    /// Only those that have not ended
    #[arg(long)]
    active: bool,
    /// Only your own
    #[arg(long)]
    mine: bool,
    /// Most tasks to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Show a task and its steps
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The task's identifier
    #[arg(value_name = "TASK")]
    task: String,
}

/// Show the progress of a task until it ends, then its log
#[derive(Args)]
pub(in crate::cli) struct WaitArgs {
    /// The task's identifier
    #[arg(value_name = "TASK")]
    task: String,
}

/// Read a task's log
#[derive(Args)]
pub(in crate::cli) struct LogArgs {
    /// The task's identifier
    #[arg(value_name = "TASK")]
    task: String,
}

/// Ask a task to stop: what it has begun is undone
#[derive(Args)]
pub(in crate::cli) struct StopArgs {
    /// The task's identifier
    #[arg(value_name = "TASK")]
    task: String,
}

/// Ask all tasks to stop that have not ended and that you may stop
#[derive(Args)]
pub(in crate::cli) struct StopAllArgs {}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::List(args) => args.run(context).await,
            Command::Show(args) => {
                let task = context.task(&args.task).await?;
                context.show(&task, |page| write(&task, page))
            }
            Command::Wait(args) => {
                let task = context.watch(&args.task).await?;
                context.show(&task, |page| outcome(&task, page))?;
                context.ended_well(&task)
            }
            Command::Log(args) => {
                let lines = context.log_of(&args.task).await?;
                context.show(&Items { items: &lines, more: false }, |page| {
                    lines.iter().try_for_each(|line| page.line(log_line(line)))
                })
            }
            Command::Stop(args) => {
                let task = context.api.stop_task().id(args.task).send().await?.into_inner();
                context.show(&task, |page| {
                    page.line(format_args!("Asked the task to stop: {}", Visible(&task.title)))
                })
            }
            Command::StopAll(StopAllArgs {}) => {
                context.sure("Stop all tasks that have not ended?")?;
                let stopped =
                    context.api.stop_tasks().body(StopTasks { tasks: None }).send().await?.into_inner();
                context
                    .show(&stopped, |page| page.line(format_args!("Asked {} tasks to stop.", stopped.asked)))
            }
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Done {
        let tasks = list!(
            context,
            self.limit,
            list_tasks,
            state = self.state,
            ended = self.active.then_some(false),
            mine = self.mine.then_some(true)
        )?;
        context.show_list(&tasks, "There is no such task.", |tasks, page| {
            page.table(
                ["TASK", "TITLE", "OF", "STATE", "BEGUN", "BY"],
                &[],
                tasks.iter().map(|task| {
                    [
                        task.id.to_string(),
                        Visible(&task.title).to_string(),
                        Visible(&task.object.name).to_string(),
                        state(task),
                        time(&task.created_at),
                        Visible(&task.owner).to_string(),
                    ]
                }),
            )
        })
    }
}

/// The state of a task, with how much is done while it runs.
fn state(task: &TaskView) -> String {
    let progress = task.progress.as_ref().filter(|_| task.ended_at.is_none());
    match progress.and_then(|progress| progress.total.map(|total| (progress.done, total))) {
        Some((done, total)) if total > 0 => {
            format!("{} {} %", task.state, i128::from(done) * 100 / i128::from(total))
        }
        _ => task.state.to_string(),
    }
}

fn write(task: &TaskView, page: &mut Page<'_>) -> io::Result<()> {
    outcome(task, page)?;
    if let Some(failure) = &task.failure {
        page.field("failure", format_args!("{} ({})", Visible(&failure.message), Visible(&failure.code)))?;
        if let Some(hint) = &failure.hint {
            page.field("hint", Visible(hint))?;
        }
    }
    page.field("of", Visible(&task.object.name))?;
    page.field("by", Visible(&task.owner))?;
    page.field("asked for", time(&task.created_at))?;
    if let Some(ended) = &task.ended_at {
        page.field("ended", time(ended))?;
    }
    page.field("id", &*task.id)?;
    page.line("")?;
    page.table(
        ["STEP", "STATE"],
        &[],
        task.subtasks.iter().map(|step| [Visible(&step.title).to_string(), Visible(&step.state).to_string()]),
    )
}
