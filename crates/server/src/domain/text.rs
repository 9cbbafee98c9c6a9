//! Texts that people write: descriptions, and names of persons.

use super::Invalid;

/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 2000;
/// Longest name of a person, in characters.
const LONGEST_FULL_NAME: usize = 200;

/// A description that was sent in `field`, checked and trimmed. It may have several lines.
pub fn check_description(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let length = text.chars().count();
    if length > LONGEST_DESCRIPTION {
        return Err(Invalid::field(
            field,
            "description-too-long",
            format!("A description has at most {LONGEST_DESCRIPTION} characters; this one has {length}."),
        ));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Invalid::field(
            field,
            "description-control-character",
            "A description cannot hold control characters.",
        ));
    }
    Ok(text.to_owned())
}

/// A person's name that was sent in `field`, checked and trimmed. It may be empty.
pub fn check_full_name(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > LONGEST_FULL_NAME || text.chars().any(char::is_control) {
        return Err(Invalid::field(
            field,
            "full-name",
            format!(
                "A person's name has at most {LONGEST_FULL_NAME} characters, none of them a control character."
            ),
        ));
    }
    Ok(text.to_owned())
}
