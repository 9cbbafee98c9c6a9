//! Reading fixed and dynamic VHDX images.

use super::log::{Replayed, replay};
use super::*;
use crate::format::block_table::BlockTable;
use crate::format::fields::{guid as guid_at, le_u16, le_u32, le_u64};
use crate::format::image_file::ImageFile;
use crate::format::raw::check_bounds;
use crate::format::{Error, Format, OpenedDisk, Result, Warning, check_disk_len};
use crate::{ByteSource, FileRegion, SECTOR};
use std::io;
use std::ops::Range;
use std::sync::Arc;

pub(in crate::format) fn open(file: ImageFile) -> Result<OpenedDisk> {
    let mut warnings = Vec::new();
    let header = read_header(&file, &mut warnings)?;
    let file = match header.log_id {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Replayed::unchanged(file),
        id => replay(file, header.log_offset, header.log_len, id)?,
    };
    if file.entries() > 0 {
        warnings.push(Warning::LogReplayed { entries: file.entries() });
    }
    let regions = read_regions(&file, &mut warnings)?;
    let parameters = read_metadata(&file, &regions.metadata)?;
    check_disk_len(file.file(), parameters.disk)?;
    let log = header.log_offset..header.log_offset.saturating_add(u64::from(header.log_len));
    let table = read_table(&file, &regions, &parameters, log)?;
    let source = Arc::new(VhdxSource { file, table, len: parameters.disk });
    Ok(OpenedDisk { source, format: Format::Vhdx, warnings })
}

struct Header {
    sequence: u64,
    log_id: [u8; 16],
    log_len: u32,
    log_offset: u64,
}

/// The newer one of the headers that are valid ([MS-VHDX] 2.2.2).
fn read_header(file: &ImageFile, warnings: &mut Vec<Warning>) -> Result<Header> {
    let mut valid = Vec::new();
    for at in HEADER_OFFSETS {
        let mut buf = vec![0; HEADER_LEN];
        file.read(at, &mut buf, "the header")?;
        if !buf.starts_with(HEADER_SIGNATURE) || le_u32(&buf, 4) != checksum(&buf) {
            continue;
        }
        let (log_version, version) = (le_u16(&buf, 64), le_u16(&buf, 66));
        if version != 1 || log_version != 0 {
            return Err(file.unsupported(format!(
                "it is a VHDX of version {version} with a log of version {log_version}"
            )));
        }
        valid.push(Header {
            sequence: le_u64(&buf, 8),
            log_id: guid_at(&buf, 48),
            log_len: le_u32(&buf, 68),
            log_offset: le_u64(&buf, 72),
        });
    }
    if valid.len() == 1 {
        warnings.push(Warning::CopyDamaged("VHDX header"));
    }
    valid
        .into_iter()
        .max_by_key(|header| header.sequence)
        .ok_or_else(|| file.corrupt("neither of its two headers has a valid checksum"))
}

struct Regions {
    bat: Range<u64>,
    metadata: Range<u64>,
}

fn read_regions(file: &Replayed, warnings: &mut Vec<Warning>) -> Result<Regions> {
    let mut damaged = 0;
    for at in REGION_TABLE_OFFSETS {
        let mut buf = vec![0; TABLE_LEN];
        file.read(at, &mut buf, "the region table")?;
        if !buf.starts_with(REGION_SIGNATURE) || le_u32(&buf, 4) != checksum(&buf) {
            damaged += 1;
            continue;
        }
        if damaged > 0 {
            warnings.push(Warning::CopyDamaged("VHDX region table"));
        }
        return decode_regions(file, &buf);
    }
    Err(file.file().corrupt("neither of its two region tables has a valid checksum"))
}

/// [MS-VHDX] 2.2.3.
fn decode_regions(file: &Replayed, buf: &[u8]) -> Result<Regions> {
    let count = le_u32(buf, 8) as usize;
    if count > MAX_ENTRIES {
        return Err(file.file().corrupt(format!("its region table has {count} entries")));
    }
    let (mut bat, mut metadata) = (None, None);
    for entry in buf[16..].chunks_exact(32).take(count) {
        let (at, len) = (le_u64(entry, 16), u64::from(le_u32(entry, 24)));
        let slot = match guid_at(entry, 0) {
            REGION_BAT => &mut bat,
            REGION_METADATA => &mut metadata,
            _ if le_u32(entry, 28) & 1 != 0 => {
                return Err(file
                    .file()
                    .unsupported("it has a region of a kind that is required and not known"));
            }
            _ => continue,
        };
        if at < MIB || !at.is_multiple_of(MIB) || len == 0 || !len.is_multiple_of(MIB) {
            return Err(file.file().corrupt(format!("a region of {len} bytes is said to be at byte {at}")));
        }
        let end = at.checked_add(len).filter(|&end| end <= file.len());
        let Some(end) = end else { return Err(file.file().truncated("a region", at.saturating_add(len))) };
        if slot.replace(at..end).is_some() {
            return Err(file.file().corrupt("its region table names a region twice"));
        }
    }
    match (bat, metadata) {
        (Some(bat), Some(metadata)) => Ok(Regions { bat, metadata }),
        _ => Err(file.file().corrupt("its region table lacks the metadata or the block allocation table")),
    }
}

struct Parameters {
    /// Bytes in a block.
    block: u64,
    /// Length of the disk, bytes.
    disk: u64,
}

/// [MS-VHDX] 2.6.
fn read_metadata(file: &Replayed, region: &Range<u64>) -> Result<Parameters> {
    let mut buf = vec![0; TABLE_LEN];
    file.read(region.start, &mut buf, "the metadata table")?;
    let corrupt = |what: String| -> Error { file.file().corrupt(what) };
    let count = usize::from(le_u16(&buf, 10));
    if !buf.starts_with(METADATA_SIGNATURE) || count > MAX_ENTRIES {
        return Err(corrupt("its metadata table is not one".to_owned()));
    }
    let (mut block, mut flags, mut disk, mut sector) = (None, 0, None, None);
    for entry in buf[32..].chunks_exact(32).take(count) {
        let id = guid_at(entry, 0);
        let known = match id {
            ITEM_FILE_PARAMETERS | ITEM_DISK_SIZE => 8,
            ITEM_LOGICAL_SECTOR => 4,
            ITEM_PHYSICAL_SECTOR | ITEM_PAGE_83 => continue,
            ITEM_PARENT_LOCATOR => return Err(file.file().differencing()),
            // Bit 2 of the flags: whoever does not know the item must not open the file.
            _ if le_u32(entry, 24) & 4 != 0 => {
                return Err(file.file().unsupported("it has a metadata item that is required and not known"));
            }
            _ => continue,
        };
        let (at, len) = (u64::from(le_u32(entry, 16)), le_u32(entry, 20));
        if len < known || at < TABLE_LEN as u64 || at + u64::from(len) > region.end - region.start {
            return Err(corrupt(format!(
                "a metadata item of {len} bytes is said to be at byte {at} of its region"
            )));
        }
        let mut value = [0; 8];
        file.read(region.start + at, &mut value[..known as usize], "a metadata item")?;
        match id {
            ITEM_FILE_PARAMETERS => (block, flags) = (Some(u64::from(le_u32(&value, 0))), le_u32(&value, 4)),
            ITEM_DISK_SIZE => disk = Some(le_u64(&value, 0)),
            _ => sector = Some(le_u32(&value, 0)),
        }
    }
    // Bit 1 of the file parameters: the file has a parent.
    if flags & 2 != 0 {
        return Err(file.file().differencing());
    }
    let (Some(block), Some(disk), Some(sector)) = (block, disk, sector) else {
        return Err(corrupt(
            "its metadata lacks the block size, the disk size or the sector size".to_owned(),
        ));
    };
    if sector != SECTOR as u32 {
        return match sector {
            4096 => Err(Error::SectorSize { path: file.file().path().to_owned(), sector }),
            _ => Err(corrupt(format!("its logical sectors are said to have {sector} bytes"))),
        };
    }
    if !block.is_power_of_two() || !(MIB..=256 * MIB).contains(&block) {
        return Err(corrupt(format!("its blocks are said to have {block} bytes")));
    }
    Ok(Parameters { block, disk })
}

/// [MS-VHDX] 2.5. The entries of sector bitmaps only matter to differencing disks.
fn read_table(
    file: &Replayed,
    regions: &Regions,
    parameters: &Parameters,
    log: Range<u64>,
) -> Result<BlockTable> {
    const CHUNK: u64 = MIB;
    let Parameters { block, disk } = *parameters;
    let bytes = table_entries(disk, block) * 8;
    if bytes > regions.bat.end - regions.bat.start {
        let region = regions.bat.end - regions.bat.start;
        return Err(file
            .file()
            .corrupt(format!("its block allocation table needs {bytes} bytes and has {region}")));
    }
    let ratio = chunk_ratio(block);
    let mut table = BlockTable::new(block, disk);
    let mut buf = vec![0; CHUNK.min(bytes) as usize];
    for chunk in (0..bytes).step_by(CHUNK as usize) {
        let part = &mut buf[..CHUNK.min(bytes - chunk) as usize];
        file.read(regions.bat.start + chunk, part, "the block allocation table")?;
        for (index, raw) in (chunk / 8..).zip(part.chunks_exact(8)) {
            if index % (ratio + 1) == ratio {
                continue;
            }
            // At most 64 TiB in blocks of 1 MiB: the number fits.
            let number = (index - index / (ratio + 1)) as u32;
            let entry = le_u64(raw, 0);
            match entry & STATE_MASK {
                BLOCK_PRESENT => table.push(number, entry & !(MIB - 1)),
                BLOCK_NOT_PRESENT | BLOCK_UNDEFINED | BLOCK_ZERO | BLOCK_UNMAPPED => {}
                state => return Err(file.file().corrupt(format!("block {number} is in state {state}"))),
            }
        }
    }
    if let Some((end, number)) = table.last_end()
        && end > file.len()
    {
        return Err(file.file().truncated(format!("block {number}"), end));
    }
    let structures = [0..MIB, log, regions.bat.clone(), regions.metadata.clone()];
    if let Some((one, other)) = table.overlap(0, &structures) {
        return Err(file
            .file()
            .corrupt(format!("what lies at byte {one} of the file overlaps what lies at {other}")));
    }
    Ok(table)
}

/// The disk in a VHDX.
#[derive(Debug)]
struct VhdxSource {
    file: Replayed,
    table: BlockTable,
    len: u64,
}

impl ByteSource for VhdxSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        self.table.read(offset, buf, |at, within, part| self.file.read_io(at + within, part))
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.table.next_data(from))
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_bounds(self.len, offset, usize::try_from(len).ok()?).ok()?;
        let piece = self.table.piece(offset, len);
        let at = piece.at.filter(|_| piece.len == len)? + piece.within;
        let plain = self.file.is_untouched(at, at + len);
        plain.then_some(FileRegion { file: self.file.file().file(), offset: at })
    }
}
