//! Installing with apt-get: as root or through sudo, with fresh package lists, and never without consent.
//!
//! Whether anything can be installed at all is found out before anybody is asked; see [`agreed`].

use crate::command::{command, find, run};
use crate::report;
use anyhow::{Context, Result, bail};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Lists older than this may name package files that the mirror no longer has.
const LISTS_ARE_OLD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How a program of ours gets to be root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// It is.
    Root,
    /// Through sudo, which may ask for a password.
    Sudo,
    /// Not at all.
    None,
}

/// What matters about this machine when packages are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Whether it installs with apt.
    pub(super) apt: bool,
    pub(super) privilege: Privilege,
    /// Whether the package lists can be used as they are.
    pub(super) fresh_lists: bool,
}

impl Machine {
    /// The one that we run on.
    pub(super) fn here() -> Machine {
        let privilege = if rustix::process::geteuid().is_root() {
            Privilege::Root
        } else if find("sudo").is_some() {
            Privilege::Sudo
        } else {
            Privilege::None
        };
        Machine { apt: find("apt-get").is_some(), privilege, fresh_lists: lists_are_fresh() }
    }

    /// The commands that install `names`, to be typed by a person. Where we cannot become root it is root who types.
    fn typed(self, names: &[&str]) -> String {
        let sudo = if self.privilege == Privilege::Sudo { "sudo " } else { "" };
        let update = if self.fresh_lists { String::new() } else { format!("{sudo}apt-get update && ") };
        format!("{update}{sudo}apt-get install -y --no-install-recommends {}", names.join(" "))
    }
}

/// Who may be asked, and how.
pub(super) struct Consent<'a> {
    /// It was given beforehand.
    pub(super) yes: bool,
    /// Whether a person can answer.
    pub(super) terminal: bool,
    /// Puts a question and gives the line that was typed.
    pub(super) ask: &'a mut dyn FnMut(&str) -> Result<String>,
}

/// An installation that can be done and that somebody has agreed to.
#[derive(Debug)]
pub(super) struct Agreed<'n> {
    machine: Machine,
    names: &'n [&'n str],
}

/// Settles whether `names` are installed.
///
/// # Errors
/// What has to be done instead: there is no apt, we cannot become root, nobody can be asked, or the answer was no. Only
/// the last of these has asked.
pub(super) fn agreed<'n>(machine: Machine, consent: Consent<'_>, names: &'n [&'n str]) -> Result<Agreed<'n>> {
    if !machine.apt {
        bail!(
            "this machine has no apt-get: please install the programs and libraries above (Debian names on the left) \
             by its own means and run this again"
        );
    }
    let typed = machine.typed(names);
    if machine.privilege == Privilege::None {
        bail!(
            "only root can install them, and there is no sudo; run this as root, then start again:\n  {typed}"
        );
    }
    if !consent.yes {
        if !consent.terminal {
            bail!("nobody is there to ask; run this, or start again with --yes:\n  {typed}");
        }
        if !is_yes(&(consent.ask)(&format!("Install them with `{typed}`?"))?) {
            bail!("nothing was installed; when you want to, start again or run:\n  {typed}");
        }
    }
    Ok(Agreed { machine, names })
}

/// Whether a typed line means yes. An empty line takes the default; the end of input, which has no line end, is not
/// consent.
fn is_yes(line: &str) -> bool {
    let answer = line.trim_end_matches(['\r', '\n']).trim().to_lowercase();
    line.ends_with('\n') && matches!(answer.as_str(), "" | "y" | "yes")
}

impl Agreed<'_> {
    /// Does it.
    pub(super) fn install(&self) -> Result<()> {
        if !self.machine.fresh_lists {
            report::note("updating the package lists");
            self.apt_get(&["update"]).context("the package lists could not be updated")?;
        }
        let mut arguments = vec!["install", "-y", "--no-install-recommends"];
        arguments.extend(self.names);
        self.apt_get(&arguments).context("the installation failed")
    }

    fn apt_get(&self, arguments: &[&str]) -> Result<()> {
        // sudo drops our environment, so the setting is given behind it.
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"];
        if self.machine.privilege == Privilege::Sudo {
            words.insert(0, "sudo");
        }
        run(command(words[0]).args(&words[1..]).args(arguments))
    }
}

/// Whether there are package lists and they were fetched lately. Their modification time is the mirror's, so the time
/// of the last change of the inode (the rename at the end of a download) is what counts.
fn lists_are_fresh() -> bool {
    let newest = std::fs::read_dir(Path::new("/var/lib/apt/lists"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        .filter_map(|entry| u64::try_from(entry.metadata().ok()?.ctime()).ok())
        .max();
    let Some(newest) = newest else { return false };
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(newest))
        .is_ok_and(|age| age < LISTS_ARE_OLD_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["mtools", "wimtools"];
    const INSTALL: &str = "apt-get install -y --no-install-recommends mtools wimtools";

    /// What became of a decision: the questions that were put, and what was said if it was refused.
    #[derive(Debug, PartialEq)]
    struct Outcome {
        asked: Vec<String>,
        refused: Option<String>,
    }

    fn outcome(privilege: Privilege, yes: bool, answer: Option<&str>) -> Outcome {
        of(Machine { apt: true, privilege, fresh_lists: true }, yes, answer)
    }

    /// `answer` is what the person at the terminal types, `None` when there is no terminal.
    fn of(machine: Machine, yes: bool, answer: Option<&str>) -> Outcome {
        let mut asked = Vec::new();
        let mut ask = |question: &str| {
            asked.push(question.to_owned());
            Ok(answer.unwrap_or_default().to_owned())
        };
        let consent = Consent { yes, terminal: answer.is_some(), ask: &mut ask };
        let refused = agreed(machine, consent, &NAMES).err().map(|error| error.to_string());
        Outcome { asked, refused }
    }

    fn installs_unasked() -> Outcome {
        Outcome { asked: Vec::new(), refused: None }
    }

    #[test]
    fn root_is_asked_with_the_command_that_is_run() {
        let asked = vec![format!("Install them with `{INSTALL}`?")];
        assert_eq!(outcome(Privilege::Root, false, Some("y\n")), Outcome { asked, refused: None });
    }

    #[test]
    fn a_user_with_sudo_is_asked_with_sudo_before_each_command() {
        let machine = Machine { apt: true, privilege: Privilege::Sudo, fresh_lists: false };
        let asked = vec![format!("Install them with `sudo apt-get update && sudo {INSTALL}`?")];
        assert_eq!(of(machine, false, Some("\n")), Outcome { asked, refused: None });
    }

    #[test]
    fn a_user_without_sudo_is_told_what_root_has_to_run_and_is_not_asked() {
        let machine = Machine { apt: true, privilege: Privilege::None, fresh_lists: false };
        for (yes, answer) in [(false, Some("y\n")), (false, None), (true, Some("y\n")), (true, None)] {
            let outcome = of(machine, yes, answer);
            assert_eq!(outcome.asked, Vec::<String>::new());
            let said = outcome.refused.unwrap();
            assert!(said.contains("run this as root"), "{said}");
            assert!(said.ends_with(&format!("\n  apt-get update && {INSTALL}")), "{said}");
        }
    }

    #[test]
    fn with_yes_nobody_is_asked_whether_there_is_a_terminal_or_not() {
        for privilege in [Privilege::Root, Privilege::Sudo] {
            assert_eq!(outcome(privilege, true, Some("n\n")), installs_unasked());
            assert_eq!(outcome(privilege, true, None), installs_unasked());
        }
    }

    #[test]
    fn without_terminal_and_yes_it_is_refused_with_the_command_and_the_option() {
        for (privilege, sudo) in [(Privilege::Root, ""), (Privilege::Sudo, "sudo ")] {
            let outcome = outcome(privilege, false, None);
            assert_eq!(outcome.asked, Vec::<String>::new());
            let said = outcome.refused.unwrap();
            assert!(said.contains("--yes") && said.ends_with(&format!("\n  {sudo}{INSTALL}")), "{said}");
        }
    }

    #[test]
    fn an_answer_that_is_not_yes_installs_nothing_and_says_so() {
        for answer in ["n\n", "no\n", "what?\n", "y", ""] {
            let outcome = outcome(Privilege::Sudo, false, Some(answer));
            assert_eq!(outcome.asked.len(), 1, "{answer:?}");
            let said = outcome.refused.unwrap();
            assert!(said.starts_with("nothing was installed"), "{answer:?}: {said}");
            assert!(said.ends_with(&format!("\n  sudo {INSTALL}")), "{answer:?}: {said}");
        }
        for answer in ["\n", "y\n", "Y\r\n", " yes \n"] {
            assert_eq!(outcome(Privilege::Sudo, false, Some(answer)).refused, None, "{answer:?}");
        }
    }

    #[test]
    fn without_apt_the_machine_s_own_means_are_asked_for_whoever_we_are() {
        for privilege in [Privilege::Root, Privilege::Sudo, Privilege::None] {
            for yes in [true, false] {
                let machine = Machine { apt: false, privilege, fresh_lists: false };
                let outcome = of(machine, yes, Some("y\n"));
                assert_eq!(outcome.asked, Vec::<String>::new());
                let said = outcome.refused.unwrap();
                assert!(said.contains("no apt-get") && said.contains("by its own means"), "{said}");
            }
        }
    }
}
