//! References: names for objects. `docs/store-format.md`, "References".
//!
//! A reference's file is named by the digest of its name, so no name is too long, escapes the directory, differs
//! only in case from another on some file system, or is a file where another needs a directory.

use crate::ObjectId;
use crate::error::Error;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Longer than any reference's file, bytes.
pub(crate) const LONGEST_FILE: u64 = 8 << 10;
const LONGEST_NAME: usize = 4 << 10;

/// The name of a reference: one or more segments, each any non-empty text. Displayed and parsed as
/// `segment/segment`, where `%`, `/` and control characters of a segment are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

/// Whether a character stands for itself in an encoded segment.
fn is_plain(character: char) -> bool {
    !matches!(character, '%' | '/') && !character.is_control()
}

fn encode_segment(segment: &str, into: &mut String) {
    for character in segment.chars() {
        if is_plain(character) {
            into.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(into, "%{byte:02X}").expect("a string takes all");
            }
        }
    }
}

fn decode_segment(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

impl RefName {
    /// The name with these segments. Refused are no segments, an empty one, and more than 4 KiB of encoded name.
    pub fn new<'a>(segments: impl IntoIterator<Item = &'a str>) -> Result<RefName, Error> {
        let mut name = String::new();
        let refused = |name: String, why| Err(Error::BadRefName { name, why });
        for (number, segment) in segments.into_iter().enumerate() {
            if segment.is_empty() {
                return refused(name, "it has an empty segment");
            }
            if number > 0 {
                name.push('/');
            }
            encode_segment(segment, &mut name);
        }
        match name.len() {
            0 => refused(name, "it is empty"),
            1..=LONGEST_NAME => Ok(RefName(name)),
            _ => refused(name.chars().take(80).collect(), "it is too long"),
        }
    }

    /// The segments, decoded.
    pub fn segments(&self) -> Vec<String> {
        self.0
            .split('/')
            .map(|segment| decode_segment(segment).expect("checked when the name was made"))
            .collect()
    }

    /// The encoded form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is `prefix` or lies below it; the empty prefix has everything below it.
    pub fn is_within(&self, prefix: &str) -> bool {
        prefix.is_empty()
            || self
                .0
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
    }

    /// The name of the file that holds the reference.
    pub(crate) fn file_name(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex().to_string()
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RefName {
    type Err = Error;

    /// Reads the encoded form, and only the one that [`RefName::new`] would have given.
    fn from_str(text: &str) -> Result<RefName, Error> {
        let bad = |why| Error::BadRefName { name: text.chars().take(80).collect(), why };
        let segments: Option<Vec<String>> = text.split('/').map(decode_segment).collect();
        let segments = segments.ok_or_else(|| bad("its percent-encoding is broken"))?;
        let name = RefName::new(segments.iter().map(String::as_str))?;
        if name.0 == text { Ok(name) } else { Err(bad("it is not encoded in the one permitted way")) }
    }
}

/// The content of a reference's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefRecord {
    /// The reference's name.
    pub name: RefName,
    /// What it names.
    pub object: ObjectId,
}

impl RefRecord {
    /// Four lines: the format, the name, the object, and the BLAKE3 of the three lines before.
    pub fn encode(&self) -> Vec<u8> {
        let text = format!("lamina reference 1\nname {}\nobject {}\n", self.name, self.object);
        let check = blake3::hash(text.as_bytes()).to_hex();
        format!("{text}blake3 {check}\n").into_bytes()
    }

    /// Reads exactly what [`RefRecord::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<RefRecord, &'static str> {
        if bytes.len() as u64 > LONGEST_FILE {
            return Err("it is too long");
        }
        let parse = || {
            let mut lines = std::str::from_utf8(bytes).ok()?.split('\n').skip(1);
            let name = lines.next()?.strip_prefix("name ")?.parse().ok()?;
            let object = lines.next()?.strip_prefix("object ")?.parse().ok()?;
            Some(RefRecord { name, object })
        };
        let record = parse().ok_or("it is not a reference")?;
        if record.encode() == bytes { Ok(record) } else { Err("its checksum or form does not match") }
    }
}

/// What a reference must be for a change to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever it is.
    Anything,
    /// It must not exist.
    Absent,
    /// It must name this object.
    Is(ObjectId),
}

impl Expect {
    /// Refuses a reference that is not as expected.
    pub(crate) fn compare(self, name: &RefName, found: Option<ObjectId>) -> Result<(), Error> {
        let expected = match self {
            Expect::Anything => return Ok(()),
            Expect::Absent => None,
            Expect::Is(id) => Some(id),
        };
        if found == expected {
            return Ok(());
        }
        Err(Error::RefChanged { name: name.to_string(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_a_segment_and_comes_back() {
        let long = "層".repeat(400);
        for segments in
            [vec!["os", "Windows 11 / 24H2"], vec!["..", "."], vec!["100 %", "\u{7}\n", "Ü"], vec![&long]]
        {
            let name = RefName::new(segments.iter().copied()).unwrap();
            assert_eq!(name.segments(), segments);
            assert_eq!(name.to_string().parse::<RefName>().unwrap(), name);
            assert!(!name.as_str().contains('\n'));
            let record = RefRecord { name, object: ObjectId([9; 32]) };
            assert_eq!(RefRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_name_that_says_the_same_in_another_way_is_refused() {
        for text in ["", "/", "a//b", "a/", "%41", "%2f", "%", "%zz", "a\nb", "%FF"] {
            assert!(text.parse::<RefName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn prefixes_end_at_segments() {
        let name: RefName = "os/Windows/1".parse().unwrap();
        for prefix in ["", "os", "os/", "os/Windows", "os/Windows/1"] {
            assert!(name.is_within(prefix), "{prefix}");
        }
        for prefix in ["o", "os/Win", "Windows", "os/Windows/1/"] {
            assert!(!name.is_within(prefix), "{prefix}");
        }
    }

    #[test]
    fn any_flipped_bit_of_the_file_is_noticed() {
        let good = RefRecord { name: "app/Editor/2".parse().unwrap(), object: ObjectId([0xab; 32]) }.encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(RefRecord::decode(&bad).is_err(), "bit {bit}");
        }
    }
}
