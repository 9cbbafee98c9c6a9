//! The `lamina` binary, built as people would run it and used from outside through its plumbing commands.

use crate::command::{command, run};
use crate::metadata::{Workspace, cargo};
use crate::report;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The built binary and the store it works on.
#[derive(Debug)]
pub(crate) struct Lamina {
    program: PathBuf,
    store: PathBuf,
}

impl Lamina {
    /// Builds the optimised binary; its store will be in `store`.
    pub(crate) fn build(workspace: &Workspace, store: PathBuf) -> Result<Lamina> {
        run(command(cargo())
            .args(["build", "--release", "--package", "lamina"])
            .current_dir(&workspace.workspace_root))
        .context("lamina could not be built")?;
        Ok(Lamina { program: workspace.target_directory.join("release/lamina"), store })
    }

    /// Builds an example of a crate: what is measured and is no command.
    pub(crate) fn build_example(workspace: &Workspace, package: &str, name: &str) -> Result<PathBuf> {
        run(command(cargo())
            .args(["build", "--release", "--package", package, "--example", name])
            .current_dir(&workspace.workspace_root))
        .with_context(|| format!("{name} could not be built"))?;
        Ok(workspace.target_directory.join("release/examples").join(name))
    }

    /// The binary.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// The same binary on another store.
    pub(crate) fn on_store(&self, store: PathBuf) -> Lamina {
        Lamina { program: self.program.clone(), store }
    }

    /// `lamina plumbing VERB … --store DIR`, not yet started.
    pub(crate) fn plumbing<I, A>(&self, verb: &str, arguments: I) -> Command
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        let mut command = command(&self.program);
        command
            .args(["plumbing", verb])
            .args(arguments.into_iter().map(Into::into))
            .arg("--store")
            .arg(&self.store);
        command
    }

    /// Runs a plumbing command with its progress on the terminal and gives what it printed.
    pub(crate) fn call<I, A>(&self, verb: &str, arguments: I) -> Result<String>
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        let mut command = self.plumbing(verb, arguments);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            report::note(&text);
            bail!("`{}` ended with {}", crate::command::typed(&command), output.status);
        }
        Ok(text)
    }
}
