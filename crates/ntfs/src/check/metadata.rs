//! The volume's own files: mirror, backup, and tables whose contents are known beforehand.

use super::report::{CheckReport, record_place};
use crate::attribute::code;
use crate::boot::backup_matches;
use crate::bytes::u32_at;
use crate::content::Extents;
use crate::inode::Placement;
use crate::mft::{Mft, system};
use volume::Result;

/// Records that $MFTMirr holds at least.
const MIRRORED: usize = 4;
/// Bytes of an entry of $AttrDef.
const DEFINITION: u64 = 0xa0;
/// Largest $AttrDef that is looked at, bytes; Windows writes 2560.
const MAX_DEFINITIONS: u64 = 64 << 10;
/// `$Bad` in UTF-16LE.
const BAD: &[u8] = b"$\0B\0a\0d\0";

/// Codes: `mft-mirror`, `boot-backup` (a warning), `boot-file`, `attribute-definitions`, `bad-clusters`, `upcase`.
pub(super) fn check(mft: &Mft<'_>, upcase: &[u16], report: &mut CheckReport) -> Result<()> {
    let checked = mirror(mft, report);
    report.note("mft-mirror", checked)?;
    match backup_matches(mft.source, &mft.boot)? {
        Some(true) => {}
        Some(false) => report.warning("boot-backup", "backup boot sector", "it differs from the boot sector"),
        None => report.warning("boot-backup", "backup boot sector", "the partition ends before it"),
    }
    let boot = placement(mft, system::BOOT, &[]);
    if let Some(boot) = report.note("boot-file", boot)?
        && boot.and_then(|place| place.runs.first().and_then(|run| run.at)) != Some(0)
    {
        report.error("boot-file", record_place(system::BOOT), "$Boot does not begin in cluster 0");
    }
    let checked = definitions(mft, report);
    report.note("attribute-definitions", checked)?;
    let bad = placement(mft, system::BAD_CLUSTERS, BAD);
    if let Some(bad) = report.note("bad-clusters", bad)? {
        let covered = bad.map(|place| place.runs.iter().map(|run| run.len).sum::<u64>());
        if covered.is_some_and(|covered| covered < mft.boot.cluster_bytes()) || covered.is_none() {
            let message = "$BadClus:$Bad does not cover the volume";
            report.error("bad-clusters", record_place(system::BAD_CLUSTERS), message);
        }
    }
    let ascii = (0..0x80u16).all(|unit| {
        let upper = u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_uppercase()));
        upcase.get(usize::from(unit)) == Some(&upper)
    });
    if !ascii {
        report.error(
            "upcase",
            record_place(system::UPCASE),
            "$UpCase does not map ASCII letters to upper case",
        );
    }
    Ok(())
}

fn placement(mft: &Mft<'_>, record: u64, name: &[u8]) -> Result<Option<Placement>> {
    let owned = mft.inode(record)?;
    let attributes = owned.attributes()?;
    owned.inode(&attributes).placement(mft, code::DATA, name)
}

/// The first records of the $MFT, compared byte for byte.
fn mirror(mft: &Mft<'_>, report: &mut CheckReport) -> Result<()> {
    let Some(place) = placement(mft, system::MIRROR, &[])? else {
        report.error("mft-mirror", record_place(system::MIRROR), "$MFTMirr has no runs");
        return Ok(());
    };
    if place.runs.first().and_then(|run| run.at) != Some(mft.boot.mirror * mft.boot.cluster) {
        report.error(
            "mft-mirror",
            record_place(system::MIRROR),
            "$MFTMirr is not where the boot sector says",
        );
    }
    let extents = Extents::new(place.runs);
    let size = mft.boot.record;
    let (mut record, mut copy) = (vec![0; size], vec![0; size]);
    for number in 0..MIRRORED {
        let offset = (number * size) as u64;
        mft.read_raw(offset, &mut record)?;
        extents.read_at(mft.source, offset, &mut copy)?;
        if record != copy {
            report.error(
                "mft-mirror",
                record_place(number as u64),
                "the record and its copy in $MFTMirr differ",
            );
        }
    }
    Ok(())
}

/// $AttrDef: entries by ascending type, the first $STANDARD_INFORMATION, a zero type at the end.
fn definitions(mft: &Mft<'_>, report: &mut CheckReport) -> Result<()> {
    let owned = mft.inode(system::ATTRIBUTE_DEFINITIONS)?;
    let attributes = owned.attributes()?;
    let table = owned.inode(&attributes).value(mft, code::DATA, &[], MAX_DEFINITIONS)?.unwrap_or_default();
    let types: Vec<u32> = table
        .chunks_exact(DEFINITION as usize)
        .filter_map(|entry| u32_at(entry, 0x80))
        .take_while(|&code| code != 0)
        .collect();
    let ascending = types.windows(2).all(|pair| pair[0] < pair[1]);
    if types.first() != Some(&code::STANDARD_INFORMATION) || !ascending || !types.contains(&code::DATA) {
        let message = "$AttrDef does not list the attribute types in order";
        report.error("attribute-definitions", record_place(system::ATTRIBUTE_DEFINITIONS), message);
    }
    Ok(())
}
