//! Finalizing where the platform knows which blocks of the packaging disk have changed.

use crate::bench::disk::Disk;
use crate::trial::on;
use crate::world::{Base, World, id};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        on(&[Base::Postgres], "only_blocks_that_changed_are_read_where_the_platform_knows_them", only_blocks),
        on(&[Base::Postgres], "a_list_of_changed_blocks_that_does_not_fit_is_not_believed", does_not_fit),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The lines of a task's log that tell how the disk was compared.
async fn compared(world: &World, task: &str) -> Vec<String> {
    let log = world.get(&format!("/tasks/{task}/log?limit=1000")).await;
    let texts = log.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned());
    texts.filter(|text| text.contains("compare")).collect()
}

async fn only_blocks(world: World) {
    let os = world.os().await;
    let app = world.app("Office", &os, world.packaging("office.raw")).await;
    world.installed(&app, "office.raw", "office").await;
    let task = world.finalize(&app).await;
    world.ends(&task, "done").await;
    let lines = compared(&world, &task).await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.ends_with("bytes were read to compare the blocks that changed."), "{line}");
    let read: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(read < 1 << 20, "of a disk of 18 MiB {read} bytes were read");
    assert_eq!(world.files("app:Office@1"), ["\\office.txt"]);
}

async fn does_not_fit(world: World) {
    let os = world.os().await;
    let app = world.app("Office", &os, world.packaging("office.raw")).await;
    world.ends(&id(&app, "task_id"), "action-required").await;
    // Behind the platform's back: its list has nothing of this.
    Disk { path: world.place.join("office.raw") }.edit(|volume| {
        volume.file("\\secret.txt", "nobody has noted this");
    });
    let task = world.finalize(&app).await;
    world.ends(&task, "done").await;
    let lines = compared(&world, &task).await;
    assert!(lines[0].starts_with("The platform's list of changed blocks does not fit"), "{lines:?}");
    assert!(lines[1].ends_with("bytes were read to compare the disk."), "{lines:?}");
    assert_eq!(world.files("app:Office@1"), ["\\secret.txt"]);
}
