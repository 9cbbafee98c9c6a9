//! Measuring whole processes: wall clock, processor time and peak memory of one child.

use crate::command::{command, output};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use wait4::Wait4;

/// What one run of a program took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Run {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of processor time in the program and its children.
    pub(crate) user: f64,
    /// Seconds of processor time in the kernel on their behalf.
    pub(crate) system: f64,
    /// The largest resident memory of the program, in bytes.
    pub(crate) peak_bytes: u64,
}

impl Run {
    /// This run and `next` after it, as one.
    pub(crate) fn then(self, next: Run) -> Run {
        Run {
            wall: self.wall + next.wall,
            user: self.user + next.user,
            system: self.system + next.system,
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
        }
    }
}

/// Memory that is touched before every run, in bytes: more than any of the programs and the pages of its files need.
const TOUCHED: u64 = 4 << 30;

/// Touches free memory. The host of a virtual machine may have taken back what lay idle, and the first program that
/// uses it again pays for that (measured: five times the time of a copy), so that the order of programs would decide.
/// Done by a child, because a child's peak memory counts from what its parent has.
fn touch_memory() -> Result<()> {
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let free = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .context("/proc/meminfo does not say how much memory is free")?;
    let mebibytes = TOUCHED.min(free * 1024 / 4 * 3) >> 20;
    output(
        command("dd")
            .args(["if=/dev/zero", "of=/dev/null", "count=1", "iflag=fullblock"])
            .arg(format!("bs={mebibytes}M")),
    )?;
    Ok(())
}

/// Runs `command` to its end and measures it. Dirty pages of earlier runs are written first and free memory is touched,
/// so that no run pays for another.
pub(crate) fn run(command: &mut Command) -> Result<Run> {
    rustix::fs::sync();
    touch_memory()?;
    run_at_once(command)
}

/// Runs `command` twice, each time after `prepare`, and measures the second run. For programs that work in memory for a
/// moment only: those that ask for huge pages get other memory than [`touch_memory`] has touched, and the host of a
/// virtual machine may have taken that back as well (measured: six times the time of the program's own work).
pub(crate) fn run_warm(command: &mut Command, prepare: impl Fn() -> Result<()>) -> Result<Run> {
    prepare()?;
    run_at_once(command)?;
    prepare()?;
    rustix::fs::sync();
    run_at_once(command)
}

fn run_at_once(command: &mut Command) -> Result<Run> {
    let said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    let used = child.wait4()?;
    let wall = started.elapsed();
    if !used.status.success() {
        let mut text = String::new();
        let mut said = said;
        std::io::Seek::rewind(&mut said)?;
        std::io::Read::read_to_string(&mut said, &mut text)?;
        bail!("`{}` ended with {}: {}", crate::command::typed(command), used.status, text.trim());
    }
    Ok(Run {
        wall: wall.as_secs_f64(),
        user: used.rusage.utime.as_secs_f64(),
        system: used.rusage.stime.as_secs_f64(),
        peak_bytes: used.rusage.maxrss,
    })
}

/// The middle of some figures; of an even number, the mean of the two in the middle.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// Like [`run`]; the second run is the first with the time that it takes to make `file`, which it wrote, durable.
pub(crate) fn run_and_sync(command: &mut Command, file: &Path) -> Result<(Run, Run)> {
    let run = run(command)?;
    let started = Instant::now();
    File::open(file)?.sync_all()?;
    Ok((run, Run { wall: run.wall + started.elapsed().as_secs_f64(), ..run }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_figure() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_run_is_measured_and_a_failing_one_says_why() {
        let used = run_at_once(command("sleep").arg("0.05")).unwrap();
        assert!((0.05..5.0).contains(&used.wall), "{used:?}");
        assert!(used.peak_bytes > 100_000, "{used:?}");
        let error = run_at_once(command("sh").args(["-c", "echo no room >&2; exit 4"])).unwrap_err();
        assert!(error.to_string().ends_with("no room"), "{error}");
    }
}
