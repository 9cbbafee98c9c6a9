//! Tasks that a person stops: at each step before the point of no return everything is undone, behind it nothing is.

use crate::cases::{CASES, Case};
use crate::meddler::Plan;
use crate::snapshot::assert_same;
use crate::trial::on;
use crate::world::{Base, World};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::Value;
use server::tasks::Moment;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    let each = |case: &'static dyn Case| {
        on(&[Base::Sqlite], &format!("{}::is_stopped_at_each_step", case.name()), move |world| {
            is_stopped(world, case)
        })
    };
    // Collecting garbage has one step, which may be over before the wish to stop is heard.
    CASES.into_iter().filter(|case| case.undoable() < case.steps().len()).flat_map(each).collect()
}

async fn is_stopped(world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    let subject = case.prepare(&world, &ground, 0).await;
    let before = world.snapshot().await;
    let undoable = case.undoable();
    // At the point of no return: what is done there is done when it succeeds.
    for step in &case.steps()[..undoable] {
        let what = format!("{} stopped at {step}", case.name());
        let task = held(&world, case, &subject, step).await;
        world.ask(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await;
        heard(&world, &task).await;
        world.meddler.let_go();
        world.ends(&task, "stopped").await;
        assert_same(&before, &world.snapshot().await, &what);
    }
    let task = held(&world, case, &subject, case.steps()[undoable]).await;
    let (status, _, body) = world.send(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await;
    assert_eq!((status.as_u16(), &body["code"]), (409, &Value::from("task-committed")), "{body:#}");
    world.meddler.let_go();
    world.ends(&task, case.ends()).await;
    case.check(&world, &subject).await;
}

/// Starts the task, and holds it where a step is about to begin.
async fn held(world: &World, case: &dyn Case, subject: &Value, step: &str) -> String {
    world.meddler.plan(Plan { hold: Some((step.to_owned(), Moment::BeforeRun)), ..Plan::default() });
    let task = case.start(world, subject).await;
    tokio::time::timeout(Duration::from_secs(120), world.meddler.reached())
        .await
        .expect("the step is reached");
    task
}

/// Waits until the server that has the task must have seen that it is to stop.
async fn heard(world: &World, task: &str) {
    let view = world.get(&format!("/tasks/{task}")).await;
    assert_eq!(view["stop_asked"], true, "{view:#}");
    tokio::time::sleep(Duration::from_millis(1200)).await;
}
