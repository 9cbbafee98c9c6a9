//! Questions to the engine whose answer somebody waits for. Anybody who may look can ask, so only a few are answered at
//! once, and none longer than somebody waits.

use super::engine::{Engine, blocking};
use operation::{Failure, Progress, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use worker::{Job, Outcome};

/// How many are answered at once.
const AT_ONCE: usize = 3;
/// How long one may wait and be answered; less than any answer of the API may take.
const PATIENCE: Duration = Duration::from_secs(50);
/// The code of a question that was not answered in this time.
pub(super) const BUSY: &str = "engine-busy";

/// Who waits for the engine.
#[derive(Debug, Clone)]
pub(super) struct Questions {
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Questions {
    /// Nobody waits.
    pub(super) fn new() -> Questions {
        Questions { turns: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }

    /// Asks when it is one's turn. When the caller goes away, or has waited long enough, the engine is told to stop; the
    /// next has its turn when it has.
    pub(super) async fn ask(&self, engine: &Arc<dyn Engine>, job: Job) -> Result<Outcome, Failure> {
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let (engine, asked) = (Arc::clone(engine), Asked(Arc::clone(&wanted.0)));
        let answer = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            blocking(move || {
                let _turn = turn;
                engine.run(&job, &asked, &|_| {})
            })
            .await
        };
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| {
            Err(Failure {
                code: BUSY.to_owned(),
                message: format!(
                    "The engine did not answer within {} seconds; it answers {AT_ONCE} questions at once.",
                    self.patience.as_secs()
                ),
                hint: Some("Try again in a while.".to_owned()),
            })
        })
    }
}

/// Whoever waits. Dropped, the answer is of no use any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What the engine looks at to see whether anybody still waits.
struct Asked(Arc<AtomicBool>);

impl Progress for Asked {
    fn step(&self, _name: &str, _total: Option<u64>, _unit: Unit) {}
    fn advance(&self, _amount: u64) {}

    fn cancelled(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Works until nobody wants that any more.
    #[derive(Debug, Default)]
    struct Endless {
        working: AtomicUsize,
        most: AtomicUsize,
        ended: AtomicUsize,
    }

    impl Engine for Endless {
        fn run(&self, _: &Job, progress: &dyn Progress, _: &dyn Fn(&str)) -> Result<Outcome, Failure> {
            let working = self.working.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(working, Ordering::SeqCst);
            while !progress.cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.working.fetch_sub(1, Ordering::SeqCst);
            self.ended.fetch_add(1, Ordering::SeqCst);
            Err(Failure { code: "cancelled".to_owned(), message: "cancelled".to_owned(), hint: None })
        }
    }

    async fn until(what: impl Fn() -> bool) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("it comes to that");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_few_are_answered_at_once_and_none_that_nobody_waits_for() {
        let endless = Arc::new(Endless::default());
        let engine: Arc<dyn Engine> = endless.clone();
        let questions = Questions::new();
        let callers: Vec<_> = (0..AT_ONCE * 3)
            .map(|_| {
                let (questions, engine) = (questions.clone(), Arc::clone(&engine));
                tokio::spawn(async move { questions.ask(&engine, Job::List).await })
            })
            .collect();
        until(|| endless.working.load(Ordering::SeqCst) == AT_ONCE).await;
        for caller in callers {
            caller.abort();
        }
        until(|| endless.working.load(Ordering::SeqCst) == 0).await;
        until(|| questions.turns.available_permits() == AT_ONCE).await;
        assert_eq!(endless.most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_has_waited_long_enough_is_told_so_and_the_engine_stops() {
        let endless = Arc::new(Endless::default());
        let engine: Arc<dyn Engine> = endless.clone();
        let questions = Questions { patience: Duration::from_millis(50), ..Questions::new() };
        let failure = questions.ask(&engine, Job::List).await.unwrap_err();
        assert_eq!(failure.code, BUSY);
        until(|| endless.ended.load(Ordering::SeqCst) == 1).await;
        until(|| questions.turns.available_permits() == AT_ONCE).await;
    }
}
