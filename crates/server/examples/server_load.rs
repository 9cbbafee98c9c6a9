//! What a server costs that many use: `server_load LAMINA` starts that program on an empty directory, fills its database
//! and asks it over HTTP. Prints one JSON object of figures, which `cargo xtask bench` puts beside the goals.
//!
//! Times are milliseconds, memory is the server's resident set in bytes.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use reqwest::Client;
use serde_json::{Value, json};
use server::db::{Db, Statement};
use server::domain::{LayerId, TaskId, VersionId, icon, name};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

/// Layers in the list.
const LAYERS: usize = 10_000;
/// Rows of the audit history.
const AUDIT: i64 = 100_000;
/// Clients that poll at the same time.
const CLIENTS: usize = 200;
/// Time between two questions of a client that shows a task.
const POLL: Duration = Duration::from_millis(500);
/// How long they poll.
const POLLING: Duration = Duration::from_secs(10);
/// Starts on an empty directory; the median counts.
const STARTS: usize = 5;
const PASSWORD: &str = "correct horse battery";

/// A server that runs.
struct Running {
    child: Child,
    base: String,
    first_password: Option<String>,
    ready: Duration,
}

impl Running {
    fn start(program: &Path, directory: &Path) -> Result<Running, Failure> {
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let said = lines.next().ok_or("the server did not start")??;
        let ready = begun.elapsed();
        let base = said.split_whitespace().last().ok_or("it does not say where it is")?.to_owned();
        let mut first_password = None;
        if directory.join("first").exists() {
            let said = lines.next().ok_or("no password")??;
            first_password = said.split_whitespace().last().map(str::to_owned);
        }
        Ok(Running { child, base, first_password, ready })
    }

    fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kib * 1024)
    }

    fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    _ = rustls::crypto::ring::default_provider().install_default();
    let program = std::env::args_os().nth(1).ok_or("server_load LAMINA")?;
    let program = Path::new(&program);
    let work = tempfile::tempdir()?;
    let mut starts = Vec::new();
    for number in 0..STARTS {
        let running = Running::start(program, &work.path().join(format!("start-{number}")))?;
        starts.push(running.ready.as_secs_f64() * 1000.0);
        running.stop()?;
    }

    let directory = work.path().join("server");
    std::fs::create_dir(&directory)?;
    std::fs::write(directory.join("first"), "")?;
    let running = Running::start(program, &directory)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = running.resident()?;
    let first = running.first_password.clone().ok_or("no password")?;
    let client = Client::builder().cookie_store(true).build()?;
    log_in(&client, &running.base, &first).await?;
    let change = json!({ "current": first, "new": PASSWORD });
    client.put(format!("{}/me/password", running.base)).json(&change).send().await?.error_for_status()?;
    running.stop()?;
    std::fs::remove_file(directory.join("first"))?;

    let task = fill(&directory).await?;
    let running = Running::start(program, &directory)?;
    log_in(&client, &running.base, PASSWORD).await?;
    let layers = pages(&client, &running.base, "/layers?limit=100", LAYERS).await?;
    let by_name = pages(&client, &running.base, "/layers?limit=100&kind=app&sort=name", LAYERS - 1).await?;
    let audit = pages(&client, &running.base, "/audit?limit=100", AUDIT as usize).await?;
    let (polls, failed) = poll(&running.base, &task).await?;
    let loaded = running.resident()?;
    running.stop()?;
    println!(
        "{}",
        json!({
            "ready_ms": percentile(&mut starts, 50),
            "idle_bytes": idle,
            "loaded_bytes": loaded,
            "layers_p95_ms": percentile(&mut layers.clone(), 95),
            "layers_by_name_p95_ms": percentile(&mut by_name.clone(), 95),
            "audit_p95_ms": percentile(&mut audit.clone(), 95),
            "polls": polls.len(),
            "polls_failed": failed,
            "polls_p95_ms": percentile(&mut polls.clone(), 95),
        })
    );
    Ok(())
}

async fn log_in(client: &Client, base: &str, password: &str) -> Result<(), Failure> {
    let credentials = json!({ "name": "admin", "password": password });
    client.post(format!("{base}/session")).json(&credentials).send().await?.error_for_status()?;
    Ok(())
}

/// Puts layers with a version each, audit history and a task into the database; gives the task's id.
async fn fill(directory: &Path) -> Result<String, Failure> {
    let db = Db::open(&format!("sqlite:{}", directory.join("lamina.db").display())).await?;
    let mut tx = db.begin_change().await?;
    let os = LayerId::new().to_string();
    for number in 0..LAYERS {
        let (id, kind) = if number == 0 { (os.clone(), "os") } else { (LayerId::new().to_string(), "app") };
        // Names that do not sort as they were made.
        let called = format!("Layer {:05}", number * 7919 % LAYERS);
        let layer = Statement::new(
            "INSERT INTO layers (id, kind, name, name_key, description, os_layer_id, icon_id, priority, platform, \
             hypervisor, store_name, store_key, created_at, revision) \
             VALUES ($1, $2, $3, $4, '', $5, $6, $7, NULL, $8, $3, $4, $7, 1)",
        )
        .bind(id.as_str())
        .bind(kind)
        .bind(called.as_str())
        .bind(name::key(&called))
        .bind((number > 0).then(|| os.clone()))
        .bind(icon::APP.to_string())
        .bind(number as i64)
        .bind((number == 0).then_some("kvm"));
        tx.execute(layer).await?;
        let version = Statement::new(
            "INSERT INTO versions (id, layer_id, sequence, name, name_key, description, state, store_version, \
             max_bytes, added_bytes, digest, provenance, created_at, revision) \
             VALUES ($1, $2, 1, '1', '1', '', 'deployable', '1', 1, 1, NULL, NULL, $3, 1)",
        )
        .bind(VersionId::new().to_string())
        .bind(id)
        .bind(number as i64);
        tx.execute(version).await?;
    }
    for number in 0..AUDIT {
        let row = Statement::new(
            "INSERT INTO audit (id, at, actor_id, actor_name, address, request_id, action, object_kind, object_id, \
             object_name, comment, detail) \
             VALUES ($1, $2, NULL, 'Ann', '127.0.0.1', NULL, 'update_layer', 'layer', $3, 'Layer', '', '{}')",
        )
        .bind(TaskId::new().to_string())
        // Not so old that the housekeeping of a start takes it away.
        .bind(1_795_000_000_000 + number)
        .bind(os.as_str());
        tx.execute(row).await?;
    }
    let objects = "INSERT INTO audit_objects (audit_id, object_kind, object_id) SELECT id, object_kind, object_id \
                   FROM audit WHERE NOT EXISTS (SELECT 1 FROM audit_objects o WHERE o.audit_id = audit.id)";
    tx.execute(Statement::new(objects)).await?;
    let task = TaskId::new().to_string();
    let row = Statement::new(
        "INSERT INTO tasks (id, kind, title, state, object_kind, object_id, object_name, description, links, \
         owner_name, address, saga, stop_asked, committed, generation, lease_until, created_at, ended_at, \
         changed_at) VALUES ($1, 'publish', 'Publishing Layered Image', 'action-required', 'template', 'x', 'Desk', \
         '', '[]', 'Ann', '-', '{}', FALSE, FALSE, 1, 0, 0, 0, 0)",
    );
    tx.execute(row.bind(task.as_str())).await?;
    tx.commit().await?;
    db.close().await;
    Ok(task)
}

/// Reads a list page by page to its end; the time of each page.
async fn pages(client: &Client, base: &str, path: &str, least: usize) -> Result<Vec<f64>, Failure> {
    let (mut times, mut seen, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        // Cursors are of letters that need no escaping.
        let at = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let request = client.get(format!("{base}{path}{at}"));
        let begun = Instant::now();
        let page: Value = request.send().await?.error_for_status()?.json().await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        seen += page["items"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None if seen < least => return Err(format!("{path} has {seen} of {least}").into()),
            None => return Ok(times),
        }
    }
}

/// Many clients that each look at a task again and again; the time of each answer, and how many were none.
async fn poll(base: &str, task: &str) -> Result<(Vec<f64>, usize), Failure> {
    let mut clients = Vec::new();
    // One session for all: what is measured is polling, and not the hashing of passwords.
    let client = Client::builder().cookie_store(true).pool_max_idle_per_host(CLIENTS).build()?;
    log_in(&client, base, PASSWORD).await?;
    for number in 0..CLIENTS {
        let (client, url) = (client.clone(), format!("{base}/tasks/{task}"));
        clients.push(tokio::spawn(async move {
            // Not all in the same moment.
            tokio::time::sleep(POLL * number as u32 / CLIENTS as u32).await;
            let (mut times, mut failed, end) = (Vec::new(), 0, Instant::now() + POLLING);
            while Instant::now() < end {
                let begun = Instant::now();
                let read = async { client.get(&url).send().await?.error_for_status()?.bytes().await };
                match read.await {
                    Ok(_) => times.push(begun.elapsed().as_secs_f64() * 1000.0),
                    Err(_) => failed += 1,
                }
                tokio::time::sleep(POLL).await;
            }
            (times, failed)
        }));
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (more, lost) = client.await?;
        times.extend(more);
        failed += lost;
    }
    Ok((times, failed))
}

fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get((figures.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(f64::NAN)
}
