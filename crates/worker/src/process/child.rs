//! The child's side: takes its order, gives up every power that the job does not need, and does the job.

use super::failure::ProcessError;
use super::protocol::{Event, MAX_ORDER, Order, PROTOCOL, line, read_line};
use crate::{Failure, Job, Outcome, confinement};
use operation::{Progress, Unit};
use rustix::process::{
    Resource, Rlimit, Signal, getpgrp, getpid, kill_current_process_group, kill_process, nice,
    set_parent_process_death_signal, setrlimit,
};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much lower than its parent's the child's priority is. The kernel derives the priority of reads and writes from it.
const NICER: i32 = 10;
/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(200);

/// Carries out one job for the process on the other side of standard input and output, by `run`. Ends with a status
/// other than 0 only when it could not give its answer.
///
/// To be called first thing by a program that was started for it, before it has threads: what confines the process holds
/// for this thread and those that it starts.
pub fn serve(run: impl FnOnce(&Path, Job, &dyn Progress) -> Result<Outcome, Failure>) -> ExitCode {
    match attempt(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn attempt(run: impl FnOnce(&Path, Job, &dyn Progress) -> Result<Outcome, Failure>) -> io::Result<()> {
    // Should the parent be dead by now already, there is no order to be read.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let voice = Voice::take_stdout()?;
    voice.say(&Event::Hello { protocol: PROTOCOL })?;
    let mut stdin = BufReader::new(io::stdin());
    let order: Option<Order> = read_line(&mut stdin, MAX_ORDER)?;
    let order = order.ok_or_else(|| io::Error::other("there is no order on standard input"))?;
    lower(&order)?;
    if matches!(order.job, Job::Init) {
        // A directory that is not there cannot be allowed. The engine says what is wrong with it, if something is.
        let _ = fs::create_dir_all(&order.store);
    }
    let confined = confinement::enter(&order.paths, order.converter);
    voice.say(&Event::Log(confined.to_string()))?;
    thread::Builder::new().name("parent".into()).spawn(move || outlive_nobody(stdin))?;
    let reporter =
        Reporter { voice: &voice, pending: Mutex::new(Pending { amount: 0, said: Instant::now() }) };
    let answer = run(&order.store, order.job, &reporter);
    reporter.flush();
    let answer = match answer {
        Ok(outcome) => Event::Outcome(Box::new(outcome)),
        Err(failure) => Event::Failure(failure),
    };
    let mut text = line(&answer)?;
    if text.len() as u64 > order.answer {
        let error = ProcessError::AnswerTooLong { len: text.len() as u64, max: order.answer };
        text = line(&Event::Failure(Failure::new(&error)))?;
    }
    voice.say_line(&text)
}

/// Sets what the process may use, and makes it give way to others.
fn lower(order: &Order) -> io::Result<()> {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    // Not the address space: the allocator reserves far more of it than it uses.
    limit(Resource::Data, order.memory)?;
    // Memory holds contents of disks, which belong into no crash report.
    limit(Resource::Core, 0)?;
    nice(NICER)?;
    // When memory runs out, this process is the one to go. Not every system lets a process say so.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    if order.converter {
        // The kernel would kill this process alone, and a converter go on without it; the end of standard input, which
        // comes at the same moment, ends both.
        set_parent_process_death_signal(None)?;
    }
    Ok(())
}

/// Waits for the end of standard input, which is that of the parent, and ends this process and what it has started.
fn outlive_nobody(mut stdin: impl Read) {
    let mut buf = [0; 64];
    while matches!(stdin.read(&mut buf), Ok(1..)) {}
    // Started by hand, the group may be somebody else's.
    let _ = match getpgrp() == getpid() {
        true => kill_current_process_group(Signal::KILL),
        false => kill_process(getpid(), Signal::KILL),
    };
}

/// The way to the parent.
struct Voice(Mutex<File>);

impl Voice {
    /// Takes standard output for itself. What anything else prints goes to stderr from then on.
    fn take_stdout() -> io::Result<Voice> {
        let own = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Voice(Mutex::new(File::from(own))))
    }

    fn say(&self, event: &Event) -> io::Result<()> {
        self.say_line(&line(event)?)
    }

    fn say_line(&self, line: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line)
    }
}

/// Progress that is told to the parent, a few times a second.
struct Reporter<'a> {
    voice: &'a Voice,
    pending: Mutex<Pending>,
}

/// What was done and is not told yet.
struct Pending {
    amount: u64,
    said: Instant,
}

impl Reporter<'_> {
    fn flush(&self) {
        self.tell(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn tell(&self, pending: &mut Pending) {
        if pending.amount > 0 {
            self.say(&Event::Advance(pending.amount));
            pending.amount = 0;
        }
        pending.said = Instant::now();
    }

    /// When nobody hears it any more, standard input has ended too, and that ends the process.
    fn say(&self, event: &Event) {
        let _ = self.voice.say(event);
    }
}

impl Progress for Reporter<'_> {
    fn step(&self, name: &str, total: Option<u64>, unit: Unit) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell(&mut pending);
        self.say(&Event::Step { name: name.to_owned(), total, unit });
    }

    fn advance(&self, amount: u64) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.amount = pending.amount.saturating_add(amount);
        if pending.said.elapsed() >= REPORT {
            self.tell(&mut pending);
        }
    }
}
