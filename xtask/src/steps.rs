//! The steps of a long task: a moving line while one runs, a table of times at the end.

use crate::report;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// The steps done so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, String)>,
}

impl Steps {
    /// Runs a step that says nothing while it works: a spinner moves on standard error. `work` gives the result and a
    /// remark for the table.
    pub(crate) fn quiet<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&ProgressBar) -> Result<(T, String)>,
    ) -> Result<T> {
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(
            ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        spinner.set_message(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        self.timed(name, || {
            let outcome = work(&spinner);
            spinner.finish_and_clear();
            outcome
        })
    }

    /// Runs a step that draws its own progress.
    pub(crate) fn loud<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        self.timed(name, work)
    }

    fn timed<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        let started = Instant::now();
        let (value, remark) = work().with_context(|| format!("this step failed: {name}"))?;
        let time = started.elapsed();
        report::line(format!("✓ {name} ({})", report::duration(time)));
        for line in remark.lines().filter(|line| !line.trim().is_empty()) {
            report::line(format!("    {line}"));
        }
        let first = remark.lines().next().unwrap_or_default().trim();
        self.done.push((name.to_owned(), time, shortened(first, 70)));
        Ok(value)
    }

    /// The table of what was done and how long it took.
    pub(crate) fn table(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .done
            .iter()
            .map(|(name, time, remark)| vec![name.clone(), report::duration(*time), remark.clone()])
            .collect();
        let total = self.done.iter().map(|(_, time, _)| *time).sum();
        rows.push(vec!["total".into(), report::duration(total), String::new()]);
        report::table(&["step", "time", "result"], &rows)
    }
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A bar for `total` bytes.
pub(crate) fn byte_bar(total: u64, message: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    bar.set_style(
        ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_message(message.to_owned());
    bar
}
