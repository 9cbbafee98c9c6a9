//! Paths that no layer ever carries, neither as additions nor as deletions.
//!
//! The list is data: the defaults are in `never-captured.txt`, and a store may hold more lines of its own.

use std::sync::OnceLock;
use volume::{Name, Tree};

/// The built-in list.
pub const DEFAULTS: &str = include_str!("never-captured.txt");

/// Patterns that decide whether a path is captured.
#[derive(Debug, Clone)]
pub struct NeverCaptured {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// Upper-case globs, one for each component.
    parts: Vec<String>,
    /// Ended in `\**`: matches everything below `parts`.
    below: bool,
}

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no pattern: {reason}")]
pub struct PatternError {
    /// Line number from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl NeverCaptured {
    /// The built-in list followed by `more` lines in the same syntax: one `\`-separated path per line from the root of
    /// the volume; `*` and `?` stand for any characters and one character within a name, a last `**` for everything
    /// below; `#` starts a comment.
    pub fn with(more: &str) -> Result<NeverCaptured, PatternError> {
        let mut patterns = default_patterns().clone();
        patterns.extend(parse(more)?);
        Ok(NeverCaptured { patterns })
    }

    /// Whether the entry `name` of the directory with this path is left out. `tree` says how names compare.
    pub fn matches(&self, tree: &Tree, directory: &[Name], name: &Name) -> bool {
        let upper = |name: &Name| tree.fold(name).to_string();
        let depth = directory.len() + 1;
        let mut path: Option<Vec<String>> = None;
        self.patterns.iter().any(|pattern| {
            let candidate =
                if pattern.below { depth > pattern.parts.len() } else { depth == pattern.parts.len() };
            if !candidate {
                return false;
            }
            let path = path.get_or_insert_with(|| directory.iter().chain([name]).map(upper).collect());
            pattern.parts.iter().zip(path.iter()).all(|(glob, part)| glob_matches(glob, part))
        })
    }
}

fn default_patterns() -> &'static Vec<Pattern> {
    static PATTERNS: OnceLock<Vec<Pattern>> = OnceLock::new();
    PATTERNS.get_or_init(|| parse(DEFAULTS).expect("the built-in list is tested"))
}

fn parse(text: &str) -> Result<Vec<Pattern>, PatternError> {
    let mut patterns = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let error = |reason| PatternError { line: index + 1, text: line.to_owned(), reason };
        let path = line.strip_prefix('\\').ok_or_else(|| error("it does not start with \\"))?;
        let (path, below) = match path.strip_suffix("\\**") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let parts: Vec<String> = path.split('\\').map(str::to_uppercase).collect();
        if parts.iter().any(|part| part.is_empty() || part.contains("**") || part.contains('/')) {
            return Err(error("every part between two \\ must be a name or a glob; ** may only come last"));
        }
        patterns.push(Pattern { parts, below });
    }
    Ok(patterns)
}

/// `*` any characters, `?` one character.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if g < glob.len() && (glob[g] == '?' || (glob[g] != '*' && glob[g] == text[t])) {
            g += 1;
            t += 1;
        } else if g < glob.len() && glob[g] == '*' {
            star = Some((g, t));
            g += 1;
        } else if let Some((at, from)) = star {
            g = at + 1;
            t = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|&c| c == '*')
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
