//! Reading fixed and dynamic VHDs.

use super::*;
use crate::format::block_table::BlockTable;
use crate::format::raw::{FlatSource, check_bounds};
use crate::format::{Format, OpenedDisk, Warning, check_disk_len};
use crate::{ByteSource, FileRegion, SECTOR};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Opens a fixed disk by the footer that was found at the end of the file.
pub(in crate::format) fn open_fixed(file: ImageFile, footer: &Footer) -> Result<OpenedDisk> {
    let len = footer.current_size;
    check_disk_len(&file, len)?;
    let needed = len + FOOTER_LEN as u64;
    // Footers of 511 bytes exist: the last byte may be missing.
    if file.len() + 1 < needed {
        return Err(file.truncated("the disk with its footer", needed));
    }
    Ok(OpenedDisk { source: Arc::new(FlatSource::new(file, len)), format: Format::Vhd, warnings: Vec::new() })
}

/// Opens a disk whose file begins with the copy of a footer.
pub(in crate::format) fn open_dynamic(file: ImageFile) -> Result<OpenedDisk> {
    let mut warnings = Vec::new();
    let mut buf = [0; FOOTER_LEN];
    file.read(0, &mut buf, "the copy of the footer")?;
    let copy = Footer::decode(&buf);
    let footer = match (footer_at_end(&file)?, copy) {
        (FooterAtEnd::Valid(footer), Some(copy)) if footer == copy => footer,
        (FooterAtEnd::Valid(footer), None) => {
            warnings.push(Warning::CopyDamaged("VHD footer"));
            footer
        }
        // Both are sound and differ. The footer at the end is the one that is updated last.
        (FooterAtEnd::Valid(footer), Some(_)) => footer,
        (FooterAtEnd::Damaged, Some(copy)) => {
            warnings.push(Warning::CopyDamaged("VHD footer"));
            copy
        }
        // No trace of a footer at the end: the file was cut off there, and blocks may be missing with it.
        (FooterAtEnd::None, Some(_)) => {
            return Err(file.truncated("the footer at the end", file.len() + FOOTER_LEN as u64));
        }
        (FooterAtEnd::None | FooterAtEnd::Damaged, None) => {
            return Err(file.corrupt("neither of its two footers has a valid checksum"));
        }
    };
    match footer.kind {
        DYNAMIC => {}
        DIFFERENCING => return Err(file.differencing()),
        kind => return Err(file.corrupt(format!("the disk type of a file with a dynamic header is {kind}"))),
    }
    let len = footer.current_size;
    check_disk_len(&file, len)?;
    if len > MAX_DISK {
        return Err(file.corrupt(format!("the disk is said to have {len} bytes, more than a VHD can hold")));
    }
    let mut header = [0; HEADER_LEN];
    file.read(footer.data_offset, &mut header, "the header of the dynamic disk")?;
    let header = DynamicHeader::decode(&file, &header)?;
    let table = read_table(&file, &footer, &header)?;
    let bitmap = bitmap_len(header.block);
    Ok(OpenedDisk {
        source: Arc::new(DynamicSource { file, table, bitmap, len }),
        format: Format::VhdDynamic,
        warnings,
    })
}

/// Bytes of the bitmap before each block: a bit for every sector, rounded up to whole sectors.
fn bitmap_len(block: u32) -> u64 {
    (u64::from(block) / SECTOR).div_ceil(8).next_multiple_of(SECTOR)
}

fn read_table(file: &ImageFile, footer: &Footer, header: &DynamicHeader) -> Result<BlockTable> {
    // Virtual PC and Hyper-V write 512 KiB and 2 MiB; the lower bound also bounds the table to 32 MiB.
    if !header.block.is_power_of_two() || !(256 << 10..=256 << 20).contains(&header.block) {
        return Err(file.corrupt(format!("its blocks are said to have {} bytes", header.block)));
    }
    let block = u64::from(header.block);
    let blocks = footer.current_size.div_ceil(block);
    if blocks > u64::from(header.entries) {
        return Err(file.corrupt(format!("the table has {} entries for {blocks} blocks", header.entries)));
    }
    let mut raw = vec![0; blocks as usize * 4];
    file.read(header.table_offset, &mut raw, "the block allocation table")?;
    let bitmap = bitmap_len(header.block);
    let mut table = BlockTable::new(block, footer.current_size);
    for (number, entry) in (0u32..).zip(raw.chunks_exact(4)) {
        let sector = be_u32(entry, 0);
        if sector != UNUSED {
            table.push(number, u64::from(sector) * SECTOR + bitmap);
        }
    }
    if let Some((end, number)) = table.last_end()
        && end > file.len()
    {
        return Err(file.truncated(format!("block {number}"), end));
    }
    let structures = [
        0..FOOTER_LEN as u64,
        footer.data_offset..footer.data_offset + HEADER_LEN as u64,
        header.table_offset..header.table_offset + raw.len() as u64,
    ];
    if let Some((one, other)) = table.overlap(bitmap, &structures) {
        return Err(
            file.corrupt(format!("what lies at byte {one} of the file overlaps what lies at byte {other}"))
        );
    }
    Ok(table)
}

/// The disk in a dynamic VHD. Sectors whose bit in the block's bitmap is clear read as zeros.
#[derive(Debug)]
struct DynamicSource {
    file: ImageFile,
    table: BlockTable,
    /// Bytes of the bitmap before each block.
    bitmap: u64,
    len: u64,
}

impl DynamicSource {
    /// The bits of the sectors `first ..= last` of the block whose contents are at `at`, beginning with the byte that
    /// holds the first one.
    fn bits(&self, at: u64, first: u64, last: u64) -> io::Result<Vec<u8>> {
        let mut bits = vec![0; (last / 8 - first / 8 + 1) as usize];
        self.file.file().read_exact_at(&mut bits, at - self.bitmap + first / 8)?;
        Ok(bits)
    }
}

/// Whether the bit of `sector` is set in bits that begin with the byte of sector `first`.
fn is_set(bits: &[u8], first: u64, sector: u64) -> bool {
    bits[(sector / 8 - first / 8) as usize] & (0x80 >> (sector % 8)) != 0
}

impl ByteSource for DynamicSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        self.table.read(offset, buf, |at, within, part| {
            let len = part.len() as u64;
            self.file.file().read_exact_at(part, at + within)?;
            let (first, last) = (within / SECTOR, (within + len - 1) / SECTOR);
            let bits = self.bits(at, first, last)?;
            for sector in (first..=last).filter(|&sector| !is_set(&bits, first, sector)) {
                let from = (sector * SECTOR).max(within) - within;
                let to = ((sector + 1) * SECTOR - within).min(len);
                part[from as usize..to as usize].fill(0);
            }
            Ok(())
        })
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.table.next_data(from))
    }

    fn file_region(&self, offset: u64, len: u64) -> Option<FileRegion<'_>> {
        check_bounds(self.len, offset, usize::try_from(len).ok()?).ok()?;
        let piece = self.table.piece(offset, len);
        let at = piece.at.filter(|_| piece.len == len && len > 0)?;
        let (first, last) = (piece.within / SECTOR, (piece.within + len - 1) / SECTOR);
        let bits = self.bits(at, first, last).ok()?;
        (first..=last)
            .all(|sector| is_set(&bits, first, sector))
            .then_some(FileRegion { file: self.file.file(), offset: at + piece.within })
    }
}
