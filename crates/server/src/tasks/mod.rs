//! Tasks: what takes longer than an answer, and survives whatever happens to the server meanwhile.
//!
//! ```text
//!   a change ── enqueue ──► tasks ◄── claim ── Runner ── steno ──► Step, Step, Step …
//!                             ▲                  │
//!                             └─ lease, events ──┘   (every write asks: is the lease still ours?)
//! ```
//!
//! A task carries out a **saga**: steps one after the other, each with something that undoes it, up to one **commit**
//! step; from there steps are only retried. Every beginning and end of a step is written down before the next thing
//! happens (`saga_events`), so a server that starts again goes on where another one was, or undoes. A step may therefore
//! run twice, and each is written so that this does no harm.
//!
//! A server holds a task by a lease. Each lease has a higher **generation** than the one before, and what somebody with
//! an older generation still writes is refused: two servers on one database never both take a task further. A server
//! that cannot renew its lease in time ends its own step.
//!
//! steno orders the steps and knows the rules of unwinding; the log, the lease and everything that people see are here.
//! Deliberately missing: what any particular saga does. Sagas are in `app`; this module knows their environment as `E`.

mod change;
mod event;
mod fence;
mod handle;
mod meter;
mod probe;
mod queue;
mod runner;
mod saga;
mod step;

pub(crate) use change::change_task;
pub use fence::Fence;
pub use handle::{LogLevel, TaskHandle};
pub use meter::ProgressView;
pub use probe::{Moment, Probe};
pub use queue::{NewTask, enqueue};
pub(crate) use runner::free_tasks;
pub use runner::{Conduct, Patience, Runner};
pub use saga::{Book, Saga};
pub use step::{At, Stage, Step, stopped};

/// What the steps of all sagas need, such as the application.
pub trait Env: Clone + std::fmt::Debug + Send + Sync + 'static {}

impl<E: Clone + std::fmt::Debug + Send + Sync + 'static> Env for E {}
