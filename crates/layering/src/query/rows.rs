//! Rows of the registry: what a delta says, in words, and how what two layers do differs.

use super::hives::unicode;
use crate::error::Rule;
use crate::registry::Keys;
use crate::report::{DiffKind, RegistryData, RegistryRow};
use crate::{Error, Result};
use hive::{Data, Delta, KeyChange, KeyRole, Properties, ValueChange, value_kind};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most characters of a value that reports hold.
const SHOWN: usize = 1_000;
/// Most text of all rows together, bytes: names on a disk may be long, and keys many.
const MOST_TEXT: usize = 512 << 20;

/// Rows that are being collected.
pub(crate) struct Rows {
    rows: Vec<RegistryRow>,
    text: usize,
    most: usize,
    of: String,
}

impl Rows {
    /// No rows yet. `of` is what messages call that which they are about.
    pub(crate) fn new(of: String) -> Rows {
        Rows { rows: Vec::new(), text: 0, most: MOST_TEXT, of }
    }

    pub(crate) fn into_rows(self) -> Vec<RegistryRow> {
        self.rows
    }

    fn push(&mut self, row: RegistryRow) -> Result<()> {
        let data = |data: &Option<RegistryData>| data.as_ref().map_or(0, |data| data.data.len());
        self.text += size_of::<RegistryRow>() + row.hive.len() + row.key.len();
        self.text += row.value.as_ref().map_or(0, String::len) + data(&row.before) + data(&row.after);
        if self.text > self.most {
            let limit = (self.most >> 20) as u64;
            return Err(Rule::TooManyRows { what: self.of.clone(), limit }.into());
        }
        self.rows.push(row);
        Ok(())
    }

    /// What a delta does, row by row: a key before its values.
    pub(crate) fn delta(&mut self, hive: &str, delta: &Delta) -> Result<()> {
        for (position, key) in delta.keys.iter().enumerate() {
            if key.role == KeyRole::Context && key.values.is_empty() {
                continue;
            }
            let path = delta.path(position);
            if let Some((change, properties)) = key_change(delta, key) {
                self.push(row(hive, &path, change, properties))?;
            }
            for value in &key.values {
                let change = value_change(value.before.is_some(), value.after.is_some());
                let (before, after) = (value.before.as_ref().map(shown), value.after.as_ref().map(shown));
                let row = row(hive, &path, change, Vec::new());
                self.push(RegistryRow { value: Some(value.name.to_string()), before, after, ..row })?;
            }
        }
        Ok(())
    }

    /// How what two layers do to a hive differs. A side that does nothing to it has an empty delta.
    pub(crate) fn between(&mut self, hive: &str, from: &Delta, to: &Delta) -> Result<()> {
        let keys = Keys::of(&[from, to], unicode());
        for at in keys.walk(unicode()) {
            let key = keys.key(at);
            let (ours, theirs) = (key.by(0), key.by(1));
            if let Some((change, properties)) = key_between(ours, theirs) {
                self.push(row(hive, &key.path(), change, properties))?;
            }
            let (ours, theirs) = (values_of(ours), values_of(theirs));
            let said = |value: &&ValueChange| value.after.as_ref().map_or_else(deletion, shown);
            let mut names: Vec<&Vec<u16>> = ours.keys().chain(theirs.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for folded in names {
                let (a, b) = (ours.get(folded), theirs.get(folded));
                if a.map(|value| &value.after) == b.map(|value| &value.after) {
                    continue;
                }
                let row = row(hive, &key.path(), value_change(a.is_some(), b.is_some()), Vec::new());
                let value = b.or(a).map(|value| value.name.to_string());
                self.push(RegistryRow { value, before: a.map(said), after: b.map(said), ..row })?;
            }
        }
        Ok(())
    }
}

/// How what two layers do to a key itself differs.
fn key_between(
    ours: Option<(&Delta, &KeyChange)>,
    theirs: Option<(&Delta, &KeyChange)>,
) -> Option<(DiffKind, Vec<String>)> {
    match (itself(ours), itself(theirs)) {
        (None, None) => None,
        (Some(_), None) => Some((DiffKind::Removed, Vec::new())),
        (None, Some(_)) => Some((DiffKind::Added, Vec::new())),
        (Some((a, a_security)), Some((b, b_security))) => {
            let same_kind = std::mem::discriminant(&a.role) == std::mem::discriminant(&b.role);
            let properties = match same_kind {
                true => properties(&a.properties, &b.properties, a_security != b_security),
                false => vec!["kind".to_owned()],
            };
            (!properties.is_empty()).then_some((DiffKind::Changed, properties))
        }
    }
}

/// What a delta does to a key itself, with the descriptor that the key has afterwards.
fn itself<'d>(side: Option<(&'d Delta, &'d KeyChange)>) -> Option<(&'d KeyChange, Option<&'d [u8]>)> {
    let (delta, key) = side?;
    let security = key.security.map(|at| &delta.securities[at as usize][..]);
    (key.role != KeyRole::Context).then_some((key, security))
}

/// What a delta does to the values of a key, by folded name.
fn values_of<'d>(side: Option<(&'d Delta, &'d KeyChange)>) -> BTreeMap<Vec<u16>, &'d ValueChange> {
    let values = side.map_or(&[][..], |(_, key)| &key.values);
    values.iter().map(|value| (unicode().folded(&value.name), value)).collect()
}

fn row(hive: &str, key: &str, change: DiffKind, properties: Vec<String>) -> RegistryRow {
    let (hive, key) = (hive.to_owned(), key.to_owned());
    RegistryRow { hive, key, value: None, change, properties, before: None, after: None }
}

fn value_change(before: bool, after: bool) -> DiffKind {
    match (before, after) {
        (false, _) => DiffKind::Added,
        (true, false) => DiffKind::Removed,
        (true, true) => DiffKind::Changed,
    }
}

fn key_change(delta: &Delta, key: &KeyChange) -> Option<(DiffKind, Vec<String>)> {
    match &key.role {
        KeyRole::Context => None,
        KeyRole::Added => Some((DiffKind::Added, Vec::new())),
        KeyRole::Removed => Some((DiffKind::Removed, Vec::new())),
        KeyRole::Changed { properties: before, security } => {
            let descriptor = |at: Option<u32>| at.map(|at| &delta.securities[at as usize]);
            let security = descriptor(*security) != descriptor(key.security);
            Some((DiffKind::Changed, properties(before, &key.properties, security)))
        }
    }
}

fn properties(before: &Properties<'_>, after: &Properties<'_>, security: bool) -> Vec<String> {
    let flags = (before.flags, before.user_flags) != (after.flags, after.user_flags);
    let all = [(security, "security"), (before.class != after.class, "class"), (flags, "flags")];
    all.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned()).collect()
}

/// What takes a value away.
fn deletion() -> RegistryData {
    RegistryData { kind: "deletion".to_owned(), data: String::new(), size: 0 }
}

/// The content of a value as text.
pub(crate) fn shown(data: &Data<'_>) -> RegistryData {
    let size = data.bytes.len() as u64;
    RegistryData { kind: kind_name(data.kind), data: text(data), size }
}

/// The name of a type of values.
pub(crate) fn kind_name(kind: u32) -> String {
    let name = match kind {
        value_kind::NONE => "REG_NONE",
        value_kind::SZ => "REG_SZ",
        value_kind::EXPAND_SZ => "REG_EXPAND_SZ",
        value_kind::BINARY => "REG_BINARY",
        value_kind::DWORD => "REG_DWORD",
        value_kind::DWORD_BIG_ENDIAN => "REG_DWORD_BIG_ENDIAN",
        value_kind::LINK => "REG_LINK",
        value_kind::MULTI_SZ => "REG_MULTI_SZ",
        8 => "REG_RESOURCE_LIST",
        9 => "REG_FULL_RESOURCE_DESCRIPTOR",
        10 => "REG_RESOURCE_REQUIREMENTS_LIST",
        value_kind::QWORD => "REG_QWORD",
        other => return format!("{other:#x}"),
    };
    name.to_owned()
}

fn text(data: &Data<'_>) -> String {
    // more bytes than these cannot be shown in any form
    let mut len = data.bytes.len().min(4 * SHOWN);
    let half = |bytes: &[u8]| matches!(bytes, [.., high] if (0xd8..0xdc).contains(high));
    if len < data.bytes.len() && half(&data.bytes[..len]) {
        len -= 2;
    }
    let start = Data { bytes: data.bytes[..len].into(), ..data.borrowed() };
    let text = match (start.text(), start.texts(), number(data)) {
        (Some(text), _, _) => text,
        (_, Some(texts), _) => texts.join(" | "),
        (_, _, Some(number)) => number.to_string(),
        _ => hexadecimal(&start.bytes),
    };
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A number of 32 or 64 bits.
pub(crate) fn number(data: &Data<'_>) -> Option<u64> {
    match data.kind {
        value_kind::QWORD => Some(u64::from_le_bytes(data.bytes.as_ref().try_into().ok()?)),
        _ => data.number().map(u64::from),
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // writing into a string cannot fail
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The refusal to show a part of the registry that is not there.
pub(crate) fn no_key(key: &str, within: String) -> Error {
    Rule::NoKey { key: key.to_owned(), within }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive::{Name, Tree, Upcase, multi_string, string};
    use operation::Explain;

    #[test]
    fn values_are_shown_as_what_they_mean_and_shortened_where_they_are_long() {
        let long = "x".repeat(1_500);
        for (data, kind, expected) in [
            (string(value_kind::SZ, "a;b"), "REG_SZ", "a;b".to_owned()),
            (multi_string(["a", "b"]), "REG_MULTI_SZ", "a | b".into()),
            (Data::new(value_kind::DWORD, vec![42, 0, 0, 0]), "REG_DWORD", "42".into()),
            (Data::new(value_kind::QWORD, vec![0, 0, 0, 0, 1, 0, 0, 0]), "REG_QWORD", "4294967296".into()),
            (Data::new(value_kind::QWORD, vec![1]), "REG_QWORD", "01".into()),
            (Data::new(value_kind::BINARY, vec![0xab, 1]), "REG_BINARY", "ab01".into()),
            (Data::new(value_kind::SZ, vec![0, 0xd8]), "REG_SZ", "00d8".into()),
            (Data::new(0xffff_0001, vec![]), "0xffff0001", String::new()),
            (string(value_kind::SZ, &long), "REG_SZ", format!("{}…", &long[..1_000])),
            (
                Data::new(value_kind::BINARY, vec![0; 1 << 20]),
                "REG_BINARY",
                format!("{}…", "0".repeat(1_000)),
            ),
        ] {
            let shown = shown(&data);
            assert_eq!((shown.kind.as_str(), shown.data), (kind, expected));
            assert_eq!(shown.size, data.bytes.len() as u64);
        }
    }

    #[test]
    fn rows_whose_text_would_fill_the_memory_are_refused() {
        let upcase = Upcase::unicode();
        let before = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
        let mut after = before.clone();
        for name in ["a", "b"] {
            after.set_value(after.root(), Name::from(name), string(value_kind::SZ, &"x".repeat(700)));
        }
        let delta = Delta::between(&before, &after);
        let mut rows = Rows { most: 1_500, ..Rows::new("app:A@1".into()) };
        assert_eq!(rows.delta("SOFTWARE", &delta).unwrap_err().code(), "registry-rows");
        let mut rows = Rows::new("app:A@1".into());
        rows.delta("SOFTWARE", &delta).unwrap();
        assert_eq!(rows.into_rows().len(), 2);
    }
}
