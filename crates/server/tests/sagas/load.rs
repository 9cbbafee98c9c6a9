//! Many tasks at once.

use crate::world::{Base, World};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::Value;
use server::EngineProcess;
use std::time::{Duration, Instant};

/// How many.
const MANY: usize = 1000;
/// Longest time that a person waits for an answer meanwhile.
const ANSWER: Duration = Duration::from_secs(3);

pub(crate) fn trials() -> Vec<Trial> {
    let name = "a_thousand_tasks_are_each_done_once_and_in_order_while_the_server_answers";
    vec![Trial::test(name, || {
        crate::trial::run(async {
            // The engine in the server's own process: its answers do not matter here, only how many there are.
            let world = World::with(Base::Sqlite, None, |config| config.engine = EngineProcess::Server).await;
            a_thousand_tasks(world).await;
        });
        Ok(())
    })]
}

async fn a_thousand_tasks(world: World) {
    world.meddler.seen();
    for _ in 0..MANY {
        world.ask(Method::POST, "/store/collect-garbage", Value::Null).await;
    }
    let (patience, mut slowest) = (Instant::now() + Duration::from_secs(300), Duration::ZERO);
    loop {
        let asked = Instant::now();
        let open = world.get("/tasks?ended=false&limit=1").await;
        slowest = slowest.max(asked.elapsed());
        if open["items"].as_array().unwrap().is_empty() {
            break;
        }
        assert!(Instant::now() < patience, "they are not done in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(slowest < ANSWER, "an answer took {slowest:?}");
    assert_eq!(world.rows("SELECT id AS it FROM tasks WHERE state = 'done'").await.len(), MANY);
    assert_eq!(world.meddler.seen().len(), MANY * 2, "each was begun and done once");
    let begun = world.rows(
        "SELECT CAST(started_at AS TEXT) AS it FROM tasks WHERE kind = 'collect-garbage' ORDER BY created_at, id",
    );
    assert!(begun.await.is_sorted(), "who came first was first");
    world.assert_tidy("a thousand tasks").await;
}
