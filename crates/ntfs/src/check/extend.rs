//! `$Extend\$Reparse` and `$Extend\$ObjId`: indexes of attributes that files have, in both directions.

use super::records::ExtendIndexes;
use super::report::{CheckReport, record_place};
use super::security::numbers;
use crate::bytes::{slice_at, u32_at, u64_at};
use crate::index::{Entry, Found, Index};
use crate::mft::{Mft, system};
use crate::record::Reference;
use std::collections::BTreeSet;
use volume::Result;

/// `$R` and `$O` in UTF-16LE.
const R: &[u8] = b"$\0R\0";
const O: &[u8] = b"$\0O\0";

/// Codes: `reparse-index`, `object-id-index`.
pub(super) fn check(
    mft: &Mft<'_>,
    extend: &ExtendIndexes,
    reparse_points: Vec<(u32, Reference)>,
    object_ids: Vec<([u8; 16], Reference)>,
    report: &mut CheckReport,
) -> Result<()> {
    let tag = |entry: &Entry<'_>| Some((u32_at(entry.key, 0)?, Reference(u64_at(entry.key, 4)?)));
    let indexed = walk(mft, extend.reparse, R, "reparse-index", tag, report)?;
    compare(reparse_points, indexed, "reparse-index", "reparse point", report);
    let id = |entry: &Entry<'_>| {
        let id: [u8; 16] = slice_at(entry.key, 0, 16)?.try_into().ok()?;
        Some((id, Reference(u64_at(entry.data, 0)?)))
    };
    let indexed = walk(mft, extend.object_ids, O, "object-id-index", id, report)?;
    compare(object_ids, indexed, "object-id-index", "object id", report);
    Ok(())
}

/// The entries of an index, which must ascend. No record: no entries.
fn walk<T>(
    mft: &Mft<'_>,
    record: Option<u64>,
    name: &[u8],
    code: &'static str,
    parse: impl Fn(&Entry<'_>) -> Option<T>,
    report: &mut CheckReport,
) -> Result<Vec<T>> {
    let mut entries = Vec::new();
    let Some(record) = record else { return Ok(entries) };
    let opened = open(mft, record, name);
    let Some(Some(index)) = report.note(code, opened)? else { return Ok(entries) };
    let mut before: Option<Vec<u32>> = None;
    let walked = index.walk(&mut |found| {
        match found {
            Found::Defect(what) => report.error(code, record_place(record), what),
            Found::Entry(entry) => {
                let now = numbers(entry.key);
                if before.as_ref().is_some_and(|before| *before >= now) {
                    report.error(code, record_place(record), "an entry is out of order");
                }
                before = Some(now);
                match parse(&entry) {
                    Some(entry) => entries.push(entry),
                    None => report.error(code, record_place(record), "an entry is malformed"),
                }
            }
        }
        Ok(())
    });
    report.note(code, walked)?;
    Ok(entries)
}

fn open<'m, 's>(mft: &'m Mft<'s>, record: u64, name: &[u8]) -> Result<Option<Index<'m, 's>>> {
    let owned = mft.inode(record)?;
    let attributes = owned.attributes()?;
    Index::open(mft, &owned.inode(&attributes), name)
}

fn compare<K: Ord + Copy>(
    in_records: Vec<(K, Reference)>,
    in_index: Vec<(K, Reference)>,
    code: &'static str,
    what: &str,
    report: &mut CheckReport,
) {
    let (records, index): (BTreeSet<_>, BTreeSet<_>) =
        (in_records.into_iter().collect(), in_index.into_iter().collect());
    for (_, file) in records.difference(&index).filter(|(_, file)| file.number() >= system::FIRST_FREE) {
        report.error(code, record_place(file.number()), format!("its {what} is not in the index"));
    }
    for (_, file) in index.difference(&records) {
        report.error(
            code,
            record_place(file.number()),
            format!("the index knows a {what} that it does not have"),
        );
    }
}
