//! Whether a process does anything, as far as that can be seen from outside.

use rustix::process::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// Between two looks at what a process has read and written.
const LOOK: Duration = Duration::from_secs(1);

/// How long a process has been quiet. It tells of progress, or it reads and writes: a long read is no hang.
pub(super) struct Life {
    pid: Pid,
    counters: Vec<Vec<u8>>,
    quiet: Duration,
    looked: Instant,
}

impl Life {
    /// A process that has just given a sign of life.
    pub(super) fn new(pid: Pid) -> Life {
        Life { pid, counters: Vec::new(), quiet: Duration::ZERO, looked: Instant::now() }
    }

    /// It gave a sign of life.
    pub(super) fn sign(&mut self) {
        self.quiet = Duration::ZERO;
    }

    /// How long it has been quiet, as long as somebody looked: while both were stopped, no time passed.
    pub(super) fn quiet(&mut self) -> Duration {
        let since = self.looked.elapsed();
        if since >= LOOK {
            self.looked = Instant::now();
            let counters = counters(self.pid);
            if counters == self.counters {
                self.quiet += since.min(2 * LOOK);
            } else {
                self.counters = counters;
                self.quiet = Duration::ZERO;
            }
        }
        self.quiet
    }
}

/// What the process and the programs that it started have read and written, as the kernel counts it: any difference
/// is a sign of life. Empty where the kernel does not tell; then only progress counts.
fn counters(pid: Pid) -> Vec<Vec<u8>> {
    let of = |pid: &str| fs::read(format!("/proc/{pid}/io")).ok();
    let pid = pid.as_raw_nonzero().to_string();
    let mut counters = Vec::from_iter(of(&pid));
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        counters.extend(children.split_whitespace().filter_map(of));
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_a_sign_of_life() {
        let own = rustix::process::getpid();
        let before = counters(own);
        assert!(!before.is_empty(), "the kernel tells a process about itself");
        fs::read("/proc/self/stat").unwrap();
        assert_ne!(counters(own), before);
    }

    #[test]
    fn a_process_that_is_gone_is_quiet() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        child.wait().unwrap();
        assert!(counters(pid).is_empty());
    }
}
