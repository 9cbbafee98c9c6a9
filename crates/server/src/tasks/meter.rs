//! How far the step of a task has come, how fast, and how long it will take.

use operation::Unit;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// What is being done, such as `reading the disk`.
    pub step: String,
    /// What is counted: `bytes` or `items`.
    pub unit: String,
    /// Done so far.
    pub done: u64,
    /// All of it, when it is known beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Units in a second, since the step began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u64>,
    /// Seconds that are left at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// Counts what is done in the current step.
#[derive(Debug, Default)]
pub(super) struct Meter {
    step: Option<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    unit: Unit,
    total: Option<u64>,
    done: u64,
    began: Instant,
}

/// Seconds of a step before its rate means anything.
const SETTLED: f64 = 1.0;

impl Meter {
    pub(super) fn step(&mut self, name: &str, total: Option<u64>, unit: Unit) {
        self.step = Some(Step { name: name.to_owned(), unit, total, done: 0, began: Instant::now() });
    }

    pub(super) fn advance(&mut self, amount: u64) {
        if let Some(step) = &mut self.step {
            step.done = step.done.saturating_add(amount);
        }
    }

    pub(super) fn clear(&mut self) {
        self.step = None;
    }

    pub(super) fn view(&self) -> Option<ProgressView> {
        let step = self.step.as_ref()?;
        Some(view(step, step.began.elapsed().as_secs_f64()))
    }
}

fn view(step: &Step, seconds: f64) -> ProgressView {
    let rate = (seconds >= SETTLED && step.done > 0).then(|| step.done as f64 / seconds);
    let left = step.total.map(|total| total.saturating_sub(step.done));
    ProgressView {
        step: step.name.clone(),
        unit: match step.unit {
            Unit::Bytes => "bytes".to_owned(),
            Unit::Items => "items".to_owned(),
        },
        done: step.done,
        total: step.total,
        per_second: rate.map(|rate| rate as u64),
        seconds_left: rate.zip(left).map(|(rate, left)| (left as f64 / rate).ceil() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_what_was_done_so_far() {
        let mut meter = Meter::default();
        assert_eq!(meter.view(), None);
        meter.step("copying", Some(1000), Unit::Bytes);
        meter.advance(250);
        let step = meter.step.as_ref().unwrap();
        let seen = view(step, 5.0);
        assert_eq!((seen.per_second, seen.seconds_left), (Some(50), Some(15)));
        let early = view(step, 0.5);
        assert_eq!((early.per_second, early.seconds_left), (None, None), "nothing is promised at once");
    }
}
