//! Reading hives with their logs from a volume.

use super::HiveFiles;
use crate::difference::HiveStreams;
use crate::streams;
use disk::ByteSource;
use std::io;
use volume::Stream;

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
    if stream.size > LONGEST {
        return Err(io::Error::other("the file is larger than 1 GiB, more than any hive of a sound Windows"));
    }
    if stream.flags.compressed || stream.flags.encrypted {
        return Err(io::Error::other(
            "the file is compressed or encrypted, which Windows never does to its hives",
        ));
    }
    let mut bytes = vec![0; stream.size as usize];
    streams::read_stream_at(volume, stream, 0, &mut bytes)?;
    Ok(bytes)
}
