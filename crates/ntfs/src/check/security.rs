//! $Secure: descriptors, their copies, and the two indexes that lead to them.

use super::report::{CheckReport, record_place};
use crate::bytes::u32_at;
use crate::index::{Entry, Found, Index};
use crate::mft::{Mft, system};
use crate::secure::{self, BLOCK, EntryHeader};
use std::collections::{BTreeMap, HashSet};
use volume::Result;

/// `$SII` and `$SDH` in UTF-16LE.
const SII: &[u8] = b"$\0S\0I\0I\0";
const SDH: &[u8] = b"$\0S\0D\0H\0";

/// Codes: `sds`, `sds-hash`, `sds-mirror`, `sii`, `sdh`, `security-id`; `sds-unused` is a warning.
pub(super) fn check(mft: &Mft<'_>, in_use: &[(u32, u64)], report: &mut CheckReport) -> Result<()> {
    let found = descriptors(mft, report);
    let Some(entries) = report.note("sds", found)? else { return Ok(()) };
    report.counts.descriptors = entries.len() as u64;
    let by_id = index(mft, SII, "sii", 4, report)?;
    let by_hash = index(mft, SDH, "sdh", 8, report)?;
    let mut indexed = HashSet::new();
    for (key, header) in &by_id {
        indexed.insert(header.id);
        if key[..] != header.id.to_le_bytes() {
            report.error(
                "sii",
                place(),
                format!("an entry of $SII names descriptor {:#x} by another id", header.id),
            );
        }
        known(&entries, header, "sii", report);
    }
    let mut hashed = HashSet::new();
    for (key, header) in &by_hash {
        hashed.insert(header.id);
        if u32_at(key, 0) != Some(header.hash) || u32_at(key, 4) != Some(header.id) {
            report.error(
                "sdh",
                place(),
                format!("an entry of $SDH names descriptor {:#x} by another key", header.id),
            );
        }
        known(&entries, header, "sdh", report);
    }
    for id in entries.keys() {
        match (indexed.contains(id), hashed.contains(id)) {
            (true, true) => {}
            (false, false) => {
                report.warning("sds-unused", place(), format!("descriptor {id:#x} is in neither index"));
            }
            (true, false) => report.error("sdh", place(), format!("descriptor {id:#x} is missing in $SDH")),
            (false, true) => report.error("sii", place(), format!("descriptor {id:#x} is missing in $SII")),
        }
    }
    let mut asked = HashSet::new();
    for &(id, record) in in_use {
        if asked.insert(id) && !(entries.contains_key(&id) && indexed.contains(&id)) {
            report.error("security-id", record_place(record), format!("$Secure has no descriptor {id:#x}"));
        }
    }
    Ok(())
}

fn place() -> String {
    record_place(system::SECURE)
}

/// An index must lead to an entry of `$SDS` that says the same.
fn known(
    entries: &BTreeMap<u32, EntryHeader>,
    header: &EntryHeader,
    code: &'static str,
    report: &mut CheckReport,
) {
    if entries.get(&header.id) != Some(header) {
        let message = format!("an index entry for descriptor {:#x} and $SDS say different things", header.id);
        report.error(code, place(), message);
    }
}

/// The entries of `$SDS` by id, each checked against its hash and its copy.
fn descriptors(mft: &Mft<'_>, report: &mut CheckReport) -> Result<BTreeMap<u32, EntryHeader>> {
    let mut found = BTreeMap::new();
    let Some((extents, valid)) = secure::stream(mft)? else { return Ok(found) };
    let (mut block, mut copy) = (Vec::new(), Vec::new());
    let mut start = 0;
    while start < valid {
        block.resize(BLOCK.min(valid - start) as usize, 0);
        extents.read_at(mft.source, start, &mut block)?;
        copy.resize(BLOCK.min(valid.saturating_sub(start + BLOCK)) as usize, 0);
        extents.read_at(mft.source, start + BLOCK, &mut copy)?;
        for (header, descriptor) in secure::entries(&block, start) {
            let at = (header.offset - start) as usize;
            let shown = format!("descriptor {:#x}", header.id);
            if secure::hash(descriptor) != header.hash {
                report.error(
                    "sds-hash",
                    place(),
                    format!("{shown} does not have the hash that it should have"),
                );
            }
            let bytes = at..at + header.len as usize;
            if copy.get(bytes.clone()) != block.get(bytes) {
                report.error("sds-mirror", place(), format!("{shown} and its copy differ"));
            }
            if found.insert(header.id, header).is_some() {
                report.error("sds", place(), format!("{shown} is there twice"));
            }
        }
        start += 2 * BLOCK;
    }
    Ok(found)
}

/// The entries of an index of $Secure; keys are little-endian 32-bit numbers and must ascend as such.
fn index(
    mft: &Mft<'_>,
    name: &[u8],
    code: &'static str,
    key_len: usize,
    report: &mut CheckReport,
) -> Result<Vec<(Vec<u8>, EntryHeader)>> {
    let mut entries: Vec<(Vec<u8>, EntryHeader)> = Vec::new();
    let opened = open(mft, name);
    let Some(Some(index)) = report.note(code, opened)? else {
        report.error(code, place(), "an index of $Secure is missing");
        return Ok(entries);
    };
    let walked = index.walk(&mut |found| {
        match found {
            Found::Defect(what) => report.error(code, place(), what),
            Found::Entry(Entry { key, data, .. }) => match EntryHeader::parse(data) {
                Some(header) if key.len() == key_len => {
                    if entries.last().is_some_and(|(before, _)| numbers(before) >= numbers(key)) {
                        report.error(code, place(), format!("descriptor {:#x} is out of order", header.id));
                    }
                    entries.push((key.to_vec(), header));
                }
                _ => report.error(code, place(), "an entry is malformed"),
            },
        }
        Ok(())
    });
    report.note(code, walked)?;
    Ok(entries)
}

fn open<'m, 's>(mft: &'m Mft<'s>, name: &[u8]) -> Result<Option<Index<'m, 's>>> {
    let owned = mft.inode(system::SECURE)?;
    let attributes = owned.attributes()?;
    Index::open(mft, &owned.inode(&attributes), name)
}

/// A key as the numbers by which it is sorted.
pub(super) fn numbers(key: &[u8]) -> Vec<u32> {
    key.chunks_exact(4).filter_map(|word| u32_at(word, 0)).collect()
}
