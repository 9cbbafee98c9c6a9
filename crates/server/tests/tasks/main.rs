//! Tasks as such: queue, leases, stopping, undoing, going on after a crash. On both databases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod going_on;
mod undoing;
