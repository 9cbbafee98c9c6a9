//! The caller's side: starts the child, hears it, and ends it.

use super::ending::Running;
use super::failure::{ProcessError, Said};
use super::life::Life;
use super::listening::{Heard, clean, listen};
use super::protocol::{Event, MAX_ORDER, Order, PROTOCOL, line};
use crate::{Failure, Job, Outcome, Paths, paths};
use disk::format::{CONVERTER_FORBIDDEN, PART_SUFFIX, part_prefix};
use operation::Progress;
use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Between two looks at whether the job is still wanted.
const POLL: Duration = Duration::from_millis(100);
/// How long a child may take to end after its last word.
const GRACE: Duration = Duration::from_secs(5);
/// How long what is left in the pipes of a dead child is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Lines of stderr that a failure quotes.
const QUOTED: usize = 10;
/// Lines of a child that go to the log.
const MAX_LOGGED: usize = 1000;
/// Characters of a line for the log.
const MAX_LOG: usize = 1000;
/// Characters of the name of a step.
const MAX_NAME: usize = 200;
/// Characters of a message or hint.
const MAX_MESSAGE: usize = 64 << 10;
/// What a child gets of the environment: where `qemu-img` and shared libraries are.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// How much a child may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most memory for data, bytes (`RLIMIT_DATA`); files that are read or written do not count.
    pub memory: u64,
    /// How long it may neither tell of progress nor read or write anything.
    pub silence: Duration,
    /// Most bytes of its answer, as JSON.
    pub answer: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 4 << 30, silence: Duration::from_secs(600), answer: 256 << 20 }
    }
}

/// How to start a process that carries out one job.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    also: Paths,
}

impl Worker {
    /// A program that calls [`serve`](super::serve) when it is started with these arguments.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Worker {
        Worker {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limits: Limits::default(),
            also: Paths::default(),
        }
    }

    /// The running program itself, with the argument `worker`. It is the same program even if its file was replaced or
    /// removed since it was started.
    pub fn this_program() -> Worker {
        Worker::new("/proc/self/exe", ["worker"])
    }

    /// Sets how much each process may use.
    pub fn with_limits(self, limits: Limits) -> Worker {
        Worker { limits, ..self }
    }

    /// Lets each process touch these files besides those of its job, such as the backing files of an image that lie in
    /// another directory.
    pub fn with_paths(self, also: Paths) -> Worker {
        Worker { also, ..self }
    }

    /// Carries `job` out on the store in the directory `store`, in a process of its own, and gives what
    /// [`run`](crate::run()) would. Blocks until the process is gone.
    ///
    /// `progress` is told and asked on this thread, at least every 200 ms as long as it answers at once; when it says
    /// cancelled, the process is killed and files that it had not finished are removed. `log` gets lines for the log of
    /// whoever wants to know what happened.
    ///
    /// A disk that can only be read by `qemu-img` is found out by a process that may start no programs; the job is then
    /// started once more in one that may start this one.
    ///
    /// # Errors
    /// What the engine gives, and [`ProcessError`].
    pub fn run(
        &self,
        store: &Path,
        job: &Job,
        progress: &dyn Progress,
        log: &dyn Fn(&str),
    ) -> Result<Outcome, Failure> {
        match self.attempt(store, job, false, progress, log) {
            Err(failure) if failure.code == CONVERTER_FORBIDDEN => {
                log("The disk has to be converted with qemu-img: starting again with leave to run that.");
                self.attempt(store, job, true, progress, log)
            }
            answer => answer,
        }
    }

    fn attempt(
        &self,
        store: &Path,
        job: &Job,
        converter: bool,
        progress: &dyn Progress,
        log: &dyn Fn(&str),
    ) -> Result<Outcome, Failure> {
        let unstarted = |why: String| {
            let error = ProcessError::CannotStart { why, said: Said::default() };
            Failure::new(&error)
        };
        let scratch = tempfile::Builder::new().prefix("lamina-worker-").tempdir();
        let scratch = scratch.map_err(|error| unstarted(format!("no scratch directory: {error}")))?;
        let needed = paths(store, job);
        let order = line(&Order {
            store: store.to_owned(),
            job: job.clone(),
            paths: needed
                .clone()
                .and(self.also.clone())
                .and(Paths { write: vec![scratch.path().to_owned()], ..Paths::default() }),
            memory: self.limits.memory,
            answer: self.limits.answer,
            converter,
        });
        let order = order.map_err(|error| unstarted(format!("the order cannot be written: {error}")))?;
        if order.len() as u64 > MAX_ORDER {
            return Err(unstarted(format!("the order is longer than {MAX_ORDER} bytes")));
        }
        let mut running = self.start(&scratch).map_err(|error| unstarted(error.to_string()))?;
        let pid = running.pid();
        let child = running.child();
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(unstarted("its pipes are not there".to_owned()));
        };
        let heard = listen(stdout, stderr, self.limits.answer.saturating_add(1024));
        let mut conversation = Conversation {
            limits: &self.limits,
            job,
            progress,
            log,
            heard: heard.map_err(|error| unstarted(error.to_string()))?,
            order: Some((stdin, order)),
            speaking: None,
            greeted: false,
            doing: "starting".to_owned(),
            said: VecDeque::new(),
            logged: 0,
            life: Life::new(pid),
        };
        let answer = conversation.hold(&mut running);
        if answer.is_err() {
            for directory in &needed.write {
                remove_parts(directory, pid.as_raw_nonzero().get() as u32);
            }
        }
        answer
    }

    fn start(&self, scratch: &TempDir) -> std::io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.arg0("lamina").args(&self.arguments).env_clear();
        for name in KEPT {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command.env("TMPDIR", scratch.path());
        // Otherwise the allocator makes a whole GiB writable ahead, which would count as used.
        command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(&mut command)
    }
}

/// How a conversation came to its end.
enum Close {
    Answer(Box<Result<Outcome, Failure>>),
    Wrong(String),
    Closed,
    Cancelled,
    Hung,
}

/// One child, from its first word to its end.
struct Conversation<'a> {
    limits: &'a Limits,
    job: &'a Job,
    progress: &'a dyn Progress,
    log: &'a dyn Fn(&str),
    heard: Receiver<Heard>,
    /// What is sent once the child has said hello.
    order: Option<(ChildStdin, Vec<u8>)>,
    /// Keeps the child's standard input open: when it ends, the child does.
    speaking: Option<JoinHandle<ChildStdin>>,
    greeted: bool,
    doing: String,
    said: VecDeque<String>,
    logged: usize,
    life: Life,
}

impl Conversation<'_> {
    fn hold(&mut self, running: &mut Running) -> Result<Outcome, Failure> {
        let mut close = self.listen();
        let itself = match close {
            Close::Answer(_) | Close::Closed => running.ends_within(GRACE).unwrap_or(false),
            Close::Wrong(_) | Close::Cancelled | Close::Hung => false,
        };
        let status = running.end();
        // What it had already said counts: a job that was done before it was stopped is done.
        let until = Instant::now() + LAST_WORDS;
        while let Ok(heard) = self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if let Some(answer @ Close::Answer(_)) = self.take(heard)
                && matches!(close, Close::Cancelled | Close::Hung)
            {
                close = answer;
            }
        }
        let said = Said(self.said.make_contiguous().join(" | "));
        let doing = self.doing.clone();
        let error = match close {
            Close::Answer(answer) => return *answer,
            Close::Cancelled => ProcessError::Cancelled { doing },
            Close::Hung => ProcessError::Hung { silence: self.limits.silence, doing },
            Close::Wrong(why) => ProcessError::Protocol { why, said },
            Close::Closed => match status {
                Err(error) => ProcessError::Crashed { how: error.to_string(), doing, said },
                Ok(_) if !itself => {
                    ProcessError::Protocol { why: "it closed its output and went on".to_owned(), said }
                }
                Ok(status) => self.ended(status, doing, said),
            },
        };
        Err(Failure::new(&error))
    }

    /// Why a child ended by itself without an answer.
    fn ended(&self, status: ExitStatus, doing: String, said: Said) -> ProcessError {
        let out_of_memory = |how: String, doing| ProcessError::OutOfMemory { how, doing };
        match status.signal() {
            Some(libc::SIGKILL) => out_of_memory(
                "it was killed, which the kernel does when the machine or the service has no memory left"
                    .to_owned(),
                doing,
            ),
            // The words of Rust's allocation error, which ends in an abort.
            Some(libc::SIGABRT) if said.0.contains("memory allocation of ") => {
                let mib = self.limits.memory >> 20;
                out_of_memory(format!("it may use {mib} MiB for data"), doing)
            }
            _ if !self.greeted => {
                ProcessError::CannotStart { why: format!("it ended at once with {status}"), said }
            }
            _ => ProcessError::Crashed { how: status.to_string(), doing, said },
        }
    }

    /// Hears the child until something ends that.
    fn listen(&mut self) -> Close {
        let mut asked = Instant::now();
        loop {
            match self.heard.recv_timeout(POLL) {
                Ok(heard) => {
                    if let Some(close) = self.take(heard) {
                        return close;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Close::Closed,
            }
            if asked.elapsed() >= POLL {
                asked = Instant::now();
                if self.progress.cancelled() {
                    return Close::Cancelled;
                }
                if self.life.quiet() >= self.limits.silence {
                    return Close::Hung;
                }
            }
        }
    }

    fn take(&mut self, heard: Heard) -> Option<Close> {
        let wrong = |why: &str| Some(Close::Wrong(why.to_owned()));
        let event = match heard {
            Heard::Closed => return Some(Close::Closed),
            Heard::Wrong(why) => return Some(Close::Wrong(why)),
            Heard::Said(text) => {
                self.log(&text);
                if self.said.len() == QUOTED {
                    self.said.pop_front();
                }
                self.said.push_back(text);
                return None;
            }
            Heard::Event(event) => event,
        };
        self.life.sign();
        match event {
            Event::Hello { protocol } if !self.greeted => {
                if protocol != PROTOCOL {
                    let why = format!("it speaks version {protocol} of the protocol, not {PROTOCOL}");
                    return Some(Close::Wrong(why));
                }
                self.greeted = true;
                let (mut stdin, order) = self.order.take()?;
                // On a thread of its own: a child that does not read would hold up everything else. If writing fails
                // the child is gone, which is seen elsewhere.
                let speaking = thread::Builder::new().name("worker-stdin".into()).spawn(move || {
                    let _ = stdin.write_all(&order);
                    stdin
                });
                match speaking {
                    Ok(speaking) => self.speaking = Some(speaking),
                    Err(error) => return Some(Close::Wrong(format!("nobody can speak to it: {error}"))),
                }
                "getting ready".clone_into(&mut self.doing);
            }
            Event::Hello { .. } => return wrong("it says hello twice"),
            _ if !self.greeted => return wrong("it did not say hello"),
            Event::Log(text) => self.log(&clean(&text, MAX_LOG)),
            Event::Step { name, total, unit } => {
                let name = clean(&name, MAX_NAME);
                self.progress.step(&name, total, unit);
                self.doing = format!("at the step {name:?}");
            }
            Event::Advance(amount) => self.progress.advance(amount),
            Event::Outcome(outcome) if answers(self.job, &outcome) => {
                return Some(Close::Answer(Box::new(Ok(*outcome))));
            }
            Event::Outcome(_) => return wrong("it answers another question"),
            Event::Failure(Failure { code, message, hint }) => {
                let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if code.is_empty() || code.len() > 64 || !code.chars().all(known) {
                    return wrong("its failure has no code");
                }
                let message = message.chars().take(MAX_MESSAGE).collect();
                let hint = hint.map(|hint| hint.chars().take(MAX_MESSAGE).collect());
                return Some(Close::Answer(Box::new(Err(Failure { code, message, hint }))));
            }
        }
        None
    }

    fn log(&mut self, text: &str) {
        if self.logged < MAX_LOGGED {
            self.logged += 1;
            (self.log)(text);
        }
    }
}

/// Whether this can be the outcome of the job.
fn answers(job: &Job, outcome: &Outcome) -> bool {
    matches!(
        (job, outcome),
        (Job::Init, Outcome::Init(_))
            | (Job::Import(_), Outcome::Import(_))
            | (Job::Integrity(_) | Job::StoredIntegrity(_), Outcome::Integrity(_))
            | (Job::PackagingDisk(_), Outcome::PackagingDisk(_))
            | (Job::Capture(_), Outcome::Capture(_))
            | (Job::Compose(_), Outcome::Compose(_))
            | (Job::Export(_), Outcome::Export(_))
            | (Job::List, Outcome::List(_))
            | (Job::Show { .. }, Outcome::Show(_))
            | (Job::Files { .. }, Outcome::Files(_))
            | (Job::Diff { .. }, Outcome::Diff(_))
            | (Job::Conflicts(_), Outcome::Conflicts(_))
            | (Job::RegistryExport(_), Outcome::RegistryExport(_))
            | (Job::RegistryDiff(_), Outcome::RegistryDiff(_))
            | (Job::ExportLayers(_), Outcome::ExportLayers(_))
            | (Job::ImportLayers(_), Outcome::ImportLayers(_))
            | (Job::ListLayout { .. }, Outcome::ListLayout(_))
            | (Job::Check { .. }, Outcome::Check(_))
            | (Job::Remove { .. }, Outcome::Remove(_))
            | (Job::Gc { .. }, Outcome::Gc(_))
    )
}

/// Removes the files that a dead process had not finished writing. What cannot be removed stays: it is in nobody's way.
fn remove_parts(directory: &Path, pid: u32) {
    let prefix = part_prefix(pid);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&prefix) && name.ends_with(PART_SUFFIX)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
