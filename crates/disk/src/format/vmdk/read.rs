//! Reading sparse extents: monolithicSparse and streamOptimized.

use super::*;
use crate::format::fields::{le_u16, le_u32, le_u64};
use crate::format::image_file::ImageFile;
use crate::format::raw::check_bounds;
use crate::format::{Error, Format, OpenOptions, OpenedDisk, Result, check_disk_len, qemu_img};
use crate::{ByteSource, FileRegion};
use libdeflater::Decompressor;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Entries of a table that mean zeros: nothing allocated, and (with a flag of version 2) allocated as zeros.
const UNALLOCATED: u32 = 0;
const ZEROED: u32 = 1;
const FLAG_ZEROED: u32 = 1 << 2;
/// The descriptor that is read at most, bytes; QEMU writes 10 KiB.
const MAX_DESCRIPTOR: u64 = 1 << 20;
/// Bytes before the data of a compressed grain.
const MARKER_LEN: u64 = 12;

pub(in crate::format) fn open(file: ImageFile, options: &OpenOptions<'_>) -> Result<OpenedDisk> {
    let mut start = [0; 4];
    file.read(0, &mut start, "the header")?;
    if start != *MAGIC {
        return open_described(&file, "its contents are in the files that its descriptor names", options);
    }
    let mut header = Header::read(&file, 0)?;
    if header.capacity == 0 {
        // Such a file is only the carrier of a descriptor.
        return open_described(
            &file,
            "its contents are in the files that its embedded descriptor names",
            options,
        );
    }
    if let Some(reference) = parent(&file, &header)? {
        return open_described(&file, &reference, options);
    }
    if header.directory == DIRECTORY_AT_END {
        // The footer is the last sector but one, the end marker the last ([VMware] "Stream-Optimized").
        let at =
            file.len().checked_sub(2 * SECTOR).ok_or_else(|| file.truncated("the footer", 3 * SECTOR))?;
        let footer = Header::read(&file, at).map_err(|error| match error {
            // The stream was cut off somewhere before its footer.
            Error::Corrupt { .. } => file.truncated("the footer", file.len() + 2 * SECTOR),
            other => other,
        })?;
        let same =
            (footer.capacity, footer.grain, footer.flags) == (header.capacity, header.grain, header.flags);
        if !same || footer.directory == DIRECTORY_AT_END {
            return Err(file.corrupt("its footer contradicts its header"));
        }
        header.directory = footer.directory;
    }
    let source = SparseSource::new(file, &header)?;
    Ok(OpenedDisk { source: Arc::new(source), format: Format::Vmdk, warnings: Vec::new() })
}

/// Opens a disk that consists of several files, if that is allowed.
fn open_described(file: &ImageFile, reference: &str, options: &OpenOptions<'_>) -> Result<OpenedDisk> {
    match options.allow_backing {
        true => qemu_img::convert(file, Format::Vmdk, "references to other files", options),
        false => Err(file.backing(reference)),
    }
}

/// What the embedded descriptor says of a parent, in words.
fn parent(file: &ImageFile, header: &Header) -> Result<Option<String>> {
    let text = descriptor(file, header.descriptor_at, header.descriptor_len)?;
    if let Some(name) = value(&text, "parentFileNameHint") {
        return Ok(Some(format!("its parent is {name:?}")));
    }
    Ok(value(&text, "parentCID")
        .filter(|id| !id.eq_ignore_ascii_case("ffffffff"))
        .map(|id| format!("its parent has the content id {id}")))
}

/// The name of the parent, if the image has one.
pub(in crate::format) fn parent_name(file: &ImageFile) -> Result<Option<String>> {
    let mut start = [0; 4];
    file.read(0, &mut start, "the header")?;
    let text = if start == *MAGIC {
        let header = Header::read(file, 0)?;
        descriptor(file, header.descriptor_at, header.descriptor_len)?
    } else {
        descriptor(file, 0, file.len())?
    };
    Ok(value(&text, "parentFileNameHint"))
}

/// The text of a descriptor.
fn descriptor(file: &ImageFile, at: u64, len: u64) -> Result<String> {
    let mut text = vec![0; len.min(MAX_DESCRIPTOR) as usize];
    file.read(at, &mut text, "the descriptor")?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The value of a key of a descriptor.
fn value(text: &str, wanted: &str) -> Option<String> {
    text.lines().filter_map(|line| line.split_once('=')).find_map(|(key, value)| {
        key.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The header of a sparse extent. Offsets and lengths are bytes.
struct Header {
    flags: u32,
    capacity: u64,
    grain: u64,
    table_entries: u64,
    /// Where the directory is; [`DIRECTORY_AT_END`] is kept.
    directory: u64,
    descriptor_at: u64,
    descriptor_len: u64,
    compression: u16,
}

impl Header {
    fn read(file: &ImageFile, at: u64) -> Result<Header> {
        let mut buf = [0; SECTOR as usize];
        file.read(at, &mut buf, "the header")?;
        let corrupt = |what: String| Err(file.corrupt(what));
        if !buf.starts_with(MAGIC) {
            return corrupt(format!("there is no header at byte {at}"));
        }
        let bytes = |sectors: u64| match sectors.checked_mul(SECTOR) {
            Some(bytes) => Ok(bytes),
            None => Err(file.corrupt(format!("its header counts {sectors} sectors"))),
        };
        let header = Header {
            flags: le_u32(&buf, 8),
            capacity: bytes(le_u64(&buf, 12))?,
            grain: bytes(le_u64(&buf, 20))?,
            table_entries: u64::from(le_u32(&buf, 44)),
            directory: match le_u64(&buf, 56) {
                DIRECTORY_AT_END => DIRECTORY_AT_END,
                sectors => bytes(sectors)?,
            },
            descriptor_at: bytes(le_u64(&buf, 28))?,
            descriptor_len: bytes(le_u64(&buf, 36))?,
            compression: le_u16(&buf, 77),
        };
        let version = le_u32(&buf, 4);
        if !(1..=3).contains(&version) {
            return Err(file.unsupported(format!("it is a VMDK of version {version}")));
        }
        if header.flags & FLAG_NEWLINES != 0 && buf[73..77] != NEWLINES {
            return corrupt("it was transferred as text, which has changed its bytes".to_owned());
        }
        if header.capacity > 0 {
            check_disk_len(file, header.capacity)?;
            // VMware writes 64 KiB; QEMU takes up to 64 MiB.
            if !header.grain.is_power_of_two() || !(4 << 10..=1 << 20).contains(&header.grain) {
                return corrupt(format!("its grains are said to have {} bytes", header.grain));
            }
            if !(1..=512).contains(&header.table_entries) {
                return corrupt(format!("its tables are said to have {} entries", header.table_entries));
            }
            if header.flags & FLAG_COMPRESSED != 0 && header.compression != COMPRESSION_DEFLATE {
                return Err(
                    file.unsupported(format!("its grains are compressed by method {}", header.compression))
                );
            }
        }
        Ok(header)
    }
}

/// The disk in a sparse extent. Tables are read when they are needed; the directory is kept.
#[derive(Debug)]
struct SparseSource {
    file: ImageFile,
    /// Sector of each table, 0 where there is none.
    directory: Vec<u32>,
    len: u64,
    grain: u64,
    /// Grains in a table.
    table_entries: u64,
    compressed: bool,
    /// Whether tables can say that a grain reads as zeros.
    zeroed: bool,
}

impl SparseSource {
    fn new(file: ImageFile, header: &Header) -> Result<SparseSource> {
        let tables = header.capacity.div_ceil(header.grain).div_ceil(header.table_entries);
        // At most 64 TiB in tables of 512 grains of 4 KiB would be 128 MiB of directory, all of it in the file.
        let needed = header.directory.saturating_add(tables.saturating_mul(4));
        if needed > file.len() {
            return Err(file.truncated("the grain directory", needed));
        }
        let mut raw = vec![0; (tables * 4) as usize];
        file.read(header.directory, &mut raw, "the grain directory")?;
        let source = SparseSource {
            directory: raw.chunks_exact(4).map(|entry| le_u32(entry, 0)).collect(),
            file,
            len: header.capacity,
            grain: header.grain,
            table_entries: header.table_entries,
            compressed: header.flags & FLAG_COMPRESSED != 0,
            zeroed: header.flags & FLAG_ZEROED != 0,
        };
        source.check()?;
        Ok(source)
    }

    /// Checks that all tables and grains are in the file and that none is used twice.
    fn check(&self) -> Result<()> {
        let file = &self.file;
        let mut used = Vec::new();
        // When more sectors are named than fit into the file, some were named twice: a small file must not make the
        // list long.
        let sectors = file.len().div_ceil(SECTOR);
        let add = |used: &mut Vec<u32>, sector: u32| {
            if used.len() as u64 > sectors {
                return Err(file.corrupt(format!("sector {sector} of the file, or another, is used twice")));
            }
            used.push(sector);
            Ok(())
        };
        for (number, &sector) in (0u64..).zip(&self.directory) {
            if sector == 0 {
                continue;
            }
            add(&mut used, sector)?;
            let mut raw = vec![0; (self.table_entries * 4) as usize];
            file.read(u64::from(sector) * SECTOR, &mut raw, "a grain table")?;
            for (index, entry) in (0u64..).zip(raw.chunks_exact(4)) {
                let grain = number * self.table_entries + index;
                let start = grain * self.grain;
                let Some(at) = self.place(le_u32(entry, 0)).filter(|_| start < self.len) else { continue };
                add(&mut used, (at / SECTOR) as u32)?;
                let needed = match self.compressed {
                    true => at + MARKER_LEN + self.compressed_len(at, grain)?,
                    false => at + self.grain.min(self.len - start),
                };
                if needed > file.len() {
                    return Err(file.truncated(format!("grain {grain}"), needed));
                }
            }
        }
        used.sort_unstable();
        // Uncompressed grains also must not overlap in part; compressed ones are bounded by their own lengths.
        match used.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(file.corrupt(format!("sector {} of the file is used twice", pair[0]))),
            None => Ok(()),
        }
    }

    /// Bytes of the compressed data of the grain at `at`, by its marker.
    fn compressed_len(&self, at: u64, grain: u64) -> Result<u64> {
        let mut marker = [0; MARKER_LEN as usize];
        self.file.read(at, &mut marker, &format!("grain {grain}"))?;
        let len = u64::from(le_u32(&marker, 8));
        let own = le_u64(&marker, 0) == grain * (self.grain / SECTOR);
        // Data that does not compress grows a little.
        if !own || len == 0 || len > self.grain * 2 {
            return Err(self
                .file
                .corrupt(format!("the marker of grain {grain} at byte {at} is not its own")));
        }
        Ok(len)
    }

    /// Where a grain is by the entry of its table, bytes.
    fn place(&self, entry: u32) -> Option<u64> {
        match entry {
            UNALLOCATED => None,
            ZEROED if self.zeroed => None,
            sector => Some(u64::from(sector) * SECTOR),
        }
    }

    /// Where a grain is, bytes.
    fn find(&self, grain: u64) -> io::Result<Option<u64>> {
        let sector = self.directory.get((grain / self.table_entries) as usize).copied().unwrap_or(0);
        if sector == 0 {
            return Ok(None);
        }
        let mut entry = [0; 4];
        let at = u64::from(sector) * SECTOR + grain % self.table_entries * 4;
        self.file.file().read_exact_at(&mut entry, at)?;
        Ok(self.place(u32::from_le_bytes(entry)))
    }

    /// The bytes of the compressed grain at `at`.
    fn inflate(&self, at: u64, grain: u64) -> io::Result<Vec<u8>> {
        let len = self.compressed_len(at, grain).map_err(io::Error::other)?;
        let mut data = vec![0; len as usize];
        self.file.file().read_exact_at(&mut data, at + MARKER_LEN)?;
        let mut bytes = vec![0; self.grain as usize];
        let found = Decompressor::new().zlib_decompress(&data, &mut bytes).map_err(|error| {
            let what = format!(
                "{}: grain {grain} at byte {at} does not inflate: {error}",
                self.file.path().display()
            );
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        let wanted = self.grain.min(self.len - grain * self.grain);
        if (found as u64) < wanted {
            let what = format!("{}: grain {grain} inflates to {found} bytes", self.file.path().display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(bytes)
    }
}

impl ByteSource for SparseSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        while !buf.is_empty() {
            let (grain, within) = (offset / self.grain, offset % self.grain);
            let len = (self.grain - within).min(buf.len() as u64);
            let (part, rest) = std::mem::take(&mut buf).split_at_mut(len as usize);
            match self.find(grain)? {
                None => part.fill(0),
                Some(at) if self.compressed => {
                    part.copy_from_slice(&self.inflate(at, grain)?[within as usize..(within + len) as usize]);
                }
                Some(at) => self.file.file().read_exact_at(part, at + within)?,
            }
            offset += len;
            buf = rest;
        }
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let mut grain = from / self.grain;
        let grains = self.len.div_ceil(self.grain);
        while from < self.len && grain < grains {
            if self.directory.get((grain / self.table_entries) as usize).copied().unwrap_or(0) == 0 {
                grain = (grain / self.table_entries + 1) * self.table_entries;
                continue;
            }
            if self.find(grain)?.is_none() {
                grain += 1;
                continue;
            }
            let first = grain;
            // To the end of the table at most: the caller asks again.
            let end = (grain / self.table_entries + 1) * self.table_entries;
            while grain < end.min(grains) && self.find(grain)?.is_some() {
                grain += 1;
            }
            return Ok(Some(from.max(first * self.grain)..(grain * self.grain).min(self.len)));
        }
        Ok(None)
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_bounds(self.len, offset, usize::try_from(len).ok()?).ok()?;
        if self.compressed || offset % self.grain + len > self.grain {
            return None;
        }
        let at = self.find(offset / self.grain).ok()??;
        Some(FileRegion { file: self.file.file(), offset: at + offset % self.grain })
    }
}
