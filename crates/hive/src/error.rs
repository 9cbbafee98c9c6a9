//! Why a hive cannot be read or written.

use operation::Explain;

/// Result of hive operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a hive cannot be read or written. Offsets are bytes from the start of the hive's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is something else.
    #[error("this is no registry hive: {reason}")]
    NotAHive {
        /// What is missing.
        reason: &'static str,
    },
    /// A kind or version of hive that is not supported.
    #[error("this registry hive has {what}, which is not supported")]
    Unsupported {
        /// Which.
        what: String,
    },
    /// A rule of the format is broken.
    #[error("the registry hive is damaged at byte {offset}: {rule}")]
    Damaged {
        /// Where, bytes from the start of the file.
        offset: u64,
        /// Which rule is broken.
        rule: &'static str,
    },
    /// The last write was not completed and no log completes it.
    #[error(
        "the registry hive was not written completely (its sequence numbers are {primary} and {secondary}, its \
         checksum is {}) and no log completes it: {logs}", if *.checksum { "right" } else { "wrong" }
    )]
    Dirty {
        /// The sequence number that the last write began with.
        primary: u32,
        /// The sequence number of the last write that was completed.
        secondary: u32,
        /// Whether the checksum of its first block is right.
        checksum: bool,
        /// Why each log does not serve.
        logs: String,
    },
    /// What shall be written does not fit into the format.
    #[error("the registry hive cannot hold {what}: {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        limit: &'static str,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NotAHive { .. } => "hive-unknown",
            Error::Unsupported { .. } => "hive-unsupported",
            Error::Damaged { .. } => "hive-damaged",
            Error::Dirty { .. } => "hive-dirty",
            Error::TooLarge { .. } => "hive-too-large",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Error::NotAHive { .. } | Error::Damaged { .. } => {
                "Start the machine; Windows repairs or restores the hive. Shut down fully and try again."
            }
            Error::Dirty { .. } => "Start the machine once more and shut it down fully (shutdown /s /t 0).",
            Error::Unsupported { .. } | Error::TooLarge { .. } => return None,
        };
        Some(text.to_owned())
    }
}
