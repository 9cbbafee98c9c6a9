//! Platforms that do not answer.

use crate::trial::on;
use crate::world::{Base, World, id};
use connectors::simulated::Operation;
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Connectors that are asked at a time.
const AT_A_TIME: usize = 16;

pub(crate) fn trials() -> Vec<Trial> {
    [
        on(&[Base::Postgres], "a_platform_that_hangs_is_not_waited_for", a_platform_that_hangs),
        on(&[Base::Sqlite], "a_share_that_hangs_is_not_waited_for", a_share_that_hangs),
        on(&[Base::Postgres], "a_task_whose_platform_hangs_can_be_stopped", a_task_whose_platform_hangs),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn a_platform_that_hangs(world: World) {
    let path = format!("/connector-configurations/{}/check-credentials", world.configuration);
    let ask = || world.send(Method::POST, &path, json!({}));
    let gates: Vec<_> = (0..AT_A_TIME).map(|_| world.simulation.gate(Operation::CheckCredentials)).collect();
    let began = Instant::now();
    let all = futures_util::future::join_all((0..AT_A_TIME).map(|_| ask()));
    let one_more = async {
        for gate in &gates {
            gate.reached().await;
        }
        let (status, headers, body) = ask().await;
        assert_eq!((status.as_u16(), &body["code"]), (429, &Value::from("connectors-busy")), "{body:#}");
        assert!(headers.contains_key("retry-after"), "{headers:?}");
        world.get("/tasks").await;
        assert!(began.elapsed() < Duration::from_secs(30), "others are answered at once");
    };
    let (answers, ()) = tokio::join!(all, one_more);
    for (status, _, body) in answers {
        assert_eq!((status.as_u16(), &body["code"]), (409, &Value::from("connector-slow")), "{body:#}");
        assert!(body["hint"].is_string(), "{body:#}");
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(44)..Duration::from_secs(60)).contains(&took), "{took:?}");
    let (status, _, body) = ask().await;
    assert!(status.is_success(), "when it answers again there is room: {body:#}");
}

/// Somebody listens and says nothing.
async fn a_share_that_hangs(world: World) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fields = json!({ "access": "smb", "server": "127.0.0.1", "share": "disks", "user": "lamina",
        "port": silent.local_addr().unwrap().port() });
    let new = json!({ "connector": "fileshare", "name": "Silent", "fields": fields,
        "secrets": { "password": "secret" } });
    let made = world.ask(Method::POST, "/connector-configurations", new).await;
    let began = Instant::now();
    let path = format!("/connector-configurations/{}/check-credentials", id(&made, "id"));
    let (status, _, body) = world.send(Method::POST, &path, json!({})).await;
    assert_eq!(status, 409, "{body:#}");
    assert!(body["hint"].is_string(), "{body:#}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // A task that waits for it can be stopped.
    let new =
        json!({ "name": "Windows", "version": "1", "disk": "windows.raw", "configuration_id": made["id"] });
    let task = id(&world.ask(Method::POST, "/os-layers", new).await, "task_id");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stopped = Instant::now();
    world.ask(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await;
    let view = world.ended(&task).await;
    assert!(["stopped", "failed"].contains(&view["state"].as_str().unwrap()), "{view:#}");
    assert!(stopped.elapsed() < Duration::from_secs(60), "{:?}", stopped.elapsed());
    assert_eq!(world.get("/layers").await["items"], json!([]));
}

async fn a_task_whose_platform_hangs(world: World) {
    let os = world.os().await;
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.installed(&made, "office.raw", "office").await;
    for operation in [Operation::MachineState, Operation::Locate] {
        let gate = world.simulation.gate(operation);
        let task = world.finalize(&made).await;
        gate.reached().await;
        let stopped = Instant::now();
        world.ask(Method::POST, &format!("/tasks/{task}/stop"), Value::Null).await;
        world.ends(&task, "stopped").await;
        assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
        assert_eq!(world.state(&made).await, "packaging");
    }
    world.ends(&world.finalize(&made).await, "done").await;
}
