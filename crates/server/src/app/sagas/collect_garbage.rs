//! Giving back the room of what nothing in the store uses.

use super::work;
use crate::app::App;
use crate::tasks::{At, LogLevel, Saga, Stage, Step};
use async_trait::async_trait;
use operation::Failure;
use serde_json::Value;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const COLLECT_GARBAGE: &str = "collect-garbage";

pub(super) fn saga() -> Saga<App> {
    Saga { name: COLLECT_GARBAGE, steps: vec![Arc::new(Collect)] }
}

struct Collect;

#[async_trait]
impl Step<App> for Collect {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn title(&self) -> &'static str {
        "Give back the room of what nothing uses"
    }

    fn stage(&self) -> Stage {
        // Stopping it in the middle is fine, but there is nothing to undo.
        Stage::Undoable
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let Outcome::Gc(report) = work::engine(at, Job::Gc { dry_run: false }).await? else {
            return Err(work::other_outcome());
        };
        let text = serde_json::to_string(&report).unwrap_or_default();
        at.task.log(LogLevel::Info, &text);
        work::describe(at, &format!("{} bytes were given back.", report.bytes)).await?;
        Ok(Value::Null)
    }
}
