//! Starting and stopping the server.

use crate::api::{self, Front, Scheme};
use crate::app::engine::{Engine, OwnProcessEngine, ProcessEngine, blocking, prepare_store};
use crate::app::{App, Refusal, secret_key};
use crate::connections::Connections;
use crate::db::{Db, DbError};
use crate::domain::time::{Clock, SystemClock};
use crate::secrets::KeyError;
use crate::store_mark::{self, StoreMarkError};
use crate::tasks::{Conduct, free_tasks};
use crate::tls::{self, Authority, Shown, Tls, TlsError};
use axum::Extension;
use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use connectors::Registry;
use operation::{Explain, Failure};
use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use worker::process::Worker;

/// How often what is old is removed.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How often is looked for what is to be told to the webhook.
const LOOK: Duration = Duration::from_secs(2);

/// How often the server looks whether its certificate is still the one to show.
const MINUTE: Duration = Duration::from_secs(60);
/// How long the server waits for answers that are under way when it stops.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long the server waits for steps that are under way when it stops.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of everything that the server keeps, unless said otherwise: the embedded database, the key of its
    /// secrets, and the store.
    pub directory: PathBuf,
    /// Directory of the store; without one `store` in [`directory`](Config::directory).
    pub store: Option<PathBuf>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What it shows to those who connect.
    pub tls: Tls,
    /// A proxy on this machine says who asks, and whether they speak TLS with it.
    pub behind_proxy: bool,
    /// How many may be connected, and how long the server waits for them.
    pub connections: Connections,
    /// Who carries out engine jobs.
    pub engine: EngineProcess,
    /// The database's URL; without one the embedded database in [`directory`](Config::directory).
    pub database: Option<String>,
    /// systemd's directory of credentials, with the key of the server's secrets if it is given there.
    pub credentials: Option<PathBuf>,
    /// The kinds of connectors that are offered.
    pub connectors: Registry,
    /// How tasks are carried out.
    pub tasks: Conduct,
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
    /// The directory cannot be made or used.
    #[error("the server's directory {} cannot be made or used", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server works with the directory.
    #[error("another server works with the directory {}", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
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
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store cannot be made.
    #[error("the store cannot be made: {}", .0.message)]
    Store(Failure),
    /// The store is not the one of the database, or cannot be read.
    #[error(transparent)]
    StoreMark(#[from] StoreMarkError),
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
            ServeError::InUse { .. } => "server-directory-in-use",
            ServeError::Listen { .. } => "server-listen",
            ServeError::PlainHttp { .. } => "server-plain-http",
            ServeError::Tls(error) => error.code(),
            ServeError::Database(error) => error.code(),
            ServeError::Store(_) => "server-store",
            ServeError::StoreMark(error) => error.code(),
            ServeError::Key(error) => error.code(),
            ServeError::Icons(_) => "server-icons",
            ServeError::FirstAdministrator(_) => "server-first-administrator",
            ServeError::Stopped(_) => "server-stopped",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ServeError::Directory { .. } => Some("Give another one with --dir, or make it first.".to_owned()),
            ServeError::InUse { .. } => Some(
                "Stop that server, or give another directory with --dir. Several servers can share a PostgreSQL \
                 database, see --database."
                    .to_owned(),
            ),
            ServeError::Listen { .. } => {
                Some("Another program may use the port; choose one with --listen.".to_owned())
            }
            ServeError::PlainHttp { .. } => {
                Some("Show a certificate, or listen on 127.0.0.1 behind a proxy that speaks TLS.".to_owned())
            }
            ServeError::Tls(error) => error.hint(),
            ServeError::Database(error) => error.hint(),
            ServeError::Store(failure) => failure.hint.clone(),
            ServeError::StoreMark(error) => error.hint(),
            ServeError::Key(error) => error.hint(),
            ServeError::Icons(_) | ServeError::FirstAdministrator(_) | ServeError::Stopped(_) => None,
        }
    }
}

/// A server that is ready: its database is open and its address taken.
#[derive(Debug)]
pub struct Server {
    app: App,
    config: Config,
    listener: TcpListener,
    shown: Option<Shown>,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The one-time password of the user `admin`, when there was no user yet.
    pub first_password: Option<String>,
    /// The lock of the directory with the embedded database, as long as this server works with it.
    _directory: Option<File>,
}

impl Server {
    /// Opens the database, with the key of its secrets, and takes the address.
    pub async fn start(config: &Config) -> Result<Server, ServeError> {
        if matches!(config.tls, Tls::Off) && !config.listen.ip().is_loopback() {
            return Err(ServeError::PlainHttp { address: config.listen });
        }
        // For all that speaks TLS in this process; whoever comes second finds it done.
        _ = rustls::crypto::ring::default_provider().install_default();
        make_directory(&config.directory)
            .map_err(|source| ServeError::Directory { path: config.directory.clone(), source })?;
        let embedded = config.database.is_none().then(|| lock(&config.directory)).transpose()?;
        // Before anything is made that is said only once. Who connects now is answered when the server runs.
        let taken = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let file = || format!("sqlite:{}", config.directory.join("lamina.db").display());
        let db = Db::open(&config.database.clone().unwrap_or_else(file)).await?;
        if embedded.is_some() {
            // Whoever held tasks of this database is dead: nobody else can have it.
            free_tasks(&db).await?;
        }
        let key = secret_key::open(&db, &config.directory, config.credentials.as_deref()).await?;
        let (now, directory) = (SystemClock.now(), &config.directory);
        let shown = tls::open(&config.tls, config.listen, directory, &db, &key, now).await?;
        let store = config.store.clone().unwrap_or_else(|| config.directory.join("store"));
        for private in [&store, &config.directory.join("scratch")] {
            make_private(private)
                .map_err(|source| ServeError::Directory { path: private.clone(), source })?;
        }
        let engine: Arc<dyn Engine> = match &config.engine {
            EngineProcess::Worker(worker) => Arc::new(ProcessEngine::new(worker.clone(), store.clone())),
            EngineProcess::Server => Arc::new(OwnProcessEngine::new(store.clone())),
        };
        let (preparing, place) = (Arc::clone(&engine), store.clone());
        blocking(move || prepare_store(&*preparing, &place)).await.map_err(ServeError::Store)?;
        let app =
            App::new(db, Arc::new(SystemClock), key, config.connectors.clone(), engine, directory.clone());
        store_mark::settle(&app, &store).await?;
        app.deployment.keeps(store);
        if let Some(shown) = &shown {
            app.deployment.shows(shown.certificate());
        }
        app.forget_looks();
        app.put_built_in_icons().await.map_err(ServeError::Icons)?;
        let config = config.clone();
        // Last: nothing after it can fail, and its password is lost if the caller never gets it.
        let first_password = app.first_administrator().await.map_err(ServeError::FirstAdministrator)?;
        Ok(Server { app, config, listener, shown, address, first_password, _directory: embedded })
    }

    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let scheme = if self.shown.is_some() { Scheme::Https } else { Scheme::Http };
        format!("{}://{}", scheme.name(), self.address)
    }

    /// The authority of its certificate, when that is its own.
    pub fn authority(&self) -> Option<&Authority> {
        self.shown.as_ref().and_then(|shown| shown.authority.as_ref())
    }

    /// Answers requests until `stop` is ready, then ends those under way and closes the database.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let handle = Handle::new();
        let ending = handle.clone();
        tokio::spawn(async move {
            stop.await;
            ending.graceful_shutdown(Some(LAST_ANSWERS));
        });
        let house = tokio::spawn(keep_house(self.app.clone()));
        let telling = tokio::spawn(tell_events(self.app.clone()));
        let stopping = CancellationToken::new();
        let tasks = tokio::spawn(self.app.runner(self.config.tasks.clone()).run(stopping.clone()));
        let server = axum_server::from_tcp(self.listener).map_err(ServeError::Stopped)?.handle(handle);
        let connections = self.config.connections;
        let service = |scheme| {
            let front = Front { scheme, behind_proxy: self.config.behind_proxy };
            let router = api::router(self.app.clone()).layer(Extension(front));
            router.into_make_service_with_connect_info::<SocketAddr>()
        };
        let served = match self.shown {
            None => {
                let server = connections.keep(server, DefaultAcceptor::new());
                server.serve(service(Scheme::Http)).await
            }
            Some(shown) => {
                let showing = RustlsConfig::from_config(Arc::clone(&shown.config));
                let renewing = tokio::spawn(keep_certificate(
                    self.app.clone(),
                    self.config.clone(),
                    shown,
                    showing.clone(),
                ));
                let server = connections.keep(server, RustlsAcceptor::new(showing));
                let served = server.serve(service(Scheme::Https)).await;
                renewing.abort();
                served
            }
        };
        house.abort();
        telling.abort();
        stopping.cancel();
        if tokio::time::timeout(LAST_STEPS, tasks).await.is_err() {
            tracing::warn!("a step of a task did not end; the next server repeats it");
        }
        self.app.db().close().await;
        served.map_err(ServeError::Stopped)
    }
}

/// Shows another certificate when it is time to.
async fn keep_certificate(app: App, config: Config, mut shown: Shown, showing: RustlsConfig) {
    let mut minutes = tokio::time::interval(MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complained = String::new();
    loop {
        minutes.tick().await;
        let renewed = tls::renew(
            &shown,
            &config.tls,
            config.listen,
            &config.directory,
            app.db(),
            app.secret_key(),
            app.now(),
        );
        match renewed.await {
            Ok(None) => complained.clear(),
            Ok(Some(other)) => {
                tracing::info!(ends = %other.ends, "the server shows another certificate");
                showing.reload_from_config(Arc::clone(&other.config));
                app.deployment.shows(other.certificate());
                shown = other;
                complained.clear();
            }
            // The one that is shown stays; what is wrong is said once.
            Err(error) if error.to_string() != complained => {
                tracing::warn!(%error, "the certificate could not be renewed");
                complained = error.to_string();
            }
            Err(_) => {}
        }
    }
}

/// Takes the directory of an embedded database for this server alone. The lock goes with the process, however that ends.
pub(crate) fn lock(directory: &Path) -> Result<File, ServeError> {
    let path = directory.join("server.lock");
    let failed = |source| ServeError::Directory { path: directory.to_owned(), source };
    // Never removed: a file of the same name would be another one.
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
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

/// Tells what happens to tasks, as long as the server runs.
async fn tell_events(app: App) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(refusal) = app.tell_events().await {
            tracing::warn!(%refusal, "what happened to tasks could not be told; the next try is in a moment");
        }
    }
}

/// Makes a directory that only its owner can enter; one that exists stays as it is.
fn make_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a directory that only its owner can enter, also where there was one that others could. The files in it are out
/// of their reach then, whoever makes them: the server or a process of the engine.
///
/// The process's own mask for new files would not do. It would hold for what is written to a directory that is a file
/// share as well, and platforms have to read that.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    make_directory(path)?;
    let mut permissions = std::fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(0o700);
    std::fs::set_permissions(path, permissions)
}
