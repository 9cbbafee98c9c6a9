//! What of the registry no layer carries.

use super::HiveKind;
use super::patterns::{Pattern, Place, error, lines};
use crate::path_list::PatternError;
use hive::{Delta, KeyRole, Name};
use std::collections::HashSet;
use std::sync::OnceLock;

/// What app and platform layers do not carry.
pub(crate) const DEFAULTS: &str = include_str!("never-captured.txt");
/// What waits for the next start of a machine.
const PENDING: &str = include_str!("pending.txt");
/// Which control sets there are: changes go to the one that the target starts with.
const CONTROL_SETS: &str = "SYSTEM\\Select";

/// Keys and values that are not captured.
#[derive(Debug, Clone)]
pub(crate) struct NeverCapturedKeys {
    /// Neither what comes nor what goes.
    all: Vec<Pattern>,
    /// What is there afterwards; that something went is captured.
    unless_gone: Vec<Pattern>,
}

impl NeverCapturedKeys {
    /// The built-in list of app and platform layers with `more` lines in the same syntax.
    pub(crate) fn with(more: &str) -> Result<NeverCapturedKeys, PatternError> {
        static BUILT_IN: OnceLock<Vec<Pattern>> = OnceLock::new();
        let lists = [DEFAULTS, PENDING, CONTROL_SETS].join("\n");
        let mut all = BUILT_IN.get_or_init(|| parse(&lists).expect("the built-in list is tested")).clone();
        all.extend(parse(more)?);
        Ok(NeverCapturedKeys { all, unless_gone: Vec::new() })
    }

    /// What a packaging machine's change of an OS version does not carry. The version is the machine itself; what waited
    /// for its next start and is done must not wait again.
    pub(crate) fn of_os_versions() -> &'static NeverCapturedKeys {
        static BUILT_IN: OnceLock<NeverCapturedKeys> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let parsed = |text| parse(text).expect("the built-in list is tested");
            NeverCapturedKeys { all: parsed(CONTROL_SETS), unless_gone: parsed(PENDING) }
        })
    }

    /// Takes out of a change of a hive what is not carried.
    pub(crate) fn leave_out(&self, hive: HiveKind, delta: &mut Delta) {
        let gone = self.gone(hive, delta);
        delta.retain(|path, name| {
            self.keeps(hive, path, name) || gone.contains(&(path.to_owned(), name.map(Name::to_string)))
        });
    }

    /// What a change says of things of which only counts that they went; one that became something else did.
    fn gone(&self, hive: HiveKind, delta: &mut Delta) -> HashSet<(String, Option<String>)> {
        let mut gone = HashSet::new();
        if self.unless_gone.iter().all(|pattern| pattern.hive() != hive) {
            return gone;
        }
        for position in 0..delta.keys.len() {
            let path = delta.path(position);
            let place = Place::new(hive, &path);
            let key = &mut delta.keys[position];
            for value in key.values.iter_mut().filter(|value| value.before.is_some()) {
                let name = value.name.to_string();
                if self.unless_gone.iter().any(|pattern| pattern.matches_value(&place, &name)) {
                    value.after = None;
                    gone.insert((path.clone(), Some(name)));
                }
            }
            if key.role != KeyRole::Added
                && self.unless_gone.iter().any(|pattern| pattern.matches_key(&place))
            {
                gone.insert((path, None));
            }
        }
        gone
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.all.iter().chain(&self.unless_gone)
    }

    /// Whether a key, or one of its values, is carried when it is there.
    fn keeps(&self, hive: HiveKind, path: &str, value: Option<&Name<'_>>) -> bool {
        let place = Place::new(hive, path);
        match value {
            None => !self.patterns().any(|pattern| pattern.matches_key(&place)),
            Some(value) => {
                let value = value.to_string();
                !self.patterns().any(|pattern| pattern.matches_value(&place, &value))
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
        let sign_in = "Microsoft\\Windows\\CurrentVersion\\Authentication\\LogonUI";
        assert!(!keeps(HiveKind::Software, sign_in, Some("SelectedUserSID")));
        assert!(keeps(HiveKind::Software, sign_in, Some("Background")));
        let guids = "Microsoft\\Windows NT\\CurrentVersion\\ProfileGuid";
        assert!(!keeps(HiveKind::Software, &format!("{guids}\\{{1}}"), Some("SidString")));
        let activation = "Microsoft\\Windows NT\\CurrentVersion\\SoftwareProtectionPlatform";
        assert!(!keeps(HiveKind::Software, activation, Some("BackupProductKeyDefault")));
        assert!(keeps(HiveKind::Software, activation, Some("KeyManagementServiceName")));
        assert!(!keeps(HiveKind::Software, "Vendor", Some("License key")));
        assert!(keeps(HiveKind::User, "Vendor", Some("License key")));
    }
}
