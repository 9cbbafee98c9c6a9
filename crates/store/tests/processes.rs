//! Several processes on one store, and processes that die in the middle of it.
//!
//! The processes are this test program itself, started with `STORE_ROLE` set: see [`role`].
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::Silent;
use sample::{Random, bytes, directory, files_in, object};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use store::{BlobId, Error, Expect, ObjectId, RefName, Store};

fn say(line: &str) {
    // Not `println!`, which the test harness would keep for itself.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Writes packs, objects and references named `WHO/0` to `WHO/9`, now and then removes one, and says what it is about
/// to do and what is done. Collects garbage too if told.
fn write(store: &Store, who: &str, random: &mut Random, collects: bool, goes_on: &dyn Fn() -> bool) {
    while goes_on() {
        let name = RefName::new([who, &random.below(10).to_string()]).unwrap();
        match random.below(10) {
            0 if collects => {
                store.gc(false, &Silent).unwrap();
            }
            1 | 2 => {
                say(&format!("changing {name}"));
                let expected = store.get_ref(&name).unwrap().map_or(Expect::Absent, Expect::Is);
                store.remove_ref(&name, expected).unwrap();
                say(&format!("removed {name}"));
            }
            _ => {
                let session = store.session().unwrap();
                let mut writer = session.pack_writer().unwrap();
                let mut blobs = Vec::new();
                for _ in 0..random.below(12) {
                    // Few seeds, so that much of it is there already, referenced or not.
                    let content = bytes(random.below(60), [100, 5000, 70_000][random.below(3) as usize]);
                    blobs.push(writer.append_bytes(&content).unwrap().id);
                }
                if random.below(20) == 0 {
                    blobs.push(writer.append_bytes(&bytes(random.below(3), 6 << 20)).unwrap().id);
                }
                writer.finish().unwrap();
                let manifest = session.put_object(&object(&blobs, &[], b"manifest")).unwrap();
                let payload = random.below(3).to_le_bytes();
                let version = session.put_object(&object(&[], &[manifest], &payload)).unwrap();
                say(&format!("changing {name}"));
                store.set_ref(&name, Expect::Anything, version).unwrap();
                say(&format!("set {name} {version}"));
            }
        }
    }
}

/// Reads everything that a random reference reaches, again and again, and verifies it.
fn read(store: &Store, random: &mut Random, goes_on: &dyn Fn() -> bool) {
    let mut verified = 0;
    while goes_on() {
        let refs = store.refs("").unwrap();
        if refs.is_empty() {
            continue;
        }
        let (_, version) = &refs[random.below(refs.len() as u64) as usize];
        let session = store.session().unwrap();
        match session.hold(*version) {
            Err(Error::NoObject { .. }) => continue,
            held => held.unwrap(),
        }
        let manifest = store.get_object(*version).unwrap().links[0];
        let blobs = store.get_object(manifest).unwrap().blobs;
        let found = session.locate_all(blobs.iter().copied()).unwrap();
        for blob in blobs {
            let location = found[&blob];
            let mut content = vec![0; location.len as usize];
            let pack = store.pack(location.pack).unwrap();
            pack.read_exact_at(location.offset, &mut content).unwrap();
            assert_eq!(BlobId::of(&content), blob);
            verified += 1;
        }
    }
    assert!(verified > 0, "the reader found something to read");
}

#[test]
#[ignore = "not a test: what the processes of the other tests do"]
fn role() {
    let Ok(role) = std::env::var("STORE_ROLE") else { return };
    let mut words = role.split(' ');
    let mut word = || words.next().unwrap();
    let (what, seed, millis) = (word(), word().parse().unwrap(), word().parse().unwrap());
    let store = Store::open(Path::new(&std::env::var("STORE_PATH").unwrap())).unwrap();
    let end = Instant::now() + Duration::from_millis(millis);
    let goes_on = || Instant::now() < end;
    let random = &mut Random(seed);
    say("ready");
    match what {
        "reader" => read(&store, random, &goes_on),
        "collector" => {
            while goes_on() {
                store.gc(false, &Silent).unwrap();
            }
        }
        "everything" => write(&store, what, random, true, &goes_on),
        writer => write(&store, writer, random, false, &goes_on),
    }
    say("end");
}

fn start(store: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role", "--ignored", "--nocapture"])
        .env("STORE_ROLE", role)
        .env("STORE_PATH", store)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the references must be after what a process said. `None` in the list: it need not exist.
#[derive(Default)]
struct Said {
    refs: BTreeMap<String, ObjectId>,
    /// A change that may or may not have happened.
    unsure: Option<String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["changing", name] => self.unsure = Some(name.to_owned()),
            ["set", name, object] => {
                self.refs.insert(name.to_owned(), object.parse().unwrap());
                self.unsure = None;
            }
            ["removed", name] => {
                self.refs.remove(name);
                self.unsure = None;
            }
            _ => {}
        }
    }

    fn compare(&mut self, store: &Store) {
        let mut found: BTreeMap<String, ObjectId> =
            store.refs("").unwrap().into_iter().map(|(name, id)| (name.to_string(), id)).collect();
        if let Some(name) = self.unsure.take() {
            match found.remove(&name) {
                Some(id) => self.refs.insert(name, id),
                None => self.refs.remove(&name),
            };
            found = store.refs("").unwrap().into_iter().map(|(name, id)| (name.to_string(), id)).collect();
        }
        assert_eq!(found, self.refs);
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_complete_and_leaves_nothing_half_visible() {
    let directory = directory();
    drop(Store::init(directory.path()).unwrap());
    let mut said = Said::default();
    let mut random = Random(20_261_120);
    let mut completed = 0;
    for round in 0..40u64 {
        let mut process = start(directory.path(), &format!("everything {} 60000", round * 1000));
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while line != "ready\n" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the process started");
        }
        std::thread::sleep(Duration::from_micros(random.below(120_000)));
        process.kill().unwrap();
        assert!(!process.wait().unwrap().success());
        loop {
            line.clear();
            lines.read_line(&mut line).unwrap();
            let Some(complete) = line.strip_suffix('\n') else { break };
            completed += usize::from(complete.starts_with("set"));
            said.hear(complete);
        }
        let store = Store::open(directory.path()).unwrap();
        said.compare(&store);
        assert_eq!(store.check(true, &Silent).unwrap().problems, [], "round {round}");
        if round % 4 == 3 {
            store.gc(false, &Silent).unwrap();
            said.compare(&store);
            assert_eq!(store.check(true, &Silent).unwrap().problems, [], "round {round} after a collection");
            assert_eq!(files_in(&directory.path().join("tmp")), 0);
            assert_eq!(files_in(&directory.path().join("sessions")), 0);
        }
    }
    assert!(completed > 20, "the processes got something done between the kills: {completed}");
}

#[test]
fn writers_readers_and_collectors_work_at_the_same_time() {
    let directory = directory();
    let store = Store::init(directory.path()).unwrap();
    // Something to read from the beginning.
    write(&store, "first", &mut Random(1), false, &{
        let end = Instant::now() + Duration::from_millis(300);
        move || Instant::now() < end
    });
    let first = store.refs("").unwrap();
    let roles = ["one 11 4000", "two 12 4000", "collector 13 4000", "reader 14 4000"];
    let processes = roles.map(|role| (role, start(directory.path(), role)));
    let mut said = Said::default();
    first.into_iter().for_each(|(name, id)| _ = said.refs.insert(name.to_string(), id));
    for (role, process) in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{role} failed");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().for_each(|line| said.hear(line));
        assert!(text.lines().any(|line| line == "end"));
    }
    said.compare(&store);
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
    store.gc(false, &Silent).unwrap();
    said.compare(&store);
    assert_eq!(store.check(true, &Silent).unwrap().problems, []);
}
