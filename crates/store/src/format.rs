//! The file that makes a directory a store: its format and features. `docs/store-format.md`, "Format file".

use serde::{Deserialize, Serialize};

/// The format that this program reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// The features that must be understood and that this program understands.
const KNOWN_FEATURES: [&str; 0] = [];

/// Longer than any format file, bytes.
pub(crate) const LIMIT: u64 = 64 << 10;

/// The content of the format file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// The format's number.
    #[serde(rename = "lamina_store")]
    pub format: u64,
    /// Features without which the store cannot be read or written correctly.
    #[serde(default)]
    pub required: Vec<String>,
    /// Features that a program may ignore.
    #[serde(default)]
    pub optional: Vec<String>,
}

/// Why a format file does not let the store be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// It is something else.
    Foreign(String),
    /// Its checksum is wrong.
    Damaged(String),
    /// An older format.
    Older(u64),
    /// A newer format.
    Newer(u64),
    /// Required features that are not known here.
    Unknown(Vec<String>),
}

impl Format {
    /// What a new store gets.
    pub fn current() -> Format {
        Format { format: FORMAT, required: Vec::new(), optional: Vec::new() }
    }

    /// One line of JSON and one line with its BLAKE3 in hexadecimal digits.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("numbers and strings always serialise");
        format!("{json}\n{}\n", blake3::hash(json.as_bytes()).to_hex()).into_bytes()
    }

    /// Reads what [`Format::encode`] wrote, of this or another version of the program, and says whether this one may
    /// use the store. The checksum is looked at first: a flipped bit must not look like another format.
    pub fn decode(bytes: &[u8]) -> Result<Format, Unusable> {
        let damaged = |why: &str| Err(Unusable::Damaged(why.to_owned()));
        if bytes.len() as u64 > LIMIT {
            return Err(Unusable::Foreign("its file `lamina-store` is far too long".into()));
        }
        let Some((json, check)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n'))
        else {
            return damaged("it is not text of two lines");
        };
        if check != format!("{}\n", blake3::hash(json.as_bytes()).to_hex()) {
            return damaged("its checksum does not match");
        }
        #[derive(Deserialize)]
        struct Version {
            lamina_store: u64,
        }
        // Only the number is read at first: other formats may have other fields.
        let version = serde_json::from_str::<Version>(json)
            .map_err(|error| {
                Unusable::Foreign(format!("its file `lamina-store` says something else ({error})"))
            })?
            .lamina_store;
        match version {
            0..FORMAT => return Err(Unusable::Older(version)),
            FORMAT => {}
            _ => return Err(Unusable::Newer(version)),
        }
        let format: Format =
            serde_json::from_str(json).map_err(|error| Unusable::Damaged(error.to_string()))?;
        let unknown: Vec<_> =
            format.required.iter().filter(|name| !KNOWN_FEATURES.contains(&name.as_str())).cloned().collect();
        if unknown.is_empty() { Ok(format) } else { Err(Unusable::Unknown(unknown)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_not_to_open_a_store_is_told_apart() {
        assert_eq!(Format::decode(&Format::current().encode()), Ok(Format::current()));
        let with = |change: fn(&mut Format)| {
            let mut format = Format::current();
            change(&mut format);
            Format::decode(&format.encode())
        };
        assert_eq!(with(|f| f.format = 0), Err(Unusable::Older(0)));
        assert_eq!(with(|f| f.format = 2), Err(Unusable::Newer(2)));
        assert_eq!(
            with(|f| f.required.push("holograms".into())),
            Err(Unusable::Unknown(vec!["holograms".into()]))
        );
        assert!(with(|f| f.optional.push("holograms".into())).is_ok(), "an optional feature may be ignored");
        let other = b"{\"some\":\"thing\"}";
        let other = [other.as_slice(), b"\n", blake3::hash(other).to_hex().as_bytes(), b"\n"].concat();
        assert!(matches!(Format::decode(&other), Err(Unusable::Foreign(_))));
    }

    #[test]
    fn any_flipped_bit_is_damage_and_never_another_version() {
        let good = Format::current().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Format::decode(&bad), Err(Unusable::Damaged(_))), "bit {bit}");
        }
    }
}
