//! Writing streamOptimized VMDKs, compressed by several threads.

use super::*;
use crate::format::export::{Finish, Identity, Layout, Window, Write, full};
use crate::format::fields::put;
use crate::format::{Format, Result};
use libdeflater::{CompressionLvl, Compressor};

/// Bytes of the disk in a grain.
const GRAIN: u64 = 64 << 10;
/// Grains in a table.
const TABLE: u64 = 512;
/// Where the first grain goes, sectors: what the header calls overhead.
const OVERHEAD: u64 = 128;
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Kinds of markers.
const MARKER_TABLE: u32 = 1;
const MARKER_DIRECTORY: u32 = 2;
const MARKER_FOOTER: u32 = 3;
/// Bytes before the compressed data of a grain: its sector on the disk, the length of the data.
const GRAIN_MARKER: usize = 12;

/// A thread's compressor and what it made of the window.
pub(in crate::format) struct Encoder {
    compressor: Compressor,
    /// Markers and grains as they go into the file, each padded to a sector.
    stream: Vec<u8>,
    /// Number of each grain and where it begins in the stream, sectors.
    grains: Vec<(u64, u32)>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        // Level 1: 64 KiB grains gain little from more, and the disk is usually compressed again or unpacked.
        let level = CompressionLvl::new(1).expect("1 is a level of deflate");
        Encoder { compressor: Compressor::new(level), stream: Vec::new(), grains: Vec::new() }
    }
}

impl Encoder {
    fn grain(&mut self, number: u64, bytes: &[u8]) {
        let start = self.stream.len();
        let room = GRAIN_MARKER + self.compressor.zlib_compress_bound(bytes.len());
        self.stream.resize(start + room, 0);
        let len = self
            .compressor
            .zlib_compress(bytes, &mut self.stream[start + GRAIN_MARKER..])
            .expect("the room is what the library says it needs at most");
        put(&mut self.stream, start, (number * (GRAIN / SECTOR)).to_le_bytes());
        put(&mut self.stream, start + 8, (len as u32).to_le_bytes());
        self.stream.truncate(start + GRAIN_MARKER + len);
        self.stream.resize(self.stream.len().next_multiple_of(SECTOR as usize), 0);
        self.grains.push((number, (start as u64 / SECTOR) as u32));
    }
}

/// The stream as far as it was written.
pub(in crate::format) struct StreamLayout {
    disk: u64,
    content_id: u32,
    /// Sector of every table; 0 where nothing of its part of the disk was written.
    directory: Vec<u32>,
    /// The table that is being filled: its number and its entries.
    table: Option<(u64, Vec<u32>)>,
    /// Where the stream goes on, sectors.
    next: u64,
}

impl StreamLayout {
    pub(in crate::format) fn new(disk: u64, identity: &Identity) -> StreamLayout {
        let [a, b, c, d, ..] = identity.uuid("vmdk");
        StreamLayout {
            disk,
            // The two highest values have meanings of their own.
            content_id: u32::from_le_bytes([a, b, c, d]).min(0xffff_fffd),
            directory: vec![0; disk.div_ceil(GRAIN * TABLE) as usize],
            table: None,
            next: OVERHEAD,
        }
    }

    /// Takes the next sectors of the file.
    fn take(&mut self, sectors: u64) -> Result<u32> {
        let at = u32::try_from(self.next)
            .map_err(|_| full(Format::Vmdk, self.disk, "its compressed contents take more than 2 TiB"))?;
        self.next += sectors;
        Ok(at)
    }

    /// A marker and the table that was filled, if any: file offset and bytes.
    fn flush(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        let Some((number, entries)) = self.table.take() else { return Ok(None) };
        let table: Vec<u8> = entries.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        let bytes = marked(MARKER_TABLE, &table);
        let at = self.take(bytes.len() as u64 / SECTOR)?;
        self.directory[number as usize] = at + 1;
        Ok(Some((u64::from(at) * SECTOR, bytes)))
    }

    fn header(&self, directory: u64) -> Vec<u8> {
        let mut buf = vec![0; SECTOR as usize];
        put(&mut buf, 0, *MAGIC);
        put(&mut buf, 4, 3u32.to_le_bytes());
        put(&mut buf, 8, (FLAG_NEWLINES | FLAG_COMPRESSED | FLAG_MARKERS).to_le_bytes());
        put(&mut buf, 12, (self.disk / SECTOR).to_le_bytes());
        put(&mut buf, 20, (GRAIN / SECTOR).to_le_bytes());
        put(&mut buf, 28, DESCRIPTOR_AT.to_le_bytes());
        put(&mut buf, 36, DESCRIPTOR_SECTORS.to_le_bytes());
        put(&mut buf, 44, (TABLE as u32).to_le_bytes());
        put(&mut buf, 56, directory.to_le_bytes());
        put(&mut buf, 64, OVERHEAD.to_le_bytes());
        put(&mut buf, 73, NEWLINES);
        put(&mut buf, 77, COMPRESSION_DEFLATE.to_le_bytes());
        buf
    }

    /// The text that describes the disk. The name of the extent is what VMware's own tools put there for streams:
    /// the name of the file is not known to it.
    fn descriptor(&self) -> Vec<u8> {
        let (sectors, heads, per_track) = (self.disk / SECTOR, 255, 63);
        format!(
            "# Disk DescriptorFile\nversion=1\nCID={:08x}\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
             # Extent description\nRW {sectors} SPARSE \"generated-stream.vmdk\"\n\n\
             # The Disk Data Base\n#DDB\n\n\
             ddb.adapterType = \"lsilogic\"\n\
             ddb.geometry.cylinders = \"{}\"\nddb.geometry.heads = \"{heads}\"\nddb.geometry.sectors = \"{per_track}\"\n\
             ddb.virtualHWVersion = \"4\"\n",
            self.content_id,
            sectors / (heads * per_track),
        )
        .into_bytes()
    }
}

/// A marker in a sector of its own, and what it announces, padded to sectors.
fn marked(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let sectors = bytes.len().div_ceil(SECTOR as usize);
    let mut buf = vec![0; SECTOR as usize * (1 + sectors)];
    put(&mut buf, 0, (sectors as u64).to_le_bytes());
    put(&mut buf, 12, kind.to_le_bytes());
    buf[SECTOR as usize..][..bytes.len()].copy_from_slice(bytes);
    buf
}

impl Layout for StreamLayout {
    type Encoder = Encoder;

    const ENCODES: bool = true;

    fn disk_len(&self) -> u64 {
        self.disk
    }

    fn encode(encoder: &mut Encoder, window: &Window<'_>) -> Result<()> {
        encoder.stream.clear();
        encoder.grains.clear();
        let grain = GRAIN as usize;
        let mut next = 0;
        for piece in window.pieces {
            for index in (piece.range.0 / grain).max(next)..piece.range.1.div_ceil(grain) {
                let number = window.offset / GRAIN + index as u64;
                let bytes = &window.buffer[index * grain..window.buffer.len().min((index + 1) * grain)];
                if bytes.len() == grain {
                    encoder.grain(number, bytes);
                } else {
                    // The disk ends within the grain, and grains are always whole.
                    let mut whole = bytes.to_vec();
                    whole.resize(grain, 0);
                    encoder.grain(number, &whole);
                }
                next = index + 1;
            }
        }
        Ok(())
    }

    fn place<'w>(
        &mut self,
        window: &Window<'w>,
        encoder: &'w Encoder,
        writes: &mut Vec<Write<'w>>,
    ) -> Result<()> {
        if encoder.grains.is_empty() {
            return Ok(());
        }
        // Windows are smaller than what a table covers, and never span two tables.
        let number = window.offset / (GRAIN * TABLE);
        if self.table.as_ref().is_some_and(|table| table.0 != number)
            && let Some((at, bytes)) = self.flush()?
        {
            writes.push(Write::owned(at, bytes));
        }
        let at = self.take(encoder.stream.len() as u64 / SECTOR)?;
        let (_, entries) = self.table.get_or_insert_with(|| (number, vec![0; TABLE as usize]));
        for &(grain, start) in &encoder.grains {
            entries[(grain % TABLE) as usize] = at.checked_add(start).ok_or_else(|| {
                full(Format::Vmdk, self.disk, "its compressed contents take more than 2 TiB")
            })?;
        }
        writes.push(Write::fixed(u64::from(at) * SECTOR, &encoder.stream));
        Ok(())
    }

    fn finish(mut self) -> Result<Finish> {
        let mut writes = Vec::new();
        writes.extend(self.flush()?);
        let directory: Vec<u8> = self.directory.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        let bytes = marked(MARKER_DIRECTORY, &directory);
        let at = u64::from(self.take(bytes.len() as u64 / SECTOR)?);
        writes.push((at * SECTOR, bytes));
        // The footer is the header again, with the place of the directory; an end marker of zeros closes the stream.
        let footer = marked(MARKER_FOOTER, &self.header(at + 1));
        let end = self.next * SECTOR + footer.len() as u64 + SECTOR;
        writes.push((self.next * SECTOR, footer));
        writes.push((0, self.header(DIRECTORY_AT_END)));
        writes.push((DESCRIPTOR_AT * SECTOR, self.descriptor()));
        Ok(Finish::new(end, writes))
    }
}
