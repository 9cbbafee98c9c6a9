//! A server of the same build, on a port of its own, and `lamina` logged in to it.

// Each test file uses its own part of this.
#![allow(dead_code)]

use crate::support::{Answer, Lamina, lamina};
use regex::Regex;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use tempfile::TempDir;

/// The password that the administrator chooses.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running server with its directory, a directory as file share, and what was called so far.
pub(crate) struct Served {
    directory: TempDir,
    process: Child,
    /// Kept open: a server whose output nobody takes would stop.
    _output: BufReader<ChildStdout>,
    /// Its address.
    pub(crate) url: String,
    /// The one-time password of its first start.
    pub(crate) first_password: String,
    /// What a person would have seen.
    transcript: String,
}

impl Served {
    /// Starts a server that nobody has logged in to.
    pub(crate) fn start() -> Served {
        Served::start_in(|_| ())
    }

    /// The same in a directory that was prepared.
    pub(crate) fn start_in(prepare: impl FnOnce(&Path)) -> Served {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        prepare(&directory.path().join("lamina"));
        fs::create_dir(directory.path().join("share")).expect("the directory is ours");
        let mut process = lamina("serve --listen 127.0.0.1:0 --dir")
            .arg(directory.path().join("lamina"))
            .env("LAMINA_LOG", "error")
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("lamina was built for this test");
        let mut output = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let mut line = |what: &str| {
            let mut line = String::new();
            output.read_line(&mut line).expect("the server says what it does");
            let at = line.find(what).unwrap_or_else(|| panic!("{what:?} expected, got {line:?}"));
            line[at + what.len()..].trim().to_owned()
        };
        let url = line("ready at ").trim_end_matches("/api/v1").to_owned();
        let first_password = line("one-time password ");
        Served { directory, process, _output: output, url, first_password, transcript: String::new() }
    }

    /// Starts a server and logs in as its administrator.
    pub(crate) fn logged_in() -> Served {
        let mut served = Served::start();
        let passwords = format!("{}\n{PASSWORD}\n", served.first_password);
        let url = served.url.clone();
        served.call("login --user admin --password-stdin").arg(url).input(&passwords).ok();
        served.transcript.clear();
        served
    }

    /// A file in the test's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file in which the login is kept.
    pub(crate) fn login_file(&self) -> PathBuf {
        self.file("config/lamina/login.json")
    }

    /// A call with these words.
    pub(crate) fn call(&self, words: &str) -> Lamina {
        lamina(words).env("XDG_CONFIG_HOME", self.file("config"))
    }

    /// Runs a call that ends with `status`; it is in the transcript. In `args`, a word in quotation marks may hold spaces.
    #[track_caller]
    pub(crate) fn run(&mut self, args: &str, status: i32) -> Answer {
        self.run_with(args, "", status)
    }

    /// The same with something to read on stdin.
    #[track_caller]
    pub(crate) fn run_with(&mut self, args: &str, input: &str, status: i32) -> Answer {
        let call = split(args).into_iter().fold(self.call(""), |call, arg| {
            call.arg(arg.replace("DIR", &self.directory.path().to_string_lossy()).replace("URL", &self.url))
        });
        let answer = call.input(input).run().expect(status);
        let directory = self.directory.path().to_string_lossy().into_owned();
        let text = answer.transcript(&[(&directory, "DIR"), (&self.url, "URL")]);
        self.transcript.push_str(&same_every_time(&text));
        self.transcript.push('\n');
        answer
    }

    /// What was called by `run` so far, without what differs from run to run.
    pub(crate) fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(&mut self) {
        self.process.wait().expect("the server is ours");
    }

    /// Stops the server as the machine's end would, to be continued.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("the server is ours");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may be stopped, and then hears nothing else.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Words at white space, except in quotation marks.
fn split(args: &str) -> Vec<String> {
    let parts = args.split('\'').enumerate();
    parts
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

/// Text without identifiers, times, digests and what depends on the machine.
fn same_every_time(text: &str) -> String {
    let replace = |text: String, pattern: &str, with: &str| {
        Regex::new(pattern).expect("the pattern is well formed").replace_all(&text, with).into_owned()
    };
    let text = replace(text.to_owned(), r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID");
    let text = replace(text, r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]{8,}Z?", "TIME");
    let text = replace(text, r"lamina_[A-Za-z0-9_-]{20,}", "SECRET");
    let text = replace(text, r"[0-9]+ MiB are free", "N MiB are free");
    let text = replace(text, r"[0-9]+ bytes were read", "N bytes were read");
    // How far depends on the kernel.
    let text = replace(text, r"(process is confined):[^\n]*", "$1.");
    replace(text, r"[0-9a-f]{64}", "DIGEST")
}
