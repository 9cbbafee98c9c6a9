//! Replaying the log of a VHDX that was not closed ([MS-VHDX] 2.3), in memory: the file is never written.

use super::*;
use crate::format::Result;
use crate::format::fields::{guid as guid_at, le_u32, le_u64};
use crate::format::image_file::ImageFile;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

/// Unit of the log and of what it changes, bytes.
const SECTOR: usize = 4096;
const ENTRY_HEADER_LEN: usize = 64;
const DESCRIPTOR_LEN: usize = 32;
/// The log is held in memory while it is replayed. Windows writes 1 MiB.
const MAX_LOG: u32 = 64 << 20;

/// The file with the changes of its log applied.
#[derive(Debug)]
pub(super) struct Replayed {
    file: ImageFile,
    /// Ranges of the file that the log has changed, by where they begin. They do not overlap.
    changes: BTreeMap<u64, Change>,
    len: u64,
    entries: usize,
}

/// What the log has made of a range of the file.
#[derive(Debug)]
struct Change {
    len: u64,
    /// A sector of bytes; a range of zeros has none.
    bytes: Option<Box<[u8; SECTOR]>>,
}

impl Replayed {
    /// A file whose log is empty.
    pub(super) fn unchanged(file: ImageFile) -> Replayed {
        let len = file.len();
        Replayed { file, changes: BTreeMap::new(), len, entries: 0 }
    }

    pub(super) fn file(&self) -> &ImageFile {
        &self.file
    }

    /// Length of the file when the log is applied, bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Entries of the log that were applied.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Fills `buf` from `offset`; `what` names the structure that is cut off if the file is too short.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8], what: &str) -> Result<()> {
        let needed = offset.saturating_add(buf.len() as u64);
        if needed > self.len {
            return Err(self.file.truncated(what, needed));
        }
        self.read_io(offset, buf)
            .map_err(|source| crate::format::Error::Read { path: self.file.path().to_owned(), source })
    }

    /// Fills `buf` from `offset`, which lies within the length.
    pub(super) fn read_io(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // The log may have made the file longer than it is: what is missing is zeros.
        let there = self.file.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        self.file.file().read_exact_at(&mut buf[..there], offset)?;
        buf[there..].fill(0);
        let end = offset + buf.len() as u64;
        for (&at, Change { len, bytes }) in self.changes_in(offset, end) {
            let (from, to) = (at.max(offset), (at + len).min(end));
            let part = &mut buf[(from - offset) as usize..(to - offset) as usize];
            match bytes {
                Some(bytes) => part.copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]),
                None => part.fill(0),
            }
        }
        Ok(())
    }

    /// Whether `offset .. end` is in the file as it stands.
    pub(super) fn is_untouched(&self, offset: u64, end: u64) -> bool {
        end <= self.file.len() && self.changes_in(offset, end).next().is_none()
    }

    fn changes_in(&self, offset: u64, end: u64) -> impl Iterator<Item = (&u64, &Change)> {
        let before = self.changes.range(..offset).next_back();
        let first = before.filter(|(at, change)| **at + change.len > offset);
        first.into_iter().chain(self.changes.range(offset..end.max(offset)))
    }

    /// Records a change; later ones win.
    fn change(&mut self, at: u64, len: u64, bytes: Option<Box<[u8; SECTOR]>>) {
        let end = at + len;
        let zeros = |len| Change { len, bytes: None };
        let before = self.changes.range(..at).next_back().map(|(&at, change)| (at, at + change.len));
        if let Some((start, old_end)) = before.filter(|&(_, old_end)| old_end > at) {
            // Only ranges of zeros are longer than a sector, and everything is aligned to sectors: this is one.
            self.changes.insert(start, zeros(at - start));
            if old_end > end {
                self.changes.insert(end, zeros(old_end - end));
            }
        }
        let inside: Vec<u64> = self.changes.range(at..end).map(|(&at, _)| at).collect();
        for start in inside {
            if let Some(change) = self.changes.remove(&start)
                && start + change.len > end
            {
                self.changes.insert(end, zeros(start + change.len - end));
            }
        }
        self.changes.insert(at, Change { len, bytes });
    }
}

/// An entry of the log that is whole.
struct Entry {
    /// Where it begins in the log, bytes.
    at: usize,
    len: usize,
    /// Where the oldest entry begins that was not yet applied when this one was written.
    tail: usize,
    sequence: u64,
    descriptors: usize,
    /// How long the file was when the entry was written; it was flushed up to there.
    flushed_len: u64,
    /// How long the file has to be.
    last_len: u64,
}

/// More than a file with a disk of 64 TiB, the longest there is, can need, bytes.
const MAX_FILE: u64 = 1 << 47;

/// Applies the log of `file`, `len` bytes at `offset`, whose entries carry `id`.
pub(super) fn replay(file: ImageFile, offset: u64, len: u32, id: [u8; 16]) -> Result<Replayed> {
    if len == 0 || !u64::from(len).is_multiple_of(MIB) || offset < MIB || !offset.is_multiple_of(MIB) {
        return Err(file.corrupt(format!("its log is said to have {len} bytes at byte {offset}")));
    }
    if len > MAX_LOG {
        return Err(file.unsupported(format!("its log has {len} bytes; at most 64 MiB are replayed")));
    }
    let mut bytes = vec![0; len as usize];
    file.read(offset, &mut bytes, "the log")?;
    let log = Log { bytes, id };
    let Some(entries) = log.active_sequence() else {
        return Err(
            file.corrupt("it was not closed properly, and its log holds no complete sequence of entries")
        );
    };
    let mut replayed = Replayed::unchanged(file);
    for entry in &entries {
        if replayed.file.len() < entry.flushed_len {
            return Err(replayed.file.truncated("the part that the log relies on", entry.flushed_len));
        }
        if entry.last_len > MAX_FILE {
            let said = format!("its log says that it has {} bytes", entry.last_len);
            return Err(replayed.file.corrupt(said));
        }
        replayed.len = replayed.len.max(entry.last_len);
        log.apply(entry, &mut replayed)?;
    }
    replayed.entries = entries.len();
    Ok(replayed)
}

struct Log {
    bytes: Vec<u8>,
    id: [u8; 16],
}

impl Log {
    /// The sector at `at`, which may lie behind the end: the log is a ring.
    fn sector(&self, at: usize) -> &[u8] {
        let at = at % self.bytes.len();
        &self.bytes[at..at + SECTOR]
    }

    /// The descriptor with this number of an entry.
    fn descriptor(&self, entry: usize, number: usize) -> &[u8] {
        let at = ENTRY_HEADER_LEN + number * DESCRIPTOR_LEN;
        &self.sector(entry + at / SECTOR * SECTOR)[at % SECTOR..][..DESCRIPTOR_LEN]
    }

    /// The entry at `at` if there is a whole one. Structure is checked before the checksum: no sector of an entry
    /// but its first can begin with the signature of an entry, so entries that pass do not overlap and the sums are
    /// linear in the length of the log.
    fn entry(&self, at: usize) -> Option<Entry> {
        let head = self.sector(at);
        let (len, tail) = (le_u32(head, 8) as usize, le_u32(head, 12) as usize);
        let (sequence, descriptors) = (le_u64(head, 16), le_u32(head, 24) as usize);
        let valid = head.starts_with(b"loge")
            && len > 0
            && len.is_multiple_of(SECTOR)
            && len <= self.bytes.len()
            && tail.is_multiple_of(SECTOR)
            && tail < self.bytes.len()
            && sequence > 0
            && guid_at(head, 32) == self.id
            && descriptors <= len / DESCRIPTOR_LEN;
        if !valid {
            return None;
        }
        let described = (ENTRY_HEADER_LEN + descriptors * DESCRIPTOR_LEN).next_multiple_of(SECTOR);
        let mut end = described;
        for number in 0..descriptors {
            let descriptor = self.descriptor(at, number);
            let data = descriptor.starts_with(b"desc");
            if !(data || descriptor.starts_with(b"zero")) || le_u64(descriptor, 24) != sequence {
                return None;
            }
            if data {
                if end + SECTOR > len {
                    return None;
                }
                let sector = self.sector(at + end);
                let number = u64::from(le_u32(sector, 4)) << 32 | u64::from(le_u32(sector, SECTOR - 4));
                if !sector.starts_with(b"data") || number != sequence {
                    return None;
                }
                end += SECTOR;
            }
        }
        if end != len {
            return None;
        }
        let mut sum = crc32c::crc32c(&head[..4]);
        sum = crc32c::crc32c_append(sum, &[0; 4]);
        sum = crc32c::crc32c_append(sum, &head[8..]);
        for sector in (SECTOR..len).step_by(SECTOR) {
            sum = crc32c::crc32c_append(sum, self.sector(at + sector));
        }
        (sum == le_u32(head, 4)).then(|| Entry {
            at,
            len,
            tail,
            sequence,
            descriptors,
            flushed_len: le_u64(head, 48),
            last_len: le_u64(head, 56),
        })
    }

    /// The sequence of entries with the highest numbers whose head says that it reaches back to its start
    /// ([MS-VHDX] 2.3.3), oldest first.
    fn active_sequence(&self) -> Option<Vec<Entry>> {
        let mut entries: BTreeMap<usize, Entry> = (0..self.bytes.len())
            .step_by(SECTOR)
            .filter_map(|at| self.entry(at))
            .map(|entry| (entry.at, entry))
            .collect();
        let mut heads: Vec<(u64, usize)> = entries.values().map(|entry| (entry.sequence, entry.at)).collect();
        heads.sort_unstable_by(|a, b| b.cmp(a));
        let starts = heads.into_iter().find_map(|(_, head)| self.sequence_to(&entries, head))?;
        starts.into_iter().map(|at| entries.remove(&at)).collect()
    }

    /// Where the entries begin that lead without a gap to the one at `head` from where it says.
    fn sequence_to(&self, entries: &BTreeMap<usize, Entry>, head: usize) -> Option<Vec<usize>> {
        let last = entries.get(&head)?;
        let (mut at, mut len, mut starts) = (last.tail, 0, Vec::new());
        loop {
            let entry = entries.get(&at)?;
            len += entry.len;
            // Going round the ring more than once would be a cycle.
            if len > self.bytes.len() {
                return None;
            }
            let behind = last.sequence.checked_sub(entry.sequence)?;
            if let Some(first) = starts.first().and_then(|first| entries.get(first))
                && entry.sequence != first.sequence + starts.len() as u64
            {
                return None;
            }
            starts.push(at);
            if at == head {
                return Some(starts);
            }
            if behind == 0 {
                return None;
            }
            at = (at + entry.len) % self.bytes.len();
        }
    }

    fn apply(&self, entry: &Entry, to: &mut Replayed) -> Result<()> {
        let mut data = (ENTRY_HEADER_LEN + entry.descriptors * DESCRIPTOR_LEN).next_multiple_of(SECTOR);
        for number in 0..entry.descriptors {
            let descriptor = self.descriptor(entry.at, number);
            let at = le_u64(descriptor, 16);
            let is_data = descriptor.starts_with(b"desc");
            let len = if is_data { SECTOR as u64 } else { le_u64(descriptor, 8) };
            let fits = at.is_multiple_of(SECTOR as u64)
                && len.is_multiple_of(SECTOR as u64)
                && at.checked_add(len).is_some_and(|end| end <= entry.last_len.max(to.file.len()));
            if !fits {
                return Err(to
                    .file
                    .corrupt(format!("its log changes {len} bytes at byte {at}, behind its end")));
            }
            if is_data {
                // The sector in the log gave its first 8 and last 4 bytes to the log's own use.
                let sector = self.sector(entry.at + data);
                let mut bytes = Box::new([0; SECTOR]);
                bytes[..8].copy_from_slice(&descriptor[8..16]);
                bytes[8..SECTOR - 4].copy_from_slice(&sector[8..SECTOR - 4]);
                bytes[SECTOR - 4..].copy_from_slice(&descriptor[4..8]);
                to.change(at, len, Some(bytes));
                data += SECTOR;
            } else if len > 0 {
                to.change(at, len, None);
            }
        }
        Ok(())
    }
}
