//! Bindings to libntfs-3g, generated from its headers. Nothing is wrapped here: the crate `ntfs-volume` does that.
//!
//! **Licence.** libntfs-3g is GPL-2.0-or-later; a program that links it is a work under the GPL. Lamina's own licence,
//! GPL-3.0-or-later, is compatible.
//!
//! **Threads.** The library has no locks. Everything but its log settings and its character encoding hangs off an
//! `ntfs_volume`, so different volumes may be used by different threads at once, one volume by one thread at a time.

#![allow(unsafe_code)] // a crate of foreign functions

/// The generated declarations.
#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    rust_2018_idioms,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;
