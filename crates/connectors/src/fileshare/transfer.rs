//! Copying one file to another between a share and this machine: only what is not zero, several pieces at once,
//! with points from which an interrupted copy goes on.

use super::share::{Sink, Source};
use crate::error::Result;
use crate::watch::Watch;
use async_trait::async_trait;
use futures_util::future::{try_join, try_join_all};
use std::ops::Range;

/// Bytes that are read and written at once; a copy needs about twice as much memory.
const WINDOW: u64 = 8 << 20;
/// Bytes in one read or write.
const PIECE: u64 = 1 << 20;
/// Zeros in whole grains of this many bytes are not written.
const GRAIN: usize = 64 << 10;
/// Bytes written after which the copy is made durable and its place recorded.
pub(super) const CHECKPOINT: u64 = 64 << 20;

/// Remembers how far a copy is.
#[async_trait]
pub(super) trait Progressed: Send {
    /// Everything before `offset` is durable in the sink.
    async fn reached(&mut self, offset: u64) -> Result<()>;
}

/// Copies `range` of `source` to the same place of `sink`, which holds zeros there, or what an earlier run copied of
/// the same source. On return everything is durable.
pub(super) async fn copy(
    source: &dyn Source,
    sink: &dyn Sink,
    range: Range<u64>,
    watch: &Watch,
    progressed: &mut dyn Progressed,
) -> Result<()> {
    let mut at = range.start;
    let mut unsaved = 0;
    while at < range.end {
        watch.check()?;
        let Some(data) = watch.unless_cancelled(source.next_data(at)).await? else { break };
        let window =
            data.start.max(at)..data.end.min(range.end).min(data.start.max(at).saturating_add(WINDOW));
        if window.is_empty() {
            break;
        }
        watch.advance(window.start - at);
        at = window.start;
        let written = watch.unless_cancelled(copy_window(source, sink, window.clone())).await?;
        watch.advance(window.end - at);
        at = window.end;
        unsaved += written;
        if unsaved >= CHECKPOINT {
            unsaved = 0;
            watch.unless_cancelled(sink.flush()).await?;
            progressed.reached(at).await?;
        }
    }
    watch.advance(range.end.saturating_sub(at));
    watch.unless_cancelled(sink.flush()).await
}

/// Whether two files of `len` bytes hold the same. Bytes that were compared count as done.
pub(super) async fn same(one: &dyn Source, other: &dyn Source, len: u64, watch: &Watch) -> Result<bool> {
    let mut at = 0;
    while at < len {
        let end = len.min(at + WINDOW);
        let pieces = (at..end).step_by(PIECE as usize).map(|at| async move {
            let len = PIECE.min(end - at) as usize;
            let (one, other) = try_join(one.read(at, len), other.read(at, len)).await?;
            Ok::<bool, crate::error::Error>(one == other)
        });
        if !watch.unless_cancelled(try_join_all(pieces)).await?.into_iter().all(|same| same) {
            return Ok(false);
        }
        watch.advance(end - at);
        at = end;
    }
    Ok(true)
}

/// Gives how many bytes were written.
async fn copy_window(source: &dyn Source, sink: &dyn Sink, window: Range<u64>) -> Result<u64> {
    let pieces = window.clone().step_by(PIECE as usize).map(|at| async move {
        let len = PIECE.min(window.end - at) as usize;
        let bytes = source.read(at, len).await?;
        let mut written = 0;
        for run in data_runs(&bytes) {
            let start = run.start as u64;
            written += run.len() as u64;
            let part = if run.len() == bytes.len() { bytes.clone() } else { bytes[run].to_vec() };
            sink.write(at + start, part).await?;
        }
        Ok::<u64, crate::error::Error>(written)
    });
    Ok(try_join_all(pieces).await?.into_iter().sum())
}

/// The ranges of `bytes` that are not whole grains of zeros.
fn data_runs(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, grain) in bytes.chunks(GRAIN).enumerate() {
        if grain.iter().all(|byte| *byte == 0) {
            continue;
        }
        let start = index * GRAIN;
        let end = start + grain.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::Mutex;

    /// Bytes in memory; what was written, in order.
    struct Memory {
        bytes: Mutex<Vec<u8>>,
        writes: Mutex<Vec<Range<u64>>>,
        data: Vec<Range<u64>>,
    }

    impl Memory {
        fn new(bytes: Vec<u8>, data: Vec<Range<u64>>) -> Memory {
            Memory { bytes: Mutex::new(bytes), writes: Mutex::default(), data }
        }
    }

    #[async_trait]
    impl Source for Memory {
        async fn next_data(&self, from: u64) -> Result<Option<Range<u64>>> {
            Ok(self.data.iter().find(|range| range.end > from).map(|range| range.start.max(from)..range.end))
        }
        async fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
            Ok(self.bytes.lock().unwrap()[at as usize..][..len].to_vec())
        }
        async fn close(&self) -> Result<()> {
            Ok(())
        }
    }

    #[async_trait]
    impl Sink for Memory {
        async fn set_len(&self, len: u64) -> Result<()> {
            self.bytes.lock().unwrap().resize(len as usize, 0);
            Ok(())
        }
        async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<()> {
            self.bytes.lock().unwrap()[at as usize..][..bytes.len()].copy_from_slice(&bytes);
            self.writes.lock().unwrap().push(at..at + bytes.len() as u64);
            Ok(())
        }
        async fn flush(&self) -> Result<()> {
            Ok(())
        }
        async fn close(&self) -> Result<()> {
            Ok(())
        }
    }

    struct Forgotten;

    #[async_trait]
    impl Progressed for Forgotten {
        async fn reached(&mut self, _offset: u64) -> Result<()> {
            Err(Error::Cancelled)
        }
    }

    #[tokio::test]
    async fn holes_are_not_read_and_zeros_are_not_written() {
        let len = 3 * WINDOW as usize + 12_345;
        let mut bytes = vec![0; len];
        bytes[GRAIN * 3..][..10].fill(7);
        bytes[len - 5..].fill(9);
        let data = vec![0..PIECE * 2, WINDOW * 3..len as u64];
        let source = Memory::new(bytes.clone(), data);
        let sink = Memory::new(vec![0; len], Vec::new());
        copy(&source, &sink, 0..len as u64, &Watch::silent(), &mut Forgotten).await.unwrap();
        assert!(*sink.bytes.lock().unwrap() == bytes);
        let grain = GRAIN as u64;
        let expected = [grain * 3..grain * 4, WINDOW * 3..len as u64];
        assert_eq!(*sink.writes.lock().unwrap(), expected);
    }

    #[test]
    fn runs_of_data_are_joined_and_the_last_grain_may_be_short() {
        let mut bytes = vec![0; GRAIN * 4 + 100];
        bytes[GRAIN] = 1;
        bytes[GRAIN * 2 + 5] = 1;
        bytes[GRAIN * 4 + 99] = 1;
        assert_eq!(data_runs(&bytes), [GRAIN..GRAIN * 3, GRAIN * 4..GRAIN * 4 + 100]);
        assert!(data_runs(&[]).is_empty());
    }
}
