//! Why an operation of a connector failed or was refused.

use crate::field::FieldError;
use crate::name::NameRefused;
use operation::Explain;
use std::io;
use std::path::PathBuf;

/// Result of the operations of connectors.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation of a connector failed or was refused. `place` is the share or platform as a person would write it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is not valid.
    #[error("the connector configuration is not valid: {}", list(.0))]
    Fields(Vec<FieldError>),
    /// The name cannot be one of a disk.
    #[error(transparent)]
    Name(#[from] NameRefused),
    /// The connector does not do this.
    #[error("{place} cannot {what}")]
    Unsupported {
        /// Which connector.
        place: String,
        /// What was asked.
        what: &'static str,
    },
    /// The platform does not accept user and password.
    #[error("{place} refused the credentials of {user}: {reason}")]
    Credentials {
        /// Which place.
        place: String,
        /// Whose.
        user: String,
        /// In the words of the platform.
        reason: String,
    },
    /// The platform takes the user for somebody who may not do this.
    #[error("access to {what} on {place} was denied: {reason}")]
    Denied {
        /// Which place.
        place: String,
        /// What was to be read or changed.
        what: String,
        /// In the words of the platform.
        reason: String,
    },
    /// The platform cannot be reached.
    #[error("{place} cannot be reached: {reason}")]
    Unreachable {
        /// Which place.
        place: String,
        /// Why.
        reason: String,
    },
    /// The platform has an address that users' configurations may not lead to.
    #[error("{place} may not be reached: {reason}")]
    Forbidden {
        /// Which place.
        place: String,
        /// Why.
        reason: String,
    },
    /// The platform was there and is not any more, or does not answer.
    #[error("the connection to {place} was lost: {reason}")]
    Lost {
        /// Which place.
        place: String,
        /// How it was noticed.
        reason: String,
    },
    /// The platform can be reached, the share or folder in it does not exist.
    #[error("{place} cannot be found: {reason}")]
    NoShare {
        /// Which place.
        place: String,
        /// In the words of the platform.
        reason: String,
    },
    /// The connection would not be protected as the configuration demands.
    #[error("the connection to {place} is not protected: {reason}")]
    Unprotected {
        /// Which place.
        place: String,
        /// What is lacking.
        reason: String,
    },
    /// There is no such disk.
    #[error("there is no {name} on {place}")]
    NoDisk {
        /// Which place.
        place: String,
        /// Which disk.
        name: String,
    },
    /// A symbolic link, a folder or a device where a file should be.
    #[error("{name} on {place} is not an ordinary file in an ordinary folder: {reason}")]
    NotPlain {
        /// Which place.
        place: String,
        /// Which name.
        name: String,
        /// What it is.
        reason: &'static str,
    },
    /// Somebody has the disk open.
    #[error("{name} on {place} is in use: {reason}")]
    InUse {
        /// Which place.
        place: String,
        /// Which disk.
        name: String,
        /// How that is known.
        reason: String,
    },
    /// The disk is not the one that it was before.
    #[error("{name} on {place} is not the file that it was: {reason}")]
    Changed {
        /// Which place.
        place: String,
        /// Which disk.
        name: String,
        /// What differs.
        reason: &'static str,
    },
    /// Another file has the name.
    #[error("{place} already has a file {name}, which this operation did not write")]
    Taken {
        /// Which place.
        place: String,
        /// Which name.
        name: String,
    },
    /// No room is left.
    #[error("there is no room left for {what}")]
    NoRoom {
        /// Which file, where.
        what: String,
    },
    /// The disk is longer than any that is handled.
    #[error("{name} on {place} is {bytes} bytes long; the longest disk that is handled has {most}")]
    TooLarge {
        /// Which place.
        place: String,
        /// Which disk.
        name: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// A folder holds more files than are handled.
    #[error("{folder} on {place} holds more than {most} files and folders")]
    FolderTooLarge {
        /// Which place.
        place: String,
        /// Which folder.
        folder: String,
        /// The limit.
        most: usize,
    },
    /// The file to deliver is not there.
    #[error("there is no file {path} to deliver")]
    NothingToDeliver {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A connector's own note on the platform is not what it should be.
    #[error("the note {name} on {place} is damaged: {reason}")]
    Note {
        /// Which place.
        place: String,
        /// Which file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The platform answers something that makes no sense.
    #[error("{place} gave an answer that cannot be used while {doing}: {reason}")]
    Answer {
        /// Which place.
        place: String,
        /// What was being done.
        doing: String,
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was being done, on what.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A fault that a test asked for.
    #[error("simulated fault {when} {operation}")]
    Simulated {
        /// Which operation.
        operation: &'static str,
        /// `before` or `after` its effect.
        when: &'static str,
    },
}

fn list(errors: &[FieldError]) -> String {
    let lines: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    lines.join("; ")
}

impl Error {
    /// Whether the same operation may succeed later without anybody changing anything: worth a retry.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Lost { .. } | Error::Simulated { .. })
    }

    /// The failure of a local system call while `doing`, on the file `what`.
    pub(crate) fn io(doing: impl Into<String>, what: impl Into<String>, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoRoom { what: what.into() },
            _ => Error::Io { doing: doing.into(), source },
        }
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Fields(_) => "connector-fields-invalid",
            Error::Name(_) => "disk-name-refused",
            Error::Unsupported { .. } => "connector-unsupported",
            Error::Credentials { .. } => "connector-credentials-refused",
            Error::Denied { .. } => "connector-access-denied",
            Error::Unreachable { .. } => "connector-unreachable",
            Error::Forbidden { .. } => "connector-address-forbidden",
            Error::Lost { .. } => "connector-connection-lost",
            Error::NoShare { .. } => "share-not-found",
            Error::Unprotected { .. } => "connector-unprotected",
            Error::NoDisk { .. } => "disk-not-found",
            Error::NotPlain { .. } => "disk-not-plain",
            Error::InUse { .. } => "disk-in-use",
            Error::Changed { .. } => "disk-changed",
            Error::Taken { .. } => "disk-name-taken",
            Error::NoRoom { .. } => "no-room",
            Error::TooLarge { .. } => "disk-too-large",
            Error::FolderTooLarge { .. } => "folder-too-large",
            Error::NothingToDeliver { .. } => "nothing-to-deliver",
            Error::Note { .. } => "connector-note-damaged",
            Error::Answer { .. } => "connector-answer-unusable",
            Error::Io { .. } => "connector-io",
            Error::Cancelled => "cancelled",
            Error::Simulated { .. } => "simulated-fault",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Fields(_) => "Correct the fields and save the configuration again.",
            Error::Name(_) => "Choose a plain file name such as `office-2.vhdx`.",
            Error::Unsupported { .. } => "Choose a connector configuration that offers this.",
            Error::Credentials { .. } => {
                "Enter user and password again; see whether the account is locked or its password has expired."
            }
            Error::Denied { .. } => {
                "Give the account the right to list, create, rename, change and delete files there."
            }
            Error::Unreachable { .. } => "See whether the name and port are right and the server is running.",
            Error::Forbidden { .. } => {
                "Give the name of the file server itself; link-local addresses are reached only if the server was started with --allow-link-local."
            }
            Error::Lost { .. } => "Run the task again; it goes on where it was interrupted.",
            Error::NoShare { .. } => "See whether the share or folder was renamed, removed or not mounted.",
            Error::Unprotected { .. } => {
                "Let the server speak SMB 3.1.1 with encryption, or choose the protection `signed` in the configuration."
            }
            Error::NoDisk { .. } => {
                "See whether the file was moved or renamed, and put it back under that name."
            }
            Error::NotPlain { .. } => "Put the disk itself there; links are not followed.",
            Error::InUse { .. } => {
                "Shut the machine down that uses the disk, or wait until the copy is complete."
            }
            Error::Changed { .. } => "See who changed it, and start the task again.",
            Error::Taken { .. } => "Choose another name, or move the other file away.",
            Error::NoRoom { .. } => "Free some room and run the task again.",
            Error::TooLarge { .. } => "See whether this is the right file.",
            Error::FolderTooLarge { .. } => {
                "See whether this is the right folder; it should hold layers only."
            }
            Error::NothingToDeliver { .. } => "Run the task again from its beginning.",
            Error::Note { .. } => {
                "See what is in the folder, remove it when nothing in it is needed, and start again."
            }
            Error::Answer { .. } => "Look at the server's own log; if it seems healthy, report this.",
            Error::Io { .. } | Error::Cancelled | Error::Simulated { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
