//! wine's registry, which is text, as hives: what a Windows that was installed has.
//!
//! The text has one file for the machine and one for each user. Its form, as wine's server writes it: a key in brackets
//! with its time, then `#` lines about it, then a line for each value; text escapes like C, bytes as in .reg files.

use crate::descriptor;
use anyhow::{Context, Result, bail};
use hive::{Data, KeyId, Name, Properties, SecurityId, Tree, Upcase, key_flags, value_kind};
use std::borrow::Cow;
use std::path::Path;

/// Files below wine's folder, the keys in them that are roots, and where the hive goes on the volume.
const HIVES: [(&str, &str, &str); 5] = [
    ("system.reg", "System", "Windows/System32/config/SYSTEM"),
    ("system.reg", "Software", "Windows/System32/config/SOFTWARE"),
    ("user.reg", "", "Windows/System32/config/DEFAULT"),
    ("user.reg", "", "Users/demo/NTUSER.DAT"),
    ("userdef.reg", "", "Users/Default/NTUSER.DAT"),
];

/// The version that Windows 10 gives these hives: 1.5.
const MINOR: u32 = 5;

/// A hive that was written.
pub(crate) struct Written {
    /// Its place on the volume.
    pub(crate) place: &'static str,
    pub(crate) keys: usize,
    pub(crate) values: usize,
}

/// Writes hives below `root`, the future `C:\`, from the text in wine's folder `prefix`.
pub(crate) fn convert(prefix: &Path, root: &Path) -> Result<Vec<Written>> {
    let mut written = Vec::new();
    for (text, key, place) in HIVES {
        let text = std::fs::read(prefix.join(text)).with_context(|| format!("cannot read wine's {text}"))?;
        let upcase = Upcase::unicode();
        let mut hive = TextHive::new(&upcase, key, place);
        hive.read(&String::from_utf8_lossy(&text)).with_context(|| format!("wine's registry for {place}"))?;
        if key == "System" {
            hive.select_control_set();
        }
        let file = root.join(place);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, hive.tree.write()?)?;
        let (keys, values) = hive.counts();
        written.push(Written { place, keys, values });
    }
    Ok(written)
}

struct TextHive<'h> {
    tree: Tree<'h>,
    security: SecurityId,
    /// Upper-case name of the key of the text that becomes the root; empty where the text's root does.
    root: String,
}

impl<'h> TextHive<'h> {
    fn new(upcase: &'h Upcase, root: &str, place: &str) -> TextHive<'h> {
        let name = if place.ends_with("NTUSER.DAT") { "CsiTool-CreateHive" } else { "ROOT" };
        let mut tree = Tree::new(upcase, MINOR, Name::from(name), descriptor::for_key());
        let security = tree.security_id(descriptor::for_key());
        TextHive { tree, security, root: root.to_uppercase() }
    }

    fn read(&mut self, text: &str) -> Result<()> {
        let mut lines = text.lines();
        if lines.next() != Some("WINE REGISTRY Version 2") {
            bail!("it does not begin as wine's registry does");
        }
        let mut key = None;
        while let Some(line) = lines.next() {
            // bytes go on in the next line
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().unwrap_or_default().trim_start());
            }
            if let Some(rest) = line.strip_prefix('[') {
                let (path, after) = unescape(rest, ']')?;
                key = self.key(&path, after.trim());
            } else if let Some(key) = key {
                self.entry(key, &line).with_context(|| format!("line {line:?}"))?;
            }
        }
        Ok(())
    }

    /// The key at a path of the text; `None` if it is not in this hive.
    fn key(&mut self, path: &str, times: &str) -> Option<KeyId> {
        let mut names = path.split('\\').filter(|name| !name.is_empty());
        if !self.root.is_empty() && names.next()?.to_uppercase() != self.root {
            return None;
        }
        // seconds since 1970
        let seconds: u64 = times.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let time = (seconds + 11_644_473_600) * 10_000_000;
        let mut names: Vec<&str> = names.collect();
        // Windows has numbered sets, and makes a link to the one in use at each start
        if self.root == "SYSTEM"
            && names.first().is_some_and(|name| name.eq_ignore_ascii_case("CurrentControlSet"))
        {
            if names.len() == 1 {
                return None;
            }
            names[0] = "ControlSet001";
        }
        let mut key = self.tree.root();
        for name in names {
            key = self.make(key, name, time);
        }
        Some(key)
    }

    fn make(&mut self, parent: KeyId, name: &str, time: u64) -> KeyId {
        let properties =
            Properties { last_written: time, flags: 0, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
        let name = Name::from(name).into_owned();
        self.tree.make_subkey(parent, name, properties, Some(self.security)).0
    }

    /// A line below a key.
    fn entry(&mut self, key: KeyId, line: &str) -> Result<()> {
        if line == "#link" {
            self.tree.properties_mut(key).flags |= key_flags::SYMBOLIC_LINK;
        } else if let Some(class) = line.strip_prefix("#class=\"") {
            let units = unescape(class, '"')?.0;
            self.tree.properties_mut(key).class = utf16(&units).into();
        } else if let Some(data) = line.strip_prefix("@=") {
            self.tree.set_value(key, Name::from(""), value(data)?);
        } else if let Some(rest) = line.strip_prefix('"') {
            let (name, rest) = unescape(rest, '"')?;
            let data = value(rest.strip_prefix('=').context("no = after the name")?)?;
            self.tree.set_value(key, Name::from(name.as_str()).into_owned(), data);
        }
        Ok(())
    }

    /// Windows' loader looks up which control set it is to use.
    fn select_control_set(&mut self) {
        let select = self.make(self.tree.root(), "Select", 0);
        for name in ["Current", "Default", "LastKnownGood"] {
            let one = Data::new(value_kind::DWORD, 1u32.to_le_bytes().to_vec());
            self.tree.set_value(select, Name::from(name), one);
        }
    }

    fn counts(&self) -> (usize, usize) {
        let values = self.tree.walk().map(|(key, _)| self.tree.key(key).values().len());
        (self.tree.walk().count(), values.sum())
    }
}

/// The content of a value.
fn value(text: &str) -> Result<Data<'static>> {
    if let Some(text) = text.strip_prefix('"') {
        return Ok(Data::new(value_kind::SZ, utf16(&(unescape(text, '"')?.0 + "\0"))));
    }
    let (form, rest) = text.split_once(':').context("neither text nor bytes")?;
    let kind = |default| match form.split_once('(') {
        Some((_, number)) => u32::from_str_radix(number.trim_end_matches(')'), 16).ok(),
        None => Some(default),
    };
    if form.starts_with("str") {
        let kind = kind(value_kind::SZ).context("no type")?;
        let text = rest.strip_prefix('"').context("no text")?;
        return Ok(Data::new(kind, utf16(&(unescape(text, '"')?.0 + "\0"))));
    }
    if form == "dword" {
        return Ok(Data::new(value_kind::DWORD, u32::from_str_radix(rest, 16)?.to_le_bytes().to_vec()));
    }
    if !form.starts_with("hex") {
        bail!("neither text nor bytes");
    }
    let bytes = rest.split(',').map(str::trim).filter(|byte| !byte.is_empty());
    let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<u8>, _>>()?;
    Ok(Data::new(kind(value_kind::BINARY).context("no type")?, bytes))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The text up to an unescaped `end`, and what follows that.
fn unescape(text: &str, end: char) -> Result<(String, &str)> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == end {
            return Ok((plain, rest));
        }
        if character != '\\' {
            plain.push(character);
            continue;
        }
        let escape = rest.chars().next().context("it ends within an escape")?;
        rest = &rest[escape.len_utf8()..];
        let (digits, radix, most) = match escape {
            'x' => ("", 16, 4),
            '0'..='7' => (&text[text.len() - rest.len() - 1..][..1], 8, 3),
            _ => {
                plain.push(match escape {
                    'a' => '\x07',
                    'b' => '\x08',
                    'e' => '\x1b',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    other => other,
                });
                continue;
            }
        };
        let more = rest.chars().take(most - digits.len()).take_while(|digit| digit.is_digit(radix)).count();
        let number = u32::from_str_radix(&format!("{digits}{}", &rest[..more]), radix)?;
        rest = &rest[more..];
        plain.push(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    bail!("no {end} at its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "WINE REGISTRY Version 2
;; All keys relative to \\\\Machine

#arch=win64

[Software\\\\Vendor\\\\B\\xe4r\\]] 1700000000 5
#time=1d9
#class=\"Kind\"
@=\"default\"
\"Pa\\\"th\"=str(2):\"%SystemRoot%\\\\x\"
\"List\"=str(7):\"a\\0b\\0\"
\"Number\"=dword:0000002a
\"Bytes\"=hex:01,02,\\
  03
\"Big\"=hex(b):01,00,00,00,00,00,00,00

[System\\\\CurrentControlSet] 1700000000
#link
\"SymbolicLinkValue\"=hex(6):5c,00

[System\\\\CurrentControlSet\\\\Control] 1700000000
\"A\"=\"x\"
";

    #[test]
    fn keys_and_values_of_each_form_come_into_the_hive_that_they_belong_to() {
        let upcase = Upcase::unicode();
        let mut software = TextHive::new(&upcase, "Software", "SOFTWARE");
        software.read(TEXT).unwrap();
        let tree = &software.tree;
        let key = tree.descendant(tree.root(), "Vendor\\Bär]").unwrap();
        let value = |name: &str| tree.value(key, &Name::from(name)).unwrap();
        assert_eq!(value("").text().unwrap(), "default");
        assert_eq!(value("Pa\"th").text().unwrap(), "%SystemRoot%\\x");
        assert_eq!(value("List").texts().unwrap(), ["a", "b"]);
        assert_eq!(value("Number").number(), Some(42));
        assert_eq!(&*value("Bytes").bytes, [1, 2, 3]);
        assert_eq!((value("Big").kind, value("Big").bytes.len()), (11, 8));
        assert_eq!(tree.key(key).properties.last_written, 133_444_736_000_000_000);
        assert_eq!(software.counts(), (3, 6));
        assert!(tree.descendant(tree.root(), "ControlSet001").is_none());
    }

    #[test]
    fn the_control_set_in_use_has_a_number_and_is_chosen() {
        let upcase = Upcase::unicode();
        let mut system = TextHive::new(&upcase, "System", "SYSTEM");
        system.read(TEXT).unwrap();
        system.select_control_set();
        let tree = &system.tree;
        assert!(tree.descendant(tree.root(), "CurrentControlSet").is_none());
        assert!(tree.descendant(tree.root(), "ControlSet001\\Control").is_some());
        let select = tree.descendant(tree.root(), "select").unwrap();
        assert_eq!(tree.value(select, &Name::from("Current")).unwrap().number(), Some(1));
    }

    #[test]
    fn text_that_is_cut_off_is_an_error() {
        let upcase = Upcase::unicode();
        for text in ["[Software\\\\x", "[Software\\\\x] 1\n\"a\"=\"b", "[Software\\\\x] 1\n\"a\"=what:1"] {
            let mut hive = TextHive::new(&upcase, "Software", "SOFTWARE");
            assert!(hive.read(&format!("WINE REGISTRY Version 2\n{text}\n")).is_err(), "{text}");
        }
    }
}
