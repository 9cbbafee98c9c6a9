//! The lease of a task, as its holder sees it.

use crate::db::{Db, DbError, Statement, Tx};
use crate::domain::TaskId;
use operation::Failure;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two tries to reach a database that is away.
const AGAIN: Duration = Duration::from_millis(500);

/// One lease of one task. What is written through it is refused once somebody else has the task.
#[derive(Debug, Clone)]
pub struct Fence {
    db: Db,
    task: TaskId,
    generation: i64,
    /// Cancelled when the lease is lost, or the server stops: whoever works on the task leaves it alone at once.
    abandoned: CancellationToken,
}

impl Fence {
    /// The lease with this generation.
    pub fn new(db: Db, task: TaskId, generation: i64, abandoned: CancellationToken) -> Fence {
        Fence { db, task, generation, abandoned }
    }

    /// Whether the holder has to leave the task alone.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.is_cancelled()
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.abandoned
    }

    /// Waits until the holder has to leave the task alone.
    pub async fn abandoned(&self) {
        self.abandoned.cancelled().await;
    }

    /// Leaves the task alone from now on.
    pub fn abandon(&self) {
        self.abandoned.cancel();
    }

    /// The lease's generation.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// Begins a transaction that only the holder can begin; until it ends nobody can take the task over. It changes what
    /// administrators see, so other changes wait for it.
    pub async fn change(&self) -> Result<Tx, Failure> {
        let tx = self.db.begin_change().await.map_err(failure)?;
        self.hold(tx).await
    }

    /// Begins a transaction for what machines write: events, progress.
    async fn begin(&self) -> Result<Tx, Failure> {
        let tx = self.db.begin().await.map_err(failure)?;
        self.hold(tx).await
    }

    async fn hold(&self, mut tx: Tx) -> Result<Tx, Failure> {
        // An update, not a look: it also keeps others from taking the task over before this transaction ends.
        let statement =
            Statement::new("UPDATE tasks SET generation = generation WHERE id = $1 AND generation = $2")
                .bind(self.task.to_string())
                .bind(self.generation);
        if tx.execute(statement).await.map_err(failure)? == 1 {
            return Ok(tx);
        }
        tracing::warn!(task = %self.task, generation = self.generation, "another server has taken the task over");
        self.abandon();
        Err(Failure {
            code: "task-taken-over".to_owned(),
            message: "Another server has taken this task over.".to_owned(),
            hint: None,
        })
    }

    /// Runs statements in one transaction that only the holder can begin, and tries again while the database is away.
    /// `None`: the task is no longer ours.
    pub async fn insist(&self, statements: &[Statement<'_>]) -> Option<()> {
        loop {
            match self.once(statements).await {
                Ok(()) => return Some(()),
                Err(failure) => {
                    if self.is_abandoned() {
                        return None;
                    }
                    tracing::warn!(task = %self.task, reason = failure.message, "the task could not be written down; trying again");
                }
            }
            tokio::select! {
                () = self.abandoned.cancelled() => return None,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn once(&self, statements: &[Statement<'_>]) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        for statement in statements {
            tx.execute(statement.clone()).await.map_err(failure)?;
        }
        tx.commit().await.map_err(failure)
    }
}

fn failure(error: DbError) -> Failure {
    Failure::new(&error)
}
