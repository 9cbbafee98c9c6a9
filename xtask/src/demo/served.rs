//! A server of the demo's own, and the command line as its client, as an administrator would use them.

use crate::command::{command, typed};
use crate::lamina::Lamina;
use crate::report;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The password that the demo's administrator chooses. Nobody else can reach the server: it listens on loopback.
const PASSWORD: &str = "a demo's own password";

/// A server that runs.
pub(super) struct Served {
    program: PathBuf,
    work: PathBuf,
    process: Child,
    /// Kept open: a server whose output nobody takes would stop.
    _said: BufReader<ChildStdout>,
    /// Where it answers.
    pub(super) url: String,
}

impl Served {
    /// Starts a server on an empty directory below `work`, and logs in to it.
    pub(super) fn start(lamina: &Lamina, work: &Path) -> Result<Served> {
        std::fs::create_dir_all(work.join("share"))?;
        let log = File::create(work.join("server.log"))?;
        let mut process = command(lamina.program())
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(work.join("server"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("lamina serve could not be started")?;
        let mut said = BufReader::new(process.stdout.take().context("its stdout is a pipe")?);
        let mut last_word = || -> Result<String> {
            let mut line = String::new();
            said.read_line(&mut line)?;
            let word = line.split_whitespace().next_back().map(str::to_owned);
            word.with_context(|| {
                format!("the server did not start; see {}", work.join("server.log").display())
            })
        };
        let url = last_word()?.trim_end_matches("/api/v1").to_owned();
        let first = last_word()?;
        let served =
            Served { program: lamina.program().to_owned(), work: work.to_owned(), process, _said: said, url };
        let login = ["login", &served.url, "--user", "admin", "--password-stdin"].map(OsString::from);
        served.say(&format!("{first}\n{PASSWORD}\n"), login)?;
        Ok(served)
    }

    /// The folder that the server exchanges disks in.
    pub(super) fn share(&self) -> PathBuf {
        self.work.join("share")
    }

    /// The server's store.
    pub(super) fn store(&self) -> PathBuf {
        self.work.join("server/store")
    }

    /// Runs `lamina` with these arguments, its progress on the terminal, and gives what it printed.
    pub(super) fn call<I, A>(&self, arguments: I) -> Result<String>
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        self.say("", arguments)
    }

    fn say<I, A>(&self, input: &str, arguments: I) -> Result<String>
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        let mut call: Command = command(&self.program);
        // The login of whoever runs the demo stays what it is.
        call.env("XDG_CONFIG_HOME", self.work.join("config"))
            .env_remove("LAMINA_URL")
            .env_remove("LAMINA_TOKEN")
            .args(arguments.into_iter().map(Into::into));
        let mut child = call
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        child.stdin.take().context("its stdin is a pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            report::note(&text);
            bail!("`{}` ended with {}", typed(&call), output.status);
        }
        Ok(text)
    }

    /// Ends the server as a service manager would.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the server ended with {status}; see {}", self.work.join("server.log").display());
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // After an error; one that was stopped is gone already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
