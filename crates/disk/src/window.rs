//! A part of a device or source as a device or source of its own: a partition of a disk.

use crate::{BLOCK, BlockDevice, ByteSource, FileRegion, MapError, SourceRange};
use std::io;
use std::ops::{Deref, Range};

/// A range of a device, as a device. Owns the device it looks into.
#[derive(Debug)]
pub struct Window<D> {
    device: D,
    offset: u64,
    len: u64,
}

impl<D: BlockDevice> Window<D> {
    /// The bytes `offset .. offset + len` of `device`.
    pub fn new(device: D, offset: u64, len: u64) -> Result<Window<D>, MapError> {
        check_inside(offset, len, device.len())?;
        Ok(Window { device, offset, len })
    }

    /// Gives back the device.
    pub fn into_inner(self) -> D {
        self.device
    }

    /// The device that is looked into, all of it.
    pub fn get_ref(&self) -> &D {
        &self.device
    }

    /// The device that is looked into, all of it: for what is not part of [`BlockDevice`], such as adding a source.
    pub fn get_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Where the window begins on the device, bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl<D: BlockDevice> BlockDevice for Window<D> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::mapped::check_read(self.len, offset, buf.len())?;
        self.device.read_at(self.offset + offset, buf)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        check_inside(offset, buf.len() as u64, self.len)?;
        self.device.write_at(self.offset + offset, buf)
    }

    fn discard(&mut self, offset: u64, len: u64) -> io::Result<()> {
        check_inside(offset, len, self.len)?;
        self.device.discard(self.offset + offset, len)
    }

    fn splice(&mut self, offset: u64, len: u64, from: SourceRange) -> io::Result<()> {
        check_inside(offset, len, self.len)?;
        self.device.splice(self.offset + offset, len, from)
    }
}

/// A range of a source, as a source. `S` is an owner or borrower of one: `Arc<dyn ByteSource>`, `&dyn ByteSource`.
#[derive(Debug, Clone)]
pub struct SourceWindow<S> {
    source: S,
    offset: u64,
    len: u64,
}

impl<S: Deref<Target: ByteSource>> SourceWindow<S> {
    /// The bytes `offset .. offset + len` of `source`.
    pub fn new(source: S, offset: u64, len: u64) -> Result<SourceWindow<S>, MapError> {
        check_inside(offset, len, source.len())?;
        Ok(SourceWindow { source, offset, len })
    }
}

impl<S: Deref<Target: ByteSource> + Send + Sync> ByteSource for SourceWindow<S> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::mapped::check_read(self.len, offset, buf.len())?;
        self.source.read_exact_at(self.offset + offset, buf)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.len {
            return Ok(None);
        }
        Ok(self.source.next_data(self.offset + from)?.and_then(|data| {
            let start = data.start.saturating_sub(self.offset).max(from);
            let end = data.end.saturating_sub(self.offset).min(self.len);
            (start < end).then_some(start..end)
        }))
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_inside(offset, len, self.len).ok()?;
        self.source.file_region(self.offset + offset, len)
    }

    fn known_block_digests(&self, offset: u64, len: u64, into: &mut Vec<[u8; 32]>) -> io::Result<bool> {
        if !self.offset.is_multiple_of(BLOCK) || check_inside(offset, len, self.len).is_err() {
            return Ok(false);
        }
        self.source.known_block_digests(self.offset + offset, len, into)
    }
}

fn check_inside(offset: u64, len: u64, limit: u64) -> Result<(), MapError> {
    match offset.checked_add(len) {
        Some(end) if end <= limit => Ok(()),
        _ => Err(MapError::OutOfRange { offset, len, limit }),
    }
}
