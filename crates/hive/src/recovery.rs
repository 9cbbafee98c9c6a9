//! Completing a write that was interrupted, from the hive's logs, as Windows does when it loads the hive.
//!
//! Two formats. The old one (up to Windows 8) is one log of dirty 512-byte pages behind a bitmap. The new one (since
//! Windows 8.1) is a sequence of numbered entries, each with pages and checksums, in two files that take turns.
//! Logs are applied to a copy in memory only.

use crate::base_block::{BaseBlock, HEAD, checksum};
use crate::layout::{BASE_BLOCK, BIN_UNIT, LONGEST, u32_at, u64_at};
use crate::marvin32::marvin32;
use crate::{Error, Result};

/// The unit of the old log's bitmap, bytes.
const PAGE: usize = 512;
/// Bytes of an entry of the new log before its references to pages.
const ENTRY_HEADER: usize = 40;

/// What was done to complete the last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: it was complete.
    Clean,
    /// Logs were applied.
    Replayed {
        /// How many entries; a log of the old format is one.
        entries: usize,
        /// How many pages they held.
        pages: usize,
    },
    /// Nothing, although it was incomplete: asked for.
    Ignored,
}

/// Applies `logs` to `file` if its last write was not completed. With `accept_dirty` a file that no log completes stays
/// as it is.
pub(crate) fn recover(file: &mut Vec<u8>, logs: &[&[u8]], accept_dirty: bool) -> Result<Recovery> {
    let mut base = BaseBlock::read(file)?;
    if base.is_clean() {
        return Ok(Recovery::Clean);
    }
    let (primary, secondary, checksum) = (base.primary(), base.secondary(), base.has_valid_checksum());
    // whatever a log claims, a hive grows by what its logs hold
    let longest = LONGEST.min(logs.iter().map(|log| log.len()).sum::<usize>().saturating_add(file.len()));
    let mut reasons = Vec::new();
    let mut usable = Vec::new();
    for (number, log) in (1..).zip(logs) {
        match Log::read(log, longest) {
            Ok(read) => usable.push((number, read)),
            Err(reason) => reasons.push(format!("log {number} {reason}")),
        }
    }
    for (number, log) in &usable {
        if let Log::Pages { head, pages } = log {
            match old_log_belongs(file, &base, head) {
                Ok(()) => return apply_pages(file, base, head, pages),
                Err(reason) => reasons.push(format!("log {number} {reason}")),
            }
        }
    }
    let mut entries: Vec<&Entry<'_>> = usable.iter().flat_map(|(_, log)| log.entries()).collect();
    entries.sort_by_key(|entry| entry.sequence);
    if !base.has_valid_checksum() {
        // any of the new logs' heads gives back what the file's own should say; the entries then decide
        let heads = usable.iter().filter_map(|(_, log)| log.entries().first().map(|_| log.head()));
        if let Some(head) = heads.max_by_key(|head| u32_at(head, 4)) {
            let first = entries.first().map_or(0, |entry| entry.sequence);
            base.restore(head);
            base.complete(first, base.root(), base.bins_len() as u32);
        }
    }
    let following: Vec<&Entry<'_>> = following(&entries, base.secondary());
    if let Some(last) = following.last() {
        let pages = following.iter().map(|entry| entry.pages.len()).sum();
        for entry in &following {
            let end = BASE_BLOCK + entry.bins_len;
            if file.len() < end {
                file.resize(end, 0);
            }
            for (at, page) in &entry.pages {
                file[BASE_BLOCK + at..BASE_BLOCK + at + page.len()].copy_from_slice(page);
            }
        }
        base.complete(last.sequence.wrapping_add(1), base.root(), last.bins_len as u32);
        file[..BASE_BLOCK].copy_from_slice(base.as_bytes());
        return Ok(Recovery::Replayed { entries: following.len(), pages });
    }
    if !usable.is_empty() && reasons.is_empty() {
        reasons.push("the logs hold no write that follows the last complete one".to_owned());
    }
    if accept_dirty {
        return Ok(Recovery::Ignored);
    }
    let logs = if reasons.is_empty() { "there is none".to_owned() } else { reasons.join("; ") };
    Err(Error::Dirty { primary, secondary, checksum, logs })
}

/// The entries that follow write number `secondary`: those from there on, or all when the oldest is younger still
/// (Windows 10 brings the file up to date only now and then), up to the first gap.
fn following<'e, 'l>(entries: &[&'e Entry<'l>], secondary: u32) -> Vec<&'e Entry<'l>> {
    let mut following: Vec<&Entry<'_>> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.sequence >= secondary) {
        match following.last() {
            Some(last) if last.sequence == entry.sequence => {}
            Some(last) if last.sequence.checked_add(1) != Some(entry.sequence) => break,
            _ => following.push(entry),
        }
    }
    following
}

/// Whether an old log was made for this state of the file.
fn old_log_belongs(file: &[u8], base: &BaseBlock, head: &[u8]) -> std::result::Result<(), String> {
    let time = u64_at(head, 12);
    // the first bin holds a copy of the time for when the base block is damaged; Windows 7 does not keep it up to date
    let bin = file.get(BASE_BLOCK + 20..BASE_BLOCK + 28).map(|bytes| u64_at(bytes, 0));
    if time == base.last_written() || (!base.has_valid_checksum() && bin == Some(time)) {
        Ok(())
    } else {
        Err("belongs to another write (its time differs from the hive's)".to_owned())
    }
}

fn apply_pages(
    file: &mut Vec<u8>,
    mut base: BaseBlock,
    head: &[u8],
    pages: &[(usize, &[u8])],
) -> Result<Recovery> {
    base.restore(head);
    let end = BASE_BLOCK + base.bins_len();
    if file.len() < end {
        file.resize(end, 0);
    }
    for (at, page) in pages {
        file[BASE_BLOCK + at..BASE_BLOCK + at + page.len()].copy_from_slice(page);
    }
    base.complete(base.primary(), base.root(), base.bins_len() as u32);
    file[..BASE_BLOCK].copy_from_slice(base.as_bytes());
    Ok(Recovery::Replayed { entries: 1, pages: pages.len() })
}

/// A log that can be read. Places are bytes from the start of the bins.
enum Log<'l> {
    Pages { head: &'l [u8], pages: Vec<(usize, &'l [u8])> },
    Entries { head: &'l [u8], entries: Vec<Entry<'l>> },
}

/// One numbered write of a new log.
struct Entry<'l> {
    sequence: u32,
    bins_len: usize,
    pages: Vec<(usize, &'l [u8])>,
}

impl<'l> Log<'l> {
    /// Reads a log, or says why it does not serve.
    fn read(log: &'l [u8], longest: usize) -> std::result::Result<Log<'l>, String> {
        if log.is_empty() {
            return Err("is empty".to_owned());
        }
        let Some(head) = log.get(..HEAD).filter(|head| head.starts_with(b"regf")) else {
            return Err("is no registry log".to_owned());
        };
        if checksum(head) != u32_at(head, 508) {
            return Err("has a wrong checksum".to_owned());
        }
        if u32_at(head, 4) != u32_at(head, 8) {
            return Err("was not written completely".to_owned());
        }
        let bins_len = u32_at(head, 40) as usize;
        if !is_bins_len(bins_len, longest) {
            return Err("names a length of bins that no hive has".to_owned());
        }
        match u32_at(head, 28) {
            // 2 was seen in logs of Windows 2000
            1 | 2 => Ok(Log::Pages { head, pages: dirty_pages(log, bins_len)? }),
            6 => Ok(Log::Entries { head, entries: entries(log, longest) }),
            kind => Err(format!("has the unknown type {kind}")),
        }
    }

    fn head(&self) -> &'l [u8] {
        match self {
            Log::Pages { head, .. } | Log::Entries { head, .. } => head,
        }
    }

    fn entries(&self) -> &[Entry<'l>] {
        match self {
            Log::Entries { entries, .. } => entries,
            Log::Pages { .. } => &[],
        }
    }
}

/// The pages of an old log: `DIRT`, a bit for every page of the bins, and the pages whose bit is set, from the next
/// multiple of 512 bytes on.
fn dirty_pages(log: &[u8], bins_len: usize) -> std::result::Result<Vec<(usize, &[u8])>, String> {
    if log.get(HEAD..HEAD + 4) != Some(b"DIRT") {
        return Err("has no map of what was written".to_owned());
    }
    let count = bins_len / PAGE;
    let Some(bitmap) = log.get(HEAD + 4..HEAD + 4 + count.div_ceil(8)) else {
        return Err("ends inside its map of what was written".to_owned());
    };
    let mut at = (HEAD + 4 + bitmap.len()).next_multiple_of(PAGE);
    let mut pages = Vec::new();
    for page in (0..count).filter(|page| bitmap[page / 8] >> (page % 8) & 1 == 1) {
        let Some(bytes) = log.get(at..at + PAGE) else {
            return Err("ends before its last page".to_owned());
        };
        pages.push((page * PAGE, bytes));
        at += PAGE;
    }
    Ok(pages)
}

/// The entries of a new log, up to the first that is not whole.
fn entries(log: &[u8], longest: usize) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut at = HEAD;
    while let Some((entry, len)) = entry(&log[at.min(log.len())..], longest) {
        entries.push(entry);
        at += len;
    }
    entries
}

/// The entry that begins here, with its length in bytes.
fn entry(log: &[u8], longest: usize) -> Option<(Entry<'_>, usize)> {
    let header = log.get(..ENTRY_HEADER).filter(|header| header.starts_with(b"HvLE"))?;
    let len = u32_at(header, 4) as usize;
    let body = log.get(ENTRY_HEADER..len).filter(|_| len.is_multiple_of(512))?;
    if marvin32(body) != u64_at(header, 24) || marvin32(&header[..32]) != u64_at(header, 32) {
        return None;
    }
    let bins_len = u32_at(header, 16) as usize;
    if !is_bins_len(bins_len, longest) {
        return None;
    }
    let count = u32_at(header, 20) as usize;
    let references = body.get(..count.checked_mul(8)?)?;
    let mut rest = &body[references.len()..];
    let mut pages = Vec::with_capacity(count);
    for reference in references.chunks_exact(8) {
        let (at, len) = (u32_at(reference, 0) as usize, u32_at(reference, 4) as usize);
        if at.checked_add(len)? > bins_len {
            return None;
        }
        let (page, after) = rest.split_at_checked(len)?;
        pages.push((at, page));
        rest = after;
    }
    Some((Entry { sequence: u32_at(header, 12), bins_len, pages }, len))
}

fn is_bins_len(bins_len: usize, longest: usize) -> bool {
    bins_len > 0 && bins_len.is_multiple_of(BIN_UNIT) && bins_len <= longest
}
