//! Values that hold text.

use crate::Data;
use crate::record::value_kind;
use std::borrow::Cow;

/// A value of type `kind` with this text and the NUL that ends it.
pub fn string(kind: u32, text: &str) -> Data<'static> {
    let units = text.encode_utf16().chain([0]);
    Data::new(kind, units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// A `REG_MULTI_SZ` of these texts; empty ones cannot be in it and are left out.
pub fn multi_string<'t>(texts: impl IntoIterator<Item = &'t str>) -> Data<'static> {
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    let units = texts.flat_map(|text| text.encode_utf16().chain([0])).chain([0]);
    Data::new(value_kind::MULTI_SZ, units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

impl Data<'_> {
    /// The text of a `REG_SZ`, `REG_EXPAND_SZ` or `REG_LINK` up to its first NUL; `None` for other types and for what is
    /// no UTF-16.
    pub fn text(&self) -> Option<String> {
        if ![value_kind::SZ, value_kind::EXPAND_SZ, value_kind::LINK].contains(&self.kind) {
            return None;
        }
        let units = units(&self.bytes)?;
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        String::from_utf16(&units[..end]).ok()
    }

    /// The texts of a `REG_MULTI_SZ` up to the first empty one.
    pub fn texts(&self) -> Option<Vec<String>> {
        if self.kind != value_kind::MULTI_SZ {
            return None;
        }
        let units = units(&self.bytes)?;
        let texts = units.split(|unit| *unit == 0).take_while(|text| !text.is_empty());
        texts.map(|text| String::from_utf16(text).ok()).collect()
    }

    /// The number of a `REG_DWORD` or `REG_DWORD_BIG_ENDIAN`.
    pub fn number(&self) -> Option<u32> {
        let bytes: [u8; 4] = Cow::as_ref(&self.bytes).try_into().ok()?;
        match self.kind {
            value_kind::DWORD => Some(u32::from_le_bytes(bytes)),
            value_kind::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }
}

fn units(bytes: &[u8]) -> Option<Vec<u16>> {
    let even = bytes.len().is_multiple_of(2);
    even.then(|| bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect())
}
