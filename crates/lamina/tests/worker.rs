//! Jobs by `lamina worker`, the process that a server starts for each: real disks, the same outcomes as in process,
//! and what is left when such a process is stopped in the middle.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here fails a test, and says why")]

mod support;

/// Disks and what is done on them, in the words of the engine's own tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../../layering/tests/rules/bench"]
mod bench {
    pub mod disk;
    pub mod edit;
}

use bench::disk::{Disk, WINDOWS, can_format};
use bench::edit::noise;
use operation::{Failure, Progress, Silent, Unit};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use worker::process::Worker;
use worker::{Job, Outcome};

/// A directory with a store in it.
struct Scene(TempDir);

impl Scene {
    /// An empty store, or nothing where no volume can be made.
    fn new(test: &str) -> Option<Scene> {
        if !can_format() {
            println!("SKIPPED {test}: mkntfs is not installed");
            return None;
        }
        let scene = Scene(tempfile::tempdir().unwrap());
        scene.there(json!({"operation": "init"}));
        Some(scene)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    /// A disk with a Windows in small.
    fn windows(&self) -> Disk {
        let disk = Disk::create(self.file("windows.raw"), WINDOWS);
        disk.edit(|disk| {
            disk.directory("\\Windows\\System32\\config").file("\\Windows\\shared.dll", noise(20_000, 1));
            disk.file("\\Help\\old.txt", "old").file("\\Windows\\big.bin", noise(3_000_000, 2));
        });
        disk
    }

    /// Windows and an application, in the store.
    fn with_layers(&self) {
        self.windows();
        self.there(json!({"operation": "import", "request":
            {"disk": self.path("windows.raw"), "name": "Windows", "version": "1"}}));
        self.there(json!({"operation": "packaging-disk", "request":
            {"composite": {"os": "Windows"}, "format": "raw", "out": self.path("editor.raw")}}));
        Disk { path: self.file("editor.raw") }.edit(|disk| {
            disk.file("\\Apps\\editor.exe", noise(50_000, 3)).file("\\Windows\\shared.dll", noise(22_000, 4));
            disk.delete("\\Help\\old.txt");
        });
        self.there(json!({"operation": "capture", "request":
            {"composite": {"os": "Windows"}, "disk": self.path("editor.raw"),
             "version": {"kind": "app", "name": "Editor", "version": "1"}}}));
    }

    /// What a job gives in a process of its own.
    fn try_there(&self, job: Value, progress: &dyn Progress) -> Result<Outcome, Failure> {
        let job: Job = serde_json::from_value(job).unwrap();
        let confined = AtomicBool::new(false);
        let answer = worker().run(&self.file("store"), &job, progress, &|line| {
            confined.fetch_or(line.ends_with("system calls fully."), Ordering::SeqCst);
        });
        assert!(confined.into_inner(), "{job:?} was not confined");
        answer
    }

    #[track_caller]
    fn there(&self, job: Value) -> Value {
        let outcome = self.try_there(job.clone(), &Silent);
        serde_json::to_value(outcome.unwrap_or_else(|failure| panic!("{job}: {failure:?}"))).unwrap()
    }

    /// What it gives in this process.
    #[track_caller]
    fn here(&self, job: Value) -> Value {
        let outcome = worker::run(&self.file("store"), serde_json::from_value(job).unwrap(), &Silent);
        serde_json::to_value(outcome.unwrap()).unwrap()
    }

    #[track_caller]
    fn assert_clean(&self) {
        let report = self.here(json!({"operation": "check", "request": {"read_data": true}}));
        assert_eq!(report["report"]["clean"], true, "{report}");
    }

    /// Names in the directory, without those of files that a test made.
    fn parts(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".part")).collect()
    }
}

fn worker() -> Worker {
    Worker::new(env!("CARGO_BIN_EXE_lamina"), ["worker"])
}

/// Notes the names of steps, and cancels when so many have begun.
struct Stopping {
    steps: Mutex<Vec<String>>,
    after: usize,
}

impl Stopping {
    fn after(after: usize) -> Stopping {
        Stopping { steps: Mutex::default(), after }
    }
}

impl Progress for Stopping {
    fn step(&self, name: &str, _total: Option<u64>, _unit: Unit) {
        self.steps.lock().unwrap().push(name.to_owned());
    }

    fn advance(&self, _amount: u64) {}

    fn cancelled(&self) -> bool {
        self.steps.lock().unwrap().len() >= self.after
    }
}

#[test]
fn every_kind_of_job_gives_the_same_outcome_as_in_process() {
    let Some(scene) = Scene::new("every_kind_of_job_gives_the_same_outcome_as_in_process") else { return };
    scene.with_layers();

    // What only reads gives the same, word for word.
    let composite = json!({"os": "Windows", "layers": ["Editor"]});
    let integrity = json!({"disk": scene.path("windows.raw"), "kind": "os"});
    let compose = |image: &str| {
        json!({"operation": "compose", "request":
            {"composite": composite, "image": image, "size": 40 << 20}})
    };
    let image = scene.there(compose("Desktop"));
    for job in [
        json!({"operation": "list"}),
        json!({"operation": "show", "request": {"reference": "image:Desktop"}}),
        json!({"operation": "show", "request": {"reference": "Editor"}}),
        json!({"operation": "files", "request": {"reference": "os:Windows", "path": null}}),
        json!({"operation": "diff", "request": {"from": "os:Windows", "to": "image:Desktop"}}),
        json!({"operation": "conflicts", "request": composite}),
        json!({"operation": "registry-diff", "request":
            {"from": "os:Windows", "to": "image:Desktop", "scope": {}}}),
        json!({"operation": "integrity", "request": integrity}),
        json!({"operation": "check", "request": {"read_data": true}}),
        json!({"operation": "gc", "request": {"dry_run": true}}),
    ] {
        assert_eq!(scene.there(job.clone()), scene.here(job.clone()), "{job}");
    }

    // What writes gives the same contents.
    let second = scene.here(compose("Second"));
    for amount in ["digest", "files", "directories", "removed", "spliced", "written", "warnings"] {
        assert_eq!(image["report"][amount], second["report"][amount], "{amount}");
    }
    for format in ["raw", "vhd", "vhd-dynamic", "vhdx", "qcow2", "vmdk"] {
        let export = |name: &str| {
            json!({"operation": "export", "request":
                {"image": "Desktop", "format": format, "out": scene.path(name)}})
        };
        let there = scene.there(export("there"));
        let here = scene.here(export("here"));
        assert_eq!(there["report"]["written"], here["report"]["written"], "{format}");
        assert!(fs::read(scene.file("there")).unwrap() == fs::read(scene.file("here")).unwrap(), "{format}");
        for name in ["there", "here"] {
            fs::remove_file(scene.file(name)).unwrap();
        }
    }
    let export = |name: &str| {
        json!({"operation": "registry-export", "request":
            {"of": {"layer": "Editor"}, "scope": {}, "format": "json", "out": scene.path(name)}})
    };
    scene.there(export("there"));
    scene.here(export("here"));
    assert_eq!(fs::read(scene.file("there")).unwrap(), fs::read(scene.file("here")).unwrap());
    scene.there(json!({"operation": "remove", "request": {"reference": "image:Second"}}));
    scene.there(json!({"operation": "gc", "request": {"dry_run": false}}));
    scene.assert_clean();
}

#[test]
fn a_compose_that_is_cancelled_anywhere_leaves_a_clean_store() {
    let Some(scene) = Scene::new("a_compose_that_is_cancelled_anywhere_leaves_a_clean_store") else { return };
    scene.with_layers();
    let compose = |image: &str| {
        json!({"operation": "compose", "request":
            {"composite": {"os": "Windows", "layers": ["Editor"]}, "image": image, "size": 40 << 20}})
    };
    let whole = Stopping::after(usize::MAX);
    scene.try_there(compose("Whole"), &whole).unwrap();
    let steps = whole.steps.into_inner().unwrap();
    assert!(steps.len() > 3, "{steps:?}");
    for after in 1..=steps.len() {
        let image = format!("Stopped {after}");
        match scene.try_there(compose(&image), &Stopping::after(after)) {
            Err(failure) => assert_eq!(failure.code, "cancelled", "{failure:?}"),
            // The last steps are short: it may have been done before it was stopped.
            Ok(outcome) => assert!(matches!(outcome, Outcome::Compose(_)), "{outcome:?}"),
        }
        scene.assert_clean();
    }
    // What they had begun is given back, and the images that there are stay.
    scene.there(json!({"operation": "gc", "request": {"dry_run": false}}));
    scene.assert_clean();
    scene.there(compose("Again"));
}

#[test]
fn an_export_that_is_cancelled_leaves_no_file() {
    let Some(scene) = Scene::new("an_export_that_is_cancelled_leaves_no_file") else { return };
    scene.with_layers();
    scene.there(json!({"operation": "compose", "request":
        {"composite": {"os": "Windows"}, "image": "Desktop", "size": 1 << 30}}));
    let out = scene.file("out.raw");
    let export = json!({"operation": "export", "request": {"image": "Desktop", "format": "raw", "out": out}});
    let answer = scene.try_there(export, &Stopping::after(1));
    match answer {
        Err(failure) => {
            assert_eq!(failure.code, "cancelled", "{failure:?}");
            assert!(!out.exists());
        }
        Ok(_) => assert!(out.exists()),
    }
    assert_eq!(scene.parts(), [""; 0]);
}

#[test]
fn disks_that_only_the_converter_reads_are_imported() {
    let test = "disks_that_only_the_converter_reads_are_imported";
    let Some(scene) = Scene::new(test) else { return };
    let qemu_img = |args: &[&str]| {
        let output = Command::new("qemu-img").args(args).current_dir(scene.0.path()).output();
        output.map(|output| assert!(output.status.success(), "{args:?}: {output:?}")).is_ok()
    };
    scene.windows();
    if !qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-o", "extended_l2=on", "windows.raw", "new.qcow2"])
    {
        println!("SKIPPED {test}: qemu-img is not installed");
        return;
    }
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", "windows.raw", "-F", "raw", "overlay.qcow2"]);
    let import = |disk: &Path, name: &str, allow_backing: bool| {
        json!({"operation": "import", "request":
            {"disk": disk, "name": name, "version": "1", "allow_backing": allow_backing}})
    };
    let plain = scene.there(import(&scene.file("windows.raw"), "Plain", false));
    for (disk, allow_backing) in [("new.qcow2", false), ("overlay.qcow2", true)] {
        let converted = scene.there(import(&scene.file(disk), disk, allow_backing));
        assert_eq!(converted["report"]["files"], plain["report"]["files"]);
        assert_eq!(converted["report"]["stored"], 0, "the same contents: {converted}");
        assert!(converted["report"]["warnings"].to_string().contains("qemu-img"), "{converted}");
    }
    let looked = scene.there(json!({"operation": "integrity", "request":
        {"disk": scene.path("new.qcow2"), "kind": "os"}}));
    assert_eq!(looked["report"]["volume"], 2, "{looked}");

    // A disk that takes contents from a directory that nobody has named is refused.
    let elsewhere = tempfile::tempdir().unwrap();
    let overlay = elsewhere.path().join("overlay.qcow2");
    fs::copy(scene.file("windows.raw"), scene.file("base.raw")).unwrap();
    let base = scene.path("base.raw");
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", &base, "-F", "raw", overlay.to_str().unwrap()]);
    let failure = scene.try_there(import(&overlay, "Elsewhere", true), &Silent).unwrap_err();
    assert_eq!(failure.code, "image-unreadable", "{failure:?}");
    assert!(failure.message.contains("base.raw: Permission denied"), "{failure:?}");
    scene.assert_clean();
}

#[test]
fn the_worker_is_no_command_for_people() {
    assert!(!support::lamina("--help").ok().stdout.contains("worker"));
    // Without an order it says so, and ends.
    let mut command = support::lamina("worker").command();
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "there is no order on standard input\n");
}
