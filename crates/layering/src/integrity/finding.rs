//! Findings: what they say, whether they block, what to do. One line of code per matter, and its evidence.

use crate::plan::warning;
use crate::reference::LayerKind;
use crate::report::{Evidence, Finding, Severity, Warning};
use std::fmt;

/// Evidence of one finding that is named; the rest is counted.
const NAMED: usize = 20;
/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// What can be wrong with an installed Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matter {
    /// A driver of the boot disk waits for a restart.
    DriverReboot,
    /// An installation or update waits for a restart.
    Reboot,
    /// A user's next sign-in continues an installation.
    UserSignIn,
    /// Windows Installer is at work, or was interrupted.
    Msi,
    /// Native images wait to be compiled.
    Ngen,
    /// The native image service was told of work.
    NgenNoted,
    /// A hive's last write is incomplete.
    HiveDirty,
    /// The machine is a member of a domain.
    Domain,
    /// Sysprep or Windows setup is in the middle of its work.
    SetupRunning,
    /// Windows setup continues at the next start.
    SetupUnfinished,
    /// An earlier run of sysprep did not end.
    SysprepFailed,
    /// The disk is generalized.
    Generalized,
}

impl Matter {
    fn code(self) -> &'static str {
        match self {
            Matter::DriverReboot => "driver-reboot-pending",
            Matter::Reboot => "reboot-pending",
            Matter::UserSignIn => "user-sign-in-pending",
            Matter::Msi => "msi-in-progress",
            Matter::Ngen => "ngen-in-progress",
            Matter::NgenNoted => "ngen-work-noted",
            Matter::HiveDirty => "hive-dirty",
            Matter::Domain => "domain-joined",
            Matter::SetupRunning => "setup-in-progress",
            Matter::SetupUnfinished => "setup-unfinished",
            Matter::SysprepFailed => "sysprep-unfinished",
            Matter::Generalized => "generalized",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Matter::DriverReboot => {
                "A reboot is pending to update drivers on the boot disk - please check and reboot the Packaging \
                 Machine."
            }
            Matter::Reboot | Matter::UserSignIn => {
                "A post-installation reboot is pending - please check and reboot the Packaging Machine."
            }
            Matter::Msi => "An MSI install operation is in progress - please check the Packaging Machine.",
            Matter::Ngen | Matter::NgenNoted => {
                "A Microsoft NGen operation is in progress in the background."
            }
            Matter::HiveDirty => "A registry hive was not written completely and no log completes it.",
            Matter::Domain => "The machine is joined to a domain.",
            Matter::SetupRunning => "Windows setup or Sysprep is in the middle of its work.",
            Matter::SetupUnfinished => "Windows setup continues at the next start.",
            Matter::SysprepFailed => "Sysprep was begun on this disk and did not finish.",
            Matter::Generalized => {
                "The disk is generalized: every machine made from it begins with Windows setup."
            }
        }
    }

    fn advice(self, kind: LayerKind) -> &'static str {
        match self {
            Matter::DriverReboot | Matter::Reboot => {
                "Restart the machine, let it finish, look again, and shut it down fully (shutdown /s /t 0)."
            }
            Matter::UserSignIn => {
                "Sign in once as the user whose hive is named, or remove the value; then shut the machine down fully."
            }
            Matter::Msi => {
                "Let the installation finish or cancel it, and restart the machine. If nothing is being installed, \
                 start the interrupted installer again to roll it back; remove rollback scripts that are left over \
                 in C:\\Config.Msi."
            }
            Matter::Ngen | Matter::NgenNoted => {
                "Let it finish, or run `ngen update /force` as Administrator in the framework's directory (messages \
                 that a compilation failed are normal), and wait until MSCORSVW.EXE is gone; never reboot to stop it. \
                 `ngen queue status` says `The .NET Runtime Optimization Service is stopped` when it is over, but \
                 asking too often pauses it."
            }
            Matter::HiveDirty => "Start the machine once more and shut it down fully (shutdown /s /t 0).",
            Matter::Domain if kind == LayerKind::Os => {
                "Leave the domain, restart and shut down; join when a machine is deployed."
            }
            Matter::Domain => {
                "Join when a machine is deployed: the machine account is not carried by the layer."
            }
            Matter::SetupRunning => {
                "Start the machine and let setup finish. If Sysprep failed on it, go back to a disk from before."
            }
            Matter::SetupUnfinished => {
                "Start the machine, answer the questions of setup and shut it down fully."
            }
            Matter::SysprepFailed => {
                "Look into \\Windows\\System32\\Sysprep\\Panther\\setuperr.log; generalizing this machine will \
                 probably fail again."
            }
            Matter::Generalized => {
                "Use a disk from before Sysprep, unless that is meant; images are generalized when they are published."
            }
        }
    }

    fn severity(self, kind: LayerKind) -> Severity {
        match self {
            Matter::DriverReboot
            | Matter::Reboot
            | Matter::Msi
            | Matter::Ngen
            | Matter::HiveDirty
            | Matter::SetupRunning => Severity::Blocks,
            Matter::Domain if kind == LayerKind::Os => Severity::Blocks,
            Matter::Domain
            | Matter::UserSignIn
            | Matter::NgenNoted
            | Matter::SetupUnfinished
            | Matter::SysprepFailed
            | Matter::Generalized => Severity::Warns,
        }
    }
}

/// Evidence as it is found, by matter.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<(Matter, Vec<Evidence>, u64)>);

impl Found {
    /// Adds what speaks for a matter.
    pub(super) fn add(&mut self, matter: Matter, evidence: Evidence) {
        let position = match self.0.iter().position(|(known, ..)| *known == matter) {
            Some(position) => position,
            None => {
                self.0.push((matter, Vec::new(), 0));
                self.0.len() - 1
            }
        };
        let (_, named, more) = &mut self.0[position];
        match named.len() < NAMED {
            true => named.push(evidence),
            false => *more += 1,
        }
    }

    /// One finding for each matter, for a version of a layer of this kind.
    pub(super) fn into_findings(mut self, kind: LayerKind) -> Vec<Finding> {
        self.0.sort_by_key(|(matter, ..)| (matter.severity(kind), *matter));
        let finding = |(matter, evidence, more): (Matter, _, _)| Finding {
            code: matter.code().to_owned(),
            message: matter.message().to_owned(),
            severity: matter.severity(kind),
            overridable: true,
            evidence,
            more,
            advice: matter.advice(kind).to_owned(),
        };
        self.0.into_iter().map(finding).collect()
    }
}

impl Evidence {
    pub(super) fn key(hive: &str, key: impl Into<String>) -> Evidence {
        Evidence { hive: Some(hive.to_owned()), key: Some(key.into()), ..Evidence::default() }
    }

    /// A value and what it holds; the empty name is the default value's.
    pub(super) fn value(hive: &str, key: impl Into<String>, value: &str, data: &str) -> Evidence {
        let value = if value.is_empty() { "(default)" } else { value };
        Evidence { value: Some(value.to_owned()), data: Some(shortened(data)), ..Evidence::key(hive, key) }
    }

    pub(super) fn file(path: impl Into<String>) -> Evidence {
        Evidence { file: Some(path.into()), ..Evidence::default() }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `SOFTWARE\Microsoft\Updates : UpdateExeVolatile = 1`, or a path.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place: Vec<&str> = [&self.hive, &self.key].into_iter().flatten().map(String::as_str).collect();
        let mut separator = "";
        // a user's hive is named by its path
        let joint = if self.hive.as_ref().is_some_and(|hive| hive.starts_with('\\')) { " : " } else { "\\" };
        if !place.is_empty() {
            write!(f, "{}", place.join(joint))?;
            separator = " : ";
        }
        for part in [&self.value, &self.file].into_iter().flatten() {
            write!(f, "{separator}{part}")?;
            separator = " : ";
        }
        match &self.data {
            Some(data) => write!(f, " = {data}"),
            None => Ok(()),
        }
    }
}

impl Finding {
    /// Its evidence in lines, the last of which counts what is not named.
    pub fn evidence_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.evidence.iter().map(Evidence::to_string).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines
    }

    /// The remark that stays in a version which was stored in spite of the finding; `reason` where it was overridden.
    pub(super) fn remark(&self, reason: Option<&str>) -> Warning {
        let evidence: Vec<String> = self.evidence.iter().map(Evidence::to_string).collect();
        let count = evidence.len() as u64 + self.more;
        let (code, message) = match reason {
            Some(reason) => {
                ("integrity-overridden", format!("{} ({}) Overridden: {reason}", self.message, self.code))
            }
            None => (self.code.as_str(), format!("{} {}", self.message, self.advice)),
        };
        Warning { count, ..warning(code, &message, evidence) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_names_hive_key_value_and_what_the_value_holds() {
        let text = |evidence: Evidence| evidence.to_string();
        assert_eq!(
            text(Evidence::value("SOFTWARE", "Microsoft\\Updates", "UpdateExeVolatile", "1")),
            "SOFTWARE\\Microsoft\\Updates : UpdateExeVolatile = 1"
        );
        assert_eq!(
            text(Evidence::value("SECURITY", "Policy\\P", "", "x")),
            "SECURITY\\Policy\\P : (default) = x"
        );
        assert_eq!(
            text(Evidence::key("\\Users\\ann\\NTUSER.DAT", "Software\\RunOnceEx")),
            "\\Users\\ann\\NTUSER.DAT : Software\\RunOnceEx"
        );
        assert_eq!(text(Evidence::file("\\Windows\\WinSxS\\pending.xml")), "\\Windows\\WinSxS\\pending.xml");
        let long = text(Evidence::value("SYSTEM", "K", "V", &"ö".repeat(300)));
        assert_eq!(long.chars().filter(|character| *character == 'ö').count(), SHOWN);
    }

    #[test]
    fn a_finding_names_twenty_pieces_of_evidence_and_counts_the_others() {
        let mut found = Found::default();
        for number in 0..50 {
            found.add(Matter::Reboot, Evidence::file(format!("\\{number}")));
        }
        found.add(Matter::Generalized, Evidence::file("\\x"));
        found.add(Matter::DriverReboot, Evidence::file("\\y"));
        let findings = found.into_findings(LayerKind::App);
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(
            codes,
            ["driver-reboot-pending", "reboot-pending", "generalized"],
            "what blocks comes first"
        );
        assert_eq!((findings[1].evidence.len(), findings[1].more), (20, 30));
        assert_eq!(findings[1].evidence_lines().last().map(String::as_str), Some("and 30 more"));
        assert_eq!(findings[1].remark(Some("tested")).count, 50);
    }

    #[test]
    fn a_joined_machine_blocks_an_os_layer_and_warns_for_others() {
        for (kind, severity) in [
            (LayerKind::Os, Severity::Blocks),
            (LayerKind::App, Severity::Warns),
            (LayerKind::Platform, Severity::Warns),
        ] {
            assert_eq!(Matter::Domain.severity(kind), severity);
        }
    }
}
