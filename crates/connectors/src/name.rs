//! Names of disks on a share, which come from requests and are hostile.
//!
//! One rule for all shares: a directory is often exported to Windows as well, and a name that only some of its users can
//! open is of no use. Names that begin with a dot are left to programs, this one included.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Characters in a whole name.
const MOST_CHARACTERS: usize = 1024;
/// Bytes in UTF-8, and therefore also UTF-16 units, of one component: what Linux file systems and NTFS take.
const MOST_COMPONENT_BYTES: usize = 255;
/// Folders above the file.
const MOST_FOLDERS: usize = 16;

/// The name of a disk's file below the root of a share: components separated by `/`, none of them `..`, hidden,
/// reserved in Windows or otherwise harmful. The same rule holds for folders.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskName(String);

/// The text cannot be the name of a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of a disk: {reason}")]
pub struct NameRefused {
    /// As it was given, at most 80 characters of it.
    pub name: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl DiskName {
    /// The name with its folders.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, file)| file)
    }

    /// The folders before the last component, or `None` for a file in the root.
    pub fn folder(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// Folders and file, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for DiskName {
    type Err = NameRefused;

    fn from_str(text: &str) -> Result<DiskName, NameRefused> {
        match defect(text) {
            None => Ok(DiskName(text.to_owned())),
            Some(reason) => Err(NameRefused { name: text.chars().take(80).collect(), reason }),
        }
    }
}

impl TryFrom<String> for DiskName {
    type Error = NameRefused;

    fn try_from(text: String) -> Result<DiskName, NameRefused> {
        text.parse()
    }
}

impl From<DiskName> for String {
    fn from(name: DiskName) -> String {
        name.0
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn defect(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.chars().count() > MOST_CHARACTERS {
        return Some("it is longer than 1024 characters");
    }
    if text.starts_with('/') {
        return Some("it begins with `/`; names count from the root of the share");
    }
    if text.split('/').count() > MOST_FOLDERS + 1 {
        return Some("it has more than 16 folders");
    }
    text.split('/').find_map(component_defect)
}

fn component_defect(component: &str) -> Option<&'static str> {
    if component.is_empty() {
        return Some("it has an empty component");
    }
    if component == "." || component == ".." {
        return Some("it has `.` or `..` as a component");
    }
    if component.starts_with('.') {
        return Some("a component begins with a dot; hidden names belong to programs");
    }
    if component.len() > MOST_COMPONENT_BYTES {
        return Some("a component is longer than 255 bytes");
    }
    if component.starts_with(' ') || component.ends_with([' ', '.']) {
        return Some("a component begins with a space or ends with a space or dot");
    }
    if component.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if component.chars().any(turns_text) {
        return Some("it has a character that changes the direction of text");
    }
    if component.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) {
        return Some("it has one of the characters `< > : \" | ? * \\`, which Windows reserves");
    }
    reserved(component).then_some("a component is a device in Windows, such as `NUL` or `COM1`")
}

/// Characters that make a name look like another one.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Device names of Windows, which an extension does not change ("Naming Files, Paths, and Namespaces").
fn reserved(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let mut rest = match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
        Some(rest) => rest.chars(),
        None => return false,
    };
    matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        for good in [
            "disk.vhdx",
            "office 2024/version 3.vhd",
            "Café.qcow2",
            "com.vhd",
            "com10.raw",
            "console.raw",
            "a..b",
        ] {
            let name: DiskName = good.parse().unwrap();
            assert_eq!(name.as_str(), good);
        }
        let name: DiskName = "a/b/c.raw".parse().unwrap();
        assert_eq!((name.folder(), name.file_name()), (Some("a/b"), "c.raw"));
    }

    #[test]
    fn names_that_lead_out_of_the_share_or_mean_something_else_are_refused() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(17) + "f";
        let bad = [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            ".hidden",
            "a/.lamina-1/disk",
            "C:\\x",
            "a\\..\\b",
            "x:stream",
            "x\0y",
            "x\ny",
            "x\u{85}",
            "NUL",
            "nul.vhd",
            "a/Com1.raw",
            "LPT³",
            "aux .x",
            "end.",
            "end ",
            " front",
            "a*",
            "what?",
            "\u{202e}dhv.exe",
            &long,
            &deep,
        ];
        for name in bad {
            let refused = name.parse::<DiskName>().expect_err(name);
            assert!(refused.to_string().contains(refused.reason), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_stays_below_its_root(text in "[./\\\\a-c:\u{0}-\u{1f}]{0,12}") {
            if let Ok(name) = text.parse::<DiskName>() {
                let joined = std::path::Path::new("/share").join(name.as_str());
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(joined.strip_prefix("/share").unwrap().components().all(plain));
                prop_assert!(name.components().all(|part| !part.starts_with('.')));
            }
        }
    }
}
