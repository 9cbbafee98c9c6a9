//! Running `lamina` in tests: a builder, an answer that was checked for its exit status, and transcripts.

// Each test file uses its own part of this.
#![allow(dead_code)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A call of `lamina`, with no environment of the caller's that changes what it does.
pub(crate) struct Lamina {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: String,
}

/// What a call answered.
pub(crate) struct Answer {
    /// The call, for messages.
    pub(crate) call: String,
    /// Exit status.
    pub(crate) status: i32,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

/// Calls `lamina` with `args`, separated by white space; use [`Lamina::arg`] for what has spaces inside.
pub(crate) fn lamina(args: &str) -> Lamina {
    Lamina {
        args: args.split_whitespace().map(OsString::from).collect(),
        env: Vec::new(),
        input: String::new(),
    }
}

/// Calls `lamina plumbing --store STORE --json` with `args`.
pub(crate) fn plumbing(store: &Path, args: &str) -> Lamina {
    lamina("plumbing --json --store").arg(store).words(args)
}

impl Lamina {
    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Lamina {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments that are separated by white space.
    pub(crate) fn words(mut self, args: &str) -> Lamina {
        self.args.extend(args.split_whitespace().map(OsString::from));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Lamina {
        self.env.push((name.into(), value.into()));
        self
    }

    /// What the call reads from its standard input.
    pub(crate) fn input(mut self, text: &str) -> Lamina {
        self.input = text.to_owned();
        self
    }

    /// The process, not yet started: for tests that kill it or close its pipes.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamina"));
        command.args(&self.args);
        for name in ["LAMINA_URL", "LAMINA_TOKEN", "LAMINA_AUTHORITY"] {
            command.env_remove(name);
        }
        for name in ["LAMINA_STORE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.env("COLUMNS", "100").envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the call to its end.
    pub(crate) fn run(self) -> Answer {
        let mut call = "lamina".to_owned();
        for arg in &self.args {
            let arg = arg.to_string_lossy();
            // As one types it.
            let plain = !arg.contains(char::is_whitespace);
            call.push_str(&if plain { format!(" {arg}") } else { format!(" '{arg}'") });
        }
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("lamina was built for this test");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // Commands that read nothing may have gone already.
        let _ = stdin.write_all(self.input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("what lamina writes can be read");
        Answer {
            call,
            status: output.status.code().unwrap_or_else(|| panic!("lamina was killed: {}", output.status)),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Runs the call, which must succeed.
    #[track_caller]
    pub(crate) fn ok(self) -> Answer {
        self.run().expect(0)
    }

    /// Runs the call, which must be refused or fail.
    #[track_caller]
    pub(crate) fn refused(self) -> Answer {
        self.run().expect(1)
    }

    /// Runs the call, which must find something that blocks.
    #[track_caller]
    pub(crate) fn blocked(self) -> Answer {
        self.run().expect(3)
    }

    /// Runs the call, which must not be understood.
    #[track_caller]
    pub(crate) fn usage(self) -> Answer {
        self.run().expect(2)
    }

    /// Runs the call, which must succeed, and gives its JSON object.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        self.ok().json()
    }

    /// Runs the call, which must be refused or fail, and gives the stable code of why; needs `--json`.
    #[track_caller]
    pub(crate) fn code(self) -> String {
        let error = self.refused().json()["error"].take();
        assert!(error["message"].is_string(), "no message in {error}");
        error["code"].as_str().unwrap_or_else(|| panic!("no code in {error}")).to_owned()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Answer {
        assert!(self.status == status, "expected exit status {status}\n{}", self.transcript(&[]));
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value @ Value::Object(_)) => value,
            _ => panic!("stdout is not one JSON object\n{}", self.transcript(&[])),
        }
    }

    /// The call as a person would see it, with each text of `names` replaced by its name.
    pub(crate) fn transcript(&self, names: &[(&str, &str)]) -> String {
        let mut text = format!("$ {}\n{}", self.call, self.stdout);
        for line in self.stderr.lines() {
            text.push_str(&format!("(stderr) {line}\n"));
        }
        text.push_str(&format!("(exit {})\n", self.status));
        names.iter().fold(text, |text, (value, name)| text.replace(value, name))
    }
}

/// Compares `text` with the reviewed file `tests/NAME`; writes the file instead if `LAMINA_UPDATE_SNAPSHOTS` is set.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", name].iter().collect();
    if std::env::var_os("LAMINA_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let reviewed =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if let Some(line) = (1..).zip(reviewed.lines().zip(text.lines())).find(|(_, (old, new))| old != new) {
        let (number, (old, new)) = line;
        panic!(
            "{name}:{number} differs\n  reviewed: {old}\n  now:      {new}\n\
             If the change is meant, run the test with LAMINA_UPDATE_SNAPSHOTS=1 and review the file."
        );
    }
    assert_eq!(reviewed.lines().count(), text.lines().count(), "{name}: one is longer than the other");
}

/// Writes a line for every value in objects of the same kind: its key and what it is. A key that some of them lack has
/// a question mark.
pub(crate) fn describe(place: &str, values: &[&Value], into: &mut String) {
    let objects: Vec<_> = values.iter().filter_map(|value| value.as_object()).collect();
    if !objects.is_empty() && objects.len() == values.len() {
        let keys: BTreeSet<&String> = objects.iter().flat_map(|object| object.keys()).collect();
        for key in keys {
            let found: Vec<&Value> = objects.iter().filter_map(|object| object.get(key)).collect();
            let optional = if found.len() < objects.len() { "?" } else { "" };
            let dot = if place.is_empty() { "" } else { "." };
            describe(&format!("{place}{dot}{key}{optional}"), &found, into);
        }
        return;
    }
    let lists: Vec<_> = values.iter().filter_map(|value| value.as_array()).collect();
    if !lists.is_empty() && lists.len() == values.len() {
        let members: Vec<&Value> = lists.into_iter().flatten().collect();
        match members.is_empty() {
            true => into.push_str(&format!("{place}[]\n")),
            false => describe(&format!("{place}[]"), &members, into),
        }
        return;
    }
    let kinds: BTreeSet<&str> = values
        .iter()
        .map(|value| match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        })
        .collect();
    into.push_str(&format!("{place}: {}\n", kinds.into_iter().collect::<Vec<_>>().join(" or ")));
}
