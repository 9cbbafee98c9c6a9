//! `cargo xtask bench`: compose, export and capture beside other programs that do the same work on the same trees.
//!
//! The trees are generated from a seed and written with security descriptors, 8.3 names, streams and hard links by the
//! ntfs-3g driver; the WIM that wimlib applies is captured from that very volume, so that both sides write the same
//! metadata. Whole processes are measured, in rounds in which every program runs once, and compared within each round.
//! Deliberately missing: cold caches, and storage slower than this machine's.

mod facts;
mod measure;
mod registry;
mod results;
mod server;
mod tree;
mod writing;

use crate::command::{command, output};
use crate::disk::{self, Partition};
use crate::lamina::Lamina;
use crate::metadata::Workspace;
use crate::mount::Mount;
use crate::steps::Steps;
use crate::{report, setup, sparse};
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use measure::Run;
use results::Results;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tree::Tree;
use writing::Metadata;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Install what is lacking without asking
    #[arg(long)]
    yes: bool,
    /// One round on the smaller tree only: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// The registry only
    #[arg(long)]
    registry: bool,
    /// The server only
    #[arg(long, conflicts_with = "registry")]
    server: bool,
    /// Where to write the figures as JSON; a text goes beside it [default: bench-results/TIME.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Rounds of a full run; medians of fewer say little.
const ROUNDS: usize = 5;

/// The size of the operating-system disks, in bytes; almost all of it is a hole.
const DISK_BYTES: u64 = 64 << 30;

/// Above the 10 GiB that an application layer may add by default: the larger tree comes close to it.
const MAX_LAYER: &str = "20GiB";

/// The file system of row (c), in bytes.
const REFLINK_BYTES: u64 = 32 << 30;

/// The grain in which changed blocks are known, in bytes: a cluster of a QCOW2 overlay.
const KNOWN_GRAIN: u64 = 64 << 10;

/// The formats that qemu-img writes too: Lamina's name, qemu's, and qemu's options.
const FORMATS: [(&str, &str, &str); 4] = [
    ("vhd", "vpc", "subformat=fixed,force_size=on"),
    ("vhdx", "vhdx", "subformat=dynamic"),
    ("qcow2", "qcow2", "compression_type=zlib"),
    ("vmdk", "vmdk", "subformat=streamOptimized"),
];

/// The `bench` task.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::read()?;
    setup::prepare(&[setup::Purpose::Bench], arguments.yes, &workspace)?;
    std::fs::create_dir_all(&workspace.target_directory)?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&workspace.target_directory)?;
    let lamina = Lamina::build(&workspace, folder.path().join("store"))?;
    let mut bench = Bench {
        lamina,
        work: folder.path().to_owned(),
        rounds: if arguments.quick { 1 } else { ROUNDS },
        steps: Steps::default(),
        known_blocks_program: Lamina::build_example(&workspace, "layering", "capture_known_blocks")?,
        hive_program: Lamina::build_example(&workspace, "hive", "hive_work")?,
        server_program: Lamina::build_example(&workspace, "server", "server_load")?,
        results: Results { facts: facts::gather(&workspace, folder.path())?, ..Results::default() },
    };
    bench.lamina.call("init", Vec::<OsString>::new())?;
    if arguments.server {
        bench.results.left_out.push("registry and files (--server)".into());
    } else {
        bench.hives()?;
        bench.registry_layers()?;
    }
    if arguments.registry {
        bench.results.left_out.push("server and files (--registry)".into());
    } else {
        bench.server()?;
        if !arguments.server {
            bench.files(arguments.quick)?;
        }
    }
    let results = bench.results;
    report::line("");
    report::line(results.text());
    let written = write_results(&results, arguments.out.as_deref(), &workspace)?;
    report::line(format!("written to {}", written.display()));
    Ok(true)
}

struct Bench {
    lamina: Lamina,
    work: PathBuf,
    rounds: usize,
    steps: Steps,
    results: Results,
    known_blocks_program: PathBuf,
    hive_program: PathBuf,
    server_program: PathBuf,
}

impl Bench {
    fn files(&mut self, quick: bool) -> Result<()> {
        self.small_os()?;
        let application = tree::application();
        self.application_layer(&application)?;
        self.compose_against_others()?;
        self.exports()?;
        if quick {
            self.results.left_out.push("the larger tree and capture (--quick)".into());
        } else {
            let windows = tree::windows();
            self.windows_layer(&windows)?;
            self.compose_larger(&application, &windows)?;
            self.captures(&application)?;
        }
        self.judge(&application);
        Ok(())
    }

    fn small_os(&mut self) -> Result<()> {
        let Bench { work, lamina, steps, .. } = self;
        let tree = work.join("small-os");
        let config = tree.join("Windows/System32/config");
        std::fs::create_dir_all(&config)?;
        for index in 0..50 {
            std::fs::write(tree.join(format!("Windows/System32/system{index:02}.dll")), vec![index; 20_000])?;
        }
        std::fs::write(
            config.join("README.txt"),
            "A small volume for measurements; there are no hives.\r\n",
        )?;
        let disk = work.join("os.raw");
        steps.quiet("make a small operating-system disk", |_| {
            disk::make(&disk, DISK_BYTES, &tree, work)?;
            Ok(((), String::new()))
        })?;
        lamina.call("import", words(&["--name", "Small", "--version", "1", "--disk"], &[&disk]))?;
        std::fs::remove_file(&disk)?;
        Ok(())
    }

    /// The smaller tree: as a plain folder, as a layer, and as a WIM of the volume that the layer was captured from.
    fn application_layer(&mut self, application: &Tree) -> Result<()> {
        let Bench { work, steps, .. } = self;
        let plain = work.join("plain");
        steps.quiet("write the application tree as plain files", |bar| {
            std::fs::create_dir_all(&plain)?;
            writing::write(application, &plain, Metadata::None, bar)?;
            Ok(((), String::new()))
        })?;
        let disk = self.packaged("os:Small@1", application, Some("application.wim"))?;
        let work = &self.work;
        self.steps.loud("capture the application tree as a layer", || {
            self.lamina.call("capture", capture_words("os:Small@1", &disk, "Suite", "1"))?;
            Ok(((), String::new()))
        })?;
        std::fs::remove_file(work.join("packaging.raw"))?;
        let totals = application.totals();
        self.results.facts.insert(
            "tree, application".into(),
            format!(
                "{} files, {} folders, {} links, {}",
                totals.files,
                totals.folders,
                totals.links,
                report::bytes(totals.bytes)
            ),
        );
        Ok(())
    }

    /// The larger tree: as a layer over the small system, and as an operating system of its own.
    fn windows_layer(&mut self, windows: &Tree) -> Result<()> {
        let disk = self.packaged("os:Small@1", windows, None)?;
        self.steps.loud("capture the Windows tree as a layer", || {
            self.lamina.call("capture", capture_words("os:Small@1", &disk, "Large", "1"))?;
            Ok(((), String::new()))
        })?;
        self.steps.loud("import the Windows tree as an operating system", || {
            self.lamina.call("import", words(&["--name", "Large", "--version", "1", "--disk"], &[&disk]))?;
            Ok(((), String::new()))
        })?;
        std::fs::remove_file(&disk)?;
        let totals = windows.totals();
        self.results.facts.insert(
            "tree, Windows".into(),
            format!(
                "{} files, {} folders, {} links, {}",
                totals.files,
                totals.folders,
                totals.links,
                report::bytes(totals.bytes)
            ),
        );
        Ok(())
    }

    /// A raw packaging disk of `os` that was changed through the ntfs-3g driver, and its volume as a file of its own.
    fn changed_disk(
        &mut self,
        os: &str,
        step: &str,
        change: impl FnOnce(&Path, &ProgressBar) -> Result<String>,
    ) -> Result<(PathBuf, PathBuf)> {
        let Bench { work, lamina, steps, .. } = self;
        let (disk, volume) = (work.join("packaging.raw"), work.join("volume.img"));
        lamina.call("packaging-disk", words(&["--os", os, "--format", "raw", "--out"], &[&disk]))?;
        let windows = windows_partition(&disk)?;
        steps.quiet(step, |bar| {
            sparse::take_out(&disk, windows.offset, windows.length, &volume)?;
            let mount = Mount::new(&volume, &work.join("mount"))?;
            let remark = change(mount.folder(), bar)?;
            mount.unmount()?;
            sparse::put_in(&volume, &disk, windows.offset)?;
            Ok(((), remark))
        })?;
        Ok((disk, volume))
    }

    /// A packaging disk on which `tree` was written; of the volume, a WIM if asked for.
    fn packaged(&mut self, os: &str, tree: &Tree, archive: Option<&str>) -> Result<PathBuf> {
        let step = "write the tree on a packaging disk with the ntfs-3g driver";
        let (disk, volume) = self.changed_disk(os, step, |folder, bar| {
            writing::write(tree, folder, Metadata::Ntfs, bar)?;
            Ok(format!("{} entries", tree.entries.len()))
        })?;
        let Bench { work, steps, .. } = self;
        if let Some(archive) = archive {
            steps.quiet("capture the volume as a WIM", |_| {
                output(
                    command("wimlib-imagex")
                        .args(["capture", "--compress=none"])
                        .arg(&volume)
                        .arg(work.join(archive)),
                )?;
                Ok(((), String::new()))
            })?;
        }
        std::fs::remove_file(&volume)?;
        Ok(disk)
    }

    /// Rows (a) to (e), in rounds.
    fn compose_against_others(&mut self) -> Result<()> {
        let reflinking = match Reflinking::new(&self.work, self.lamina_store()) {
            Ok(reflinking) => Some(reflinking),
            Err(reason) => {
                self.results.left_out.push(format!("row c, a file system that shares blocks: {reason:#}"));
                None
            }
        };
        let volume = Partition { offset: 1 << 20, length: DISK_BYTES / 2 };
        for round in 1..=self.rounds {
            report::note(&format!("compose and its peers: round {round} of {}", self.rounds));
            let composed = self.compose(&self.lamina, "app:Suite@1")?;
            self.results.add("a", "lamina compose, the stored layer over a small OS", composed);

            let raw = self.work.join("export.raw");
            let exported = self.compose_and_export(&self.lamina, &raw)?;
            self.results.add("b", "lamina compose + export raw, this file system", exported);

            if let Some(reflinking) = &reflinking {
                let lamina = self.lamina.on_store(reflinking.folder.join("store"));
                let exported = self.compose_and_export(&lamina, &reflinking.folder.join("export.raw"))?;
                self.results.add("c", "lamina compose + export raw, XFS that shares blocks", exported);
            }

            let image = self.work.join("peer.img");
            disk::format_ntfs(&image, volume, "Peer")?;
            let mut apply = command("wimlib-imagex");
            apply.arg("apply").arg(self.work.join("application.wim")).arg("1").arg(&image);
            let (applied, durable) = measure::run_and_sync(&mut apply, &image)?;
            self.results.add("d", "wimlib-imagex apply onto a formatted volume (not durable)", applied);
            self.results.add(
                "d durable",
                "the same and sync of the volume, as every row of lamina's",
                durable,
            );

            disk::format_ntfs(&image, volume, "Peer")?;
            let mount = Mount::new(&image, &self.work.join("mount"))?;
            let copied =
                measure::run(command("cp").arg("-r").arg(self.work.join("plain/.")).arg(mount.folder()))?;
            mount.unmount()?;
            std::fs::remove_file(&image)?;
            self.results.add(
                "e",
                "cp -r through ntfs-3g (contents only, driver's own time not in user/sys)",
                copied,
            );
        }
        Ok(())
    }

    fn lamina_store(&self) -> PathBuf {
        self.work.join("store")
    }

    /// One composition of `layer` over the small system, removed again.
    fn compose(&self, lamina: &Lamina, layer: &str) -> Result<Run> {
        let arguments = ["--os", "os:Small@1", "--layer", layer, "--image", "Measured"];
        let run = measure::run(&mut lamina.plumbing("compose", arguments))?;
        lamina.call("remove", ["image:Measured"])?;
        Ok(run)
    }

    fn compose_and_export(&self, lamina: &Lamina, raw: &Path) -> Result<Run> {
        let arguments = ["--os", "os:Small@1", "--layer", "app:Suite@1", "--image", "Measured"];
        let composed = measure::run(&mut lamina.plumbing("compose", arguments))?;
        let arguments = words(&["--image", "image:Measured", "--format", "raw", "--out"], &[raw]);
        let exported = measure::run(&mut lamina.plumbing("export", arguments))?;
        lamina.call("remove", ["image:Measured"])?;
        std::fs::remove_file(raw)?;
        Ok(composed.then(exported))
    }

    /// Every format against qemu-img, from the same disk.
    fn exports(&mut self) -> Result<()> {
        self.lamina.call("compose", ["--os", "os:Small@1", "--layer", "app:Suite@1", "--image", "Export"])?;
        let raw = self.work.join("source.raw");
        self.lamina
            .call("export", words(&["--image", "image:Export", "--format", "raw", "--out"], &[&raw]))?;
        let out = self.work.join("exported");
        for round in 1..=self.rounds {
            report::note(&format!("export: round {round} of {}", self.rounds));
            for (format, theirs, options) in FORMATS {
                let arguments = words(&["--image", "image:Export", "--format", format, "--out"], &[&out]);
                let run = measure::run(&mut self.lamina.plumbing("export", arguments))?;
                std::fs::remove_file(&out)?;
                self.results.add(&format!("export {format}"), &format!("lamina export {format}"), run);

                let mut convert = command("qemu-img");
                convert.args(["convert", "-f", "raw", "-O", theirs, "-o", options]).arg(&raw).arg(&out);
                let (run, durable) = measure::run_and_sync(&mut convert, &out)?;
                std::fs::remove_file(&out)?;
                let title = format!("qemu-img convert to {theirs}, {options} (not durable)");
                self.results.add(&format!("qemu {format}"), &title, run);
                let title = "the same and sync of the file, as lamina's";
                self.results.add(&format!("qemu {format} durable"), title, durable);
            }
        }
        std::fs::remove_file(&raw)?;
        Ok(())
    }

    fn compose_larger(&mut self, application: &Tree, windows: &Tree) -> Result<()> {
        for round in 1..=self.rounds {
            report::note(&format!("compose the larger tree: round {round} of {}", self.rounds));
            let run = self.compose(&self.lamina, "app:Large@1")?;
            self.results.add("a large", "lamina compose, the Windows tree over a small OS", run);
        }
        let entries = (application.entries.len(), windows.entries.len());
        self.results.goal_per_entry(("a", entries.0), ("a large", entries.1), 1.5);
        self.results.goal_memory("compose: memory at 180,000 entries", "a large", 600 << 20);
        Ok(())
    }

    /// The application tree captured from a packaging disk of the large system, with known blocks and in both modes of
    /// the command. What a capture stored is collected before the next, which would otherwise find its contents there.
    fn captures(&mut self, application: &Tree) -> Result<()> {
        let lamina = &self.lamina;
        // The same contents under another layer would be found instead of stored.
        for image in ["image:Export", "app:Suite@1", "app:Large@1"] {
            lamina.call("remove", [image])?;
        }
        let disk = self.packaged("os:Large@1", application, None)?;
        let known = self.known_blocks(&disk)?;
        for round in 1..=self.rounds {
            report::note(&format!("capture: round {round} of {}", self.rounds));
            self.lamina.call("gc", Vec::<OsString>::new())?;
            let mut program = command(&self.known_blocks_program);
            program.arg(self.lamina.store()).args(["os:Large@1", "Again", "1"]).arg(&disk).arg(&known);
            let run = measure::run(&mut program)?;
            self.lamina.call("remove", ["app:Again@1"])?;
            self.results.add(
                "capture known",
                "engine's capture of the same with known blocks (64 KiB grain)",
                run,
            );
            for (key, title, extra) in [
                ("capture", "lamina capture of the application tree from the large OS, all compared", None),
                ("capture trusting", "the same, --trust-metadata", Some("--trust-metadata")),
            ] {
                let mut arguments = capture_words("os:Large@1", &disk, "Again", "1");
                arguments.extend(extra.map(OsString::from));
                self.lamina.call("gc", Vec::<OsString>::new())?;
                let run = measure::run(&mut self.lamina.plumbing("capture", arguments))?;
                self.lamina.call("remove", ["app:Again@1"])?;
                self.results.add(key, title, run);
            }
        }
        Ok(())
    }

    /// The ranges in which a returned packaging disk of the large system differs from what it was, as a file.
    fn known_blocks(&self, returned: &Path) -> Result<PathBuf> {
        let (pristine, list) = (self.work.join("pristine.raw"), self.work.join("changed-ranges"));
        self.lamina.call(
            "packaging-disk",
            words(&["--os", "os:Large@1", "--format", "raw", "--out"], &[&pristine]),
        )?;
        let ranges = sparse::changed_ranges(&pristine, returned, KNOWN_GRAIN)?;
        let lines: String = ranges.iter().map(|(offset, len)| format!("{offset} {len}\n")).collect();
        std::fs::write(&list, lines)?;
        std::fs::remove_file(pristine)?;
        Ok(list)
    }

    fn judge(&mut self, application: &Tree) {
        let entries = application.entries.len();
        let results = &mut self.results;
        results.goal_faster(
            &format!("compose {entries} entries (a) against wimlib apply (d)"),
            "a",
            "d",
            15.0,
        );
        results.goal_faster("compose + export raw (b) against wimlib apply (d)", "b", "d", 3.0);
        results.goal_faster("the same against wimlib apply made durable", "b", "d durable", 3.0);
        results.goal_faster(
            "compose + export raw with shared blocks (c) against wimlib apply (d)",
            "c",
            "d",
            10.0,
        );
        results.goal_faster("capture with known blocks against wimlib apply (d)", "capture known", "d", 1.0);
        for (format, least) in [("vhd", 1.0), ("vhdx", 1.0), ("qcow2", 1.0), ("vmdk", 3.0)] {
            let (ours, theirs) = (format!("export {format}"), format!("qemu {format}"));
            results.goal_faster(&format!("export {format} against qemu-img convert"), &ours, &theirs, least);
            let durable = format!("{theirs} durable");
            results.goal_faster("the same against qemu-img convert made durable", &ours, &durable, least);
        }
    }
}

/// A loop-mounted XFS with a copy of the store.
struct Reflinking {
    folder: PathBuf,
}

impl Reflinking {
    fn new(work: &Path, store: PathBuf) -> Result<Reflinking> {
        if !rustix::process::geteuid().is_root() {
            bail!("mounting it needs root");
        }
        let image = work.join("xfs.img");
        std::fs::File::create(&image)?.set_len(REFLINK_BYTES)?;
        output(command("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image))?;
        let folder = work.join("xfs");
        std::fs::create_dir_all(&folder)?;
        output(command("mount").args(["-t", "xfs", "-o", "loop"]).arg(&image).arg(&folder))?;
        let reflinking = Reflinking { folder };
        output(command("cp").args(["-r", "--sparse=always"]).arg(store).arg(&reflinking.folder))?;
        Ok(reflinking)
    }
}

impl Drop for Reflinking {
    fn drop(&mut self) {
        if let Err(error) = output(command("umount").arg(&self.folder)) {
            report::note(&format!("{} is still mounted: {error:#}", self.folder.display()));
        }
    }
}

/// The Windows partition of a disk that [`disk::make`] laid out: the one NTFS volume on it.
fn windows_partition(disk: &Path) -> Result<Partition> {
    for partition in disk::partitions(disk)? {
        if disk::is_ntfs(disk, partition)? {
            return Ok(partition);
        }
    }
    bail!("{} has no NTFS volume", disk.display())
}

/// Arguments: words, then paths.
fn words(words: &[&str], paths: &[&Path]) -> Vec<OsString> {
    words.iter().map(OsString::from).chain(paths.iter().map(|path| path.as_os_str().to_owned())).collect()
}

fn capture_words(os: &str, disk: &Path, name: &str, version: &str) -> Vec<OsString> {
    let fixed = [
        "--os",
        os,
        "--kind",
        "app",
        "--max-size",
        MAX_LAYER,
        "--name",
        name,
        "--version",
        version,
        "--disk",
    ];
    words(&fixed, &[disk])
}

fn write_results(results: &Results, out: Option<&Path>, workspace: &Workspace) -> Result<PathBuf> {
    let json = match out {
        Some(path) => path.to_owned(),
        None => {
            let time = output(command("date").args(["-u", "+%Y-%m-%dT%H%M%SZ"]))?;
            workspace.workspace_root.join("bench-results").join(format!("{}.json", time.trim()))
        }
    };
    if let Some(folder) = json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&json, serde_json::to_string_pretty(results)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    std::fs::write(json.with_extension("txt"), results.text())?;
    Ok(json)
}
