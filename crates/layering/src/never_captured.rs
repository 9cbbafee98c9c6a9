//! Paths that no layer ever carries, neither as additions nor as deletions.
//!
//! The list is data: the defaults are in `never-captured.txt`, and a store may hold more lines of its own.

use crate::path_list::{PathList, PatternError};
use std::sync::OnceLock;
use volume::{Name, Tree};

/// The built-in list.
pub const DEFAULTS: &str = include_str!("never-captured.txt");

/// Paths that are not captured.
#[derive(Debug, Clone)]
pub struct NeverCaptured(PathList);

impl NeverCaptured {
    /// The built-in list followed by `more` lines in the same syntax, that of [`PathList`].
    pub fn with(more: &str) -> Result<NeverCaptured, PatternError> {
        static BUILT_IN: OnceLock<PathList> = OnceLock::new();
        let mut list =
            BUILT_IN.get_or_init(|| PathList::parse(DEFAULTS).expect("the built-in list is tested")).clone();
        list.extend(PathList::parse(more)?);
        Ok(NeverCaptured(list))
    }

    /// Whether the entry `name` of the directory with this path is left out. `tree` says how names compare.
    pub fn matches(&self, tree: &Tree, directory: &[Name], name: &Name) -> bool {
        self.0.matches(tree, directory, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use volume::FileId;

    fn excluded(path: &str) -> bool {
        let upcase: Box<[u16]> = (0..=0xffffu16)
            .map(|unit| if (0x61..=0x7a).contains(&unit) { unit - 0x20 } else { unit })
            .collect();
        let tree = Tree::new(FileId(5), [], Some(upcase));
        let mut parts: Vec<Name> = path.split('\\').skip(1).map(Name::from).collect();
        let name = parts.pop().unwrap();
        NeverCaptured::with("\\Data\\*.tmp").unwrap().matches(&tree, &parts, &name)
    }

    #[test]
    fn what_a_running_windows_leaves_behind_is_never_captured() {
        for path in [
            "\\pagefile.sys",
            "\\HIBERFIL.SYS",
            "\\swapfile.sys",
            "\\System Volume Information\\tracking.log",
            "\\$Recycle.Bin\\S-1-5-21-1\\$I1.txt",
            "\\Windows\\Temp\\a\\b.tmp",
            "\\Users\\ann\\AppData\\Local\\Temp\\x",
            "\\Windows\\System32\\winevt\\Logs\\System.evtx",
            "\\Windows\\Prefetch\\CMD.EXE-1.pf",
            "\\Windows\\SoftwareDistribution\\Download\\1\\x.cab",
            "\\Windows\\Minidump\\1.dmp",
            "\\Windows\\System32\\config\\TxR\\x.blf",
            "\\WindowsAzure\\Logs\\x.log",
            "\\Packages\\Plugins\\x",
            "\\Data\\x.TMP",
        ] {
            assert!(excluded(path), "{path}");
        }
    }

    #[test]
    fn the_folders_themselves_and_their_neighbours_are() {
        for path in [
            "\\Windows\\Temp",
            "\\Windows\\Prefetch",
            "\\Windows\\Temperature\\x",
            "\\Program Files\\x",
            "\\Data\\x.tmp2",
        ] {
            assert!(!excluded(path), "{path}");
        }
    }

    #[test]
    fn a_line_that_is_no_pattern_is_refused_with_its_number() {
        let error = NeverCaptured::with("# fine\n\\ok\nWindows\\x").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(NeverCaptured::with("\\a\\**\\b").is_err());
    }
}
