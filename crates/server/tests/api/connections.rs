//! Clients that take their time, and many of them.

use crate::rig::{Kind, Rig};
use server::Connections;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the server waits in these tests.
const PATIENCE: Duration = Duration::from_secs(2);

async fn with(most: usize, test: impl AsyncFnOnce(Rig)) {
    crate::rig::run_with(Kind::Sqlite, "connections", async |mut rig| {
        rig.restart_with(|config| config.connections = Connections { most, patience: PATIENCE }).await;
        test(rig).await;
    })
    .await;
}

/// Waits until the server closes the connection, and gives what it said before.
async fn closed(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE * 5, stream.read_to_end(&mut said)).await;
    // A connection that is cut is closed as well.
    _ = read.expect("the server closes what says nothing");
    String::from_utf8(said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_too_little_is_closed_in_time() {
    with(50, async |rig| {
        let silent = TcpStream::connect(rig.address).await.unwrap();
        let mut half = TcpStream::connect(rig.address).await.unwrap();
        half.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        let mut kept = TcpStream::connect(rig.address).await.unwrap();
        kept.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let slow = TcpStream::connect(rig.address).await.unwrap();
        let (mut reading, mut writing) = slow.into_split();
        let dripping = tokio::spawn(async move {
            _ = writing.write_all(b"GET /api/v1/health HTTP/1.1\r\nX: ").await;
            while writing.write_all(b"x").await.is_ok() {
                tokio::time::sleep(PATIENCE / 8).await;
            }
        });
        let began = Instant::now();
        let (silent, half, kept) = tokio::join!(closed(silent), closed(half), closed(kept));
        assert!(silent.is_empty() || silent.starts_with("HTTP/1.1 408"), "{silent}");
        assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
        assert!(kept.starts_with("HTTP/1.1 200"), "{kept}");
        let end = tokio::time::timeout(PATIENCE * 5, reading.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "a header that comes letter by letter takes no longer than others");
        assert!(began.elapsed() >= PATIENCE / 2, "they had their time");
        dripping.abort();
        rig.get("/health").await.ok();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_when_all_places_are_taken_is_refused_and_comes_in_later() {
    with(5, async |rig| {
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(TcpStream::connect(rig.address).await.unwrap());
        }
        // Those are accepted in turn; whoever is too many is told so at once.
        tokio::time::sleep(PATIENCE / 8).await;
        let began = Instant::now();
        assert_eq!(closed(TcpStream::connect(rig.address).await.unwrap()).await, "");
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
        rig.stranger().get(rig.url("/health")).send().await.expect_err("there is no place");
        for stream in silent {
            closed(stream).await;
        }
        rig.get("/health").await.ok();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_the_answers_gives_the_place_back_in_time() {
    with(1, async |rig| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut greedy = socket.connect(rig.address).await.unwrap();
        // More than all buffers on the way hold.
        let request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
        greedy.write_all(&request.repeat(100)).await.unwrap();
        tokio::time::sleep(PATIENCE / 2).await;
        rig.stranger().get(rig.url("/health")).send().await.expect_err("the place is taken");
        tokio::time::sleep(PATIENCE * 2).await;
        rig.get("/health").await.ok();
        drop(greedy);
    })
    .await;
}

#[test]
fn there_are_fewer_connections_than_file_descriptors() {
    let limit = Connections::of_this_process().most as u64;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!(files.current, files.maximum, "it takes all that it can get");
    assert!(files.current.is_none_or(|files| limit <= files / 2), "{limit} of {files:?}");
}
