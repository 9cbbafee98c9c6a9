//! Whether somebody has a file of this machine open, as far as that leaves a sign.
//!
//! QEMU holds `fcntl` locks on bytes 100 and following of an image while it runs (its `file-posix` driver), servers
//! for Windows clients hold locks of their clients, and a copy that is going on makes the file longer or newer. A
//! program that only reads or writes leaves no sign that another user's process could see.

use super::local_file::blocking;
use crate::connector::Usage;
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, SystemTime};

/// A file that was written within this time is looked at twice.
const RECENT: Duration = Duration::from_secs(120);
/// Time between the two looks. Copies write more often than this.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// The signs of use of `file`, which is called `name` in messages.
pub(super) async fn of_open_file(file: File, name: &str) -> Result<Usage> {
    let fail = |source| Error::io(format!("looking for locks on {name}"), name, source);
    let (file, first) = blocking(move || signs(&file).map(|signs| (file, signs))).await.map_err(fail)?;
    let first = match first {
        Signs::Lock(reason) => return Ok(Usage::InUse(reason)),
        Signs::None(look) if look.recent => look,
        Signs::None(_) => return Ok(Usage::NotSeen),
    };
    tokio::time::sleep(BETWEEN_LOOKS).await;
    Ok(match blocking(move || signs(&file)).await.map_err(fail)? {
        Signs::Lock(reason) => Usage::InUse(reason),
        Signs::None(second) if (second.bytes, second.modified) != (first.bytes, first.modified) => {
            Usage::InUse("it is being written".to_owned())
        }
        Signs::None(_) => Usage::NotSeen,
    })
}

enum Signs {
    Lock(String),
    None(Look),
}

struct Look {
    bytes: u64,
    modified: SystemTime,
    recent: bool,
}

fn signs(file: &File) -> io::Result<Signs> {
    // The kernel compares with any lock on any byte; that our file is open for reading only does not matter here.
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_GETLK(&mut lock)) {
        Ok(_) if lock.l_type == libc::F_UNLCK as libc::c_short => {}
        Ok(_) => {
            return Ok(Signs::Lock(match lock.l_pid {
                pid if pid > 0 => format!("the process {pid} holds a lock on it"),
                // Locks of open files, which QEMU takes, have no process.
                _ => "a program such as QEMU holds a lock on it".to_owned(),
            }));
        }
        // A file system without such locks gives no sign.
        Err(Errno::EINVAL | Errno::ENOLCK | Errno::EOPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    match file.try_lock_shared() {
        Ok(()) => file.unlock()?,
        Err(TryLockError::WouldBlock) => {
            return Ok(Signs::Lock("a program holds a lock on the whole file".to_owned()));
        }
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let facts = file.metadata()?;
    let modified = facts.modified()?;
    // A time in the future says nothing about how long ago it was.
    let recent = modified.elapsed().map_or(true, |age| age < RECENT);
    Ok(Signs::None(Look { bytes: facts.len(), modified, recent }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::NamedTempFile;

    fn old_file() -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_modified(SystemTime::now() - RECENT * 2).unwrap();
        file
    }

    #[tokio::test]
    async fn a_file_that_nobody_touched_for_long_is_free_at_once() {
        let file = old_file();
        assert_eq!(of_open_file(file.reopen().unwrap(), "it").await.unwrap(), Usage::NotSeen);
    }

    #[tokio::test]
    async fn a_file_under_an_exclusive_lock_is_in_use_until_it_is_given_back() {
        let file = old_file();
        file.as_file().lock().unwrap();
        let usage = of_open_file(file.reopen().unwrap(), "it").await.unwrap();
        assert!(matches!(&usage, Usage::InUse(reason) if reason.contains("whole file")), "{usage:?}");
        file.as_file().unlock().unwrap();
        assert_eq!(of_open_file(file.reopen().unwrap(), "it").await.unwrap(), Usage::NotSeen);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_grows_between_two_looks_is_in_use_and_one_that_stopped_is_not() {
        let mut file = NamedTempFile::new().unwrap();
        let looked = of_open_file(file.reopen().unwrap(), "it");
        // The clock of the test stands still while a look is going on, so this comes between the two.
        let written = async {
            tokio::time::sleep(BETWEEN_LOOKS / 2).await;
            file.write_all(b"more").unwrap();
        };
        let (usage, ()) = tokio::join!(looked, written);
        assert_eq!(usage.unwrap(), Usage::InUse("it is being written".to_owned()));
        assert_eq!(of_open_file(file.reopen().unwrap(), "it").await.unwrap(), Usage::NotSeen);
    }
}
