//! Why there is no certificate to show.

use crate::db::DbError;
use crate::secrets::SecretError;
use operation::Explain;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no certificate to show.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file of the certificate cannot be read.
    #[error("the file {} of the certificate cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key cannot be used.
    #[error("the certificate {} with the key {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A certificate cannot be made for these names.
    #[error("a certificate for {names} cannot be made: {reason}")]
    Make {
        /// Names and addresses.
        names: String,
        /// Why.
        reason: String,
    },
    /// The authority's certificate cannot be written for people to take.
    #[error("the authority's certificate {} cannot be written", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The authority cannot be read from the database.
    #[error("the key of the server's certificates cannot be opened: {0}")]
    Sealed(#[from] SecretError),
    /// The authority in the database is damaged.
    #[error("the authority of the server's certificates is damaged in the database")]
    Damaged,
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Explain for TlsError {
    fn code(&self) -> &'static str {
        match self {
            TlsError::Read { .. } => "certificate-unreadable",
            TlsError::Malformed { .. } => "certificate-malformed",
            TlsError::Unusable { .. } => "certificate-unusable",
            TlsError::Make { .. } => "certificate-not-made",
            TlsError::Write { .. } => "certificate-not-written",
            TlsError::Sealed(error) => error.code(),
            TlsError::Damaged => "certificate-authority-damaged",
            TlsError::Database(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            TlsError::Read { .. } => "Check the path, and give the file to the server's user.",
            TlsError::Malformed { .. } => {
                "Give the certificate, with those that lead to its authority, and its key as PEM files."
            }
            TlsError::Unusable { .. } => "Check that the key is the one that the certificate was made for.",
            TlsError::Make { .. } => "Check the names that were given with --host-name.",
            TlsError::Write { .. } => {
                "Check that the server's user may write there and that the disk is not full."
            }
            TlsError::Damaged => "Restore a backup, or start with a certificate of your own.",
            TlsError::Sealed(error) => return error.hint(),
            TlsError::Database(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
