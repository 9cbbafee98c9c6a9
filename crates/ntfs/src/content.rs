//! The bytes of streams, as a user of the volume sees them.
//!
//! Holes, and what lies behind the valid length, are zeros; LZNT1 is decompressed. Encrypted streams are refused:
//! their key is not on the volume. Files that Windows compresses through the overlay filter (WOF, "CompactOS") are
//! not expanded: their main stream is a hole, and what they hold is in `WofCompressedData`.

use crate::boot::Boot;
use crate::lznt1;
use disk::ByteSource;
use std::io;
use volume::{Error, Refusal, Result, Run, Stream, StreamData};

/// Bytes handed over at once.
const PIECE: usize = 1 << 20;
/// Largest compression unit that is decompressed, bytes. Windows makes 64 KiB and less.
const MAX_UNIT: u64 = 1 << 20;

/// Runs of a stream that can be read from any place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extents {
    runs: Vec<Run>,
    /// For each run, where in the stream it ends.
    ends: Vec<u64>,
}

impl Extents {
    /// The stream that consists of these runs. What would lie beyond 2^64 bytes is left out.
    pub(crate) fn new(runs: Vec<Run>) -> Extents {
        let mut end = 0u64;
        let ends = runs.iter().map_while(|run| {
            end = end.checked_add(run.len)?;
            Some(end)
        });
        Extents { ends: ends.collect(), runs }
    }

    /// Bytes that the runs cover.
    pub(crate) fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(crate) fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// The part of a run that begins at `offset` of the stream: where it is, and how long it is.
    pub(crate) fn piece(&self, offset: u64) -> Option<Run> {
        let index = self.ends.partition_point(|&end| end <= offset);
        let (run, end) = (self.runs.get(index)?, self.ends.get(index)?);
        let len = end - offset;
        Some(Run { at: run.at.map(|at| at + (run.len - len)), len })
    }

    /// Fills `into` from `offset` of the stream; holes read as zeros.
    pub(crate) fn read_at(&self, source: &dyn ByteSource, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let piece = self.piece(at).ok_or(io::ErrorKind::UnexpectedEof)?;
            let take = usize::try_from(piece.len).unwrap_or(usize::MAX).min(rest.len());
            let (now, after) = rest.split_at_mut(take);
            match piece.at {
                Some(place) => source.read_exact_at(place, now)?,
                None => now.fill(0),
            }
            at += take as u64;
            rest = after;
        }
        Ok(())
    }
}

/// Hands the contents of a stream, `size` bytes in order, to `sink` piece by piece.
///
/// `source` is the volume that the stream was found on. A sparse stream is as long as it says: holes arrive as zeros,
/// so that a caller who cares looks at the runs first.
///
/// # Errors
/// [`Refusal::Feature`] for encrypted streams; [`Error::Corrupt`] for runs that are shorter than the stream and for
/// compressed data that does not decompress; whatever `sink` returns.
pub fn read_stream(
    source: &dyn ByteSource,
    stream: &Stream,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let runs = match &stream.data {
        StreamData::Inline(bytes) => return sink(bytes),
        StreamData::Runs(runs) => runs,
    };
    if stream.flags.encrypted {
        return Err(Refusal::Feature { feature: "encrypted files (EFS)".into() }.into());
    }
    let extents = Extents::new(runs.clone());
    let valid = stream.valid.min(stream.size);
    if stream.size > extents.len() {
        return Err(broken(stream, "its runs are shorter than its size"));
    }
    if stream.flags.compressed && stream.flags.unit_shift != 0 {
        read_compressed(source, stream, &extents, valid, sink)?;
    } else {
        read_plain(source, &extents, valid, sink)?;
    }
    zeros(stream.size - valid, sink)
}

fn read_plain(
    source: &dyn ByteSource,
    extents: &Extents,
    valid: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < valid {
        let piece = extents.piece(at).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match piece.at {
            None => {
                let len = piece.len.min(valid - at);
                zeros(len, sink)?;
                at += len;
            }
            Some(place) => {
                let len = piece.len.min(valid - at).min(PIECE as u64);
                buffer.resize(len as usize, 0);
                source.read_exact_at(place, &mut buffer)?;
                sink(&buffer)?;
                at += len;
            }
        }
    }
    Ok(())
}

/// Each unit is a hole, or raw when all its clusters are allocated, or compressed into its first clusters.
fn read_compressed(
    source: &dyn ByteSource,
    stream: &Stream,
    extents: &Extents,
    valid: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let cluster = Boot::read(source)?.cluster;
    let unit = cluster
        .checked_shl(u32::from(stream.flags.unit_shift))
        .filter(|&unit| unit >= cluster && unit <= MAX_UNIT)
        .ok_or_else(|| broken(stream, "its compression unit is larger than NTFS allows"))?;
    let mut packed = Vec::new();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < valid {
        if let Some(Run { at: None, len }) = extents.piece(at)
            && len >= unit
        {
            let len = (len - len % unit).min(valid - at);
            zeros(len, sink)?;
            at += len;
            continue;
        }
        let stored = stored_bytes(extents, at, unit);
        packed.resize(stored as usize, 0);
        extents.read_at(source, at, &mut packed)?;
        let take = unit.min(valid - at);
        if stored == unit || stored == extents.len() - at {
            sink(&packed[..take as usize])?;
        } else {
            plain.clear();
            lznt1::decompress(&packed, unit as usize, &mut plain)
                .map_err(|error| broken(stream, &error.to_string()))?;
            plain.resize(unit as usize, 0);
            sink(&plain[..take as usize])?;
        }
        at += take;
    }
    Ok(())
}

/// Allocated bytes at the beginning of the unit at `at`.
fn stored_bytes(extents: &Extents, at: u64, unit: u64) -> u64 {
    let mut stored = 0;
    while stored < unit {
        match extents.piece(at + stored) {
            Some(Run { at: Some(_), len }) => stored = (stored + len).min(unit),
            _ => break,
        }
    }
    stored
}

fn zeros(len: u64, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = len;
    while left > 0 {
        let now = left.min(ZEROS.len() as u64);
        sink(&ZEROS[..now as usize])?;
        left -= now;
    }
    Ok(())
}

fn broken(stream: &Stream, what: &str) -> Error {
    Error::Corrupt { what: what.into(), place: format!("stream {:?}", stream.name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use volume::{Name, StreamFlags};

    /// Bytes that count up, so that every place is known by its value.
    struct Counting;

    impl ByteSource for Counting {
        fn len(&self) -> u64 {
            1 << 20
        }
        fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            for (byte, at) in buf.iter_mut().zip(offset..) {
                *byte = (at / 512) as u8;
            }
            Ok(())
        }
    }

    fn stream(size: u64, valid: u64, runs: &[(Option<u64>, u64)]) -> Stream {
        let runs = runs.iter().map(|&(at, len)| Run { at, len }).collect();
        Stream {
            name: Name::default(),
            size,
            valid,
            flags: StreamFlags::default(),
            data: StreamData::Runs(runs),
        }
    }

    fn read(stream: &Stream) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        read_stream(&Counting, stream, &mut |bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn holes_and_what_was_never_written_are_zeros() {
        let bytes =
            read(&stream(2000, 1500, &[(Some(0xa00), 512), (None, 512), (Some(0x600), 1024)])).unwrap();
        let expected = [vec![5; 512], vec![0; 512], vec![3; 476], vec![0; 500]].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn runs_that_end_before_the_stream_are_refused() {
        assert!(matches!(read(&stream(1025, 1025, &[(Some(0), 1024)])), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn cipher_text_is_not_handed_out() {
        let mut stream = stream(512, 512, &[(Some(0), 512)]);
        stream.flags.encrypted = true;
        assert!(matches!(read(&stream), Err(Error::Refused(Refusal::Feature { .. }))));
    }

    #[test]
    fn any_place_of_a_fragmented_stream_can_be_read() {
        let extents = Extents::new(vec![
            Run { at: Some(0x400), len: 512 },
            Run { at: None, len: 512 },
            Run { at: Some(0x200), len: 512 },
        ]);
        let mut bytes = [9; 600];
        extents.read_at(&Counting, 500, &mut bytes).unwrap();
        assert_eq!((&bytes[..12], bytes[12], bytes[523], bytes[524]), (&[2; 12][..], 0, 0, 1));
        assert!(extents.read_at(&Counting, 1000, &mut bytes).is_err(), "it ends behind the stream");
    }
}
