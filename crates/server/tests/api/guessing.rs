//! Guessing passwords: who has to wait, for how long, and who sees it.

use crate::rig::{Answer, PASSWORD, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    many_guesses_at_once_are_not_all_the_first;
    guessing_elsewhere_keeps_nobody_out;
    an_address_waits_for_whatever_names_it_tries_and_success_makes_up_for_some;
    a_one_time_password_makes_an_end_of_waiting;
    guessing_is_seen_in_the_audit_history_and_does_not_fill_it;
    only_a_proxy_that_is_announced_is_believed;
}

async fn log_in(rig: &Rig, name: &str, password: &str, from: &str) -> Answer {
    let credentials = json!({ "name": name, "password": password });
    let headers = [("x-forwarded-for", from)];
    rig.ask_as(&rig.stranger(), Method::POST, "/session", credentials, &headers).await
}

async fn many_guesses_at_once_are_not_all_the_first(rig: Rig) {
    let guesses = (0..40).map(|_| log_in(&rig, "admin", "a guess", ""));
    let answers = futures_util::future::join_all(guesses).await;
    let verified = answers.iter().filter(|answer| answer.status == 401).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(verified + refused, 40);
    // Some may be late enough to have waited.
    assert!((5..=8).contains(&verified), "{verified} were looked at");
}

async fn guessing_elsewhere_keeps_nobody_out(mut rig: Rig) {
    rig.become_administrator().await;
    rig.restart_with(|config| config.behind_proxy = true).await;
    for _ in 0..5 {
        log_in(&rig, "admin", "a guess", "2001:db8::6").await.refused(401, "log-in-failed");
    }
    log_in(&rig, "ADMIN", "a guess", "2001:db8::7").await.refused(429, "too-many-log-ins");
    log_in(&rig, "admin", PASSWORD, "2001:db8::6").await.refused(429, "too-many-log-ins");
    log_in(&rig, "admin", PASSWORD, "192.0.2.1").await.ok();
}

async fn an_address_waits_for_whatever_names_it_tries_and_success_makes_up_for_some(rig: Rig) {
    rig.become_administrator().await;
    let guess = async |number: usize| log_in(&rig, &format!("nobody {number}"), "a guess", "").await;
    for number in 0..19 {
        guess(number).await.refused(401, "log-in-failed");
    }
    log_in(&rig, "admin", PASSWORD, "").await.ok();
    for number in 20..26 {
        guess(number).await.refused(401, "log-in-failed");
    }
    let waits = guess(30).await.refused(429, "too-many-log-ins");
    assert!(waits.body["hint"].as_str().unwrap().contains("address"), "{:#}", waits.body);
}

async fn a_one_time_password_makes_an_end_of_waiting(rig: Rig) {
    rig.become_administrator().await;
    let ann = rig.user("Ann", &[]).await;
    let id = rig.ask_as(&ann, Method::GET, "/me", Value::Null, &[]).await.ok().body["id"].clone();
    for _ in 0..5 {
        log_in(&rig, "ann", "a guess", "").await.refused(401, "log-in-failed");
    }
    let waits = log_in(&rig, "ann", PASSWORD, "").await.refused(429, "too-many-log-ins");
    assert!(waits.body["hint"].as_str().unwrap().contains("one-time password"), "{:#}", waits.body);
    let path = format!("/users/{}/one-time-password", id.as_str().unwrap());
    let reset = rig.ask(Method::POST, &path, Value::Null).await.ok().body;
    log_in(&rig, "ann", reset["one_time_password"].as_str().unwrap(), "").await.ok();
}

async fn guessing_is_seen_in_the_audit_history_and_does_not_fill_it(mut rig: Rig) {
    rig.become_administrator().await;
    let reader = rig.user("Ann", &["read-only"]).await;
    for _ in 0..8 {
        log_in(&rig, "admin", "a guess", "").await;
    }
    for number in 0..20 {
        log_in(&rig, &format!("hunter{number}"), "a guess", "").await;
    }
    let failed = rig.get("/audit?action=log_in_failed&sort=at").await.ok().body;
    let entries = failed["items"].as_array().unwrap();
    let of =
        |entry: &Value| (entry["object_kind"].clone(), entry["object_name"].clone(), entry["detail"].clone());
    assert_eq!(
        entries.iter().map(of).collect::<Vec<_>>(),
        [
            (json!("user"), json!("admin"), json!({ "failures": 5, "of": "name and address" })),
            (json!("address"), json!("127.0.0.1"), json!({ "failures": 20, "of": "address" })),
        ]
    );
    assert!(entries.iter().all(|entry| entry["actor"] == "nobody" && entry["address"] == "127.0.0.1"));
    assert!(!failed.to_string().contains("hunter"), "a name that nobody has may be a password");
    let seen = rig.ask_as(&reader, Method::GET, "/audit?action=log_in_failed", Value::Null, &[]).await.ok();
    assert_eq!(seen.body["items"], json!([]), "that is for administrators");
    rig.stop().await;
}

async fn only_a_proxy_that_is_announced_is_believed(mut rig: Rig) {
    rig.become_administrator().await;
    let log_in = async |rig: &Rig| {
        let headers = [("x-forwarded-for", "198.51.100.7, 192.0.2.1"), ("x-forwarded-proto", "https")];
        let credentials = json!({ "name": "admin", "password": PASSWORD });
        let client = rig.stranger();
        let answer = rig.ask_as(&client, Method::POST, "/session", credentials, &headers).await.ok();
        let secure = answer.headers["set-cookie"].to_str().unwrap().contains("; Secure");
        rig.log_in().await;
        let entries = rig.get("/audit?action=log_in&limit=2").await.ok().body;
        (secure, entries["items"][1]["address"].as_str().unwrap().to_owned())
    };
    assert_eq!(log_in(&rig).await, (false, "127.0.0.1".to_owned()));
    rig.restart_with(|config| config.behind_proxy = true).await;
    assert_eq!(log_in(&rig).await, (true, "192.0.2.1".to_owned()));
}
