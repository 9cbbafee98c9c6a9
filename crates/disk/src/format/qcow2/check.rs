//! What has to be true of a QCOW2 before anything reads it. QEMU would read what lies behind the end of the file as
//! zeros, so that a truncated image would pass for a whole one.

use super::*;
use crate::format::fields::{be_u32, be_u64};
use crate::format::image_file::ImageFile;
use crate::format::{OpenOptions, Result, check_disk_len};

/// Incompatible features of version 3.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_ENTRIES: u64 = 1 << 4;
/// With the feature that says that refcounts may be stale, which readers ignore.
const KNOWN: u64 = 1 | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_ENTRIES;
/// Bytes of the header that hold everything that is looked at.
const HEADER_LEN: usize = 104;
/// Level 1 entries that QEMU opens at most.
const MAX_LEVEL_1: u64 = (32 << 20) / 8;

/// A QCOW2 whose header and tables are sound.
pub(super) struct Checked {
    /// Length of the disk, bytes.
    pub(super) disk: u64,
    /// log2 of the bytes in a cluster.
    pub(super) cluster_bits: u32,
    /// File offsets of the level 2 tables, bytes; 0 where there is none. As many as the disk needs.
    pub(super) level1: Vec<u64>,
    /// Whether level 2 entries can say that a cluster reads as zeros.
    pub(super) has_zero_flag: bool,
    /// Why it needs to be read by qemu-img, if it does.
    pub(super) needs_conversion: Option<&'static str>,
}

pub(super) fn check(file: &ImageFile, options: &OpenOptions<'_>) -> Result<Checked> {
    let mut header = [0; HEADER_LEN];
    let there = file.len().min(HEADER_LEN as u64) as usize;
    if there < 72 {
        return Err(file.truncated("the header", 72));
    }
    file.read(0, &mut header[..there], "the header")?;
    let version = be_u32(&header, 4);
    let features = match version {
        2 => 0,
        3 if there == HEADER_LEN => be_u64(&header, 72),
        3 => return Err(file.truncated("the header", HEADER_LEN as u64)),
        _ => return Err(file.unsupported(format!("it is a QCOW image of version {version}"))),
    };
    if features & !KNOWN != 0 {
        return Err(file.unsupported(format!("it uses unknown features of QCOW2 ({:#x})", features & !KNOWN)));
    }
    if features & CORRUPT != 0 {
        return Err(file.corrupt("QEMU has marked it as corrupt"));
    }
    if be_u32(&header, 32) != 0 {
        return Err(file.unsupported("it is encrypted"));
    }
    let backing = backing_name(file)?;
    let has_backing = backing.is_some() || features & EXTERNAL_DATA != 0;
    if has_backing && !options.allow_backing {
        return Err(file.backing(match backing {
            Some(name) => format!("its backing file is {name:?}"),
            None => "its data is in an external file".to_owned(),
        }));
    }
    let disk = be_u64(&header, 24);
    check_disk_len(file, disk)?;
    let bits = be_u32(&header, 20);
    if !(9..=21).contains(&bits) {
        return Err(file.corrupt(format!("its clusters are said to have 2^{bits} bytes")));
    }
    let tables = Tables {
        file,
        cluster: 1 << bits,
        bits,
        entry: if features & EXTENDED_ENTRIES != 0 { 16 } else { 8 },
        disk,
        external: features & EXTERNAL_DATA != 0,
        has_zero_flag: version == 3,
    };
    let level1 = tables.check(u64::from(be_u32(&header, 36)), be_u64(&header, 40))?;
    let needs_conversion = match features {
        _ if has_backing => Some("references to other files"),
        _ if features & EXTENDED_ENTRIES != 0 => Some("subclusters"),
        _ if features & COMPRESSION_TYPE != 0 => Some("compression type"),
        _ => None,
    };
    Ok(Checked { disk, cluster_bits: bits, level1, has_zero_flag: version == 3, needs_conversion })
}

/// The name of the backing file, if the image has one.
pub(in crate::format) fn backing_name(file: &ImageFile) -> Result<Option<String>> {
    let mut header = [0; 20];
    file.read(0, &mut header, "the header")?;
    let (at, len) = (be_u64(&header, 8), be_u32(&header, 16));
    if at == 0 {
        return Ok(None);
    }
    if len == 0 || len > 1023 {
        return Err(file.corrupt(format!("the name of its backing file is said to have {len} bytes")));
    }
    let mut name = vec![0; len as usize];
    file.read(at, &mut name, "the name of the backing file")?;
    Ok(Some(String::from_utf8_lossy(&name).into_owned()))
}

struct Tables<'f> {
    file: &'f ImageFile,
    /// Bytes in a cluster.
    cluster: u64,
    bits: u32,
    /// Bytes in an entry of level 2.
    entry: u64,
    disk: u64,
    external: bool,
    has_zero_flag: bool,
}

impl Tables<'_> {
    /// Checks that every table and cluster of the current state lies in the file, and that none is used twice; the
    /// places of the level 2 tables.
    fn check(&self, level1_entries: u64, level1_offset: u64) -> Result<Vec<u64>> {
        let per_table = self.cluster / self.entry;
        let needed = self.disk.div_ceil(self.cluster).div_ceil(per_table);
        if level1_entries < needed || level1_entries > MAX_LEVEL_1 {
            return Err(self
                .file
                .corrupt(format!("its level 1 table has {level1_entries} entries for {needed} tables")));
        }
        if !level1_offset.is_multiple_of(self.cluster) {
            return Err(self
                .file
                .corrupt(format!("its level 1 table is said to be at byte {level1_offset}")));
        }
        let mut level1 = vec![0; (level1_entries * 8) as usize];
        self.file.read(level1_offset, &mut level1, "the level 1 table")?;
        let mut used = Used::new(self.file.len(), self.cluster);
        let mut places = Vec::new();
        let mut level2 = vec![0; self.cluster as usize];
        for (index, raw) in (0u64..).zip(level1.chunks_exact(8)) {
            let at = be_u64(raw, 0) & OFFSET_MASK;
            if index < needed {
                places.push(at);
            }
            if at == 0 {
                continue;
            }
            self.aligned(at, "a level 2 table")?;
            used.add(self.file, at)?;
            self.file.read(at, &mut level2, "a level 2 table")?;
            for (entry, raw) in (0u64..).zip(level2.chunks_exact(self.entry as usize)) {
                self.check_entry(index * per_table + entry, be_u64(raw, 0), &mut used)?;
            }
        }
        let at = (level1_entries * 8).div_ceil(self.cluster);
        for cluster in 0..at {
            used.add(self.file, level1_offset + cluster * self.cluster)?;
        }
        used.add(self.file, 0)?;
        let mut used = used.places;
        used.sort_unstable();
        match used.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(self.file.corrupt(format!("the cluster at byte {} of the file is used twice", pair[0])))
            }
            None => Ok(places),
        }
    }

    fn check_entry(&self, number: u64, entry: u64, used: &mut Used) -> Result<()> {
        let start = number.saturating_mul(self.cluster);
        if entry & COMPRESSED != 0 {
            let (at, len) = compressed_range(entry, self.bits);
            if self.external || at == 0 {
                return Err(self.file.corrupt(format!("cluster {number} is compressed at byte {at}")));
            }
            // The last sector may end early.
            let needed = at + len - 511;
            if needed > self.file.len() {
                return Err(self.file.truncated(format!("compressed cluster {number}"), needed));
            }
            return Ok(());
        }
        let at = entry & OFFSET_MASK;
        // Nothing allocated, or allocated and marked as zeros, or elsewhere.
        if at == 0
            || self.external
            || start >= self.disk
            || (self.has_zero_flag && self.entry == 8 && entry & ZERO != 0)
        {
            return Ok(());
        }
        self.aligned(at, "a cluster")?;
        used.add(self.file, at)?;
        // What lies behind the end of the disk need not be in the file.
        let needed = at.saturating_add(self.cluster.min(self.disk - start));
        if needed > self.file.len() {
            return Err(self.file.truncated(format!("cluster {number}"), needed));
        }
        Ok(())
    }

    fn aligned(&self, at: u64, what: &str) -> Result<()> {
        match at.is_multiple_of(self.cluster) {
            true => Ok(()),
            false => Err(self
                .file
                .corrupt(format!("{what} is said to be at byte {at}, which is no cluster's place"))),
        }
    }
}

/// Places of the file that something was found at, not more of them than it has.
struct Used {
    places: Vec<u64>,
    max: usize,
}

impl Used {
    fn new(file_len: u64, cluster: u64) -> Used {
        Used { places: Vec::new(), max: usize::try_from(file_len.div_ceil(cluster)).unwrap_or(usize::MAX) }
    }

    /// Adds a place. When there are more than fit into the file, some were named twice: a small file must not make
    /// the list long.
    fn add(&mut self, file: &ImageFile, at: u64) -> Result<()> {
        if self.places.len() > self.max {
            return Err(
                file.corrupt(format!("the cluster at byte {at} of the file, or another, is used twice"))
            );
        }
        self.places.push(at);
        Ok(())
    }
}
