//! Attributes: what a file record consists of.
//!
//! Everything here borrows from the record; nothing is copied. Lengths and offsets are checked against the attribute
//! and the attribute against the record, so that later code can rely on them.

use crate::bytes::{slice_at, u16_at, u32_at, u64_at};
use crate::record::{Header, Reference};
use crate::runs::{self, RunError};
use volume::Run;

/// Attribute type codes ([MS-FSCC] 2.4, "attribute type code"; $AttrDef).
pub mod code {
    #![allow(missing_docs)] // the names are those of $AttrDef
    pub const STANDARD_INFORMATION: u32 = 0x10;
    pub const ATTRIBUTE_LIST: u32 = 0x20;
    pub const FILE_NAME: u32 = 0x30;
    pub const OBJECT_ID: u32 = 0x40;
    pub const SECURITY_DESCRIPTOR: u32 = 0x50;
    pub const VOLUME_NAME: u32 = 0x60;
    pub const VOLUME_INFORMATION: u32 = 0x70;
    pub const DATA: u32 = 0x80;
    pub const INDEX_ROOT: u32 = 0x90;
    pub const INDEX_ALLOCATION: u32 = 0xa0;
    pub const BITMAP: u32 = 0xb0;
    pub const REPARSE_POINT: u32 = 0xc0;
    pub const EA: u32 = 0xe0;
    pub const LOGGED_UTILITY_STREAM: u32 = 0x100;
    pub const END: u32 = 0xffff_ffff;
}

/// `$I30` in UTF-16LE: the index of file names.
pub(crate) const I30: &[u8] = b"$\0I\x003\x000\0";

/// Attribute flag: the mask of compression methods, of which 1 (LZNT1) is the only one.
pub(crate) const COMPRESSION_MASK: u16 = 0x00ff;
/// Attribute flag: LZNT1.
pub(crate) const COMPRESSED: u16 = 0x0001;
/// Attribute flag: EFS.
pub(crate) const ENCRYPTED: u16 = 0x4000;
/// Attribute flag: sparse.
pub(crate) const SPARSE: u16 = 0x8000;

/// One attribute, or one of the extents of a non-resident one.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Type, see [`code`].
    pub code: u32,
    /// Name in UTF-16LE; mostly empty.
    pub name: &'a [u8],
    /// Compressed, encrypted, sparse.
    pub flags: u16,
    /// Distinguishes attributes of one record.
    pub instance: u16,
    /// Value, or where it is.
    pub body: Body<'a>,
}

/// The value of an attribute, or where it is.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// In the record.
    Resident {
        /// The value.
        value: &'a [u8],
        /// Whether an index holds it (file names).
        indexed: bool,
    },
    /// In clusters.
    NonResident(Extent<'a>),
}

/// The non-resident form of an attribute, or of a part of it.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// First virtual cluster that this part covers.
    pub lowest: u64,
    /// Clusters that this part covers.
    pub clusters: u64,
    /// Mapping pairs.
    pub pairs: &'a [u8],
    /// log2 of the compression unit in clusters; 0 for none. Only in the first part, like the sizes.
    pub unit_shift: u8,
    /// Bytes of the runs.
    pub allocated: u64,
    /// Bytes that readers see.
    pub size: u64,
    /// Bytes that were ever written.
    pub valid: u64,
    /// Bytes in clusters that are really allocated, where the attribute says so (sparse, compressed).
    pub compressed: Option<u64>,
}

impl Extent<'_> {
    /// Decodes the mapping pairs of this part, appending to `into`.
    pub(crate) fn decode(&self, cluster: u64, volume: u64, into: &mut Vec<Run>) -> Result<(), RunError> {
        runs::decode(self.pairs, self.clusters, cluster, volume, into)
    }
}

/// The attributes of a record whose update sequence was applied. Ends after the first malformed attribute, which is
/// `Err` with its offset.
pub fn attributes<'a>(record: &'a [u8], header: &Header) -> Attributes<'a> {
    Attributes { record: record.get(..header.used).unwrap_or_default(), at: Some(header.attributes) }
}

/// See [`attributes`].
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    record: &'a [u8],
    at: Option<usize>,
}

/// The offset, in bytes from the start of the record, of an attribute that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attribute at offset {0} is malformed")]
pub struct Malformed(pub usize);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        match u32_at(self.record, at) {
            Some(code::END) => return None,
            Some(_) => {}
            None => return Some(Err(Malformed(at))),
        }
        let parsed = u32_at(self.record, at + 4)
            .map(|len| len as usize)
            .filter(|len| len % 8 == 0)
            .and_then(|len| slice_at(self.record, at, len))
            .and_then(|bytes| Some((parse(bytes)?, bytes.len())));
        match parsed {
            Some((attribute, len)) => {
                self.at = Some(at + len);
                Some(Ok(attribute))
            }
            None => Some(Err(Malformed(at))),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Attribute<'_>> {
    let name_units = usize::from(*bytes.get(9)?);
    let name_at = usize::from(u16_at(bytes, 10)?);
    let name = if name_units == 0 { &[][..] } else { slice_at(bytes, name_at, name_units * 2)? };
    let body = if bytes[8] == 0 {
        let len = u32_at(bytes, 0x10)? as usize;
        let at = usize::from(u16_at(bytes, 0x14)?);
        Body::Resident { value: slice_at(bytes, at, len)?, indexed: *bytes.get(0x16)? & 1 != 0 }
    } else {
        Body::NonResident(parse_extent(bytes)?)
    };
    Some(Attribute {
        code: u32_at(bytes, 0)?,
        name,
        flags: u16_at(bytes, 12)?,
        instance: u16_at(bytes, 14)?,
        body,
    })
}

fn parse_extent(bytes: &[u8]) -> Option<Extent<'_>> {
    let lowest = u64_at(bytes, 0x10)?;
    // The highest cluster of an empty attribute is -1.
    let clusters = u64_at(bytes, 0x18)?.wrapping_add(1).checked_sub(lowest)?;
    let pairs = bytes.get(usize::from(u16_at(bytes, 0x20)?)..)?;
    let sizes = |at| if lowest == 0 { u64_at(bytes, at) } else { Some(0) };
    // The field exists when the header is long enough for it, which Windows makes it only for sparse and compressed
    // attributes.
    let has_compressed = lowest == 0
        && u16_at(bytes, 12)? & (SPARSE | COMPRESSION_MASK) != 0
        && u16_at(bytes, 0x20)? >= 0x48
        && bytes.get(10..12).is_some_and(|at| bytes[9] == 0 || u16::from_le_bytes([at[0], at[1]]) >= 0x48);
    Some(Extent {
        lowest,
        clusters,
        pairs,
        unit_shift: *bytes.get(0x22)?,
        allocated: sizes(0x28)?,
        size: sizes(0x30)?,
        valid: sizes(0x38)?,
        compressed: if has_compressed { u64_at(bytes, 0x40) } else { None },
    })
}

/// An entry of $ATTRIBUTE_LIST: where one attribute, or one extent of it, is.
#[derive(Debug, Clone, Copy)]
pub struct ListEntry<'a> {
    /// Type.
    pub code: u32,
    /// Name in UTF-16LE.
    pub name: &'a [u8],
    /// First virtual cluster of the extent.
    pub lowest: u64,
    /// The record that holds it.
    pub record: Reference,
    /// Its instance in that record.
    pub instance: u16,
}

/// The entries of an attribute list; `Err` with the offset of a malformed one, after which there are no more.
pub fn list_entries(list: &[u8]) -> impl Iterator<Item = Result<ListEntry<'_>, Malformed>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= list.len() {
            return None;
        }
        let entry = usize::from(u16_at(list, at + 4).unwrap_or_default());
        let parsed = slice_at(list, at, entry).filter(|_| entry >= 0x1a).and_then(|bytes| {
            let units = usize::from(bytes[6]);
            Some(ListEntry {
                code: u32_at(bytes, 0)?,
                name: if units == 0 { &[] } else { slice_at(bytes, usize::from(bytes[7]), units * 2)? },
                lowest: u64_at(bytes, 8)?,
                record: Reference(u64_at(bytes, 16)?),
                instance: u16_at(bytes, 24)?,
            })
        });
        let place = at;
        at = if parsed.is_some() { at + entry } else { list.len() };
        Some(parsed.ok_or(Malformed(place)))
    })
}

/// Namespace of a $FILE_NAME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Any characters, case-sensitive.
    Posix,
    /// A long name that has, or may have, a short one beside it.
    Win32,
    /// A short (8.3) name.
    Dos,
    /// A name that is long and short at once.
    Win32AndDos,
}

/// A $FILE_NAME value: one name of a file, in its record and as a key of the directory's index.
#[derive(Debug, Clone, Copy)]
pub struct FileName<'a> {
    /// The directory.
    pub parent: Reference,
    /// Namespace.
    pub namespace: Namespace,
    /// The name in UTF-16LE, 1 to 255 units.
    pub name: &'a [u8],
}

impl<'a> FileName<'a> {
    /// Offset of the name in the value, bytes.
    const NAME: usize = 0x42;

    /// `None` when the value is too short, the name empty or the namespace unknown.
    pub fn parse(value: &'a [u8]) -> Option<FileName<'a>> {
        let units = usize::from(*value.get(0x40)?);
        let namespace = match value.get(0x41)? {
            0 => Namespace::Posix,
            1 => Namespace::Win32,
            2 => Namespace::Dos,
            3 => Namespace::Win32AndDos,
            _ => return None,
        };
        let name = slice_at(value, FileName::NAME, units * 2).filter(|name| !name.is_empty())?;
        Some(FileName { parent: Reference(u64_at(value, 0)?), namespace, name })
    }
}

/// A $STANDARD_INFORMATION value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardInformation {
    /// Birth, change of data, change of the record, last access: 100 ns since 1601.
    pub times: volume::Times,
    /// File attribute flags as stored.
    pub attributes: u32,
    /// Key into $Secure; 0 in the short form of NTFS 1.2.
    pub security_id: u32,
}

impl StandardInformation {
    /// `None` when the value is shorter than the short form.
    pub fn parse(value: &[u8]) -> Option<StandardInformation> {
        Some(StandardInformation {
            times: volume::Times {
                created: u64_at(value, 0)?,
                modified: u64_at(value, 8)?,
                changed: u64_at(value, 0x10)?,
                accessed: u64_at(value, 0x18)?,
            },
            attributes: u32_at(value, 0x20).filter(|_| value.len() >= 0x30)?,
            security_id: if value.len() >= 0x48 { u32_at(value, 0x34)? } else { 0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_leaves_its_record_is_malformed() {
        let mut record = vec![0u8; 1024];
        record[0x38..0x3c].copy_from_slice(&code::DATA.to_le_bytes());
        record[0x3c..0x40].copy_from_slice(&0x800u32.to_le_bytes());
        let header =
            Header { sequence: 1, links: 1, attributes: 0x38, flags: 1, used: 1024, base: Reference(0) };
        let all: Vec<_> = attributes(&record, &header).collect();
        assert!(matches!(all[..], [Err(Malformed(0x38))]));
    }

    #[test]
    fn a_zero_length_attribute_does_not_loop() {
        let mut record = vec![0u8; 1024];
        record[0x38] = 0x80;
        let header =
            Header { sequence: 1, links: 1, attributes: 0x38, flags: 1, used: 1024, base: Reference(0) };
        assert_eq!(attributes(&record, &header).count(), 1);
    }

    #[test]
    fn an_attribute_list_that_stops_in_the_middle_is_malformed() {
        let mut list = vec![0u8; 0x20];
        list[4] = 0x20;
        list.extend([0x80, 0, 0, 0, 0xff, 0]);
        let entries: Vec<_> = list_entries(&list).collect();
        assert!(matches!(entries[..], [Ok(_), Err(Malformed(0x20))]));
    }
}
