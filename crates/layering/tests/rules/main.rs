//! Every rule of the product that concerns files and volumes, each with a test of its name, through the public API on
//! real NTFS volumes. See `bench` for the words that the tests are written in.

#![allow(unreachable_pub, clippy::unwrap_used)] // one crate, many modules: all of it is test

mod bad_input;
mod base_version;
mod bench;
mod binding;
mod boot_configuration;
mod carried;
mod composition;
mod deletions;
mod exchange;
mod exchange_hostile;
mod exchange_killed;
mod growth;
mod hives;
mod identity;
mod importing;
mod integrity;
mod interruption;
mod known_blocks;
mod links;
mod manifest_corpus;
mod os_changes;
mod os_versions;
mod recipes;
mod registry;
mod registry_composing;
mod registry_files;
mod registry_queries;
mod registry_remarks;
mod registry_versions;
mod round_trip;
mod second_opinions;
mod short_names;
mod which_volume;
mod windows_disks;
