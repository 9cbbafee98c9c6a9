//! `cargo xtask demo`: the main job on real input, from an operating-system disk to a published image.
//!
//! The disk is built from wine's drive (or is the user's own), the applications are real ones from PyPI, and whatever
//! is not Lamina's own work is done and checked by other programs. Nothing here knows Lamina's insides: it starts a
//! server with a folder as its file share, and calls the command line as an administrator would.

mod applications;
mod installation;
mod registry;
mod served;
mod verification;
mod windows_tree;
mod wine_registry;

use crate::command::{command, output};
use crate::disk::{self, Partition};
use crate::lamina::Lamina;
use crate::metadata::Workspace;
use crate::steps::Steps;
use crate::{report, setup, sparse};
use anyhow::{Context, Result, bail};
use applications::Application;
use clap::Args;
use served::Served;
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

/// Arguments of a command from text and paths.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { Vec::<OsString>::from([$(OsString::from($argument)),*]) };
}

/// The size of the operating-system disk, in bytes; almost all of it is a hole.
const DISK_BYTES: u64 = 20 << 30;

/// What is published: format, and the name of its file on the share.
const IMAGES: [(&str, &str); 2] = [("vhd", "image.vhd"), ("qcow2", "image.qcow2")];

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

    let served = steps.loud("start a server, and log in to it", || {
        let served = Served::start(&lamina, work)?;
        let remark = format!("{}, with an embedded database and store", served.url);
        Ok((served, remark))
    })?;
    prepare(&mut steps, &served, &os_disk)?;
    let mut registry = true;
    for application in &applications {
        registry &= package(&mut steps, &served, &oracle, application, work)?;
    }
    package_platform(&mut steps, &served)?;
    publish(&mut steps, &served, &applications)?;
    verify(&mut steps, &lamina, &served, &oracle, &applications, registry, work)?;
    steps.quiet("stop the server", |_| Ok((served.stop()?, String::new())))?;

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

fn call(steps: &mut Steps, served: &Served, name: &str, arguments: Vec<OsString>) -> Result<String> {
    steps.loud(name, || {
        let said = served.call(arguments)?;
        Ok((said.clone(), said))
    })
}

/// A place for disks, and the operating system.
fn prepare(steps: &mut Steps, served: &Served, os_disk: &Path) -> Result<()> {
    let share = served.share();
    let mut path = OsString::from("path=");
    path.push(&share);
    let folder =
        arguments!["connector", "create", "Share", "fileshare", "--set", "access=directory", "--set", path];
    call(steps, served, "name a folder as the file share", folder)?;
    served.call(arguments!["settings", "set", "--file-share", "Share"])?;
    steps.quiet("put the disk on the share", |_| {
        // The user's own disk stays where it is; its holes stay holes, and blocks are shared where that is possible.
        let copy = ["--sparse=always", "--reflink=auto"];
        output(command("cp").args(copy).arg(os_disk).arg(share.join("os.raw")))?;
        Ok(((), String::new()))
    })?;
    let import =
        arguments!["os", "import", "Windows", "1", "--disk", "os.raw", "--hypervisor", "kvm", "--wait"];
    call(steps, served, "import the operating system", import)?;
    std::fs::remove_file(share.join("os.raw"))?;
    Ok(())
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

/// Packaging disk, installation by another program, finalize. Whether the registry was part of it.
fn package(
    steps: &mut Steps,
    served: &Served,
    oracle: &Oracle,
    application: &Application,
    work: &Path,
) -> Result<bool> {
    let (name, file) = (application.name, format!("{}.raw", application.name));
    let create = arguments!["app", "create", name, application.version, "--os", "Windows"];
    let disk = arguments!["--disk", &file, "--format", "raw", "--wait"];
    call(steps, served, &format!("make a packaging disk for {name}"), [create, disk].concat())?;
    let disk = served.share().join(&file);
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
    let finalize = arguments!["version", "finalize", format!("app:{name}"), "--wait"];
    call(steps, served, &format!("finalize {name}"), finalize)?;
    if disk.exists() {
        bail!("{} is still there after its version was finalized", disk.display());
    }
    Ok(registry)
}

/// A platform layer for KVM: what an image needs there besides the clean-up of its recipe is in Windows already.
fn package_platform(steps: &mut Steps, served: &Served) -> Result<()> {
    let create = arguments!["platform", "create", "KVM", "1", "--os", "Windows", "--purpose", "publishing"];
    let disk = arguments!["--hypervisor", "kvm", "--disk", "kvm.raw", "--format", "raw", "--wait"];
    call(steps, served, "make a platform layer for KVM", [create, disk].concat())?;
    call(steps, served, "finalize it", arguments!["version", "finalize", "platform:KVM", "--wait"])?;
    Ok(())
}

/// One template for each format, and one task for each template.
fn publish(steps: &mut Steps, served: &Served, applications: &[Application; 2]) -> Result<()> {
    let mut publish = arguments!["template", "publish"];
    for (format, file) in IMAGES {
        let mut template = arguments!["template", "create", format!("Demo {format}"), "--os", "Windows"];
        for application in applications {
            template.extend(arguments!["--app", application.name]);
        }
        template.extend(arguments!["--platform", "KVM", "--connector", "Share", "--format", format]);
        // Disks of installed Windows have their recovery partition where the volume is to grow; others are not concerned.
        template.extend(arguments!["--disk", file, "--recovery", "move"]);
        call(steps, served, &format!("make an image template for {format}"), template)?;
        publish.push(format!("Demo {format}").into());
    }
    steps.loud("list the conflicts", || {
        let said = served.call(arguments!["template", "conflicts", format!("Demo {}", IMAGES[0].0)])?;
        let lower = said.to_lowercase().replace('\\', "/");
        for place in verification::conflicts(applications) {
            if !lower.contains(&place.to_lowercase()) {
                bail!("the conflicts do not name {place}, which both applications bring:\n{said}");
            }
        }
        Ok(((), said))
    })?;
    publish.push("--wait".into());
    call(steps, served, "publish both", publish)?;
    for (_, file) in IMAGES {
        let path = served.share().join(file);
        let size = path.metadata().with_context(|| format!("{} was not published", path.display()))?;
        report::note(&format!(
            "{file}: {} on disk, {} long",
            report::bytes(sparse::allocated(&path)?),
            report::bytes(size.len())
        ));
    }
    Ok(())
}

fn verify(
    steps: &mut Steps,
    lamina: &Lamina,
    served: &Served,
    oracle: &Oracle,
    applications: &[Application; 2],
    registry: bool,
    work: &Path,
) -> Result<()> {
    let [vhd, qcow2] = IMAGES.map(|(_, file)| served.share().join(file));
    steps.quiet("qemu-img: check the QCOW2, compare it with the VHD", |_| {
        Ok(((), verification::images_agree(&vhd, &qcow2)?))
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
    steps.loud("lamina: check the server's store, data included", || {
        let said = lamina.on_store(served.store()).call("check", ["--read-data"])?;
        Ok(((), said))
    })?;
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
