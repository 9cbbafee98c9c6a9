//! Keys and values as text that regedit imports: "Windows Registry Editor Version 5.00", UTF-16 with a byte order mark.
//!
//! The format has no place for classes, security and times, nor for names with NULs or line ends: keys and values of
//! such names are left out, and a comment says so.

use crate::delta::KeyRole;
use crate::record::value_kind;
use crate::tree::KeyId;
use crate::{Data, Delta, Name, Tree};
use std::io::{self, Write};

/// Bytes in hexadecimal are broken into lines of about this many characters, as regedit does.
const LINE: usize = 80;

/// Writes keys and values as a `.reg` file.
pub struct RegFile<'w> {
    out: &'w mut dyn Write,
    counts: RegFileCounts,
}

/// What a `.reg` file says, and what it could not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegFileCounts {
    /// Keys that are in it.
    pub keys: u64,
    /// Values that are in it.
    pub values: u64,
    /// Keys and values whose names the format has no place for.
    pub left_out: u64,
    /// Keys with a class name, which the format has no place for.
    pub classes: u64,
}

impl<'w> RegFile<'w> {
    /// Begins a file.
    pub fn begin(out: &'w mut dyn Write) -> io::Result<RegFile<'w>> {
        let mut file = RegFile { out, counts: RegFileCounts::default() };
        file.out.write_all(&[0xff, 0xfe])?;
        file.line("Windows Registry Editor Version 5.00")?;
        file.line("")?;
        Ok(file)
    }

    /// What was written so far.
    pub fn counts(&self) -> RegFileCounts {
        self.counts
    }

    /// Writes a key with its values and everything below it. `place` is the path at which regedit shows the key, such as
    /// `HKEY_LOCAL_MACHINE\SOFTWARE`.
    pub fn tree(&mut self, tree: &Tree<'_>, key: KeyId, place: &str) -> io::Result<()> {
        let mut path = units(place);
        // a key waits with the length of its parent's path only: names can be long, and keys many
        let mut open = vec![(key, None)];
        while let Some((key, parent)) = open.pop() {
            let node = tree.key(key);
            if let Some(parent) = parent {
                path.truncate(parent);
                push_name(&mut path, &node.name);
            }
            if self.key(&path, node.properties.class.is_empty(), node.values().len())? {
                for value in node.values() {
                    self.value(&value.name, Some(&value.data))?;
                }
                self.line("")?;
            }
            open.extend(node.subkeys().iter().rev().map(|subkey| (*subkey, Some(path.len()))));
        }
        Ok(())
    }

    /// Writes what a delta does. `place` is the path at which regedit shows the hive's root.
    pub fn delta(&mut self, delta: &Delta, place: &str) -> io::Result<()> {
        for (position, change) in delta.keys.iter().enumerate() {
            if change.role == KeyRole::Removed {
                // regedit removes a key with all below it
                if delta.keys[change.parent as usize].role != KeyRole::Removed {
                    self.removed_key(&path(delta, position, place))?;
                }
            } else if change.role != KeyRole::Context || !change.values.is_empty() {
                let path = path(delta, position, place);
                if self.key(&path, change.properties.class.is_empty(), change.values.len())? {
                    for value in &change.values {
                        self.value(&value.name, value.after.as_ref())?;
                    }
                    self.line("")?;
                }
            }
        }
        Ok(())
    }

    /// Begins a key with so many values; `false` when its name cannot be written, and then neither can its values.
    fn key(&mut self, path: &[u16], without_class: bool, values: usize) -> io::Result<bool> {
        let line = bracketed("[", path);
        if !is_printable(&line) {
            self.counts.left_out += 1 + values as u64;
            self.line("; a key whose name has control characters is left out")?;
            self.line("")?;
            return Ok(false);
        }
        self.counts.keys += 1;
        self.counts.classes += u64::from(!without_class);
        self.units(&line)?;
        Ok(true)
    }

    fn removed_key(&mut self, path: &[u16]) -> io::Result<()> {
        let line = bracketed("[-", path);
        if is_printable(&line) {
            self.counts.keys += 1;
            self.units(&line)?;
        } else {
            self.counts.left_out += 1;
            self.line("; a key whose name has control characters is left out")?;
        }
        self.line("")
    }

    fn value(&mut self, name: &Name<'_>, data: Option<&Data<'_>>) -> io::Result<()> {
        let name_units: Vec<u16> = name.units().collect();
        if !is_printable(&name_units) {
            self.counts.left_out += 1;
            return self.line("; a value whose name has control characters is left out");
        }
        self.counts.values += 1;
        let mut line = if name.is_empty() { units("@") } else { quoted(&name_units) };
        line.push(u16::from(b'='));
        match data {
            None => line.push(u16::from(b'-')),
            Some(data) => append_data(&mut line, data),
        }
        self.units(&line)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.units(&units(text))
    }

    fn units(&mut self, line: &[u16]) -> io::Result<()> {
        let end = [u16::from(b'\r'), u16::from(b'\n')];
        let bytes: Vec<u8> = line.iter().chain(&end).flat_map(|unit| unit.to_le_bytes()).collect();
        self.out.write_all(&bytes)
    }
}

fn append_data(line: &mut Vec<u16>, data: &Data<'_>) {
    if data.kind == value_kind::SZ
        && let Some(text) = plain_text(&data.bytes)
    {
        line.extend(quoted(&text));
    } else if let (value_kind::DWORD, Some(number)) = (data.kind, data.number()) {
        line.extend(units(&format!("dword:{number:08x}")));
    } else {
        let kind = match data.kind {
            value_kind::BINARY => "hex:".to_owned(),
            other => format!("hex({other:x}):"),
        };
        line.extend(units(&kind));
        let mut width = line.len();
        for (position, byte) in data.bytes.iter().enumerate() {
            if position > 0 {
                line.push(u16::from(b','));
                width += 1;
                if width + 3 > LINE {
                    line.extend(units("\\\r\n  "));
                    width = 2;
                }
            }
            line.extend(units(&format!("{byte:02x}")));
            width += 2;
        }
    }
}

/// The text of a string that ends in its only NUL and has no line ends.
fn plain_text(bytes: &[u8]) -> Option<Vec<u16>> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let mut text: Vec<u16> =
        bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let ends = text.pop() == Some(0);
    (ends && is_printable(&text)).then_some(text)
}

fn quoted(text: &[u16]) -> Vec<u16> {
    let mut line = vec![u16::from(b'"')];
    for unit in text {
        if [u16::from(b'"'), u16::from(b'\\')].contains(unit) {
            line.push(u16::from(b'\\'));
        }
        line.push(*unit);
    }
    line.push(u16::from(b'"'));
    line
}

fn push_name(path: &mut Vec<u16>, name: &Name<'_>) {
    path.push(u16::from(b'\\'));
    path.extend(name.units());
}

/// The path of a key of a delta.
fn path(delta: &Delta, position: usize, place: &str) -> Vec<u16> {
    let mut names = Vec::new();
    let mut at = position;
    while at != 0 {
        names.push(&delta.keys[at].name);
        at = delta.keys[at].parent as usize;
    }
    let mut path = units(place);
    names.iter().rev().for_each(|name| push_name(&mut path, name));
    path
}

fn bracketed(start: &str, path: &[u16]) -> Vec<u16> {
    let mut line = units(start);
    line.extend_from_slice(path);
    line.push(u16::from(b']'));
    line
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Whether a line can hold this text: tabs, but no other control characters.
fn is_printable(text: &[u16]) -> bool {
    text.iter().all(|unit| *unit >= 0x20 || *unit == 0x09)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Properties, Upcase, multi_string, string};
    use std::borrow::Cow;

    #[test]
    fn keys_and_values_are_written_as_regedit_writes_them() {
        let upcase = Upcase::unicode();
        let mut tree = Tree::new(&upcase, 5, Name::from("ROOT"), vec![1; 20]);
        let properties =
            Properties { last_written: 0, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
        let (key, _) = tree.make_subkey(tree.root(), Name::from("App é"), properties, None);
        tree.set_value(key, Name::from(""), string(value_kind::SZ, "C:\\Program Files\\\"App\""));
        tree.set_value(key, Name::from("Number"), Data::new(value_kind::DWORD, vec![42, 0, 0, 0]));
        tree.set_value(key, Name::from("Path"), string(value_kind::EXPAND_SZ, "%A%"));
        tree.set_value(key, Name::from("Two lines"), string(value_kind::SZ, "a\r\nb"));
        tree.set_value(key, Name::from("List"), multi_string(["a", "b"]));
        tree.set_value(key, Name::from("Bytes"), Data::new(value_kind::BINARY, vec![0xab; 30]));
        tree.set_value(key, Name::from("nul\0"), Data::new(value_kind::BINARY, vec![1]));
        let mut out = Vec::new();
        let mut file = RegFile::begin(&mut out).unwrap();
        file.tree(&tree, tree.root(), "HKEY_LOCAL_MACHINE\\X").unwrap();
        assert_eq!(file.counts(), RegFileCounts { keys: 2, values: 6, left_out: 1, classes: 0 });
        let expected = "\u{feff}Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\X]\n\n\
            [HKEY_LOCAL_MACHINE\\X\\App é]\n\
            @=\"C:\\\\Program Files\\\\\\\"App\\\"\"\n\
            \"Number\"=dword:0000002a\n\
            \"Path\"=hex(2):25,00,41,00,25,00,00,00\n\
            \"Two lines\"=hex(1):61,00,0d,00,0a,00,62,00,00,00\n\
            \"List\"=hex(7):61,00,00,00,62,00,00,00,00,00\n\
            \"Bytes\"=hex:ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,ab,\\\n  \
            ab,ab,ab,ab,ab,ab,ab,ab\n\
            ; a value whose name has control characters is left out\n\n";
        assert_eq!(text(&out), expected);
    }

    fn text(file: &[u8]) -> String {
        let units: Vec<u16> =
            file.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        String::from_utf16(&units).unwrap().replace("\r\n", "\n")
    }

    fn key(tree: &mut Tree<'static>, parent: KeyId, name: &str) -> KeyId {
        let properties =
            Properties { last_written: 0, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
        tree.make_subkey(parent, Name::from(name.to_owned().as_str()), properties, None).0
    }

    #[test]
    fn values_of_a_key_that_is_left_out_do_not_end_up_in_the_key_before_it() {
        let upcase: &'static Upcase = Box::leak(Box::new(Upcase::unicode()));
        let mut tree = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]);
        let first = key(&mut tree, KeyId(0), "a");
        tree.set_value(first, Name::from("Own"), string(value_kind::SZ, "1"));
        let odd = key(&mut tree, KeyId(0), "b\n");
        tree.set_value(odd, Name::from("Stray"), string(value_kind::SZ, "2"));
        let below = key(&mut tree, odd, "c");
        tree.set_value(below, Name::from("Stray"), string(value_kind::SZ, "3"));
        key(&mut tree, KeyId(0), "d");
        let mut out = Vec::new();
        let mut file = RegFile::begin(&mut out).unwrap();
        file.tree(&tree, tree.root(), "X").unwrap();
        assert_eq!(file.counts(), RegFileCounts { keys: 3, values: 1, left_out: 4, classes: 0 });
        let left_out = "; a key whose name has control characters is left out\n\n";
        let expected = format!(
            "\u{feff}Windows Registry Editor Version 5.00\n\n[X]\n\n[X\\a]\n\"Own\"=\"1\"\n\n{left_out}{left_out}[X\\d]\n\n"
        );
        assert_eq!(text(&out), expected);
    }

    #[test]
    fn a_delta_removes_keys_with_a_minus_before_the_name_and_values_with_one_for_the_data() {
        let upcase: &'static Upcase = Box::leak(Box::new(Upcase::unicode()));
        let mut before = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]);
        let vendor = key(&mut before, KeyId(0), "Vendor");
        before.set_value(vendor, Name::from("Goes"), string(value_kind::SZ, "1"));
        let old = key(&mut before, vendor, "Old");
        key(&mut before, old, "Below");
        let mut after = before.clone();
        after.remove_key(old);
        after.remove_value(vendor, &Name::from("Goes"));
        after.set_value(vendor, Name::from(""), string(value_kind::SZ, "new"));
        let delta = Delta::between(&before, &after);
        let mut out = Vec::new();
        RegFile::begin(&mut out).unwrap().delta(&delta, "HKEY_LOCAL_MACHINE\\X").unwrap();
        let expected = "\u{feff}Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\X\\Vendor]\n\
            @=\"new\"\n\"Goes\"=-\n\n[-HKEY_LOCAL_MACHINE\\X\\Vendor\\Old]\n\n";
        assert_eq!(text(&out), expected);

        // and so does the part of it that one key is asked for
        let part = delta.below(&[Name::from("vendor"), Name::from("old")], upcase).unwrap();
        let mut out = Vec::new();
        RegFile::begin(&mut out).unwrap().delta(&part, "X").unwrap();
        let expected = "\u{feff}Windows Registry Editor Version 5.00\n\n[-X\\Vendor\\Old]\n\n";
        assert_eq!(text(&out), expected);
        assert_eq!(delta.below(&[Name::from("Nobody")], upcase), None);
    }
}
