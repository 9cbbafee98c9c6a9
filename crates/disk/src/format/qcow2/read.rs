//! Reading QCOW2 images with imago.

use super::check::check;
use crate::format::image_file::ImageFile;
use crate::format::raw::check_bounds;
use crate::format::{Error, Format, OpenOptions, OpenedDisk, Result, qemu_img};
use crate::{ByteSource, FileRegion};
use imago::file::File;
use imago::format::access::Mapping;
use imago::format::gate::ImplicitOpenGate;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Storage, StorageOpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Images in a chain of backing files. A chain that is longer is taken for a cycle.
const MAX_CHAIN: usize = 64;

pub(in crate::format) fn open(file: ImageFile, options: &OpenOptions) -> Result<OpenedDisk> {
    let checked = check(&file, options)?;
    if let Some(feature) = checked.needs_conversion {
        return qemu_img::convert(&file, Format::Qcow2, feature, options);
    }
    let fail = |source: io::Error| Error::Corrupt {
        path: file.path().to_owned(),
        format: Format::Qcow2,
        what: source.to_string(),
    };
    let clone =
        file.file().try_clone().map_err(|source| Error::Read { path: file.path().to_owned(), source })?;
    let storage = File::from_open_file(clone, StorageOpenOptions::new().filename(file.path()).write(false))
        .map_err(fail)?;
    let builder = Qcow2::<File>::builder(storage);
    let image = match options.allow_backing {
        true => builder.open(ChainGate(MAX_CHAIN)),
        false => builder.open(DenyImplicitOpenGate::default()),
    };
    let image = FormatAccess::new(image.map_err(fail)?);
    if image.size() != checked.disk {
        return Err(file.corrupt("two readers disagree about the length of the disk"));
    }
    let source = Qcow2Source { image, plain: (!checked.has_backing).then_some(file), len: checked.disk };
    Ok(OpenedDisk { source: Arc::new(source), format: Format::Qcow2, warnings: Vec::new() })
}

/// Opens what an image refers to, as long as the chain does not grow too long.
struct ChainGate(usize);

impl ImplicitOpenGate<File> for ChainGate {
    fn open_format<F: FormatDriverBuilder<File>>(&mut self, builder: F) -> io::Result<FormatAccess<File>> {
        let left = self.0.checked_sub(1).ok_or_else(|| {
            io::Error::other(format!(
                "the chain of backing files is a cycle or has more than {MAX_CHAIN} images"
            ))
        })?;
        Ok(FormatAccess::new(builder.open(ChainGate(left))?))
    }

    fn open_storage(&mut self, options: StorageOpenOptions) -> io::Result<File> {
        File::open(options.write(false))
    }
}

/// The disk in a QCOW2.
struct Qcow2Source {
    image: FormatAccess<File>,
    /// The image file where everything is in it.
    plain: Option<ImageFile>,
    len: u64,
}

/// What a range of the disk is.
enum Content {
    Zeros,
    /// Plainly in the image file at this offset (bytes).
    Plain(u64),
    /// To be had from imago only.
    Other,
}

impl Qcow2Source {
    /// What the disk has at `offset`, and for how many bytes, at most `max`.
    fn content(&self, offset: u64, max: u64) -> io::Result<(Content, u64)> {
        let (mapping, len) = self.image.get_mapping(offset, max)?;
        let len = len.min(max);
        if len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("nothing is mapped at byte {offset}"),
            ));
        }
        let content = match mapping {
            Mapping::Zero { .. } => Content::Zeros,
            Mapping::Raw { offset, .. } if self.plain.is_some() => Content::Plain(offset),
            _ => Content::Other,
        };
        Ok((content, len))
    }
}

impl ByteSource for Qcow2Source {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        while !buf.is_empty() {
            let (content, len) = self.content(offset, buf.len() as u64)?;
            let (part, rest) = std::mem::take(&mut buf).split_at_mut(len as usize);
            match (content, &self.plain) {
                (Content::Zeros, _) => part.fill(0),
                (Content::Plain(at), Some(file)) => file.file().read_exact_at(part, at)?,
                _ => self.image.read(part, offset)?,
            }
            offset += len;
            buf = rest;
        }
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let mut start = from;
        while start < self.len {
            let (content, len) = self.content(start, self.len - start)?;
            if !matches!(content, Content::Zeros) {
                return Ok(Some(start..start + len));
            }
            start += len;
        }
        Ok(None)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_bounds(self.len, offset, usize::try_from(len).ok()?).ok()?;
        let file = self.plain.as_ref()?;
        match self.content(offset, len).ok()? {
            (Content::Plain(at), found) if found == len => Some(FileRegion { file: file.file(), offset: at }),
            _ => None,
        }
    }
}
