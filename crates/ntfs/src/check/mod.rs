//! A consistency checker: everything that NTFS says twice is compared.
//!
//! It is written against the disk format alone and shares no code with the library that writes volumes. It repairs
//! nothing, and does not look into the contents of files. Checks live in one module per subject; each finding has a
//! code that is named where it is found.

mod clusters;
mod extend;
mod metadata;
mod names;
mod records;
mod report;
mod security;

pub use report::{CheckReport, Counts, Finding, Severity};

use crate::mft::{Extent, Mft};
use crate::upcase;
use disk::ByteSource;
use operation::{Progress, Unit};
use volume::Result;

/// Checks a whole volume.
///
/// # Errors
/// Only what makes checking impossible: no NTFS volume, an unreadable device, or a $MFT, $UpCase or $Bitmap that
/// cannot be found. All else is a finding.
pub fn check(source: &dyn ByteSource, progress: &dyn Progress) -> Result<CheckReport> {
    let mft = Mft::open(source)?;
    let upcase = upcase::load(&mft)?;
    let mut report = CheckReport::default();
    progress.step("Checking file records and directories", Some(mft.stream_bytes(Extent::All)), Unit::Bytes);
    let mut collector = records::Collector::new(&mft, &upcase, &mut report);
    mft.stream(Extent::All, progress, &mut collector)?;
    let collected = collector.finish();

    progress.step("Comparing what was found", None, Unit::Items);
    let records::Collected { claims, names, security_ids, reparse_points, object_ids, extend } = collected;
    names::check(names, &mut report);
    clusters::check(&mft, claims, &mut report)?;
    security::check(&mft, &security_ids, &mut report)?;
    extend::check(&mft, &extend, reparse_points, object_ids, &mut report)?;
    metadata::check(&mft, &upcase, &mut report)?;
    Ok(report)
}
