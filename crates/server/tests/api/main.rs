//! The API, asked over HTTP as its callers do, on both databases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod bad_input;
mod database;
mod document;
mod housekeeping;
mod identity;
mod lists;
mod permissions;
mod rig;
