//! `lamina serve`: the server, in the foreground, until it is interrupted.

use super::FAILED;
use crate::printer::Printer;
use clap::{Args, ValueEnum};
use operation::Failure;
use server::tasks::Conduct;
use server::{Config, Connections, EngineProcess, LinkLocal, Registry, ServeError, Server, Tls};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use worker::process::Worker;

/// Start the server.
///
/// Answers the REST API under /api/v1 until it is interrupted. On first start it makes the directory with an embedded
/// database, and prints a one-time password of the user admin.
#[derive(Args)]
pub(super) struct ServeArgs {
    /// Directory of everything that the server keeps
    #[arg(long, value_name = "DIR", env = "LAMINA_DIR", default_value = "/var/lib/lamina")]
    dir: PathBuf,
    /// Directory of the store, on a disk of its own if wanted; the same for all servers of one database [default: store in
    /// the server's directory]
    #[arg(long, value_name = "DIR", env = "LAMINA_STORE")]
    store: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT", env = "LAMINA_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Speak TLS on a loopback address too, with a certificate that the server makes; elsewhere it always does
    #[arg(long, conflicts_with_all = ["certificate", "key"])]
    tls: bool,
    /// Another name of this machine, for the certificate that the server makes
    #[arg(long, value_name = "NAME", conflicts_with_all = ["certificate", "key"])]
    host_name: Vec<String>,
    /// Your own certificate in PEM, with those that lead to its authority; read again when it changes
    #[arg(long, value_name = "FILE", env = "LAMINA_CERTIFICATE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key of your own certificate in PEM
    #[arg(long, value_name = "FILE", env = "LAMINA_CERTIFICATE_KEY", requires = "certificate")]
    key: Option<PathBuf>,
    /// Database instead of the embedded one: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "LAMINA_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// A proxy on this machine says who asks (X-Forwarded-For) and whether by TLS (X-Forwarded-Proto)
    #[arg(long)]
    behind_proxy: bool,
    /// Let SMB shares and the webhook lead to link-local addresses and metadata services of clouds, too
    #[arg(long)]
    allow_link_local: bool,
    /// How the log on stderr is written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Serves until it is interrupted, and gives the exit status.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    start_log(args.log);
    let tls = match (args.certificate, args.key) {
        (Some(certificate), Some(key)) => Tls::Files { certificate, key },
        _ if args.tls || !args.listen.ip().is_loopback() => Tls::Generated { names: args.host_name },
        _ => Tls::Off,
    };
    let config = Config {
        directory: args.dir,
        store: args.store,
        listen: args.listen,
        tls,
        behind_proxy: args.behind_proxy,
        connections: Connections::of_this_process(),
        database: args.database,
        // Set by systemd for a service that has credentials.
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        engine: EngineProcess::Worker(Worker::this_program()),
        connectors: Registry::built_in(match args.allow_link_local {
            true => LinkLocal::Allowed,
            false => LinkLocal::Refused,
        }),
        tasks: Conduct::default(),
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Stopped)
        .and_then(|runtime| runtime.block_on(serve(&config)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Printer::new(false).failure(&Failure::new(&error));
            ExitCode::from(FAILED)
        }
    }
}

fn start_log(format: LogFormat) {
    // LAMINA_LOG takes the directives of tracing's EnvFilter, such as `server=debug`.
    let filter = EnvFilter::try_from_env("LAMINA_LOG").unwrap_or_else(|_| EnvFilter::new("warn,server=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn serve(config: &Config) -> Result<(), ServeError> {
    let server = Server::start(config).await?;
    announce(&server).map_err(ServeError::Stopped)?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).map_err(ServeError::Stopped)?,
        signal(SignalKind::terminate()).map_err(ServeError::Stopped)?,
    );
    server
        .run(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await
}

/// Says where the server is. The password is on stdout and not in the log, which others may read.
fn announce(server: &Server) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Lamina is ready at {}/api/v1", server.url())?;
    if let Some(authority) = server.authority() {
        writeln!(
            out,
            "Clients trust it with {} (SHA-256 {})",
            authority.path.display(),
            authority.fingerprint
        )?;
    }
    if let Some(password) = &server.first_password {
        writeln!(out, "First start: log in as admin with the one-time password {password}")?;
    }
    out.flush()
}
