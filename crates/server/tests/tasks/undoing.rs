//! What happens when a step fails or a person stops the task.

use crate::bench::{Bench, on_both_databases};

on_both_databases! {
    a_task_does_its_steps_in_order_and_is_done;
    a_step_that_fails_undoes_itself_and_all_before_it;
    a_task_that_is_stopped_undoes_what_it_has_begun;
    a_task_that_is_stopped_while_it_waits_in_the_queue_undoes_its_first_step;
    past_the_point_of_no_return_a_step_is_tried_again_and_then_left_to_the_clean_up;
    undoing_is_tried_again_and_then_left_to_the_clean_up;
}

async fn a_task_does_its_steps_in_order_and_is_done(bench: Bench) {
    let task = bench.task().await;
    let (stop, running) = bench.server();
    assert_eq!(bench.ended(task).await, "done");
    assert_eq!(bench.world.diary(), ["first", "second", "commit", "last"]);
    assert_eq!(bench.steps(task).await, ["done", "done", "done", "done"]);
    assert_eq!(bench.of(task, "holder").await, "", "nobody holds what has ended");
    stop.cancel();
    running.await.unwrap();
}

async fn a_step_that_fails_undoes_itself_and_all_before_it(bench: Bench) {
    bench.world.fail("second", 1);
    let task = bench.task().await;
    let _server = bench.server();
    assert_eq!(bench.ended(task).await, "failed");
    assert_eq!(bench.world.diary(), ["first", "second fails", "undo second", "undo first"]);
    assert_eq!(bench.steps(task).await, ["undone", "failed", "waiting", "waiting"]);
    assert!(bench.of(task, "failure").await.contains("made-to-fail"));
}

async fn a_task_that_is_stopped_undoes_what_it_has_begun(bench: Bench) {
    bench.world.hold(Some("second"));
    let task = bench.task().await;
    let _server = bench.server();
    bench.world.reached().await;
    bench.stop(task).await;
    assert_eq!(bench.ended(task).await, "stopped");
    assert_eq!(bench.world.diary(), ["first", "undo second", "undo first"]);
}

async fn a_task_that_is_stopped_while_it_waits_in_the_queue_undoes_its_first_step(bench: Bench) {
    let task = bench.task().await;
    bench.stop(task).await;
    let _server = bench.server();
    assert_eq!(bench.ended(task).await, "stopped");
    assert_eq!(bench.world.diary(), ["undo first"], "what the change had prepared goes again");
}

async fn past_the_point_of_no_return_a_step_is_tried_again_and_then_left_to_the_clean_up(bench: Bench) {
    bench.world.fail("last", 2);
    let task = bench.task().await;
    let _server = bench.server();
    assert_eq!(bench.ended(task).await, "done");
    assert_eq!(bench.world.diary(), ["first", "second", "commit", "last fails", "last fails", "last"]);
    assert_eq!(bench.world.left(), [""; 0]);

    bench.world.fail("last", 99);
    let task = bench.task().await;
    assert_eq!(bench.ended(task).await, "done");
    assert_eq!(bench.world.left(), ["last"]);
}

async fn undoing_is_tried_again_and_then_left_to_the_clean_up(bench: Bench) {
    bench.world.fail("commit", 1);
    bench.world.fail("undo first", 99);
    bench.world.fail("undo second", 1);
    let task = bench.task().await;
    let _server = bench.server();
    assert_eq!(bench.ended(task).await, "failed");
    let diary = bench.world.diary();
    assert_eq!(diary[..3], ["first", "second", "commit fails"]);
    assert_eq!(diary[3..6], ["undo commit", "undo second fails", "undo second"]);
    assert_eq!(diary[6..], ["undo first fails"; 3]);
    assert_eq!(bench.world.left(), ["first"]);
}
