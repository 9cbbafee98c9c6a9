//! Which files differ between two states of one volume, by comparing file records only.

use crate::attribute::{Body, StandardInformation, attributes, code};
use crate::mft::Mft;
use crate::record::{Header, apply_fixup};
use crate::secure;
use disk::ByteSource;
use std::collections::{BTreeSet, HashSet};
use volume::{FileId, Result};

/// Bytes of each $MFT read at once.
const CHUNK: u64 = 1 << 20;
/// Where $STANDARD_INFORMATION keeps the number of the last USN journal record, bytes.
const JOURNAL_NUMBER: std::ops::Range<usize> = 0x40..0x48;

/// The files of `new` and `base`, two states of one volume, whose records say different things: the numbers of their
/// base records, also of files that only one of the two has.
///
/// A file that is *not* in the answer has the same names, metadata, resident contents and runs in both. Whether the
/// bytes in its clusters are the same, records cannot tell. Differences without meaning are not counted: log
/// sequence numbers, update sequences, the journal number, and whatever free records hold. Files with properties
/// outside their records ($EA, $REPARSE_POINT, ...) are always in the answer, because those may change in place.
pub fn changed_records(base: &dyn ByteSource, new: &dyn ByteSource) -> Result<BTreeSet<FileId>> {
    let (base, new) = (Mft::open(base)?, Mft::open(new)?);
    let mut changed = BTreeSet::new();
    if (base.boot.record, base.boot.cluster) != (new.boot.record, new.boot.cluster) {
        for mft in [&base, &new] {
            changed.extend((0..mft.records()).filter(|&record| mft.in_bitmap(record)).map(FileId));
        }
        return Ok(changed);
    }
    let renumbered = renumbered_descriptors(&base, &new)?;
    let size = base.boot.record;
    let chunk = CHUNK / size as u64;
    let records = base.records().max(new.records());
    let (mut old_bytes, mut new_bytes) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < records {
        let end = records.min(first + chunk);
        let any = |mft: &Mft<'_>| (first..end).any(|record| mft.in_bitmap(record));
        if any(&base) || any(&new) {
            read_chunk(&base, first, end, &mut old_bytes)?;
            read_chunk(&new, first, end, &mut new_bytes)?;
            let pairs = old_bytes.chunks_exact_mut(size).zip(new_bytes.chunks_exact_mut(size));
            for ((old, now), number) in pairs.zip(first..) {
                if old == now && base.in_bitmap(number) == new.in_bitmap(number) && renumbered.is_empty() {
                    if let Some(file) = in_place(&new, number, now) {
                        changed.insert(FileId(file));
                    }
                    continue;
                }
                let (old, now) = (used(&base, number, old), used(&new, number, now));
                if !same(old.as_ref(), now.as_ref(), &renumbered) {
                    for side in [old, now].into_iter().flatten() {
                        changed.insert(FileId(side.file(number)));
                    }
                }
            }
        }
        first = end;
    }
    Ok(changed)
}

/// A record in use.
struct Used<'a> {
    header: Header,
    record: &'a [u8],
    /// Whether the bytes are a record at all; broken ones equal nothing.
    sound: bool,
}

impl Used<'_> {
    /// The base record of the file that the record belongs to.
    fn file(&self, own: u64) -> u64 {
        if self.header.base.0 == 0 { own } else { self.header.base.number() }
    }
}

fn read_chunk(mft: &Mft<'_>, first: u64, end: u64, into: &mut Vec<u8>) -> Result<()> {
    let size = mft.boot.record;
    into.clear();
    into.resize((end - first) as usize * size, 0);
    let held = end.min(mft.records()).saturating_sub(first) as usize * size;
    mft.read_raw(first * size as u64, &mut into[..held])
}

fn used<'a>(mft: &Mft<'_>, number: u64, record: &'a mut [u8]) -> Option<Used<'a>> {
    if !mft.in_bitmap(number) {
        return None;
    }
    let fixed = apply_fixup(record, b"FILE").is_ok();
    match Header::parse(record).filter(|_| fixed) {
        Some(header) => header.in_use().then_some(Used { header, record, sound: true }),
        None => {
            let header = Header {
                sequence: 0,
                links: 0,
                attributes: 0,
                flags: 0,
                used: 0,
                base: crate::record::Reference(0),
            };
            Some(Used { header, record, sound: false })
        }
    }
}

/// The file of a byte-for-byte equal record whose properties may have changed in place.
fn in_place(mft: &Mft<'_>, number: u64, record: &mut [u8]) -> Option<u64> {
    let used = used(mft, number, record)?;
    (!used.sound || has_properties_outside(&used)).then(|| used.file(number))
}

fn has_properties_outside(used: &Used<'_>) -> bool {
    attributes(used.record, &used.header).any(|attribute| match attribute {
        Ok(attribute) => {
            matches!(attribute.body, Body::NonResident(_))
                && !matches!(
                    attribute.code,
                    code::DATA | code::INDEX_ALLOCATION | code::BITMAP | code::ATTRIBUTE_LIST
                )
        }
        Err(_) => true,
    })
}

fn same(old: Option<&Used<'_>>, now: Option<&Used<'_>>, renumbered: &HashSet<u32>) -> bool {
    let (old, now) = match (old, now) {
        (Some(old), Some(now)) => (old, now),
        (None, None) => return true,
        _ => return false,
    };
    if !old.sound || !now.sound || old.header != now.header || has_properties_outside(now) {
        return false;
    }
    let body = old.header.attributes..old.header.used;
    let (Some(a), Some(b)) = (old.record.get(body.clone()), now.record.get(body)) else { return false };
    match information(old) {
        Some((at, id)) => {
            let skip = at + JOURNAL_NUMBER.start..at + JOURNAL_NUMBER.end;
            !renumbered.contains(&id)
                && information(now).is_some_and(|(other, _)| other == at)
                && a.get(..skip.start) == b.get(..skip.start)
                && a.get(skip.end..) == b.get(skip.end..)
        }
        None => a == b,
    }
}

/// Where the value of a long $STANDARD_INFORMATION begins, counted from the first attribute, and its security id.
/// `None` when the first attribute is another, or has no journal number.
fn information(used: &Used<'_>) -> Option<(usize, u32)> {
    let first = attributes(used.record, &used.header).next()?.ok()?;
    let Body::Resident { value, .. } = first.body else { return None };
    if first.code != code::STANDARD_INFORMATION || value.len() < JOURNAL_NUMBER.end {
        return None;
    }
    let at = crate::bytes::u16_at(used.record, used.header.attributes + 0x14)?;
    Some((usize::from(at), StandardInformation::parse(value)?.security_id))
}

/// Security ids that do not mean the same descriptor in both states.
fn renumbered_descriptors(base: &Mft<'_>, new: &Mft<'_>) -> Result<HashSet<u32>> {
    let (old, now) = (secure::load(base)?, secure::load(new)?);
    let mut different: HashSet<u32> =
        old.iter().filter(|(id, bytes)| now.get(id) != Some(bytes)).map(|(&id, _)| id).collect();
    different.extend(now.keys().filter(|id| !old.contains_key(id)));
    Ok(different)
}
