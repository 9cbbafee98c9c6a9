//! File locks between processes and between threads.
//!
//! All are `flock(2)` locks (what [`File::lock`] takes on Linux): they belong to the open file description, so two
//! handles in one process exclude each other like two processes, and the kernel drops them when a process dies.
//! `fcntl` record locks would belong to the process and vanish when *any* descriptor of the file is closed.
//!
//! Traps: on NFS the kernel turns `flock` into a byte-range lock, for which the file must be open for writing if the
//! lock is exclusive, and a `nolock`/`local_lock` mount or 9p without a lock-capable server locks only this host;
//! some FUSE file systems grant every lock. The probe finds locks that are always granted; that a lock does not reach
//! other hosts no program can see. A process that is being started holds its parent's locks until it executes its
//! program, so a lock may be free a moment later than expected, never earlier.

use crate::error::{Error, IoContext, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Opens a lock file, making it if need be, with the access that network file systems want for either kind of lock.
fn open(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).on("open lock", path)
}

impl Lock {
    /// Waits for a lock that others may share.
    pub(crate) fn shared(path: &Path) -> Result<Lock> {
        let file = open(path)?;
        file.lock_shared().on("lock", path)?;
        Ok(Lock { _file: file })
    }

    /// Waits for a lock that nobody else has. Only for locks that are never held for long.
    pub(crate) fn exclusive(path: &Path) -> Result<Lock> {
        let file = open(path)?;
        file.lock().on("lock", path)?;
        Ok(Lock { _file: file })
    }

    /// Takes a lock if that is possible at once.
    pub(crate) fn attempt(path: &Path, exclusive: bool) -> Result<Option<Lock>> {
        let file = open(path)?;
        match if exclusive { file.try_lock() } else { file.try_lock_shared() } {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).on("lock", path),
        }
    }

    /// Waits for a lock that may be held for long, asking now and then whether to give up.
    pub(crate) fn wait(path: &Path, exclusive: bool, cancelled: &dyn Fn() -> bool) -> Result<Lock> {
        loop {
            if let Some(lock) = Lock::attempt(path, exclusive)? {
                return Ok(lock);
            }
            if cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether somebody holds a lock on `file`, which must be open for writing. It is left as it was.
pub(crate) fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// While this process holds a shared lock on `path`, a second open file description must not get an exclusive one.
/// Gives what went wrong if it does, or `None` when locks work.
pub(crate) fn probe(path: &Path) -> Result<Option<String>> {
    Ok((!is_held(&open(path)?).on("lock", path)?)
        .then(|| "an exclusive lock was granted beside a shared one".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_handles_of_one_process_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::shared(&path).unwrap();
        assert!(Lock::attempt(&path, false).unwrap().is_some());
        assert!(Lock::attempt(&path, true).unwrap().is_none());
        assert_eq!(probe(&path).unwrap(), None);
        drop(first);
        assert!(probe(&path).unwrap().is_some(), "the probe must notice when an exclusive lock is granted");
        assert!(Lock::attempt(&path, true).unwrap().is_some());
    }
}
