//! The names of stored things: digests of content, and random numbers for packs and sessions.

use rustix::rand::{GetRandomFlags, getrandom};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A text that is not an id: not the right number of lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {digits} lower-case hexadecimal digits")]
pub struct MalformedId {
    text: String,
    digits: usize,
}

fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], MalformedId> {
    let malformed = || MalformedId { text: text.chars().take(80).collect(), digits: N * 2 };
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(malformed());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = value(pair[0]).ok_or_else(malformed)? << 4 | value(pair[1]).ok_or_else(malformed)?;
    }
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $visibility:vis $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name($visibility [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                decode_hex(text).map($name)
            }
        }

        /// Digits where people may read them, the bytes elsewhere.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    Deserialize::deserialize(deserializer).map($name)
                }
            }
        }
    };
}

id! {
    /// The digest of a blob: its length and the digests of its blocks, see [`BlobHasher`](crate::BlobHasher).
    pub BlobId, 32
}
id! {
    /// The digest of an object's canonical bytes, see [`Object::encode`](crate::Object::encode).
    pub ObjectId, 32
}
id! {
    /// The random name of a pack.
    pub PackId, 16
}
id! {
    /// The random name of a session: of its lease and the beginning of the names of its temporary files.
    pub(crate) SessionId, 16
}

impl PackId {
    pub(crate) fn random() -> std::io::Result<PackId> {
        random().map(PackId)
    }
}

impl SessionId {
    pub(crate) fn random() -> std::io::Result<SessionId> {
        random().map(SessionId)
    }
}

/// Sixteen bytes that nobody else has.
pub(crate) fn random() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_nothing_else_does() {
        let id = BlobId(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<BlobId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for wrong in ["", "00", &id.to_string().to_uppercase(), &format!("{id}0"), &"é".repeat(32)] {
            assert!(wrong.parse::<BlobId>().is_err(), "{wrong}");
        }
    }
}
