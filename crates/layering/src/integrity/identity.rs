//! Who the machine is and how far its setup has come: pending computer name, domain, sysprep.

use super::checks::keys;
use super::finding::{Found, Matter};
use super::values::{beginning, counted_text, shown};
use crate::report::{Evidence, ImageState};
use hive::{Data, Name, Tree};

const TCPIP: &str = r"CurrentControlSet\Services\Tcpip\Parameters";
const NETLOGON: &str = r"CurrentControlSet\Services\Netlogon";
const COMPUTER_NAME: &str = r"CurrentControlSet\Control\ComputerName";
const SYSPREP_STATUS: &str = r"Setup\Status\SysprepStatus";
const SETUP_STATE: &str = r"Microsoft\Windows\CurrentVersion\Setup\State";

/// A service that starts with Windows (`SERVICE_AUTO_START`).
const STARTS_WITH_WINDOWS: u32 = 2;
/// What SysprepStatus' GeneralizationState says on a machine on which sysprep can run.
const READY: u32 = 7;

/// Image states of the setup (Microsoft, "Windows Setup States").
const COMPLETE: &str = "IMAGE_STATE_COMPLETE";
const UNDEPLOYABLE: &str = "IMAGE_STATE_UNDEPLOYABLE";
const GENERALIZED: &str = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE";
/// Generalized or specialized, and what comes next is audit mode or the questions of setup.
const UNFINISHED: [&str; 2] = ["IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_"];

fn value<'t, 'h>(tree: &'t Tree<'h>, key: &str, name: &str) -> Option<(Data<'t>, String)> {
    let key = *keys(tree, key).first()?;
    let data = tree.value(key, &Name::from(name))?;
    Some((beginning(data), tree.path(key)))
}

fn text(tree: &Tree<'_>, key: &str, name: &str) -> Option<String> {
    value(tree, key, name)?.0.text().filter(|text| !text.is_empty())
}

/// A number that is not zero, as evidence.
fn flag(hive: &str, tree: &Tree<'_>, key: &str, name: &str) -> Option<Evidence> {
    let (data, path) = value(tree, key, name)?;
    let number = data.number().filter(|number| *number != 0)?;
    Some(Evidence::value(hive, path, name, &number.to_string()))
}

/// A computer name that comes into force at the next start. The name in force is kept in memory only, but TCP/IP keeps
/// the host name in force beside the one to come.
pub(super) fn pending_name(hive: &str, system: &Tree<'_>, found: &mut Found) {
    let pairs = [
        ((TCPIP, "Hostname"), (TCPIP, "NV Hostname")),
        (
            (&*format!(r"{COMPUTER_NAME}\ActiveComputerName"), "ComputerName"),
            (&*format!(r"{COMPUTER_NAME}\ComputerName"), "ComputerName"),
        ),
    ];
    for ((now_key, now_name), (next_key, next_name)) in pairs {
        let now = text(system, now_key, now_name);
        let Some((next, path)) = value(system, next_key, next_name) else { continue };
        if let (Some(now), Some(next)) = (now, next.text())
            && !next.is_empty()
            && now.to_uppercase() != next.to_uppercase()
        {
            let what = format!("{next}, in force is {now}");
            found.add(Matter::Reboot, Evidence::value(hive, path, next_name, &what));
        }
    }
}

/// What tells whether the machine is a member of a domain. The security policy decides; where it cannot be read, that
/// Netlogon starts with Windows and that there is a primary DNS suffix.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// What the security policy says: nothing is no member.
    policy: Option<Vec<Evidence>>,
    system: Vec<Evidence>,
    starts_netlogon: bool,
}

impl Membership {
    pub(super) fn security(&mut self, hive: &str, security: &Tree<'_>) {
        // no value: not the hive of a policy
        let Some((sid, path)) = value(security, r"Policy\PolPrDmS", "") else { return };
        let policy = self.policy.insert(Vec::new());
        // the primary domain's SID; a workgroup has none
        if sid.bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        policy.push(Evidence::value(hive, path, "", &shown(&sid)));
        for key in [r"Policy\PolPrDmN", r"Policy\PolDnDDN"] {
            if let Some((data, path)) = value(security, key, "")
                && let Some(name) = counted_text(&data.bytes)
            {
                policy.push(Evidence::value(hive, path, "", &name));
            }
        }
    }

    pub(super) fn system(&mut self, hive: &str, system: &Tree<'_>) {
        for name in ["NV Domain", "Domain"] {
            if let Some((data, path)) = value(system, TCPIP, name)
                && let Some(domain) = data.text().filter(|text| !text.is_empty())
            {
                self.system.push(Evidence::value(hive, path, name, &domain));
            }
        }
        if let Some((data, path)) = value(system, NETLOGON, "Start")
            && data.number() == Some(STARTS_WITH_WINDOWS)
            && !self.system.is_empty()
        {
            self.starts_netlogon = true;
            self.system.push(Evidence::value(hive, path, "Start", &shown(&data)));
        }
    }

    pub(super) fn finish(self, found: &mut Found) {
        let is_member = match &self.policy {
            Some(policy) => !policy.is_empty(),
            None => self.starts_netlogon,
        };
        if is_member {
            let evidence = self.policy.into_iter().flatten().chain(self.system);
            evidence.for_each(|evidence| found.add(Matter::Domain, evidence));
        }
    }
}

/// How far Windows setup and sysprep have come.
#[derive(Debug, Default)]
pub(super) struct Setup {
    image_state: Option<(String, Evidence)>,
    /// Signs that setup is running.
    running: Vec<Evidence>,
    sysprep: Option<Evidence>,
}

impl Setup {
    pub(super) fn system(&mut self, hive: &str, system: &Tree<'_>) {
        let flags = ["SystemSetupInProgress", "OOBEInProgress"];
        self.running = flags.iter().filter_map(|name| flag(hive, system, "Setup", name)).collect();
        let name = "GeneralizationState";
        if let Some((data, path)) = value(system, SYSPREP_STATUS, name)
            && data.number().is_some_and(|state| state != READY)
        {
            self.sysprep = Some(Evidence::value(hive, path, name, &shown(&data)));
        }
    }

    pub(super) fn software(&mut self, hive: &str, software: &Tree<'_>) {
        if let Some((data, path)) = value(software, SETUP_STATE, "ImageState")
            && let Some(state) = data.text()
        {
            let evidence = Evidence::value(hive, path, "ImageState", &state);
            self.image_state = Some((state, evidence));
        }
    }

    /// What the setup itself says of the image.
    pub(super) fn state(&self) -> ImageState {
        match self.image_state.as_ref().map(|(state, _)| state.as_str()) {
            Some(GENERALIZED) => ImageState::Generalized,
            Some(COMPLETE) => ImageState::Specialized,
            Some(state) if state.starts_with(UNFINISHED[1]) => ImageState::Specialized,
            _ => ImageState::Unknown,
        }
    }

    /// `tag` is the file that sysprep leaves when it succeeded.
    pub(super) fn finish(self, tag: Option<Evidence>, found: &mut Found) {
        let (state, evidence) = match self.image_state {
            Some((state, evidence)) => (state, Some(evidence)),
            None => (String::new(), None),
        };
        let mut add = |matter, more: Vec<Evidence>| {
            evidence.iter().cloned().chain(more).for_each(|evidence| found.add(matter, evidence));
        };
        if state == GENERALIZED {
            // what runs next is setup: that is what a generalized disk is
            add(Matter::Generalized, tag.into_iter().collect());
        } else if UNFINISHED.iter().any(|start| state.starts_with(start)) {
            add(Matter::SetupUnfinished, self.running);
        } else if state == UNDEPLOYABLE || !self.running.is_empty() {
            add(Matter::SetupRunning, self.running);
        } else if state == COMPLETE {
            self.sysprep.into_iter().for_each(|evidence| found.add(Matter::SysprepFailed, evidence));
        }
    }
}
