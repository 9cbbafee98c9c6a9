//! `cargo xtask demo`: the main job on real input, from an operating-system disk to a published image.
//!
//! The disk is built from wine's drive (or is the user's own), the applications are real ones from PyPI, and whatever
//! is not Lamina's own work is done and checked by other programs. Nothing here knows Lamina's insides: it calls the
//! plumbing commands as a script would.

mod applications;
mod installation;
mod registry;
mod verification;
mod windows_tree;
mod wine_registry;

use crate::disk::{self, Partition};
use crate::lamina::Lamina;
use crate::metadata::Workspace;
use crate::steps::Steps;
use crate::{report, setup, sparse};
use anyhow::{Context, Result, bail};
use applications::Application;
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use verification::Oracle;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Install what is lacking without asking
    #[arg(long)]
    yes: bool,
    /// Use this disk image with Windows on it instead of building one; it is only read
    #[arg(long, value_name = "FILE")]
    os_disk: Option<PathBuf>,
    /// Keep the store, the published images and everything between in this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Arguments of a plumbing command from text and paths.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { Vec::<OsString>::from([$(OsString::from($argument)),*]) };
}

/// The size of the operating-system disk, in bytes; almost all of it is a hole.
const DISK_BYTES: u64 = 20 << 30;

const OS: &str = "os:Windows@1";

/// The `demo` task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::read()?;
    let ready = setup::prepare(&[setup::Purpose::Demo], arguments.yes, &workspace)?;
    let folder = Folder::new(arguments.keep.as_deref(), &workspace.target_directory)?;
    let work = folder.path();
    let oracle = Oracle::new(&ready.python);
    let mut steps = Steps::default();

    let lamina = steps.loud("build lamina", || {
        Ok((Lamina::build(&workspace, work.join("store"))?, "optimised, as it would be installed".into()))
    })?;
    let os_disk = match &arguments.os_disk {
        Some(disk) => disk.clone(),
        None => build_os_disk(&mut steps, &oracle, work)?,
    };
    let applications = steps.quiet("fetch two Windows applications from PyPI", |_| {
        let applications = applications::fetch(&ready.python, work)?;
        let described: Vec<String> = applications
            .iter()
            .map(|a| {
                format!("{} {}: {} files, {}", a.name, a.version, a.files.len(), report::bytes(a.bytes()))
            })
            .collect();
        let both = verification::conflicts(&applications).len();
        Ok((
            applications,
            format!("{}\nthey bring {both} files of the same name in different builds", described.join("\n")),
        ))
    })?;

    call(&mut steps, &lamina, "make a store", "init", arguments![])?;
    call(
        &mut steps,
        &lamina,
        "import the operating system",
        "import",
        arguments!["--disk", &os_disk, "--name", "Windows", "--version", "1"],
    )?;
    let mut registry = true;
    for application in &applications {
        registry &= package(&mut steps, &lamina, &oracle, application, work)?;
    }
    publish(&mut steps, &lamina, &applications, work)?;
    verify(&mut steps, &lamina, &oracle, &applications, registry, work)?;

    report::line("");
    report::line(steps.table());
    report::line("Published and verified: image.vhd (Azure) and image.qcow2 (KVM) hold the same disk.");
    if arguments.os_disk.is_none() {
        report::line(
            "The demo's own disk has no boot loader and wine's files for Windows, so it is not one to start.",
        );
    }
    folder.close();
    Ok(())
}

fn call(
    steps: &mut Steps,
    lamina: &Lamina,
    name: &str,
    verb: &str,
    arguments: Vec<OsString>,
) -> Result<String> {
    steps.loud(name, || {
        let said = lamina.call(verb, arguments)?;
        Ok((said.clone(), said))
    })
}

fn build_os_disk(steps: &mut Steps, oracle: &Oracle, work: &Path) -> Result<PathBuf> {
    let tree = steps.quiet("let wine make a Windows drive", |_| {
        let (tree, hives) = windows_tree::make(work)?;
        let (mut keys, mut values) = (0, 0);
        for hive in &hives {
            let seen = registry::count(oracle, &tree.join(hive.place))?;
            if seen != (hive.keys, hive.values) {
                bail!(
                    "{}: {:?} keys and values were written, dissect.regf sees {seen:?}",
                    hive.place,
                    (hive.keys, hive.values)
                );
            }
            (keys, values) = (keys + hive.keys, values + hive.values);
        }
        let count = hives.len();
        Ok((
            tree,
            format!(
                "wine's registry as {count} hives: {keys} keys, {values} values, all seen by dissect.regf"
            ),
        ))
    })?;
    steps.quiet("build the operating-system disk", |_| {
        let disk = work.join("os.raw");
        disk::make(&disk, DISK_BYTES, &tree, work)?;
        let remark = format!(
            "GPT, EFI system + Microsoft reserved + Windows (NTFS, written by wimlib): {} of data on {}",
            report::bytes(sparse::allocated(&disk)?),
            report::bytes(disk.metadata()?.len())
        );
        Ok((disk, remark))
    })
}

/// Packaging disk, installation by another program, capture. Whether the registry was part of it.
fn package(
    steps: &mut Steps,
    lamina: &Lamina,
    oracle: &Oracle,
    application: &Application,
    work: &Path,
) -> Result<bool> {
    let name = application.name;
    let disk = work.join("packaging.raw");
    call(
        steps,
        lamina,
        &format!("make a packaging disk for {name}"),
        "packaging-disk",
        arguments!["--os", OS, "--format", "raw", "--out", &disk],
    )?;
    let registry = steps.loud(&format!("install {name} on it"), || {
        let windows = windows_partition(oracle, &disk)?;
        let installed = installation::install(application, &disk, windows, oracle, work)?;
        let registry = match installed.registry {
            Ok(()) => "registry: search path, event source and list of programs, by hivexregedit".to_owned(),
            Err(reason) => format!("no registry changes: {reason}"),
        };
        let (files, bytes) = (application.files.len(), report::bytes(application.bytes()));
        let remark = format!("{files} files, {bytes}, with {}\n{registry}", installed.means);
        Ok((installed.registry.is_ok(), remark))
    })?;
    call(
        steps,
        lamina,
        &format!("capture {name}"),
        "capture",
        arguments![
            "--os",
            OS,
            "--kind",
            "app",
            "--disk",
            &disk,
            "--name",
            name,
            "--version",
            application.version
        ],
    )?;
    std::fs::remove_file(&disk)?;
    Ok(registry)
}

fn reference(application: &Application) -> String {
    format!("app:{}@{}", application.name, application.version)
}

fn publish(steps: &mut Steps, lamina: &Lamina, applications: &[Application; 2], work: &Path) -> Result<()> {
    let [first, second] = applications;
    let layers = || arguments!["--os", OS, "--layer", reference(first), "--layer", reference(second)];
    steps.loud("list the conflicts", || {
        let said = lamina.call("conflicts", layers())?;
        let lower = said.to_lowercase().replace('\\', "/");
        for place in verification::conflicts(applications) {
            if !lower.contains(&place.to_lowercase()) {
                bail!("`conflicts` does not name {place}, which both applications bring:\n{said}");
            }
        }
        Ok(((), said))
    })?;
    let mut compose = layers();
    // Disks of installed Windows have their recovery partition where the volume is to grow; others are not concerned.
    compose.extend(arguments!["--image", "Demo", "--recovery", "move"]);
    call(steps, lamina, "compose the image", "compose", compose)?;
    for (format, file) in [("vhd", "image.vhd"), ("qcow2", "image.qcow2")] {
        let file = work.join(file);
        steps.loud(&format!("export {format}"), || {
            let said = lamina
                .call("export", arguments!["--image", "image:Demo", "--format", format, "--out", &file])?;
            let size = format!(
                "{} on disk, {} long",
                report::bytes(sparse::allocated(&file)?),
                report::bytes(file.metadata()?.len())
            );
            Ok(((), format!("{size}\n{said}")))
        })?;
    }
    Ok(())
}

fn verify(
    steps: &mut Steps,
    lamina: &Lamina,
    oracle: &Oracle,
    applications: &[Application; 2],
    registry: bool,
    work: &Path,
) -> Result<()> {
    let vhd = work.join("image.vhd");
    steps.quiet("qemu-img: check the QCOW2, compare it with the VHD", |_| {
        Ok(((), verification::images_agree(&vhd, &work.join("image.qcow2"))?))
    })?;
    let raw = steps.quiet("take the disk out of the VHD for the readers", |_| {
        let raw = verification::raw_disk(&vhd, work)?;
        let size = report::bytes(sparse::allocated(&raw)?);
        Ok((raw, size))
    })?;
    let windows = steps.quiet("sfdisk: partition table and its backup", |_| {
        let (windows, said) = verification::partition_table(oracle, &raw)?;
        verification::is_ntfs(&raw, windows)?;
        Ok((windows, said))
    })?;
    steps.quiet("dissect.ntfs: contents of the application files", |_| {
        Ok(((), verification::contents(oracle, &raw, windows, applications)?))
    })?;
    if registry {
        let hives = registry::HIVES.map(|hive| work.join(hive.replace('/', "-")));
        steps.quiet("dissect.regf and hivexml: the registry of both applications", |_| {
            for (place, file) in registry::HIVES.iter().zip(&hives) {
                oracle.extract(&raw, windows, place, file)?;
            }
            Ok(((), registry::verify(oracle, &hives, applications)?))
        })?;
    }
    steps.quiet("sleuthkit: list the volume", |_| {
        Ok(((), verification::sleuthkit(&raw, windows, applications)?))
    })?;
    steps.quiet("7z: read the whole volume", |_| {
        Ok(((), verification::seven_zip(&raw, windows, applications, work)?))
    })?;
    std::fs::remove_file(&raw)?;
    call(steps, lamina, "lamina: check the store, data included", "check", arguments!["--read-data"])?;
    Ok(())
}

/// The partition of a raw disk that Windows is installed on: NTFS, with `\Windows\System32\config`.
fn windows_partition(oracle: &Oracle, disk: &Path) -> Result<Partition> {
    let mut found = Vec::new();
    for partition in disk::partitions(disk)? {
        if disk::is_ntfs(disk, partition)? && oracle.has(disk, partition, "Windows/System32/config")? {
            found.push(partition);
        }
    }
    match found[..] {
        [one] => Ok(one),
        _ => bail!(
            "{} has {} NTFS volumes with \\Windows\\System32\\config; one is needed",
            disk.display(),
            found.len()
        ),
    }
}

/// Where the demo works: a folder that is kept, or one that goes at the end.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn new(keep: Option<&Path>, target: &Path) -> Result<Folder> {
        let Some(keep) = keep else {
            // Not in /tmp, which may live in memory.
            return Ok(Folder::Temporary(tempfile::Builder::new().prefix("demo-").tempdir_in(target)?));
        };
        std::fs::create_dir_all(keep).with_context(|| format!("cannot make {}", keep.display()))?;
        if std::fs::read_dir(keep)?.next().is_some() {
            bail!("{} is not empty; name a new folder for --keep", keep.display());
        }
        Ok(Folder::Kept(keep.canonicalize()?))
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Kept(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }

    fn close(self) {
        match self {
            Folder::Kept(path) => report::line(format!("Kept in {}", path.display())),
            Folder::Temporary(_) => report::line("Everything was removed again; `--keep DIR` keeps it."),
        }
    }
}
