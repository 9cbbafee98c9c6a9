//! File shares: a directory of this machine, or an SMB share that is spoken to directly, without a mount.
//!
//! Packaging disks are put there and picked up from there when they come back changed, operating-system disks are
//! imported from there, and images published to there. What is on the share is described in `note.rs`.
//!
//! Deliberately missing: machines. Who starts a machine from a disk on a share is not known.

mod connector;
mod directory;
mod fetch;
mod folder;
mod kind;
mod listing;
mod local_file;
mod note;
mod share;
mod smb;
mod transfer;
mod trials;
mod usage;

#[cfg(feature = "testing")]
pub(crate) use connector::ShareConnector;
#[cfg(feature = "testing")]
pub(crate) use directory::DirectoryAccess;
pub use kind::Fileshare;

use crate::description::{Capabilities, Limits, Purpose};
use disk::format::{Format, MAX_DISK};

/// What every share can do.
pub(crate) fn capabilities() -> Capabilities {
    let purposes = [Purpose::Import, Purpose::Package, Purpose::Publish];
    let formats =
        vec![Format::Vhdx, Format::Vhd, Format::VhdDynamic, Format::Qcow2, Format::Vmdk, Format::Raw];
    Capabilities {
        formats: purposes.into_iter().map(|purpose| (purpose, formats.clone())).collect(),
        limits: Limits { disk_bytes: MAX_DISK },
        reports_changed_blocks: false,
        manages_machines: false,
        keeps_folders: true,
        browses: vec!["disks"],
    }
}
