//! What every connector has to do, as tests. [`conformance_tests!`](crate::conformance_tests) makes one test of each
//! promise; a [`Fixture`] gives the connector and plays the other programs on its platform.

mod delivering;
mod fetching;
mod folders;
mod looking;

pub use delivering::*;
pub use fetching::*;
pub use folders::*;
pub use looking::*;

use crate::connector::{Connector, Shipment};
use crate::description::Purpose;
use crate::key::OperationKey;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use disk::format::Format;
use operation::{Progress, Unit};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

/// A platform under test, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The connector, with credentials that are right.
    fn connector(&self) -> Arc<dyn Connector>;
    /// The same with a wrong password; `None` where there are none.
    fn with_wrong_password(&self) -> Option<Arc<dyn Connector>>;
    /// Takes the share or folder away that the connector was configured for.
    async fn vanish(&self);
    /// Another program puts a file there, or replaces one; it is complete and nobody has touched it for long.
    async fn put(&self, name: &str, bytes: &[u8]);
    /// What another program reads; `None` when there is no such file.
    async fn read(&self, name: &str) -> Option<Vec<u8>>;
    /// All files and folders, hidden ones too.
    async fn names(&self) -> BTreeSet<String>;
    /// Another program or machine opens a file to write it, until what is given is dropped.
    async fn hold(&self, name: &str) -> Box<dyn Send>;
}

/// Makes a test of every promise of the suite: `conformance_tests!(make)`, where `make` is an asynchronous function
/// that gives `Option<impl Fixture>`; with `None`, which it explains itself, the test counts as skipped.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { $make:
            capabilities_tell_the_truth
            good_credentials_pass_and_trying_leaves_nothing_behind
            a_wrong_password_has_its_own_code
            a_place_that_vanished_has_its_own_code
            listing_goes_page_by_page_and_shows_no_hidden_names
            machines_are_managed_or_said_not_to_be
            what_was_delivered_has_the_same_bytes
            delivering_twice_is_delivering_once
            undoing_leaves_nothing_and_can_be_repeated
            concluding_leaves_only_the_disk
            a_file_of_somebody_else_is_never_overwritten
            a_disk_that_somebody_replaced_survives_undoing
            a_folder_that_does_not_exist_is_said_before_anything_is_written
            a_delivery_cancelled_in_the_middle_shows_no_disk_and_goes_on_later
            a_changed_source_begins_anew
            hostile_names_do_not_become_shipments
            what_was_fetched_has_the_same_bytes
            fetching_twice_is_fetching_once_and_releasing_removes_it
            a_fetch_cancelled_in_the_middle_goes_on_later
            a_disk_that_is_not_there_has_its_own_code
            a_disk_in_use_is_neither_fetched_nor_deleted
            only_the_disk_that_was_seen_is_deleted
            a_folder_comes_back_as_it_went_out
            files_of_a_folder_that_are_there_already_are_kept_and_others_replaced
            a_file_of_a_folder_appears_only_when_it_is_complete
            removing_files_takes_only_them_and_folders_that_are_empty_then
            a_folder_needs_the_one_that_it_is_in
        }
    };
    ($make:path: $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                if let Some(fixture) = $make(stringify!($promise)).await {
                    $crate::conformance::$promise(&fixture).await;
                }
            }
        )*
    };
}

fn key(text: &str) -> OperationKey {
    text.parse().expect("keys of this suite are keys")
}

fn name(text: &str) -> DiskName {
    text.parse().expect("names of this suite are names")
}

fn shipment(text: &str) -> Shipment {
    Shipment { purpose: Purpose::Package, name: name(text), format: Format::Raw }
}

/// A disk with holes, zeros and data in odd places, 3 MiB and a bit long.
fn small_disk() -> Vec<u8> {
    let mut bytes = vec![0; (3 << 20) + 12_345];
    noise(&mut bytes[..4096], 1);
    noise(&mut bytes[1_000_001..1_300_000], 2);
    let end = bytes.len();
    noise(&mut bytes[end - 7..], 3);
    bytes
}

/// A disk that takes more than one stretch between the points from which a copy goes on.
fn large_disk() -> Vec<u8> {
    let mut bytes = vec![0; (80 << 20) + 512];
    noise(&mut bytes, 4);
    bytes
}

/// Bytes that do not repeat and are not zero, by xorshift.
fn noise(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for piece in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&(state | 0x0101_0101_0101_0101).to_le_bytes()[..piece.len()]);
    }
}

/// The bytes as a local file.
fn local(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(bytes).expect("a temporary file can be written");
    file
}

/// Counts bytes, and asks to stop once a number of them is done.
struct Meter {
    done: AtomicU64,
    first: AtomicU64,
    cancel_at: u64,
}

impl Meter {
    fn watch(cancel_at: u64) -> (Arc<Meter>, Watch) {
        let meter = Arc::new(Meter { done: AtomicU64::new(0), first: AtomicU64::new(u64::MAX), cancel_at });
        (Arc::clone(&meter), Watch::new(meter, CancellationToken::new()))
    }

    /// Bytes that were done so far.
    fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Bytes that were reported first: those that an earlier run had copied.
    fn first(&self) -> u64 {
        self.first.load(Ordering::SeqCst)
    }
}

impl Progress for Meter {
    fn step(&self, _name: &str, _total: Option<u64>, _unit: Unit) {}

    fn advance(&self, amount: u64) {
        let _ = self.first.compare_exchange(u64::MAX, amount, Ordering::SeqCst, Ordering::SeqCst);
        self.done.fetch_add(amount, Ordering::SeqCst);
    }

    fn cancelled(&self) -> bool {
        self.done() >= self.cancel_at
    }
}

/// The code of an error, which has to have a message; whoever calls knows which code it has to be.
fn code<T>(outcome: crate::Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "no error",
        Err(error) => {
            let explained: &dyn operation::Explain = &error;
            assert!(!explained.to_string().is_empty());
            explained.code()
        }
    }
}
