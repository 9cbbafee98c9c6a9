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
}

impl<'w> RegFile<'w> {
    /// Begins a file.
    pub fn begin(out: &'w mut dyn Write) -> io::Result<RegFile<'w>> {
        let mut file = RegFile { out };
        file.out.write_all(&[0xff, 0xfe])?;
        file.line("Windows Registry Editor Version 5.00")?;
        file.line("")?;
        Ok(file)
    }

    /// Writes a key with its values and everything below it. `place` is the path at which regedit shows the key, such as
    /// `HKEY_LOCAL_MACHINE\SOFTWARE`.
    pub fn tree(&mut self, tree: &Tree<'_>, key: KeyId, place: &str) -> io::Result<()> {
        let mut open = vec![(key, units(place))];
        while let Some((key, path)) = open.pop() {
            let node = tree.key(key);
            self.key(&path, false)?;
            for value in node.values() {
                self.value(&value.name, Some(&value.data))?;
            }
            self.line("")?;
            for subkey in node.subkeys().iter().rev() {
                let name = &tree.key(*subkey).name;
                open.push((*subkey, below(&path, name)));
            }
        }
        Ok(())
    }

    /// Writes what a delta does. `place` is the path at which regedit shows the hive's root.
    pub fn delta(&mut self, delta: &Delta, place: &str) -> io::Result<()> {
        let mut paths: Vec<Vec<u16>> = Vec::with_capacity(delta.keys.len());
        for (position, change) in delta.keys.iter().enumerate() {
            let parent = change.parent as usize;
            let path = if position == 0 { units(place) } else { below(&paths[parent], &change.name) };
            paths.push(path);
            if change.role == KeyRole::Removed {
                // regedit removes a key with all below it
                if delta.keys[parent].role != KeyRole::Removed {
                    self.key(&paths[position], true)?;
                    self.line("")?;
                }
            } else if change.role != KeyRole::Context || !change.values.is_empty() {
                self.key(&paths[position], false)?;
                for value in &change.values {
                    self.value(&value.name, value.after.as_ref())?;
                }
                self.line("")?;
            }
        }
        Ok(())
    }

    fn key(&mut self, path: &[u16], removed: bool) -> io::Result<()> {
        if !path.iter().all(|unit| is_printable(*unit)) {
            return self.line("; a key whose name has control characters is left out");
        }
        let mut line = units(if removed { "[-" } else { "[" });
        line.extend_from_slice(path);
        line.push(u16::from(b']'));
        self.units(&line)
    }

    fn value(&mut self, name: &Name<'_>, data: Option<&Data<'_>>) -> io::Result<()> {
        let name_units: Vec<u16> = name.units().collect();
        if !name_units.iter().all(|unit| is_printable(*unit)) {
            return self.line("; a value whose name has control characters is left out");
        }
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
    (ends && text.iter().all(|unit| is_printable(*unit))).then_some(text)
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

fn below(path: &[u16], name: &Name<'_>) -> Vec<u16> {
    let mut below = path.to_vec();
    below.push(u16::from(b'\\'));
    below.extend(name.units());
    below
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Tabs are printed; other control characters are not.
fn is_printable(unit: u16) -> bool {
    unit >= 0x20 || unit == 0x09
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
        RegFile::begin(&mut out).unwrap().tree(&tree, tree.root(), "HKEY_LOCAL_MACHINE\\X").unwrap();
        let units: Vec<u16> =
            out.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
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
        assert_eq!(String::from_utf16(&units).unwrap().replace("\r\n", "\n"), expected);
    }
}
