//! A store, jobs that ask for faults, and progress that is noted.

use operation::{Failure, Progress, Unit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use worker::process::{Limits, Worker};
use worker::{Job, Outcome};

/// A job that asks the child of these tests for a fault.
pub(crate) fn fault(text: &str) -> Job {
    Job::Show { reference: format!("fault:{text}") }
}

/// Notes progress; cancels when a step of a certain name begins.
#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) steps: Mutex<Vec<String>>,
    pub(crate) amounts: Mutex<Vec<u64>>,
    cancel_at: Option<&'static str>,
    cancelled: AtomicBool,
}

impl Noted {
    /// Cancels when a step begins whose name begins so.
    pub(crate) fn cancelling_at(name: &'static str) -> Noted {
        Noted { cancel_at: Some(name), ..Noted::default() }
    }

    /// The numbers of processes that the child has named.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.steps.lock().unwrap().iter().filter_map(|step| pid_in(step)).collect()
    }
}

/// The number in `pid 7`.
pub(crate) fn pid_in(step: &str) -> Option<Pid> {
    Pid::from_raw(step.trim().strip_prefix("pid ")?.parse().ok()?)
}

impl Progress for Noted {
    fn step(&self, name: &str, _total: Option<u64>, _unit: Unit) {
        self.steps.lock().unwrap().push(name.to_owned());
        if self.cancel_at.is_some_and(|at| name.starts_with(at)) {
            self.cancelled.store(true, Ordering::SeqCst);
        }
    }

    fn advance(&self, amount: u64) {
        self.amounts.lock().unwrap().push(amount);
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

/// A store in a directory of its own, and a file beside it.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) log: RefCell<Vec<String>>,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene { directory, log: RefCell::default() };
        worker::run(&scene.store(), Job::Init, &operation::Silent).unwrap();
        std::fs::write(scene.file("beside"), "a secret").unwrap();
        scene
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.file("store")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a job by this executable as the child.
    pub(crate) fn run(&self, job: &Job) -> Result<Outcome, Failure> {
        self.run_by(&child(), job, &Noted::default())
    }

    pub(crate) fn run_by(
        &self,
        worker: &Worker,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Outcome, Failure> {
        worker.run(&self.store(), job, progress, &|line| self.log.borrow_mut().push(line.to_owned()))
    }

    /// What the child answers to a fault, which is always a failure: of its own, or that it names what it found.
    #[track_caller]
    pub(crate) fn fails(&self, text: &str) -> Failure {
        self.run(&fault(text)).expect_err(text)
    }
}

/// This executable as a child that has faults.
pub(crate) fn child() -> Worker {
    Worker::new(std::env::current_exe().unwrap(), ["worker"])
}

/// Limits that a test reaches.
pub(crate) fn tight() -> Limits {
    Limits { memory: 256 << 20, answer: 1 << 20, ..Limits::default() }
}

/// Limits of somebody who does not wait long. A child on a busy machine may be slower than one thinks.
pub(crate) fn impatient() -> Limits {
    Limits { silence: Duration::from_secs(4), ..Limits::default() }
}

/// Waits until a process is gone; it is a zombie at most.
#[track_caller]
pub(crate) fn assert_gone(pid: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let most = Timespec { tv_sec: 20, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&most)).unwrap();
    assert_eq!(ready, 1, "process {pid:?} is still there");
}

/// Whether `qemu-img` is here; says so where it is not.
pub(crate) fn qemu_img(test: &str) -> bool {
    let found = std::process::Command::new("qemu-img").arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED {test}: qemu-img is not installed");
    }
    found
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
