//! Cancelling, and several users of one store at once.

use crate::bench::*;
use layering::reference::{LayerKind, ObjectKind};
use layering::{Engine, Error};
use operation::{Progress, Silent, Unit};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, Ordering};

/// Says "stop" from the n-th question on.
struct StopAfter(AtomicI64);

impl Progress for StopAfter {
    fn step(&self, _: &str, _: Option<u64>, _: Unit) {}
    fn advance(&self, _: u64) {}
    fn cancelled(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) <= 0
    }
}

/// Files of the store that hold data, with their lengths.
fn packs(store: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![store.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.metadata().unwrap().len() > 0 {
                found.insert(path.display().to_string(), path.metadata().unwrap().len());
            }
        }
    }
    found
}

/// Cancels an operation at its first, second, … question until it is through, and looks at the store every time.
fn cancel_everywhere(lab: &Lab, mut operation: impl FnMut(&dyn Progress) -> Result<(), Error>) {
    lab.engine.gc(false, &Silent).unwrap();
    let (list, files) = (lab.list(), packs(&lab.store()));
    let mut cancelled = 0;
    for questions in (0..6).chain((6..60).step_by(7)).chain((60..4000).step_by(300)) {
        match operation(&StopAfter(AtomicI64::new(questions))) {
            Ok(()) => {
                assert!(cancelled > 2, "cancelled only {cancelled} times before it was through");
                assert_ne!(lab.list(), list);
                lab.assert_sound();
                return;
            }
            Err(error) => {
                assert!(is_cancelled(&error), "{error}");
                cancelled += 1;
            }
        }
        assert_eq!(lab.list(), list);
        let report = lab.engine.check(false, &Silent).unwrap();
        assert!(report.clean, "{:#?}", report.problems);
        lab.engine.gc(false, &Silent).unwrap();
        assert_eq!(packs(&lab.store()), files, "what was cancelled left something behind");
    }
    panic!("it never came through");
}

fn is_cancelled(error: &Error) -> bool {
    operation::Explain::code(error) == "cancelled"
}

fn many_files(disk: &mut Edit) {
    for number in 0..300 {
        disk.file(&format!("\\A\\{}\\{number}.bin", number % 7), noise(1_000 + number * 20, number as u64));
    }
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\big.bin", noise(12 << 20, 1));
    });
    cancel_everywhere(&lab, |progress| {
        lab.engine.import(&lab.import_request("Windows@1", &disk), progress).map(drop)
    });
}

#[test]
fn a_cancelled_capture_leaves_nothing() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    disk.edit(many_files);
    cancel_everywhere(&lab, |progress| {
        let request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &disk);
        lab.engine.capture(&request, progress).map(drop)
    });
}

#[test]
fn a_cancelled_composition_leaves_nothing() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", many_files);
    cancel_everywhere(&lab, |progress| {
        lab.engine.compose(&lab.compose_request(&on("Windows").with("A"), "desk"), progress).map(drop)
    });
}

#[test]
fn of_two_that_publish_the_same_name_at_once_exactly_one_wins() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disks = [lab.package(&on("Windows")), lab.package(&on("Windows"))];
    for (number, disk) in disks.iter().enumerate() {
        disk.edit(|volume| {
            volume.file("\\who.txt", number.to_string());
        });
    }
    let start = Barrier::new(2);
    let requests: Vec<_> =
        disks.iter().map(|disk| lab.capture_request(&on("Windows"), LayerKind::App, "A@1", disk)).collect();
    let store = lab.store();
    let results: Vec<_> = std::thread::scope(|scope| {
        let run = |request| {
            let (start, store) = (&start, &store);
            scope.spawn(move || {
                let engine = Engine::open(store).unwrap();
                start.wait();
                engine.capture(request, &Silent)
            })
        };
        let threads: Vec<_> = requests.iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<usize> = (0..2).filter(|&number| results[number].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let loser = results.into_iter().find_map(Result::err).unwrap();
    assert_eq!(operation::Explain::code(&loser), "exists");
    assert_eq!(lab.compose(&on("Windows").with("A")).text("\\who.txt"), winners[0].to_string());
    lab.engine.gc(false, &Silent).unwrap();
    lab.assert_sound();
}

#[test]
fn versions_captured_at_the_same_time_get_a_position_each() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disks = [lab.package(&on("Windows")), lab.package(&on("Windows")), lab.package(&on("Windows"))];
    let requests: Vec<_> = disks
        .iter()
        .enumerate()
        .map(|(number, disk)| {
            lab.capture_request(&on("Windows"), LayerKind::App, &format!("A@{number}"), disk)
        })
        .collect();
    let (start, store) = (Barrier::new(requests.len()), lab.store());
    std::thread::scope(|scope| {
        for request in &requests {
            let (start, store) = (&start, &store);
            scope.spawn(move || {
                let engine = Engine::open(store).unwrap();
                start.wait();
                engine.capture(request, &Silent).unwrap();
            });
        }
    });
    let mut positions: Vec<u64> = lab
        .engine
        .list()
        .unwrap()
        .entries
        .iter()
        .filter(|entry| entry.kind == ObjectKind::App)
        .map(|entry| entry.sequence)
        .collect();
    positions.sort_unstable();
    assert_eq!(positions, [1, 2, 3]);
    assert_eq!(lab.engine.show("app:A", &Silent).unwrap().summary.sequence, 3);
}

#[test]
fn publishing_capturing_and_collecting_garbage_at_the_same_time_harm_nobody() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", many_files);
    let disk = lab.package(&on("Windows"));
    disk.edit(|volume| {
        many_files(volume);
        volume.file("\\own.bin", noise(500_000, 77));
    });
    let capture = lab.capture_request(&on("Windows"), LayerKind::App, "B@1", &disk);
    let composes: Vec<_> = (0..3)
        .map(|number| lab.compose_request(&on("Windows").with("A"), &format!("desk {number}")))
        .collect();
    let store = lab.store();
    std::thread::scope(|scope| {
        let store = &store;
        scope.spawn(move || Engine::open(store).unwrap().capture(&capture, &Silent).unwrap());
        scope.spawn(move || {
            let engine = Engine::open(store).unwrap();
            for request in &composes {
                engine.compose(request, &Silent).unwrap();
            }
        });
        scope.spawn(move || {
            let engine = Engine::open(store).unwrap();
            for _ in 0..5 {
                engine.gc(false, &Silent).unwrap();
            }
        });
    });
    lab.assert_sound();
    assert_eq!(lab.list().len(), 6);
    let image = lab.compose(&on("Windows").with("A").with("B"));
    assert_eq!(image.bytes("\\own.bin"), noise(500_000, 77));
}
