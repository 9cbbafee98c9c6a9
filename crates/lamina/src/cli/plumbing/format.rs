//! Disk formats on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use disk::format::Format;

/// Reads the name of a disk format and lists them in help and errors.
pub(super) fn parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}
