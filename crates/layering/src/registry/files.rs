//! Reading hives: with their logs from a volume, and from the store.

use super::HiveFiles;
use crate::difference::HiveStreams;
use crate::manifest::{Allocation, ContentRecord, Piece, StreamRecord};
use crate::placement::Placement;
use crate::streams;
use crate::{Error, Result};
use disk::ByteSource;
use std::io;
use volume::{Stream, StreamFlags};

/// Longer hives are refused, bytes: they are kept in memory as a whole. The largest of real systems (COMPONENTS of a
/// server with years of updates) have a quarter of that.
const LONGEST: u64 = 1 << 30;

/// The bytes of a hive and its logs.
pub(crate) fn read(volume: &dyn ByteSource, hive: &HiveStreams<'_>) -> io::Result<HiveFiles> {
    let file = read_whole(volume, hive.file)?;
    let logs = hive.logs.iter().map(|log| read_whole(volume, log)).collect::<io::Result<_>>()?;
    Ok(HiveFiles { file, logs })
}

/// All bytes of a stream.
pub(crate) fn read_whole(volume: &dyn ByteSource, stream: &Stream) -> io::Result<Vec<u8>> {
    readable(stream.size, stream.flags)?;
    let mut bytes = vec![0; stream.size as usize];
    streams::read_stream_at(volume, stream, 0, &mut bytes)?;
    Ok(bytes)
}

fn readable(size: u64, flags: StreamFlags) -> io::Result<()> {
    if size > LONGEST {
        return Err(io::Error::other("the file is larger than 1 GiB, more than any hive of a sound Windows"));
    }
    if flags.compressed || flags.encrypted {
        return Err(io::Error::other(
            "the file is compressed or encrypted, which Windows never does to its hives",
        ));
    }
    Ok(())
}

/// All bytes of a stream that a layer brings; `place` is for messages.
pub(crate) fn read_kept(stream: &StreamRecord, placement: &Placement<'_>, place: &str) -> Result<Vec<u8>> {
    readable(stream.size, stream.flags).map_err(Error::io(format!("reading {place}")))?;
    let (content, len, pieces, layout) = match &stream.content {
        ContentRecord::Inline(bytes) => return Ok(bytes.to_vec()),
        ContentRecord::Stored { content, len, pieces, layout } => (*content, *len, pieces, layout),
    };
    let whole = [Piece { blob: Some(content), offset: 0, len }];
    let plain = [Allocation { len, hole: false }];
    let mut pieces = if pieces.is_empty() { &whole[..] } else { pieces }.iter();
    let layout = if layout.is_empty() { &plain[..] } else { layout };
    let mut bytes = vec![0; stream.size as usize];
    let mut piece = Piece { blob: None, offset: 0, len: 0 };
    let mut at = 0;
    for part in layout {
        let end = at + part.len;
        while !part.hole && at < end.min(stream.valid) {
            if piece.len == 0 {
                let short = || Error::record(place, &"a stream has less content than it says");
                piece = *pieces.next().ok_or_else(short)?;
                continue;
            }
            let count = piece.len.min(end.min(stream.valid) - at);
            if let Some(blob) = piece.blob {
                placement.read(blob, piece.offset, &mut bytes[at as usize..(at + count) as usize])?;
            }
            at += count;
            piece = Piece { blob: piece.blob, offset: piece.offset + count, len: piece.len - count };
        }
        // what lies behind the valid length is zeros, and so is all that follows
        at = end;
    }
    Ok(bytes)
}
