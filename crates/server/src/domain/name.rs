//! Names of things that people name.

use super::Invalid;
use unicode_normalization::UnicodeNormalization;

/// Longest name, in characters (PRODUCT §2).
const LONGEST: usize = 100;

/// A checked name: 1 to 100 characters, trimmed, without control characters and without any of `@ / \ :`, which separate
/// the parts of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name that was sent in `field`.
    ///
    /// ```
    /// use server::domain::name::Name;
    /// assert_eq!(Name::check("name", "  Office 2024 ").unwrap().as_str(), "Office 2024");
    /// assert_eq!(Name::check("name", "a@b").unwrap_err().errors()[0].code, "name-character");
    /// ```
    pub fn check(field: &str, text: &str) -> Result<Name, Invalid> {
        // One spelling for what looks the same: an accented letter may be one character or two.
        let name: String = text.trim().nfc().collect();
        let complaint = |code, message: String| Err(Invalid::field(field, code, message));
        if name.is_empty() {
            return complaint("name-missing", "A name is required.".to_owned());
        }
        let length = name.chars().count();
        if length > LONGEST {
            return complaint(
                "name-too-long",
                format!("A name has at most {LONGEST} characters; this one has {length}."),
            );
        }
        if let Some(bad) = name.chars().find(|c| matches!(c, '@' | '/' | '\\' | ':')) {
            return complaint(
                "name-character",
                format!(
                    "A name cannot hold the character {bad}: @ / \\ : separate the parts of a reference."
                ),
            );
        }
        if name.chars().any(|c| c.is_control() || is_invisible(c)) {
            return complaint(
                "name-control-character",
                "A name cannot hold control characters or characters that change the direction of text."
                    .to_owned(),
            );
        }
        Ok(Name(name))
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it is compared: names that differ only in case are the same.
    pub fn key(&self) -> String {
        key(&self.0)
    }
}

/// How a name is compared. Also for names that come in a search or reference and need not be valid.
pub fn key(name: &str) -> String {
    // Twice normalised: lower case of a composed letter may come apart.
    name.trim().nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// Characters without a glyph of their own that make two names look alike, or show their letters in another order.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Name::check("name", text).unwrap_err().errors()[0].code.clone()
    }

    #[test]
    fn what_separates_a_reference_cannot_be_in_a_name() {
        for bad in ["os:Windows", "a/b", "a\\b", "me@home"] {
            assert_eq!(code(bad), "name-character", "{bad}");
        }
    }

    #[test]
    fn a_name_has_one_to_a_hundred_characters_whatever_their_bytes() {
        assert_eq!(code(""), "name-missing");
        assert_eq!(code(" \t "), "name-missing");
        assert!(Name::check("name", &"ü".repeat(100)).is_ok());
        assert_eq!(code(&"ü".repeat(101)), "name-too-long");
    }

    #[test]
    fn names_that_look_alike_are_the_same() {
        let composed = Name::check("name", "B\u{fc}ro").unwrap();
        let apart = Name::check("name", "bu\u{308}ro").unwrap();
        assert_eq!(composed.key(), apart.key());
        assert_eq!(code("Off\u{200b}ice"), "name-control-character");
        assert_eq!(code("Office\u{7}"), "name-control-character");
    }
}
