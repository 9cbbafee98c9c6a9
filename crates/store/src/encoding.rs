//! The encodings of the store's files as pure functions: for tools that read the files themselves, and for fuzzing.

pub use crate::format::{Format, Unusable};
pub use crate::index::{Entry, Index, Malformed, ReadAt};
pub use crate::object::{decode_file as decode_object_file, encode_file as encode_object_file};
pub use crate::refs::RefRecord;
