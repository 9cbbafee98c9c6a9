//! Where the master key is: a credential that systemd hands over, or a file in the server's directory.

use super::{KEY, MasterKey};
use crate::db::DbError;
use crate::identity::fill_random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use operation::Explain;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// The credential's name.
const CREDENTIAL: &str = "lamina-key";
/// The file's name in the server's directory.
const FILE: &str = "secret.key";
/// Longest file that is read, in bytes; a key has 44.
const LONGEST: usize = 256;

/// Why there is no master key to start with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file is there and cannot be read.
    #[error("the server's key {} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the server's key {} can be read by others than its owner", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} holds no key: a key is 32 bytes in base64", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The file cannot be made.
    #[error("the server's key {} cannot be made", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database has secrets of a key that is not here.
    #[error("the server's key {} is missing, and the database was used with one", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The database has secrets of another key.
    #[error("the server's key {} is not the one that the database was used with", path.display())]
    Wrong {
        /// Where the key is.
        path: PathBuf,
    },
    /// The database does not say which key it was used with.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        match self {
            KeyError::Read { .. } => "secret-key-unreadable",
            KeyError::Exposed { .. } => "secret-key-exposed",
            KeyError::Malformed { .. } => "secret-key-malformed",
            KeyError::Make { .. } => "secret-key-not-made",
            KeyError::Missing { .. } => "secret-key-missing",
            KeyError::Wrong { .. } => "secret-key-wrong",
            KeyError::Database(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            KeyError::Read { .. } => "Give it to the server's user.",
            KeyError::Exposed { .. } => {
                "Take the rights of others away (chmod 600); if somebody may have read it, change the passwords \
                 that the connector configurations hold."
            }
            KeyError::Malformed { .. } => "Put the right file there, from a backup or another server.",
            KeyError::Make { .. } => {
                "Check that the server's user may write there and that the disk is not full."
            }
            KeyError::Missing { .. } | KeyError::Wrong { .. } => {
                "Put the key there that the database was used with: from a backup, or from another server that \
                 uses it."
            }
            KeyError::Database(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

/// The master key and where it is: the credential `lamina-key` in systemd's directory of credentials, else the file
/// `secret.key` in the server's directory, else nowhere.
pub fn find(directory: &Path, credentials: Option<&Path>) -> Result<(PathBuf, Option<MasterKey>), KeyError> {
    if let Some(path) = credentials.map(|credentials| credentials.join(CREDENTIAL)) {
        // Who may read a credential is systemd's business, and its mode does not tell.
        if let Some(key) = read(&path, |_| Ok(()))? {
            return Ok((path, Some(key)));
        }
    }
    let path = directory.join(FILE);
    let key = read(&path, |file| {
        let mode = file.metadata().map_err(|source| KeyError::Read { path: path.clone(), source })?;
        match mode.permissions().mode() & 0o077 {
            0 => Ok(()),
            _ => Err(KeyError::Exposed { path: path.clone() }),
        }
    })?;
    Ok((path, key))
}

/// Makes a key in the server's directory, readable by its owner only. When it returns, the key survives a power cut. One
/// that another server has made meanwhile is taken.
pub fn make(directory: &Path) -> Result<(PathBuf, MasterKey), KeyError> {
    let path = directory.join(FILE);
    let failed = |source| KeyError::Make { path: path.clone(), source };
    let mut key = Zeroizing::new([0; KEY]);
    fill_random(&mut key[..]);
    let text = Zeroizing::new(STANDARD.encode(&key[..]) + "\n");
    // A temporary file has the mode 600.
    let mut file = tempfile::Builder::new().prefix(".secret.key-").tempfile_in(directory).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.error)),
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    match find(directory, None)? {
        (path, Some(key)) => Ok((path, key)),
        (path, None) => Err(KeyError::Make { path, source: io::ErrorKind::NotFound.into() }),
    }
}

/// The key in a file that passes a check; `None` when there is no file.
fn read(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), KeyError>,
) -> Result<Option<MasterKey>, KeyError> {
    let unreadable = |source| KeyError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    check(&file)?;
    // Long enough from the beginning: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64).read_to_end(&mut text).map_err(unreadable)?;
    let malformed = || KeyError::Malformed { path: path.to_owned() };
    let mut bytes = Zeroizing::new([0; KEY]);
    // One byte more than a key tells a longer text.
    let mut decoded = Zeroizing::new([0; KEY + 4]);
    let length = STANDARD.decode_slice(text.trim_ascii(), &mut decoded[..]).map_err(|_| malformed())?;
    if length != KEY {
        return Err(malformed());
    }
    bytes.copy_from_slice(&decoded[..KEY]);
    Ok(Some(MasterKey::new(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(find(directory.path(), None).unwrap().1.is_none());
        let (path, made) = make(directory.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        let again = make(directory.path()).unwrap().1;
        let found = find(directory.path(), None).unwrap().1.unwrap();
        assert_eq!(again.fingerprint(), made.fingerprint());
        assert_eq!(found.fingerprint(), made.fingerprint());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, _) = make(directory.path()).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            set_mode(&path, mode);
            assert_eq!(find(directory.path(), None).unwrap_err().code(), "secret-key-exposed");
        }
        set_mode(&path, 0o400);
        assert!(find(directory.path(), None).unwrap().1.is_some());
    }

    #[test]
    fn a_credential_goes_before_the_file_and_a_file_that_holds_no_key_is_refused() {
        let (directory, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, made) = make(directory.path()).unwrap();
        let found = |credentials: &Path| find(directory.path(), Some(credentials)).map(|found| found.0);
        assert_eq!(found(credentials.path()).unwrap(), path, "without a credential");
        let credential = credentials.path().join(CREDENTIAL);
        for bad in [String::new(), "AAAA".to_owned(), STANDARD.encode([7; 33]), "A".repeat(5000)] {
            std::fs::write(&credential, bad).unwrap();
            assert_eq!(found(credentials.path()).unwrap_err().code(), "secret-key-malformed");
        }
        std::fs::write(&credential, STANDARD.encode([7; KEY])).unwrap();
        let (path, key) = find(directory.path(), Some(credentials.path())).unwrap();
        assert_eq!(path, credential);
        assert_ne!(key.unwrap().fingerprint(), made.fingerprint());
    }
}
