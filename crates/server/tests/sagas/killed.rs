//! Servers that are killed, as by `kill -9` or a power cut, at each step; another one goes on.

use crate::cases::{CASES, Case};
use crate::meddler::{Meddler, Plan, When};
use crate::snapshot::assert_same;
use crate::trial::on;
use crate::world::{Base, World, config};
use connectors::simulated::Simulation;
use libtest_mimic::Trial;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use server::Server;
use server::tasks::Moment;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is tried: the sagas differ in more than their names, and each of these in all that a saga can have.
const TRIED: [(&str, Base); 8] = [
    ("import_os", Base::Sqlite),
    ("create_version_on_others", Base::Sqlite),
    ("finalize_app", Base::Sqlite),
    ("delete_version_in_packaging", Base::Sqlite),
    ("publish", Base::Sqlite),
    ("create_app", Base::Postgres),
    ("export_layers", Base::Postgres),
    ("import_layers", Base::Sqlite),
];

/// Those of them whose engine jobs take long enough to be interrupted.
const ANY_TIME: [&str; 3] = ["import_os", "publish", "import_layers"];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, base) in TRIED {
        let case = CASES.into_iter().find(|case| case.name() == name).unwrap();
        let full = |what: &str| format!("{name}::{what}");
        let at_a_step = full("is_gone_on_with_when_the_server_is_killed_at_a_step");
        trials.extend(on(&[base], &at_a_step, move |world| is_gone_on_with(world, case)));
        if case.undoable() > 1 {
            let undoing = full("is_undone_when_the_server_is_killed_while_undoing");
            trials.extend(on(&[base], &undoing, move |world| is_undone(world, case)));
        }
        if ANY_TIME.contains(&name) {
            let any_time = full("is_gone_on_with_when_the_server_is_killed_at_any_time");
            trials.extend(on(&[base], &any_time, move |world| survives_any_time(world, case)));
        }
    }
    trials
}

/// What the process of a server is to be.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    directory: PathBuf,
    database: Option<String>,
    place: PathBuf,
    die: Option<(String, When)>,
    fail: Option<String>,
}

/// Is a server, until it is killed.
pub(crate) fn serve(order: &str) -> ExitCode {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let order: Order = serde_json::from_str(order).unwrap();
    let meddler = Meddler::default();
    let fail = order.fail.map(|step| ((step, Moment::AfterRun), 1)).into_iter().collect();
    let die = order.die.map(|(step, when)| (step, when.into()));
    meddler.plan(Plan { fail, die, ..Plan::default() });
    let mut config = config(order.directory, order.database, &meddler);
    config.connectors = config.connectors.with(Arc::new(Simulation::new(&order.place, false)));
    crate::trial::run(async {
        let server = Server::start(&config).await.unwrap();
        server.run(std::future::pending()).await.unwrap();
    });
    ExitCode::FAILURE
}

/// Starts the process of a server that dies there by itself, if it is told where.
fn process(world: &World, die: Option<(&str, When)>, fail: Option<&str>) -> Child {
    let order = Order {
        directory: world.config.directory.clone(),
        database: world.config.database.clone(),
        place: world.place.clone(),
        die: die.map(|(step, when)| (step.to_owned(), when)),
        fail: fail.map(str::to_owned),
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["serve", &serde_json::to_string(&order).unwrap()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Has the task that waits carried out by a server that is killed there. No server runs before, and none afterwards.
fn killed_at(world: &World, die: (&str, When), fail: Option<&str>) {
    let mut child = process(world, Some(die), fail);
    let patience = Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > patience {
            child.kill().unwrap();
            panic!("it does not come to {die:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.signal(), Some(9), "{die:?}: {status}");
}

/// Asks for the task and stops the server before its first step is done.
async fn asked(world: &mut World, case: &dyn Case, subject: &serde_json::Value) -> String {
    let first = case.steps()[0].to_owned();
    world.meddler.plan(Plan { hold: Some((first, Moment::BeforeRun)), ..Plan::default() });
    let task = case.start(world, subject).await;
    world.meddler.reached().await;
    world.stop().await;
    world.meddler.rest();
    task
}

/// Starts the server that goes on. On an embedded database it need not wait for anything.
async fn restart(world: &mut World) -> Instant {
    if world.base == Base::Postgres {
        world.let_leases_end().await;
    }
    world.start().await;
    Instant::now()
}

async fn is_gone_on_with(mut world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    for (number, step) in (0..).zip(case.steps()) {
        let subject = case.prepare(&world, &ground, number).await;
        let task = asked(&mut world, case, &subject).await;
        // What was done there nobody has written down.
        killed_at(&world, (step, When::AfterRun), None);
        let began = restart(&mut world).await;
        world.ends(&task, case.ends()).await;
        assert!(began.elapsed() < Duration::from_secs(50), "nobody waits for the lease of a dead server");
        case.check(&world, &subject).await;
        world.assert_tidy(&format!("a server that was killed at {step}")).await;
    }
}

async fn is_undone(mut world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    let subject = case.prepare(&world, &ground, 0).await;
    let before = case.snapshot(&world).await;
    let (commit, others) = case.steps()[..case.undoable()].split_last().unwrap();
    for step in others.iter().rev() {
        let task = asked(&mut world, case, &subject).await;
        killed_at(&world, (step, When::AfterUndo), Some(commit));
        restart(&mut world).await;
        world.ends(&task, "failed").await;
        let what = format!("a server that was killed while it undid {step}");
        assert_same(&before, &case.snapshot(&world).await, &what);
    }
}

/// The engine's process dies with the server, wherever it is.
async fn survives_any_time(mut world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    for number in 0..6 {
        let subject = case.prepare(&world, &ground, number).await;
        let task = asked(&mut world, case, &subject).await;
        let mut child = process(&world, None, None);
        std::thread::sleep(Duration::from_millis(400 + 350 * u64::from(number)));
        child.kill().unwrap();
        child.wait().unwrap();
        restart(&mut world).await;
        world.ends(&task, case.ends()).await;
        case.check(&world, &subject).await;
        world.assert_tidy(&format!("a server that was killed at try {number}")).await;
    }
}
