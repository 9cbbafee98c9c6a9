//! A registry as JSON: everything that hives hold, in the words of `docs/registry.md`. One key a line.

use crate::query::hives::HiveName;
use crate::query::rows::{hexadecimal, kind_name, number};
use crate::report::Summary;
use hive::{Data, Delta, KeyId, KeyRole, Properties, Tree, multi_string, string, value_kind};
use serde::Serialize;
use std::io::{self, Write};

/// A JSON file that is being written.
pub(super) struct JsonFile<'w> {
    out: &'w mut dyn Write,
    hives: u64,
    keys: u64,
    values: u64,
}

/// A key of a hive.
#[derive(Serialize)]
struct Key {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    /// 100 ns since 1601.
    last_written: u64,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_before: Option<String>,
    values: Vec<Value>,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// A value of a key: of a hive what it holds, of a layer what it was and what it is.
#[derive(Serialize)]
struct Value {
    name: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Content>,
}

#[derive(Serialize)]
struct Content {
    kind: String,
    #[serde(flatten)]
    data: Whole,
}

/// All of a value: `data` where that stands for exactly these bytes.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Whole {
    #[serde(rename = "data")]
    Text(String),
    #[serde(rename = "data")]
    Texts(Vec<String>),
    #[serde(rename = "data")]
    Number(u64),
    Hex(String),
}

fn content(data: &Data<'_>) -> Content {
    let exact = |other: Data<'_>| other.bytes == data.bytes;
    let whole = match data.kind {
        value_kind::SZ | value_kind::EXPAND_SZ | value_kind::LINK => {
            data.text().filter(|text| exact(string(data.kind, text))).map(Whole::Text)
        }
        value_kind::MULTI_SZ => data
            .texts()
            .filter(|texts| exact(multi_string(texts.iter().map(String::as_str))))
            .map(Whole::Texts),
        _ => number(data).map(Whole::Number),
    };
    let data_or_hex = whole.unwrap_or_else(|| Whole::Hex(hexadecimal(&data.bytes)));
    Content { kind: kind_name(data.kind), data: data_or_hex }
}

fn class(properties: &Properties<'_>) -> String {
    let units = properties.class.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

impl<'w> JsonFile<'w> {
    pub(super) fn begin(out: &'w mut dyn Write, of: &Summary) -> io::Result<JsonFile<'w>> {
        out.write_all(b"{\"of\":")?;
        serde_json::to_writer(&mut *out, of)?;
        out.write_all(b",\"hives\":[")?;
        Ok(JsonFile { out, hives: 0, keys: 0, values: 0 })
    }

    /// Ends the file; gives how many keys and values are in it.
    pub(super) fn finish(self) -> io::Result<(u64, u64)> {
        self.out.write_all(b"]}\n")?;
        Ok((self.keys, self.values))
    }

    /// Writes a key of a hive with everything below it.
    pub(super) fn tree(&mut self, name: &HiveName, tree: &Tree<'_>, from: KeyId) -> io::Result<()> {
        self.hive(name)?;
        let mut open = vec![from];
        let mut first = true;
        while let Some(id) = open.pop() {
            let node = tree.key(id);
            let value = |value: &hive::Value<'_>| Value {
                name: value.name.to_string(),
                content: Some(content(&value.data)),
                before: None,
                after: None,
            };
            let key = Key {
                key: tree.path(id),
                change: None,
                last_written: node.properties.last_written,
                flags: node.properties.flags,
                class: class(&node.properties),
                security: tree.key_security(id).map(hexadecimal),
                security_before: None,
                values: node.values().iter().map(value).collect(),
            };
            self.key(&key, &mut first)?;
            open.extend(node.subkeys().iter().rev());
        }
        self.out.write_all(b"]}")
    }

    /// Writes what a layer does to a hive.
    pub(super) fn delta(&mut self, name: &HiveName, delta: &Delta) -> io::Result<()> {
        self.hive(name)?;
        let mut first = true;
        for (position, change) in delta.keys.iter().enumerate() {
            let descriptor = |at: Option<u32>| at.map(|at| hexadecimal(&delta.securities[at as usize]));
            let (role, security_before) = match &change.role {
                KeyRole::Context if change.values.is_empty() => continue,
                KeyRole::Context => (None, None),
                KeyRole::Added => (Some("added"), None),
                KeyRole::Removed => (Some("removed"), None),
                KeyRole::Changed { security, .. } => (Some("changed"), descriptor(*security)),
            };
            let value = |value: &hive::ValueChange| Value {
                name: value.name.to_string(),
                content: None,
                before: value.before.as_ref().map(content),
                after: value.after.as_ref().map(content),
            };
            let key = Key {
                key: delta.path(position),
                change: role,
                last_written: change.properties.last_written,
                flags: change.properties.flags,
                class: class(&change.properties),
                security: descriptor(change.security),
                security_before,
                values: change.values.iter().map(value).collect(),
            };
            self.key(&key, &mut first)?;
        }
        self.out.write_all(b"]}")
    }

    fn hive(&mut self, name: &HiveName) -> io::Result<()> {
        self.out.write_all(if self.hives == 0 { b"\n" } else { b",\n" })?;
        self.hives += 1;
        self.out.write_all(b"{\"hive\":")?;
        serde_json::to_writer(&mut *self.out, name.shown())?;
        self.out.write_all(b",\"path\":")?;
        serde_json::to_writer(&mut *self.out, &name.path)?;
        self.out.write_all(b",\"keys\":[")
    }

    fn key(&mut self, key: &Key, first: &mut bool) -> io::Result<()> {
        self.out.write_all(if std::mem::take(first) { b"\n" } else { b",\n" })?;
        self.keys += 1;
        self.values += key.values.len() as u64;
        Ok(serde_json::to_writer(&mut *self.out, key)?)
    }
}
