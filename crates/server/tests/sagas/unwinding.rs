//! The four tests that every saga passes: it runs, it runs with each step executed twice, it unwinds from a failure at
//! each step and leaves nothing behind, it unwinds with everything undone twice.

use crate::cases::{CASES, Case};
use crate::meddler::Plan;
use crate::snapshot::{Snapshot, assert_same, files};
use crate::trial::on;
use crate::world::{BOTH, World};
use libtest_mimic::Trial;
use server::tasks::Moment;
use std::path::Path;
use worker::Job;

pub(crate) fn trials() -> Vec<Trial> {
    let each = |case: &'static dyn Case| {
        let name = |what: &str| format!("{}::{what}", case.name());
        [
            on(&BOTH, &name("runs"), move |world| runs(world, case)),
            on(&BOTH, &name("runs_with_each_step_executed_twice"), move |world| runs_twice(world, case)),
            on(&BOTH, &name("unwinds_from_a_failure_at_each_step"), move |world| unwinds(world, case)),
            on(&BOTH, &name("unwinds_twice"), move |world| unwinds_twice(world, case)),
        ]
        .into_iter()
        .flatten()
    };
    CASES.into_iter().flat_map(each).collect()
}

async fn runs(world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    let before = world.snapshot().await;
    let subject = case.prepare(&world, &ground, 0).await;
    world.meddler.seen();
    let task = case.start(&world, &subject).await;
    world.ends(&task, case.ends()).await;
    let expected: Vec<_> = case
        .steps()
        .iter()
        .flat_map(|step| [Moment::BeforeRun, Moment::AfterRun].map(|moment| ((*step).to_owned(), moment)))
        .collect();
    assert_eq!(world.meddler.seen(), expected, "these are the steps that the other tests walk through");
    case.check(&world, &subject).await;
    world.assert_tidy("a run").await;
    if !case.adds() {
        assert_same(&before, &world.snapshot().await, "a run that adds nothing");
    }
}

async fn runs_twice(world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    let subject = case.prepare(&world, &ground, 0).await;
    world.meddler.plan(Plan { twice: true, ..Plan::default() });
    world.meddler.seen();
    let task = case.start(&world, &subject).await;
    world.ends(&task, case.ends()).await;
    assert_eq!(world.meddler.seen().len(), case.steps().len() * 4, "each step was done twice");
    case.check(&world, &subject).await;
    world.assert_tidy("a run with each step executed twice").await;
}

async fn unwinds(world: World, case: &dyn Case) {
    unwind(&world, case, &[Moment::BeforeRun, Moment::AfterRun], false).await;
}

async fn unwinds_twice(world: World, case: &dyn Case) {
    unwind(&world, case, &[Moment::AfterRun], true).await;
}

/// Lets each step fail that can be undone. After each failure everything is as before, and after all of them, when
/// garbage was collected, so are the files of the store; then the same task is done.
async fn unwind(world: &World, case: &dyn Case, moments: &[Moment], twice: bool) {
    let ground = case.ground(world).await;
    let subject = case.prepare(world, &ground, 0).await;
    let store = world.config.directory.join("store");
    let collect = || worker::run(&store, Job::Gc { dry_run: false }, &operation::Silent).unwrap();
    collect();
    let (before, stored) = (case.snapshot(world).await, packs(&store));
    for (position, step) in case.steps()[..case.undoable()].iter().enumerate() {
        for moment in moments {
            let what = format!("{} after a failure at {step}, {moment:?}", case.name());
            world.meddler.plan(Plan {
                fail: vec![(((*step).to_owned(), *moment), 1)],
                twice,
                ..Plan::default()
            });
            let task = case.start(world, &subject).await;
            let view = world.ends(&task, "failed").await;
            assert_eq!(view["failure"]["code"], "made-to-fail", "{what}: {view:#}");
            assert!(view.get("next_action").is_none(), "{what}: {view:#}");
            let states: Vec<_> =
                view["subtasks"].as_array().unwrap().iter().map(|step| &step["state"]).collect();
            assert!(states[..position].iter().all(|state| *state == "undone"), "{what}: {states:?}");
            assert_eq!(states[position], "failed", "{what}: {states:?}");
            assert_same(&before, &case.snapshot(world).await, &what);
        }
    }
    collect();
    assert_same(&stored, &packs(&store), "the store, when garbage was collected");
    world.meddler.rest();
    let task = case.start(world, &subject).await;
    world.ends(&task, case.ends()).await;
    case.check(world, &subject).await;
    world.assert_tidy("the task at last").await;
}

/// The names of the store's files, apart from those that only hold locks.
fn packs(store: &Path) -> Snapshot {
    let files = files("store", store).into_keys().filter(|name| !name.starts_with("store: locks"));
    files.map(|name| (name, String::new())).collect()
}
