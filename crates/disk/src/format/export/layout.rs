//! What the formats differ in: where in the file the parts of a disk go.

use super::super::{Format, Result};
use crate::FileRegion;
use std::ops::Range;

/// Decides where everything goes. Windows come in disk order, one at a time.
pub(in crate::format) trait Layout: Send {
    /// State of a thread that encodes windows; `()` where windows are written as they are.
    type Encoder: Default + Send;

    /// Whether windows are transformed before they are placed. Then nothing is shared, and the parts of a window that
    /// hold no data are zeros in its buffer.
    const ENCODES: bool = false;

    /// Length of the disk in the image, bytes.
    fn disk_len(&self) -> u64;

    /// Transforms a window. Several threads do this at once.
    fn encode(encoder: &mut Self::Encoder, window: &Window<'_>) -> Result<()> {
        let (_, _) = (encoder, window);
        Ok(())
    }

    /// Decides where the pieces of a window go, and appends the writes.
    fn place<'w>(
        &mut self,
        window: &Window<'w>,
        encoder: &'w Self::Encoder,
        writes: &mut Vec<Write<'w>>,
    ) -> Result<()>;

    /// What is written when all windows have been placed.
    fn finish(self) -> Result<Finish>;
}

/// The last writes, and the length of the file.
pub(in crate::format) struct Finish {
    pub(in crate::format) file_len: u64,
    /// File offset and bytes.
    pub(in crate::format) writes: Box<dyn Iterator<Item = (u64, Vec<u8>)>>,
}

impl Finish {
    pub(in crate::format) fn new(file_len: u64, writes: Vec<(u64, Vec<u8>)>) -> Finish {
        Finish { file_len, writes: Box::new(writes.into_iter()) }
    }
}

/// A part of the disk that holds data.
pub(in crate::format) struct Window<'w> {
    /// Where it begins on the disk, bytes; a multiple of the length of windows.
    pub(in crate::format) offset: u64,
    /// The bytes of the window, valid where pieces are [`Content::Buffered`].
    pub(in crate::format) buffer: &'w [u8],
    /// What is not zero, ascending. Every piece begins on a multiple of 4 KiB.
    pub(in crate::format) pieces: &'w [Piece<'w>],
}

/// A part of a window that is not zero.
#[derive(Debug, Clone, Copy)]
pub(in crate::format) struct Piece<'w> {
    /// Within the window, bytes.
    pub(in crate::format) range: (usize, usize),
    pub(in crate::format) content: Content<'w>,
}

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy)]
pub(in crate::format) enum Content<'w> {
    /// In the buffer of the window, at the piece's own place.
    Buffered,
    /// In a file that they can be shared with; its offset is a multiple of 4 KiB.
    Shared(FileRegion<'w>),
}

/// Something to write.
#[derive(Debug)]
pub(in crate::format) struct Write<'w> {
    /// File offset, bytes.
    pub(super) at: u64,
    pub(super) bytes: Bytes<'w>,
}

#[derive(Debug)]
pub(super) enum Bytes<'w> {
    Borrowed(&'w [u8]),
    Owned(Vec<u8>),
    /// A part of a file, and its length in bytes.
    Shared(FileRegion<'w>, u64),
    /// A part of the window's buffer.
    Buffered(Range<usize>),
}

impl<'w> Write<'w> {
    pub(in crate::format) fn fixed(at: u64, bytes: &'w [u8]) -> Write<'w> {
        Write { at, bytes: Bytes::Borrowed(bytes) }
    }

    pub(in crate::format) fn owned(at: u64, bytes: Vec<u8>) -> Write<'w> {
        Write { at, bytes: Bytes::Owned(bytes) }
    }
}

impl<'w> Window<'w> {
    /// Places all pieces so that byte 0 of the disk would be at `base` of the file.
    pub(in crate::format) fn place_at(&self, base: u64, writes: &mut Vec<Write<'w>>) {
        for piece in self.pieces {
            self.place_part(
                piece,
                piece.range.0..piece.range.1,
                base + self.offset + piece.range.0 as u64,
                writes,
            );
        }
    }

    /// Places the pieces in units of `unit` bytes of the disk (blocks, clusters). `allocate` is called for every unit
    /// that holds data, in disk order, with its number, and says where its contents go; it may append writes.
    pub(in crate::format) fn place_in_units(
        &self,
        unit: u64,
        writes: &mut Vec<Write<'w>>,
        mut allocate: impl FnMut(u64, &mut Vec<Write<'w>>) -> Result<u64>,
    ) -> Result<()> {
        let mut current: Option<(u64, u64)> = None;
        for piece in self.pieces {
            let (mut from, to) = piece.range;
            while from < to {
                let disk = self.offset + from as u64;
                let number = disk / unit;
                let base = match current {
                    Some((at, base)) if at == number => base,
                    _ => {
                        let base = allocate(number, writes)?;
                        current = Some((number, base));
                        base
                    }
                };
                let left = unit - disk % unit;
                let end = to.min(from.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
                self.place_part(piece, from..end, base + disk % unit, writes);
                from = end;
            }
        }
        Ok(())
    }

    /// Appends the write of a part of a piece, joined to the one before where both continue in window and file.
    fn place_part(&self, piece: &Piece<'w>, part: Range<usize>, at: u64, writes: &mut Vec<Write<'w>>) {
        let len = (part.end - part.start) as u64;
        match (piece.content, writes.last_mut()) {
            (Content::Buffered, Some(Write { at: before, bytes: Bytes::Buffered(range) }))
                if range.end == part.start && *before + (range.end - range.start) as u64 == at =>
            {
                range.end = part.end;
            }
            (Content::Buffered, _) => writes.push(Write { at, bytes: Bytes::Buffered(part) }),
            (Content::Shared(region), last) => {
                let offset = region.offset + (part.start - piece.range.0) as u64;
                match last {
                    Some(Write { at: before, bytes: Bytes::Shared(known, known_len) })
                        if std::ptr::eq(known.file, region.file)
                            && known.offset + *known_len == offset
                            && *before + *known_len == at =>
                    {
                        *known_len += len;
                    }
                    _ => writes.push(Write {
                        at,
                        bytes: Bytes::Shared(FileRegion { file: region.file, offset }, len),
                    }),
                }
            }
        }
    }
}

/// Raw: everything stays where it is.
pub(super) struct RawLayout {
    len: u64,
}

impl RawLayout {
    pub(super) fn new(len: u64) -> RawLayout {
        RawLayout { len }
    }
}

impl Layout for RawLayout {
    type Encoder = ();

    fn disk_len(&self) -> u64 {
        self.len
    }

    fn place<'w>(&mut self, window: &Window<'w>, (): &(), writes: &mut Vec<Write<'w>>) -> Result<()> {
        window.place_at(0, writes);
        Ok(())
    }

    fn finish(self) -> Result<Finish> {
        Ok(Finish::new(self.len, Vec::new()))
    }
}

/// The error of a format that has run out of places in its file.
pub(in crate::format) fn full(format: Format, len: u64, reason: &str) -> super::super::Error {
    super::super::Error::Limit { format, len, reason: reason.to_owned() }
}
