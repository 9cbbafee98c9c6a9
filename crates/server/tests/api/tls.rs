//! TLS as clients meet it.

use crate::rig::{Answer, on_both_databases};
use reqwest::{Certificate, Client, Method};
use serde_json::json;
use server::Tls;

on_both_databases! {
    who_trusts_the_servers_authority_is_served_and_keeps_the_cookie_from_plain_http;
}

fn trusting(authority: Option<&std::path::Path>) -> Client {
    let trusted = authority.map(|path| Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap());
    Client::builder().tls_certs_only(trusted).build().unwrap()
}

async fn who_trusts_the_servers_authority_is_served_and_keeps_the_cookie_from_plain_http(
    mut rig: crate::rig::Rig,
) {
    rig.stop().await;
    rig.config.tls = Tls::Generated { names: Vec::new() };
    rig.start_again().await;
    let authority = rig.config.directory.join("certificate-authority.pem");
    let url = |path: &str| format!("https://localhost:{}/api/v1{path}", rig.address.port());

    let client = trusting(Some(&authority));
    Answer::of(client.get(url("/health")).send().await.unwrap()).await.ok();
    let strangers = trusting(None).get(url("/health")).send().await.unwrap_err();
    assert!(strangers.is_connect(), "{strangers:?}");
    let plain = format!("http://localhost:{}/api/v1/health", rig.address.port());
    client.get(plain).send().await.expect_err("it speaks TLS only");

    let first = rig.first_password.clone().unwrap();
    let log_in = client.post(url("/session")).json(&json!({ "name": "admin", "password": first }));
    let answer = Answer::of(log_in.send().await.unwrap()).await.ok();
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");

    // Another certificate, the same authority.
    rig.restart().await;
    let url = format!("https://localhost:{}/api/v1/health", rig.address.port());
    Answer::of(trusting(Some(&authority)).request(Method::GET, url).send().await.unwrap()).await.ok();
}
