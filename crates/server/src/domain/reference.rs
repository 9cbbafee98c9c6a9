//! References: how people name a layer version or image, `[os:|platform:|app:|image:]NAME[@VERSION]`.
//!
//! The engine's parser reads them. Names are compared as the server compares them
//! ([`name::key`](super::name::key)).

use super::Invalid;
use super::layer::LayerKind;
use operation::Explain;

pub use layering::reference::{ObjectKind, Reference};

/// Longest reference, in bytes: a prefix and two names of the longest kind.
const LONGEST: usize = 1024;

/// Reads a reference that was sent in `field`.
///
/// ```
/// use server::domain::reference::{ObjectKind, parse};
/// let reference = parse("reference", "app:Office@3").unwrap();
/// assert_eq!(reference.kind, Some(ObjectKind::App));
/// assert_eq!(reference.version.unwrap().as_str(), "3");
/// ```
pub fn parse(field: &str, text: &str) -> Result<Reference, Invalid> {
    if text.len() > LONGEST {
        return Err(Invalid::field(field, "reference-invalid", "This is too long for a reference."));
    }
    text.parse().map_err(|error: layering::reference::NameError| {
        let form = "Write it as [os:|platform:|app:|image:]NAME[@VERSION].";
        Invalid::field(field, error.code(), format!("Not a reference: {error}. {form}"))
    })
}

/// The reference of a version in full, which is never ambiguous.
pub fn of_version(kind: LayerKind, layer: &str, version: &str) -> String {
    format!("{kind}:{layer}@{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_full_reads_back() {
        let reference = parse("reference", &of_version(LayerKind::Os, "Windows 11", "23H2")).unwrap();
        assert_eq!(reference.kind, Some(ObjectKind::Os));
        assert_eq!(reference.name.as_str(), "Windows 11");
        assert_eq!(reference.version.unwrap().as_str(), "23H2");
    }

    #[test]
    fn what_is_no_reference_says_how_one_is_written() {
        for (text, code) in [
            ("", "name-invalid"),
            ("app:", "name-invalid"),
            ("Office@", "name-invalid"),
            ("Office@1@2", "name-invalid"),
            ("disk:Office", "reference-invalid"),
            ("image:Desk@1", "reference-invalid"),
        ] {
            let invalid = parse("reference", text).unwrap_err();
            assert_eq!(invalid.errors()[0].code, code, "{text}");
            assert!(invalid.errors()[0].message.contains("NAME[@VERSION]"), "{text}");
        }
        assert!(parse("reference", &"x".repeat(2000)).is_err());
    }
}
