//! What stands beside the steps of a server under test, and does to them what the test wants.

use async_trait::async_trait;
use operation::Failure;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use server::tasks::{Moment, Probe};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A step at a moment.
pub(crate) type Point = (String, Moment);

/// Fails, repeats, holds and kills. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meddler(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plan: Mutex<Plan>,
    seen: Mutex<Vec<Point>>,
    reached: Notify,
    go: Notify,
}

/// What is to happen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Fails at these points, each so many times.
    pub(crate) fail: Vec<(Point, u32)>,
    /// Does and undoes everything twice.
    pub(crate) twice: bool,
    /// Waits here until it is let go.
    pub(crate) hold: Option<Point>,
    /// Dies here, as by `kill -9`.
    pub(crate) die: Option<Point>,
}

/// The moments of [`Moment`], as another process is told of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum When {
    BeforeRun,
    AfterRun,
    BeforeUndo,
    AfterUndo,
}

impl From<When> for Moment {
    fn from(when: When) -> Moment {
        match when {
            When::BeforeRun => Moment::BeforeRun,
            When::AfterRun => Moment::AfterRun,
            When::BeforeUndo => Moment::BeforeUndo,
            When::AfterUndo => Moment::AfterUndo,
        }
    }
}

impl Meddler {
    /// From now on does this.
    pub(crate) fn plan(&self, plan: Plan) {
        *self.0.plan.lock().unwrap() = plan;
    }

    /// From now on does nothing.
    pub(crate) fn rest(&self) {
        self.plan(Plan::default());
    }

    /// What steps have come by since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Point> {
        std::mem::take(&mut *self.0.seen.lock().unwrap())
    }

    /// Waits until a step is where it is held.
    pub(crate) async fn reached(&self) {
        self.0.reached.notified().await;
    }

    /// Lets the step go that is held.
    pub(crate) fn let_go(&self) {
        self.0.plan.lock().unwrap().hold = None;
        self.0.go.notify_one();
    }
}

#[async_trait]
impl Probe for Meddler {
    fn times(&self, _step: &str) -> u32 {
        if self.0.plan.lock().unwrap().twice { 2 } else { 1 }
    }

    async fn at(&self, step: &str, moment: Moment) -> Result<(), Failure> {
        let here = (step.to_owned(), moment);
        self.0.seen.lock().unwrap().push(here.clone());
        let (fails, holds) = {
            let mut plan = self.0.plan.lock().unwrap();
            if plan.die.as_ref() == Some(&here) {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
            let fault = plan.fail.iter_mut().find(|(point, times)| *point == here && *times > 0);
            let fails = fault.is_some();
            if let Some((_, times)) = fault {
                *times -= 1;
            }
            (fails, plan.hold.as_ref() == Some(&here))
        };
        if holds {
            self.0.reached.notify_one();
            self.0.go.notified().await;
        }
        if fails {
            let (code, message) = ("made-to-fail".to_owned(), format!("{step} was made to fail."));
            return Err(Failure { code, message, hint: None });
        }
        Ok(())
    }
}
