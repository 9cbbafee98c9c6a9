//! The API, asked over HTTP as its callers do, on both databases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod assignments;
mod audit;
mod bad_input;
mod database;
mod document;
mod fixture;
mod housekeeping;
mod icons;
mod identity;
mod images;
mod layers;
mod lists;
mod permissions;
mod places;
mod rig;
mod secret_key;
mod templates;
