//! A server with a platform, and a client to ask it with.

use crate::bench::disk::{Disk, Part};
use crate::meddler::Meddler;
use crate::snapshot::{self, Snapshot};
use connectors::simulated::{self, Simulation};
use layering::report::RowKind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::app::App;
use server::db::{Db, Statement};
use server::tasks::{Conduct, Patience};
use server::{Config, EngineProcess, LinkLocal, Registry, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use worker::process::Worker;
use worker::{Job, Outcome};

/// On what a test stands: both databases, and both ways in which disks travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// SQLite, and a file share that is a directory: disks are read and written where they are.
    Sqlite,
    /// PostgreSQL, and a simulated platform: disks are copied, changed blocks reported, machines deleted.
    Postgres,
}

/// Both.
pub(crate) const BOTH: [Base; 2] = [Base::Sqlite, Base::Postgres];

impl Base {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Base::Sqlite => "sqlite",
            Base::Postgres => "postgres",
        }
    }
}

/// A password that a person would have.
const PASSWORD: &str = "correct horse battery";
/// How long anything may take.
const LONG: Duration = Duration::from_secs(180);

/// A server with a platform.
pub(crate) struct World {
    pub(crate) base: Base,
    pub(crate) config: Config,
    pub(crate) meddler: Meddler,
    pub(crate) client: reqwest::Client,
    pub(crate) address: SocketAddr,
    /// The server's inside.
    pub(crate) server: App,
    /// The database, beside the server.
    pub(crate) db: Db,
    /// The connector configuration of the platform.
    pub(crate) configuration: String,
    /// Where the platform has its disks.
    pub(crate) place: PathBuf,
    pub(crate) simulation: Simulation,
    pub(crate) directory: tempfile::TempDir,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// How a server under test is set up.
pub(crate) fn config(directory: PathBuf, database: Option<String>, meddler: &Meddler) -> Config {
    Config {
        directory,
        store: None,
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: server::Tls::Off,
        behind_proxy: false,
        connections: server::Connections { most: 200, patience: Duration::from_secs(20) },
        database,
        engine: EngineProcess::Worker(Worker::new(std::env::current_exe().unwrap(), ["worker"])),
        credentials: None,
        connectors: Registry::built_in(LinkLocal::Refused),
        tasks: Conduct {
            patience: Patience { tries: 3, pause: Duration::from_millis(5) },
            probe: Some(Arc::new(meddler.clone())),
            ..Conduct::default()
        },
    }
}

/// A new database on the PostgreSQL server behind `url`, which holds `{}` where the database's name goes.
pub(crate) async fn fresh_database(url: &str) -> String {
    use sqlx::{Connection, Executor};
    let name = format!("t{}", server::domain::UserId::new().to_string().replace('-', ""));
    let mut connection = sqlx::PgConnection::connect(&url.replace("{}", "postgres")).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    url.replace("{}", &name)
}

impl World {
    /// A server on a database that nobody has used, with an administrator and a platform; or why there can be none.
    pub(crate) async fn open(base: Base) -> Result<World, String> {
        let database = match (base, std::env::var("LAMINA_POSTGRES")) {
            (Base::Sqlite, _) => None,
            (Base::Postgres, Ok(url)) => Some(fresh_database(&url).await),
            (Base::Postgres, Err(_)) => return Err("LAMINA_POSTGRES names no server".to_owned()),
        };
        Ok(World::with(base, database, |_| {}).await)
    }

    /// The same on this database, set up in some other way.
    pub(crate) async fn with(base: Base, database: Option<String>, other: impl FnOnce(&mut Config)) -> World {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("platform");
        std::fs::create_dir(&place).unwrap();
        let simulation = Simulation::new(&place, false);
        let meddler = Meddler::default();
        let mut config = config(directory.path().join("lamina"), database, &meddler);
        config.connectors = config.connectors.with(Arc::new(simulation.clone()));
        other(&mut config);
        let server = Server::start(&config).await.unwrap();
        let beside = format!("sqlite:{}", config.directory.join("lamina.db").display());
        let db = Db::open(config.database.as_ref().unwrap_or(&beside)).await.unwrap();
        let first = server.first_password.clone().unwrap();
        let mut world = World {
            base,
            config,
            meddler,
            client: reqwest::Client::builder().cookie_store(true).build().unwrap(),
            address: server.address,
            server: server.app().clone(),
            db,
            configuration: String::new(),
            place,
            simulation,
            directory,
            running: None,
        };
        world.serve(server);
        world.ask(Method::POST, "/session", json!({ "name": "admin", "password": first })).await;
        world.ask(Method::PUT, "/me/password", json!({ "current": first, "new": PASSWORD })).await;
        let new = match base {
            Base::Sqlite => json!({ "connector": "fileshare", "name": "Place",
                "fields": { "access": "directory", "path": world.place } }),
            Base::Postgres => json!({ "connector": "simulated", "name": "Place",
                "secrets": { "password": simulated::PASSWORD } }),
        };
        let made = world.ask(Method::POST, "/connector-configurations", new).await;
        world.configuration = id(&made, "id");
        world
    }

    fn serve(&mut self, server: Server) {
        let (stop, stopped) = oneshot::channel();
        self.address = server.address;
        self.server = server.app().clone();
        let running = tokio::spawn(async move {
            server.run(async { _ = stopped.await }).await.unwrap();
        });
        self.running = Some((stop, running));
    }

    /// Stops the server. Who is logged in stays so.
    pub(crate) async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    /// Starts a server on what another one has left.
    pub(crate) async fn start(&mut self) {
        let server = Server::start(&self.config).await.unwrap();
        self.serve(server);
    }

    /// Sends a request and gives status, headers and body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, reqwest::header::HeaderMap, Value) {
        let url = format!("http://{}/api/v1{path}", self.address);
        let mut request = self.client.request(method.clone(), url).header("if-match", "*");
        if method != Method::GET && !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.timeout(LONG).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        (status, headers, body)
    }

    /// Asks for what must be done.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let said = format!("{method} {path} {body}");
        let (status, _, body) = self.send(method, path, body).await;
        assert!(status.is_success(), "{said}: {status} {body:#}");
        body
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// Waits until a task has ended.
    pub(crate) async fn ended(&self, task: &str) -> Value {
        let patience = Instant::now() + LONG;
        loop {
            let view = self.get(&format!("/tasks/{task}")).await;
            if view.get("ended_at").is_some() {
                return view;
            }
            if Instant::now() >= patience {
                let log = self.get(&format!("/tasks/{task}/log")).await;
                panic!("the task does not end: {view:#} {log:#}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a task has ended in this state.
    pub(crate) async fn ends(&self, task: &str, state: &str) -> Value {
        let view = self.ended(task).await;
        if view["state"] != state {
            let log = self.get(&format!("/tasks/{task}/log")).await;
            panic!("the task is {}, not {state}: {view:#} {log:#}", view["state"]);
        }
        view
    }

    /// The files of the OS volume that a version in the store brings.
    pub(crate) fn files(&self, reference: &str) -> Vec<String> {
        let job = Job::Files { reference: reference.to_owned(), path: None };
        let store = self.config.directory.join("store");
        let Outcome::Files(report) = worker::run(&store, job, &operation::Silent).unwrap() else { panic!() };
        report.rows.into_iter().filter(|row| row.entry == RowKind::File).map(|row| row.path).collect()
    }

    /// Everything that is there.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let mut found = snapshot::database(&self.db).await;
        found.extend(snapshot::files("platform", &self.place));
        found.extend(snapshot::files("scratch", &self.config.directory.join("scratch")));
        found.extend(snapshot::references(&self.config.directory.join("store")));
        for machine in self.simulation.contents().unwrap().machines {
            found.insert(format!("machine: {machine}"), String::new());
        }
        found
    }

    /// Panics when something lies about that only tasks under way have.
    pub(crate) async fn assert_tidy(&self, what: &str) {
        let about = |name: &&String| {
            ["scratch: ", "leftovers: ", "saga_events: ", "platform: .lamina"]
                .iter()
                .any(|of| name.starts_with(of))
        };
        let snapshot = self.snapshot().await;
        let about: Vec<&String> = snapshot.keys().filter(about).collect();
        assert!(about.is_empty(), "{what} leaves something behind: {about:#?}");
    }

    /// Rows of a statement, as texts.
    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<String> {
        let rows = self.db.all(Statement::new(sql)).await.unwrap();
        rows.iter().map(|row| row.text("it").unwrap()).collect()
    }

    /// What a PostgreSQL server that was killed leaves: leases that nobody renews. Here they have run out.
    pub(crate) async fn let_leases_end(&self) {
        self.db
            .execute(Statement::new("UPDATE tasks SET lease_until = 1 WHERE lease_until > 1"))
            .await
            .unwrap();
    }

    /// Puts the disk of an operating system on the platform.
    pub(crate) fn put_os_disk(&self, name: &str) {
        let disk = Disk::create(self.place.join(name), &[Part::Ntfs(16)]);
        disk.edit(|volume| {
            volume.file("\\os.txt", "the system").file("\\Windows\\notepad.exe", vec![7; 20_000]);
        });
        self.rest(name);
    }

    /// Makes a disk of the platform one that nobody has written for a while: a file share looks twice at others, two
    /// seconds apart.
    fn rest(&self, name: &str) {
        let disk = std::fs::File::options().write(true).open(self.place.join(name)).unwrap();
        disk.set_modified(std::time::SystemTime::now() - Duration::from_secs(600)).unwrap();
    }

    /// Writes into a disk of the platform as its machine would.
    pub(crate) fn install(&self, name: &str, change: impl FnOnce(&mut crate::bench::edit::Edit)) {
        let before = std::fs::read(self.place.join(name)).unwrap();
        let copy = Disk { path: self.directory.path().join("machine") };
        std::fs::write(&copy.path, &before).unwrap();
        copy.edit(change);
        let after = std::fs::read(&copy.path).unwrap();
        for (block, (old, new)) in before.chunks(4096).zip(after.chunks(4096)).enumerate() {
            if old != new {
                self.simulation.write(&name.parse().unwrap(), block as u64 * 4096, new).unwrap();
            }
        }
        self.rest(name);
    }
}

/// A text of an answer, such as an identifier.
pub(crate) fn id(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer:#}")).to_owned()
}
