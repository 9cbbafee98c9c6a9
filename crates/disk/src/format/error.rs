//! What can go wrong with a disk image file.

use super::Format;
use operation::Explain;
use std::io;
use std::path::PathBuf;

/// Code of [`Error::ConverterForbidden`]: whoever may start programs can open the image.
pub const CONVERTER_FORBIDDEN: &str = "image-converter-forbidden";

/// Result of reading and writing disk images.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image could not be opened or exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to open or read the file.
    #[error("cannot read the disk image {}: {source}", path.display())]
    Read {
        /// The image file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file ends before something that it says it contains.
    #[error(
        "the {format} image {} is truncated: {what} needs {needed} bytes, but the file has {len}",
        path.display()
    )]
    Truncated {
        /// The image file.
        path: PathBuf,
        /// What the file was recognised as.
        format: Format,
        /// Which structure is cut off.
        what: String,
        /// How long the file would have to be, bytes.
        needed: u64,
        /// How long it is, bytes.
        len: u64,
    },
    /// The structures of the image contradict each other or their specification.
    #[error("the {format} image {} is corrupt: {what}", path.display())]
    Corrupt {
        /// The image file.
        path: PathBuf,
        /// What the file was recognised as.
        format: Format,
        /// Which rule is broken, with the numbers that break it.
        what: String,
    },
    /// The image takes a part of its contents from other files, and the caller did not allow that.
    #[error("the {format} image {} refers to another file: {what}", path.display())]
    Backing {
        /// The image file.
        path: PathBuf,
        /// What the file was recognised as.
        format: Format,
        /// The reference.
        what: String,
    },
    /// The image holds only the differences from a parent.
    #[error("the {format} image {} is a differencing disk: it holds only changes to its parent", path.display())]
    Differencing {
        /// The image file.
        path: PathBuf,
        /// What the file was recognised as.
        format: Format,
    },
    /// The disk has logical sectors of another size than 512 bytes.
    #[error("the disk in {} has logical sectors of {sector} bytes; only 512 are supported", path.display())]
    SectorSize {
        /// The image file.
        path: PathBuf,
        /// Bytes.
        sector: u32,
    },
    /// The image uses a format or a feature that Lamina does not read.
    #[error("{} cannot be read: {what}", path.display())]
    Unsupported {
        /// The image file.
        path: PathBuf,
        /// The format or feature.
        what: String,
    },
    /// The external converter is missing or failed.
    #[error("{} cannot be converted with qemu-img: {reason}", path.display())]
    Converter {
        /// The image file.
        path: PathBuf,
        /// What the converter, or the attempt to start it, said.
        reason: String,
    },
    /// The external converter may not be started by this process.
    #[error(
        "{} has to be converted with qemu-img because of its {feature}, and this process may not start that",
        path.display()
    )]
    ConverterForbidden {
        /// The image file.
        path: PathBuf,
        /// What of the image makes it necessary.
        feature: &'static str,
    },
    /// The target exists and may not be replaced.
    #[error("{} exists already", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target's file system is full, or the quota is used up.
    #[error("there is no room for {}: {source}", path.display())]
    NoRoom {
        /// The target.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The target could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The target.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The disk that was to be exported could not be read.
    #[error("cannot read the disk at byte {offset}: {source}")]
    Source {
        /// Where on the disk, bytes.
        offset: u64,
        /// The source's reason.
        source: io::Error,
    },
    /// The format cannot hold this disk.
    #[error("a disk of {len} bytes cannot be written as {format}: {reason}")]
    Limit {
        /// The format.
        format: Format,
        /// Length of the disk, bytes.
        len: u64,
        /// Which limit, in plain words.
        reason: String,
    },
    /// The caller asked to stop. Nothing was left behind.
    #[error("the export was cancelled")]
    Cancelled,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Read { .. } => "image-unreadable",
            Error::Truncated { .. } => "image-truncated",
            Error::Corrupt { .. } => "image-corrupt",
            Error::Backing { .. } => "image-backing-file",
            Error::Differencing { .. } => "image-differencing",
            Error::SectorSize { .. } => "image-sector-size",
            Error::Unsupported { .. } => "image-unsupported",
            Error::Converter { .. } => "image-converter",
            Error::ConverterForbidden { .. } => CONVERTER_FORBIDDEN,
            Error::Exists { .. } => "export-target-exists",
            Error::NoRoom { .. } => "export-no-room",
            Error::Write { .. } => "export-unwritable",
            Error::Source { .. } => "export-source-unreadable",
            Error::Limit { .. } => "export-format-limit",
            Error::Cancelled => "cancelled",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Error::Truncated { .. } => "Copy or download the image again and compare its length with the original.",
                Error::Corrupt { .. } => {
                    "Take the image again from where it came from; `qemu-img check` may say more about the damage."
                }
                Error::Backing { .. } => {
                    "Flatten the image first, for example with `qemu-img convert`, or allow backing files (--allow-backing) if you trust it."
                }
                Error::Differencing { .. } => {
                    "Merge the disk with its parent first, for example by exporting the virtual machine."
                }
                Error::SectorSize { .. } => "Convert the disk to one with 512-byte logical sectors.",
                Error::Unsupported { .. } => "Convert the image to raw, VHD, VHDX, QCOW2 or VMDK first.",
                Error::Converter { .. } => "Install qemu-img (Debian package qemu-utils), or convert the image to raw.",
                Error::ConverterForbidden { .. } => {
                    "Make qemu-img executable for this process, or convert the image to raw."
                }
                Error::Exists { .. } => "Choose another name, or remove the file first.",
                Error::NoRoom { .. } => "Free some space or choose another place; nothing was left behind.",
                Error::Limit { .. } => "Choose another format or a smaller disk.",
                Error::Read { .. } | Error::Write { .. } | Error::Source { .. } | Error::Cancelled => return None,
            }
            .to_owned(),
        )
    }
}
