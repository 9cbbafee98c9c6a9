//! Exports and imports that are cancelled, or killed at any moment.
//!
//! The processes that are killed are this test program itself, started with `EXCHANGE_ROLE` set: see [`role`].

use crate::bench::exchange::*;
use crate::bench::*;
use layering::report::ExchangeState::Done;
use layering::{Engine, Error};
use operation::{Explain, Progress, Silent, Unit};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const VERSIONS: [&str; 3] = ["os:Windows", "Office", "Viewer"];

/// Enough for several packs.
fn installed(lab: &Lab) {
    let disk = lab.disk_of(&[Part::Esp, Part::Ntfs(128)]);
    disk.edit(|volume| {
        for number in 0..6 {
            volume.file(&format!("\\Windows\\{number}.bin"), noise(11 << 20, number));
        }
    });
    lab.import("Windows@1", &disk);
    lab.app(&on("Windows"), "Office@1", |disk| {
        disk.file("\\Office\\word.exe", noise(10 << 20, 20));
    });
    lab.app(&on("Windows"), "Viewer@1", |disk| {
        disk.file("\\Viewer\\view.exe", noise(5 << 20, 30));
    });
}

#[test]
#[ignore = "not a test: what the processes of the other tests do"]
fn role() {
    let Ok(role) = std::env::var("EXCHANGE_ROLE") else { return };
    let path = |name: &str| PathBuf::from(std::env::var(name).unwrap());
    let (engine, layout) = (Engine::open(&path("EXCHANGE_STORE")).unwrap(), path("EXCHANGE_LAYOUT"));
    match role.as_str() {
        "export" => _ = engine.export_layers(&export_request(&VERSIONS, &layout), &Silent).unwrap(),
        "import" => _ = engine.import_layers(&import_request(&layout, &[]), &Silent).unwrap(),
        other => panic!("{other}"),
    }
}

fn start(role: &str, store: &Path, layout: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "exchange_killed::role", "--ignored", "--nocapture"])
        .envs([("EXCHANGE_ROLE", role.as_ref()), ("EXCHANGE_STORE", store), ("EXCHANGE_LAYOUT", layout)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts a process again and again and kills each after a longer while, until one is through; looks after each.
/// Gives how many were killed.
fn kill_often(role: &str, store: &Path, layout: &Path, mut look: impl FnMut()) -> u32 {
    let mut killed = 0;
    let mut patience = Duration::from_millis(4);
    loop {
        let mut process = start(role, store, layout);
        let begun = Instant::now();
        let status = loop {
            match process.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if begun.elapsed() > patience => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if let Some(status) = status {
            assert!(status.success(), "the {role} failed");
            return killed;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        killed += 1;
        look();
        patience = patience * 5 / 4;
    }
}

#[test]
fn an_export_killed_at_any_moment_leaves_a_valid_layout_and_goes_on() {
    let lab = lab!();
    installed(&lab);
    let layout = lab.fresh("layout");
    let mut sealed = files_of(&layout);
    let mut seen = 0;
    let killed = kill_often("export", &lab.store(), &layout, || {
        let now = files_of(&layout);
        let blobs = |name: &str| name.starts_with("blobs/");
        for (name, file) in sealed.iter().filter(|(name, _)| blobs(name)) {
            assert_eq!(now.get(name), Some(file), "{name} was written again");
        }
        sealed = now;
        if layout.join("oci-layout").exists() {
            let listed = Engine::list_layout(&layout, &Silent).unwrap();
            assert!(
                listed.unreadable.is_empty() && listed.versions.iter().all(|version| version.absent == 0)
            );
            seen = seen.max(listed.versions.len());
        }
    });
    assert!(killed > 5, "only {killed} were killed");
    let left: Vec<_> = std::fs::read_dir(&layout).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
    let there = lab!();
    assert_eq!(states(&there.import_layers(&layout)), [Done; 3]);
    there.assert_sound();
    assert_eq!(ids(&there.engine), ids(&lab.engine));
}

#[test]
fn an_import_killed_at_any_moment_leaves_only_complete_versions_and_goes_on() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let layout = here.fresh("layout");
    here.export_layers(&VERSIONS, &layout);
    let identities = ids(&here.engine);
    let mut rounds = 0;
    let killed = kill_often("import", &there.store(), &layout, || {
        rounds += 1;
        let engine = Engine::open(&there.store()).unwrap();
        let found = ids(&engine);
        assert!(identities.starts_with(&found), "{found:?}");
        if rounds % 3 == 0 {
            engine.gc(false, &Silent).unwrap();
            for directory in ["tmp", "sessions"] {
                assert_eq!(std::fs::read_dir(there.store().join(directory)).unwrap().count(), 0);
            }
        }
        let report = engine.check(rounds % 5 == 0, &Silent).unwrap();
        assert!(report.clean, "{:#?}", report.problems);
    });
    assert!(killed > 5, "only {killed} were killed");
    there.engine.gc(false, &Silent).unwrap();
    there.assert_sound();
    let spec = on("Windows").with("Office").with("Viewer");
    let request = here.compose_request(&spec, "desk");
    let digest = |lab: &Lab| lab.engine.compose(&request, &Silent).unwrap().digest;
    assert_eq!(digest(&there), digest(&here));
}

/// Says "stop" from the n-th question on.
struct StopAfter(AtomicI64);

impl Progress for StopAfter {
    fn step(&self, _: &str, _: Option<u64>, _: Unit) {}
    fn advance(&self, _: u64) {}
    fn cancelled(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) <= 0
    }
}

/// Cancels an operation at its first, second, … question until it is through. Gives how often.
fn cancel_everywhere(
    mut operation: impl FnMut(&dyn Progress) -> Result<(), Error>,
    look: impl Fn(),
) -> usize {
    let questions = (0..12).chain((12..100).step_by(9)).chain((100..100_000).step_by(500));
    for (cancelled, questions) in questions.enumerate() {
        match operation(&StopAfter(AtomicI64::new(questions))) {
            Ok(()) => return cancelled,
            Err(error) => assert_eq!(error.code(), "cancelled", "{error}"),
        }
        look();
    }
    panic!("it never came through");
}

#[test]
fn what_is_cancelled_leaves_nothing_behind() {
    let (here, there) = (lab!(), lab!());
    here.os("Windows@1", |disk| {
        disk.file("\\big.bin", noise(6 << 20, 1));
    });
    here.app(&on("Windows"), "App@1", |disk| {
        disk.file("\\app.bin", noise(1 << 20, 2));
    });
    let layout = here.fresh("layout");
    let cancelled = cancel_everywhere(
        |progress| {
            here.engine.export_layers(&export_request(&["os:Windows", "App"], &layout), progress).map(drop)
        },
        || {
            let listed = Engine::list_layout(&layout, &Silent).unwrap();
            assert!(
                listed.unreadable.is_empty() && listed.versions.iter().all(|version| version.absent == 0)
            );
            assert!(!files_of(&layout).keys().any(|name| name.ends_with(".part")));
        },
    );
    assert!(cancelled > 3, "cancelled only {cancelled} times");
    let cancelled = cancel_everywhere(
        |progress| there.engine.import_layers(&import_request(&layout, &[]), progress).map(drop),
        || {
            there.engine.gc(false, &Silent).unwrap();
            let report = there.engine.check(false, &Silent).unwrap();
            assert!(report.clean, "{:#?}", report.problems);
            if there.list().is_empty() {
                assert_eq!(std::fs::read_dir(there.store().join("packs")).unwrap().count(), 0);
            }
        },
    );
    assert!(cancelled > 3, "cancelled only {cancelled} times");
    there.assert_sound();
    assert_eq!(ids(&there.engine), ids(&here.engine));
}

#[test]
fn garbage_collected_during_an_import_takes_nothing_that_it_needs() {
    let (here, there) = (lab!(), lab!());
    installed(&here);
    let layout = here.fresh("layout");
    here.export_layers(&VERSIONS, &layout);
    let store = there.store();
    let importing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let engine = Engine::open(&store).unwrap();
            while importing.load(Ordering::Relaxed) {
                engine.gc(false, &Silent).unwrap();
            }
        });
        let outcome = there.try_import_layers(&layout);
        importing.store(false, Ordering::Relaxed);
        outcome.unwrap();
    });
    there.assert_sound();
    assert_eq!(ids(&there.engine), ids(&here.engine));
}
