//! Names of files, directories and streams as bytes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One name (never a path), kept exactly.
///
/// On ext4 these are the raw bytes. On NTFS, whose names are any sequence of UTF-16 code units, they are its WTF-8
/// form: UTF-8 extended with the three-byte encoding of unpaired surrogates, so that every name survives a round trip.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(#[serde(with = "bytes")] Box<[u8]>);

impl Name {
    /// The name with these raw bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Name {
        Name(bytes.into())
    }

    /// The name that NTFS stores as these UTF-16 code units.
    pub fn from_utf16(units: &[u16]) -> Name {
        let mut bytes = Vec::with_capacity(units.len());
        for decoded in char::decode_utf16(units.iter().copied()) {
            match decoded {
                Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(unpaired) => {
                    let unit = unpaired.unpaired_surrogate();
                    bytes.extend_from_slice(&[
                        0xe0 | (unit >> 12) as u8,
                        0x80 | (unit >> 6 & 0x3f) as u8,
                        0x80 | (unit & 0x3f) as u8,
                    ]);
                }
            }
        }
        Name(bytes.into())
    }

    /// The UTF-16 code units of the name, or `None` when the bytes are not WTF-8.
    pub fn to_utf16(&self) -> Option<Vec<u16>> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return Some(text.encode_utf16().collect());
        }
        let mut units = Vec::with_capacity(self.0.len());
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let valid = match std::str::from_utf8(rest) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let (text, after) = rest.split_at(valid);
            units.extend(std::str::from_utf8(text).ok()?.encode_utf16());
            rest = after;
            if let [first @ 0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] = rest {
                units.push(
                    u16::from(first & 0x0f) << 12 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f),
                );
                rest = after;
            } else if !rest.is_empty() {
                return None;
            }
        }
        Some(units)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the empty name: the main stream of a file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.as_bytes().into())
    }
}

/// For people: bytes that are not UTF-8 are shown as replacement characters.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Names as byte strings in every serialized form.
mod bytes {
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8]>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Box<[u8]>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the bytes of a name")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(bytes.into())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes.into())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn every_utf16_sequence_survives_the_round_trip() {
        for units in [
            vec![],
            vec![0x61, 0x2e],
            vec![0xd83d, 0xde00],                 // a non-BMP character
            vec![0xd83d],                         // unpaired high surrogate
            vec![0xde00, 0xd83d],                 // surrogates in the wrong order
            vec![0xd83d, 0xd83d, 0xde00, 0x0000], // unpaired, pair, NUL
        ] {
            assert_eq!(Name::from_utf16(&units).to_utf16(), Some(units));
        }
    }

    #[test]
    fn bytes_that_are_no_utf16_name_are_said_to_be_none() {
        assert_eq!(Name::from_bytes(*b"\xff").to_utf16(), None);
        assert_eq!(Name::from_bytes(*b"a\xed\xa0").to_utf16(), None);
    }
}
