//! Hearing what a process says, on threads of their own, so that whoever waits can look at other things too.

use super::protocol::{Event, read_line};
use std::io::{self, BufRead, BufReader, Read};
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// What is heard and not yet taken: a process that says more waits.
const AHEAD: usize = 64;
/// Bytes of a line on stderr; what is longer counts as several.
const MAX_SAID: u64 = 1000;

/// Something that a process said.
pub(super) enum Heard {
    /// On stdout.
    Event(Event),
    /// On stdout, and it is no event. Nothing follows it from there.
    Wrong(String),
    /// Stdout has ended.
    Closed,
    /// A line on stderr.
    Said(String),
}

/// Listens until both have ended, or until nobody takes what is heard.
pub(super) fn listen(stdout: ChildStdout, stderr: ChildStderr, max_line: u64) -> io::Result<Receiver<Heard>> {
    let (heard, taken) = sync_channel(AHEAD);
    let also = heard.clone();
    thread::Builder::new().name("worker-stdout".into()).spawn(move || events(stdout, max_line, &heard))?;
    thread::Builder::new().name("worker-stderr".into()).spawn(move || lines(stderr, &also))?;
    Ok(taken)
}

fn events(stdout: ChildStdout, max_line: u64, heard: &SyncSender<Heard>) {
    let mut from = BufReader::new(stdout);
    loop {
        let (what, more) = match read_line(&mut from, max_line) {
            Ok(Some(event)) => (Heard::Event(event), true),
            Ok(None) => (Heard::Closed, false),
            Err(error) => (Heard::Wrong(error.to_string()), false),
        };
        if heard.send(what).is_err() || !more {
            return;
        }
    }
}

fn lines(stderr: ChildStderr, heard: &SyncSender<Heard>) {
    let mut from = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(MAX_SAID).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let line = clean(&String::from_utf8_lossy(&line), MAX_SAID as usize);
        if !line.is_empty() && heard.send(Heard::Said(line)).is_err() {
            return;
        }
    }
}

/// At most so many characters of a text, in one line and with nothing in it that a terminal would act on.
pub(super) fn clean(text: &str, max: usize) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(max).map(harmless).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_taken_out() {
        assert_eq!(clean(" \x1b[2Jé\nsecond\r\n", 100), "[2Jé second");
        assert_eq!(clean("ééé", 2), "éé");
    }
}
