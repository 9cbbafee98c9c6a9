//! What of the registry no layer carries.

use super::HiveKind;
use super::patterns::{Pattern, Place, error, lines};
use crate::path_list::PatternError;
use hive::{KeyRole, Name, ValueChange};
use std::sync::OnceLock;

/// What app and platform layers do not carry.
pub(crate) const DEFAULTS: &str = include_str!("never-captured.txt");
/// What no version carries.
const PENDING: &str = include_str!("pending.txt");

/// Keys and values that are not captured.
#[derive(Debug, Clone)]
pub(crate) struct NeverCapturedKeys {
    patterns: Vec<Pattern>,
    /// Whether it counts that such a key or value was removed: what a machine has finished, it does not finish again.
    removals_count: bool,
}

impl NeverCapturedKeys {
    /// The built-in list of app and platform layers with `more` lines in the same syntax.
    pub(crate) fn with(more: &str) -> Result<NeverCapturedKeys, PatternError> {
        static BUILT_IN: OnceLock<Vec<Pattern>> = OnceLock::new();
        let mut all = BUILT_IN.get_or_init(|| parse(DEFAULTS).expect("the built-in list is tested")).clone();
        all.extend_from_slice(&NeverCapturedKeys::pending().patterns);
        all.extend(parse(more)?);
        Ok(NeverCapturedKeys { patterns: all, removals_count: false })
    }

    /// What is not even added to a version of an OS layer, which is the machine itself.
    pub(crate) fn pending() -> &'static NeverCapturedKeys {
        static BUILT_IN: OnceLock<NeverCapturedKeys> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let patterns = parse(PENDING).expect("the built-in list is tested");
            NeverCapturedKeys { patterns, removals_count: true }
        })
    }

    /// Whether what became of a key, or the change of one of its values, is carried.
    pub(crate) fn keeps(
        &self,
        hive: HiveKind,
        path: &str,
        role: &KeyRole,
        value: Option<&ValueChange>,
    ) -> bool {
        let removed = match value {
            // what is removed may lie below a key that is not new
            None => *role != KeyRole::Added,
            Some(value) => value.after.is_none(),
        };
        (self.removals_count && removed) || !self.names(hive, path, value.map(|value| &value.name))
    }

    /// Whether a key or one of its values is in the list.
    fn names(&self, hive: HiveKind, path: &str, value: Option<&Name<'_>>) -> bool {
        let place = Place::new(hive, path);
        match value {
            None => self.patterns.iter().any(|pattern| pattern.matches_key(&place)),
            Some(value) => {
                let value = value.to_string();
                self.patterns.iter().any(|pattern| pattern.matches_value(&place, &value))
            }
        }
    }
}

fn parse(text: &str) -> Result<Vec<Pattern>, PatternError> {
    lines(text)
        .map(|(number, line)| Pattern::parse(line).map_err(|reason| error(number, line, reason)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_and_state_of_a_machine_are_not_carried() {
        let never = NeverCapturedKeys::with("SOFTWARE\\Vendor : License*").unwrap();
        let keeps = |hive, path: &str, value: Option<&str>| {
            let value = value.map(Name::from);
            !never.names(hive, path, value.as_ref())
        };
        let manager = "CurrentControlSet\\Control\\Session Manager";
        assert!(!keeps(HiveKind::System, manager, Some("pendingfilerenameoperations")));
        assert!(keeps(HiveKind::System, manager, Some("BootExecute")));
        assert!(keeps(HiveKind::System, manager, None));
        assert!(!keeps(HiveKind::System, "MountedDevices", None));
        assert!(!keeps(HiveKind::System, "MountedDevices", Some("\\DosDevices\\C:")));
        assert!(!keeps(HiveKind::Software, "microsoft\\cryptography", Some("MachineGuid")));
        let profiles = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
        assert!(!keeps(HiveKind::Software, &format!("{profiles}\\S-1-5-21-1-2-3-1001"), None));
        assert!(!keeps(HiveKind::Software, &format!("{profiles}\\S-1-5-21-1-2-3-1001\\Sub"), Some("x")));
        assert!(keeps(HiveKind::Software, &format!("{profiles}\\S-1-5-18"), None));
        assert!(!keeps(HiveKind::Software, "Vendor", Some("License key")));
        assert!(keeps(HiveKind::User, "Vendor", Some("License key")));
    }
}
