//! What cannot be done behind the point of no return, or not be undone before it: it is handed over, and later gone.

use crate::cases::{CASES, Case};
use crate::meddler::Plan;
use crate::trial::on;
use crate::world::{BOTH, Base, World, id};
use connectors::simulated::{Operation, When};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::Value;
use server::db::Statement;
use server::tasks::Moment;

pub(crate) fn trials() -> Vec<Trial> {
    let each = |case: &'static dyn Case| {
        on(&[Base::Sqlite], &format!("{}::goes_to_its_end_whatever_fails_last", case.name()), move |world| {
            goes_to_its_end(world, case)
        })
    };
    let mut trials: Vec<Trial> =
        CASES.into_iter().filter(|case| case.undoable() < case.steps().len()).flat_map(each).collect();
    trials.extend(on(
        &[Base::Postgres],
        "a_platform_that_takes_nothing_back_is_asked_again_later",
        a_platform_that_takes_nothing_back_is_asked_again_later,
    ));
    trials.extend(on(
        &[Base::Postgres],
        "what_is_left_where_nobody_can_reach_it_is_given_up",
        what_is_left_where_nobody_can_reach_it_is_given_up,
    ));
    trials.extend(on(
        &BOTH,
        "an_operating_system_goes_after_what_belongs_to_it",
        an_operating_system_goes_after_what_belongs_to_it,
    ));
    trials.extend(on(
        &[Base::Sqlite],
        "a_clean_up_deletes_the_disk_that_was_meant_and_no_other_of_its_name",
        a_clean_up_deletes_the_disk_that_was_meant_and_no_other_of_its_name,
    ));
    trials.extend(on(
        &[Base::Sqlite],
        "a_clean_up_that_comes_late_takes_nothing_from_what_has_the_name_now",
        a_clean_up_that_comes_late_takes_nothing_from_what_has_the_name_now,
    ));
    trials
}

/// Makes all leftovers due and cleans up, as the server does every hour.
async fn clean_up(world: &World) {
    world.db.execute(Statement::new("UPDATE leftovers SET next_at = 0")).await.unwrap();
    world.server.keep_house().await.unwrap();
}

async fn goes_to_its_end(world: World, case: &dyn Case) {
    let ground = case.ground(&world).await;
    for (number, step) in (0..).zip(&case.steps()[case.undoable()..]) {
        let subject = case.prepare(&world, &ground, number).await;
        // More often than anything is handed over, but not for ever: some steps can only be tried again.
        let point = ((*step).to_owned(), Moment::BeforeRun);
        world.meddler.plan(Plan { fail: vec![(point, 5)], ..Plan::default() });
        let task = case.start(&world, &subject).await;
        world.ends(&task, case.ends()).await;
        world.meddler.rest();
        clean_up(&world).await;
        case.check(&world, &subject).await;
        world.assert_tidy(&format!("{step}, which failed")).await;
    }
}

async fn a_platform_that_takes_nothing_back_is_asked_again_later(world: World) {
    let os = world.os().await;
    let before = world.snapshot().await;
    for call in 1..=20 {
        world.simulation.fail(Operation::Withdraw, call, When::Before);
    }
    let point = ("create-version.record".to_owned(), Moment::AfterRun);
    world.meddler.plan(Plan { fail: vec![(point, 1)], ..Plan::default() });
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.ends(&id(&made, "task_id"), "failed").await;
    assert_eq!(world.state(&made).await, "gone", "nobody waits for the platform");
    assert!(world.place.join("office.raw").exists());
    clean_up(&world).await;
    assert!(world.place.join("office.raw").exists(), "it still takes nothing back");
    assert_ne!(world.rows("SELECT CAST(tries AS TEXT) AS it FROM leftovers").await, [""; 0]);
    for _ in 0..20 {
        clean_up(&world).await;
    }
    crate::snapshot::assert_same(&before, &world.snapshot().await, "the platform, when it answers again");
}

async fn what_is_left_where_nobody_can_reach_it_is_given_up(world: World) {
    let os = world.os().await;
    for call in 1..=20 {
        world.simulation.fail(Operation::Withdraw, call, When::Before);
    }
    let path = format!("/connector-configurations/{}", world.configuration);
    let point = ("create-version.record".to_owned(), Moment::AfterRun);
    world.meddler.plan(Plan {
        fail: vec![(point, 1)],
        hold: Some(("create-version.record".to_owned(), Moment::BeforeRun)),
        ..Plan::default()
    });
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.meddler.reached().await;
    let (status, _, body) = world.send(Method::DELETE, &path, Value::Null).await;
    assert_eq!((status.as_u16(), &body["code"]), (409, &Value::from("in-use")), "{body:#}");
    world.meddler.let_go();
    world.ends(&id(&made, "task_id"), "failed").await;
    assert_ne!(world.rows("SELECT id AS it FROM leftovers").await, [""; 0]);
    world.ask(Method::DELETE, &path, Value::Null).await;
    clean_up(&world).await;
    assert_eq!(world.rows("SELECT id AS it FROM leftovers").await, [""; 0]);
    assert!(world.place.join("office.raw").exists(), "only a person can remove it there now");
}

async fn an_operating_system_goes_after_what_belongs_to_it(world: World) {
    let os = world.os().await;
    let second = world.version(&os, "2", world.packaging("second.raw")).await;
    world.captured(&second, "second.raw", "second").await;
    let app = world.app("Office", &os, world.packaging("office.raw")).await;
    world.captured(&app, "office.raw", "office").await;
    let delete = async |made: &Value| {
        world.send(Method::DELETE, &format!("/versions/{}", id(made, "version_id")), Value::Null).await
    };
    // The second is on its way out when the first is asked for: none would be left.
    let begin = ("delete-version.begin".to_owned(), Moment::BeforeRun);
    world.meddler.plan(Plan { hold: Some(begin), ..Plan::default() });
    let (status, _, going) = delete(&second).await;
    assert!(status.is_success(), "{going:#}");
    world.meddler.reached().await;
    let (status, _, refused) = delete(&os).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &Value::from("layer-in-use")), "{refused:#}");
    assert!(refused["message"].as_str().unwrap().contains("the layer Office"), "{refused:#}");
    world.meddler.let_go();
    world.ends(&id(&going, "task_id"), "done").await;
    world.meddler.rest();
    for made in [&app, &os] {
        let (status, _, going) = delete(made).await;
        assert!(status.is_success(), "{going:#}");
        world.ends(&id(&going, "task_id"), "done").await;
    }
    assert_eq!(world.get("/layers").await["items"], serde_json::json!([]));
}

async fn a_clean_up_deletes_the_disk_that_was_meant_and_no_other_of_its_name(world: World) {
    let os = world.os().await;
    let disk = world.place.join("office.raw");
    let leave = async |name: &str| {
        let made = world.app(name, &os, world.packaging("office.raw")).await;
        world.installed(&made, "office.raw", "office").await;
        let point = ("finalize-version.delete-disk".to_owned(), Moment::BeforeRun);
        world.meddler.plan(Plan { fail: vec![(point, 5)], ..Plan::default() });
        world.ends(&world.finalize(&made).await, "done").await;
        world.meddler.rest();
        assert_eq!(world.rows("SELECT id AS it FROM leftovers").await.len(), 1);
        assert!(disk.exists());
    };
    leave("Office").await;
    clean_up(&world).await;
    assert!(!disk.exists(), "it is the one that was meant");

    leave("Editor").await;
    std::fs::remove_file(&disk).unwrap();
    std::fs::write(&disk, "somebody else's").unwrap();
    clean_up(&world).await;
    assert_eq!(std::fs::read(&disk).unwrap(), b"somebody else's");
    std::fs::remove_file(&disk).unwrap();

    leave("Reader").await;
    std::fs::write(&disk, "written again since").unwrap();
    clean_up(&world).await;
    assert!(disk.exists(), "what was written since is in no version");
    world.assert_tidy("a clean-up").await;
}

async fn a_clean_up_that_comes_late_takes_nothing_from_what_has_the_name_now(world: World) {
    let os = world.os().await;
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.installed(&made, "office.raw", "first").await;
    // A capture that was made, is not wanted, and cannot be taken back.
    let capture = "finalize-version.capture".to_owned();
    let fail = vec![((capture.clone(), Moment::AfterRun), 1), ((capture, Moment::BeforeUndo), 3)];
    world.meddler.plan(Plan { fail, ..Plan::default() });
    world.ends(&world.finalize(&made).await, "failed").await;
    assert_eq!(world.state(&made).await, "packaging");
    assert_eq!(world.rows("SELECT id AS it FROM leftovers").await.len(), 1);
    assert!(world.snapshot().await.contains_key("store: app:Office@1"), "it is in the way");
    world.install("office.raw", |volume| {
        volume.file("\\second.txt", "installed second");
    });
    world.ends(&world.finalize(&made).await, "done").await;
    clean_up(&world).await;
    assert_eq!(
        world.files("app:Office@1"),
        ["\\first.txt", "\\second.txt"],
        "the second capture, and it stays"
    );
    world.assert_tidy("a late clean-up").await;
}
