//! The API, asked over HTTP as its callers do, on both databases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod assignments;
mod audit;
mod backup;
mod bad_input;
mod connections;
mod credentials;
mod database;
mod doctor;
mod document;
mod fixture;
mod guessing;
mod housekeeping;
mod icons;
mod identity;
mod images;
mod layer_folders;
mod layers;
mod lists;
mod permissions;
mod places;
mod rig;
mod secret_key;
mod starting;
mod templates;
mod tls;
mod webhook;
mod workshop;
