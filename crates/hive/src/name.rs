//! Names of keys and values, and how Windows compares them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// A name of a key or value, its bytes kept exactly.
///
/// A *narrow* name has one byte per character (Latin-1, which Windows calls compressed), any other has UTF-16 code
/// units, of any value and in any order.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Name<'h> {
    #[serde(with = "crate::bytes")]
    raw: Cow<'h, [u8]>,
    narrow: bool,
}

impl<'h> Name<'h> {
    /// The name with these bytes: one per character if `narrow`, else two.
    pub fn from_raw(raw: impl Into<Cow<'h, [u8]>>, narrow: bool) -> Name<'h> {
        Name { raw: raw.into(), narrow }
    }

    /// The bytes as they are in the hive.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Whether there is one byte per character.
    pub fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Whether this is the name of a key's default value.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The UTF-16 code units.
    pub fn units(&self) -> impl Iterator<Item = u16> + '_ {
        let step = if self.narrow { 1 } else { 2 };
        self.raw.chunks_exact(step).map(|unit| match *unit {
            [low, high] => u16::from_le_bytes([low, high]),
            [only, ..] => u16::from(only),
            [] => 0,
        })
    }

    /// How many UTF-16 code units it has.
    pub fn unit_count(&self) -> usize {
        if self.narrow { self.raw.len() } else { self.raw.len() / 2 }
    }

    /// Whether the bytes make whole characters, no more than Windows allows.
    pub(crate) fn is_valid(&self, longest: usize) -> bool {
        (self.narrow || self.raw.len().is_multiple_of(2)) && self.unit_count() <= longest
    }

    /// The same name that borrows from this one.
    pub fn borrowed(&self) -> Name<'_> {
        Name { raw: Cow::Borrowed(&self.raw), narrow: self.narrow }
    }

    /// The same name that borrows from nothing.
    pub fn into_owned(self) -> Name<'static> {
        Name { raw: Cow::Owned(self.raw.into_owned()), narrow: self.narrow }
    }
}

/// The narrow form where there is one, as Windows chooses it.
impl From<&str> for Name<'static> {
    fn from(text: &str) -> Name<'static> {
        if text.chars().all(|c| u32::from(c) < 0x100) {
            return Name::from_raw(text.chars().map(|c| c as u8).collect::<Vec<u8>>(), true);
        }
        Name::from_raw(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), false)
    }
}

/// For people: unpaired surrogates are shown as replacement characters.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        char::decode_utf16(self.units())
            .try_for_each(|c| f.write_char(c.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// How upper case is made of a UTF-16 code unit: names that are equal in upper case are the same name.
#[derive(Clone)]
pub struct Upcase(Box<[u16]>);

impl Upcase {
    /// With a volume's `$UpCase` table; `None` unless it has 65,536 entries.
    pub fn from_table(table: &[u16]) -> Option<Upcase> {
        (table.len() == 0x1_0000).then(|| Upcase(table.into()))
    }

    /// With Unicode's simple mappings, for hives without a volume.
    pub fn unicode() -> Upcase {
        let upper = |unit: u16| {
            let mut mapped = char::from_u32(u32::from(unit)).into_iter().flat_map(char::to_uppercase);
            match (mapped.next(), mapped.next()) {
                (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
                _ => unit,
            }
        };
        Upcase((0..=u16::MAX).map(upper).collect())
    }

    /// Upper case of one code unit.
    pub fn unit(&self, unit: u16) -> u16 {
        self.0[usize::from(unit)]
    }

    /// The order of keys in a hive.
    pub fn compare(&self, left: &Name<'_>, right: &Name<'_>) -> Ordering {
        if left.narrow && right.narrow {
            let upper = |byte: &u8| self.unit(u16::from(*byte));
            return left.raw.iter().map(upper).cmp(right.raw.iter().map(upper));
        }
        left.units().map(|unit| self.unit(unit)).cmp(right.units().map(|unit| self.unit(unit)))
    }

    /// Whether these are the same name.
    pub fn same(&self, left: &Name<'_>, right: &Name<'_>) -> bool {
        left.unit_count() == right.unit_count() && self.compare(left, right) == Ordering::Equal
    }

    /// The name in upper case: equal for equal names, usable as a key of maps.
    pub fn folded(&self, name: &Name<'_>) -> Vec<u16> {
        name.units().map(|unit| self.unit(unit)).collect()
    }

    /// The hash that lists of subkeys hold beside each key: 37 times the hash so far plus the next unit.
    pub(crate) fn hash(&self, name: &Name<'_>) -> u32 {
        name.units().fold(0, |hash: u32, unit| hash.wrapping_mul(37).wrapping_add(u32::from(self.unit(unit))))
    }
}

impl fmt::Debug for Upcase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upcase")
    }
}
