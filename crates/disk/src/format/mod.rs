//! Disk image files: reading and writing raw, VHD, VHDX, QCOW2 and VMDK.
//!
//! [`open`] recognises an image by its contents and gives its disk as a [`ByteSource`]; [`export()`] writes the disk of
//! any source as an image, in one pass and without writing zeros. An image comes from anywhere: nothing in it is
//! believed before it was checked, and no length in it makes anything allocate more than the file can justify.
//!
//! Deliberately missing: writing into existing images, differencing disks, encryption, internal snapshots.

mod backing;
mod block_table;
mod detect;
mod error;
mod export;
mod fields;
mod image_file;
mod qcow2;
mod qemu_img;
mod raw;
mod vhd;
mod vhdx;
mod vmdk;

pub use error::{CONVERTER_FORBIDDEN, Error, Result};
pub use export::{ExportOptions, ExportReport, export};

use crate::ByteSource;
use image_file::ImageFile;
use operation::{Progress, Silent};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// What the name of a file begins with that the process `id` has not finished writing, beside the place where it
/// will be. Whoever has killed the process may remove such files.
pub fn part_prefix(id: u32) -> String {
    format!(".export-{id}-")
}

/// What the name of such a file ends with.
pub const PART_SUFFIX: &str = ".part";

/// The largest disk that is read or written, in bytes: 64 TiB, what VHDX can hold.
pub const MAX_DISK: u64 = 64 << 40;

/// A disk image format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The bytes of the disk and nothing else.
    Raw,
    /// Fixed VHD: the bytes of the disk and a footer; what Azure takes.
    Vhd,
    /// Dynamic VHD: allocated in blocks.
    VhdDynamic,
    /// Dynamic or fixed VHDX.
    Vhdx,
    /// QCOW2.
    Qcow2,
    /// VMDK; written as streamOptimized.
    Vmdk,
}

impl Format {
    /// All formats, in the order in which they are offered.
    pub const ALL: [Format; 6] =
        [Format::Raw, Format::Vhd, Format::VhdDynamic, Format::Vhdx, Format::Qcow2, Format::Vmdk];

    /// The name that commands and messages use, such as `vhd-dynamic`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Vhd => "vhd",
            Format::VhdDynamic => "vhd-dynamic",
            Format::Vhdx => "vhdx",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not that of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a disk image format; there are raw, vhd, vhd-dynamic, vhdx, qcow2 and vmdk")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> std::result::Result<Format, UnknownFormat> {
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// How to open an image.
#[derive(Clone, Copy)]
pub struct OpenOptions<'a> {
    /// Whether the image may take contents from other files that it names (backing files, external data files,
    /// extents of a VMDK). Only for images that one trusts: they can name any file.
    pub allow_backing: bool,
    /// Where formats that are only read by conversion keep the converted disk, sparse and without a name, until the
    /// source is dropped. The default is the directory of the image.
    pub scratch: Option<&'a Path>,
    /// What is told how a conversion goes on, and can stop it.
    pub progress: &'a dyn Progress,
}

impl Default for OpenOptions<'_> {
    fn default() -> Self {
        OpenOptions { allow_backing: false, scratch: None, progress: &Silent }
    }
}

/// An image that was opened.
pub struct OpenedDisk {
    /// The disk in the image.
    pub source: Arc<dyn ByteSource>,
    /// What the image was recognised as.
    pub format: Format,
    /// What is not as it should be, without harm to the contents.
    pub warnings: Vec<Warning>,
}

impl fmt::Debug for OpenedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedDisk")
            .field("len", &self.source.len())
            .field("format", &self.format)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Something about an image that is not as it should be, without harm to its contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// One of two copies of a structure is damaged; the other was used.
    #[error("one copy of the {0} is damaged; the other one was used")]
    CopyDamaged(&'static str),
    /// The image was not closed properly; what its log holds was read as if it had been applied.
    #[error("the image was not closed properly; {entries} entries of its log were applied in memory")]
    LogReplayed {
        /// How many.
        entries: usize,
    },
    /// The disk was read by converting the image with an external program.
    #[error("the image was converted with qemu-img because of its {0}")]
    Converted(&'static str),
}

/// Opens the disk image at `path`. It is recognised by its contents, never by its name; what looks like no image
/// format is raw.
///
/// # Errors
/// Everything of [`Error`] that is about reading: see there. Nothing is ever written to the image.
pub fn open(path: &Path, options: &OpenOptions<'_>) -> Result<OpenedDisk> {
    let file = ImageFile::open(path)?;
    match detect::recognise(&file)? {
        detect::Kind::Raw => raw::open(file),
        detect::Kind::VhdFixed(footer) => vhd::open_fixed(file.recognised(Format::Vhd), &footer),
        detect::Kind::VhdDynamic => vhd::open_dynamic(file.recognised(Format::VhdDynamic)),
        detect::Kind::Vhdx => vhdx::open(file.recognised(Format::Vhdx)),
        detect::Kind::Qcow2 => qcow2::open(file.recognised(Format::Qcow2), options),
        detect::Kind::Vmdk => vmdk::open(file.recognised(Format::Vmdk), options),
        detect::Kind::Foreign(name) => Err(file.unsupported(format!("it is a {name}"))),
    }
}

/// Refuses disks that are longer than [`MAX_DISK`] or no whole number of sectors.
fn check_disk_len(file: &ImageFile, len: u64) -> Result<()> {
    if len > MAX_DISK {
        return Err(file.unsupported(format!("its disk is said to have {len} bytes, more than 64 TiB")));
    }
    if !len.is_multiple_of(crate::SECTOR) {
        return Err(
            file.corrupt(format!("the length of the disk, {len} bytes, is no whole number of sectors"))
        );
    }
    Ok(())
}
