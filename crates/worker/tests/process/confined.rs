//! What a child can do, and what it cannot.

use super::support::{Noted, Scene, child, fault, qemu_img};
use layering::reference::LayerKind;
use layering::request::IntegrityRequest;
use std::fs;
use std::path::Path;
use worker::{Job, Paths};

/// Without Landlock these tests have nothing to see.
fn landlock(scene: &Scene, test: &str) -> bool {
    scene.run(&Job::List).unwrap();
    let in_force = scene.log.borrow().iter().any(|line| line.contains("files and network fully"));
    if !in_force {
        println!("SKIPPED {test}: this kernel has not all of Landlock: {:?}", scene.log.borrow());
    }
    in_force
}

#[track_caller]
fn assert_denied(scene: &Scene, what: &str) {
    let failure = scene.fails(&format!("probe {what}"));
    assert_eq!(failure.code, "denied", "{what}: {}", failure.message);
}

#[track_caller]
fn assert_allowed(scene: &Scene, what: &str) {
    let failure = scene.fails(&format!("probe {what}"));
    assert_eq!(failure.code, "allowed", "{what}: {}", failure.message);
}

pub(crate) fn a_job_gives_the_same_outcome_in_process_and_in_a_process_of_its_own() {
    let scene = Scene::new();
    let disk = scene.file("no disk");
    fs::write(&disk, vec![7; 1 << 20]).unwrap();
    let integrity = |disk: &Path| {
        let disk = disk.to_owned();
        Job::Integrity(IntegrityRequest { disk, volume: None, kind: LayerKind::Os, allow_backing: false })
    };
    for job in [
        Job::List,
        Job::Check { read_data: true },
        Job::Gc { dry_run: false },
        Job::Show { reference: "app:Office".into() },
        Job::Remove { reference: "app:Office".into() },
        Job::Init,
        integrity(&disk),
        integrity(&scene.file("nowhere")),
    ] {
        let here = worker::run(&scene.store(), job.clone(), &operation::Silent);
        let there = scene.run(&job);
        let text = |answer: &Result<_, _>| match answer {
            Ok(outcome) => serde_json::to_string(outcome),
            Err(failure) => serde_json::to_string(failure),
        };
        assert_eq!(text(&there).unwrap(), text(&here).unwrap(), "{job:?}");
    }

    // A store that is not there yet.
    let (one, two) = (scene.file("deep/one"), scene.file("deep/two"));
    worker::run(&one, Job::Init, &operation::Silent).unwrap();
    child().run(&two, &Job::Init, &Noted::default(), &|_| {}).unwrap();
    let outcome = child().run(&two, &Job::Check { read_data: true }, &Noted::default(), &|_| {});
    assert!(serde_json::to_string(&outcome.unwrap()).unwrap().contains("\"clean\":true"));
}

pub(crate) fn the_child_says_what_is_in_force() {
    let scene = Scene::new();
    scene.run(&Job::List).unwrap();
    let log = scene.log.borrow();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("The engine's process is confined: files and network "), "{log:?}");
    assert!(log[0].ends_with(", system calls fully."), "{log:?}");
}

pub(crate) fn files_outside_those_of_the_job_cannot_be_opened() {
    let scene = Scene::new();
    if !landlock(&scene, "files_outside_those_of_the_job_cannot_be_opened") {
        return;
    }
    let (store, beside) = (scene.store(), scene.file("beside"));
    let (store, beside) = (store.display(), beside.display());
    assert_allowed(&scene, &format!("read {store}/lamina-store"));
    assert_allowed(&scene, &format!("write {store}/new"));
    assert_allowed(&scene, &format!("remove {store}/new"));
    assert_allowed(&scene, "read /dev/null");
    assert_allowed(&scene, "read /proc/self/status");
    for what in [
        "read /etc/passwd".to_owned(),
        "list /".to_owned(),
        "list /proc".to_owned(),
        "read /proc/1/status".to_owned(),
        "read /proc/sys/kernel/hostname".to_owned(),
        "write /dev/kmsg".to_owned(),
        format!("read {beside}"),
        format!("write {beside}"),
        format!("remove {beside}"),
        format!("read {store}/../beside"),
        format!("list {store}/.."),
        format!("write {store}/../new"),
    ] {
        assert_denied(&scene, &what);
    }
    // A file cannot be moved out of the store, nor taken into it: the kernel calls it another file system.
    for what in [format!("rename {store}/../moved"), format!("link {beside}")] {
        let failure = scene.fails(&format!("probe {what}"));
        assert!(["denied", "otherwise"].contains(&&failure.code[..]), "{what}: {failure:?}");
    }
    assert_eq!(fs::read(scene.file("beside")).unwrap(), b"a secret");
    assert!(scene.store().join("lamina-store").exists() && !scene.file("moved").exists());
    assert!(!scene.store().join("linked").exists());

    // What the caller names besides is allowed, and not more than that.
    let also = Paths { read: vec![scene.file("beside")], ..Paths::default() };
    let worker = child().with_paths(also);
    let code = |what: &str| {
        let job = fault(&format!("probe {what} {beside}"));
        scene.run_by(&worker, &job, &Noted::default()).unwrap_err().code
    };
    assert_eq!((&code("read")[..], &code("write")[..]), ("allowed", "denied"));
}

pub(crate) fn a_symbolic_link_in_the_store_leads_nowhere() {
    let scene = Scene::new();
    if !landlock(&scene, "a_symbolic_link_in_the_store_leads_nowhere") {
        return;
    }
    let store = scene.store();
    std::os::unix::fs::symlink("/etc/passwd", store.join("file")).unwrap();
    std::os::unix::fs::symlink("..", store.join("directory")).unwrap();
    let store = store.display();
    assert_denied(&scene, &format!("read {store}/file"));
    assert_denied(&scene, &format!("read {store}/directory/beside"));
    assert_denied(&scene, &format!("write {store}/directory/new"));
    assert_denied(&scene, "symlink /etc/passwd");
}

pub(crate) fn there_is_no_network() {
    let scene = Scene::new();
    for what in ["tcp-connect", "tcp-listen", "udp", "unix-pair", "unix-listen", "netlink"] {
        assert_denied(&scene, what);
    }
}

pub(crate) fn no_program_and_no_process_can_be_started() {
    let scene = Scene::new();
    assert_allowed(&scene, "thread");
    let own = std::env::current_exe().unwrap();
    for program in ["/bin/true", "true", "qemu-img", &own.display().to_string()] {
        assert_denied(&scene, &format!("exec {program}"));
        assert_denied(&scene, &format!("become {program}"));
    }
    // The library is asked for a program and looks for it itself; nothing is found where nothing can be read.
    assert_denied(&scene, &format!("signal {}", std::process::id()));
    assert_denied(&scene, "memfd");
}

pub(crate) fn nothing_of_the_machine_can_be_changed() {
    let scene = Scene::new();
    for what in ["mount", "chroot", "hostname", "session", "limit", "orphan"] {
        assert_denied(&scene, what);
    }
}

pub(crate) fn a_disk_that_needs_the_converter_gets_it_and_nothing_else() {
    let test = "a_disk_that_needs_the_converter_gets_it_and_nothing_else";
    let scene = Scene::new();
    if !qemu_img(test) || !landlock(&scene, test) {
        return;
    }
    let noted = Noted::default();
    let converter =
        |what: &str| scene.run_by(&child(), &fault(&format!("converter {what}")), &noted).unwrap_err();
    assert_eq!(converter("thread").code, "allowed");
    let steps = noted.steps.lock().unwrap().clone();
    assert!(steps.iter().any(|step| step.starts_with("qemu-img version")), "{steps:?}");
    let again = "The disk has to be converted with qemu-img: starting again with leave to run that.";
    assert!(scene.log.borrow().iter().any(|line| line == again), "{:?}", scene.log.borrow());

    let beside = scene.file("beside").display().to_string();
    for what in [
        "exec /bin/true".to_owned(),
        "become /bin/sh".to_owned(),
        "read /etc/passwd".to_owned(),
        format!("read {beside}"),
        format!("write {beside}"),
        format!("signal {}", std::process::id()),
    ]
    .into_iter()
    .chain(
        ["tcp-connect", "tcp-listen", "udp", "unix-pair", "netlink", "memfd", "session", "mount", "chroot"]
            .map(str::to_owned),
    )
    .chain(["hostname".to_owned()])
    {
        let failure = converter(&what);
        assert_eq!(failure.code, "denied", "{what}: {}", failure.message);
    }
}
