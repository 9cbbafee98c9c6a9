//! A PostgreSQL server for the tests: its own data in a temporary folder, reached through a socket there, gone afterwards.
//!
//! Nothing is kept, so it does not wait for the disk. PostgreSQL refuses to run as root; the user `postgres`, which the
//! package makes, runs it then.

use crate::command::{command, find};
use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts one.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start: with what it says.
    pub(crate) fn start() -> Result<Postgres> {
        let programs = programs().context("PostgreSQL is not installed (Debian package postgresql)")?;
        let folder = tempfile::Builder::new().prefix("lamina-postgres").tempdir()?;
        // The user postgres has to come in, and tests of whoever runs this.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let server = Postgres { programs, folder };
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])?;
        let socket = server.folder.path().display().to_string();
        let options = format!(
            "-k '{socket}' -c listen_addresses= -c fsync=off -c max_connections=400 -c unix_socket_permissions=0777"
        );
        let log = format!("{socket}/log");
        server
            .run("pg_ctl", &["-D", &data, "-l", &log, "-w", "-t", "60", "-o", &options, "start"])
            .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(server)
    }

    /// How to reach it; `{}` stands for the database's name.
    pub(crate) fn url(&self) -> String {
        format!("postgres:///{{}}?host={}&user=postgres", self.folder.path().display())
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = command("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null()) // the server inherits it and would hold a pipe open
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !output.status.success() {
            bail!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is left of it when this fails is a process that a person sees; the tests are over.
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

/// The folder of PostgreSQL's programs. Debian keeps them apart from those on the PATH, by version.
pub(crate) fn programs() -> Option<PathBuf> {
    if let Some(initdb) = find("initdb") {
        return initdb.parent().map(Path::to_owned);
    }
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
        .collect();
    versions.sort();
    versions.pop()
}
