//! A database that is away for longer than a lease lasts.

use crate::meddler::Plan;
use crate::world::{Base, World, fresh_database, id};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::Value;
use server::tasks::Moment;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinHandle;

/// A minute, and until the last lease of before has ended.
const AWAY: Duration = Duration::from_secs(65);

pub(crate) fn trials() -> Vec<Trial> {
    const NAME: &str = "while_the_database_is_away_for_a_minute_nothing_is_lost_and_tasks_go_on_afterwards";
    vec![Trial::test(NAME, || {
        crate::trial::run(async {
            match (std::env::var("LAMINA_POSTGRES").ok(), crate::bench::disk::can_format()) {
                (_, false) => println!("SKIPPED {NAME}: mkntfs is not installed"),
                (None, _) => println!("SKIPPED {NAME}: LAMINA_POSTGRES names no server"),
                (Some(url), true) => match socket(&url) {
                    Some(socket) => is_away(&url, socket).await,
                    None => println!("SKIPPED {NAME}: LAMINA_POSTGRES names no folder of a socket"),
                },
            }
        });
        Ok(())
    })]
}

/// The socket of the PostgreSQL server.
fn socket(url: &str) -> Option<PathBuf> {
    let (_, host) = url.split_once("host=")?;
    let host = host.split('&').next()?;
    host.starts_with('/').then(|| PathBuf::from(host).join(".s.PGSQL.5432"))
}

/// Stands between server and database, and is away when it is to be.
struct Way {
    socket: PathBuf,
    address: SocketAddr,
    open: Option<JoinHandle<()>>,
}

impl Way {
    async fn to(socket: PathBuf) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut way = Way { socket, address: listener.local_addr().unwrap(), open: None };
        way.serve(listener);
        way
    }

    fn serve(&mut self, listener: TcpListener) {
        let socket = self.socket.clone();
        self.open = Some(tokio::spawn(async move {
            // Dropped, it drops every connection.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut ours, _) = listener.accept().await.unwrap();
                let mut theirs = UnixStream::connect(&socket).await.unwrap();
                connections.spawn(async move { copy_bidirectional(&mut ours, &mut theirs).await });
            }
        }));
    }

    /// All connections end, and nobody listens any more.
    async fn close(&mut self) {
        let open = self.open.take().unwrap();
        open.abort();
        _ = open.await;
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }
}

async fn is_away(url: &str, socket: PathBuf) {
    let database = fresh_database(url).await;
    let name = database.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut way = Way::to(socket).await;
    let through = format!("postgres://postgres@{}/{name}", way.address);
    let world = World::with(Base::Postgres, Some(through), |_| {}).await;
    let os = world.os().await;
    // One task in the middle of its steps, others that wait behind it.
    let point = ("create-version.deliver".to_owned(), Moment::BeforeRun);
    world.meddler.plan(Plan { hold: Some(point), ..Plan::default() });
    let made = world.app("Office", &os, world.packaging("office.raw")).await;
    world.meddler.reached().await;
    way.close().await;
    let began = Instant::now();
    world.meddler.let_go();
    for (method, path) in [(Method::GET, "/tasks"), (Method::POST, "/store/collect-garbage")] {
        let (status, headers, body) = world.send(method, path, Value::Null).await;
        assert_eq!((status.as_u16(), &body["code"]), (503, &Value::from("database-unavailable")), "{body:#}");
        assert!(headers.contains_key("retry-after"), "{headers:?}");
        assert!(body["hint"].is_string(), "{body:#}");
    }
    tokio::time::sleep(AWAY.saturating_sub(began.elapsed())).await;
    way.open().await;
    world.ends(&id(&made, "task_id"), "action-required").await;
    let collected = world.ask(Method::POST, "/store/collect-garbage", Value::Null).await;
    world.ends(&id(&collected, "task_id"), "done").await;
    assert_eq!(
        world.rows("SELECT id AS it FROM tasks WHERE kind = 'collect-garbage'").await.len(),
        1,
        "refused is refused"
    );
    assert_eq!(world.state(&made).await, "packaging");
    world.captured(&made, "office.raw", "office").await;
    world.assert_tidy("a database that was away").await;
}
