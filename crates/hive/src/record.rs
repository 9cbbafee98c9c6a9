//! The records that cells hold, read without trusting them.

use crate::file::Hive;
use crate::layout::{
    Cell, INLINE, KEY_HEADER, LONGEST_KEY_NAME, LONGEST_VALUE_NAME, NIL, SECURITY_HEADER, SEGMENT,
    VALUE_HEADER, u16_at, u32_at, u64_at,
};
use crate::{Name, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Flags of a key record. Others exist and are kept.
pub mod key_flags {
    /// Exists only in memory; never valid in a file.
    pub const VOLATILE: u16 = 0x0001;
    /// The root of its hive.
    pub const ROOT: u16 = 0x0004;
    /// Cannot be deleted.
    pub const NO_DELETE: u16 = 0x0008;
    /// Its value `SymbolicLinkValue` names the key that is opened instead.
    pub const SYMBOLIC_LINK: u16 = 0x0010;
    /// The name has one byte per character.
    pub(crate) const NARROW: u16 = 0x0020;
}

/// The flag of a value record that says that its name has one byte per character.
pub(crate) const NARROW_VALUE: u16 = 0x0001;

/// What a key has beside its name, security, values and subkeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties<'h> {
    /// Time of the last change, 100 ns since 1601.
    pub last_written: u64,
    /// [`key_flags`], without the one that belongs to the name.
    pub flags: u16,
    /// The upper half of the field at byte 52: registry virtualisation and debugging.
    pub user_flags: u16,
    /// The four bytes at byte 12: access history and, since Windows 10, layered-key semantics.
    pub access: u32,
    /// Class name, as its bytes are.
    #[serde(with = "crate::bytes")]
    pub class: Cow<'h, [u8]>,
}

impl Properties<'_> {
    /// The same that borrow from these.
    pub fn borrowed(&self) -> Properties<'_> {
        Properties { class: Cow::Borrowed(&self.class), ..*self }
    }

    /// The same that borrow from nothing.
    pub fn into_owned(self) -> Properties<'static> {
        Properties { class: Cow::Owned(self.class.into_owned()), ..self }
    }
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'h> {
    /// Its name; empty for the default value.
    pub name: Name<'h>,
    /// Its content.
    pub data: Data<'h>,
}

/// The content of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data<'h> {
    /// The type, one of [`value_kind`] or any other number.
    pub kind: u32,
    /// Flags, without the one that belongs to the name.
    pub flags: u16,
    /// The bytes.
    #[serde(with = "crate::bytes")]
    pub bytes: Cow<'h, [u8]>,
}

impl<'h> Data<'h> {
    /// Data of a type.
    pub fn new(kind: u32, bytes: impl Into<Cow<'h, [u8]>>) -> Data<'h> {
        Data { kind, flags: 0, bytes: bytes.into() }
    }

    /// Whether its type is one of those that lists have.
    pub(crate) fn may_be_list(&self) -> bool {
        matches!(self.kind, value_kind::SZ | value_kind::EXPAND_SZ | value_kind::MULTI_SZ)
    }

    /// The same that borrows from this.
    pub fn borrowed(&self) -> Data<'_> {
        Data { bytes: Cow::Borrowed(&self.bytes), ..*self }
    }

    /// The same that borrows from nothing.
    pub fn into_owned(self) -> Data<'static> {
        Data { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }
}

/// Types of values.
pub mod value_kind {
    /// No type.
    pub const NONE: u32 = 0;
    /// Text, UTF-16 with a NUL at the end.
    pub const SZ: u32 = 1;
    /// Text with references to environment variables.
    pub const EXPAND_SZ: u32 = 2;
    /// Bytes.
    pub const BINARY: u32 = 3;
    /// A 32-bit number.
    pub const DWORD: u32 = 4;
    /// A 32-bit number, most significant byte first.
    pub const DWORD_BIG_ENDIAN: u32 = 5;
    /// The target of a symbolic link.
    pub const LINK: u32 = 6;
    /// Texts, each with a NUL at its end, and one more NUL.
    pub const MULTI_SZ: u32 = 7;
    /// A 64-bit number.
    pub const QWORD: u32 = 11;
}

/// A key record, its references not followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRecord<'h> {
    pub(crate) cell: Cell<'h>,
}

impl<'h> KeyRecord<'h> {
    pub(crate) fn read(hive: &'h Hive, offset: u32) -> Result<KeyRecord<'h>> {
        let cell = hive.cell(offset)?;
        let record = cell.record(b"nk", KEY_HEADER, "a key does not begin with the letters nk")?;
        let key = KeyRecord { cell };
        let name = cell.slice(KEY_HEADER, usize::from(u16_at(record, 72)))?;
        if name.is_empty() {
            return Err(cell.damaged("a key has no name"));
        }
        if !key.is_narrow() && !name.len().is_multiple_of(2) {
            return Err(cell.damaged("a UTF-16 name has an odd number of bytes"));
        }
        if key.name().unit_count() > LONGEST_KEY_NAME {
            return Err(cell.damaged("the name of a key is longer than 255 characters"));
        }
        Ok(key)
    }

    fn is_narrow(&self) -> bool {
        u16_at(self.cell.bytes, 2) & key_flags::NARROW != 0
    }

    pub(crate) fn name(&self) -> Name<'h> {
        let len = usize::from(u16_at(self.cell.bytes, 72));
        Name::from_raw(&self.cell.bytes[KEY_HEADER..KEY_HEADER + len], self.is_narrow())
    }

    pub(crate) fn flags(&self) -> u16 {
        u16_at(self.cell.bytes, 2) & !key_flags::NARROW
    }

    pub(crate) fn parent(&self) -> u32 {
        u32_at(self.cell.bytes, 16)
    }

    pub(crate) fn subkey_count(&self) -> usize {
        u32_at(self.cell.bytes, 20) as usize
    }

    pub(crate) fn subkey_list(&self) -> u32 {
        u32_at(self.cell.bytes, 28)
    }

    pub(crate) fn value_count(&self) -> usize {
        u32_at(self.cell.bytes, 36) as usize
    }

    pub(crate) fn value_list(&self) -> u32 {
        u32_at(self.cell.bytes, 40)
    }

    pub(crate) fn security_cell(&self) -> Option<u32> {
        Some(u32_at(self.cell.bytes, 44)).filter(|offset| *offset != NIL)
    }

    pub(crate) fn class_cell(&self) -> Option<u32> {
        let present = u16_at(self.cell.bytes, 74) != 0;
        Some(u32_at(self.cell.bytes, 48)).filter(|offset| present && *offset != NIL)
    }

    pub(crate) fn properties(&self, hive: &'h Hive) -> Result<Properties<'h>> {
        let record = self.cell.bytes;
        let class = match self.class_cell() {
            Some(offset) => hive.cell(offset)?.slice(0, usize::from(u16_at(record, 74)))?,
            None => &[],
        };
        Ok(Properties {
            last_written: u64_at(record, 4),
            flags: self.flags(),
            user_flags: u16_at(record, 54),
            access: u32_at(record, 12),
            class: Cow::Borrowed(class),
        })
    }
}

/// What an entry of a list of subkeys says beside where the key is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hint {
    /// Nothing.
    None,
    /// The first characters of the name.
    Start([u8; 4]),
    /// Hash of the name.
    Hash(u32),
}

/// The entries of a list of subkeys, in its order. `visit` gets the offset of every cell that belongs to the list.
pub(crate) fn subkeys(
    hive: &Hive,
    key: &KeyRecord<'_>,
    mut visit: impl FnMut(u32) -> Result<()>,
) -> Result<Vec<(u32, Hint)>> {
    let count = key.subkey_count();
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > hive.cell_count() {
        return Err(key.cell.damaged("a key has more subkeys than the hive has cells"));
    }
    let mut entries = Vec::with_capacity(count);
    let list = hive.cell(key.subkey_list())?;
    visit(list.offset)?;
    if list.bytes.starts_with(b"ri") {
        let leaves = usize::from(u16_at(list.slice(0, 4)?, 2));
        for leaf in list.slice(4, leaves * 4)?.chunks_exact(4) {
            let leaf = hive.cell(u32_at(leaf, 0))?;
            visit(leaf.offset)?;
            read_leaf(leaf, count, &mut entries)?;
        }
    } else {
        read_leaf(list, count, &mut entries)?;
    }
    if entries.len() != count {
        return Err(key.cell.damaged("a key's list of subkeys has another length than the key says"));
    }
    Ok(entries)
}

fn read_leaf(list: Cell<'_>, count: usize, entries: &mut Vec<(u32, Hint)>) -> Result<()> {
    let header = list.slice(0, 4)?;
    let len = usize::from(u16_at(header, 2));
    if len > count - entries.len() {
        return Err(list.damaged("a key's list of subkeys has another length than the key says"));
    }
    match &header[..2] {
        b"li" => {
            let offsets = list.slice(4, len * 4)?.chunks_exact(4);
            entries.extend(offsets.map(|entry| (u32_at(entry, 0), Hint::None)));
        }
        b"lf" => {
            let listed = list.slice(4, len * 8)?.chunks_exact(8);
            let start = |entry: &[u8]| Hint::Start([entry[4], entry[5], entry[6], entry[7]]);
            entries.extend(listed.map(|entry| (u32_at(entry, 0), start(entry))));
        }
        b"lh" => {
            let listed = list.slice(4, len * 8)?.chunks_exact(8);
            entries.extend(listed.map(|entry| (u32_at(entry, 0), Hint::Hash(u32_at(entry, 4)))));
        }
        _ => return Err(list.damaged("a list of subkeys has an unknown signature")),
    }
    Ok(())
}

/// Offsets of cells, as a list holds them.
pub(crate) struct Offsets<'h>(std::slice::ChunksExact<'h, u8>);

impl Iterator for Offsets<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|offset| u32_at(offset, 0))
    }
}

/// The offsets of a key's value records, in their order.
pub(crate) fn values<'h>(
    hive: &'h Hive,
    key: &KeyRecord<'_>,
    mut visit: impl FnMut(u32) -> Result<()>,
) -> Result<Offsets<'h>> {
    let count = key.value_count();
    let list: &[u8] = if count == 0 {
        &[]
    } else if count > hive.cell_count() {
        return Err(key.cell.damaged("a key has more values than the hive has cells"));
    } else {
        let list = hive.cell(key.value_list())?;
        visit(list.offset)?;
        list.slice(0, count * 4)?
    };
    Ok(Offsets(list.chunks_exact(4)))
}

/// The value whose record is at `offset`. `visit` gets the offset of every cell that belongs to it.
pub(crate) fn value<'h>(
    hive: &'h Hive,
    offset: u32,
    mut visit: impl FnMut(u32) -> Result<()>,
) -> Result<Value<'h>> {
    let cell = hive.cell(offset)?;
    visit(offset)?;
    let record = cell.record(b"vk", VALUE_HEADER, "a value does not begin with the letters vk")?;
    let flags = u16_at(record, 16);
    let name = cell.slice(VALUE_HEADER, usize::from(u16_at(record, 2)))?;
    let narrow = flags & NARROW_VALUE != 0;
    if !narrow && !name.len().is_multiple_of(2) {
        return Err(cell.damaged("a UTF-16 name has an odd number of bytes"));
    }
    let name = Name::from_raw(name, narrow);
    if name.unit_count() > LONGEST_VALUE_NAME {
        return Err(cell.damaged("the name of a value is longer than 16,383 characters"));
    }
    let len = u32_at(record, 4);
    let bytes = if len & INLINE != 0 {
        let len = (len & !INLINE) as usize;
        if len > 4 {
            return Err(cell.damaged("a value holds more than four bytes in its own record"));
        }
        Cow::Borrowed(&record[8..8 + len])
    } else if len == 0 {
        Cow::Borrowed(&[][..])
    } else {
        let data = hive.cell(u32_at(record, 8))?;
        visit(data.offset)?;
        read_data(hive, data, len as usize, visit)?
    };
    Ok(Value { name, data: Data { kind: u32_at(record, 12), flags: flags & !NARROW_VALUE, bytes } })
}

fn read_data<'h>(
    hive: &'h Hive,
    data: Cell<'h>,
    len: usize,
    mut visit: impl FnMut(u32) -> Result<()>,
) -> Result<Cow<'h, [u8]>> {
    let segmented = len > SEGMENT && hive.minor_version() >= 4 && data.bytes.starts_with(b"db");
    if !segmented {
        return Ok(Cow::Borrowed(
            data.slice(0, len).map_err(|_| data.damaged("a value is longer than its cell"))?,
        ));
    }
    let header = data.slice(0, 8)?;
    let count = usize::from(u16_at(header, 2));
    if count != len.div_ceil(SEGMENT) {
        return Err(data.damaged("a long value has another number of pieces than its length asks for"));
    }
    let list = hive.cell(u32_at(header, 4))?;
    visit(list.offset)?;
    let mut bytes = Vec::new();
    for segment in list.slice(0, count * 4)?.chunks_exact(4) {
        let segment = hive.cell(u32_at(segment, 0))?;
        visit(segment.offset)?;
        bytes.extend_from_slice(segment.slice(0, SEGMENT.min(len - bytes.len()))?);
    }
    Ok(Cow::Owned(bytes))
}

/// The security descriptor in the cell at `offset`.
pub(crate) fn security(hive: &Hive, offset: u32) -> Result<&[u8]> {
    let cell = hive.cell(offset)?;
    let record =
        cell.record(b"sk", SECURITY_HEADER, "a security record does not begin with the letters sk")?;
    let len = u32_at(record, 16) as usize;
    cell.slice(SECURITY_HEADER, len)
}
