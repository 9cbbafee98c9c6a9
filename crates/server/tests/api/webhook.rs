//! The webhook, told to a real receiver.

use crate::rig::{Rig, on_both_databases};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{any, post};
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_both_databases! {
    what_happens_to_a_task_is_told_in_order_and_signed;
    what_could_not_be_told_is_told_later_and_that_is_seen;
    what_is_not_told_within_a_day_is_given_up;
    only_chosen_events_are_told_and_nothing_without_a_webhook;
    it_leads_nowhere_it_may_not_and_is_not_sent_on;
    its_secret_is_never_shown_and_stays_when_it_is_not_sent;
}

const SECRET: &str = "a secret of this test";

/// What came to a receiver: headers and body.
type Told = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that answers with the status that `answer` holds.
struct Receiver {
    url: String,
    told: Told,
    answer: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    async fn start() -> Receiver {
        let (told, answer) = (Told::default(), Arc::new(Mutex::new(StatusCode::OK)));
        let (keep, status) = (Arc::clone(&told), Arc::clone(&answer));
        let hook = post(async move |headers: HeaderMap, body: String| {
            keep.lock().unwrap().push((headers, body));
            *status.lock().unwrap()
        });
        let away = any(async || Redirect::temporary("/hook"));
        let router = Router::new().route("/hook", hook).route("/away", away);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { url, told, answer }
    }

    /// The events that came, in order.
    fn events(&self) -> Vec<String> {
        let event =
            |(headers, _): &(HeaderMap, String)| headers["x-lamina-event"].to_str().unwrap().to_owned();
        self.told.lock().unwrap().iter().map(event).collect()
    }

    /// Waits until so many events came, and gives them.
    async fn wait(&self, count: usize) -> Vec<String> {
        let patience = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.events().len() < count {
            assert!(tokio::time::Instant::now() < patience, "only {:?} came", self.events());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.events()
    }

    fn answer(&self, status: StatusCode) {
        *self.answer.lock().unwrap() = status;
    }
}

const ALL: [&str; 6] = ["created", "started", "action-required", "done", "failed", "stopped"];

async fn set(rig: &Rig, url: &str, events: &[&str]) {
    let wanted = json!({ "url": url, "events": events, "allow_private": true, "secret": SECRET });
    rig.ask_with(Method::PUT, "/webhook", wanted, &[("if-match", "*")]).await.ok();
}

/// A task that is soon done.
async fn collect_garbage(rig: &Rig) -> String {
    let made = rig.ask(Method::POST, "/store/collect-garbage", Value::Null).await.created();
    made.body["task_id"].as_str().unwrap().to_owned()
}

/// HMAC-SHA256 as RFC 2104 defines it, written down once more.
fn hmac(secret: &str, text: &str) -> String {
    let mut key = [0_u8; 64];
    key[..secret.len()].copy_from_slice(secret.as_bytes());
    let keyed = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::digest([&keyed(0x36)[..], text.as_bytes()].concat());
    let outer = Sha256::digest([&keyed(0x5c)[..], &inner[..]].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn what_happens_to_a_task_is_told_in_order_and_signed(rig: Rig) {
    rig.become_administrator().await;
    let receiver = Receiver::start().await;
    set(&rig, &receiver.url, &ALL).await;
    let task = collect_garbage(&rig).await;
    assert_eq!(receiver.wait(3).await, ["created", "started", "done"]);
    for (headers, body) in receiver.told.lock().unwrap().iter() {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let signature = text("x-lamina-signature");
        let seconds = signature.strip_prefix("t=").unwrap().split(',').next().unwrap();
        assert_eq!(signature, format!("t={seconds},v1={}", hmac(SECRET, &format!("{seconds}.{body}"))));
        assert!(text("x-lamina-delivery").starts_with(&task), "{headers:?}");
        assert_eq!(text("content-type"), "application/json");
        let message: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&message["event"], &message["task"]["id"]),
            (&json!(text("x-lamina-event")), &json!(task))
        );
        assert_eq!(message["task"]["kind"], "collect-garbage");
        assert_eq!(message["task"]["owner"], "admin");
    }
    let shown = rig.get("/webhook").await.ok().body;
    assert_eq!((&shown["waiting"], &shown["failure"]), (&json!(0), &Value::Null));
    assert!(shown["told_at"].is_string(), "{shown:#}");
}

async fn make_due(rig: &Rig) {
    rig.app.db().execute(Statement::new("UPDATE task_events SET next_at = 0")).await.unwrap();
}

async fn what_could_not_be_told_is_told_later_and_that_is_seen(rig: Rig) {
    rig.become_administrator().await;
    let receiver = Receiver::start().await;
    receiver.answer(StatusCode::INTERNAL_SERVER_ERROR);
    set(&rig, &receiver.url, &ALL).await;
    collect_garbage(&rig).await;
    receiver.wait(1).await;
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    let shown = loop {
        let shown = rig.get("/webhook").await.ok().body;
        if shown["failure"].is_string() && shown["waiting"] == 3 {
            break shown;
        }
        assert!(tokio::time::Instant::now() < patience, "{shown:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(shown["failure"].as_str().unwrap().contains("500"), "{shown:#}");
    assert!(shown["failed_at"].is_string() && shown["told_at"].is_null(), "{shown:#}");
    assert!(receiver.events().iter().all(|event| event == "created"), "nothing overtakes it");
    // A restart forgets nothing.
    let mut rig = rig;
    rig.restart().await;
    rig.log_in().await;
    receiver.told.lock().unwrap().clear();
    receiver.answer(StatusCode::NO_CONTENT);
    make_due(&rig).await;
    assert_eq!(receiver.wait(3).await, ["created", "started", "done"]);
}

async fn what_is_not_told_within_a_day_is_given_up(rig: Rig) {
    rig.become_administrator().await;
    let receiver = Receiver::start().await;
    receiver.answer(StatusCode::BAD_GATEWAY);
    set(&rig, &receiver.url, &["created"]).await;
    collect_garbage(&rig).await;
    receiver.wait(1).await;
    let late = "UPDATE task_events SET at = at - 86400000, next_at = 0";
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    while rig.get("/webhook").await.ok().body["given_up"] != 1 {
        assert!(tokio::time::Instant::now() < patience);
        rig.app.db().execute(Statement::new(late)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(receiver.events().len() >= 2, "it was tried once more");
}

async fn only_chosen_events_are_told_and_nothing_without_a_webhook(rig: Rig) {
    rig.become_administrator().await;
    let rows = async || {
        let count = Statement::new("SELECT COUNT(*) AS n FROM task_events");
        rig.app.db().optional(count).await.unwrap().unwrap().integer("n").unwrap()
    };
    let task = collect_garbage(&rig).await;
    while rig.get(&format!("/tasks/{task}")).await.ok().body["ended_at"].is_null() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rows().await, 0, "nobody is to be told");
    let receiver = Receiver::start().await;
    set(&rig, &receiver.url, &["done"]).await;
    collect_garbage(&rig).await;
    assert_eq!(receiver.wait(1).await, ["done"]);
    rig.ask_with(Method::DELETE, "/webhook", Value::Null, &[("if-match", "*")]).await.ok();
    rig.get("/webhook").await.refused(404, "webhook-missing");
    collect_garbage(&rig).await;
    assert_eq!(rows().await, 0);
}

async fn it_leads_nowhere_it_may_not_and_is_not_sent_on(rig: Rig) {
    rig.become_administrator().await;
    let receiver = Receiver::start().await;
    let put = async |url: &str, allow_private: bool| {
        let wanted =
            json!({ "url": url, "events": ["done"], "allow_private": allow_private, "secret": SECRET });
        rig.ask_with(Method::PUT, "/webhook", wanted, &[("if-match", "*")]).await
    };
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[fe80::1]/",
        "http://metadata.google.internal/",
        "http://2852039166/",
        "http://0/",
        "http://100.100.100.200/",
    ] {
        put(url, true).await.refused(422, "invalid").field("url", "url-forbidden");
    }
    put(&receiver.url, false).await.refused(422, "invalid").field("url", "url-forbidden");
    for url in ["ftp://example.com/", "file:///etc/passwd", "example.com", "http://", "https://h/#x"] {
        put(url, true).await.refused(422, "invalid").field("url", "url-invalid");
    }
    put("https://user:password@example.com/", true)
        .await
        .refused(422, "invalid")
        .field("url", "url-credentials");
    // Saved while it was allowed, looked at again when it is used.
    put(&receiver.url, true).await.ok();
    let allowed = Statement::new("UPDATE webhooks SET allow_private = FALSE");
    rig.app.db().execute(allowed).await.unwrap();
    let tested = rig.ask(Method::POST, "/webhook/test", Value::Null).await.ok().body;
    assert_eq!(tested["told"], false);
    assert!(tested["failure"].as_str().unwrap().contains("may not be reached"), "{tested:#}");
    // Sent on, even to where it could go itself.
    put(&receiver.url.replace("/hook", "/away"), true).await.ok();
    let tested = rig.ask(Method::POST, "/webhook/test", Value::Null).await.ok().body;
    assert!(tested["failure"].as_str().unwrap().contains("307"), "{tested:#}");
    assert_eq!(receiver.events(), [""; 0]);
    put(&receiver.url, true).await.ok();
    assert_eq!(rig.ask(Method::POST, "/webhook/test", Value::Null).await.ok().body["told"], true);
    assert_eq!(receiver.events(), ["test"]);
}

async fn its_secret_is_never_shown_and_stays_when_it_is_not_sent(rig: Rig) {
    rig.become_administrator().await;
    let receiver = Receiver::start().await;
    let without = json!({ "url": receiver.url, "events": ["done"], "allow_private": true });
    let put = async |wanted: &Value| {
        rig.ask_with(Method::PUT, "/webhook", wanted.clone(), &[("if-match", "*")]).await
    };
    put(&without).await.refused(422, "invalid").field("secret", "secret-missing");
    let mut short = without.clone();
    short["secret"] = json!("short");
    put(&short).await.refused(422, "invalid").field("secret", "secret-length");
    set(&rig, &receiver.url, &["done"]).await;
    let changed = put(&without).await.ok();
    assert_eq!(changed.body["revision"], 2);
    rig.ask(Method::POST, "/webhook/test", Value::Null).await.ok();
    let (headers, body) = receiver.told.lock().unwrap()[0].clone();
    let signature = headers["x-lamina-signature"].to_str().unwrap();
    let seconds = signature.strip_prefix("t=").unwrap().split(',').next().unwrap();
    assert!(signature.ends_with(&hmac(SECRET, &format!("{seconds}.{body}"))));
    let stale = rig.ask_with(Method::PUT, "/webhook", without, &[("if-match", "\"1\"")]).await;
    stale.refused(412, "changed-meanwhile");
    for path in ["/webhook", "/audit?limit=200", "/settings"] {
        assert!(!rig.get(path).await.ok().body.to_string().contains(SECRET), "{path}");
    }
    let sealed = "SELECT secret FROM webhooks";
    let row = rig.app.db().optional(Statement::new(sealed)).await.unwrap().unwrap();
    let bytes = row.bytes("secret").unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "it is sealed");
}
