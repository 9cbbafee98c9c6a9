//! Which values of the registry are lists.

use super::HiveKind;
use super::patterns::{Pattern, Place, error, lines};
use crate::path_list::PatternError;
use hive::{ListKind, Lists, Name};
use std::sync::OnceLock;

/// The built-in list.
pub(crate) const DEFAULTS: &str = include_str!("lists.txt");

/// The values that are lists.
#[derive(Debug, Clone)]
pub(crate) struct ListValues {
    values: Vec<(ListKind, Pattern)>,
    digest: String,
}

impl ListValues {
    /// The built-in list with `more` lines in the same syntax, which come first.
    pub(crate) fn with(more: &str) -> Result<ListValues, PatternError> {
        static BUILT_IN: OnceLock<Vec<(ListKind, Pattern)>> = OnceLock::new();
        let built_in = BUILT_IN.get_or_init(|| parse(DEFAULTS).expect("the built-in list is tested"));
        let mut all = parse(more)?;
        all.extend_from_slice(built_in);
        let mut hasher = blake3::Hasher::new_derive_key("lamina lists of registry values v1");
        for (_, line) in lines(more).chain(lines(DEFAULTS)) {
            hasher.update(line.as_bytes()).update(b"\n");
        }
        Ok(ListValues { values: all, digest: hasher.finalize().to_hex().to_string() })
    }

    /// Digest of the lines, hexadecimal: with other lines, the same layers make another composite.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Those of one kind of hive.
    pub(crate) fn of(&self, hive: HiveKind) -> impl Lists + '_ {
        OfHive { hive, all: self }
    }
}

struct OfHive<'l> {
    hive: HiveKind,
    all: &'l ListValues,
}

impl Lists for OfHive<'_> {
    fn kind(&self, path: &str, value: &Name<'_>) -> Option<ListKind> {
        let (place, value) = (Place::new(self.hive, path), value.to_string());
        let found = self.all.values.iter().find(|(_, pattern)| pattern.matches_value(&place, &value));
        found.map(|(kind, _)| *kind)
    }
}

fn parse(text: &str) -> Result<Vec<(ListKind, Pattern)>, PatternError> {
    let mut values = Vec::new();
    for (number, line) in lines(text) {
        let wrong = |reason| error(number, line, reason);
        let (kind, pattern) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match kind {
            "semicolons" => ListKind::Semicolons,
            "commas" => ListKind::Commas,
            "spaces" => ListKind::Spaces,
            "strings" => ListKind::Strings,
            _ => return Err(wrong("it does not begin with semicolons, commas, spaces or strings")),
        };
        if !pattern.contains(" : ") {
            return Err(wrong("it does not name a value"));
        }
        values.push((kind, Pattern::parse(pattern).map_err(wrong)?));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(hive: HiveKind, path: &str, value: &str) -> Option<ListKind> {
        let own = "commas SOFTWARE\\Vendor\\** : Modules\nspaces SYSTEM\\CurrentControlSet\\Control\\Lsa : Security Packages";
        ListValues::with(own).unwrap().of(hive).kind(path, &Name::from(value))
    }

    #[test]
    fn values_that_installers_append_to_are_lists() {
        let environment = "currentcontrolset\\Control\\Session Manager\\Environment";
        assert_eq!(kind(HiveKind::System, environment, "PATH"), Some(ListKind::Semicolons));
        assert_eq!(kind(HiveKind::System, environment, "TEMP"), None);
        assert_eq!(kind(HiveKind::Software, environment, "PATH"), None);
        let class = "CurrentControlSet\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}";
        assert_eq!(kind(HiveKind::System, class, "UpperFilters"), Some(ListKind::Strings));
        assert_eq!(kind(HiveKind::System, &format!("{class}\\0000"), "UpperFilters"), None);
        assert_eq!(
            kind(HiveKind::Software, "Microsoft\\Windows NT\\CurrentVersion\\Svchost", "netsvcs"),
            Some(ListKind::Strings)
        );
    }

    #[test]
    fn lines_of_the_store_add_to_the_list_and_win() {
        assert_eq!(kind(HiveKind::Software, "Vendor\\A\\B", "modules"), Some(ListKind::Commas));
        assert_eq!(kind(HiveKind::Software, "Vendor", "modules"), None);
        let lsa = "CurrentControlSet\\Control\\Lsa";
        assert_eq!(kind(HiveKind::System, lsa, "Security Packages"), Some(ListKind::Spaces));
        assert_eq!(kind(HiveKind::System, lsa, "Notification Packages"), Some(ListKind::Strings));
    }

    #[test]
    fn a_line_that_is_no_pattern_is_refused_with_its_number() {
        for (line, reason) in [
            ("lists SYSTEM\\a : b", "it does not begin with semicolons"),
            ("strings SYSTEM\\a", "it does not name a value"),
            ("strings HKLM\\a : b", "it does not begin with the name of a hive"),
            ("strings SYSTEM\\a\\**\\b : c", "** may only come last"),
        ] {
            let error = ListValues::with(&format!("# fine\n{line}")).unwrap_err();
            assert_eq!(error.line, 2);
            assert!(error.reason.contains(reason), "{line}: {error}");
        }
    }
}
