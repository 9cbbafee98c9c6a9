//! Two servers on one database.

use crate::meddler::{Meddler, Plan};
use crate::trial::on;
use crate::world::{Base, World, id};
use libtest_mimic::Trial;
use server::Server;
use server::db::Statement;
use server::tasks::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(crate) fn trials() -> Vec<Trial> {
    let base = [Base::Postgres];
    [
        on(&base, "two_servers_share_the_work_and_do_nothing_twice", two_servers_share_the_work),
        on(&base, "a_server_that_lost_a_task_does_no_harm_when_it_goes_on", a_server_that_lost_a_task),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A second server beside that of the world; it runs until this is dropped.
struct Second {
    meddler: Meddler,
    _stop: oneshot::Sender<()>,
}

impl Second {
    async fn beside(world: &World) -> Second {
        let meddler = Meddler::default();
        let mut config = world.config.clone();
        config.tasks.probe = Some(Arc::new(meddler.clone()));
        let server = Server::start(&config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run(async { _ = stopped.await }));
        Second { meddler, _stop: stop }
    }
}

async fn two_servers_share_the_work(mut world: World) {
    const APPS: usize = 8;
    let os = world.os().await;
    world.stop().await;
    world.config.tasks.at_once = 1;
    world.start().await;
    let second = Second::beside(&world).await;
    world.meddler.seen();
    let point = ("create-version.deliver".to_owned(), Moment::BeforeRun);
    world.meddler.plan(Plan { hold: Some(point), ..Plan::default() });
    let mut apps = Vec::new();
    for number in 0..APPS {
        apps.push(
            world.app(&format!("App {number}"), &os, world.packaging(&format!("app{number}.raw"))).await,
        );
    }
    // The first is held in a task until the other has begun one, which finds the queue by looking from time to time.
    world.meddler.reached().await;
    let mut theirs = Vec::new();
    for _ in 0..1200 {
        theirs.extend(second.meddler.seen());
        if !theirs.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.meddler.let_go();
    for app in &apps {
        world.ends(&id(app, "task_id"), "action-required").await;
    }
    theirs.extend(second.meddler.seen());
    let ours = world.meddler.seen();
    assert!(!ours.is_empty() && !theirs.is_empty(), "both have worked: {} {}", ours.len(), theirs.len());
    let mut steps: BTreeMap<String, usize> = BTreeMap::new();
    for (step, moment) in ours.into_iter().chain(theirs) {
        *steps.entry(format!("{step} {moment:?}")).or_default() += 1;
    }
    assert_eq!(steps.len(), 10, "five steps, each begun and done: {steps:?}");
    assert!(steps.values().all(|times| *times == APPS), "each once for each task: {steps:?}");
    world.assert_tidy("two servers").await;
}

async fn a_server_that_lost_a_task(world: World) {
    let os = world.os().await;
    let point = ("create-version.deliver".to_owned(), Moment::BeforeRun);
    world.meddler.plan(Plan { hold: Some(point), ..Plan::default() });
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.meddler.reached().await;
    // As after a pause that was longer than the lease.
    let second = Second::beside(&world).await;
    let task = id(&made, "task_id");
    let lost = Statement::new(
        "UPDATE tasks SET lease_until = 1, generation = generation + 1, holder = 'nobody' WHERE id = $1",
    );
    world.db.execute(lost.bind(task.as_str())).await.unwrap();
    world.ends(&task, "action-required").await;
    assert!(second.meddler.seen().iter().any(|(step, _)| step == "create-version.deliver"));
    let after = world.snapshot().await;
    world.meddler.let_go();
    tokio::time::sleep(Duration::from_secs(2)).await;
    crate::snapshot::assert_same(&after, &world.snapshot().await, "the server that lost the task");
    assert_eq!(world.state(&made).await, "packaging");
    world.assert_tidy("the server that lost the task").await;
}
