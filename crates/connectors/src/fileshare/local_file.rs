//! A file of this machine, read and written on the threads for blocking work.

use super::share::{Sink, Source};
use crate::error::{Error, Result};
use async_trait::async_trait;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Runs blocking work where it does not hold up other tasks. A panic in it is passed on.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and does not begin blocking work any more; nobody will see an answer.
            Err(_) => std::future::pending().await,
        },
    }
}

/// An open file and its name for messages.
#[derive(Debug, Clone)]
pub(super) struct LocalFile {
    file: Arc<File>,
    name: Arc<str>,
}

impl LocalFile {
    pub(super) fn new(file: File, name: &str) -> LocalFile {
        LocalFile { file: Arc::new(file), name: name.into() }
    }

    async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = Arc::clone(&self.file);
        let outcome = blocking(move || work(&file)).await;
        outcome.map_err(|source| Error::io(format!("{doing} {}", self.name), &*self.name, source))
    }
}

#[async_trait]
impl Source for LocalFile {
    async fn next_data(&self, from: u64) -> Result<Option<Range<u64>>> {
        self.run("finding data in", move |file| next_data(file, from)).await
    }

    async fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        self.run("reading", move |file| {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Sink for LocalFile {
    async fn set_len(&self, len: u64) -> Result<()> {
        self.run("lengthening", move |file| file.set_len(len)).await
    }

    async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<()> {
        self.run("writing", move |file| file.write_all_at(&bytes, at)).await
    }

    async fn flush(&self) -> Result<()> {
        self.run("flushing", |file| file.sync_all()).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Asks the file system where data is. One that does not know answers everything.
fn next_data(file: &File, from: u64) -> io::Result<Option<Range<u64>>> {
    let len = file.metadata()?.len();
    if from >= len {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL) => return Ok(Some(from..len)),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    Ok(Some(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holes_of_a_sparse_file_are_passed_over() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[1; 4096], 32 << 20).unwrap();
        let local = LocalFile::new(file, "sparse");
        let data = local.next_data(0).await.unwrap().unwrap();
        assert!(data.contains(&(32 << 20)) && data.end - data.start < 8 << 20, "{data:?}");
        assert_eq!(local.next_data(data.end).await.unwrap(), None);
        assert_eq!(local.next_data(64 << 20).await.unwrap(), None);
        let missing = local.read(64 << 20, 1).await.unwrap_err();
        assert!(missing.to_string().contains("reading sparse"), "{missing}");
    }
}
