//! What can go wrong with a volume.

use operation::Explain;
use std::io;

/// Result of volume operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a volume could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The volume is in a state, or of a kind, that Lamina does not touch.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// On-disk structures contradict each other or their specification.
    #[error("the file system is damaged: {what} ({place})")]
    Corrupt {
        /// Which rule is broken, in plain words.
        what: String,
        /// Where: record number, path or offset.
        place: String,
    },
    /// The file system cannot hold this.
    #[error("{what} cannot be stored in this file system: {reason}")]
    NotExpressible {
        /// The node or property.
        what: String,
        /// Why.
        reason: String,
    },
    /// The volume has no room left.
    #[error("the volume is full: {needed} more bytes are needed for {what}")]
    Full {
        /// What was being made.
        what: String,
        /// Bytes.
        needed: u64,
    },
    /// The file-system library refused a call.
    #[error("{operation} failed on {what}: {source}")]
    Library {
        /// What was being done, such as `create file`.
        operation: &'static str,
        /// On which node.
        what: String,
        /// The library's reason.
        source: io::Error,
    },
    /// Reading or writing the device failed.
    #[error("cannot access the volume: {0}")]
    Device(#[from] io::Error),
}

/// States and kinds of volumes that are refused; each is the administrator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The boot sector is not that of the expected file system.
    #[error("there is no {expected} file system here")]
    NotThisFileSystem {
        /// Name of the file system.
        expected: &'static str,
    },
    /// BitLocker's signature instead of NTFS's.
    #[error("the volume is encrypted with BitLocker")]
    BitLocker,
    /// The log holds changes that were not applied.
    #[error("the volume was not shut down cleanly: its log ($LogFile) holds changes that were never applied")]
    UncleanLog,
    /// Hibernation or fast start-up left a session behind.
    #[error("Windows is hibernated on this volume (hibernation or fast start-up): {evidence}")]
    Hibernated {
        /// The file or field that says so.
        evidence: String,
    },
    /// The volume asks for a check.
    #[error("the volume is marked dirty: Windows wants to check it (chkdsk) at the next start")]
    Dirty,
    /// Files whose contents are not on the volume.
    #[error("the contents of {path} are not on the volume ({kind})")]
    Placeholder {
        /// Example path.
        path: String,
        /// `data deduplication`, `cloud file` ...
        kind: String,
    },
    /// Logical sectors of another size.
    #[error("the disk has {bytes}-byte logical sectors; only 512-byte ones are supported")]
    SectorSize {
        /// Bytes.
        bytes: u32,
    },
    /// A version or feature that the reader does not know.
    #[error("the file system uses {feature}, which Lamina does not support")]
    Feature {
        /// Which.
        feature: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Refused(refusal) => refusal.code(),
            Error::Corrupt { .. } => "volume-corrupt",
            Error::NotExpressible { .. } => "volume-not-expressible",
            Error::Full { .. } => "volume-full",
            Error::Library { .. } => "volume-library",
            Error::Device(_) => "volume-device",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Refused(refusal) => refusal.hint(),
            Error::Corrupt { .. } => {
                Some("Boot the machine, run chkdsk on the volume, shut down fully and try again.".into())
            }
            Error::Full { .. } => Some("Choose a larger image size.".into()),
            Error::NotExpressible { .. } | Error::Library { .. } | Error::Device(_) => None,
        }
    }
}

impl Explain for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::NotThisFileSystem { .. } => "volume-unknown",
            Refusal::BitLocker => "volume-bitlocker",
            Refusal::UncleanLog => "volume-unclean-log",
            Refusal::Hibernated { .. } => "volume-hibernated",
            Refusal::Dirty => "volume-dirty",
            Refusal::Placeholder { .. } => "volume-placeholder",
            Refusal::SectorSize { .. } => "volume-sector-size",
            Refusal::Feature { .. } => "volume-feature",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Refusal::NotThisFileSystem { .. } => return None,
            Refusal::BitLocker => {
                "Turn BitLocker off in Windows (manage-bde -off C:), wait until decryption has finished, shut down and try again."
            }
            Refusal::UncleanLog => "Start the machine once more and shut it down fully (shutdown /s /t 0).",
            Refusal::Hibernated { .. } => {
                "Start the machine, turn hibernation off (powercfg /h off) and shut it down fully (shutdown /s /t 0)."
            }
            Refusal::Dirty => "Start the machine, let chkdsk finish and shut it down fully.",
            Refusal::Placeholder { .. } => {
                "Make the contents local (turn data deduplication off and rehydrate, or set the cloud folder to always keep on this device) and shut down."
            }
            Refusal::SectorSize { .. } => "Convert the disk to 512-byte logical sectors (512e).",
            Refusal::Feature { .. } => return None,
        };
        Some(text.to_owned())
    }
}
