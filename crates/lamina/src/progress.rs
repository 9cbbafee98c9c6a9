//! Progress of an operation on stderr: bars on a terminal, lines under `--verbose`, nothing otherwise.
//!
//! The operation only counts; a thread of the reporter's own looks at the count ten times a second and draws. So
//! counting costs one atomic addition, and a step that does not count for long still shows that it is alive. Nothing
//! is drawn in the first second: most operations are over by then.

use crate::printer::amount::{Bytes, Count, Span};
use crate::printer::write_stderr;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use operation::{Progress, Unit};
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an operation runs before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Shows the progress of one operation, until it is dropped.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

struct Shared {
    /// Done in the current step.
    done: AtomicU64,
    steps: Mutex<Steps>,
    /// Tells the drawing thread that the operation is over.
    over: Condvar,
    interrupted: Arc<AtomicBool>,
    verbose: bool,
    started: Instant,
}

#[derive(Default)]
struct Steps {
    current: Option<Step>,
    /// How many were started: tells the drawing thread that the current one is another than before.
    started: u64,
    over: bool,
    /// What is on the screen.
    bar: Option<ProgressBar>,
}

struct Step {
    name: String,
    total: Option<u64>,
    unit: Unit,
    started: Instant,
}

impl Reporter {
    /// Starts to report. `interrupted` is what asks the operation to stop; `verbose` leaves a line for every step.
    pub(crate) fn start(interrupted: Arc<AtomicBool>, verbose: bool) -> Reporter {
        let shared = Arc::new(Shared {
            done: AtomicU64::new(0),
            steps: Mutex::default(),
            over: Condvar::new(),
            interrupted,
            verbose,
            started: Instant::now(),
        });
        let drawn = Arc::clone(&shared);
        // Without the thread there are no bars; the operation itself does not need it.
        let drawer = thread::Builder::new().name("progress".into()).spawn(move || drawn.draw()).ok();
        Reporter { shared, drawer }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(drawer) = self.drawer.take() {
            // It fails only if drawing panicked, which must not hide the operation's own result.
            let _ = drawer.join();
        }
    }
}

impl Progress for Reporter {
    fn step(&self, name: &str, total: Option<u64>, unit: Unit) {
        self.shared.step(Step { name: name.to_owned(), total, unit, started: Instant::now() });
    }

    fn advance(&self, amount: u64) {
        self.shared.done.fetch_add(amount, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.shared.interrupted.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn steps(&self) -> MutexGuard<'_, Steps> {
        // A panic while it was held leaves nothing half done that drawing could stumble on.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, step: Step) {
        let mut steps = self.steps();
        let before = steps.current.replace(step);
        steps.started += 1;
        let done = self.done.swap(0, Ordering::Relaxed);
        self.leave_line(&steps, before, done);
    }

    fn end(&self) {
        let mut steps = self.steps();
        steps.over = true;
        let last = steps.current.take();
        let done = self.done.load(Ordering::Relaxed);
        self.leave_line(&steps, last, done);
        drop(steps);
        self.over.notify_all();
    }

    fn leave_line(&self, steps: &Steps, step: Option<Step>, done: u64) {
        if let (true, Some(step)) = (self.verbose, step) {
            steps.write_above(&step.line(done, step.started.elapsed()));
        }
    }

    /// The drawing thread: until the operation is over.
    fn draw(&self) {
        let terminal = stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let mut drawn_step = 0;
        let mut told = false;
        let mut steps = self.steps();
        while !steps.over {
            steps = self.over.wait_timeout(steps, TICK).unwrap_or_else(PoisonError::into_inner).0;
            if !told && self.interrupted.load(Ordering::Relaxed) {
                told = true;
                steps.write_above("Cancelling and cleaning up; press Ctrl-C again to stop at once.\n");
            }
            let Steps { current: Some(step), bar, started, over: false } = &mut *steps else { continue };
            if !terminal || self.started.elapsed() < PATIENCE {
                continue;
            }
            if drawn_step != *started {
                drawn_step = *started;
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
            let bar = bar.get_or_insert_with(|| step.bar());
            let done = self.done.load(Ordering::Relaxed);
            bar.set_message(step.so_far(done, step.started.elapsed()));
            bar.set_position(done);
            bar.tick();
        }
        if let Some(bar) = steps.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Steps {
    /// Writes lines that stay, above the bar if there is one.
    fn write_above(&self, lines: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_stderr(lines)),
            None => write_stderr(lines),
        }
    }
}

impl Step {
    fn bar(&self) -> ProgressBar {
        let template = match self.total {
            Some(_) => "{prefix} {wide_bar} {msg}",
            None => "{spinner} {prefix}: {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
        ProgressBar::with_draw_target(self.total, ProgressDrawTarget::stderr())
            .with_style(style)
            .with_prefix(self.name.clone())
    }

    /// What stands beside the bar after `took`: the amount, how fast it grows, how long the rest will take.
    fn so_far(&self, done: u64, took: Duration) -> String {
        let mut text = match (self.unit, self.total) {
            (Unit::Bytes, Some(total)) => format!("{} of {}", Bytes(done), Bytes(total)),
            (Unit::Bytes, None) => Bytes(done).to_string(),
            (Unit::Items, Some(total)) => format!("{} of {}", Count(done), Count(total)),
            (Unit::Items, None) => Count(done).to_string(),
        };
        if let (Unit::Bytes, Some(rate)) = (self.unit, rate(done, took)) {
            text.push_str(&format!(", {}/s", Bytes(rate)));
        }
        match self.total {
            Some(total) if done > 0 && took >= PATIENCE => {
                let left = took.as_secs_f64() * (total.saturating_sub(done) as f64 / done as f64);
                text.push_str(&format!(", {} left", Span(left as u64)));
            }
            _ => text.push_str(&format!(", {}", Span(took.as_secs()))),
        }
        text
    }

    /// What `--verbose` leaves of a step that took `took`.
    fn line(&self, done: u64, took: Duration) -> String {
        let amount = match (done, self.unit) {
            (0, _) => String::new(),
            (done, Unit::Bytes) => match rate(done, took) {
                Some(rate) => format!(": {}, {}/s", Bytes(done), Bytes(rate)),
                None => format!(": {}", Bytes(done)),
            },
            (done, Unit::Items) => format!(": {}", Count(done)),
        };
        format!("{:8.2} s  {}{amount}\n", took.as_secs_f64(), self.name)
    }
}

/// How much of `done` came per second, when it took long enough to tell. For reading: a float is exact enough.
fn rate(done: u64, took: Duration) -> Option<u64> {
    let seconds = took.as_secs_f64();
    (seconds >= 0.1).then(|| (done as f64 / seconds) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_leaves_a_line_with_its_time_and_rate() {
        let step = |name: &str, unit| Step { name: name.into(), total: None, unit, started: Instant::now() };
        assert_eq!(
            step("Read the disk", Unit::Bytes).line(3 << 30, Duration::from_millis(1500)),
            "    1.50 s  Read the disk: 3 GiB, 2 GiB/s\n"
        );
        assert_eq!(
            step("Create files", Unit::Items).line(24_004, Duration::from_millis(420)),
            "    0.42 s  Create files: 24,004\n"
        );
        assert_eq!(step("Sync", Unit::Items).line(0, Duration::ZERO), "    0.00 s  Sync\n");
    }

    #[test]
    fn an_interrupt_asks_the_operation_to_stop() {
        let interrupted = Arc::new(AtomicBool::new(false));
        let reporter = Reporter::start(Arc::clone(&interrupted), false);
        reporter.step("Read the disk", Some(10), Unit::Bytes);
        reporter.advance(5);
        assert!(!reporter.cancelled());
        interrupted.store(true, Ordering::Relaxed);
        assert!(reporter.cancelled());
    }

    #[test]
    fn a_bar_tells_how_far_how_fast_and_how_long_still() {
        let step = |total, unit| Step { name: "Read the disk".into(), total, unit, started: Instant::now() };
        let two_seconds = Duration::from_secs(2);
        assert_eq!(
            step(Some(4 << 30), Unit::Bytes).so_far(1 << 30, two_seconds),
            "1 GiB of 4 GiB, 512 MiB/s, 6 s left"
        );
        assert_eq!(step(None, Unit::Bytes).so_far(1 << 30, two_seconds), "1 GiB, 512 MiB/s, 2 s");
        assert_eq!(
            step(Some(24_000), Unit::Items).so_far(100, two_seconds),
            "100 of 24,000, 7 min 58 s left"
        );
        assert_eq!(step(Some(24_000), Unit::Items).so_far(0, two_seconds), "0 of 24,000, 2 s");
        // A total that turns out too small does not make the time left negative.
        assert_eq!(step(Some(10), Unit::Items).so_far(20, two_seconds), "20 of 10, 0 s left");
    }

    #[test]
    fn bars_can_be_made_for_every_step() {
        for total in [None, Some(1)] {
            Step { name: String::new(), total, unit: Unit::Items, started: Instant::now() }.bar();
        }
    }
}
