//! Writing the disk of a source as an image: one pass in disk order, bounded memory, nothing but data.
//!
//! The disk is cut into windows that hold data. Several threads read them, drop 4 KiB blocks of zeros and
//! compress where the format wants it; in disk order the [`Layout`] of the format then decides where everything goes, so
//! that the result does not depend on which thread was faster; and several threads write.
//!
//! Deliberately missing: resuming. An export that did not finish leaves nothing behind.

mod identity;
mod layout;
mod pipeline;
mod planner;
mod sharing;
mod target;

pub(super) use identity::Identity;
pub(super) use layout::{Finish, Layout, Window, Write, full};

use super::{Error, Format, MAX_DISK, Result, qcow2, vhd, vhdx, vmdk};
use crate::{ByteSource, SECTOR};
use operation::Progress;
use std::path::Path;
use target::Target;

/// How to export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// What the identifiers inside the image (UUIDs, content ids) are derived from, such as the digest of the disk.
    /// Images of different disks need different ones.
    pub identity: [u8; 32],
    /// The time stamp inside the image where the format has one, in Unix seconds.
    pub created: u64,
    /// Whether an existing target is replaced.
    pub overwrite: bool,
    /// Whether data that lies in files of the target's file system is shared with them (reflinked) where the file
    /// system can. Shared data is not looked at, so blocks of zeros in it are kept.
    pub reflink: bool,
}

impl ExportOptions {
    /// Identifiers derived from `identity`, the time stamp 2000-01-01 UTC, nothing replaced, reflinks where possible.
    pub fn new(identity: [u8; 32]) -> ExportOptions {
        ExportOptions { identity, created: 946_684_800, overwrite: false, reflink: true }
    }
}

/// What an export did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportReport {
    /// The format.
    pub format: Format,
    /// Length of the disk in the image, bytes. Fixed VHDs are rounded up to whole MiB.
    pub disk_len: u64,
    /// Length of the file, bytes, holes included.
    pub file_len: u64,
    /// Bytes that were written to the file.
    pub bytes_written: u64,
    /// Bytes that were shared with other files instead of being written.
    pub bytes_reflinked: u64,
}

/// Writes the disk of `source` to `out`. The file appears under its name when it is complete and durable; until then,
/// and after an error, there is nothing.
///
/// The same source, options and kind of file system give the same bytes. Progress counts bytes of the disk.
///
/// # Errors
/// [`Error::Exists`], [`Error::NoRoom`], [`Error::Write`], [`Error::Source`], [`Error::Limit`], [`Error::Cancelled`].
pub fn export(
    source: &dyn ByteSource,
    format: Format,
    out: &Path,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<ExportReport> {
    let len = source.len();
    let limit = |reason: &str| Error::Limit { format, len, reason: reason.to_owned() };
    if len > MAX_DISK {
        return Err(limit("disks of more than 64 TiB are not supported"));
    }
    if len == 0 || !len.is_multiple_of(SECTOR) {
        return Err(limit("a disk is a whole number of 512-byte sectors, and at least one"));
    }
    let identity = Identity { seed: options.identity, created: options.created };
    let job = pipeline::Job { source, format, out, options, progress };
    match format {
        Format::Raw => job.run(layout::RawLayout::new(len)),
        Format::Vhd => job.run(vhd::FixedLayout::new(len, &identity)?),
        Format::VhdDynamic => job.run(vhd::DynamicLayout::new(len, &identity)?),
        Format::Vhdx => job.run(vhdx::DynamicLayout::new(len, &identity)?),
        Format::Qcow2 => job.run(qcow2::ClusterLayout::new(len)?),
        Format::Vmdk => job.run(vmdk::StreamLayout::new(len, &identity)),
    }
}
