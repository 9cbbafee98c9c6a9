//! A program that is started as a child and does not keep to the protocol.

use super::support::{Noted, Scene, assert_gone, fault, impatient, tight};
use operation::Failure;
use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;
use worker::Job;
use worker::process::{Limits, Worker};

/// The program: says what each test wants to hear.
pub(crate) fn liar(lie: &str) -> ExitCode {
    let say = |text: &str| {
        let mut out = stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    let hello = || {
        say("{\"hello\":{\"protocol\":1}}\n").unwrap();
        let mut order = String::new();
        stdin().lock().read_line(&mut order).unwrap();
    };
    let forever = || loop {
        sleep(Duration::from_secs(1));
    };
    match lie {
        "dies" => eprintln!("liar: error while loading shared libraries: libntfs-3g.so.89"),
        "garbage" => say("This program is not what you think.\n").unwrap(),
        "late-garbage" => {
            hello();
            say("\u{fffd}\n").unwrap();
            forever()
        }
        // It ends when nobody listens any more.
        "endless" => while say(&"x".repeat(1 << 16)).is_ok() {},
        "version" => say("{\"hello\":{\"protocol\":99}}\n").unwrap(),
        "no-hello" => say("{\"advance\":1}\n").unwrap(),
        "twice" => {
            hello();
            say("{\"hello\":{\"protocol\":1}}\n").unwrap();
        }
        "other" => {
            hello();
            say("{\"outcome\":{\"operation\":\"list\",\"report\":{\"entries\":[]}}}\n").unwrap();
        }
        "code" => {
            hello();
            say("{\"failure\":{\"code\":\"Not a \\u001b code\",\"message\":\"\"}}\n").unwrap();
        }
        "closes" => {
            hello();
            say(&format!("{{\"step\":{{\"name\":\"pid {}\",\"unit\":\"items\"}}}}\n", std::process::id()))
                .unwrap();
            rustix::stdio::dup2_stdout(std::io::stderr()).unwrap();
            forever()
        }
        "silent" => forever(),
        "deaf" => {
            say("{\"hello\":{\"protocol\":1}}\n").unwrap();
            forever()
        }
        _ => panic!("no such lie: {lie}"),
    }
    ExitCode::from(4)
}

fn told(lie: &str, limits: Limits) -> Failure {
    let worker = Worker::new(std::env::current_exe().unwrap(), ["liar", lie]).with_limits(limits);
    Scene::new().run_by(&worker, &fault("none"), &Noted::default()).expect_err(lie)
}

#[track_caller]
fn assert_protocol(lie: &str, why: &str) {
    let failure = told(lie, tight());
    assert_eq!(failure.code, "worker-protocol", "{}", failure.message);
    assert!(failure.message.contains(why), "{}", failure.message);
}

pub(crate) fn a_program_that_is_not_there_is_said() {
    let worker = Worker::new("/nowhere/lamina", ["worker"]);
    let failure = Scene::new().run_by(&worker, &Job::List, &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-cannot-start");
    assert!(failure.message.contains("No such file"), "{}", failure.message);
}

pub(crate) fn a_child_that_dies_before_hello_cannot_be_started() {
    let failure = told("dies", tight());
    assert_eq!(failure.code, "worker-cannot-start");
    assert!(failure.message.contains("exit status: 4"), "{}", failure.message);
    assert!(failure.message.contains("libntfs-3g.so.89"), "{}", failure.message);
}

pub(crate) fn garbage_is_not_understood() {
    assert_protocol("garbage", "a line is not understood");
    assert_protocol("late-garbage", "a line is not understood");
    assert_protocol("no-hello", "it did not say hello");
    assert_protocol("twice", "it says hello twice");
}

pub(crate) fn a_line_without_an_end_is_read_to_the_limit() {
    assert_protocol("endless", "a line is longer than 1049600 bytes");
}

pub(crate) fn another_version_of_the_protocol_is_not_understood() {
    assert_protocol("version", "version 99 of the protocol, not 1");
}

pub(crate) fn the_answer_to_another_question_is_no_answer() {
    assert_protocol("other", "it answers another question");
}

pub(crate) fn a_failure_without_a_code_is_no_answer() {
    assert_protocol("code", "its failure has no code");
}

pub(crate) fn closing_the_output_and_going_on_is_no_answer() {
    let worker = Worker::new(std::env::current_exe().unwrap(), ["liar", "closes"]);
    let noted = Noted::default();
    let failure = Scene::new().run_by(&worker, &fault("none"), &noted).unwrap_err();
    assert_eq!(failure.code, "worker-protocol", "{}", failure.message);
    assert!(failure.message.contains("closed its output and went on"), "{}", failure.message);
    assert_eq!(noted.pids().len(), 1);
    noted.pids().into_iter().for_each(assert_gone);
}

pub(crate) fn a_child_that_never_says_hello_hangs() {
    let failure = told("silent", impatient());
    assert_eq!(failure.code, "worker-hung");
    assert!(failure.message.contains("starting, it gave no sign of life"), "{}", failure.message);
}

pub(crate) fn an_order_that_is_not_read_holds_nothing_up() {
    // More than a pipe takes.
    let worker = Worker::new(std::env::current_exe().unwrap(), ["liar", "deaf"]).with_limits(impatient());
    let job = fault(&"x".repeat(1 << 20));
    let failure = Scene::new().run_by(&worker, &job, &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-hung");
    let job = fault(&"x".repeat(17 << 20));
    let failure = Scene::new().run_by(&worker, &job, &Noted::default()).unwrap_err();
    assert_eq!(failure.code, "worker-cannot-start");
    assert!(failure.message.contains("the order is longer than"), "{}", failure.message);
}
