//! How times and amounts of the API are shown.

use crate::printer::amount::Bytes;
use client::types::Time;
use jiff::Timestamp;

/// A time to the second, as UTC.
pub(super) fn time(time: &Time) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        // What is not understood is at least shown.
        Err(_) => crate::printer::page::Visible(time.as_str()).to_string(),
    }
}

/// Bytes, if there are any to tell.
pub(super) fn bytes(bytes: Option<i64>) -> String {
    match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
        Some(bytes) => Bytes(bytes).to_string(),
        None => "-".to_owned(),
    }
}

/// A size of the command line for the API.
pub(super) fn size(text: &str) -> Result<i64, String> {
    let bytes = crate::cli::size::parse(text)?;
    i64::try_from(bytes).map_err(|_| "that is more than a disk can hold".to_owned())
}
