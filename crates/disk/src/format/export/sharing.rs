//! Sharing the bytes of other files instead of copying them.
//!
//! XFS and btrfs share extents when `copy_file_range` is asked for ranges that are aligned to their blocks; the same
//! call copies on every other file system, and does not tell. So a whole-file clone (FICLONE) of a scratch file is
//! tried first, once, to learn what the target's file system can.
//!
//! Where nothing can be shared, bytes are read and written rather than copied by `copy_file_range`: it would copy
//! zeros as well.

use super::layout::{Content, Piece};
use crate::{BLOCK, ByteSource, FileRegion};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What can be shared with the target.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    /// The device of the target's file system, if that can share extents.
    device: Option<u64>,
    /// Whether a file, by its descriptor, lies on that device. Descriptors stay open while the source is borrowed.
    known: HashMap<i32, bool>,
}

impl Sharing {
    /// Nothing is shared.
    pub(super) fn none() -> Sharing {
        Sharing { device: None, known: HashMap::new() }
    }

    /// Finds out whether files in `directory` can share extents.
    pub(super) fn probe(directory: &Path) -> Sharing {
        let clone = || -> std::io::Result<u64> {
            let mut from = tempfile::tempfile_in(directory)?;
            from.write_all(&[1; BLOCK as usize])?;
            let to = tempfile::tempfile_in(directory)?;
            rustix::fs::ioctl_ficlone(&to, &from)?;
            Ok(to.metadata()?.dev())
        };
        Sharing { device: clone().ok(), known: HashMap::new() }
    }

    /// Whether anything can be shared at all.
    pub(super) fn is_possible(&self) -> bool {
        self.device.is_some()
    }

    fn is_on_device(&mut self, file: &File, device: u64) -> bool {
        *self.known.entry(file.as_raw_fd()).or_insert_with(|| {
            file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.dev() == device)
        })
    }

    /// Splits `range` of a window at `offset` of the disk into pieces that can be shared, which go to `pieces`, and
    /// ranges that have to be read, which go to `read`; both ascending.
    pub(super) fn split<'s>(
        &mut self,
        source: &'s dyn ByteSource,
        offset: u64,
        range: Range<usize>,
        pieces: &mut Vec<Piece<'s>>,
        read: &mut Vec<Range<usize>>,
    ) {
        let Some(device) = self.device else { return read.push(range) };
        let mut from = range.start;
        while from < range.end {
            let shared = longest_region(source, offset + from as u64, (range.end - from) as u64).filter(
                |(region, _)| region.offset.is_multiple_of(BLOCK) && self.is_on_device(region.file, device),
            );
            match shared {
                Some((region, len)) => {
                    let end = from + len as usize;
                    pieces.push(Piece { range: (from, end), content: Content::Shared(region) });
                    from = end;
                }
                None => {
                    let end = range.end.min(from + BLOCK as usize);
                    match read.last_mut() {
                        Some(last) if last.end == from => last.end = end,
                        _ => read.push(from..end),
                    }
                    from = end;
                }
            }
        }
    }
}

/// The longest region of a file that holds the bytes from `offset`, in whole blocks, and its length. If a region
/// holds some bytes it also holds any fewer of them, so the length is found by halving.
fn longest_region(source: &dyn ByteSource, offset: u64, max: u64) -> Option<(FileRegion<'_>, u64)> {
    let max = max / BLOCK;
    let region = |blocks: u64| source.file_region(offset, blocks * BLOCK);
    if max == 0 {
        return None;
    }
    if let Some(all) = region(max) {
        return Some((all, max * BLOCK));
    }
    let mut best = (region(1)?, 1);
    let mut too_many = max;
    while too_many - best.1 > 1 {
        let middle = best.1 + (too_many - best.1) / 2;
        match region(middle) {
            Some(found) => best = (found, middle),
            None => too_many = middle,
        }
    }
    Some((best.0, best.1 * BLOCK))
}
