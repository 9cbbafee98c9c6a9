//! The name of one operation, by which it may be repeated.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names one operation of the caller, for instance the identifier of a task. An operation that runs again with the
/// same key goes on where it was interrupted, or answers what it answered before.
///
/// 1 to 64 of `a-z 0-9 -`, not beginning with `-`: it becomes part of file names on every platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationKey(String);

/// The text is no operation key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no operation key: 1 to 64 of `a-z 0-9 -`, not beginning with `-`")]
pub struct KeyRefused(String);

impl OperationKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperationKey {
    type Err = KeyRefused;

    fn from_str(text: &str) -> Result<OperationKey, KeyRefused> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') {
            Ok(OperationKey(text.to_owned()))
        } else {
            Err(KeyRefused(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for OperationKey {
    type Error = KeyRefused;

    fn try_from(text: String) -> Result<OperationKey, KeyRefused> {
        text.parse()
    }
}

impl From<OperationKey> for String {
    fn from(key: OperationKey) -> String {
        key.0
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_part_of_a_file_name_everywhere() {
        for good in ["a", "0b6c9a5e-7d5e-4c5c-a31d-0d5f4a7e9a10", "task-17"] {
            assert_eq!(good.parse::<OperationKey>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a/b", "a.b", "ä", &"a".repeat(65), "a\0"] {
            assert!(bad.parse::<OperationKey>().is_err(), "{bad:?}");
        }
    }
}
