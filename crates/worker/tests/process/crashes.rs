//! A child that ends badly, or not at all.

use super::child::Panicking;
use super::support::{Noted, Scene, assert_gone, child, fault, impatient, names, pid_in, qemu_img, tight};
use operation::{Progress, Unit};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use worker::process::{Limits, Worker};
use worker::{Job, Outcome};

pub(crate) fn a_panic_is_the_same_failure_as_in_process() {
    let scene = Scene::new();
    let there = scene.fails("panic");
    let here = worker::run(&scene.store(), Job::Check { read_data: false }, &Panicking).unwrap_err();
    assert_eq!(there, here);
    assert_eq!(there.code, worker::INTERNAL);
    // Where it happened is in the log.
    let log = scene.log.borrow().join("\n");
    assert!(log.contains("panicked at") && log.contains("cluster 7 of 5"), "{log}");
}

pub(crate) fn an_abort_names_the_signal_the_step_and_the_last_words() {
    let failure = Scene::new().fails("abort");
    assert_eq!(failure.code, "worker-crashed");
    for part in ["SIGABRT", "at the step \"Going wrong\"", "; it said last: the last  [31mwords"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert!(failure.hint.unwrap().contains("the store is as it was"));
}

pub(crate) fn a_stack_overflow_is_a_crash() {
    let failure = Scene::new().fails("overflow");
    assert_eq!(failure.code, "worker-crashed");
    assert!(failure.message.contains("has overflowed its stack"), "{}", failure.message);
}

pub(crate) fn an_exit_without_an_answer_is_a_crash() {
    let failure = Scene::new().fails("exit");
    assert_eq!(failure.code, "worker-crashed");
    assert!(failure.message.contains("exit status: 3"), "{}", failure.message);
}

pub(crate) fn a_kill_from_outside_is_lack_of_memory() {
    let failure = Scene::new().fails("kill");
    assert_eq!(failure.code, "worker-out-of-memory");
    assert!(failure.message.contains("no memory left"), "{}", failure.message);
}

pub(crate) fn an_allocation_beyond_the_limit_is_lack_of_memory() {
    let scene = Scene::new();
    let worker = child().with_limits(tight());
    let failure = scene.run_by(&worker, &fault("memory 400"), &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-out-of-memory", "{}", failure.message);
    assert!(failure.message.contains("it may use 256 MiB"), "{}", failure.message);
}

pub(crate) fn memory_up_to_the_limit_can_be_used() {
    // So the limit is about what is used, and not about what the allocator reserves.
    let scene = Scene::new();
    let worker = child().with_limits(tight());
    let failure = scene.run_by(&worker, &fault("memory 200"), &Noted::default()).unwrap_err();
    assert_eq!((&failure.code[..], &failure.message[..]), ("held", "200"));
}

pub(crate) fn silence_is_a_hang() {
    let scene = Scene::new();
    let worker = child().with_limits(impatient());
    let failure = scene.run_by(&worker, &fault("loop"), &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-hung");
    let expected = "at the step \"Going wrong\", it gave no sign of life for 4 seconds";
    assert!(failure.message.contains(expected), "{}", failure.message);
}

pub(crate) fn reading_for_long_is_no_hang() {
    let scene = Scene::new();
    let worker = child().with_limits(impatient());
    let failure = scene.run_by(&worker, &fault("read 10"), &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "read", "{}", failure.message);
}

pub(crate) fn what_the_engine_prints_is_no_answer() {
    let scene = Scene::new();
    let noted = Noted::default();
    let failure = scene.run_by(&child(), &fault("print"), &noted).unwrap_err();
    assert_eq!(failure.code, "printed", "{}", failure.message);
    assert!(noted.amounts.lock().unwrap().is_empty());
    assert!(scene.log.borrow().iter().any(|line| line == "this is on standard output"));
}

pub(crate) fn progress_comes_through_and_is_complete() {
    let noted = Noted::default();
    let failure = Scene::new().run_by(&child(), &fault("progress"), &noted).unwrap_err();
    assert_eq!(failure.code, "told");
    assert_eq!(*noted.steps.lock().unwrap(), ["Going wrong", "Many", "Few"]);
    let amounts = noted.amounts.lock().unwrap();
    assert_eq!(amounts.last(), Some(&7), "what comes last is told too");
    assert_eq!(amounts.iter().sum::<u64>(), 1_000_007);
    assert!(amounts.len() < 1000, "a million times is a few times: {}", amounts.len());
}

pub(crate) fn cancelling_kills_the_child_and_removes_what_it_had_not_finished() {
    let scene = Scene::new();
    let noted = Noted::cancelling_at("pid ");
    let failure = scene.run_by(&child(), &fault("wait"), &noted).unwrap_err();
    assert_eq!(failure.code, "cancelled");
    assert!(failure.message.starts_with("cancelled while it was at the step \"pid "), "{}", failure.message);
    noted.pids().into_iter().for_each(assert_gone);
    assert_eq!(noted.pids().len(), 1);

    // A file that is being written beside its place goes with its writer, and nobody else's does.
    std::fs::write(scene.store().join(".export-1-abc.part"), "another's").unwrap();
    let job = fault(&format!("part {}", scene.store().display()));
    let failure = scene.run_by(&child(), &job, &Noted::cancelling_at("Half")).unwrap_err();
    assert_eq!(failure.code, "cancelled");
    let parts: Vec<String> =
        names(&scene.store()).into_iter().filter(|name| name.ends_with(".part")).collect();
    assert_eq!(parts, [".export-1-abc.part"]);
}

pub(crate) fn cancelling_kills_the_converter_too() {
    if !qemu_img("cancelling_kills_the_converter_too") {
        return;
    }
    let (scene, job, worker) = converting();
    let noted = Noted::cancelling_at("pid ");
    let failure = scene.run_by(&worker, &job, &noted).unwrap_err();
    assert_eq!(failure.code, "cancelled", "{}", failure.message);
    let pids = noted.pids();
    assert!(!pids.is_empty());
    pids.into_iter().for_each(assert_gone);
}

/// A job whose child starts a program that works for long on a file.
fn converting() -> (Scene, Job, Worker) {
    let scene = Scene::new();
    let image = scene.store().join("image");
    std::fs::write(&image, vec![1; 1 << 20]).unwrap();
    let job = fault(&format!("convert {}", image.display()));
    (scene, job, child())
}

pub(crate) fn a_child_does_not_outlive_its_parent() {
    let scene = Scene::new();
    killed_parent(&scene, "wait", 1);
}

pub(crate) fn a_converter_does_not_outlive_the_parent_of_its_parent() {
    if !qemu_img("a_converter_does_not_outlive_the_parent_of_its_parent") {
        return;
    }
    let (scene, _, _) = converting();
    killed_parent(&scene, &format!("convert {}", scene.store().join("image").display()), 2);
}

/// Kills a process whose child does this, and waits for the end of the processes that it named.
fn killed_parent(scene: &Scene, what: &str, named: usize) {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["parent", what])
        .env("STORE", scene.store())
        // What it leaves of scratch directories goes with the scene.
        .env("TMPDIR", scene.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pids: Vec<Pid> = lines.map_while(Result::ok).filter_map(|line| pid_in(&line)).take(named).collect();
    assert_eq!(pids.len(), named, "the parent ended");
    kill_process(Pid::from_child(&parent), Signal::KILL).unwrap();
    parent.wait().unwrap();
    pids.into_iter().for_each(assert_gone);
}

/// The parent that is killed: prints the steps of its child.
pub(crate) fn parent(what: &str) -> ExitCode {
    struct Printed;
    impl Progress for Printed {
        fn step(&self, name: &str, _total: Option<u64>, _unit: Unit) {
            println!("{name}");
        }
        fn advance(&self, _amount: u64) {}
    }
    let store = std::env::var_os("STORE").unwrap();
    let answer = child().run(Path::new(&store), &fault(what), &Printed, &|line| println!("{line}"));
    println!("{answer:?}");
    ExitCode::FAILURE
}

pub(crate) fn an_answer_that_is_too_long_is_refused_by_the_child() {
    let scene = Scene::new();
    let worker = child().with_limits(tight());
    let failure = scene.run_by(&worker, &fault("long"), &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-answer-too-long", "{}", failure.message);
    let outcome = scene.run_by(&worker, &Job::List, &Noted::default());
    assert!(matches!(outcome, Ok(Outcome::List(_))), "{outcome:?}");
    let worker = child().with_limits(Limits { answer: 10, ..tight() });
    let failure = scene.run_by(&worker, &Job::List, &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-answer-too-long", "{}", failure.message);
    assert!(failure.message.contains("more than the 10 that are taken"), "{}", failure.message);
}
