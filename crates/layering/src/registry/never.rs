//! What of the registry no layer carries.

use super::HiveKind;
use super::patterns::{Pattern, Place, error, lines};
use crate::path_list::PatternError;
use hive::Name;
use std::sync::OnceLock;

/// What app and platform layers do not carry.
pub(crate) const DEFAULTS: &str = include_str!("never-captured.txt");
/// What no version carries.
const PENDING: &str = include_str!("pending.txt");

/// Keys and values that are not captured.
#[derive(Debug, Clone)]
pub(crate) struct NeverCapturedKeys(Vec<Pattern>);

impl NeverCapturedKeys {
    /// The built-in list of app and platform layers with `more` lines in the same syntax.
    pub(crate) fn with(more: &str) -> Result<NeverCapturedKeys, PatternError> {
        static BUILT_IN: OnceLock<Vec<Pattern>> = OnceLock::new();
        let mut all = BUILT_IN.get_or_init(|| parse(DEFAULTS).expect("the built-in list is tested")).clone();
        all.extend_from_slice(&NeverCapturedKeys::pending().0);
        all.extend(parse(more)?);
        Ok(NeverCapturedKeys(all))
    }

    /// What not even a version of an OS layer carries, which is the machine itself.
    pub(crate) fn pending() -> &'static NeverCapturedKeys {
        static BUILT_IN: OnceLock<NeverCapturedKeys> = OnceLock::new();
        BUILT_IN.get_or_init(|| NeverCapturedKeys(parse(PENDING).expect("the built-in list is tested")))
    }

    /// Whether a key, or one of its values, is carried.
    pub(crate) fn keeps(&self, hive: HiveKind, path: &str, value: Option<&Name<'_>>) -> bool {
        let place = Place::new(hive, path);
        match value {
            None => !self.0.iter().any(|pattern| pattern.matches_key(&place)),
            Some(value) => {
                let value = value.to_string();
                !self.0.iter().any(|pattern| pattern.matches_value(&place, &value))
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
            never.keeps(hive, path, value.as_ref())
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
