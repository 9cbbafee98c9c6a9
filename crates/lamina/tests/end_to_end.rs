//! The whole job at the command line, from the disk of an operating system to a damaged store, through the real binary.
//!
//! Every command is called with and without `--json`. The keys of every JSON object, with the kinds of their values,
//! are a reviewed file: scripts rely on them.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

/// Disks and what is done on them, in the words of the engine's own tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../../layering/tests/rules/bench"]
mod bench {
    pub mod disk;
    pub mod edit;
}

use bench::disk::{Disk, can_format};
use bench::edit::{noise, path};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use support::{Answer, Lamina, assert_snapshot, describe, lamina};
use tempfile::TempDir;

/// The hive of programs' settings.
const SOFTWARE: &str = "\\Windows\\System32\\config\\SOFTWARE";

/// A directory with a store in it, and the keys of every JSON object that was printed so far.
struct Scene {
    directory: TempDir,
    keys: String,
}

impl Scene {
    /// `DIR` in a word is the directory.
    fn plumbing(&self, words: &str) -> Lamina {
        let call = lamina("plumbing --store").arg(self.file("store"));
        let directory = self.directory.path().to_string_lossy();
        words.split_whitespace().fold(call, |call, word| call.arg(word.replace("DIR", &directory)))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn disk(&self, name: &str) -> Disk {
        Disk { path: self.file(name) }
    }

    /// The one JSON object that a call printed, whose keys are noted.
    #[track_caller]
    fn noted(&mut self, words: &str, answer: &Answer) -> Value {
        assert_eq!(answer.stdout.lines().count(), 1, "{}: {}", answer.call, answer.stdout);
        let object = answer.json();
        self.keys.push_str(&format!("$ lamina plumbing {words} --json\n"));
        describe("", &[&object], &mut self.keys);
        self.keys.push_str(&format!("(exit {})\n\n", answer.status));
        object
    }

    /// Runs a command for a script.
    #[track_caller]
    fn json(&mut self, words: &str) -> Value {
        let answer = self.plumbing(words).arg("--json").ok();
        self.noted(words, &answer)
    }

    /// Runs a command for a person, who is told something.
    #[track_caller]
    fn text(&self, words: &str) -> String {
        let answer = self.plumbing(words).ok();
        assert!(!answer.stdout.trim().is_empty(), "{} says nothing", answer.call);
        assert!(serde_json::from_str::<Value>(&answer.stdout).is_err(), "{} prints JSON", answer.call);
        answer.stdout
    }

    /// Runs a command that is refused with this code: as an object for a script, in words for a person.
    #[track_caller]
    fn refused(&mut self, words: &str, code: &str) {
        let answer = self.plumbing(words).arg("--json").refused();
        let object = self.noted(words, &answer);
        assert_eq!(object["error"]["code"], code, "{object}");
        assert!(!object["error"]["message"].as_str().unwrap().is_empty());
        let answer = self.plumbing(words).refused();
        assert_eq!(answer.stdout, "", "{}", answer.call);
        assert!(answer.stderr.starts_with(&format!("error[{code}]: ")), "{}", answer.stderr);
    }
}

/// The bytes of a file on a disk's OS volume.
fn read(disk: &Disk, text: &str) -> Option<Vec<u8>> {
    let volume = disk.volume(1);
    let tree = ntfs_volume::scan::scan(&volume, &operation::Silent).unwrap();
    let stream = tree.lookup(&path(text))?.streams.iter().find(|stream| stream.name.is_empty())?;
    let mut bytes = Vec::new();
    ntfs_volume::content::read_stream(&volume, stream, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })
    .unwrap();
    Some(bytes)
}

/// A hive of programs' settings with these values of the key `Vendor`, and a list of one installed program.
fn software(values: &[(&str, &str)]) -> Vec<u8> {
    let upcase = hive::Upcase::unicode();
    let mut tree = hive::Tree::new(&upcase, 5, hive::Name::from("ROOT"), vec![1; 20]);
    let mut set = |path: &str, name: &str, text: &str| {
        let mut key = tree.root();
        for part in path.split('\\') {
            let class = [][..].into();
            let properties = hive::Properties { last_written: 0, flags: 0, user_flags: 0, access: 0, class };
            let security = tree.security_id(vec![1; 20]);
            key = tree.make_subkey(key, hive::Name::from(part), properties, Some(security)).0;
        }
        let data = hive::string(hive::value_kind::SZ, text);
        tree.set_value(key, hive::Name::from(name), data);
    };
    let program = "Microsoft\\Windows\\CurrentVersion\\Uninstall\\Tool";
    for (name, text) in [
        ("DisplayName", "Tool"),
        ("DisplayVersion", "1.0"),
        ("Publisher", "Maker"),
        ("InstallDate", "20260102"),
    ] {
        set(program, name, text);
    }
    for (name, text) in values {
        match name.strip_prefix("Tool ") {
            Some(name) => set(program, name, text),
            None => set("Vendor", name, text),
        }
    }
    tree.write().unwrap()
}

#[test]
fn from_an_operating_system_disk_to_a_published_image_and_a_damaged_store() {
    if !can_format() {
        println!(
            "SKIPPED from_an_operating_system_disk_to_a_published_image_and_a_damaged_store: mkntfs is not installed"
        );
        return;
    }
    let mut scene = Scene { directory: tempfile::tempdir().unwrap(), keys: String::new() };

    // A store.
    scene.json("init");
    scene.refused("init", "store-occupied");
    let second = scene.file("second");
    assert!(!lamina("plumbing init --store").arg(&second).ok().stdout.is_empty());

    // Two versions of an operating system.
    let windows = Disk::with_mbr(scene.file("windows.raw"), 0x1234_5678);
    windows.edit(|disk| {
        disk.directory("\\Windows\\System32\\config").file("\\Windows\\shared.dll", noise(20_000, 1));
        disk.file("\\Help\\old.txt", "old");
        disk.file(SOFTWARE, software(&[("Edition", "first")]));
    });
    windows.copy(scene.file("patched.raw")).edit(|disk| {
        disk.file("\\Windows\\shared.dll", noise(21_000, 2));
        disk.file(SOFTWARE, software(&[("Edition", "second")]));
    });
    scene.json("import --disk DIR/windows.raw --name Windows --version 1");
    scene.text("import --disk DIR/patched.raw --name Windows --version 2");
    scene.refused("import --disk DIR/windows.raw --name Windows --version 1", "exists");

    // Two applications and the software of a platform. The editor and the viewer disagree about one file, and the viewer
    // removes a folder that the editor puts something in.
    scene.json("packaging-disk --os Windows@1 --format raw --out DIR/editor.raw");
    scene.disk("editor.raw").edit(|disk| {
        disk.file("\\Apps\\editor.exe", noise(50_000, 3)).file("\\Windows\\shared.dll", noise(22_000, 4));
        disk.file("\\Help\\editor.txt", "how to edit").link("\\Apps\\editor.exe", "\\Apps\\edit.exe");
        disk.file(
            SOFTWARE,
            software(&[("Edition", "the editor's"), ("Color", "red"), ("Tool DisplayVersion", "1.1")]),
        );
    });
    scene.text("packaging-disk --os Windows@1 --format raw --out DIR/viewer.raw");
    scene.disk("viewer.raw").edit(|disk| {
        disk.file("\\Apps\\viewer.exe", noise(60_000, 5)).file("\\Windows\\shared.dll", noise(23_000, 6));
        disk.delete("\\Help").file(SOFTWARE, software(&[("Edition", "the viewer's"), ("Color", "red")]));
    });
    scene.text("packaging-disk --os Windows@1 --format raw --out DIR/azure.raw");
    scene.disk("azure.raw").edit(|disk| {
        disk.file("\\Azure agent\\agent.exe", noise(30_000, 7));
        disk.file("\\Personality.ini", "of a provisioning service that it is not for");
    });
    scene.json("capture --os Windows@1 --kind app --disk DIR/editor.raw --name Editor --version 1");
    scene.text("capture --os Windows@1 --kind app --disk DIR/viewer.raw --name Viewer --version 1");
    let azure = "capture --os Windows@1 --kind platform --purpose publishing --hypervisor azure --broker azure-rdsh \
                 --disk DIR/azure.raw --name Azure --version 1";
    scene.json(azure);
    let packaging = azure.replace("publishing", "packaging").replace("--name Azure", "--name Packaging");
    scene.refused(&packaging, "platform-types");
    scene.json(&packaging.replace("--broker azure-rdsh ", ""));
    scene.refused("compose --os Windows@2 --platform Packaging --image Third", "platform-purpose");
    let wrong = "capture --os Windows@2 --kind app --disk DIR/viewer.raw --name Other --version 1";
    scene.refused(wrong, "not-descended");

    // A disk whose Windows waits for a restart, looked at without a store, and refused.
    windows.copy(scene.file("waiting.raw")).edit(|disk| {
        disk.file("\\Windows\\WinSxS\\pending.xml", "<x/>");
    });
    scene.json("integrity --disk DIR/azure.raw --kind platform");
    scene.json("integrity --image os:Windows@1");
    scene.refused("integrity --image app:Editor", "reference-kind");
    let words = "integrity --disk DIR/waiting.raw --kind os";
    let answer = scene.plumbing(words).arg("--json").blocked();
    let report = scene.noted(words, &answer);
    assert_eq!(report["findings"][0]["code"], "reboot-pending");
    let waiting = scene.file("waiting.raw");
    let answer = lamina("plumbing integrity --disk").arg(&waiting).blocked();
    assert_eq!(answer.stderr, "");
    assert!(answer.stdout.starts_with("blocks[reboot-pending]: A post-installation reboot is pending - "));
    assert!(
        answer.stdout.contains("\n    \\Windows\\WinSxS\\pending.xml\nHint: Restart"),
        "{}",
        answer.stdout
    );
    scene.refused("import --disk DIR/waiting.raw --name Waiting --version 1", "integrity-blocks");

    // A new version of the editor.
    scene.json("packaging-disk --os Windows@1 --base Editor@1 --format raw --out DIR/editor-2.raw");
    scene.disk("editor-2.raw").edit(|disk| {
        disk.file("\\Apps\\editor.exe", noise(51_000, 8)).file("\\Apps\\new.txt", "new");
        disk.delete("\\Help\\editor.txt");
    });
    scene.json(
        "capture --os Windows@1 --base Editor@1 --kind app --disk DIR/editor-2.raw --name Editor --version 2 \
         --trust-metadata",
    );

    // Who wins, and the image.
    let composite = "--os Windows@2 --layer Editor@1 --layer Viewer --platform Azure";
    let conflicts = scene.json(&format!("conflicts {composite}"));
    let shared = &conflicts["rows"].as_array().unwrap()[0];
    assert_eq!((&shared["winner"], &shared["changed_by_os"]), (&"app:Viewer@1".into(), &true.into()));
    let edition = &conflicts["registry"].as_array().unwrap()[0];
    assert_eq!(
        (&edition["value"], &edition["winner_value"]["data"]),
        (&"Edition".into(), &"the viewer's".into())
    );
    let text = scene.text(&format!("conflicts {composite}"));
    assert!(
        text.contains("app:Editor@1 loses: \"the editor's\"\n        os:Windows@2 loses: \"second\""),
        "{text}"
    );
    let image = scene.json(&format!("compose {composite} --image Desktop --size 40MiB"));
    let composed = scene.text(&format!("compose {composite} --image Second --size 40MiB"));
    assert!(composed.contains("recipes      1 change against software of other platforms"), "{composed}");
    scene.refused("compose --os Windows@3 --image Third", "not-found");
    scene.json("export --image Desktop --format raw --out DIR/desktop.raw");
    scene.json("export --image Desktop --format qcow2 --out DIR/desktop.qcow2");
    scene.text("export --image Second --format vhd --out DIR/second.vhd");
    scene.refused("export --image Desktop --format raw --out DIR/desktop.raw", "export-target-exists");
    for name in ["desktop.raw", "desktop.qcow2", "second.vhd"] {
        let disk = scene.disk(name);
        assert_eq!(disk.source().len(), 40 << 20, "{name}");
        assert_eq!(read(&disk, "\\Windows\\shared.dll"), Some(noise(23_000, 6)), "{name}");
        assert_eq!(read(&disk, "\\Apps\\edit.exe"), Some(noise(50_000, 3)), "{name}");
        assert_eq!(read(&disk, "\\Help\\editor.txt").as_deref(), Some(&b"how to edit"[..]), "{name}");
        assert_eq!(read(&disk, "\\Help\\old.txt"), None, "{name}");
    }

    // What there is.
    let list = scene.json("list");
    assert_eq!(list["entries"].as_array().unwrap().len(), 9);
    assert!(scene.text("list").contains("app:Editor@2"));
    for reference in ["os:Windows@2", "platform:Azure", "app:Editor@2", "image:Desktop"] {
        scene.json(&format!("show {reference}"));
        scene.text(&format!("show {reference}"));
    }
    assert!(scene.text("show image:Desktop").contains("\n    pvs: \\Personality.ini removed\n"));
    assert!(scene.text("show platform:Azure").contains("\n    hypervisor: azure\n"));
    assert_eq!(scene.json("show image:Second")["details"]["digest"], image["digest"], "the same inputs");
    let files = scene.json("files app:Viewer");
    let deleted = files["rows"].as_array().unwrap().iter().filter(|row| row["entry"] == "deletion").count();
    assert_eq!(deleted, 2);
    scene.json("files os:Windows@2 \\Windows");
    assert!(scene.text("files app:Editor").contains("new.txt"));
    scene.refused("files app:Editor \\nowhere", "path-not-found");
    let diff = scene.json("diff app:Editor@1 app:Editor@2");
    let changes: BTreeSet<&str> =
        diff["rows"].as_array().unwrap().iter().filter_map(|row| row["change"].as_str()).collect();
    assert_eq!(changes, BTreeSet::from(["added", "changed", "removed"]));
    assert!(scene.text("diff os:Windows@1 os:Windows@2").contains("shared.dll"));

    // What is in the registry.
    assert!(scene.text("show app:Editor@1").contains("~ Tool   1.0 -> 1.1  Maker"));
    assert!(scene.text("show image:Desktop").contains("Tool     1.1      Maker"));
    let files = scene.text("files app:Viewer");
    assert!(
        files.contains("value         changed  SOFTWARE\\Vendor : Edition  \"first\" -> \"the viewer's\""),
        "{files}"
    );
    let files = scene.text("files os:Windows");
    assert!(files.contains("SOFTWARE  (7 keys, 5 values)"), "{files}");
    let diff =
        scene.json("registry diff --from os:Windows@1 --to image:Desktop --hive SOFTWARE --key Vendor");
    assert_eq!(diff["rows"].as_array().unwrap().len(), 2);
    assert!(
        scene
            .text("registry diff --from os:Windows@1 --to os:Windows@2")
            .contains("0 added, 0 removed, 1 changed")
    );
    scene.refused("registry diff --from os:Windows@1 --to os:Windows@2 --hive HKLM", "hive-name");
    scene.json("registry export --layer app:Viewer --format reg --out DIR/viewer.reg");
    let reg = fs::read(scene.file("viewer.reg")).unwrap();
    assert!(reg.starts_with(b"\xff\xfeW\0i\0n\0"));
    scene.text("registry export --image Desktop --format reg --out DIR/desktop.reg");
    scene.refused(
        "registry export --image Desktop --format reg --out DIR/desktop.reg",
        "export-target-exists",
    );
    scene.refused(
        "registry export --layer app:Viewer --hive SYSTEM --format json --out DIR/x",
        "hive-not-found",
    );
    // Without a file it is what goes to stdout.
    let export = scene.plumbing("registry export --layer app:Viewer --format json").json();
    assert_eq!(export["hives"][0]["keys"][0]["key"], "Vendor");
    let usage = scene.plumbing("registry export --layer app:Viewer --format json --json").usage();
    assert!(usage.stderr.contains("--out <FILE>"), "{}", usage.stderr);
    let usage = scene.plumbing("registry export --format json").usage();
    assert!(usage.stderr.contains("--image <REF>|--layer <REF>"), "{}", usage.stderr);

    // A command line that is not understood.
    let usage = scene.plumbing("capture --os Windows --json").usage();
    assert_eq!(usage.stdout, "");
    assert!(usage.stderr.contains("--disk <FILE>"), "{}", usage.stderr);

    // Cleaning up.
    scene.json("check --read-data");
    scene.text("check");
    scene.json("remove app:Editor@2");
    scene.text("remove image:Second");
    scene.refused("remove image:Second", "not-found");
    let would = scene.json("gc --dry-run");
    assert_eq!(scene.json("gc")["objects"], would["objects"]);
    assert!(would["objects"].as_u64() > Some(0), "{would}");
    scene.text("gc");
    scene.json("check --read-data");

    // A byte of the viewer's library is flipped.
    damage(&scene, &noise(23_000, 6)[..4096]);
    let answer = scene.plumbing("check --read-data --json").refused();
    let report = scene.noted("check --read-data", &answer);
    assert_eq!(report["error"]["code"], "store-damaged");
    let problem = &report["problems"].as_array().unwrap()[0];
    let affected: BTreeSet<&str> =
        problem["affects"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(affected, BTreeSet::from(["app:Viewer@1", "image:Desktop"]));
    let answer = scene.plumbing("check --read-data").refused();
    assert!(answer.stdout.contains("app:Viewer@1"), "{}", answer.stdout);
    assert!(answer.stderr.starts_with("error[store-damaged]: "), "{}", answer.stderr);

    assert_snapshot("json-keys.txt", &scene.keys);
}

/// Flips a byte of the pack that holds these bytes.
fn damage(scene: &Scene, bytes: &[u8]) {
    for entry in fs::read_dir(scene.file("store/packs")).unwrap() {
        let path = entry.unwrap().path();
        let mut pack = fs::read(&path).unwrap();
        // Contents begin on multiples of 4 KiB.
        let found = (0..pack.len()).step_by(4096).find(|&at| pack[at..].starts_with(bytes));
        if let Some(at) = found {
            pack[at + 100] ^= 1;
            fs::write(&path, pack).unwrap();
            return;
        }
    }
    panic!("no pack holds the bytes");
}
