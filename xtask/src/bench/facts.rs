//! What a figure has to be read with: the machine, the file system, the versions of all programs.

use crate::command::{command, output};
use crate::metadata::Workspace;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// The facts, by name.
pub(crate) fn gather(workspace: &Workspace, work: &Path) -> Result<BTreeMap<String, String>> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory.lines().next().unwrap_or_default();
    let mut facts = BTreeMap::from([
        ("machine".to_owned(), format!("{} × {model}", std::thread::available_parallelism()?)),
        ("memory".to_owned(), memory.trim_start_matches("MemTotal:").trim().to_owned()),
    ]);
    let file_system = ["--file-system", "--format=%T"];
    for (name, program, arguments) in [
        ("kernel", "uname", &["-sr"][..]),
        ("wimlib", "wimlib-imagex", &["--version"]),
        ("qemu-img", "qemu-img", &["--version"]),
        ("revision", "git", &["describe", "--always", "--dirty"]),
        ("file system", "stat", &file_system),
    ] {
        let mut command = command(program);
        command.args(arguments).current_dir(&workspace.workspace_root);
        if program == "stat" {
            command.arg(work);
        }
        // A release archive has no git; the other facts still stand.
        let said = output(&mut command).unwrap_or_else(|_| "unknown".to_owned());
        facts.insert(name.to_owned(), said.lines().next().unwrap_or_default().trim().to_owned());
    }
    Ok(facts)
}
