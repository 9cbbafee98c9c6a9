//! Layer versions exchanged as OCI image layouts: directories that other programs can copy, check and push.
//!
//! `docs/layer-exchange.md` describes every file. In short: each version is an OCI manifest whose configuration is the
//! version's record and whose layers are the version's body (a disk or a manifest of changes) and *packs*: contents
//! of blobs of the store, compressed, of bounded size. Versions share packs.
//!
//! [`export()`] writes into a layout, [`import()`] reads from one, [`listing`] tells what one holds. What is read is hostile:
//! sizes are bounded before anything is read, nothing is believed that has not the digest it was announced with, and
//! symbolic links are not followed ([`layout`]).
//!
//! Deliberately missing: registries and signatures; other programs copy layouts to and from registries.

mod adopt;
mod content;
pub(crate) mod error;
mod export;
mod import;
mod inventory;
mod layout;
mod listing;
pub(crate) mod oci;
pub(crate) mod pack;
mod plan;
mod receive;

pub(crate) use export::export;
pub(crate) use import::import;
pub(crate) use listing::list;

/// Type of the OCI manifest of a layer version; behind the `v` is the number of the format.
const VERSION_TYPE: &str = "application/vnd.lamina.layer-version.v1";
/// Type of a version's record.
const RECORD_TYPE: &str = "application/vnd.lamina.version.v1+json";
/// Type of the body of an OS version: an object of kind `disk`, as the store keeps it in a file.
const DISK_TYPE: &str = "application/vnd.lamina.disk.v1";
/// Type of the body of an app or platform version: an object of kind `manifest`, as the store keeps it in a file.
const CHANGES_TYPE: &str = "application/vnd.lamina.changes.v1";
/// Type of a pack.
const PACK_TYPE: &str = "application/vnd.lamina.pack.v1";

/// The longest OCI manifest, bytes: registries take no longer ones.
const LONGEST_MANIFEST: u64 = 4 << 20;
/// The longest record of a version, bytes.
const LONGEST_RECORD: u64 = 4 << 20;
/// The longest body, bytes, before it is compressed: some 200 GiB of an OS disk.
const LONGEST_BODY: u64 = 256 << 20;
