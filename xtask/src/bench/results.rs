//! What was measured, put beside the goals, as a table and as JSON.

use super::measure::{Run, median};
use crate::report;
use serde::Serialize;
use std::collections::BTreeMap;

/// The runs of everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    /// The machine, the versions of the programs, the trees.
    pub(crate) facts: BTreeMap<String, String>,
    /// What was measured, in the order it was first run.
    pub(crate) rows: Vec<Row>,
    /// Goals that could be judged.
    pub(crate) goals: Vec<Goal>,
    /// What could not be measured, and why.
    pub(crate) left_out: Vec<String>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// A short stable name, such as `a`.
    pub(crate) key: String,
    /// What was run.
    pub(crate) title: String,
    /// In the order of the rounds.
    pub(crate) runs: Vec<Run>,
}

/// A figure beside what it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) title: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) reached: bool,
}

impl Results {
    /// Adds a run of the row `key`.
    pub(crate) fn add(&mut self, key: &str, title: &str, run: Run) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.key == key) {
            row.runs.push(run);
        } else {
            self.rows.push(Row { key: key.into(), title: title.into(), runs: vec![run] });
        }
    }

    fn runs(&self, key: &str) -> Option<&[Run]> {
        self.rows.iter().find(|row| row.key == key).map(|row| row.runs.as_slice())
    }

    /// The median wall time of a row, in seconds.
    pub(crate) fn wall(&self, key: &str) -> Option<f64> {
        Some(median(self.runs(key)?.iter().map(|run| run.wall)))
    }

    /// How many times longer `slow` took than `fast`: the median of the ratios of the rounds, as both ran in each.
    pub(crate) fn times_faster(&self, fast: &str, slow: &str) -> Option<f64> {
        let pairs = self.runs(fast)?.iter().zip(self.runs(slow)?);
        Some(median(pairs.map(|(fast, slow)| slow.wall / fast.wall)))
    }

    /// The largest peak memory of a row, in bytes.
    fn peak(&self, key: &str) -> Option<u64> {
        self.runs(key)?.iter().map(|run| run.peak_bytes).max()
    }

    /// `fast` is to be at least `least` times faster than `slow`.
    pub(crate) fn goal_faster(&mut self, title: &str, fast: &str, slow: &str, least: f64) {
        if let Some(ratio) = self.times_faster(fast, slow) {
            self.goals.push(Goal {
                title: title.into(),
                goal: format!("{least} times faster"),
                measured: format!("{ratio:.2} times"),
                reached: ratio >= least,
            });
        }
    }

    /// The wall time per entry of `large` is to be within `most` times that of `small`.
    pub(crate) fn goal_per_entry(&mut self, small: (&str, usize), large: (&str, usize), most: f64) {
        if let (Some(one), Some(other)) = (self.wall(small.0), self.wall(large.0)) {
            let ratio = (other / large.1 as f64) / (one / small.1 as f64);
            self.goals.push(Goal {
                title: format!("compose: time per entry at {} entries against {}", large.1, small.1),
                goal: format!("at most {most} times"),
                measured: format!("{ratio:.2} times"),
                reached: ratio <= most,
            });
        }
    }

    /// `key`, which processes so many bytes, is to do at least `least` of them a second.
    pub(crate) fn goal_rate(&mut self, title: &str, key: &str, bytes: u64, least: f64) {
        if let Some(wall) = self.wall(key) {
            let rate = bytes as f64 / wall;
            self.goals.push(Goal {
                title: title.into(),
                goal: format!("{:.0} MB/s", least / 1e6),
                measured: format!("{:.0} MB/s", rate / 1e6),
                reached: rate >= least,
            });
        }
    }

    /// A result is to be at most `most` times as long as what it was made from, in bytes.
    pub(crate) fn goal_size(&mut self, title: &str, result: u64, from: u64, most: f64) {
        let ratio = result as f64 / from as f64;
        self.goals.push(Goal {
            title: title.into(),
            goal: format!("at most {most} times as long"),
            measured: format!("{ratio:.2} times"),
            reached: ratio <= most,
        });
    }

    /// The peak memory of `key` is to stay below `most` bytes.
    pub(crate) fn goal_memory(&mut self, title: &str, key: &str, most: u64) {
        if let Some(peak) = self.peak(key) {
            self.goals.push(Goal {
                title: title.into(),
                goal: format!("below {}", report::bytes(most)),
                measured: report::bytes(peak),
                reached: peak < most,
            });
        }
    }

    /// A figure is to stay below another, both in this unit.
    pub(crate) fn goal_below(&mut self, title: &str, figure: f64, most: f64, unit: &str) {
        self.goals.push(Goal {
            title: title.into(),
            goal: format!("below {most} {unit}"),
            measured: format!("{figure:.1} {unit}"),
            reached: figure < most,
        });
    }

    /// Everything as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            text.push_str(&format!("{name}: {value}\n"));
        }
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let column = |figure: fn(&Run) -> f64| format!("{:.2}", median(row.runs.iter().map(figure)));
                vec![
                    row.key.clone(),
                    column(|run| run.wall),
                    column(|run| run.user),
                    column(|run| run.system),
                    report::bytes(row.runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0)),
                    row.runs.len().to_string(),
                    row.title.clone(),
                ]
            })
            .collect();
        text.push_str(
            "\nMedians of whole processes, in seconds; memory is the largest of all runs (what is \
             shown below 60 MiB is the measuring program's own, which a child starts with).\n\n",
        );
        text.push_str(&report::table(&["row", "wall", "user", "sys", "memory", "runs", "what"], &rows));
        let goals: Vec<Vec<String>> = self
            .goals
            .iter()
            .map(|goal| {
                let verdict = if goal.reached { "reached" } else { "NOT REACHED" };
                vec![verdict.into(), goal.measured.clone(), goal.goal.clone(), goal.title.clone()]
            })
            .collect();
        if !goals.is_empty() {
            text.push('\n');
            text.push_str(&report::table(&["verdict", "measured", "goal", "what"], &goals));
        }
        for reason in &self.left_out {
            text.push_str(&format!("\nnot measured: {reason}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wall: f64) -> Run {
        Run { wall, user: wall, system: 0.0, peak_bytes: 1 << 20 }
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        let mut results = Results::default();
        // The machine was twice as slow in the second round; the ratio is not touched by that.
        for (fast, slow) in [(1.0, 8.0), (2.0, 16.0), (1.0, 8.0)] {
            results.add("a", "fast", run(fast));
            results.add("d", "slow", run(slow));
        }
        assert_eq!(results.times_faster("a", "d"), Some(8.0));
        results.goal_faster("a against d", "a", "d", 15.0);
        assert!(!results.goals[0].reached);
        assert!(results.text().contains("NOT REACHED"));
    }

    #[test]
    fn a_goal_without_its_figures_is_not_judged() {
        let mut results = Results::default();
        results.add("a", "fast", run(1.0));
        results.goal_faster("a against d", "a", "d", 15.0);
        assert!(results.goals.is_empty());
    }
}
