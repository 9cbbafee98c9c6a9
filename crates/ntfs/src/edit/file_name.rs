//! Names and the $FILE_NAME values that carry them.
//!
//! **Namespaces.** A name that has a short name beside it is stored as Windows does: the pair WIN32 and DOS, or one
//! WIN32_AND_DOS name where both are the same but for case. A name without a short name is stored as POSIX. That is
//! what Windows itself writes where short names are switched off, the default for all but the system volume (seen on
//! every volume of `ntfs-samples`, formatted and filled by Windows 10), and what it gives further hard links; a WIN32
//! name without its DOS partner is something that Windows never writes.

use volume::{Error, Name, Result, Times};

/// Longest name in UTF-16 units.
const MAX_UNITS: usize = 255;

/// Namespaces of $FILE_NAME.
pub(super) mod namespace {
    pub(crate) const POSIX: u8 = 0;
    pub(crate) const WIN32: u8 = 1;
    pub(crate) const DOS: u8 = 2;
    pub(crate) const WIN32_AND_DOS: u8 = 3;
}

/// $FILE_NAME's own flag for directories, in its copy of the attributes only.
const DIRECTORY: u32 = 0x1000_0000;

/// The UTF-16 units of a name for a new entry.
///
/// Names that Windows would not let anyone create (reserved characters, trailing dots) are stored: they come from real
/// volumes, where other programs made them. What no directory can hold is refused.
pub(super) fn units(name: &Name) -> Result<Vec<u16>> {
    let refuse = |reason: &str| Err(not_expressible(name, reason));
    let Some(units) = name.to_utf16() else { return refuse("it is not UTF-16 in WTF-8 form") };
    match units.len() {
        0 => return refuse("a name cannot be empty"),
        1..=MAX_UNITS => {}
        _ => return refuse("names have at most 255 UTF-16 units"),
    }
    if units.iter().any(|&unit| unit == u16::from(b'/') || unit == 0) {
        return refuse("a name cannot contain '/' or NUL");
    }
    if units == [u16::from(b'.')] || units == [u16::from(b'.'); 2] {
        return refuse("'.' and '..' are not names");
    }
    Ok(units)
}

/// The UTF-16 units of a stream's name, which may be empty.
pub(super) fn stream_units(name: &Name) -> Result<Vec<u16>> {
    match name.to_utf16() {
        Some(units) if units.len() <= MAX_UNITS && !units.contains(&0) => Ok(units),
        _ => Err(not_expressible(name, "it is no name of a stream (at most 255 UTF-16 units, no NUL)")),
    }
}

/// The UTF-16 units of a short name: 1 to 8, and after a dot 1 to 3 more, none of them reserved.
pub(super) fn short_units(name: &Name) -> Result<Vec<u16>> {
    let units = units(name)?;
    let dot = u16::from(b'.');
    let mut parts = units.split(|&unit| unit == dot);
    let base = parts.next().unwrap_or_default();
    let extension = parts.next();
    let fits = (1..=8).contains(&base.len())
        && extension.is_none_or(|extension| (1..=3).contains(&extension.len()))
        && parts.next().is_none();
    let reserved = |unit: u16| unit <= 0x20 || unit < 0x80 && b"\"*+,/:;<=>?[\\]|".contains(&(unit as u8));
    if !fits || units.iter().any(|&unit| reserved(unit)) {
        return Err(not_expressible(name, "it is no short (8.3) name"));
    }
    Ok(units)
}

/// Whether two names are the same but for case.
pub(super) fn same(upcase: &[u16], a: &[u16], b: &[u16]) -> bool {
    let up = |unit: u16| upcase.get(usize::from(unit)).copied().unwrap_or(unit);
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| a == b || up(a) == up(b))
}

fn not_expressible(name: &Name, reason: &str) -> Error {
    Error::NotExpressible { what: format!("the name {name}"), reason: reason.to_owned() }
}

/// What a directory repeats of a node, and every $FILE_NAME of the node too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duplicated {
    /// Time stamps.
    pub(super) times: Times,
    /// Length of the main stream; 0 for directories.
    pub(super) size: u64,
    /// Bytes that the main stream takes.
    pub(super) allocated: u64,
    /// Attribute flags.
    pub(super) attributes: u32,
    /// Whether it is a directory.
    pub(super) directory: bool,
    /// The reparse tag, or the packed length of the extended attributes of a node without reparse point.
    pub(super) tag_or_ea: u32,
}

/// A $FILE_NAME value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName(pub(super) Vec<u8>);

/// Bytes before the name.
const HEADER: usize = 66;

impl FileName {
    pub(super) fn new(parent: u64, namespace: u8, units: &[u16], duplicated: &Duplicated) -> FileName {
        let mut value = vec![0; HEADER];
        value[0..8].copy_from_slice(&parent.to_le_bytes());
        value[64] = units.len() as u8;
        value[65] = namespace;
        value.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        let mut file_name = FileName(value);
        file_name.set_duplicated(duplicated);
        file_name
    }

    /// A value read from a volume; `None` when it is no $FILE_NAME.
    pub(super) fn parse(value: &[u8]) -> Option<FileName> {
        let units = usize::from(*value.get(64)?);
        (units > 0).then_some(())?;
        value.get(..HEADER + 2 * units).map(|value| FileName(value.to_vec()))
    }

    pub(super) fn set_duplicated(&mut self, duplicated: &Duplicated) {
        let times = &duplicated.times;
        let mut at = 8;
        for value in [
            times.created,
            times.modified,
            times.changed,
            times.accessed,
            duplicated.allocated,
            duplicated.size,
        ] {
            self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
            at += 8;
        }
        let flags = duplicated.attributes | if duplicated.directory { DIRECTORY } else { 0 };
        self.0[56..60].copy_from_slice(&flags.to_le_bytes());
        self.0[60..64].copy_from_slice(&duplicated.tag_or_ea.to_le_bytes());
    }

    pub(super) fn set_namespace(&mut self, namespace: u8) {
        self.0[65] = namespace;
    }

    /// Record number of the directory.
    pub(super) fn parent(&self) -> u64 {
        let bytes: [u8; 8] = self.0[0..8].try_into().expect("8 bytes");
        u64::from_le_bytes(bytes) & 0xffff_ffff_ffff
    }

    pub(super) fn namespace(&self) -> u8 {
        self.0[65]
    }

    pub(super) fn units(&self) -> Vec<u16> {
        self.0[HEADER..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_volumes_are_taken_and_impossible_ones_refused() {
        for name in ["a", "CON", "trailing. ", "question?", "a:b", "\u{1}", "\u{1f600}"] {
            assert!(units(&name.into()).is_ok(), "{name}");
        }
        assert!(units(&Name::from_utf16(&[0xd83d])).is_ok(), "an unpaired surrogate");
        assert!(units(&Name::from_utf16(&[0x61; 255])).is_ok());
        assert!(units(&Name::from_utf16(&[0x61; 256])).is_err());
        for name in ["", "a/b", "a\0b", ".", ".."] {
            assert!(units(&name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn short_names_are_8_dot_3() {
        for name in ["A", "PROGRA~1", "LONGNA~1.TXT", "x.y", "Ä.TXT"] {
            assert!(short_units(&name.into()).is_ok(), "{name}");
        }
        for name in ["TOOLONGNAME", "A.TEXT", "A.B.C", ".TXT", "A.", "A B", "A+B"] {
            assert!(short_units(&name.into()).is_err(), "{name}");
        }
    }
}
