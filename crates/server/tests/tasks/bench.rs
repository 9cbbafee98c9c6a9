//! A saga that writes down what it does, and servers that carry it out.

use async_trait::async_trait;
use operation::Failure;
use serde_json::{Value, json};
use server::db::{Db, Statement};
use server::domain::TaskId;
use server::domain::time::{Clock, SystemClock};
use server::tasks::{At, Book, Conduct, NewTask, Patience, Runner, Saga, Stage, Step, enqueue};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What the steps share: a diary, and what is to go wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    diary: Mutex<Vec<String>>,
    faults: Mutex<BTreeMap<&'static str, u32>>,
    held: Mutex<Option<&'static str>>,
    reached: Notify,
    left: Mutex<Vec<String>>,
}

impl World {
    /// What was done, in order.
    pub(crate) fn diary(&self) -> Vec<String> {
        self.0.diary.lock().unwrap().clone()
    }

    /// What was handed to the clean-up.
    pub(crate) fn left(&self) -> Vec<String> {
        self.0.left.lock().unwrap().clone()
    }

    /// Lets `what` (a step, or `undo` and a step) fail so many times.
    pub(crate) fn fail(&self, what: &'static str, times: u32) {
        self.0.faults.lock().unwrap().insert(what, times);
    }

    /// Lets a step wait until its task is to stop or to be left alone.
    pub(crate) fn hold(&self, step: Option<&'static str>) {
        *self.0.held.lock().unwrap() = step;
    }

    /// Waits until the step that waits has begun.
    pub(crate) async fn reached(&self) {
        self.0.reached.notified().await;
    }

    fn note(&self, what: String) -> Result<(), Failure> {
        let mut faults = self.0.faults.lock().unwrap();
        let fault = faults.get_mut(what.as_str()).filter(|left| **left > 0);
        let fails = fault.is_some();
        if let Some(left) = fault {
            *left -= 1;
        }
        self.0.diary.lock().unwrap().push(if fails { format!("{what} fails") } else { what });
        if fails { Err(failure("made-to-fail")) } else { Ok(()) }
    }
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), message: "It was made to fail.".to_owned(), hint: None }
}

struct Noted {
    name: &'static str,
    stage: Stage,
}

#[async_trait]
impl Step<World> for Noted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.name
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    async fn run(&self, at: &At<'_, World>) -> Result<Value, Failure> {
        let held = *at.env.0.held.lock().unwrap();
        if held == Some(self.name) {
            at.env.0.reached.notify_one();
            at.task.cancel_token().cancelled().await;
            return Err(failure("cancelled"));
        }
        if self.name == "second" {
            assert_eq!(at.output::<Value>("first")?, json!("made by first"));
            assert_eq!(at.parameters::<Value>()?, json!({ "a": 1 }));
        }
        at.env.note(self.name.to_owned())?;
        Ok(json!(format!("made by {}", self.name)))
    }

    async fn undo(&self, at: &At<'_, World>) -> Result<(), Failure> {
        at.env.note(format!("undo {}", self.name))
    }

    async fn leave_over(&self, at: &At<'_, World>, _failure: &Failure) -> Result<bool, Failure> {
        at.env.0.left.lock().unwrap().push(self.name.to_owned());
        Ok(true)
    }
}

fn book() -> Book<World> {
    let step = |name, stage| Arc::new(Noted { name, stage }) as Arc<dyn Step<World>>;
    Book::new([Saga {
        name: "noted",
        steps: vec![
            step("first", Stage::Undoable),
            step("second", Stage::Undoable),
            step("commit", Stage::Commit),
            step("last", Stage::Final),
        ],
    }])
}

/// A database with tasks, and servers on it.
pub(crate) struct Bench {
    pub(crate) db: Db,
    pub(crate) world: World,
    _directory: tempfile::TempDir,
}

/// Makes one test for each database of an `async fn(Bench)`.
macro_rules! on_both_databases {
    ($($name:ident;)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(crate::bench::Bench::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(bench) = crate::bench::Bench::postgres(module_path!()).await else { return };
                super::$name(bench).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

impl Bench {
    pub(crate) async fn sqlite() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", directory.path().join("lamina.db").display())).await.unwrap();
        Bench { db, world: World::default(), _directory: directory }
    }

    pub(crate) async fn postgres(name: &str) -> Option<Bench> {
        use sqlx::{Connection, Executor};
        let Ok(url) = std::env::var("LAMINA_POSTGRES") else {
            let name = name.trim_start_matches("tasks::");
            eprintln!("SKIPPED {name}::postgres: LAMINA_POSTGRES names no server");
            return None;
        };
        let database = format!("t{}", TaskId::new().to_string().replace('-', ""));
        let mut connection = sqlx::PgConnection::connect(&url.replace("{}", "postgres")).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
        let db = Db::open(&url.replace("{}", &database)).await.unwrap();
        Some(Bench { db, world: World::default(), _directory: tempfile::tempdir().unwrap() })
    }

    /// Makes a task.
    pub(crate) async fn task(&self) -> TaskId {
        let (book, id) = (book(), TaskId::new());
        let task = NewTask {
            id,
            title: "Noted".to_owned(),
            description: String::new(),
            object_kind: "thing",
            object_id: "1".to_owned(),
            object_name: "Thing".to_owned(),
            owner: None,
            owner_name: "nobody".to_owned(),
            address: "-".to_owned(),
            parameters: json!({ "a": 1 }),
        };
        let mut tx = self.db.begin_change().await.unwrap();
        for statement in enqueue(book.saga("noted").unwrap(), task, SystemClock.now()).unwrap() {
            tx.execute(statement).await.unwrap();
        }
        tx.commit().await.unwrap();
        id
    }

    /// Starts a server; it stops with the token.
    pub(crate) fn server(&self) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let patience = Patience { tries: 3, pause: Duration::from_millis(5) };
        let conduct = Conduct { at_once: 2, patience, probe: None };
        let stop = CancellationToken::new();
        let (clock, wake): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Notify::new()));
        let runner = Runner::new(self.world.clone(), Arc::new(book()), self.db.clone(), clock, wake, conduct);
        let running = tokio::spawn(Arc::new(runner).run(stop.clone()));
        (stop, running)
    }

    /// What a column of the task holds.
    pub(crate) async fn of(&self, task: TaskId, column: &str) -> String {
        let sql = format!("SELECT CAST({column} AS TEXT) AS it FROM tasks WHERE id = $1");
        let row = self.db.optional(Statement::assembled(sql).bind(task.to_string())).await.unwrap().unwrap();
        row.optional_text("it").unwrap().unwrap_or_default()
    }

    /// Waits until the task has ended and gives its state.
    pub(crate) async fn ended(&self, task: TaskId) -> String {
        let patience = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.of(task, "ended_at").await.is_empty() {
            assert!(
                tokio::time::Instant::now() < patience,
                "the task does not end: {:?}",
                self.world.diary()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.of(task, "state").await
    }

    /// The states of the steps.
    pub(crate) async fn steps(&self, task: TaskId) -> Vec<String> {
        let sql = "SELECT state FROM subtasks WHERE task_id = $1 ORDER BY position";
        let rows = self.db.all(Statement::new(sql).bind(task.to_string())).await.unwrap();
        rows.iter().map(|row| row.text("state").unwrap()).collect()
    }

    /// Asks the task to stop.
    pub(crate) async fn stop(&self, task: TaskId) {
        let sql = "UPDATE tasks SET stop_asked = TRUE WHERE id = $1";
        self.db.execute(Statement::new(sql).bind(task.to_string())).await.unwrap();
    }
}
