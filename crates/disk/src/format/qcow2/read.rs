//! Reading QCOW2 images.

use super::check::{Checked, check};
use super::*;
use crate::format::fields::be_u64;
use crate::format::image_file::ImageFile;
use crate::format::raw::check_bounds;
use crate::format::{Format, OpenOptions, OpenedDisk, Result, qemu_img};
use crate::{ByteSource, FileRegion};
use libdeflater::Decompressor;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Level 2 entries that are read at a time.
const ENTRIES_AT_ONCE: u64 = 512;

pub(in crate::format) fn open(file: ImageFile, options: &OpenOptions<'_>) -> Result<OpenedDisk> {
    let checked = check(&file, options)?;
    if let Some(feature) = checked.needs_conversion {
        return qemu_img::convert(&file, Format::Qcow2, feature, options);
    }
    let source = Arc::new(Qcow2Source { file, image: checked });
    Ok(OpenedDisk { source, format: Format::Qcow2, warnings: Vec::new() })
}

/// The disk in a QCOW2. Level 2 tables are read when they are needed.
struct Qcow2Source {
    file: ImageFile,
    image: Checked,
}

/// What a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Zeros,
    /// Plainly in the file at this offset (bytes).
    Plain(u64),
    /// Compressed; the level 2 entry.
    Compressed(u64),
}

impl Content {
    fn of(entry: u64, has_zero_flag: bool) -> Content {
        match entry & OFFSET_MASK {
            _ if entry & COMPRESSED != 0 => Content::Compressed(entry),
            0 => Content::Zeros,
            _ if has_zero_flag && entry & ZERO != 0 => Content::Zeros,
            at => Content::Plain(at),
        }
    }

    /// Whether a cluster, `distance` bytes further on the disk, continues this one.
    fn continues(self, distance: u64, next: Content) -> bool {
        match (self, next) {
            (Content::Zeros, Content::Zeros) => true,
            (Content::Plain(at), Content::Plain(next)) => at + distance == next,
            _ => false,
        }
    }
}

impl Qcow2Source {
    /// What the disk has at `offset`, and for how many bytes, at most `max`, that holds. `max` is not 0 and the range
    /// lies on the disk. The place of plain contents is that of `offset` itself.
    fn content(&self, offset: u64, max: u64) -> io::Result<(Content, u64)> {
        let cluster = 1 << self.image.cluster_bits;
        let per_table = cluster / 8;
        let (number, within) = (offset / cluster, offset % cluster);
        let (table, first) = (number / per_table, number % per_table);
        let at = self.image.level1[table as usize];
        if at == 0 {
            return Ok((Content::Zeros, max.min((table + 1) * per_table * cluster - offset)));
        }
        let wanted = (within + max).div_ceil(cluster).min(per_table - first).min(ENTRIES_AT_ONCE);
        let mut raw = [0; ENTRIES_AT_ONCE as usize * 8];
        let raw = &mut raw[..wanted as usize * 8];
        self.file.file().read_exact_at(raw, at + first * 8)?;
        let mut contents =
            raw.chunks_exact(8).map(|entry| Content::of(be_u64(entry, 0), self.image.has_zero_flag));
        let content = contents.next().unwrap_or(Content::Zeros);
        let further =
            (1..).zip(contents).take_while(|(i, next)| content.continues(i * cluster, *next)).count() as u64;
        let len = max.min((1 + further) * cluster - within);
        let content = match content {
            Content::Plain(at) => Content::Plain(at + within),
            other => other,
        };
        Ok((content, len))
    }

    /// The bytes of the compressed cluster with this level 2 entry.
    fn inflate(&self, entry: u64) -> io::Result<Vec<u8>> {
        let (at, len) = compressed_range(entry, self.image.cluster_bits);
        let mut data = vec![0; len.min(self.file.len().saturating_sub(at)) as usize];
        self.file.file().read_exact_at(&mut data, at)?;
        let mut bytes = vec![0; 1 << self.image.cluster_bits];
        match Decompressor::new().deflate_decompress(&data, &mut bytes) {
            Ok(found) if found == bytes.len() => Ok(bytes),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{}: the compressed cluster at byte {at} does not inflate to a cluster",
                    self.file.path().display()
                ),
            )),
        }
    }
}

impl ByteSource for Qcow2Source {
    fn len(&self) -> u64 {
        self.image.disk
    }

    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len(), offset, buf.len())?;
        while !buf.is_empty() {
            let (content, len) = self.content(offset, buf.len() as u64)?;
            let (part, rest) = std::mem::take(&mut buf).split_at_mut(len as usize);
            match content {
                Content::Zeros => part.fill(0),
                Content::Plain(at) => self.file.file().read_exact_at(part, at)?,
                Content::Compressed(entry) => {
                    let within = (offset & ((1 << self.image.cluster_bits) - 1)) as usize;
                    part.copy_from_slice(&self.inflate(entry)?[within..within + part.len()]);
                }
            }
            offset += len;
            buf = rest;
        }
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let mut start = from;
        while start < self.len() {
            let (content, len) = self.content(start, self.len() - start)?;
            if content != Content::Zeros {
                return Ok(Some(start..start + len));
            }
            start += len;
        }
        Ok(None)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_bounds(self.len(), offset, usize::try_from(len).ok()?).ok()?;
        match self.content(offset, len.max(1).min(self.len().checked_sub(offset)?)).ok()? {
            (Content::Plain(at), found) if found >= len => {
                Some(FileRegion { file: self.file.file(), offset: at })
            }
            _ => None,
        }
    }
}
