//! Importing a disk as a version of an OS layer: its allocated contents, block by block.

use crate::os_volume::OsVolume;
use crate::record::{DiskExtent, DiskRecord};
use crate::report::Warning;
use crate::streams;
use crate::{Error, Result};
use disk::{BLOCK, BlockSet, ByteSource};
use ntfs_volume::check::{Finding, Severity};
use operation::{Progress, Unit};
use std::ops::Range;
use std::sync::Arc;
use store::PackWriter;
use volume::{Kind, Name, Tree};

/// Disks are cut into blobs at multiples of this, so that equal stretches of two disks become equal blobs.
const CHUNK: u64 = 64 << 10;

/// Bytes read from the disk in one go.
const READ: u64 = 1 << 20;

/// Files whose contents are never stored: what is in them belongs to a running machine.
const EMPTIED_FILES: [&str; 3] = ["pagefile.sys", "swapfile.sys", "hiberfil.sys"];
/// Where shadow copies keep their contents.
const SHADOW_COPIES: &str = "System Volume Information";

/// What was stored of a disk.
pub(crate) struct Imported {
    pub(crate) record: DiskRecord,
    /// Bytes newly stored.
    pub(crate) stored: u64,
    /// Bytes read.
    pub(crate) read: u64,
    /// Bytes that the disk has.
    pub(crate) allocated: u64,
}

/// The ranges of a disk that are worth storing: everything but the free clusters of the OS volume and the contents of
/// paging files, hibernation files and shadow copies. Ascending.
pub(crate) fn worth_storing(
    disk: &Arc<dyn ByteSource>,
    volume: &OsVolume,
    tree: &Tree,
) -> Result<Vec<Range<u64>>> {
    let start = volume.partition.start;
    let window = volume.window(disk)?;
    let dead = dead_contents(tree);
    let mut kept: Vec<Range<u64>> = Vec::new();
    let mut keep = |range: Range<u64>| {
        if range.is_empty() {
            return;
        }
        match kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => kept.push(range),
        }
    };
    keep(0..start);
    let failed = || Error::volume(volume.context("the disk"));
    for range in ntfs_volume::allocated(&window).map_err(failed())? {
        let range = range.map_err(failed())?;
        let mut at = range.start;
        for dead in dead.within(range.clone()) {
            if dead.start > at {
                keep(start + at..start + dead.start);
            }
            at = dead.end;
        }
        if at < range.end {
            keep(start + at..start + range.end);
        }
    }
    keep(volume.partition.end()..disk.len());
    Ok(kept)
}

/// Runs of files whose contents become zero.
fn dead_contents(tree: &Tree) -> BlockSet {
    let mut dead = BlockSet::new();
    let mut add = |id| {
        let node = tree.node(id).filter(|node| node.kind == Kind::File);
        for stream in node.into_iter().flat_map(|node| &node.streams) {
            dead.extend(streams::parts(stream).iter().map(|part| part.at..part.at + part.len));
        }
    };
    for name in EMPTIED_FILES {
        if let Some(child) = tree.child(tree.root(), &Name::from(name)) {
            add(child.id);
        }
    }
    // Shadow copies are files named {GUID}{GUID}; the catalogue beside them has the first GUID alone.
    let folder = tree.child(tree.root(), &Name::from(SHADOW_COPIES)).map(|child| child.id);
    for child in folder.map_or(&[][..], |id| tree.children(id)) {
        if child.name.to_string().starts_with('{') {
            add(child.id);
        }
    }
    dead
}

/// Stores the given ranges of a disk.
pub(crate) fn store_ranges(
    disk: &dyn ByteSource,
    ranges: &[Range<u64>],
    writer: &mut PackWriter,
    progress: &dyn Progress,
) -> Result<Imported> {
    let allocated = ranges.iter().map(|range| range.end - range.start).sum();
    progress.step("Storing the disk", Some(allocated), Unit::Bytes);
    let mut import = Import { writer, extents: Vec::new(), stored: 0 };
    let mut read = 0;
    let mut buf = vec![0; READ as usize];
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let failed = || Error::io("reading the disk");
            let data = disk.next_data(at).map_err(failed())?.filter(|data| data.start < range.end);
            let Some(data) = data else {
                progress.advance(range.end - at);
                break;
            };
            // Whole blocks, so that what is stored does not depend on where the image file has its holes.
            let start = data.start.max(at) / BLOCK * BLOCK;
            let start = start.max(range.start);
            let end = data.end.next_multiple_of(BLOCK).min(range.end).min((start / READ + 1) * READ);
            progress.advance(start.saturating_sub(at));
            let bytes = &mut buf[..(end - start) as usize];
            disk.read_exact_at(start, bytes).map_err(failed())?;
            read += bytes.len() as u64;
            import.store(start, bytes)?;
            progress.advance(end - start.max(at));
            at = end;
        }
    }
    let Import { extents, stored, .. } = import;
    Ok(Imported { record: DiskRecord { len: disk.len(), extents }, stored, read, allocated })
}

struct Import<'w> {
    writer: &'w mut PackWriter,
    extents: Vec<DiskExtent>,
    stored: u64,
}

impl Import<'_> {
    /// Stores bytes of the disk, cut at chunk boundaries, leaving blocks of zeros out.
    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let position = offset + at as u64;
            let to_boundary = CHUNK - position % CHUNK;
            let len = to_boundary.min((bytes.len() - at) as u64) as usize;
            self.chunk(position, &bytes[at..at + len])?;
            at += len;
        }
        Ok(())
    }

    fn chunk(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let block = BLOCK as usize;
        let zero: Vec<bool> = bytes.chunks(block).map(|block| block.iter().all(|&byte| byte == 0)).collect();
        let mut first = 0;
        while first < zero.len() {
            let same = zero[first..].iter().take_while(|&&is_zero| is_zero == zero[first]).count();
            let (from, to) = (first * block, ((first + same) * block).min(bytes.len()));
            if !zero[first] {
                let appended = self.writer.append_bytes(&bytes[from..to])?;
                let len = (to - from) as u64;
                self.stored += if appended.new { len } else { 0 };
                let extent =
                    DiskExtent { offset: offset + from as u64, len, blob: appended.id, blob_offset: 0 };
                self.extents.push(extent);
            }
            first += same;
        }
        Ok(())
    }
}

/// Stores the changed blocks of a returned disk and shares all others with the record of its base. Ranges outside
/// `worth` become zero.
pub(crate) fn store_changes(
    base: &DiskRecord,
    disk: &dyn ByteSource,
    changed: &BlockSet,
    worth: &[Range<u64>],
    writer: &mut PackWriter,
    progress: &dyn Progress,
) -> Result<Imported> {
    let mut fresh = Vec::new();
    let mut kept = Vec::new();
    for range in worth {
        let mut at = range.start;
        for change in changed.within(range.clone()) {
            if change.start > at {
                kept.push(at..change.start);
            }
            at = change.end;
            fresh.push(change);
        }
        if at < range.end {
            kept.push(at..range.end);
        }
    }
    let mut imported = store_ranges(disk, &fresh, writer, progress)?;
    let mut extents = imported.record.extents;
    let mut from = 0;
    for range in kept {
        while from < base.extents.len() && base.extents[from].offset + base.extents[from].len <= range.start {
            from += 1;
        }
        for extent in base.extents[from..].iter().take_while(|extent| extent.offset < range.end) {
            let start = extent.offset.max(range.start);
            let end = (extent.offset + extent.len).min(range.end);
            let blob_offset = extent.blob_offset + (start - extent.offset);
            extents.push(DiskExtent { offset: start, len: end - start, blob: extent.blob, blob_offset });
        }
    }
    extents.sort_unstable_by_key(|extent| extent.offset);
    imported.record = DiskRecord { len: disk.len(), extents };
    imported.allocated = worth.iter().map(|range| range.end - range.start).sum();
    Ok(imported)
}

/// What the consistency check of the volume has to say.
pub(crate) fn check_volume(
    volume: &dyn ByteSource,
    context: &str,
    progress: &dyn Progress,
) -> Result<Vec<Warning>> {
    let report = ntfs_volume::check::check(volume, progress).map_err(Error::volume(context))?;
    let found: Vec<String> = report.findings.iter().map(place_and_message).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let message =
        format!("{context}: the file system has inconsistencies; run chkdsk on it before the next version");
    Ok(vec![crate::plan::warning("volume-check", &message, found)])
}

/// What is wrong with a volume, beyond what Windows itself leaves behind at times.
pub(crate) fn volume_errors(
    volume: &dyn ByteSource,
    context: &str,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    let report = ntfs_volume::check::check(volume, progress).map_err(Error::volume(context))?;
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    Ok(errors.map(place_and_message).collect())
}

fn place_and_message(finding: &Finding) -> String {
    format!("{}: {}", finding.place, finding.message)
}
