//! Lists of keys and values of the registry, as data.

use super::HiveKind;
use crate::path_list::{PatternError, glob_matches};

/// A key or value by name: `HIVE\KEY` or `HIVE\KEY : VALUE`, with `*` and `?` within names.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    hive: HiveKind,
    /// Upper-case globs, one for each name of the key's path.
    key: Vec<String>,
    /// Ended in `\**`: any key below `key`.
    below: bool,
    /// Upper-case glob; `None` for the key with everything in it.
    value: Option<String>,
}

impl Pattern {
    /// Reads a pattern; `Err` says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Pattern, &'static str> {
        let (key, value) = match text.split_once(" : ") {
            Some((key, value)) => (key.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        let (hive, key) = key.split_once('\\').ok_or("it does not name a hive and a key")?;
        let hive = HiveKind::parse(hive).ok_or("it does not begin with the name of a hive")?;
        let (key, below) = match key.strip_suffix("\\**") {
            Some(key) => (key, true),
            None => (key, false),
        };
        let key: Vec<String> = key.split('\\').map(str::to_uppercase).collect();
        if key.iter().any(|name| name.is_empty() || name.contains("**")) || value.is_some_and(str::is_empty) {
            return Err("every part between two \\ must be a name or a glob; ** may only come last");
        }
        Ok(Pattern { hive, key, below, value: value.map(str::to_uppercase) })
    }

    /// The kind of hive that it is about.
    pub(crate) fn hive(&self) -> HiveKind {
        self.hive
    }

    /// Whether it names this value, or a key that the value is in.
    pub(crate) fn matches_value(&self, place: &Place, value: &str) -> bool {
        match &self.value {
            None => self.matches_key(place),
            Some(glob) => self.is_path(place, false) && glob_matches(glob, &value.to_uppercase()),
        }
    }

    /// Whether it names this key, or one above it, with everything in it.
    pub(crate) fn matches_key(&self, place: &Place) -> bool {
        self.value.is_none() && self.is_path(place, true)
    }

    fn is_path(&self, place: &Place, or_above: bool) -> bool {
        let (own, depth) = (self.key.len(), place.names.len());
        let fits = if self.below || or_above { depth >= own + usize::from(self.below) } else { depth == own };
        fits && place.hive == self.hive
            && self.key.iter().zip(&place.names).all(|(glob, name)| glob_matches(glob, name))
    }
}

/// A key of a hive, in the form in which patterns look at it.
#[derive(Debug)]
pub(crate) struct Place {
    hive: HiveKind,
    /// Upper-case names from below the root on.
    names: Vec<String>,
}

impl Place {
    /// The key at a path below the root, names separated by `\`.
    pub(crate) fn new(hive: HiveKind, path: &str) -> Place {
        let names = path.split('\\').filter(|name| !name.is_empty()).map(str::to_uppercase).collect();
        Place { hive, names }
    }
}

/// The lines of a list that say something, with their numbers; what follows `#` at the start of a line is a comment.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The error that a line is no pattern.
pub(crate) fn error(line: usize, text: &str, reason: &'static str) -> PatternError {
    PatternError { line, text: text.to_owned(), reason }
}
