//! Servers that stop, die, or lose a task to another.

use crate::bench::{Bench, on_both_databases};
use server::db::Statement;
use std::time::Duration;

on_both_databases! {
    what_one_server_leaves_in_the_middle_another_takes_to_its_end;
    a_task_whose_server_died_goes_on_when_its_lease_has_ended;
    a_server_that_lost_a_task_writes_nothing_more_of_it;
    a_hundred_tasks_are_each_done_once_by_two_servers;
}

async fn what_one_server_leaves_in_the_middle_another_takes_to_its_end(bench: Bench) {
    bench.world.hold(Some("second"));
    let task = bench.task().await;
    let (stop, running) = bench.server();
    bench.world.reached().await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(bench.of(task, "state").await, "running");
    bench.world.hold(None);
    let _server = bench.server();
    assert_eq!(bench.ended(task).await, "done");
    assert_eq!(
        bench.world.diary(),
        ["first", "second", "commit", "last"],
        "nothing was done twice or undone"
    );
}

async fn a_task_whose_server_died_goes_on_when_its_lease_has_ended(bench: Bench) {
    bench.world.hold(Some("second"));
    let task = bench.task().await;
    let (_stop, running) = bench.server();
    bench.world.reached().await;
    running.abort(); // nothing is given back
    _ = running.await;
    bench.world.hold(None);
    let _server = bench.server();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.of(task, "state").await, "running", "the lease still holds");
    assert_eq!(bench.world.diary(), ["first"]);
    let ended = "UPDATE tasks SET lease_until = 1 WHERE id = $1";
    bench.db.execute(Statement::new(ended).bind(task.to_string())).await.unwrap();
    assert_eq!(bench.ended(task).await, "done");
    assert_eq!(bench.world.diary(), ["first", "second", "commit", "last"]);
}

async fn a_server_that_lost_a_task_writes_nothing_more_of_it(bench: Bench) {
    bench.world.hold(Some("second"));
    let task = bench.task().await;
    let (stop, running) = bench.server();
    bench.world.reached().await;
    // As if another server had taken it.
    let taken =
        "UPDATE tasks SET generation = generation + 1, holder = 'another', lease_until = $2 WHERE id = $1";
    let never = i64::MAX;
    bench.db.execute(Statement::new(taken).bind(task.to_string()).bind(never)).await.unwrap();
    // The step is told to leave the task alone; what it gives then is of no interest to anybody.
    tokio::time::timeout(Duration::from_secs(30), async {
        while bench.steps(task).await[1] != "running" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    stop.cancel();
    running.await.unwrap();
    assert_eq!(bench.of(task, "state").await, "running");
    assert_eq!(bench.of(task, "holder").await, "another");
    assert_eq!(bench.world.diary(), ["first"], "nothing was undone either");
    let events = "SELECT COUNT(*) AS n FROM saga_events WHERE task_id = $1";
    let row = bench.db.optional(Statement::new(events).bind(task.to_string())).await.unwrap().unwrap();
    let before = row.integer("n").unwrap();
    assert!(before >= 3, "started and done of the first, started of the second: {before}");
}

async fn a_hundred_tasks_are_each_done_once_by_two_servers(bench: Bench) {
    let mut tasks = Vec::new();
    for _ in 0..100 {
        tasks.push(bench.task().await);
    }
    let (_one, _two) = (bench.server(), bench.server());
    for task in tasks {
        assert_eq!(bench.ended(task).await, "done");
    }
    let diary = bench.world.diary();
    for step in ["first", "second", "commit", "last"] {
        assert_eq!(diary.iter().filter(|line| line.as_str() == step).count(), 100, "{step}");
    }
}
