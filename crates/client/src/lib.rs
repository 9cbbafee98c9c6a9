//! A client of the server's API.
//!
//! `generated` has every operation and type, made from openapi/v1-client.json by `cargo xtask openapi`. What stands
//! beside it is what a document cannot say: who asks ([`Api`]), why something was refused ([`Problem`]), and lists that
//! come page by page ([`pages`]).

mod api;
// What was generated has no notes on everything, and its lines are as long as they are.
#[allow(missing_docs, unreachable_pub, unused_imports, rust_2018_idioms, clippy::all, clippy::unwrap_used)]
#[rustfmt::skip]
mod generated;
mod page;
mod problem;

pub use api::{Api, Login, Place, Proof, once};
pub use generated::{Client, ResponseValue, builder, types};
pub use page::{Page, pages};
pub use problem::{CallError, Problem, Refusal, UnusablePlace};
