//! A server of its own for each test, on a fresh database, and a client to ask it with.

use connectors::simulated::Simulation;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::tasks::Conduct;
use server::{Config, Connections, EngineProcess, Registry, Server, Tls};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Which database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Makes one test for each database of an `async fn(Rig)`.
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        mod $name {
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                crate::rig::run(crate::rig::Kind::Sqlite, module_path!(), super::$name).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                crate::rig::run(crate::rig::Kind::Postgres, module_path!(), super::$name).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

/// A running server.
pub(crate) struct Rig {
    pub(crate) config: Config,
    pub(crate) client: reqwest::Client,
    pub(crate) first_password: Option<String>,
    pub(crate) app: server::app::App,
    pub(crate) address: SocketAddr,
    /// The platform behind the connector `simulated`.
    pub(crate) simulation: Simulation,
    /// A directory for what the test keeps.
    pub(crate) directory: tempfile::TempDir,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// The password of every user that a test makes.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Runs a test on a database of the kind, or says why it cannot.
pub(crate) async fn run<F: Future<Output = ()>>(kind: Kind, name: &str, test: fn(Rig) -> F) {
    run_with(kind, name, test).await;
}

/// The same with a test that has brought something.
pub(crate) async fn run_with(kind: Kind, name: &str, test: impl AsyncFnOnce(Rig)) {
    let database = match kind {
        Kind::Sqlite => None,
        Kind::Postgres => match std::env::var("LAMINA_POSTGRES") {
            Ok(url) => Some(fresh_database(&url).await),
            Err(_) => {
                let name = name.trim_start_matches("api::");
                eprintln!("SKIPPED {name}::postgres: LAMINA_POSTGRES names no server");
                return;
            }
        },
    };
    // Clients want one even for plain HTTP. The first to come decides for the whole process; all want the same.
    _ = rustls::crypto::ring::default_provider().install_default();
    test(Rig::start(database).await).await;
}

/// A new database on the PostgreSQL server behind `url`, which holds `{}` where the database's name goes.
pub(crate) async fn fresh_database(url: &str) -> String {
    use sqlx::{Connection, Executor};
    let name = format!("t{}", server::domain::UserId::new().to_string().replace('-', ""));
    let mut connection = sqlx::PgConnection::connect(&url.replace("{}", "postgres")).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    url.replace("{}", &name)
}

/// Somebody who keeps cookies.
fn browser() -> reqwest::Client {
    // Built together with the API's client, reqwest can speak TLS and wants to know with whose ciphers.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().cookie_store(true).build().unwrap()
}

impl Rig {
    /// Starts a server on a database that nobody has used.
    async fn start(database: Option<String>) -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let platform = directory.path().join("platform");
        std::fs::create_dir(&platform).unwrap();
        let simulation = Simulation::new(&platform, true);
        let config = Config {
            directory: directory.path().join("lamina"),
            store: None,
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Tls::Off,
            behind_proxy: false,
            connections: Connections { most: 200, patience: Duration::from_secs(20) },
            database,
            engine: EngineProcess::Server,
            credentials: None,
            connectors: Registry::built_in(server::LinkLocal::Refused).with(Arc::new(simulation.clone())),
            tasks: Conduct::default(),
        };
        let server = Server::start(&config).await.unwrap();
        let mut rig = Rig {
            client: browser(),
            first_password: server.first_password.clone(),
            app: server.app().clone(),
            address: server.address,
            running: None,
            config,
            simulation,
            directory,
        };
        rig.serve(server);
        rig
    }

    pub(crate) fn serve(&mut self, server: Server) {
        let (stop, stopped) = oneshot::channel();
        self.address = server.address;
        self.app = server.app().clone();
        let running = tokio::spawn(async move {
            server.run(async { _ = stopped.await }).await.unwrap();
        });
        self.running = Some((stop, running));
    }

    /// Stops the server and starts it again on what it has kept.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops the server.
    pub(crate) async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        // Connections that are kept open would make the server wait.
        self.client = browser();
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    /// Starts a server that was stopped.
    pub(crate) async fn start_again(&mut self) {
        let server = Server::start(&self.config).await.unwrap();
        assert_eq!(server.first_password, None, "the users were there already");
        self.serve(server);
    }

    /// A client without a session.
    pub(crate) fn stranger(&self) -> reqwest::Client {
        browser()
    }

    /// The whole address of a path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }

    /// Logs in with the one-time password and sets [`PASSWORD`].
    pub(crate) async fn become_administrator(&self) {
        let first = self.first_password.clone().unwrap();
        self.ask(Method::POST, "/session", json!({ "name": "admin", "password": first })).await.ok();
        self.ask(Method::PUT, "/me/password", json!({ "current": first, "new": PASSWORD })).await.ok();
    }

    /// Logs in as the administrator, after a restart.
    pub(crate) async fn log_in(&self) {
        self.ask(Method::POST, "/session", json!({ "name": "admin", "password": PASSWORD })).await.ok();
    }

    /// Sends a file.
    pub(crate) async fn upload(&self, path: &str, kind: &str, file: Vec<u8>) -> Answer {
        let request = self.client.post(self.url(path)).header("content-type", kind).body(file);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Asks with a body and takes whatever comes.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        self.ask_as(&self.client, method, path, body, &[]).await
    }

    /// Asks with headers.
    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.ask_as(&self.client, method, path, body, headers).await
    }

    /// Asks as somebody.
    pub(crate) async fn ask_as(
        &self,
        client: &reqwest::Client,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = client.request(method.clone(), self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method != Method::GET && !body.is_null() {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// Starts the server again, set up in another way.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        self.stop().await;
        change(&mut self.config);
        self.start_again().await;
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// Makes a user with roles and gives a client that is logged in as it.
    pub(crate) async fn user(&self, name: &str, roles: &[&str]) -> reqwest::Client {
        let new = json!({ "name": name, "password": PASSWORD, "roles": roles });
        self.ask(Method::POST, "/users", new).await.created();
        let client = self.stranger();
        let credentials = json!({ "name": name, "password": PASSWORD });
        self.ask_as(&client, Method::POST, "/session", credentials, &[]).await.ok();
        client
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Answer {
        let status = response.status();
        let headers = response.headers().clone();
        let etag = headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        Answer { status, etag, headers, body }
    }

    /// It was done.
    #[track_caller]
    pub(crate) fn ok(self) -> Answer {
        assert!(self.status.is_success(), "{} {:#}", self.status, self.body);
        self
    }

    /// Something was made.
    #[track_caller]
    pub(crate) fn created(self) -> Answer {
        assert_eq!(self.status, StatusCode::CREATED, "{:#}", self.body);
        assert!(self.headers.contains_key("location"), "what was made is somewhere");
        self
    }

    /// It was refused so, in the one form that every refusal has.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Answer {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str()),
            (status, Some(code)),
            "{:#}",
            self.body
        );
        assert!(self.body["message"].as_str().is_some_and(|message| message.len() > 5), "{:#}", self.body);
        assert_eq!(
            self.body["request_id"].as_str(),
            self.headers.get("x-request-id").map(|id| id.to_str().unwrap()),
            "the answer's id is the request's"
        );
        self
    }

    /// A field was refused so.
    #[track_caller]
    pub(crate) fn field(self, field: &str, code: &str) -> Answer {
        let found = self.body["fields"].as_array().is_some_and(|fields| {
            fields.iter().any(|error| error["field"] == field && error["code"] == code)
        });
        assert!(found, "{field} {code} is not in {:#}", self.body);
        self
    }
}
