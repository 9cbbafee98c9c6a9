//! Byte strings in serialized forms: written as such, read as owned ones.

use serde::{Deserialize, Deserializer, Serializer};
use serde_bytes::ByteBuf;
use std::borrow::Cow;

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, 'h, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'h, [u8]>, D::Error> {
    ByteBuf::deserialize(deserializer).map(|bytes| Cow::Owned(bytes.into_vec()))
}
