//! Lists of paths, as data.

use volume::{Name, Tree};

/// A list of paths with wildcards: one `\`-separated path per line from the root of the volume; `*` and `?` stand for
/// any characters and one character within a name, a last `**` for everything below; `#` starts a comment.
#[derive(Debug, Clone)]
pub struct PathList {
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

impl PathList {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<PathList, PatternError> {
        Ok(PathList { patterns: parse(text)? })
    }

    /// Adds another list.
    pub fn extend(&mut self, more: PathList) {
        self.patterns.extend(more.patterns);
    }

    /// Whether the entry `name` of the directory with this path is on the list. `tree` says how names compare.
    pub fn matches(&self, tree: &Tree, directory: &[Name], name: &Name) -> bool {
        self.position(tree, directory, name).is_some()
    }

    /// Which pattern of the list is the first that matches the entry.
    pub(crate) fn position(&self, tree: &Tree, directory: &[Name], name: &Name) -> Option<usize> {
        let upper = |name: &Name| tree.fold(name).to_string();
        let depth = directory.len() + 1;
        let mut path: Option<Vec<String>> = None;
        self.patterns.iter().position(|pattern| {
            let candidate =
                if pattern.below { depth > pattern.parts.len() } else { depth == pattern.parts.len() };
            if !candidate {
                return false;
            }
            let path = path.get_or_insert_with(|| directory.iter().chain([name]).map(upper).collect());
            pattern.parts.iter().zip(path.iter()).all(|(glob, part)| glob_matches(glob, part))
        })
    }

    /// Whether a path on the list may lie in the directory with this path, at any depth.
    pub(crate) fn leads_into(&self, tree: &Tree, directory: &[Name]) -> bool {
        let path: Vec<String> = directory.iter().map(|name| tree.fold(name).to_string()).collect();
        self.patterns.iter().any(|pattern| {
            (pattern.below || path.len() < pattern.parts.len())
                && pattern.parts.iter().zip(&path).all(|(glob, part)| glob_matches(glob, part))
        })
    }
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
pub(crate) fn glob_matches(glob: &str, text: &str) -> bool {
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
