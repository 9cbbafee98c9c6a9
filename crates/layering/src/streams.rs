//! Bytes of streams on a volume: read as they are kept, digested, and appended to a pack.
//!
//! What a stream's digest covers are its allocated bytes: of a plain stream those up to its valid length, of a sparse,
//! compressed or encrypted one its runs without the holes. Slack behind the valid length of a plain or sparse stream
//! counts as zeros, whatever an earlier file left there.

use crate::manifest::Allocation;
use disk::{BLOCK, ByteSource};
use std::io::{self, Read};
use store::{BlobHasher, BlobId, block_digest};
use volume::{Run, Stream, StreamData};

/// A part of a stream's kept bytes: where it lies on the volume, and how much of it is data rather than slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Offset on the volume, bytes.
    pub(crate) at: u64,
    /// Bytes that are kept.
    pub(crate) len: u64,
    /// Of those, bytes from the start that are data; the rest are zeros.
    pub(crate) data: u64,
}

/// Whether the runs of a stream are carried verbatim, holes and all.
pub(crate) fn is_verbatim(stream: &Stream) -> bool {
    let flags = stream.flags;
    let holes = matches!(&stream.data, StreamData::Runs(runs) if runs.iter().any(|run| run.at.is_none()));
    flags.sparse || flags.compressed || flags.encrypted || holes
}

/// The parts of the volume that hold a stream's kept bytes, in order. Empty for inline streams.
pub(crate) fn parts(stream: &Stream) -> Vec<Part> {
    let StreamData::Runs(runs) = &stream.data else { return Vec::new() };
    let verbatim = is_verbatim(stream);
    let opaque = stream.flags.compressed || stream.flags.encrypted;
    let end = if opaque { u64::MAX } else { stream.valid };
    let mut parts = Vec::with_capacity(runs.len());
    let mut position = 0u64;
    for &Run { at, len } in runs {
        let data = end.saturating_sub(position).min(len);
        if let Some(at) = at {
            let len = if verbatim { len } else { data };
            if len > 0 {
                parts.push(Part { at, len, data });
            }
        }
        position = position.saturating_add(len);
    }
    parts
}

/// The allocation of a stream that is carried verbatim; empty for a plain one.
pub(crate) fn layout(stream: &Stream) -> Vec<Allocation> {
    let StreamData::Runs(runs) = &stream.data else { return Vec::new() };
    if !is_verbatim(stream) {
        return Vec::new();
    }
    let mut layout: Vec<Allocation> = Vec::new();
    for run in runs {
        let hole = run.at.is_none();
        match layout.last_mut() {
            Some(last) if last.hole == hole => last.len += run.len,
            _ => layout.push(Allocation { len: run.len, hole }),
        }
    }
    layout
}

/// Reads parts of a volume one after the other.
pub(crate) struct PartReader<'a> {
    volume: &'a dyn ByteSource,
    parts: std::slice::Iter<'a, Part>,
    current: Part,
    done: u64,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(volume: &'a dyn ByteSource, parts: &'a [Part]) -> PartReader<'a> {
        PartReader { volume, parts: parts.iter(), current: Part { at: 0, len: 0, data: 0 }, done: 0 }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            if self.done == self.current.len {
                match self.parts.next() {
                    Some(part) => (self.current, self.done) = (*part, 0),
                    None => break,
                }
                continue;
            }
            let room = (buf.len() - filled) as u64;
            let into = filled..;
            let count = if self.done < self.current.data {
                let count = (self.current.data - self.done).min(room);
                let into = &mut buf[into][..count as usize];
                self.volume.read_exact_at(self.current.at + self.done, into)?;
                count
            } else {
                let count = (self.current.len - self.done).min(room);
                buf[into][..count as usize].fill(0);
                count
            };
            filled += count as usize;
            self.done += count;
        }
        Ok(filled)
    }
}

/// Digest of a stream, from digests that the volume knows where it knows them, else by reading. The second value is
/// how many bytes were read.
pub(crate) fn digest(volume: &dyn ByteSource, stream: &Stream) -> io::Result<(BlobId, u64)> {
    if let StreamData::Inline(bytes) = &stream.data {
        return Ok((BlobId::of(bytes), 0));
    }
    let parts = parts(stream);
    let len: u64 = parts.iter().map(|part| part.len).sum();
    if let Some(found) = known_digest(volume, &parts, len)? {
        return Ok(found);
    }
    let mut hasher = BlobHasher::new(len);
    let mut reader = PartReader::new(volume, &parts);
    let mut buf = vec![0; (1 << 20).min(len.next_multiple_of(BLOCK)) as usize];
    let mut left = len;
    while left > 0 {
        let count = left.min(buf.len() as u64) as usize;
        reader.read_exact(&mut buf[..count])?;
        let digests: Vec<_> = buf[..count].chunks(BLOCK as usize).map(block_digest).collect();
        hasher.update(&digests);
        left -= count as u64;
    }
    Ok((hasher.finish(), len))
}

/// Works when every part lies on block boundaries, but for slack at the end of the last.
fn known_digest(volume: &dyn ByteSource, parts: &[Part], len: u64) -> io::Result<Option<(BlobId, u64)>> {
    let mut digests = Vec::with_capacity(len.div_ceil(BLOCK) as usize);
    let mut read = 0;
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        if part.data != part.len && part.len % BLOCK != 0 || !part.at.is_multiple_of(BLOCK) {
            return Ok(None);
        }
        if part.len % BLOCK != 0 && !last {
            return Ok(None);
        }
        let whole = part.data / BLOCK * BLOCK;
        if !volume.known_block_digests(part.at, whole, &mut digests)? {
            return Ok(None);
        }
        if part.data > whole {
            let mut block = [0; BLOCK as usize];
            let slack = (part.data - whole) as usize;
            volume.read_exact_at(part.at + whole, &mut block[..slack])?;
            read += slack as u64;
            digests.push(block_digest(&block));
        }
        let covered = part.data.div_ceil(BLOCK);
        for _ in covered..part.len.div_ceil(BLOCK) {
            digests.push(store::zero_block_digest());
        }
    }
    let mut hasher = BlobHasher::new(len);
    hasher.update(&digests);
    Ok(Some((hasher.finish(), read)))
}

/// Fills `buf` from an offset of a stream as a user of the file would see it. Compressed and encrypted streams cannot be
/// read this way and give [`io::ErrorKind::Unsupported`].
pub(crate) fn read_stream_at(
    volume: &dyn ByteSource,
    stream: &Stream,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<()> {
    let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= stream.size);
    if end.is_none() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if stream.flags.compressed || stream.flags.encrypted {
        return Err(io::ErrorKind::Unsupported.into());
    }
    match &stream.data {
        StreamData::Inline(bytes) => {
            let start = offset as usize;
            let part = bytes.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buf.copy_from_slice(part);
        }
        StreamData::Runs(runs) => {
            buf.fill(0);
            let (from, to) = (offset, (offset + buf.len() as u64).min(stream.valid));
            let mut position = 0;
            for run in runs {
                let (start, end) = (position.max(from), (position + run.len).min(to));
                if let (Some(at), true) = (run.at, start < end) {
                    let into = &mut buf[(start - from) as usize..(end - from) as usize];
                    volume.read_exact_at(at + (start - position), into)?;
                }
                position += run.len;
            }
        }
    }
    Ok(())
}
