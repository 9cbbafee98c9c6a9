//! Names, references and never-captured patterns from hostile text: nothing panics, and what is accepted reads the same
//! when it was written out.

use layering::never_captured::NeverCaptured;
use layering::reference::{EntityName, Reference};
use volume::{FileId, Name, Tree};

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(name) = EntityName::new(text) {
        let count = name.as_str().chars().count();
        assert!((1..=100).contains(&count) && name.as_str().trim() == name.as_str());
        assert!(!name.as_str().chars().any(|c| c.is_control() || "@/\\:".contains(c)));
        assert_eq!(EntityName::new(name.as_str()).expect("a name is a name").as_str(), name.as_str());
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse::<Reference>().expect("a reference is one"), reference);
    }
    if let Ok(never) = NeverCaptured::with(text) {
        let tree = Tree::new(FileId(5), [], None);
        let path: Vec<Name> =
            text.split('\\').filter(|part| !part.is_empty()).take(8).map(Name::from).collect();
        if let Some((name, directory)) = path.split_last() {
            never.matches(&tree, directory, name);
        }
    }
}
