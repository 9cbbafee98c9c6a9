//! Content-addressed storage: packs laid out for splicing, objects, references, garbage collection, check.
//!
//! A store keeps three things. *Blobs* are bytes, found by digest; they lie uncompressed in *packs*, each on a 4 KiB
//! boundary, so that a disk can point at them or a file system can reflink them. *Objects* are small compressed
//! records that say which other objects and which blobs they need. *References* are names for objects; what no
//! reference reaches is garbage.
//!
//! Several processes use one store at the same time. Whoever reads positions in packs or writes anything does so in
//! a [`Session`], which tells [`Store::gc`] what to leave alone; `docs/store-format.md` has the lock rule and every
//! file's layout.
//!
//! Deliberately missing: what objects mean, disks, volumes, names' rules (case, length of a layer's name) and
//! anything but a local directory.

mod catalog;
mod check;
mod copy;
mod digest;
mod directory;
mod durable;
pub mod encoding;
mod error;
mod format;
mod gc;
mod id;
mod index;
mod lock;
mod object;
mod pack_reader;
mod pack_writer;
mod refs;
mod session;
mod spool;
mod store;

pub use catalog::Location;
pub use check::{CheckReport, Problem};
pub use copy::{CopyReport, Copying};
pub use digest::{BlobHasher, block_digest, zero_block_digest};
pub use error::{Error, Result};
pub use gc::GcReport;
pub use id::{BlobId, MalformedId, ObjectId, PackId};
pub use object::Object;
pub use pack_reader::PackReader;
pub use pack_writer::{Appended, PackWriter};
pub use refs::{Expect, RefName};
pub use session::Session;
pub use store::{Maintenance, RefsLock, Store};

/// The block that digests and positions in packs are counted in, bytes.
pub const BLOCK: u64 = 4096;

/// BLAKE3 of one block.
pub type BlockDigest = [u8; 32];
