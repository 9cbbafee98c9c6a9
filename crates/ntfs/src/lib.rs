//! NTFS volumes: scan and check in Rust, change through libntfs-3g on our own block devices.
//!
//! The reading side ([`scan`], [`content`], [`gate`], [`check`]) is safe Rust over any [`disk::ByteSource`] whose first
//! byte is the first of the boot sector. It shares nothing with the library that writes, so that it can judge it.

pub mod attribute;
mod bitmap;
pub mod boot;
mod bytes;
pub mod check;
pub mod content;
pub mod edit;
pub mod gate;
mod index;
mod inode;
pub mod lznt1;
mod mft;
pub mod record;
pub mod runs;
pub mod scan;
mod secure;
mod upcase;

pub use bitmap::{allocated, facts};
