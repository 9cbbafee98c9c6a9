//! $Bitmap: which clusters are in use.

use crate::attribute::code;
use crate::boot::Boot;
use crate::content::Extents;
use crate::mft::{Mft, corrupt, system};
use disk::{ByteSource, SECTOR};
use std::ops::Range;
use volume::{Error, Result, VolumeFacts};

/// Bytes of the bitmap held at once.
const PIECE: u64 = 64 << 10;

/// Where $Bitmap is. It must cover every cluster.
pub(crate) fn extents(mft: &Mft<'_>) -> Result<Extents> {
    let owned = mft.inode(system::BITMAP)?;
    let attributes = owned.attributes()?;
    let place = owned
        .inode(&attributes)
        .placement(mft, code::DATA, &[])?
        .filter(|place| place.valid >= mft.boot.clusters.div_ceil(8))
        .ok_or_else(|| corrupt(system::BITMAP, "$Bitmap does not cover the volume"))?;
    Ok(Extents::new(place.runs))
}

/// Ranges of clusters in use, in order, found while reading.
pub(crate) struct UsedClusters<'s> {
    source: &'s dyn ByteSource,
    extents: Extents,
    clusters: u64,
    next: u64,
    piece: Vec<u8>,
    /// Cluster that the first bit of `piece` stands for.
    first: u64,
    failed: bool,
}

impl<'s> UsedClusters<'s> {
    pub(crate) fn new(source: &'s dyn ByteSource, boot: &Boot, extents: Extents) -> UsedClusters<'s> {
        UsedClusters {
            source,
            extents,
            clusters: boot.clusters,
            next: 0,
            piece: Vec::new(),
            first: 0,
            failed: false,
        }
    }

    /// The first cluster at or after `from` that is in use, or that is not; the number of clusters when there is none.
    fn find(&mut self, from: u64, used: bool) -> Result<u64> {
        let skip = if used { 0x00 } else { 0xff };
        let mut at = from;
        while at < self.clusters {
            let held = self.first..self.first + self.piece.len() as u64 * 8;
            if !held.contains(&at) {
                let start = at / 8;
                self.piece.resize(PIECE.min(self.clusters.div_ceil(8) - start) as usize, 0);
                self.extents.read_at(self.source, start, &mut self.piece)?;
                self.first = start * 8;
                continue;
            }
            let byte = self.piece[((at - self.first) / 8) as usize];
            if byte == skip {
                at = (at / 8 + 1) * 8;
            } else if (byte >> (at % 8) & 1 != 0) == used {
                return Ok(at);
            } else {
                at += 1;
            }
        }
        Ok(self.clusters)
    }

    fn advance(&mut self) -> Result<Option<Range<u64>>> {
        let start = self.find(self.next, true)?;
        if start >= self.clusters {
            return Ok(None);
        }
        let end = self.find(start, false)?;
        self.next = end;
        Ok(Some(start..end))
    }
}

impl Iterator for UsedClusters<'_> {
    type Item = Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = self.advance();
        self.failed = found.is_err();
        found.transpose()
    }
}

/// The byte ranges of the volume that hold something, in order and apart from each other: the clusters that $Bitmap
/// calls used, the boot sector, and what follows the last whole cluster (the backup boot sector). Everything else is
/// free; the memory needed does not depend on how many ranges there are.
pub fn allocated(source: &dyn ByteSource) -> Result<impl Iterator<Item = Result<Range<u64>>> + '_> {
    let mft = Mft::open(source)?;
    let boot = mft.boot;
    let used = UsedClusters::new(source, &boot, extents(&mft)?);
    let tail = boot.cluster_bytes()..source.len().min(boot.len() + SECTOR);
    let parts = std::iter::once(Ok(0..SECTOR))
        .chain(used.map(move |range| range.map(|r| r.start * boot.cluster..r.end * boot.cluster)))
        .chain((!tail.is_empty()).then_some(Ok(tail)));
    Ok(Merged { parts: parts.fuse(), pending: None })
}

/// Joins ranges that touch or overlap.
struct Merged<I> {
    parts: I,
    pending: Option<Range<u64>>,
}

impl<I: Iterator<Item = Result<Range<u64>>>> Iterator for Merged<I> {
    type Item = Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match (self.parts.next(), self.pending.take()) {
                (Some(Err(error)), _) => return Some(Err(error)),
                (Some(Ok(now)), Some(before)) if now.start <= before.end => {
                    self.pending = Some(before.start..before.end.max(now.end));
                }
                (Some(Ok(now)), before) => {
                    self.pending = Some(now);
                    if let Some(before) = before {
                        return Some(Ok(before));
                    }
                }
                (None, before) => return before.map(Ok),
            }
        }
    }
}

/// What layering wants to know about a volume.
pub fn facts(source: &dyn ByteSource) -> Result<VolumeFacts> {
    let mft = Mft::open(source)?;
    let boot = mft.boot;
    let mut used = 0;
    for range in UsedClusters::new(source, &boot, extents(&mft)?) {
        let range = range?;
        used += range.end - range.start;
    }
    Ok(VolumeFacts {
        file_system: "ntfs",
        cluster: boot.cluster,
        len: boot.len(),
        free: (boot.clusters - used) * boot.cluster,
        serial: boot.serial,
        label: label(&mft)?,
    })
}

fn label(mft: &Mft<'_>) -> Result<String> {
    let owned = mft.inode(system::VOLUME)?;
    let attributes = owned.attributes()?;
    let label = owned.inode(&attributes).value(mft, code::VOLUME_NAME, &[], 256)?.unwrap_or_default();
    Ok(String::from_utf16_lossy(&crate::bytes::units(&label).collect::<Vec<_>>()))
}

/// The version of NTFS and the flags of the volume, from $VOLUME_INFORMATION: major, minor, flags.
pub(crate) fn information(mft: &Mft<'_>) -> Result<(u8, u8, u16)> {
    let owned = mft.inode(system::VOLUME)?;
    let attributes = owned.attributes()?;
    let value = owned.inode(&attributes).value(mft, code::VOLUME_INFORMATION, &[], 64)?.unwrap_or_default();
    match value[..] {
        [_, _, _, _, _, _, _, _, major, minor, low, high, ..] => {
            Ok((major, minor, u16::from_le_bytes([low, high])))
        }
        _ => Err(Error::Corrupt {
            what: "$VOLUME_INFORMATION is missing or too short".into(),
            place: format!("file record {}", system::VOLUME),
        }),
    }
}
