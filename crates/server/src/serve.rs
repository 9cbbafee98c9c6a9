//! Starting and stopping the server.

use crate::api;
use crate::app::engine::{Engine, OwnProcessEngine, ProcessEngine, blocking, prepare_store};
use crate::app::{App, Refusal, secret_key};
use crate::db::{Db, DbError};
use crate::domain::time::SystemClock;
use crate::secrets::KeyError;
use connectors::Registry;
use operation::{Explain, Failure};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use worker::process::Worker;

/// How often what is old is removed.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Tasks that are carried out at the same time.
const TASKS_AT_ONCE: usize = 4;
/// How long the server waits for steps that are under way when it stops.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of everything that the server keeps, unless said otherwise: the embedded database, the key of its
    /// secrets, and the store.
    pub directory: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Who carries out engine jobs.
    pub engine: EngineProcess,
    /// The database's URL; without one the embedded database in [`directory`](Config::directory).
    pub database: Option<String>,
    /// systemd's directory of credentials, with the key of the server's secrets if it is given there.
    pub credentials: Option<PathBuf>,
    /// The kinds of connectors that are offered.
    pub connectors: Registry,
}

/// Who carries out engine jobs.
#[derive(Debug, Clone)]
pub enum EngineProcess {
    /// A process of its own for each, which may crash without harm to the server.
    Worker(Worker),
    /// The server itself; for tests.
    Server,
}

/// Why the server does not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The directory cannot be made.
    #[error("the server's directory {} cannot be made", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("the server cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Plain HTTP on an address that others can reach.
    #[error(
        "the address {address} can be reached from other machines, and plain HTTP would show them passwords"
    )]
    PlainHttp {
        /// Which.
        address: SocketAddr,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store cannot be made.
    #[error("the store cannot be made: {}", .0.message)]
    Store(Failure),
    /// The key of the server's secrets.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The program's own icons cannot be stored.
    #[error("the program's icons cannot be stored")]
    Icons(#[source] Refusal),
    /// The first administrator cannot be made.
    #[error("the first administrator cannot be made")]
    FirstAdministrator(#[source] Refusal),
    /// Serving ended on its own.
    #[error("the server stopped")]
    Stopped(#[source] std::io::Error),
}

impl Explain for ServeError {
    fn code(&self) -> &'static str {
        match self {
            ServeError::Directory { .. } => "server-directory",
            ServeError::Listen { .. } => "server-listen",
            ServeError::PlainHttp { .. } => "server-plain-http",
            ServeError::Database(error) => error.code(),
            ServeError::Store(_) => "server-store",
            ServeError::Key(error) => error.code(),
            ServeError::Icons(_) => "server-icons",
            ServeError::FirstAdministrator(_) => "server-first-administrator",
            ServeError::Stopped(_) => "server-stopped",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ServeError::Directory { .. } => Some("Give another one with --dir, or make it first.".to_owned()),
            ServeError::Listen { .. } => {
                Some("Another program may use the port; choose one with --listen.".to_owned())
            }
            ServeError::PlainHttp { .. } => {
                Some("Listen on 127.0.0.1, behind a proxy that speaks TLS.".to_owned())
            }
            ServeError::Database(error) => error.hint(),
            ServeError::Store(failure) => failure.hint.clone(),
            ServeError::Key(error) => error.hint(),
            ServeError::Icons(_) | ServeError::FirstAdministrator(_) | ServeError::Stopped(_) => None,
        }
    }
}

/// A server that is ready: its database is open and its address taken.
#[derive(Debug)]
pub struct Server {
    app: App,
    listener: TcpListener,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The one-time password of the user `admin`, when there was no user yet.
    pub first_password: Option<String>,
}

impl Server {
    /// Opens the database, with the key of its secrets, and takes the address.
    pub async fn start(config: &Config) -> Result<Server, ServeError> {
        if !config.listen.ip().is_loopback() {
            return Err(ServeError::PlainHttp { address: config.listen });
        }
        make_private(&config.directory)
            .map_err(|source| ServeError::Directory { path: config.directory.clone(), source })?;
        let embedded = || format!("sqlite:{}", config.directory.join("lamina.db").display());
        let db = Db::open(&config.database.clone().unwrap_or_else(embedded)).await?;
        let key = secret_key::open(&db, &config.directory, config.credentials.as_deref()).await?;
        let store = config.directory.join("store");
        let engine: Arc<dyn Engine> = match &config.engine {
            EngineProcess::Worker(worker) => Arc::new(ProcessEngine::new(worker.clone(), store.clone())),
            EngineProcess::Server => Arc::new(OwnProcessEngine::new(store.clone())),
        };
        let preparing = Arc::clone(&engine);
        blocking(move || prepare_store(&*preparing, &store)).await.map_err(ServeError::Store)?;
        let scratch = config.directory.join("scratch");
        let app = App::new(db, Arc::new(SystemClock), key, config.connectors.clone(), engine, scratch);
        app.put_built_in_icons().await.map_err(ServeError::Icons)?;
        let first_password = app.first_administrator().await.map_err(ServeError::FirstAdministrator)?;
        let taken = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        Ok(Server { app, listener, address, first_password })
    }

    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Answers requests until `stop` is ready, then ends those under way and closes the database.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let service = api::router(self.app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let house = tokio::spawn(keep_house(self.app.clone()));
        let stopping = CancellationToken::new();
        let tasks = tokio::spawn(self.app.runner(TASKS_AT_ONCE).run(stopping.clone()));
        let served = axum::serve(self.listener, service).with_graceful_shutdown(stop).await;
        house.abort();
        stopping.cancel();
        if tokio::time::timeout(LAST_STEPS, tasks).await.is_err() {
            tracing::warn!("a step of a task did not end; the next server repeats it");
        }
        self.app.db().close().await;
        served.map_err(ServeError::Stopped)
    }
}

/// Removes what is old, at the start and every hour.
async fn keep_house(app: App) {
    let mut hours = tokio::time::interval(HOUR);
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hours.tick().await;
        if let Err(refusal) = app.keep_house().await {
            tracing::warn!(%refusal, "what is old could not be removed; the next try is in an hour");
        }
    }
}

/// Makes a directory that only its owner can enter; one that exists stays as it is.
fn make_private(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
