//! The API, asked over HTTP as its callers do, on both databases.

mod audit;
mod bad_input;
mod database;
mod document;
mod identity;
mod lists;
mod permissions;
mod rig;
