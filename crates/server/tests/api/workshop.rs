//! Real layers: a small disk with an NTFS volume is imported, and files that are put on packaging disks are captured.

use crate::rig::{Answer, Rig};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const MIB: usize = 1 << 20;
/// Where the volume begins on the disk, and its length, in MiB.
const VOLUME: (usize, usize) = (1, 62);

/// A program, also where a user's `PATH` lacks the folders of the system's.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether disks can be made; says so when they cannot.
pub(crate) fn can_make_disks(test: &str) -> bool {
    let missing = ["mkntfs", "sfdisk", "ntfscp"]
        .into_iter()
        .find(|name| program(name).arg("--version").stdin(Stdio::null()).spawn().is_err());
    if let Some(missing) = missing {
        eprintln!("SKIPPED {test}: {missing} is not installed");
    }
    missing.is_none()
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Puts a file on the volume of a disk.
fn put(disk: &Path, name: &str, content: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (volume, file) = (folder.path().join("volume"), folder.path().join("file"));
    fs::write(&file, content).unwrap();
    let mut bytes = vec![0; VOLUME.1 * MIB];
    let device = File::options().read(true).write(true).open(disk).unwrap();
    device.read_exact_at(&mut bytes, (VOLUME.0 * MIB) as u64).unwrap();
    fs::write(&volume, bytes).unwrap();
    run(program("ntfscp").arg(&volume).arg(&file).arg(name));
    device.write_all_at(&fs::read(&volume).unwrap(), (VOLUME.0 * MIB) as u64).unwrap();
}

/// A disk with one NTFS volume and a file on it.
fn disk(path: &Path, content: &str) {
    File::create(path).unwrap().set_len(64 * MIB as u64).unwrap();
    let mut table = program("sfdisk").arg("-q").arg(path).stdin(Stdio::piped()).spawn().unwrap();
    let words = "label: gpt\nstart=2048, size=126976, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n";
    table.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    assert!(table.wait().unwrap().success());
    let volume = tempfile::NamedTempFile::new().unwrap();
    volume.as_file().set_len((VOLUME.1 * MIB) as u64).unwrap();
    run(program("mkntfs").args(["-F", "-Q", "-q", "-p", "2048", "-H", "255", "-S", "63"]).arg(volume.path()));
    let device = File::options().write(true).open(path).unwrap();
    device.write_all_at(&fs::read(volume.path()).unwrap(), (VOLUME.0 * MIB) as u64).unwrap();
    put(path, "system.txt", content);
}

/// Makes a directory the file share, and gives it.
pub(crate) async fn file_share(rig: &Rig, name: &str) -> PathBuf {
    let share = rig.directory.path().join(name);
    fs::create_dir(&share).unwrap();
    let fields = json!({ "access": "directory", "path": share });
    let new = json!({ "connector": "fileshare", "name": name, "fields": fields });
    let made = rig.ask(Method::POST, "/connector-configurations", new).await.created();
    let change = json!({ "file_share": made.body["id"] });
    rig.ask_with(Method::PATCH, "/settings", change, &[("if-match", "*")]).await.ok();
    share
}

/// A server whose file share is a directory, and real layers in its store.
pub(crate) struct Workshop {
    pub(crate) rig: Rig,
    /// The directory of the file share.
    pub(crate) share: PathBuf,
}

impl Workshop {
    /// Sets the file share.
    pub(crate) async fn open(rig: Rig) -> Workshop {
        rig.become_administrator().await;
        let share = file_share(&rig, "Share").await;
        Workshop { rig, share }
    }

    /// Asks for something that a task does, and waits until it is done.
    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let made = self.rig.ask(Method::POST, path, body).await.created().body;
        let task = self.ended(&made).await;
        let state = task["state"].as_str().unwrap();
        assert!(["done", "action-required"].contains(&state), "{task:#}");
        made
    }

    /// Waits until the task of an answer has ended, and gives it.
    pub(crate) async fn ended(&self, made: &Value) -> Value {
        let path = format!("/tasks/{}", made["task_id"].as_str().unwrap());
        let patience = tokio::time::Instant::now() + Duration::from_secs(120);
        loop {
            let task = self.rig.get(&path).await.ok().body;
            if task["ended_at"].is_number() || task["ended_at"].is_string() {
                return task;
            }
            assert!(tokio::time::Instant::now() < patience, "the task does not end: {task:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An OS layer with a version 1.
    pub(crate) async fn os(&self, name: &str) -> Value {
        let file = format!("{name}.raw");
        disk(&self.share.join(&file), name);
        let made = self.done("/os-layers", json!({ "name": name, "version": "1", "disk": file })).await;
        fs::remove_file(self.share.join(file)).unwrap();
        made
    }

    /// A layer with a version 1 that holds a file of this content.
    pub(crate) async fn layer(
        &self,
        path: &str,
        name: &str,
        os: &Value,
        content: &str,
        more: Value,
    ) -> Value {
        let file = format!("{name}.raw");
        let mut new = json!({ "name": name, "os_layer_id": os["layer_id"], "version": "1",
            "packaging": { "disk": file, "format": "raw" } });
        for (key, value) in more.as_object().unwrap() {
            new[key] = value.clone();
        }
        let made = self.done(path, new).await;
        put(&self.share.join(file), &format!("{name}.txt"), content);
        let version = made["version_id"].as_str().unwrap();
        self.done(&format!("/versions/{version}/finalize"), json!({})).await;
        made
    }

    /// Deletes a version.
    pub(crate) async fn delete(&self, made: &Value) {
        let path = format!("/versions/{}", made["version_id"].as_str().unwrap());
        let deleting = self.rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "*")]).await;
        let task = self.ended(&deleting.created().body).await;
        assert_eq!(task["state"], "done", "{task:#}");
    }

    /// What a reference names here.
    pub(crate) async fn resolve(&self, reference: &str) -> Answer {
        self.rig.get(&format!("/resolve?reference={}", reference.replace(' ', "%20"))).await
    }
}
